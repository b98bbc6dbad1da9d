"""What the tests of vidur-search share: a small configuration, running, comparing."""

import collections
import os
import signal
import struct
import subprocess
import tempfile
import time
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

# Experts, in several precisions.
MOE = """\
models: [{name: moe, identifier: gpt-oss-20b}]
clusters: [{device: h100, network_device: h100_dgx, num_gpus: 2}]
schedulers: [{scheduler: vllm_v1}]
traces: [{name: u, lengths: {type: uniform, min_tokens: 64, prefill_to_decode_ratio: 4},
          max_seq_len: 512, num_requests: 2000}]
batch_sizes: [64]
tp_dimensions: [1, 2]
pp_dimensions: [1]
expert_parallel: [false, true]
precision: [default, fp8, nvfp4]
kv_cache_dtype: [auto, fp8]
slos: [{metric: ttft, quantile: 0.9, limit_s: 1.0}]
estimator: {source: roofline}
"""

# Classes of traffic with objectives of their own and a joint one, served by priority.
MIXED = """\
models: [{name: llama, identifier: llama-2-7b-hf}]
clusters: [{device: a100, network_device: a100_dgx, num_gpus: 2}]
schedulers: [{scheduler: vllm_v1, num_blocks: 300, scheduling_policy: [fcfs, priority]},
             {scheduler: sarathi, chunk_size: 256}]
traces:
  - {name: u, lengths: {type: uniform, min_tokens: 64, prefill_to_decode_ratio: 4},
     max_seq_len: 512, num_requests: 2000}
  - name: mixed
    num_requests: 2000
    mix:
      - {trace: u, share: 2, priority: 1}
      - name: short
        share: 1
        lengths: {type: fixed, prefill_tokens: 40, decode_tokens: 20}
        slos: [{all: {ttft: 0.5, e2e_normalized: 0.1}, quantile: 0.95},
               {metric: ttft, quantile: 0.999, limit_s: 60}]
batch_sizes: [8, 64]
tp_dimensions: [1, 2]
pp_dimensions: [1]
slos: [{all: {ttft: 1.0, tpot: 0.05}, quantile: 0.9}]
estimator: {source: roofline, cache_dir: cache, num_estimators: 20, max_depth: 12,
            min_samples_split: 2, max_tokens_per_request: 512,
            max_prefill_chunk_size: 512, max_batch_size: 64}
"""

# So much to do that no test waits for its end: 1,024 candidates of 400,000 requests.
ENDLESS = SMALL.replace("num_requests: 2000", "num_requests: 400000").replace(
    "batch_sizes: [4, 16, 64]", f"batch_sizes: {list(range(1, 65))}") + \
    "search: {warm_start: none}\n"

# Columns that may differ between runs of one search.
NOT_COMPARED = ("wall_s", "mpi_rank")


# A test that waits for something gives it this long: no less than the slowest machine
# takes, and only a failing test waits for it.
PATIENCE_S = 600

# Records of the journal, by their types (search/study/study_record.c).
RECORDS = {2: "end", 3: "table", 4: "lease", 5: "bound", 6: "probe", 7: "finish", 8: "lost"}


def read_journal(path):
    """How many whole records of each type a journal holds now; none if it is not there."""
    found = collections.Counter()
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return found
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from("=II", data, at)
        at += 8 + size + 4
        if at <= len(data):
            found[RECORDS.get(kind, "other")] += 1
    return found


def steps_in(path):
    """How many steps of candidates' paths a journal holds, their ends among them."""
    found = read_journal(path)
    return found["bound"] + found["probe"] + found["finish"]


def wait_until(condition, process=None):
    """Whether it came true before the process, if there is one, ended."""
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        over = process is not None and process.poll() is not None
        if condition():
            return True
        if over:
            return False
        time.sleep(0.002)
    raise AssertionError(f"not in {PATIENCE_S} s")


def descendants_of(pid):
    """Living processes started by it and by those, now."""
    parents = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat") as f:
                fields = f.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if fields[0] not in "ZX":
            parents[int(entry)] = int(fields[1])
    found = []
    for child in sorted(parents):
        parent = child
        while parent in parents and parent != pid:
            parent = parents[parent]
        if parent == pid and child != pid:
            found.append(child)
    return found


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def kill_job(process):
    """SIGKILL to a process, started in a session of its own, and to all below it; back
    when they are gone."""
    below = descendants_of(process.pid)
    os.killpg(process.pid, signal.SIGKILL)
    for pid in below:  # mpirun gives each rank a process group
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    process.wait()
    wait_until(lambda: not any(map(is_alive, below)))


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

    def start(self, *args, output="r.h5", before=(), **kwargs):
        """A search that runs beside the test."""
        return subprocess.Popen([*before, self.program, "a.yaml", "-q", "-o", output, *args],
                                cwd=self.folder, stderr=subprocess.DEVNULL, **kwargs)

    def start_over(self):
        for name in ("r.h5", "r.h5.journal"):
            if os.path.exists(self.path(name)):
                os.unlink(self.path(name))

    def begin_and_stop(self, number, *args, steps=1, **kwargs):
        """A search that got a signal once its journal held so many steps: its status. One
        that was over before is begun again."""
        journal = self.path("r.h5.journal")
        for _ in range(50):
            process = self.start(*args, **kwargs)
            wait_until(lambda: os.path.exists(journal) and steps_in(journal) >= steps,
                       process)
            process.send_signal(number)
            status = process.wait()
            if os.path.exists(journal) and not os.path.exists(self.path("r.h5")):
                return status
            self.start_over()
        self.fail("every search was over before it could be stopped")

    def files(self):
        return sorted(name for name in os.listdir(self.folder)
                      if name not in ("a.yaml", "cache"))

    def need_h5py(self):
        if not h5py:
            self.skipTest("h5py is not here")
