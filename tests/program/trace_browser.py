"""chrome_trace.json read by a page in headless Chromium.

    trace_browser.py VIDUR-SIMULATE SOURCE-FOLDER

Exits 77 (skipped) where there is no Chromium.
"""

import csv
import os
import re
import shutil
import subprocess
import sys
import tempfile


def verdict_of(browser, page, profile):
    dom = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
         f"--user-data-dir={profile}", "--dump-dom", f"file://{page}"],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=1200).stdout
    found = re.search(r'<pre id="verdict">(.*?)</pre>', dom, re.DOTALL)
    return found.group(1) if found else None


def main():
    program, source = sys.argv[1:]
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser",
                                                   "google-chrome"))), None)
    if not browser:
        print("skipped: no Chromium")
        return 77
    page_source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "trace_page.html")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [program, os.path.join(source, "configs/simulate-quickstart.yaml"), "-o", folder,
             "-q", "--set", "workload.num_requests=200", "--set", "workload.arrivals.qps=40",
             "--set", "cluster.num_pipeline_stages=2", "--set", "output.chrome_trace=true",
             "--set", "output.batches=true"], check=True)
        with open(os.path.join(folder, "batch_metrics.csv"), newline="") as f:
            slices = sum(1 for _ in csv.DictReader(f))
        with open(os.path.join(folder, "chrome_trace.json")) as f:
            trace = f.read()
        with open(page_source) as f:
            text = f.read()
        page = os.path.join(folder, "page.html")
        with open(page, "w") as f:
            f.write(text.replace("TRACE", trace))
        verdict = verdict_of(browser, page, os.path.join(folder, "profile"))
        # a page that never says no proves nothing
        with open(page, "w") as f:
            f.write(text.replace("TRACE", trace.replace('"ph":"X"', '"ph":"Y"', 1)))
        refusal = verdict_of(browser, page, os.path.join(folder, "profile"))
    if verdict is None:
        print("skipped: Chromium does not run here")
        return 77
    expected = f"ok: {slices} slices, 4 threads, 2 processes, 6 counters"
    print(verdict)
    if verdict != expected or "unknown phase" not in refusal:
        print(f"expected: {expected}; of a wrong one: {refusal}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
