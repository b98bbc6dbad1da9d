#!/usr/bin/env python3
"""Turns a checkout of ai-dynamo/aiconfigurator into a kernels folder for vidur-search.

    data/import_aiconfigurator.py CHECKOUT --system h100_sxm --version 0.24.0 -o DIR
    data/import_aiconfigurator.py CHECKOUT --list

DIR then serves as `estimator: {source: kernels, kernels: DIR}` and for `vidur-estimate fit
--kernels DIR`: a .csv.gz for each of the tables below, system.yaml, and provenance.yaml, which
says where each file came from. Times are milliseconds, heads and expert widths per GPU.

  gemm                  formats; m tokens, n, k; several kernels of one shape
  context_attention     prompts; formats of queries and cache, heads, window (0: none)
  generation_attention  decodes; the same
  custom_allreduce      messages of 2-byte elements, with and without CUDA graphs
  moe                   experts; formats, widths, cuts, balanced and uneven routing (*)
  mla_context, mla_generation  a whole module of latent attention (*)
  nccl                  collectives of the NCCL version that system.yaml names (*)

(*) written where the checkout has them. Rows are sorted by their keys; of equal keys the first in
the source stays.

Needs pandas, and pyarrow to read parquet (`pip install pandas pyarrow`). Tables that were
exported as .csv beside where the .parquet would be are read too.
"""
import argparse
import datetime
import gzip
import io
import os
import re
import shutil
import sys

SYSTEMS = ("aic-core/src/aiconfigurator_core/systems", "src/aiconfigurator/systems",
           "systems", "")
ATTENTION = {"attn_dtype": "attn_dtype", "kv_cache_dtype": "kv_cache_dtype",
             "head_dim": "head_dim", "num_heads": "num_heads",
             "num_kv_heads": "num_key_value_heads", "window": "window_size",
             "batch_size": "batch_size"}
LATENT = {"model": "model", "kv_cache_dtype": "kv_cache_dtype", "gemm_dtype": "gemm_type",
          "num_heads": "num_heads", "batch_size": "batch_size"}

# table: family folder, source file, columns out (the keys) of columns in, rows to keep, key
# columns in the order of sorting where that is not the columns'.
TABLES = {
    "gemm": dict(
        family="gemm", columns={"dtype": "gemm_dtype", "m": "m", "n": "n", "k": "k"},
        order=("dtype", "n", "k", "m")),
    "context_attention": dict(family="attention", columns={**ATTENTION, "seq_len": "isl"}),
    "generation_attention": dict(family="attention", columns={**ATTENTION, "kv_len": "step"}),
    "custom_allreduce": dict(
        family="comm", where={"allreduce_dtype": ("bfloat16", "half", "float16")},
        columns={"dtype": "allreduce_dtype", "num_gpus": "num_gpus", "mode": "mode",
                 "message_elements": "message_size", "message_bytes": "message_bytes"},
        kernels=False),
    "moe": dict(
        family="moe", where={"distribution": ("balanced", "power_law_1.01")}, optional=True,
        columns={"dtype": "moe_dtype", "hidden": "hidden_size", "inter": "inter_size",
                 "topk": "topk", "experts": "num_experts", "moe_tp": "moe_tp_size",
                 "moe_ep": "moe_ep_size", "distribution": "distribution",
                 "tokens": "num_tokens"}),
    "mla_context": dict(
        family="mla", source="mla_context_module", optional=True,
        where={"mla_dtype": ("bfloat16",)},  # of queries, engines' default
        columns={**LATENT, "seq_len": "isl"}),
    "mla_generation": dict(
        family="mla", source="mla_generation_module", optional=True,
        where={"mla_dtype": ("bfloat16",)}, columns={**LATENT, "kv_len": "step"}),
    "nccl": dict(
        family="comm", optional=True, kernels=False,
        columns={"op_name": "op_name", "nccl_dtype": "nccl_dtype", "num_gpus": "num_gpus",
                 "message_size": "message_size"}),
}


def fail(text):
    sys.exit(f"import_aiconfigurator.py: {text}")


def load_pandas():
    try:
        import pandas
        return pandas
    except ImportError:
        fail("pandas is missing; install python3-pandas or `pip install pandas pyarrow`")


def find_systems(checkout):
    for folder in SYSTEMS:
        path = os.path.join(checkout, folder)
        if os.path.isdir(os.path.join(path, "data")):
            return path
    fail(f"{checkout}: no systems/data folder; is it a checkout of ai-dynamo/aiconfigurator?")


def subfolders(path):
    return sorted(d for d in os.listdir(path) if os.path.isdir(os.path.join(path, d)))


def list_systems(systems, backend):
    for system in subfolders(os.path.join(systems, "data")):
        folder = os.path.join(systems, "data", system, "gemm", backend)
        versions = subfolders(folder) if os.path.isdir(folder) else []
        print(f"{system}: {backend} {', '.join(versions) if versions else 'none'}")


def nccl_version(spec):
    """The version that a system's file names; None: none."""
    with open(spec) as f:
        found = re.search(r"^\s*nccl_version:\s*['\"]?([^'\"\s#]+)", f.read(), re.MULTILINE)
    return found and found.group(1)


def folder_of(name, systems, args):
    rule = TABLES[name]
    backend, version = args.backend, args.version
    if name == "custom_allreduce" and args.allreduce_version:
        version = args.allreduce_version
    if name == "nccl":
        backend = "nccl"
        version = args.nccl_version or nccl_version(
            os.path.join(systems, f"{args.system}.yaml")) or "none"
    return os.path.join(systems, "data", args.system, rule["family"], backend, version)


def read_table(pandas, folder, name, optional):
    """The table and the file it came from; None twice: it is optional and not there."""
    for ending in (".parquet", ".csv", ".txt"):
        path = os.path.join(folder, f"{name}_perf{ending}")
        if not os.path.exists(path):
            continue
        if ending != ".parquet":
            return pandas.read_csv(path), path
        try:
            return pandas.read_parquet(path), path
        except ImportError:
            fail(f"{path}: reading parquet needs pyarrow (`pip install pyarrow`)")
    if optional:
        return None, None
    known = subfolders(os.path.dirname(folder)) if os.path.isdir(os.path.dirname(folder)) else []
    fail(f"{folder}: no {name}_perf.parquet or .csv; versions there: {', '.join(known) or 'none'}")


def convert(name, table, path):
    """Keeps, renames and sorts rows and columns; pure, so that tests can call it."""
    rule = TABLES[name]
    table = table.copy()
    if name == "custom_allreduce" and "kernel_source" in table.columns:
        mode = table["kernel_source"].astype(str)
        table["mode"] = mode.str.contains("eager").map({True: "eager", False: "graph"})
        table["message_bytes"] = table["message_size"] * 2
    if "window" in rule["columns"] and "window_size" not in table.columns:
        table["window_size"] = 0  # older versions timed attention to all tokens alone
    with_kernels = rule.get("kernels", True) and "kernel_source" in table.columns
    where = rule.get("where", {})
    missing = [c for c in [*rule["columns"].values(), "latency", *where]
               if c not in table.columns]
    if missing:
        fail(f"{path}: column {missing[0]} is missing; there are {', '.join(table.columns)}")
    for column, values in where.items():
        table = table[table[column].isin(values)]
    out = table[list(rule["columns"].values())].copy()
    out.columns = list(rule["columns"])
    if with_kernels:
        out["kernel_source"] = table["kernel_source"]
    out["latency_ms"] = table["latency"].astype(float)
    if name == "custom_allreduce":
        out["dtype"] = "bfloat16"  # 2-byte elements: the transfer does not look inside
    bad = out[~(out["latency_ms"] > 0)]
    if len(bad):
        fail(f"{path}: {len(bad)} rows have no positive latency; first: {dict(bad.iloc[0])}")
    if not len(out):
        fail(f"{path}: no rows left after keeping {where}")
    kernels = ["kernel_source"] if with_kernels else []
    out = out.drop_duplicates([*rule["columns"], *kernels], keep="first")
    return out.sort_values([*rule.get("order", rule["columns"]), *kernels], kind="stable")


def write_gz(frame, path):
    text = io.StringIO()
    frame.to_csv(text, index=False, float_format="%.6g")
    with open(path + ".tmp", "wb") as raw:
        # no name and no time in the header: equal input gives equal bytes
        with gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0) as packed:
            packed.write(text.getvalue().encode())
    os.replace(path + ".tmp", path)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", help="folder of the checkout")
    parser.add_argument("--system", help="e.g. h100_sxm; --list shows what is there")
    parser.add_argument("--backend", default="vllm", help="default: vllm")
    parser.add_argument("--version", help="of the backend, e.g. 0.24.0")
    parser.add_argument("--allreduce-version", help="where the all-reduce table is of another version")
    parser.add_argument("--nccl-version", help="default: the one that system.yaml names")
    parser.add_argument("-o", "--output", help="folder to write")
    parser.add_argument("--list", action="store_true", help="list systems and versions")
    args = parser.parse_args()
    systems = find_systems(args.checkout)
    if args.list:
        return list_systems(systems, args.backend)
    if not (args.system and args.version and args.output):
        parser.error("--system, --version and --output are needed (or --list)")
    spec = os.path.join(systems, f"{args.system}.yaml")
    if not os.path.exists(spec):
        fail(f"{spec}: not there; --list shows the systems")
    pandas = load_pandas()
    frames, sources = {}, {}
    for name, rule in TABLES.items():
        table, path = read_table(pandas, folder_of(name, systems, args),
                                 rule.get("source", name), rule.get("optional", False))
        if path is None:
            continue
        frames[name] = convert(name, table, path)
        sources[name] = os.path.relpath(path, args.checkout)
    os.makedirs(args.output, exist_ok=True)
    for name, frame in frames.items():
        write_gz(frame, os.path.join(args.output, name + ".csv.gz"))
        print(f"{name}: {len(frame)} rows from {sources[name]}")
    shutil.copyfile(spec, os.path.join(args.output, "system.yaml"))
    for name in sorted(set(TABLES) - set(frames)):
        print(f"{name}: none")
    with open(os.path.join(args.output, "provenance.yaml"), "w") as f:
        f.write("source: ai-dynamo/aiconfigurator (Apache-2.0), converted and filtered\n")
        f.write(f"system: {args.system}\nbackend: {args.backend} {args.version}\n")
        f.write(f"imported: {datetime.date.today().isoformat()}\nfiles:\n")
        for name, path in sources.items():
            f.write(f"  {name}: {path}\n")


if __name__ == "__main__":
    main()
