#!/usr/bin/env python3
"""Runs the benches of a build and prints one table; see jobs/bench.sh.

    tests/bench/bench.py BUILD [--quick] [--studies] [-o bench.json]

Standard library only. Every search starts without cached tables.
"""
import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
SPEEDUP = "Llama-2-70B, chat"
STUDIES = ("llama2-7b", "internlm-20b", "llama2-70b", "qwen-72b")


def output(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}")
    return done.stdout


def machine(build):
    with open("/proc/cpuinfo") as f:
        model = re.search(r"model name\s*:\s*(.*)", f.read())
    with open(os.path.join(build, "CMakeCache.txt")) as f:
        compiler = re.search(r"CMAKE_C_COMPILER:\w+=(.*)", f.read()).group(1)
    return {
        "processor": model.group(1) if model else platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "compiler": output(compiler, "--version").splitlines()[0],
        "commit": output("git", "-C", ROOT, "rev-parse", "--short", "HEAD").strip(),
        "load_before": os.getloadavg()[0],
    }


LINE = re.compile(r"(?P<name>\S+)\s+(?P<requests>\d+) requests\s+(?P<batches>\d+) batches of\s+"
                  r"(?P<size>[\d.]+)\s+(?P<ms>[\d.]+) ms\s+(?P<mbatch>[\d.]+) Mbatch/s\s+"
                  r"(?P<mstep>[\d.]+) Mstep/s\s+(?P<ns>[\d.]+) ns/request\s+(?P<bytes>\d+) B/request")


def simulator(build, repeats):
    program = os.path.join(build, "tests", "simulator_bench")
    rows = []
    for line in output(program).splitlines() if repeats == 5 else [
            line for name in ("chat", "chat-plain", "bwb", "plain-batch16")
            for line in output(program, name, str(repeats)).splitlines()]:
        found = LINE.match(line)
        if found:
            rows.append({k: v if k == "name" else float(v) for k, v in found.groupdict().items()})
    return rows


def instructions(build):
    """Of one run of the chat case, by callgrind: free of noise."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out",
             os.path.join(build, "tests", "simulator_bench"), "chat", "1"],
            capture_output=True, text=True)
        found = re.search(r"Collected : (\d+)", done.stderr)
        return int(found.group(1)) if found else None


def tables(build):
    program = os.path.join(build, "tests", "timetable_bench")
    with tempfile.TemporaryDirectory() as cache:
        return json.loads(output(program, env={**os.environ, "XDG_CACHE_HOME": cache}))


def training(build):
    """Selection and fit of all operators of a measured profile in data/, and its tables."""
    config = os.path.join(ROOT, "configs", "simulate-quickstart.yaml")
    command = [os.path.join(build, "bin", "vidur-estimate"), "train", config]
    for assignment in ("model=meta-llama/Meta-Llama-3-8B", "cluster.device=h200",
                       "cluster.network_device=h200_dgx", "estimator.source=profiles",
                       "estimator.cache_dir="):
        command += ["--set", assignment]
    seconds = []
    for _ in range(5):
        start = time.monotonic()
        output(*command)
        seconds.append(time.monotonic() - start)
    return {"profile": "Meta-Llama-3-8B on h200, TP 1", "train_s": statistics.median(seconds)}


def output_and_peak(command, env):
    """Standard output, and the largest memory of a process that it waited for, KiB."""
    with tempfile.TemporaryFile("w+") as text:
        child = subprocess.Popen(command, env=env, stdout=text)
        _, status, usage = os.wait4(child.pid, 0)
        if status:
            sys.exit(f"{' '.join(command)}: status {status}")
        text.seek(0)
        return text.read(), usage.ru_maxrss


def search(build, config, ranks, sets=()):
    """Seconds, candidates, simulations and peak memory of a rank, in MB."""
    with tempfile.TemporaryDirectory() as folder:
        command = [os.path.join(ROOT, "tests", "mpi", "mpirun.sh"), str(ranks),
                   os.path.join(build, "bin", "vidur-search"),
                   os.path.join(ROOT, "configs", config), "-o", os.path.join(folder, "r.h5")]
        for assignment in sets:
            command += ["--set", assignment]
        env = {**os.environ, "XDG_CACHE_HOME": folder}
        start = time.monotonic()
        text, peak_kib = output_and_peak(command, env)
        seconds = time.monotonic() - start
    found = re.search(r"(\d+) candidates, \d+ loads \((\d+) simulated\) in ([\d.]+) s", text)
    return {"seconds": seconds, "search_s": float(found.group(3)), "candidates": int(found.group(1)),
            "simulations": int(found.group(2)),
            "candidates_per_s": int(found.group(1)) / seconds,
            "peak_rank_mb": peak_kib / 1024}


def median_searches(build, config, repeats, sets=()):
    """On one rank and on two, in turns, as a machine's speed drifts; and the speed-up."""
    runs = [[search(build, config, ranks, sets) for ranks in (1, 2)] for _ in range(repeats)]
    one, two = ({key: statistics.median(pair[i][key] for pair in runs) for key in runs[0][i]}
                for i in (0, 1))
    return one, two, statistics.median(pair[0]["search_s"] / pair[1]["search_s"] for pair in runs)


def show(result):
    m = result["machine"]
    print(f"{m['processor']}, {m['cores']} cores, {m['compiler']}, commit {m['commit']}, "
          f"load {m['load_before']:.1f}\n")
    print(f"{'simulation':<16}{'requests':>9}{'batches':>10}{'of':>6}{'ms':>10}"
          f"{'Mbatch/s':>10}{'Mstep/s':>9}{'ns/req':>8}{'B/req':>7}")
    for r in result["simulator"]:
        print(f"{r['name']:<16}{r['requests']:>9.0f}{r['batches']:>10.0f}{r['size']:>6.1f}"
              f"{r['ms']:>10.2f}{r['mbatch']:>10.2f}{r['mstep']:>9.1f}{r['ns']:>8.0f}{r['bytes']:>7.0f}")
    if result.get("instructions"):
        print(f"\ninstructions of the chat case: {result['instructions'] / 1e6:.1f} million")
    t = result["tables"]
    print(f"\ntimetable: built in {t['built_s']:.3f} s, from the cache in "
          f"{t['from_cache_s'] * 1e3:.2f} ms; {t['tables_kib_1_process']} KiB for one process, "
          f"{t['tables_kib_8_processes']} KiB for eight")
    print(f"training on a profile ({t['profile']}): {t['train_s']:.3f} s")
    print(f"\n{'search':<28}{'ranks':>6}{'candidates':>11}{'simulations':>12}{'s':>8}{'cand./s':>9}{'MB/rank':>9}")
    for name, ranks, r in result["search"]:
        print(f"{name:<28}{ranks:>6}{r['candidates']:>11.0f}{r['simulations']:>12.0f}"
              f"{r['seconds']:>8.2f}{r['candidates_per_s']:>9.1f}{r['peak_rank_mb']:>9.0f}")
    print(f"\n{SPEEDUP}: 2 ranks over 1: {result['speedup']:.2f} times, without mpirun's start and end")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--studies", action="store_true")
    parser.add_argument("-o", "--output", default="bench.json")
    args = parser.parse_args()
    repeats = 1 if args.quick else 5
    result = {"machine": machine(args.build), "simulator": simulator(args.build, repeats)}
    if not args.quick:
        result["instructions"] = instructions(args.build)
    result["tables"] = {**tables(args.build), **training(args.build)}
    result["search"] = []
    for name, config, sets in (("quickstart", "quickstart.yaml", ()),
                               (SPEEDUP, "vidur-paper-llama2-70b.yaml", ("include=[{trace: chat}]",))):
        one, two, result["speedup"] = median_searches(args.build, config, repeats, sets)
        result["search"] += [(name, 1, one), (name, 2, two)]
    if args.studies:
        result["search"] += [(f"{name}, all workloads", 2,
                              search(args.build, f"vidur-paper-{name}.yaml", 2))
                             for name in STUDIES]
    show(result)
    with open(args.output, "w") as f:
        json.dump(result, f, indent=1)
    print(f"\nAlso in {args.output}")


if __name__ == "__main__":
    main()
