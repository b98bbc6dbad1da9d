#!/usr/bin/env python3
"""Specs of devices and nodes: every figure stands with its source in data/README.md."""

import glob
import os
import sys
import unittest

try:
    import yaml
except ImportError:
    sys.exit(77)

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../data")

# The columns of the tables and the keys that they show; what is empty there is 0 in specs.
DEVICE = {"bf16": "v1.peak_bf16_tflops", "fp8": "v1.peak_fp8_tflops", "fp4": "v1.peak_fp4_tflops",
          "GB/s": "memory_bandwidth_gb_per_s", "memory GiB": "memory_gib",
          "usable GiB": "v1.usable_memory_gib", "TDP W": "tdp_w"}
NODE = {"GPUs": "devices_per_node", "link GB/s": "link.bandwidth_gb_per_s",
        "network GB/s": "inter_node.bandwidth_gb_per_s"}


def readme_tables():
    """Rows of all tables: a list of {column: cell} for each header."""
    tables, header = {}, None
    with open(os.path.join(DATA, "README.md"), encoding="utf-8") as lines:
        for line in lines:
            if not line.startswith("|"):
                header = None
                continue
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if header is None:
                header = tuple(cells)
                tables.setdefault(header, [])
            elif not set(cells[0]) <= {"-"} or cells[0] == "":
                tables[header].append(dict(zip(header, cells)))
    return tables


def table_with(*columns):
    found = [rows for header, rows in readme_tables().items() if set(columns) <= set(header)]
    assert len(found) == 1, f"{len(found)} tables with the columns {columns}"
    return found[0]


def specs(kind):
    found = {}
    for path in glob.glob(os.path.join(DATA, "skus", kind, "*.yaml")):
        with open(path, encoding="utf-8") as text:
            found[os.path.basename(path)[:-5]] = yaml.safe_load(text)
    return found


def value(spec, key):
    for part in key.split("."):
        spec = (spec or {}).get(part)
    return float(spec or 0)


def figures(spec, prefix=""):
    """Paths of all numbers, lists of numbers included."""
    for key, item in spec.items():
        if isinstance(item, dict):
            yield from figures(item, f"{prefix}{key}.")
        elif isinstance(item, (int, float, list)) and not isinstance(item, bool):
            yield prefix + key


class Sources(unittest.TestCase):
    def check(self, kind, first, columns):
        rows = {row[first]: row for row in table_with(first, *columns, "source")}
        self.assertEqual(set(rows), set(specs(kind)))
        for name, spec in specs(kind).items():
            self.assertGreater(len(rows[name]["source"]), 10, name)
            for column, key in columns.items():
                self.assertEqual(float(rows[name][column] or 0), value(spec, key),
                                 f"{name}: {key} and the column {column} differ")

    def test_devices(self):
        self.check("devices", "device", DEVICE)

    def test_nodes(self):
        self.check("nodes", "node", NODE)
        rows = {row["node"]: row for row in table_with("node", *NODE, "source")}
        for name, spec in specs("nodes").items():
            joins = "pairs" if spec["link"]["pairwise"] else "all"
            self.assertEqual(rows[name]["joins"], joins, name)

    def test_every_key_with_a_figure_is_explained(self):
        with open(os.path.join(DATA, "README.md"), encoding="utf-8") as text:
            readme = text.read()
        patterns = [name for row in table_with("key", "unit", "source")
                    for name in row["key"].replace(",", " ").replace("`", " ").split()]
        shown = set(DEVICE.values())
        for name, spec in specs("devices").items():
            for key in figures(spec):
                section = key.split(".")[0]
                explained = any(matches(key, pattern) for pattern in patterns)
                self.assertTrue(explained or key in shown or section == "engine_roofline",
                                f"{name}: {key} has no source in data/README.md")
        self.assertIn("`engine_roofline`", readme)

    def test_both_engines_see_the_same_device(self):
        for name, spec in specs("devices").items():
            v1 = spec["v1"]
            self.assertEqual(spec["memory_bandwidth_gb_per_s"], v1["memory_bandwidth_gb_per_s"], name)
            self.assertLessEqual(abs(spec["peak_fp16_tflops"] / v1["peak_bf16_tflops"] - 1), 0.02, name)


def matches(key, pattern):
    """`v1.peak_*_tflops` and the like; a bare name stands for a key of any section too."""
    import fnmatch
    return fnmatch.fnmatch(key, pattern) or fnmatch.fnmatch(key, "v1." + pattern)


if __name__ == "__main__":
    unittest.main()
