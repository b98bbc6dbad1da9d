#!/usr/bin/env python3
"""Compares a compute profile with another one of the same models, operator by operator.

For every operator and tensor-parallel degree: our time over theirs at the points that both
know (theirs interpolated linearly to our measured points). Also what bounds our figures:
highest TFLOP/s and GB/s, and how often a longer job took less time.

Usage: profiler_compare.py OURS THEIRS [DEVICE]
  OURS, THEIRS: folders with compute/DEVICE/MODEL/{mlp,attention}.csv; DEVICE: h200
"""

import bisect
import csv
import os
import statistics
import sys

MLP = ("emb input_layernorm attn_pre_proj attn_rope attn_post_proj "
       "post_attention_layernorm mlp_up_proj mlp_act mlp_down_proj add").split()


def read(path):
    with open(path, newline="", encoding="ascii") as lines:
        return list(csv.DictReader(lines))


def medians(rows, operator, key):
    """{key(row): ms} of the measured rows that have a time."""
    found = {}
    for row in rows:
        ms = float(row[f"time_stats.{operator}.median"] or 0)
        if ms > 0 and row.get("attention_backend") != "interpolated":
            found[key(row)] = ms
    return found


def at(curve, x):
    """Linear interpolation in {x: y}; None outside."""
    xs = sorted(curve)
    i = bisect.bisect_left(xs, x)
    if i < len(xs) and xs[i] == x:
        return curve[x]
    if i == 0 or i == len(xs):
        return None
    a, b = xs[i - 1], xs[i]
    return curve[a] + (curve[b] - curve[a]) * (x - a) / (b - a)


def at_2d(surface, x, y):
    """Bilinear in {(x, y): z}: along y on the two nearest lines of x; None outside."""
    lines = {}
    for (a, b), z in surface.items():
        lines.setdefault(a, {})[b] = z
    xs = sorted(lines)
    i = bisect.bisect_left(xs, x)
    near = xs[i:i + 1] if i < len(xs) and xs[i] == x else xs[max(i - 1, 0):i + 1]
    values = {a: at(lines[a], y) for a in near}
    if not values or None in values.values():
        return None
    return at(values, x)


def summary(label, ratios):
    if not ratios:
        return
    ratios.sort()
    n = len(ratios)
    print(f"  {label:38s}{n:5d}  {statistics.median(ratios):6.2f}  "
          f"{ratios[n // 10]:6.2f} .. {ratios[n * 9 // 10]:6.2f}")


def split(points, size_of, bounds):
    """Groups points by size: [(label, points)]."""
    groups = [[] for _ in range(len(bounds) + 1)]
    for point in points:
        groups[bisect.bisect_right(bounds, size_of(point))].append(point)
    labels = [f"< {bounds[0]}"] + [f">= {bound}" for bound in bounds]
    return list(zip(labels, groups))


def compare_mlp(ours, theirs):
    for operator in MLP:
        ratios = {}
        for tp in sorted({row["num_tensor_parallel_workers"] for row in ours}, key=int):
            pick = [[r for r in rows if r["num_tensor_parallel_workers"] == tp]
                    for rows in (ours, theirs)]
            mine, other = (medians(rows, operator, lambda r: int(r["num_tokens"]))
                           for rows in pick)
            for tokens, ms in mine.items():
                reference = at(other, tokens)
                if reference:
                    ratios.setdefault(tokens, []).append(ms / reference)
        for label, tokens in split(ratios, lambda t: t, [128, 1024]):
            summary(f"{operator} tokens {label}", [r for t in tokens for r in ratios[t]])


def key_of(operator):
    first = "prefill_chunk_size" if operator == "attn_prefill" else "batch_size"
    return lambda row: (int(row[first]), int(row["kv_cache_size"]))


def compare_attention(ours, theirs):
    for operator in ("attn_prefill", "attn_decode"):
        ratios = {}
        for tp in sorted({row["num_tensor_parallel_workers"] for row in ours}, key=int):
            pick = [[r for r in rows if r["num_tensor_parallel_workers"] == tp]
                    for rows in (ours, theirs)]
            mine, other = (medians(rows, operator, key_of(operator)) for rows in pick)
            for point, ms in mine.items():
                reference = at_2d(other, *point)
                if reference:
                    ratios.setdefault(point, []).append(ms / reference)
        report_attention(operator, ratios)
    tokens = lambda r: max(int(r["prefill_chunk_size"]), int(r["batch_size"]))  # noqa: E731
    mine, other = (medians(rows, "attn_kv_cache_save", tokens) for rows in (ours, theirs))
    summary("attn_kv_cache_save (any degree)",
            [ms / at(other, t) for t, ms in mine.items() if at(other, t)])


def report_attention(operator, ratios):
    if operator == "attn_prefill":
        kinds = (("no prefix", lambda p: p[1] == 0), ("with prefix", lambda p: p[1] > 0))
        bounds, size_of = [256, 2048], lambda p: p[0]
        unit = "chunk"
    else:
        kinds = (("", lambda p: True),)
        bounds, size_of = [4096, 65536], lambda p: p[0] * p[1]
        unit = "batch*kv"
    for name, wanted in kinds:
        points = [p for p in ratios if wanted(p)]
        for label, group in split(points, size_of, bounds):
            summary(f"{operator} {name} {unit} {label}",
                    [r for p in group for r in ratios[p]])


def models(folder):
    for owner in sorted(os.listdir(folder)):
        for model in sorted(os.listdir(os.path.join(folder, owner))):
            yield os.path.join(owner, model)


def main():
    if len(sys.argv) < 3:
        print(__doc__.strip(), file=sys.stderr)
        return 1
    device = sys.argv[3] if len(sys.argv) > 3 else "h200"
    ours, theirs = (os.path.join(f, "compute", device) for f in sys.argv[1:3])
    if not os.path.isdir(theirs):
        print(f"{theirs}: not there, nothing to compare with")
        return 77
    for model in models(ours):
        if not os.path.isdir(os.path.join(theirs, model)):
            continue
        print(f"{model} on {device}: points, median of ours / theirs, 10th .. 90th percentile")
        for name, compare in (("mlp", compare_mlp), ("attention", compare_attention)):
            compare(*(read(os.path.join(f, model, name + ".csv")) for f in (ours, theirs)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
