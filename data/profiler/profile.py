#!/usr/bin/env python3
"""Measures the operators of a model on one GPU and writes the profiles that
vidur-estimate reads: compute/DEVICE/MODEL/{mlp,attention}.csv and profile.yaml.

Needs PyTorch 2.4 or newer and, for the fused kernels, Triton; nothing else. With several
GPUs, --network NODE also measures all-reduce and send/recv through NCCL. With one, no
collective can be measured and the estimator's alpha-beta model stays in charge of them.

Points are kept in a log (--log): a run that was cut short is repeated with the same
arguments and goes on where it stopped. First the base grids of all tables are measured,
then the time left goes to the points between which interpolation would err most.

Examples:
  profile.py --model meta-llama/Meta-Llama-3-8B --device-name h200 --budget-minutes 10
  profile.py --model my-model.yaml --tp 1,2 --device-name mygpu --out my-profiles
"""

import os
import sys

# This file's name is that of a standard module that PyTorch imports: look here last.
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [p for p in sys.path if os.path.abspath(p or ".") != HERE] + [HERE]

import argparse  # noqa: E402
import time  # noqa: E402


class OutOfTime(Exception):
    """The budget is spent; what was measured is written all the same."""


def parse_arguments(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", action="append", required=True, metavar="NAME|FILE",
        help="a model of data/models or a spec file; may be given several times")
    add("--device-name", required=True, help="folder of the result, e.g. h200")
    add("--out", default=os.path.join(os.path.dirname(HERE), "profiles"),
        help="folder for compute/ and network/ (default: data/profiles)")
    add("--tp", default="1,2,4,8", help="tensor-parallel degrees (default: 1,2,4,8)")
    add("--device", default="cuda", choices=("cuda", "cpu"),
        help="cpu: a toy run that tests the path (default: cuda)")
    add("--budget-minutes", type=float, default=20.0, help="wall time (default: 20)")
    add("--log", help="file of measured points (default: OUT/points-DEVICE.jsonl)")
    add("--max-tokens", type=int, help="tokens of a batch (default: 16384)")
    add("--max-chunk", type=int, help="tokens of a prefill chunk (default: 8192)")
    add("--max-kv", type=int, help="cached tokens of a request (default: 8192)")
    add("--max-batch", type=int, help="requests of a decode step (default: 512)")
    add("--rows", default="96,240,200", metavar="MLP,PREFILL,DECODE",
        help="most rows of each table and degree (default: 96,240,200)")
    add("--filled-rows", type=int, default=400, metavar="N",
        help="most rows of an attention table and degree after interpolated ones are "
        "added between the measured ones; 0: measured ones only (default: 400)")
    add("--good-enough", type=float, default=0.01,
        help="stop where interpolation is expected to err less (default: 0.01)")
    add("--write-only", action="store_true",
        help="measure nothing, write what the log holds; needs no GPU")
    add("--network", metavar="NODE",
        help="also measure collectives over all GPUs here, into network/NODE")
    add("-q", "--quiet", action="store_true", help="no progress")
    return parser.parse_args(argv)


class Progress:
    """One line every few seconds on stderr; raises when the budget is spent."""

    def __init__(self, budget_s, monitor, quiet):
        self.start = time.monotonic()
        self.budget_s = budget_s
        self.monitor = monitor
        self.quiet = quiet
        self.last = 0.0
        self.families = []
        self.label = ""

    def elapsed_s(self):
        return time.monotonic() - self.start

    def proceed(self):
        now = self.elapsed_s()
        if now > self.budget_s:
            raise OutOfTime
        if now - self.last >= 5.0:
            self.last = now
            self.monitor.sample()
            self.say(f"{self.label}: {sum(len(f.times) for f in self.families)} rows, "
                     f"{now:.0f} of {self.budget_s:.0f} s")

    def say(self, text):
        if not self.quiet:
            print(f"profile.py: {text}", file=sys.stderr, flush=True)


def whole_numbers(option, text, count=None):
    """The positive numbers of a comma-separated option."""
    from vidur_profiler.spec import SpecError

    parts = text.split(",")
    if not all(part.strip().isdigit() and int(part) > 0 for part in parts) or (
            count and len(parts) != count):
        raise SpecError(f"{option}: {text}: want {count or 'some'} positive whole numbers "
                        "with commas between")
    return [int(part) for part in parts]


def make_limits(arguments):
    from vidur_profiler.plan import Limits

    toy = arguments.device == "cpu"
    rows = dict(zip(("mlp", "prefill", "decode"), whole_numbers("--rows", arguments.rows, 3)))
    max_kv = arguments.max_kv or (64 if toy else 8192)
    max_batch = arguments.max_batch or (4 if toy else 512)
    return Limits(
        max_tokens=arguments.max_tokens or (32 if toy else 16384),
        max_chunk=arguments.max_chunk or (32 if toy else 8192),
        max_kv=max_kv, max_batch=max_batch,
        max_cache_tokens=8192 if toy else (1 << 20) + (1 << 16), rows=rows)


def make_plans(arguments, say):
    """One plan per model and tensor-parallel degree that the model allows."""
    import torch

    from vidur_profiler.device import processors
    from vidur_profiler.operators import Context
    from vidur_profiler.plan import Plan
    from vidur_profiler.spec import SpecError, find_model
    from vidur_profiler.store import Log
    from vidur_profiler.timing import make_timer

    device = "cpu" if arguments.write_only else arguments.device
    if device == "cuda" and not torch.cuda.is_available():
        raise SpecError("--device: no CUDA device here; `--device cpu` runs a toy")
    timer = make_timer(device)
    context = Context(device, timer.cold_bytes)
    log = Log(arguments.log or os.path.join(
        arguments.out, f"points-{arguments.device_name}.jsonl"))
    limits = make_limits(arguments)
    plans = []
    for name in arguments.model:
        model = find_model(name)
        for tp in whole_numbers("--tp", arguments.tp):
            if model.refusal(tp):
                say(f"{model.name}: tp {tp} left out: {model.refusal(tp)}")
                continue
            plans.append(Plan(model, tp, context, timer, log, limits,
                              processors(device)))
    if not plans:
        raise SpecError(f"--tp: {arguments.tp}: no model here allows any of these degrees")
    return plans


def measure(plans, progress, good_enough):
    """True when everything is as good as asked, False when the time ran out."""
    from vidur_profiler.refine import measure_base, refine_all

    families = [family for plan in plans for family in plan.families]
    progress.families = families
    try:
        for plan in plans:
            progress.label = f"base grid of {plan.model.name} tp {plan.shard.tp}"
            measure_base(plan.families, progress.proceed)
        progress.label = "refining"
        refine_all(families, progress.proceed, good_enough)
    except OutOfTime:
        return False
    return True


def row_counts(mlp, attention):
    from vidur_profiler.fill import INTERPOLATED

    added = sum(any(r["kernel"] == INTERPOLATED for r in row[-1].values())
                for row in attention)
    return {"mlp": len(mlp), "attention_measured": len(attention) - added,
            "attention_interpolated": added}


def interpolation_errors(plans):
    """Median and 90th percentile over the points that a base cell was cut at."""
    found = {}
    tables = zip(*(plan.held_out_errors() for plan in plans))
    for name, tables_of_plans in zip(("attn_prefill", "attn_decode"), tables):
        errors = sorted(error for table in tables_of_plans for error in table)
        if errors:
            found[name + "_median"] = round(errors[len(errors) // 2], 4)
            found[name + "_p90"] = round(errors[len(errors) * 9 // 10], 4)
    return found


def write(plans, arguments):
    """The folder of every model, from all that the log holds."""
    from vidur_profiler import sanity, store

    facts = dict(sorted(plans[0].log.facts_under("run ").items()))
    for model in {plan.model.name: plan.model for plan in plans}.values():
        mine = [plan for plan in plans if plan.model is model]
        folder = os.path.join(arguments.out, "compute", arguments.device_name, model.name)
        mlp = [row for plan in mine for row in plan.mlp_rows()]
        attention = [row for plan in mine
                     for row in plan.attention_rows(arguments.filled_rows)]
        store.write_mlp(os.path.join(folder, "mlp.csv"), model, mlp)
        store.write_attention(os.path.join(folder, "attention.csv"), model,
                              mine[0].limits.max_kv + mine[0].limits.max_chunk, attention)
        facts["rows"] = row_counts(mlp, attention)
        facts["sanity"] = sanity.check(mine, arguments.device_name)
        facts["interpolation_error_of_held_out_points"] = interpolation_errors(mine)
        facts["largest_error_against_float64"] = {
            name: f"{error:.2e}"
            for name, error in sorted(plans[0].log.facts_under("error of ").items())}
        facts["kernels_left_out"] = plans[0].log.facts_under("left out ")
        store.write_yaml(os.path.join(folder, "profile.yaml"), facts, [
            f"How compute/{arguments.device_name}/{model.name} was measured.",
            "Times in ms. Timed as replays of CUDA graphs; weights, embedding rows and KV",
            "cache rotated past the L2 cache, activations left warm as between two kernels.",
            "Every kernel was checked against float64 first; attention is the fastest of",
            "those that passed, named in attention_backend. Rows that name `interpolated`",
            "there lie linearly between measured ones and have no spread."])


def measure_and_note(plans, progress, arguments):
    """Measures until all is fine or time is up; facts of the run go to the log."""
    from vidur_profiler.device import provenance

    log = plans[0].log
    facts = provenance(arguments.device)
    facts["data_type"] = "bfloat16" if arguments.device == "cuda" else "float32"
    try:
        return measure(plans, progress, arguments.good_enough)
    finally:
        facts.update(progress.monitor.summary())
        for name, value in facts.items():
            log.note("run " + name, value)
        log.note("run seconds", round(log.facts.get("run seconds", 0) + progress.elapsed_s()))


def run(arguments):
    from vidur_profiler.device import Monitor

    progress = Progress(arguments.budget_minutes * 60.0, Monitor(arguments.device),
                        arguments.quiet)
    plans = make_plans(arguments, progress.say)
    complete = True
    try:
        if not arguments.write_only:
            complete = measure_and_note(plans, progress, arguments)
    finally:
        write(plans, arguments)
    if arguments.network:
        from vidur_profiler import network

        progress.say(network.measure(arguments.network, arguments.out, arguments.device))
    rows = sum(len(family.times) for family in progress.families)
    ending = "as fine as asked" if complete else "out of time: run again to go on"
    progress.say(f"{rows} rows in {progress.elapsed_s():.0f} s, {ending}")
    return 0


def main(argv=None):
    arguments = parse_arguments(argv)
    try:
        import torch  # noqa: F401
    except ImportError:
        print("profile.py: PyTorch is not installed; see https://pytorch.org",
              file=sys.stderr)
        return 1
    from vidur_profiler.spec import SpecError

    try:
        return run(arguments)
    except SpecError as error:
        print(f"profile.py: {error}", file=sys.stderr)
        return 1
    except RuntimeError as error:
        print(f"profile.py: could not be completed: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
