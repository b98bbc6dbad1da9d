"""What the tests of vidur-search share: a small configuration, running, comparing."""

import os
import subprocess
import tempfile
import unittest

try:
    import h5py
except ImportError:
    h5py = None

SMALL = """\
models: [{name: llama, identifier: llama-2-7b-hf}]
clusters: [{device: a100, network_device: a100_dgx, num_gpus: 4},
           {device: h100, network_device: h100_dgx, num_gpus: 4}]
schedulers: [{scheduler: vllm}, {scheduler: sarathi, chunk_size: 256}]
traces: [{name: u, lengths: {type: uniform, min_tokens: 64, prefill_to_decode_ratio: 4},
          max_seq_len: 512, num_requests: 2000}]
batch_sizes: [4, 16, 64]
tp_dimensions: [1, 2]
pp_dimensions: [1, 2]
slos: [{metric: ttft, quantile: 0.9, limit_s: 1.0},
       {metric: tbt, quantile: 0.99, limit_s: 0.1},
       {metric: scheduling_delay, quantile: 0.99, limit_s: 2.0},
       {metric: tpot, quantile: 0.999, limit_s: 60}]  # never the one that is missed
estimator: {source: roofline, cache_dir: cache, num_estimators: 20, max_depth: 12,
            min_samples_split: 2, max_tokens_per_request: 512,
            max_prefill_chunk_size: 512, max_batch_size: 64}
"""

# Columns that may differ between runs of one search.
NOT_COMPARED = ("wall_s", "mpi_rank")


def mpirun(ranks):
    """The words in front of a program to run it on so many ranks."""
    here = os.path.dirname(os.path.abspath(__file__))
    return [os.path.join(here, "..", "mpi", "mpirun.sh"), str(ranks)]


def read(path):
    with h5py.File(path, "r") as f:
        return {name: f[name][:] for name in ("ranking", "probes")}


def differences(a, b):
    """Where two results differ, as texts."""
    found = []
    for name in ("ranking", "probes"):
        x, y = a[name], b[name]
        if len(x) != len(y):
            found.append(f"/{name}: {len(x)} and {len(y)} rows")
            continue
        for column in x.dtype.names:
            if column not in NOT_COMPARED:
                # bytes tell NaN from NaN apart from nothing else
                rows = sum(u.tobytes() != v.tobytes()
                           for u, v in zip(x[column], y[column])) \
                    if x[column].dtype.kind != "O" else \
                    sum(u != v for u, v in zip(x[column], y[column]))
                if rows:
                    found.append(f"/{name}.{column}: {rows} rows")
    return found


class Search(unittest.TestCase):
    """A folder with a configuration, and the program to run in it."""

    program = None
    config_text = SMALL

    def setUp(self):
        self.holder = tempfile.TemporaryDirectory()
        self.folder = self.holder.name
        self.write(self.config_text)

    def tearDown(self):
        self.holder.cleanup()

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, text, name="a.yaml"):
        with open(self.path(name), "w") as f:
            f.write(text)

    def run_program(self, *args, before=(), **kwargs):
        return subprocess.run([*before, self.program, *args], text=True,
                              capture_output=True, cwd=self.folder, **kwargs)

    def search(self, *args, status=0, **kwargs):
        done = self.run_program("a.yaml", *args, **kwargs)
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def files(self):
        return sorted(name for name in os.listdir(self.folder)
                      if name not in ("a.yaml", "cache"))

    def need_h5py(self):
        if not h5py:
            self.skipTest("h5py is not here")
