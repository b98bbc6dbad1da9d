"""vidur-simulate against recorded runs of the reference.

    simulate_golden.py VIDUR-SIMULATE GOLDEN-FOLDER

Every cell of request_metrics.csv and of the batch sequence must agree within 1e-9
relative. Exits 77 (skipped) where there is no folder, 1 with VIDUR_REQUIRE_GOLDEN=1. Prints the largest deviation of
each case.
"""

import csv
import json
import math
import os
import subprocess
import sys
import tempfile

LIMIT = 1e-9


def read(path):
    with open(path, newline="") as f:
        return list(csv.DictReader(f))


def deviation(ours, theirs):
    """Relative; near zero, where sums of differences cancel, absolute in seconds."""
    if ours == theirs:
        return 0.0
    if ours == "" or theirs == "":
        return math.inf
    a, b = float(ours), float(theirs)
    if a == b:
        return 0.0
    return abs(a - b) / max(abs(a), abs(b), 1.0) if min(abs(a), abs(b)) < 1e-6 \
        else abs(a - b) / max(abs(a), abs(b))


def compare_requests(ours, theirs):
    """(largest deviation, its column)"""
    if len(ours) != len(theirs):
        return math.inf, f"{len(ours)} rows, {len(theirs)} expected"
    if list(ours[0]) != list(theirs[0]):
        return math.inf, "the header"
    worst = (0.0, "")
    for a, b in zip(ours, theirs):
        for column in b:
            worst = max(worst, (deviation(a[column], b[column]), column))
    return worst


def batch_key(row):
    return int(row["replica_id"]), int(row["stage_id"]), float(row["start"])


def by_stage(rows):
    """Batches of each stage in the order in which they started; ids are compared only
    where there is one replica, as they number the batches of all."""
    return sorted(rows, key=batch_key)


def compare_batches(ours, theirs):
    if len(ours) != len(theirs):
        return math.inf, f"{len(ours)} batches, {len(theirs)} expected"
    worst = (0.0, "")
    columns = ["replica_id", "stage_id", "start", "execution_time", "batch_size"]
    for a, b in zip(by_stage(ours), by_stage(theirs)):
        for column in columns:
            worst = max(worst, (deviation(a[column], b[column]), column))
        if a["batch_num_tokens"] != b["num_tokens"]:
            return math.inf, "num_tokens"
    return worst


def run_case(program, folder, out):
    subprocess.run([program, os.path.join(folder, "config.yaml"), "-o", out, "-q",
                    "--set", "output.batches=true"], check=True)
    requests = compare_requests(read(os.path.join(out, "request_metrics.csv")),
                                read(os.path.join(folder, "request_metrics.csv")))
    batches = compare_batches(read(os.path.join(out, "batch_metrics.csv")),
                              read(os.path.join(folder, "batches.csv")))
    with open(os.path.join(out, "summary.json")) as f:
        counts = json.load(f)["counts"]
    with open(os.path.join(folder, "facts.json")) as f:
        facts = json.load(f)
    counted = all(counts[name] == facts[name] for name in ("completed", "restarts"))
    return requests, batches, counted


def main():
    program, golden = sys.argv[1:]
    if not os.path.isdir(golden):
        if os.environ.get("VIDUR_REQUIRE_GOLDEN") == "1":
            print(f"VIDUR_REQUIRE_GOLDEN=1, but there is no comparison data in {golden}")
            return 1
        print("skipped: comparison data absent")
        return 77
    failed = 0
    cases = sorted(name for name in os.listdir(golden)
                   if os.path.exists(os.path.join(golden, name, "request_metrics.csv")))
    print(f"{'case':28} {'requests':>9} {'batches':>9}")
    for name in cases:
        with tempfile.TemporaryDirectory() as out:
            requests, batches, counted = run_case(program, os.path.join(golden, name), out)
        good = requests[0] <= LIMIT and batches[0] <= LIMIT and counted
        failed += not good
        print(f"{name:28} {requests[0]:9.2g} {batches[0]:9.2g} "
              + ("" if good else f"FAILED: {requests[1]}; {batches[1]}; counts {counted}"))
    if not cases:
        print("no cases")
    return 1 if failed or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
