"""chrome_trace.json by the rules of the Trace Event Format, and against the files beside it.

    chrome_trace.py VIDUR-SIMULATE SOURCE-FOLDER
"""

import csv
import json
import numbers
import os
import subprocess
import sys
import tempfile

PHASES = {"X": {"name", "cat", "ph", "ts", "dur", "pid", "tid", "args"},
          "C": {"name", "ph", "ts", "pid", "tid", "args"},
          "M": {"name", "ph", "pid", "tid", "args"}}
METADATA = {"process_name": "name", "thread_name": "name", "process_sort_index": "sort_index"}


def no_duplicates(pairs):
    keys = [key for key, _ in pairs]
    assert len(keys) == len(set(keys)), f"duplicate key among {keys}"
    return dict(pairs)


def no_constant(text):
    raise ValueError(f"{text} is not JSON")


def is_number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def check_event(event):
    assert set(event) == PHASES[event["ph"]], event
    assert isinstance(event["name"], str) and event["name"]
    assert isinstance(event["pid"], int) and isinstance(event["tid"], int)
    assert isinstance(event["args"], dict)
    if event["ph"] == "M":
        assert METADATA[event["name"]] in event["args"], event
        return
    assert is_number(event["ts"]) and event["ts"] >= 0, event
    if event["ph"] == "X":
        assert is_number(event["dur"]) and event["dur"] > 0, event
    else: # counters: numbers only
        assert event["args"] and all(is_number(v) for v in event["args"].values()), event
        assert all(v >= 0 for v in event["args"].values()), event


def check_nesting(slices):
    """Slices of one thread must not overlap: a stage runs one batch at a time. Stamps
    are rounded to a nanosecond."""
    slices.sort(key=lambda event: event["ts"])
    for before, after in zip(slices, slices[1:]):
        assert before["ts"] + before["dur"] <= after["ts"] + 0.0021, (before, after)


def check_slice(event, row):
    args = event["args"]
    assert event["name"] == f"batch {args['batch_id']}"
    assert args["size"] == len(args["request_ids"]) == len(args["request_tokens"])
    assert len(set(args["request_ids"])) == args["size"]
    assert args["num_tokens"] == sum(args["request_tokens"]) \
        == args["num_prefill_tokens"] + args["num_decode_tokens"]
    assert args["size"] == int(row["batch_size"])
    assert args["num_tokens"] == int(row["batch_num_tokens"])
    assert abs(event["ts"] - 1e6 * float(row["start"])) < 0.001
    assert abs(event["dur"] - 1e6 * float(row["execution_time"])) < 0.001


def check_trace(trace, batches, num_replicas, num_stages):
    assert set(trace) == {"displayTimeUnit", "traceEvents"}
    assert trace["displayTimeUnit"] in ("ms", "ns")
    events = trace["traceEvents"]
    for event in events:
        check_event(event)
    named = {(e["pid"], e["tid"]) for e in events if e["name"] == "thread_name"}
    assert named == {(r, s) for r in range(num_replicas) for s in range(num_stages)}
    rows = {(int(b["batch_id"]), int(b["replica_id"]), int(b["stage_id"])): b
            for b in batches}
    threads = {}
    for event in events:
        if event["ph"] != "X":
            continue
        key = (event["args"]["batch_id"], event["pid"], event["tid"])
        check_slice(event, rows.pop(key))
        threads.setdefault(key[1:], []).append(event)
    assert not rows, f"{len(rows)} batches are missing"
    assert set(threads) == named, "every stage worked"
    for slices in threads.values():
        check_nesting(slices)
    counters = {(e["pid"], e["name"]) for e in events if e["ph"] == "C"}
    for replica in range(num_replicas):
        assert (replica, "KV blocks") in counters
        assert (replica, "waiting requests") in counters
    return len(events)


def main():
    program, source = sys.argv[1:]
    with tempfile.TemporaryDirectory() as out:
        subprocess.run(
            [program, os.path.join(source, "configs/simulate-quickstart.yaml"), "-o", out,
             "-q", "--set", "workload.num_requests=200", "--set", "workload.arrivals.qps=40",
             "--set", "cluster.num_pipeline_stages=2", "--set", "output.chrome_trace=true",
             "--set", "output.batches=true"], check=True)
        with open(os.path.join(out, "chrome_trace.json")) as f:
            trace = json.load(f, object_pairs_hook=no_duplicates,
                              parse_constant=no_constant)
        with open(os.path.join(out, "batch_metrics.csv"), newline="") as f:
            batches = list(csv.DictReader(f))
    count = check_trace(trace, batches, num_replicas=2, num_stages=2)
    print(f"{count} events follow the format")


if __name__ == "__main__":
    main()
