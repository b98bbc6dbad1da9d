#!/usr/bin/python3
"""Cross-validated error of our regressors beside scikit-learn's, on real profiles.

For every operator: the whole grid (750 trees x max_depth x min_samples_split), k-fold in
file order, mean absolute percentage error, best grid point; by scikit-learn's
RandomForestRegressor and by ours (the regressor_bench program), on the same rows.

A forest is random: on some operators scikit-learn's own figure moves by 3 % from seed to
seed. Both columns are therefore means over --seeds runs.

    sklearn_compare.py --profiles DIR --bench build/tests/regressor_bench

DIR holds layout-vidur-partial and layout-aic. Needs python3-sklearn and python3-pandas.
scikit-learn's results are kept in --cache FILE, for they take minutes.

scikit-learn grows its forest once per fold, to full depth; a shallower grid point is
read off the same trees, cut where max_depth or min_samples_split would have stopped them
(the split that a node takes does not depend on either). --plain fits every grid point
afresh instead, as GridSearchCV does.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestRegressor
from sklearn.model_selection import KFold

MODEL = "meta-llama/Llama-2-70b-hf"
EMBEDDING_DIM = 8192
TREES = (250, 500, 750)
DEPTHS = (8, 16, 32)
SPLITS = (2, 5, 10)
TOKEN_OPERATORS = (
    "attn_pre_proj", "attn_post_proj", "attn_rope", "mlp_up_proj", "mlp_act",
    "mlp_down_proj", "input_layernorm", "post_attention_layernorm", "add")


def samples(frame, operator, features):
    frame = frame[features + [f"time_stats.{operator}.median"]].dropna()
    return frame[features].to_numpy(float), frame.iloc[:, -1].to_numpy(float)


def token_cases(path, label, tp_sizes):
    frame = pd.read_csv(path).drop_duplicates()
    for tp in tp_sizes:
        rows = frame[frame.num_tensor_parallel_workers == tp]
        for operator in TOKEN_OPERATORS:
            yield f"{label} tp{tp} {operator}", samples(rows, operator, ["num_tokens"])


def network_cases(folder, label):
    frame = pd.read_csv(f"{folder}/all_reduce.csv").drop_duplicates()
    frame["num_tokens"] = frame["size"] / EMBEDDING_DIM / 2
    for tp in (2, 4, 8):
        rows = frame[(frame.num_workers == tp) & (frame.devices_per_node == tp)]
        yield f"{label} tp{tp} all_reduce", samples(rows, "all_reduce", ["num_tokens"])
    frame = pd.read_csv(f"{folder}/send_recv.csv").drop_duplicates()
    frame["num_tokens"] = frame["size"] / EMBEDDING_DIM / 2
    for devices, name in ((2, "send_recv"), (1, "send_recv-multi-node")):
        rows = frame[frame.devices_per_node == devices]
        yield f"{label} {name}", samples(rows, "send_recv", ["num_tokens"])


def attention_cases(path, label, tp_sizes):
    frame = pd.read_csv(path).drop_duplicates()
    frame["prefill_chunk_size_squared"] = frame.prefill_chunk_size ** 2
    frame["num_tokens"] = frame[["prefill_chunk_size", "batch_size"]].max(axis=1)
    for tp in tp_sizes:
        rows = frame[frame.num_tensor_parallel_workers == tp]
        is_prefill = rows.prefill_chunk_size > 0
        yield f"{label} tp{tp} attn_kv_cache_save", samples(
            rows, "attn_kv_cache_save", ["num_tokens"])
        yield f"{label} tp{tp} attn_prefill", samples(
            rows[is_prefill], "attn_prefill",
            ["kv_cache_size", "prefill_chunk_size_squared"])
        yield f"{label} tp{tp} attn_decode", samples(
            rows[~is_prefill], "attn_decode", ["batch_size", "kv_cache_size"])


def cases(root):
    partial = f"{root}/layout-vidur-partial"
    yield from token_cases(f"{partial}/compute/a100/{MODEL}/mlp.csv", "a100", (1, 2, 4, 8))
    yield from network_cases(f"{partial}/network/a100_dgx", "a100_dgx")
    yield from attention_cases(f"{root}/layout-aic/compute/a100/{MODEL}/attention.csv",
                               "aic-a100", (1, 4))
    a30 = f"{root}/layout-vidur-a30/compute/a30/Qwen/Qwen-2-7B"
    yield from token_cases(f"{a30}/mlp.csv", "a30", (1,))
    yield from attention_cases(f"{a30}/attention.csv", "a30", (1,))


def mape(measured, predicted):
    zero = measured == 0
    error = np.where(predicted == 0, 0.0, 100.0)
    error[~zero] = np.abs(measured - predicted)[~zero] / np.abs(measured[~zero]) * 100
    return error.mean()


def cut_values(tree, rows):
    """Values of `rows` for every (max_depth, min_samples_split), from one full tree."""
    t = tree.tree_
    value, count = t.value[:, 0, 0], t.n_node_samples
    node = np.zeros(len(rows), dtype=np.int64)
    result = np.full((len(DEPTHS), len(SPLITS), len(rows)), np.nan)
    rows = rows.astype(np.float32)
    for depth in range(max(DEPTHS) + 1):
        inner = t.children_left[node] != -1
        for i, limit in enumerate(DEPTHS):
            for j, split in enumerate(SPLITS):
                stops = ~inner | (depth >= limit) | (count[node] < split)
                new = stops & np.isnan(result[i, j])
                result[i, j, new] = value[node[new]]
        if not inner.any():
            break
        feature = np.where(inner, t.feature[node], 0)
        left = rows[np.arange(len(rows)), feature] <= t.threshold[node]
        child = np.where(left, t.children_left[node], t.children_right[node])
        node = np.where(inner, child, node)
    return result


def fold_scores_cut(x, y, train, test, seed):
    forest = RandomForestRegressor(max(TREES), n_jobs=1, random_state=seed,
                                   max_depth=max(DEPTHS))
    forest.fit(x[train], y[train])
    total = np.zeros((len(DEPTHS), len(SPLITS), len(test)))
    scores = np.zeros((len(DEPTHS), len(SPLITS), len(TREES)))
    for number, tree in enumerate(forest.estimators_, 1):
        total += cut_values(tree, x[test])
        if number in TREES:
            for i in range(len(DEPTHS)):
                for j in range(len(SPLITS)):
                    scores[i, j, TREES.index(number)] = mape(y[test], total[i, j] / number)
    return scores


def fold_scores_plain(x, y, train, test, seed):
    scores = np.zeros((len(DEPTHS), len(SPLITS), len(TREES)))
    for i, depth in enumerate(DEPTHS):
        for j, split in enumerate(SPLITS):
            for n, trees in enumerate(TREES):
                forest = RandomForestRegressor(trees, n_jobs=1, max_depth=depth,
                                               min_samples_split=split,
                                               random_state=seed * 27 + i * 9 + j * 3 + n)
                forest.fit(x[train], y[train])
                scores[i, j, n] = mape(y[test], forest.predict(x[test]))
    return scores


def run_sklearn(x, y, fold_scores, seed):
    started, cpu = time.perf_counter(), time.process_time()
    folds = KFold(10 if len(y) >= 10 else 2)
    scores = np.mean([fold_scores(x, y, train, test, seed * 1000 + fold)
                      for fold, (train, test) in enumerate(folds.split(x))], axis=0)
    i, j, n = np.unravel_index(np.argmin(scores), scores.shape)
    forest = RandomForestRegressor(TREES[n], max_depth=DEPTHS[i], n_jobs=1,
                                   min_samples_split=SPLITS[j], random_state=seed * 1000 + 999)
    in_sample = mape(y, forest.fit(x, y).predict(x))
    return {"cv_mape": scores[i, j, n], "in_sample_mape": in_sample,
            "best": [TREES[n], DEPTHS[i], SPLITS[j]],
            "seconds": time.perf_counter() - started,
            "cpu_seconds": time.process_time() - cpu}


def run_ours(bench, x, y, seed):
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        names = [f"feature{i}" for i in range(x.shape[1])] + ["target_ms"]
        pd.DataFrame(np.column_stack([x, y]), columns=names).to_csv(
            file.name, index=False, float_format="%.17g")
        out = subprocess.run([bench, "--seed", str(seed), file.name], check=True,
                             capture_output=True, text=True)
    return json.loads(out.stdout)


def load_cache(path):
    if path and os.path.exists(path):
        with open(path) as file:
            return json.load(file)
    return {}


def save_cache(path, cache):
    if path:
        with open(path + ".new", "w") as file:
            json.dump(cache, file, indent=1)
        os.replace(path + ".new", path)


def within(ours, theirs):
    """The criterion: 2 % relative, or 0.05 points where both are below 1 %."""
    if ours <= theirs * 1.02:
        return True
    return max(ours, theirs) < 1 and ours <= theirs + 0.05


def mean(results, key):
    return np.mean([result[key] for result in results])


def report(name, rows, ours, theirs):
    """One line: means over the seeds. Returns the ratio of the errors."""
    our, their = mean(ours, "cv_mape"), mean(theirs, "cv_mape")
    print(f"{name:42} {rows:5} {our:9.4f} {their:9.4f} {our / their:7.4f}"
          f" {mean(ours, 'cpu_seconds'):10.3f} {mean(theirs, 'cpu_seconds'):13.1f}"
          f"{'' if within(our, their) else '  OUTSIDE'}", flush=True)
    return our / their


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--profiles", required=True)
    parser.add_argument("--bench", help="our program; without it only scikit-learn runs")
    parser.add_argument("--cache", help="JSON file for scikit-learn's results")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--seeds", type=int, default=3, help="runs that are averaged")
    parser.add_argument("--plain", action="store_true", help="refit every grid point")
    options = parser.parse_args()
    cache = load_cache(options.cache)
    failed, ratios = 0, []
    print(f"{'operator':42} {'rows':>5} {'ours %':>9} {'sklearn %':>9} {'ratio':>7}"
          f" {'ours cpu s':>10} {'sklearn cpu s':>13}")
    for name, (x, y) in cases(options.profiles):
        if options.only not in name:
            continue
        theirs, ours = [], []
        for seed in range(options.seeds):
            key = f"{name} {seed}" + (" plain" if options.plain else "")
            if key not in cache:
                scores = fold_scores_plain if options.plain else fold_scores_cut
                cache[key] = run_sklearn(x, y, scores, seed)
                save_cache(options.cache, cache)
            theirs.append(cache[key])
            ours.append(run_ours(options.bench, x, y, seed) if options.bench
                        else cache[key])
        ratios.append(report(name, len(y), ours, theirs))
        failed += not within(mean(ours, "cv_mape"), mean(theirs, "cv_mape"))
    if ratios:
        print(f"{len(ratios)} operators, ours / sklearn from {min(ratios):.4f} to"
              f" {max(ratios):.4f}; {failed} outside the criterion")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
