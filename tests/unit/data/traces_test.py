#!/usr/bin/env python3
"""The synthetic traces: regenerated to the byte, within their limits, near what was asked."""

import csv
import filecmp
import os
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.path.dirname(os.path.abspath(__file__)) + "/../../.."
FOLDER = os.path.join(SOURCE, "data", "traces")
sys.path.insert(0, FOLDER)
sys.dont_write_bytecode = True

import generate  # noqa: E402


def rows(name):
    with open(os.path.join(FOLDER, f"{name}-synthetic.csv"), newline="") as lines:
        return [(int(row["num_prefill_tokens"]), int(row["num_decode_tokens"]))
                for row in csv.DictReader(lines)]


class Traces(unittest.TestCase):
    def test_a_second_run_writes_the_same_bytes(self):
        with tempfile.TemporaryDirectory() as scratch:
            subprocess.run([sys.executable, os.path.join(FOLDER, "generate.py"), scratch],
                           check=True, stdout=subprocess.DEVNULL)
            for name in generate.WORKLOADS:
                file = f"{name}-synthetic.csv"
                same = filecmp.cmp(os.path.join(FOLDER, file), os.path.join(scratch, file),
                                   shallow=False)
                self.assertTrue(same, f"{file} is not what generate.py writes")

    def test_every_request_fits(self):
        for name in generate.WORKLOADS:
            for prefill, decode in rows(name):
                self.assertGreaterEqual(min(prefill, decode), 1)
                self.assertLessEqual(prefill + decode, generate.MAX_TOTAL_TOKENS)

    def test_published_statistics_are_met(self):
        for name, target in generate.WORKLOADS.items():
            got = generate.statistics_of(rows(name))
            for column in ("prefill", "decode"):
                for asked, have in zip(target[column], got[column]):
                    self.assertLess(abs(have / asked - 1.0), 0.005, (name, column, asked))


if __name__ == "__main__":
    unittest.main()
