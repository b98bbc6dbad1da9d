#!/usr/bin/env python3
"""Draws the synthetic request-length traces of this folder.

No request here was ever sent by a user. Each trace is drawn from a distribution of
prompt and output lengths fitted to the mean, the median and the 90th percentile that
the Vidur paper (arXiv 2405.05465) publishes for the workload of that name. Every request
has at most 4096 tokens.

How: one length is a quantile function, log-normal around the median on either side,
with a tail of its own past the 90th percentile that levels off below the limit. Prompt
and output are drawn together with an assumed correlation. A prompt that does not fit
beside its output is drawn evenly from the room left. Since that skews the prompts, the
fit is repeated on what was drawn until it meets the published figures. The ratio of
prompt to output is shown, not fitted.

The seed is fixed and only the standard library is used: a second run writes the same
bytes. Usage: generate.py [DIRECTORY]   (default: the folder of this file)
"""

import math
import os
import random
import statistics
import sys

MAX_TOTAL_TOKENS = 4096
NUM_ROWS = 4000
SEED = 20240207
LONGEST = 3900.0  # tokens that one length levels off at
Z90 = statistics.NormalDist().inv_cdf(0.9)

# Published: mean, median and 90th percentile in tokens; the median of prompt / output.
# Assumed: the correlation of the normal scores behind the two lengths.
WORKLOADS = {
    "chat-4k": {
        "prefill": (686, 417, 1678), "decode": (197, 139, 484),
        "ratio": 2.3, "correlation": 0.3,
    },
    "arxiv-4k": {
        "prefill": (2588, 2730, 3702), "decode": (291, 167, 372),
        "ratio": 15.7, "correlation": -0.1,
    },
    "bwb-4k": {
        "prefill": (1067, 1037, 1453), "decode": (1612, 1601, 2149),
        "ratio": 0.65, "correlation": 0.0,
    },
}


def percentile(values, share):
    """Linear interpolation between order statistics."""
    ordered = sorted(values)
    at = share * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])


def describe(values):
    return (sum(values) / len(values), percentile(values, 0.5), percentile(values, 0.9))


class Length:
    """Quantile function of one length: three log-linear pieces over the normal score."""

    def __init__(self, median, p90, low_slope, tail_slope):
        self.median = median
        self.body_slope = math.log(p90 / median) / Z90
        self.low_slope = low_slope
        self.tail_slope = tail_slope

    def at(self, z):
        if z < 0:
            log_ratio = z * self.low_slope
        elif z < Z90:
            log_ratio = z * self.body_slope
        else:
            log_ratio = Z90 * self.body_slope + (z - Z90) * self.tail_slope
        value = self.median * math.exp(log_ratio)
        return value / (1.0 + (value / LONGEST) ** 6) ** (1.0 / 6.0)


class Fit:
    """What is asked of the quantile functions so that the drawn rows meet the target."""

    def __init__(self, target):
        self.mean, self.median, self.p90 = target
        self.low_slope = self.tail_slope = math.log(self.p90 / self.median) / Z90

    def length(self):
        return Length(self.median, self.p90, self.low_slope, self.tail_slope)

    def step(self, target, got, moves):
        """One damped correction; moves names the slope that answers for the mean."""
        damping = 0.5
        self.median *= (target[1] / got[1]) ** damping
        self.p90 = max(self.p90 * (target[2] / got[2]) ** damping, self.median * 1.01)
        error = math.log(target[0] / got[0])
        if moves == "tail":
            self.tail_slope = min(max(self.tail_slope + 2.0 * error, 0.0), 9.0)
        else:
            self.low_slope = min(max(self.low_slope - 2.0 * error, 0.01), 9.0)


def draw(rng, prefill, decode, correlation):
    rest = math.sqrt(1.0 - correlation * correlation)
    rows = []
    for _ in range(NUM_ROWS):
        z = rng.gauss(0.0, 1.0)
        output = max(1, round(decode.at(z)))
        score = correlation * z + rest * rng.gauss(0.0, 1.0)
        prompt = max(1, round(prefill.at(score)))
        if prompt + output > MAX_TOTAL_TOKENS:
            prompt = 1 + int(rng.random() * (MAX_TOTAL_TOKENS - output))
        rows.append((prompt, output))
    return rows


def statistics_of(rows):
    return {
        "prefill": describe([p for p, _ in rows]),
        "decode": describe([d for _, d in rows]),
        "ratio": percentile([p / d for p, d in rows], 0.5),
    }


def misfit(target, got):
    """Sum of squared log errors over the six published figures of the lengths."""
    errors = []
    for column in ("prefill", "decode"):
        errors += [math.log(g / t) ** 2 for g, t in zip(got[column], target[column])]
    return sum(errors)


def moves_of(target):
    """Lengths with a long right tail are corrected there, the others on the left."""
    mean, median, _ = target
    return "tail" if mean > 1.02 * median else "low"


def fit(name, target, rounds=80):
    """The rows of the round that meets the figures best."""
    fits = {column: Fit(target[column]) for column in ("prefill", "decode")}
    best = None
    for _ in range(rounds):
        rng = random.Random(f"{SEED} {name}")
        rows = draw(rng, fits["prefill"].length(), fits["decode"].length(),
                    target["correlation"])
        got = statistics_of(rows)
        score = misfit(target, got)
        if best is None or score < best[0]:
            best = (score, rows)
        for column, one in fits.items():
            one.step(target[column], got[column], moves_of(target[column]))
    return best[1]


def write(path, rows):
    with open(path, "w", encoding="ascii", newline="\n") as out:
        out.write("num_prefill_tokens,num_decode_tokens\n")
        for prefill, decode in rows:
            out.write(f"{prefill},{decode}\n")


def report(name, target, rows):
    got = statistics_of(rows)
    print(f"{name}-synthetic: {len(rows)} rows")
    for column in ("prefill", "decode"):
        for label, asked, have in zip(("mean", "median", "p90"), target[column], got[column]):
            print(f"  {column:8s}{label:8s}asked {asked:8.1f}  got {have:8.1f}"
                  f"  {100.0 * (have / asked - 1.0):+6.2f} %")
    print(f"  {'ratio':8s}{'median':8s}asked {target['ratio']:8.2f}  got {got['ratio']:8.2f}"
          f"  {100.0 * (got['ratio'] / target['ratio'] - 1.0):+6.2f} %")
    print(f"  largest total {max(p + d for p, d in rows)} tokens")


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    for name, target in WORKLOADS.items():
        rows = fit(name, target)
        write(os.path.join(folder, f"{name}-synthetic.csv"), rows)
        report(name, target, rows)


if __name__ == "__main__":
    main()
