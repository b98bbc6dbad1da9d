"""Reads results.h5 with h5py and pandas and checks what the contract says of it.

read_results.py FILE [CANDIDATES]
"""
import sys

try:
    import h5py
    import numpy as np
    import pandas as pd
except ImportError as why:
    print(f"skipped: {why}; install python3-h5py and python3-pandas")
    sys.exit(77)

RANKING = """rank candidate_id model trace device network_device scheduler chunk_size
    tensor_parallel_size num_pipeline_stages batch_size num_replicas num_gpus status max_qps
    usd_per_hour qps_per_dollar mfu memory_usage busy preemptions limiting_slo bottleneck
    pareto extrapolated""".split() + [
    f"{m}_{q}_s" for m in ("ttft", "tbt", "tpot", "e2e", "e2e_normalized", "scheduling_delay")
    for q in ("p50", "p90", "p95", "p99")]
PROBES = "candidate_id probe qps feasible violated_slo stopped_early simulated_requests wall_s".split()


def frame(table):
    df = pd.DataFrame(table[()])
    text = df.select_dtypes(object).apply(lambda c: c.str.decode("utf-8"))
    df[text.columns] = text
    return df


def slo_columns(facts):
    """The column of each SLO: ttft_p90_s, tpot_p99_9_s."""
    slos = facts[facts.section == "slo"]
    metric, quantile = (slos[slos.key == k].set_index("name").value for k in ("metric", "quantile"))
    return {name: f"{metric[name]}_p{100 * float(quantile[name]):.10g}_s".replace(".", "_") for name in metric.index}


def check_slos(facts, ranking, ok):
    """Every SLO has one column, which attribute access reaches, and is met by what is ok."""
    columns = slo_columns(facts)
    limits = facts[(facts.section == "slo") & (facts.key == "limit_s")].set_index("name").value
    assert columns and len(set(ranking.columns)) == len(ranking.columns)
    assert not [name for name in ranking.columns if name.startswith("slo_")]
    for name, column in columns.items():
        assert column.isidentifier(), column
        values = getattr(ok, column)
        assert (values <= float(limits[name])).all(), name  # NaN is no number below it


def check_table(table, columns):
    for name in columns:
        assert name in table.dtype.names, name
    units, descriptions = table.attrs["units"], table.attrs["descriptions"]
    assert len(units) == len(descriptions) == len(table.dtype.names)
    for i, name in enumerate(table.dtype.names):
        assert table.attrs[name + "_units"] == units[i], name
        assert name.endswith("_s") <= (units[i] in ("s", "1/s", "GB/s")), (name, units[i])
        kind = table.dtype[name]
        if kind.kind == "S":
            assert h5py.check_string_dtype(kind).encoding == "utf-8", name
            assert units[i] == "", name
        elif kind.kind == "b":
            assert units[i] == "1", name
        else:
            assert kind in (np.dtype("<i8"), np.dtype("<f8")), (name, kind)
            assert isinstance(units[i], str) and units[i], name
    return dict(zip(table.dtype.names, units))


def main(path, candidates):
    with h5py.File(path, "r") as f:
        for name in ("creator", "creator_version", "git_commit", "file_time", "HDF5_Version",
                     "config_text", "config_sha256"):
            assert isinstance(f.attrs[name], str), name
        assert f.attrs["creator"] == "vidur-search"
        pd.Timestamp(f.attrs["file_time"])
        for name in ("seed", "ranks", "threads", "format_version"):
            assert int(f.attrs[name]) >= 0, name
        assert float(f.attrs["elapsed_s"]) >= 0
        assert "Python" in f["README"].asstr()[()]
        assert f["space/configuration"].asstr()[()] == f.attrs["config_text"]
        units = check_table(f["ranking"], RANKING)
        assert units["max_qps"] == "1/s" and units["usd_per_hour"] == "USD/h"
        check_table(f["probes"], PROBES)
        check_table(f["space/facts"], ["section", "name", "key", "value"])
        ranking, probes, rejected, facts = (frame(f[t]) for t in ("ranking", "probes", "space/rejected", "space/facts"))
        wanted = list(slo_columns(facts).values())
        check_table(f["ranking"], wanted)
        check_table(f["probes"], wanted)
    if candidates:
        assert len(ranking) == candidates, len(ranking)
    ok = ranking[ranking.status == "ok"]
    check_slos(facts, ranking, ok)
    assert ok.max_qps.notna().all() and (ok["rank"] > 0).all() and ok.pareto.dtype == bool
    np.testing.assert_allclose(ok.qps_per_dollar, ok.max_qps / ok.usd_per_hour, rtol=1e-12)
    assert ranking[ranking.status != "ok"].max_qps.isna().all()
    for _, group in ok.groupby(["model", "trace"]):
        assert list(group["rank"]) == list(range(1, len(group) + 1))
        assert group.qps_per_dollar.is_monotonic_decreasing
    assert set(probes.candidate_id) <= set(ranking.candidate_id)
    assert (probes.groupby("candidate_id").size().reindex(ranking.candidate_id).fillna(0).values
            == ranking.num_probes.values).all()
    bad = ranking[ranking.status.isin(["invalid", "infeasible_memory"])]
    assert list(rejected.candidate_id) == list(bad.candidate_id)
    assert (rejected.reason != "").all()
    print(f"{path}: {len(ranking)} candidates, {len(probes)} probes read by h5py {h5py.__version__} "
          f"and pandas {pd.__version__}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0)
