"""Opens a report in a headless browser and uses it as a reader would.

check_page.py vidur-report RESULTS.h5 FOLDER
FOLDER gets the report in every format, and screenshots where VIDUR_SCREENSHOTS is set.
"""
import csv
import json
import math
import os
import re
import subprocess
import sys
import time

import browser

CHARTS = ["chart-ttft", "chart-tbt", "chart-trade", "chart-sku", "chart-cost", "chart-limits",
          "chart-ranks", "chart-path"]
LIMIT_BYTES = 2_000_000


class Failure(AssertionError):
    pass


def check(condition, *what):
    if not condition:
        raise Failure(" ".join(map(str, what)))


def make_reports(program, results, folder):
    paths = {kind: os.path.join(folder, f"report.{kind}") for kind in ("html", "md", "csv")}
    start = time.monotonic()
    subprocess.run([program, results, "-q", "--html", paths["html"]], check=True)
    print(f"HTML report: {os.path.getsize(paths['html'])} bytes in {time.monotonic() - start:.2f} s")
    subprocess.run([program, results, "-q", "--markdown", paths["md"], "--csv", paths["csv"]], check=True)
    return paths


def number(text):
    return float(text) if text else math.nan


class Report:
    """The page and what it must show, from the CSV."""

    def __init__(self, page, paths, program, results):
        self.page = page
        self.program, self.results = program, results
        with open(paths["csv"], newline="") as f:
            self.rows = list(csv.DictReader(f))
        with open(paths["md"]) as f:
            self.markdown = f.read()
        self.groups = list(dict.fromkeys((r["model"], r["trace"]) for r in self.rows))
        page.open("file://" + os.path.abspath(paths["html"]))
        page.frame()

    def of(self, group):
        return [r for r in self.rows if (r["model"], r["trace"]) == group]

    def text(self, selector):
        return self.page.run(f"document.querySelector({json.dumps(selector)}).innerText")

    def table(self, selector):
        return self.page.run(f"[...document.querySelectorAll({json.dumps(selector + ' tbody tr')})]"
                             ".map((row) => [...row.cells].map((cell) => cell.innerText))")

    def column(self, title):
        """The cells of the ranking under a header, whatever its line breaks."""
        titles = self.page.run("[...document.querySelectorAll('#candidates thead th')].map((th) => th.textContent)")
        at = titles.index(title)
        return [row[at] for row in self.table("#candidates")]

    def middle(self, selector):
        return self.page.run(f"""(() => {{
            const node = document.querySelector({json.dumps(selector)});
            node.scrollIntoView({{block: 'center'}});
            const box = node.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2]; }})()""")

    def click(self, selector):
        self.page.click(*self.middle(selector))

    def choose(self, selector, value):
        self.page.run(f"""(() => {{ const field = document.querySelector({json.dumps(selector)});
            field.value = {json.dumps(value)};
            field.dispatchEvent(new Event('input', {{bubbles: true}}));
            field.dispatchEvent(new Event('change', {{bubbles: true}})); }})()""")
        self.page.frame()


def check_quiet(report):
    page = report.page
    check(not page.messages, "the console says:", page.messages)
    check(len(page.requests) == 1 and page.requests[0].startswith("file:"), "fetched:", page.requests)


def check_pixels(report):
    """Every chart has ink, and its data has its colour."""
    drawn = report.page.run("""Object.fromEntries([...document.querySelectorAll('canvas')].map((canvas) => {
        const copy = document.createElement('canvas');
        copy.width = canvas.width;
        copy.height = canvas.height;
        const context = copy.getContext('2d', {willReadFrequently: true});
        context.drawImage(canvas, 0, 0);
        const pixels = context.getImageData(0, 0, copy.width, copy.height).data;
        const colors = new Map();
        for (let i = 0; i < pixels.length; i += 4)
          if (pixels[i + 3] > 200) {
            const color = (pixels[i] << 16) | (pixels[i + 1] << 8) | pixels[i + 2];
            colors.set(color, (colors.get(color) || 0) + 1);
          }
        const hues = [...colors].filter(([c]) => {
          const rgb = [c >> 16, (c >> 8) & 255, c & 255];
          return Math.max(...rgb) - Math.min(...rgb) > 60; });
        let ink = 0;
        colors.forEach((count) => { ink += count; });
        const chart = Chart.getChart(canvas);
        return [canvas.id, {ink, coloured: hues.reduce((sum, [, count]) => sum + count, 0),
          marks: chart.data.datasets.reduce((sum, set) => sum + set.data.length, 0),
          width: canvas.clientWidth, height: canvas.clientHeight}]; }))""")
    check(sorted(drawn) == sorted(CHARTS), "charts:", sorted(drawn))
    for name, chart in drawn.items():
        check(chart["marks"] > 0, name, "shows nothing")
        check(chart["width"] > 200 and chart["height"] > 150, name, "is too small:", chart)
        check(chart["ink"] > 1500 and chart["coloured"] > 60, name, "is blank:", chart)


def check_numbers(report):
    """The page holds the CSV's numbers to the bit and writes them as the Markdown does."""
    data = report.page.run("({columns: data.columns, rows: data.rows})")
    check(len(data["rows"]) == len(report.rows), "rows")
    for cells, row in zip(data["rows"], report.rows):
        for column, cell in zip(data["columns"], cells):
            text = row[column["name"]]
            if column["kind"] == "text":
                check(cell == text, column["name"], cell, text)
            else:
                value = number(text)
                check(cell is None and math.isnan(value) or cell == value, column["name"], cell, text)
    latencies = report.page.run("data.latencies.map((slo) => slo.header)")
    check(report.page.run("data.slos.map((slo) => slo.header)") == latencies[:report.page.run("data.slos.length")],
          "latencies:", latencies)
    titles = report.page.run("[...document.querySelectorAll('#candidates thead th')].map((th) => th.textContent)")
    # GPUs to margin, or QPS to price and, where one has no price, QPS a GPU
    before = 13 if any(r["target_qps"] for r in report.rows) else 10 + ("QPS/GPU" in titles)
    added = any(r["added_gpus"] for r in report.rows)
    check(("+GPUs" in titles) == added, "additions:", titles)
    before += added * (2 if any(r["target_qps"] for r in report.rows) else 3)
    first = [r for r in report.of(report.groups[0]) if r["status"] == "ok"]
    check(any(r["target_qps"] for r in report.rows) or
          ("QPS/GPU" in titles) == any(not r["usd_per_hour"] for r in first), "QPS/GPU:", titles)
    check(titles[before:before + len(latencies)] == latencies, "the ranking's latencies:", titles)
    for group in report.groups:
        choose_group(report, group)
        top = report.table("#candidates")[:10]
        for row, source in zip(top, report.of(group)):
            if source["status"] != "ok":
                continue
            cells = row[:before + len(latencies)]
            unknown = [re.sub(r"^-$", "", c) for c in cells]
            check("| " + " | ".join(cells) + " |" in report.markdown or
                  "| " + " | ".join(unknown) + " |" in report.markdown, "not in the Markdown:", cells)


def choose_group(report, group):
    report.choose("#model", group[0])
    report.choose("#trace", group[1])


def check_answers(report):
    answers = report.table("#answers")
    check([tuple(a[:2]) for a in answers] == report.groups, "answers:", answers)
    for group in report.groups:
        choose_group(report, group)
        best = next((r for r in report.of(group) if r["status"] == "ok"), None)
        text = report.text("#best")
        if best:
            check(f"{best['num_gpus']} x {best['device']}" in text, "best:", text)
            check("not recorded" not in text, "best:", text)
            check("vllm serve" in text and "--tensor-parallel-size " + best["tensor_parallel_size"] in text,
                  "no launch line:", text)
        else:
            check("No candidate" in text, "best:", text)


def check_sorting(report):
    report.choose("#all-groups", True)
    report.page.run("document.querySelector('#all-groups').checked = true; drawRanking()")
    first = ("$/hour", "usd_per_hour") if any(r["target_qps"] for r in report.rows) else ("Max QPS", "max_qps")
    latencies = report.page.run("data.latencies.map((slo) => [slo.title, slo.column])")
    for title, column in [first] + latencies:
        key = f'#candidates th[data-key="{column}"]'
        orders = []
        for _ in range(2):
            report.click(key + " button")
            orders.append(report.page.run(f"document.querySelector('{key}').ariaSort"))
            shown = [data_row for data_row in report.page.run(
                "[...document.querySelectorAll('#candidates tbody tr')].map((row) => +row.dataset.row)")]
            values = [number(report.rows[i][column]) for i in shown]
            known = [v for v in values if not math.isnan(v)]
            check(known == sorted(known, reverse=orders[-1] == "descending"), title, "is not sorted")
            check(all(math.isnan(v) for v in values[len(known):]), title, "has unknown values in between")
        check(sorted(orders) == ["ascending", "descending"], title, orders)
    report.page.run("document.querySelector('#all-groups').checked = false; drawRanking()")
    report.click('#candidates th[data-key="rank"] button')


def check_filters(report):
    group = report.groups[0]
    choose_group(report, group)
    rows = report.of(group)
    word = rows[0]["scheduler"]
    report.middle("#find")
    report.page.type("#find", f"{word} tp{rows[0]['tensor_parallel_size']}")
    expected = sum(word in r["scheduler_label"] + r["scheduler"] and
                   r["tensor_parallel_size"] == rows[0]["tensor_parallel_size"] for r in rows)
    check(len(report.table("#candidates")) == expected > 0, "find:", len(report.table("#candidates")), expected)
    report.page.type("#find", "surely nothing")
    check("No candidate matches" in report.text("#candidates"), "an empty result does not say so")
    report.page.run("document.querySelector('#find').value = ''")
    for status in dict.fromkeys(r["status"] for r in rows):
        report.choose("#status", status)
        expected = sum(r["status"] == status for r in rows)
        check(len(report.table("#candidates")) == expected, status, "filter")
    report.choose("#status", "")
    report.click("#only-pareto")
    expected = sum(r["pareto"] == "1" for r in rows)  # none where nothing has a price: a line says so
    check(len(report.table("#candidates")) == max(expected, 1), "Pareto filter")
    check(expected > 0 or "No candidate matches" in report.text("#candidates"), "Pareto filter of none")
    report.click("#only-pareto")
    skus = list(dict.fromkeys(r["network_device"] for r in rows))
    report.choose("#sku", skus[-1])
    check(set(report.column("SKU")) == {skus[-1]}, "SKU filter", set(report.column("SKU")))
    check(len(report.table("#sizing")) == 1, "SKU table")
    report.choose("#sku", "")


def chart_point(report, name):
    """Where the best configuration of the chosen group is drawn."""
    return report.page.run(f"""(() => {{
        const canvas = document.querySelector('#{name}'), chart = Chart.getChart(canvas);
        canvas.scrollIntoView({{block: 'center'}});
        const box = canvas.getBoundingClientRect(), best = bestRow();
        for (const [i, set] of chart.data.datasets.entries())
          for (const [j, point] of set.data.entries())
            if (point.row === best.index) {{
              const at = chart.getDatasetMeta(i).data[j];
              return [box.x + at.x, box.y + at.y];
            }}
        return null; }})()""")


def check_hovering(report):
    page = report.page
    for name in ("chart-ttft", "chart-tbt", "chart-trade"):
        at = chart_point(report, name)
        check(at, name, "lacks the best configuration")
        picture = f"document.querySelector('#{name}').toDataURL()"
        before = page.run(picture)
        page.hover(*at)
        text = page.run(f"(Chart.getChart('{name}').tooltip.body || []).flatMap((b) => b.lines).join(' ')")
        check(re.search("QPS per (dollar|GPU)", text) and "TTFT" in text, name, "has no tooltip:", text)
        check(page.run(f"Chart.getChart('{name}').tooltip.opacity") == 1 and page.run(picture) != before,
              name, "draws no tooltip")
    page.click(*chart_point(report, "chart-ttft"))
    check(page.run("document.querySelector('#detail').open"), "a click on a point opens nothing")
    check("Launch" in report.text("#detail"), report.text("#detail"))
    page.key("Escape")
    check(not page.run("document.querySelector('#detail').open"), "Escape does not close the details")
    report.click("#candidates tbody button")
    check(page.run("document.querySelector('#detail').open"), "a row's button opens nothing")
    page.key("Escape")
    page.hover(2, 2)


def check_keyboard(report):
    page = report.page
    page.run("document.querySelector('#chart-tbt').focus()")
    page.key("ArrowRight")
    first = report.text("#spoken")
    page.key("ArrowRight")
    second = report.text("#spoken")
    check(all(re.search("QPS per (dollar|GPU)", said) for said in (first, second)), "arrow keys say:", first, second)
    page.key("Enter", "\r")
    check(page.run("document.querySelector('#detail').open"), "Enter on a point opens nothing")
    page.key("Escape")
    below = "model" if page.run("document.querySelector('#load-field').hidden") else "load"
    for before, after in (("theme", below), ("find", "status"), ("target", "target-slider")):
        page.run(f"document.querySelector('#{before}').focus()")
        page.key("Tab")
        check(page.run("document.activeElement.id") == after, "Tab after", before)


def sized_rows(report, options):
    """What vidur-report computes for a load: the first row of each SKU, by group."""
    done = subprocess.run([report.program, report.results, "-q", "--csv", "-", *options], check=True,
                          capture_output=True, text=True)
    best = {}
    for row in csv.DictReader(done.stdout.splitlines()):
        best.setdefault((row["model"], row["trace"]), {}).setdefault(row["network_device"], row)
    return best


def terminal_lines(report, options):
    """The line of each group at the top of the terminal's report."""
    text = subprocess.run([report.program, report.results, *options], check=True, capture_output=True,
                          text=True).stdout.splitlines()
    return [line.strip() for line in text if line.startswith("  For ")][:len(report.groups)]


def check_sizing(report):
    """The field for a load gives what vidur-report --qps computes, for every group and SKU."""
    for target in (0.3, 50, 1234):
        lines = terminal_lines(report, ["--qps", str(target)])
        sized = sized_rows(report, ["--qps", str(target)])
        for group, line in zip(report.groups, lines):
            choose_group(report, group)
            report.middle("#target")
            report.page.type("#target", str(target))
            check(report.text("#choice") == line, "choice:", report.text("#choice"), line)
            for cells in report.table("#sizing"):
                row = sized[group].get(cells[0])
                if not row or not row["load_replicas"]:
                    check(cells[2] == "-", "sizing of", cells)
                    continue
                check(cells[2:4] == [row["load_replicas"], row["load_billed_gpus"]], "sizing:", cells, row)
                usd = number(row["load_usd_per_hour"])
                check(cells[4] == "-" if math.isnan(usd) else abs(float(cells[4]) - usd) < 0.006, "price:", cells, row)
                check(cells[8] == row["load_known_by"], "known by:", cells, row)
        line = report.page.run("Chart.getChart('chart-cost').data.datasets.find((s) => s.helper).data[0].x")
        check(line == target, "the cost chart marks", line)
    check_every_size(report)
    choose_group(report, report.groups[0])
    slider = report.page.run("document.querySelector('#target-slider').value")
    report.choose("#target-slider", "500")
    check(report.page.run("document.querySelector('#target').value") != "1234" and slider != "500",
          "the slider does not move the field")


def check_every_size(report):
    """familySizing of the page is vidur_family_sizing, number by number."""
    for target in (0.01, 1, 7.25, 60, 333, 98765.4321):
        done = subprocess.run([report.program, report.results, "-q", "--csv", "-", "--qps", repr(target)],
                              check=True, capture_output=True, text=True)
        rows = {(r["candidate_id"], r["model"], r["trace"]): r for r in csv.DictReader(done.stdout.splitlines())}
        sizes = report.page.run(f"""data.families.map((family) => {{
            const size = familySizing(family, loadOf({target!r}));
            return [family.sizes.map(({{row}}) => [row.candidate_id, row.model, row.trace]),
              size.row && [size.replicas, size.gpus, size.billed_gpus, size.usd_per_hour, size.capacity_qps,
                size.row.candidate_id]]; }})""")
        check(sizes, "no families")
        for members, size in sizes:
            for member in members:
                row = rows[tuple(member)]
                names = ("replicas", "gpus", "billed_gpus", "usd_per_hour", "capacity_qps")
                want = [float(row["load_" + name]) if row["load_" + name] else None
                        for name in names] if row["load_replicas"] else None
                check((size and size[:5]) == want, "size of", member, size, want)
                check(not size or size[5] == row["load_candidate_id"], "known by", member, size)


def check_additions(report):
    """What to add to GPUs that are there is said as the terminal and Markdown say it."""
    text = subprocess.run([report.program, report.results], check=True, capture_output=True, text=True).stdout
    lines = re.findall(r"^  (You have .*)$", text, re.M)
    check(bool(lines) == any(r["added_gpus"] for r in report.rows), "additions:", lines)
    shown = report.page.run("[...document.querySelectorAll('#rents p')].map((node) => node.innerText)")
    check(shown == lines, "additions on the page:", shown, lines)
    check(all(line in report.markdown for line in lines), "additions in Markdown:", lines)


def check_load_given(report, paths):
    """With --qps and its options the page begins with the terminal's lines."""
    options = ["--qps", "42", "--headroom", "0.25", "--whole-nodes"]
    try:
        lines = terminal_lines(report, options)
    except subprocess.CalledProcessError:  # made-up results may lack facts of nodes
        options.pop()
        lines = terminal_lines(report, options)
    subprocess.run([report.program, report.results, "-q", "--html", paths["html"], *options], check=True)
    report.page.open("file://" + os.path.abspath(paths["html"]))
    report.page.frame()
    shown = report.page.run("[...document.querySelectorAll('#loads span')].map((node) => node.innerText)")
    check(shown == lines, "the top of the page:", shown, lines)
    headlines = report.page.run("[...document.querySelectorAll('#rents strong')].map((node) => node.innerText)")
    for headline, line in zip(headlines, lines):
        gpus = re.search(r": (\d+) GPU.*?(?:paid whole \((\d+) GPU.*?)?(?:, \$([0-9.]+) an hour|, no price)", line)
        check(not gpus or headline.split()[0] == (gpus[2] or gpus[1]), "headline:", headline, line)
        check(not gpus or not gpus[3] or f"${gpus[3]} an hour" in headline, "headline:", headline, line)
    first = report.page.run("document.querySelector('main').compareDocumentPosition(document.querySelector('#loads'))")
    check(first & 2, "the load's answer is not above the report")
    options[1] = "7"  # all answers follow the field
    report.page.run("const field = document.querySelector('#load'); field.value = 7; field.dispatchEvent(new Event('input'))")
    shown = report.page.run("[...document.querySelectorAll('#loads span')].map((node) => node.innerText)")
    check(shown == terminal_lines(report, options), "for another load:", shown)


def check_matrix_and_limits(report):
    model = report.groups[0][0]
    traces = [trace for name, trace in report.groups if name == model]
    matrix = report.table("#losses")
    if len(traces) > 1:
        check([row[0] for row in matrix] == traces, "matrix:", matrix)
        check(all(matrix[i][i + 1] in ("1.00x", "not searched") for i in range(len(traces))), "matrix:", matrix)
    rows = report.of(report.groups[0])
    for limit in dict.fromkeys(r["bottleneck"] for r in rows if r["bottleneck"]):
        report.choose("#limit", limit)
        check(len(report.table("#limits")) == sum(r["bottleneck"] == limit for r in rows), "limit", limit)
    report.choose("#limit", "")


def check_themes(report, folder):
    page = report.page
    for dark in (False, True):
        page.theme(dark)
        page.frame()
        ground = page.run("getComputedStyle(document.body).backgroundColor")
        light = sum(map(int, re.findall(r"\d+", ground)[:3])) > 384
        check(light != dark, "dark" if dark else "light", "theme has the ground", ground)
        check_pixels(report)
        for width in (1280, 400):
            page.resize(width, 900)
            page.frame()
            check(page.run("document.documentElement.scrollWidth") <= width, "too wide at", width)
            check_pixels(report)
            screenshot(report, folder, f"{'dark' if dark else 'light'}-{width}")
    page.theme(False)
    page.resize(1280, 900)
    page.frame()
    report.click("#theme")
    check(page.run("document.documentElement.dataset.theme") == "dark", "the theme's button does nothing")
    report.click("#theme")
    page.pdf(os.path.join(folder, "report.pdf"))
    check(page.run("document.documentElement.dataset.theme") == "light", "printing changes the theme")


def screenshot(report, folder, name):
    if not os.environ.get("VIDUR_SCREENSHOTS"):
        return
    report.page.run("scrollTo(0, 0)")
    report.page.screenshot(os.path.join(folder, name + ".png"), full=True)


def main(program, results, folder):
    chromium = browser.find()
    if not chromium:
        print("skipped: no browser; install chromium (Debian, Ubuntu) or set VIDUR_BROWSER")
        sys.exit(77)
    os.makedirs(folder, exist_ok=True)
    paths = make_reports(program, results, folder)
    check(os.path.getsize(paths["html"]) < LIMIT_BYTES or len(open(paths["csv"]).readlines()) > 600,
          "the page is too large")
    with browser.Browser(chromium) as page:
        report = Report(page, paths, program, results)
        steps = [check_quiet, check_pixels, check_numbers, check_additions, check_answers, check_sorting, check_filters,
                 check_hovering, check_keyboard, check_sizing, check_matrix_and_limits,
                 lambda r: check_themes(r, folder), check_quiet, lambda r: check_load_given(r, paths)]
        for step in steps:
            step(report)
    print(f"{len(report.rows)} candidates in {len(report.groups)} groups: every check passed")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:4])
    except Failure as why:
        print("FAILED:", why)
        sys.exit(1)
