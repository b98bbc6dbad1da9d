#!/usr/bin/env python3
"""The table of data/README.md is what `vidur-estimate validate --kernels` prints; what is far off has a reason there.

Usage: readme_roofline.py PROGRAM README KERNELS. Exits 77 (skipped) where there are no kernel timings, 1 with
VIDUR_REQUIRE_GOLDEN=1.
"""

import os
import subprocess
import sys

FAR = 25  # a median beyond it, in %, is explained


def table(lines, header):
    """The lines of the Markdown table that begins with `header`."""
    begin = next(i for i, line in enumerate(lines) if line.startswith(header))
    end = next((i for i in range(begin, len(lines)) if not lines[i].startswith("|")), len(lines))
    return lines[begin:end]


def medians(row):
    """The label of a row and its medians."""
    label, *cells = [cell.strip() for cell in row.strip().strip("|").split("|")]
    return label, [float(cell.split("/")[0]) for cell in cells if cell]


def main():
    program, readme, kernels = sys.argv[1:]
    if not os.path.isdir(kernels):
        if os.environ.get("VIDUR_REQUIRE_GOLDEN") == "1":
            print(f"VIDUR_REQUIRE_GOLDEN=1, but there is no comparison data in {kernels}")
            return 1
        print("skipped: comparison data absent")
        return 77
    printed = subprocess.run([program, "validate", "--kernels", kernels], check=True,
                             capture_output=True, text=True).stdout.splitlines()
    with open(readme, encoding="utf-8") as text:
        lines = text.read().splitlines()
    shown, now = table(lines, "| operator, format |"), table(printed, "| operator, format |")
    failed = 0
    for line in sorted(set(shown) ^ set(now)):
        print(("only printed: " if line in now else "only in the README: ") + line)
        failed = 1
    reasons = "\n".join(table(lines, "| operator | where | why |"))
    for row in now[2:]:
        label, values = medians(row)
        if max(values) > FAR and label.split()[0] not in reasons:
            print(f"{label}: a median of {max(values):g} %, and no reason in the README")
            failed = 1
    print(f"{len(now) - 2} rows compared")
    return failed


if __name__ == "__main__":
    sys.exit(main())
