#!/usr/bin/env python3
"""import_aiconfigurator.py on a checkout of one row or two per table, made here."""
import gzip
import os
import subprocess
import sys
import tempfile
import unittest

try:
    import pandas
except ImportError:
    print("skipped: no pandas for this python")
    sys.exit(77)
try:
    import pyarrow  # noqa: F401
    PARQUET = True
except ImportError:
    PARQUET = False

TOOL = os.path.join(os.path.dirname(__file__), "../../../data/import_aiconfigurator.py")
ATTENTION = dict(kernel_source="fa", num_heads=8, num_key_value_heads=1, head_dim=128,
                 beam_width=1, attn_dtype="bfloat16", kv_cache_dtype="bfloat16", window_size=0)
TABLES = {
    ("gemm", "gemm"): [
        dict(kernel_source="x", gemm_dtype="bfloat16", m=1, n=2, k=3, latency=0.5),
        dict(kernel_source="x", gemm_dtype="bfloat16", m=1, n=2, k=3, latency=9.0),
        dict(kernel_source="x", gemm_dtype="nvfp4", m=1, n=2, k=3, latency=0.1)],
    ("attention", "context_attention"): [
        dict(ATTENTION, batch_size=1, isl=16, step=0, latency=0.25),
        dict(ATTENTION, batch_size=1, isl=16, step=0, latency=0.25, window_size=128)],
    ("attention", "generation_attention"): [
        dict(ATTENTION, batch_size=4, isl=1, step=63, latency=0.125)],
    ("comm", "custom_allreduce"): [
        dict(kernel_source="vLLM_custom_graph", allreduce_dtype="bfloat16", num_gpus=2,
             message_size=128, latency=0.01),
        dict(kernel_source="vLLM_custom_eager", allreduce_dtype="bfloat16", num_gpus=2,
             message_size=128, latency=0.02)],
}
SYSTEM = "gpu:\n  mem_bw: 1000000000000\n  bfloat16_tc_flops: 1000000000000000\n"


class Import(unittest.TestCase):
    def setUp(self):
        self.tmp = tempfile.TemporaryDirectory()
        self.addCleanup(self.tmp.cleanup)
        self.systems = os.path.join(self.tmp.name, "checkout/systems")
        self.out = os.path.join(self.tmp.name, "out")

    def make(self, parquet=False, drop=None):
        for (family, name), rows in TABLES.items():
            folder = os.path.join(self.systems, "data/toy", family, "vllm/1.0")
            os.makedirs(folder, exist_ok=True)
            if name == drop:
                continue
            frame = pandas.DataFrame(rows)
            path = os.path.join(folder, name + "_perf")
            if parquet:
                frame.to_parquet(path + ".parquet")
            else:
                frame.to_csv(path + ".csv", index=False)
        with open(os.path.join(self.systems, "toy.yaml"), "w") as f:
            f.write(SYSTEM)

    def run_tool(self, *args):
        checkout = os.path.dirname(self.systems)
        return subprocess.run([sys.executable, TOOL, checkout, *args],
                              capture_output=True, text=True)

    def convert(self):
        return self.run_tool("--system", "toy", "--version", "1.0", "-o", self.out)

    def read(self, name):
        with gzip.open(os.path.join(self.out, name + ".csv.gz"), "rt") as f:
            return pandas.read_csv(f)

    def check_output(self):
        gemm = self.read("gemm")
        self.assertEqual(list(gemm.latency_ms), [0.5])  # one dtype, the first of equal keys
        self.assertEqual(list(gemm[["m", "n", "k"]].iloc[0]), [1, 2, 3])
        self.assertEqual(len(self.read("context_attention")), 1)  # no sliding window
        self.assertEqual(self.read("generation_attention").kv_len[0], 63)
        reduce = self.read("custom_allreduce")
        self.assertEqual(sorted(reduce["mode"]), ["eager", "graph"])
        self.assertEqual(set(reduce.message_bytes), {256})
        with open(os.path.join(self.out, "system.yaml")) as f:
            self.assertEqual(f.read(), SYSTEM)
        with open(os.path.join(self.out, "provenance.yaml")) as f:
            self.assertIn("gemm/vllm/1.0/gemm_perf", f.read())

    def test_csv(self):
        self.make()
        done = self.convert()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.check_output()

    @unittest.skipUnless(PARQUET, "no pyarrow for this python")
    def test_parquet(self):
        self.make(parquet=True)
        done = self.convert()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.check_output()

    def test_equal_input_gives_equal_bytes(self):
        self.make()
        texts = []
        for _ in range(2):
            self.assertEqual(self.convert().returncode, 0)
            with open(os.path.join(self.out, "gemm.csv.gz"), "rb") as f:
                texts.append(f.read())
        self.assertEqual(texts[0], texts[1])

    def test_a_missing_table_is_named(self):
        self.make(drop="gemm")
        done = self.convert()
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("no gemm_perf", done.stderr)
        self.assertFalse(os.path.exists(self.out))

    def test_list_and_a_wrong_folder(self):
        self.make()
        self.assertIn("toy: vllm 1.0", self.run_tool("--list").stdout)
        self.systems = os.path.join(self.tmp.name, "nothing/systems")
        os.makedirs(os.path.dirname(self.systems))
        self.assertIn("no systems/data folder", self.run_tool("--list").stderr)


if __name__ == "__main__":
    unittest.main()
