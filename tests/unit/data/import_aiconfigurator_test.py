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
EXPERTS = dict(kernel_source="triton", moe_dtype="w4a16_mxfp4", hidden_size=2880,
               inter_size=1440, topk=4, num_experts=128, moe_tp_size=2, moe_ep_size=1,
               distribution="power_law_1.01")
LATENT = dict(kernel_source="MLA", model="deepseek", architecture="D", mla_dtype="bfloat16",
              kv_cache_dtype="fp8", gemm_type="fp8_block", num_heads=16, tp_size=1)
COLLECTIVE = dict(kernel_source="NCCL", nccl_dtype="half", num_gpus=2)
# (family, backend and version, file): rows, in no order. What stays of them is EXPECTED.
VLLM = "vllm/1.0"
TABLES = {
    ("gemm", VLLM, "gemm"): [
        dict(kernel_source="y", gemm_dtype="nvfp4", m=1, n=2, k=3, latency=0.1),
        dict(kernel_source="x", gemm_dtype="bfloat16", m=2, n=2, k=3, latency=0.123456789),
        dict(kernel_source="x", gemm_dtype="bfloat16", m=1, n=10, k=3, latency=1.0),
        dict(kernel_source="y", gemm_dtype="bfloat16", m=1, n=2, k=3, latency=0.00001234567),
        dict(kernel_source="x", gemm_dtype="bfloat16", m=1, n=2, k=3, latency=0.5),
        dict(kernel_source="x", gemm_dtype="bfloat16", m=1, n=2, k=3, latency=9.0)],
    ("attention", VLLM, "context_attention"): [
        dict(ATTENTION, batch_size=1, isl=16, step=0, latency=0.25, window_size=128),
        dict(ATTENTION, batch_size=1, isl=16, step=0, latency=0.25)],
    ("attention", VLLM, "generation_attention"): [
        dict(ATTENTION, batch_size=4, isl=1, step=63, latency=0.125)],
    ("comm", VLLM, "custom_allreduce"): [
        dict(kernel_source="vLLM_custom_graph", allreduce_dtype="bfloat16", num_gpus=2,
             message_size=128, latency=0.01),
        dict(kernel_source="vLLM_custom_eager", allreduce_dtype="bfloat16", num_gpus=2,
             message_size=128, latency=0.02)],
    ("moe", VLLM, "moe"): [
        dict(EXPERTS, num_tokens=16, latency=1234567.0),
        dict(EXPERTS, num_tokens=2, latency=2.0),
        dict(EXPERTS, num_tokens=2, latency=3.0, distribution="power_law_1.2"),
        dict(EXPERTS, num_tokens=2, latency=4.0, distribution="balanced")],
    ("mla", VLLM, "mla_context_module"): [
        dict(LATENT, batch_size=1, isl=256, step=0, latency=0.5),
        dict(LATENT, batch_size=1, isl=256, step=0, latency=0.25, mla_dtype="fp8")],
    ("mla", VLLM, "mla_generation_module"): [
        dict(LATENT, batch_size=8, isl=1, step=1024, latency=0.75)],
    ("comm", "nccl/2.3", "nccl"): [
        dict(COLLECTIVE, op_name="all_reduce", message_size=512, latency=0.0050999999999),
        dict(COLLECTIVE, op_name="all_gather", message_size=512, latency=0.004),
        dict(COLLECTIVE, op_name="all_gather", message_size=512, latency=0.008)],
}
OPTIONAL = ("moe", "mla_context_module", "mla_generation_module", "nccl")
SYSTEM = ("gpu:\n  mem_bw: 1000000000000\n  bfloat16_tc_flops: 1000000000000000\n"
          "misc:\n  nccl_version: '2.3'  # of the timings\n")
# Names, order and format of the columns are the readers' (estimator/tables/kernels.c); equal
# to the comparison data's, where that is there.
EXPECTED = {
    "gemm": """dtype,m,n,k,kernel_source,latency_ms
bfloat16,1,2,3,x,0.5
bfloat16,1,2,3,y,1.23457e-05
bfloat16,2,2,3,x,0.123457
bfloat16,1,10,3,x,1
nvfp4,1,2,3,y,0.1
""",
    "context_attention": """\
attn_dtype,kv_cache_dtype,head_dim,num_heads,num_kv_heads,window,batch_size,seq_len,\
kernel_source,latency_ms
bfloat16,bfloat16,128,8,1,0,1,16,fa,0.25
bfloat16,bfloat16,128,8,1,128,1,16,fa,0.25
""",
    "generation_attention": """\
attn_dtype,kv_cache_dtype,head_dim,num_heads,num_kv_heads,window,batch_size,kv_len,\
kernel_source,latency_ms
bfloat16,bfloat16,128,8,1,0,4,63,fa,0.125
""",
    "custom_allreduce": """dtype,num_gpus,mode,message_elements,message_bytes,latency_ms
bfloat16,2,eager,128,256,0.02
bfloat16,2,graph,128,256,0.01
""",
    "moe": """\
dtype,hidden,inter,topk,experts,moe_tp,moe_ep,distribution,tokens,kernel_source,latency_ms
w4a16_mxfp4,2880,1440,4,128,2,1,balanced,2,triton,4
w4a16_mxfp4,2880,1440,4,128,2,1,power_law_1.01,2,triton,2
w4a16_mxfp4,2880,1440,4,128,2,1,power_law_1.01,16,triton,1.23457e+06
""",
    "mla_context": """\
model,kv_cache_dtype,gemm_dtype,num_heads,batch_size,seq_len,kernel_source,latency_ms
deepseek,fp8,fp8_block,16,1,256,MLA,0.5
""",
    "mla_generation": """\
model,kv_cache_dtype,gemm_dtype,num_heads,batch_size,kv_len,kernel_source,latency_ms
deepseek,fp8,fp8_block,16,8,1024,MLA,0.75
""",
    "nccl": """op_name,nccl_dtype,num_gpus,message_size,latency_ms
all_gather,half,2,512,0.004
all_reduce,half,2,512,0.0051
""",
}
SHARED = os.path.join(os.path.dirname(__file__), "../../../../shared/profiles/kernels")


class Import(unittest.TestCase):
    def setUp(self):
        self.tmp = tempfile.TemporaryDirectory()
        self.addCleanup(self.tmp.cleanup)
        self.systems = os.path.join(self.tmp.name, "checkout/systems")
        self.out = os.path.join(self.tmp.name, "out")

    def make(self, parquet=False, drop=(), without=()):
        """`drop`: files that are not there; `without`: columns that no file has."""
        for (family, version, name), rows in TABLES.items():
            folder = os.path.join(self.systems, "data/toy", family, version)
            os.makedirs(folder, exist_ok=True)
            if name in drop:
                continue
            frame = pandas.DataFrame(rows)
            frame = frame.drop(columns=[c for c in without if c in frame.columns])
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
        with gzip.open(os.path.join(self.out, name + ".csv.gz"), "rt", newline="") as f:
            return f.read()

    def check_output(self):
        for name, text in EXPECTED.items():
            with self.subTest(table=name):
                self.assertEqual(self.read(name), text)
        with open(os.path.join(self.out, "system.yaml")) as f:
            self.assertEqual(f.read(), SYSTEM)
        with open(os.path.join(self.out, "provenance.yaml")) as f:
            text = f.read()
        self.assertIn("gemm/vllm/1.0/gemm_perf", text)
        self.assertIn("comm/nccl/2.3/nccl_perf", text)

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
        self.make(drop=("gemm",))
        done = self.convert()
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("no gemm_perf", done.stderr)
        self.assertFalse(os.path.exists(self.out))

    def test_tables_that_only_some_models_need(self):
        self.make(drop=OPTIONAL)
        done = self.convert()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("moe: none\n", done.stdout)
        self.assertEqual(sorted(os.listdir(self.out)),
                         ["context_attention.csv.gz", "custom_allreduce.csv.gz", "gemm.csv.gz",
                          "generation_attention.csv.gz", "provenance.yaml", "system.yaml"])

    def test_attention_without_windows(self):
        self.make(without=("window_size",))
        self.assertEqual(self.convert().returncode, 0)
        lines = self.read("context_attention").splitlines()  # one key now: the first stays
        self.assertEqual(lines[1:], ["bfloat16,bfloat16,128,8,1,0,1,16,fa,0.25"])

    def test_another_version_of_nccl(self):
        self.make()
        done = self.run_tool("--system", "toy", "--version", "1.0", "--nccl-version", "9",
                             "-o", self.out)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("nccl: none\n", done.stdout)

    @unittest.skipUnless(os.path.isdir(SHARED), "no comparison data")
    def test_the_columns_are_those_of_real_tables(self):
        for system in sorted(os.listdir(SHARED)):
            for folder, _, files in os.walk(os.path.join(SHARED, system)):
                for file in files:
                    if not file.endswith(".csv.gz"):
                        continue
                    with gzip.open(os.path.join(folder, file), "rt") as table:
                        header = table.readline()
                    with self.subTest(system=system, table=file):
                        expected = EXPECTED[file.removesuffix(".csv.gz")]
                        self.assertEqual(header, expected.splitlines(True)[0])

    def test_list_and_a_wrong_folder(self):
        self.make()
        self.assertIn("toy: vllm 1.0", self.run_tool("--list").stdout)
        self.systems = os.path.join(self.tmp.name, "nothing/systems")
        os.makedirs(os.path.dirname(self.systems))
        self.assertIn("no systems/data folder", self.run_tool("--list").stderr)


if __name__ == "__main__":
    unittest.main()
