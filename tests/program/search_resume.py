"""What a resumed search makes of files that changed: it says which, keeps what it has, and
goes on once they are as they were. Prices may change.

    search_resume.py VIDUR-SEARCH SOURCE-FOLDER
"""

import os
import shutil
import signal
import sys
import unittest

from search_support import SMALL, Search, differences, read, steps_in

PROGRAM, SOURCE = sys.argv[1:3]
Search.program = PROGRAM

MODEL = "models/llama-2-7b-hf.yaml"
DEVICE = "skus/devices/h100.yaml"
NODE = "skus/nodes/h100_dgx.yaml"

TRACED = SMALL.replace("lengths: {type: uniform, min_tokens: 64, "
                       "prefill_to_decode_ratio: 4}", "trace_file: data:traces/t.csv")

KERNELS = {
    "gemm.csv": "dtype,m,n,k,latency_ms\nbfloat16,1,4096,4096,0.01\n"
                "bfloat16,256,4096,4096,0.05\n",
    "context_attention.csv": "attn_dtype,kv_cache_dtype,head_dim,num_heads,num_kv_heads,"
                             "batch_size,seq_len,latency_ms\n"
                             "bfloat16,bfloat16,128,32,32,1,1,0.01\n"
                             "bfloat16,bfloat16,128,32,32,1,512,0.02\n",
    "generation_attention.csv": "attn_dtype,kv_cache_dtype,head_dim,num_heads,"
                                "num_kv_heads,batch_size,kv_len,latency_ms\n"
                                "bfloat16,bfloat16,128,32,32,1,1,0.01\n",
    "custom_allreduce.csv": "dtype,num_gpus,mode,message_bytes,latency_ms\n"
                            "bfloat16,2,graph,256,0.01\n",
    "system.yaml": "gpu: {mem_bw: 3.35e12, bfloat16_tc_flops: 1.0e15}\n"}
ENGINE = (SMALL.replace("schedulers: [{scheduler: vllm}, {scheduler: sarathi, "
                        "chunk_size: 256}]", "schedulers: [{scheduler: vllm_v1}]")
          .replace("clusters: [{device: a100, network_device: a100_dgx, num_gpus: 4},\n"
                   "           {device: h100, network_device: h100_dgx, num_gpus: 4}]",
                   "clusters: [{device: h100, network_device: h100_dgx, num_gpus: 4}]")
          .replace("pp_dimensions: [1, 2]", "pp_dimensions: [1]")
          .replace("source: roofline", "source: kernels, kernels: kernels"))


FLEETS = (SMALL.replace("{scheduler: vllm}, {scheduler: sarathi, chunk_size: 256}",
                        "{scheduler: vllm_v1, max_num_batched_tokens: 1024}")
          .replace("pp_dimensions: [1, 2]", "pp_dimensions: [1]") +
          "mixed: {near: 0, pools: [{rules: [{device: a100}]}, {rules: [{device: h100}]}]}\n"
          "disaggregated: {near: 0.9, mixed_devices: false}\nsearch: {warm_start: none}\n")


class Fleets(Search):
    """Measured weights are in the journal as all else; what one has already is not what
    a search is about, but decides which counts of two pools are tried for a target."""

    config_text = FLEETS

    def check(self, *args):
        self.need_h5py()
        have = ("--set", "have=[{device: h100, num_gpus: 2}]")
        self.search("-q", "-o", "whole.h5", *args, *have)
        for steps in (3, 40, 150):
            self.begin_and_stop(signal.SIGKILL, steps=steps)
            self.search("-q", "-o", "r.h5", "--resume", *args, *have)
            whole = read(self.path("whole.h5"))
            self.assertEqual(differences(whole, read(self.path("r.h5"))), [])
            self.assertTrue((whole["ranking"]["second_replicas"] > 0).any())
            os.remove(self.path("r.h5"))

    def test_mixed_fleets(self):
        self.check()

    def test_for_a_target(self):
        self.write(FLEETS + "target: {qps: 150}\n")
        self.check()


class Resume(Search):
    config_text = TRACED

    def setUp(self):
        super().setUp()
        self.need_h5py()
        self.data = self.path("data")
        shutil.copytree(os.path.join(SOURCE, "data"), self.data,
                        ignore=shutil.ignore_patterns("profiler", "profiles", "*.py"))
        self.write("num_prefill_tokens,num_decode_tokens\n" + "300,60\n100,20\n" * 50,
                   "data/traces/t.csv")
        self.env = {**os.environ, "VIDUR_DATA_DIR": self.data}
        self.journal = self.path("r.h5.journal")

    def run_program(self, *args, **kwargs):
        return super().run_program(*args, env=self.env, **kwargs)

    def begin(self):
        """A search that is killed once it has got somewhere, and is not over."""
        self.begin_and_stop(signal.SIGKILL, steps=4, env=self.env)

    def edit(self, name, old, new):
        """Returns the text before."""
        with open(self.path(name)) as file:
            text = file.read()
        self.assertIn(old, text)
        self.write(text.replace(old, new), name)
        return text

    def refused(self, *words, status=1, args=()):
        before = steps_in(self.journal)
        done = self.search("-o", "r.h5", "--resume", *args, status=status)
        for word in (*words, "changed since this search began", "without --resume"):
            self.assertIn(word, done.stderr)
        self.assertGreaterEqual(steps_in(self.journal), before)
        self.assertFalse(os.path.exists(self.path("r.h5")))

    def test_specs_and_traces(self):
        self.search("-q", "-o", "whole.h5")
        self.begin()
        for name, old, new in (
                (f"data/{DEVICE}", "memory_gib: 80", "memory_gib: 81"),
                (f"data/{NODE}", "devices_per_node: 8", "devices_per_node: 4"),
                (f"data/{MODEL}", "vocab_size: 32000", "vocab_size: 32064"),
                ("data/traces/t.csv", "300,60", "310,60")):
            text = self.edit(name, old, new)
            self.refused(self.path(name))
            self.write(text, name)
        self.write("# A comment says nothing new.\n" +
                   self.edit(f"data/{DEVICE}", "name", "name"), f"data/{DEVICE}")
        done = self.search("-o", "r.h5", "--resume")
        self.assertIn("resumed: ", done.stderr)
        self.assertEqual(differences(read(self.path("whole.h5")),
                                     read(self.path("r.h5"))), [])
        self.assert_done()
        text = self.edit(f"data/{DEVICE}", "memory_gib: 80", "memory_gib: 81")
        done = self.search("-o", "r.h5", "--resume")
        self.assertIn("does not hold the results of this search", done.stderr)

    def test_replays(self):
        """A log is known by what it holds."""
        self.write("arrived_at,prompt_tokens,output_tokens\n" +
                   "".join(f"{i * 0.1 + i % 3},300,{20 + i % 40}\n" for i in range(2000)),
                   "log.csv")
        self.write(TRACED.replace("trace_file: data:traces/t.csv", "replay: {file: log.csv}")
                   .replace(", num_requests: 2000", ""))
        self.search("-q", "-o", "whole.h5")
        self.begin()
        text = self.edit("log.csv", "\n0.0,300,20\n", "\n0.0,301,20\n")
        self.refused("log.csv (traces.0)")
        self.write(text, "log.csv")
        done = self.search("-o", "r.h5", "--resume")
        self.assertIn("resumed: ", done.stderr)
        self.assertEqual(differences(read(self.path("whole.h5")),
                                     read(self.path("r.h5"))), [])

    def assert_done(self):
        done = self.search("-o", "r.h5", "--resume")
        self.assertIn("holds the results of this search already", done.stderr)

    def check_prices(self, usd, *args):
        done = self.search("-o", "r.h5", "--resume", *args)
        self.assertRegex(done.stderr, r"resumed: .* [1-9]\d* probes kept")
        resumed = read(self.path("r.h5"))
        prices = {round(row["usd_per_hour"] / row["num_gpus"], 6)
                  for row in resumed["ranking"]
                  if row["device"] == b"h100" or row["device"] == "h100"}
        self.assertEqual(prices, {usd})
        # Other prices, other best candidates, which are searched with more seeds.
        self.search("-q", "-o", "fresh.h5", *args)
        self.assertEqual(differences(read(self.path("fresh.h5")), resumed), [])

    def test_prices(self):
        """What they do not change is kept, and the results are those of a search that
        began with them."""
        self.begin()
        self.edit(f"data/{DEVICE}", "usd_per_gpu_hour: 4.25", "usd_per_gpu_hour: 1.5")
        self.check_prices(1.5)
        self.assert_done()
        os.unlink(self.path("r.h5"))
        self.begin()
        own = ["--set", "clusters.1.usd_per_gpu_hour=7"]
        self.check_prices(7, *own)
        self.edit(f"data/{DEVICE}", "usd_per_gpu_hour: 1.5", "usd_per_gpu_hour: 2.5")
        done = self.search("-o", "r.h5", "--resume")
        self.assertIn("does not hold the results of this search", done.stderr)

    def test_kernels(self):
        """Whole engine steps have keys as operator tables do."""
        os.mkdir(self.path("kernels"))
        for name, text in KERNELS.items():
            self.write(text, f"kernels/{name}")
        self.write(ENGINE)
        self.search("-q", "-o", "whole.h5")
        self.begin()
        text = self.edit("kernels/gemm.csv", "0.05", "0.06")
        self.refused("h100, TP ", "kernel timings", status=2)
        self.write(text, "kernels/gemm.csv")
        self.search("-q", "-o", "r.h5", "--resume")
        self.assertEqual(differences(read(self.path("whole.h5")),
                                     read(self.path("r.h5"))), [])
        self.assert_done()
        self.edit("kernels/gemm.csv", "0.05", "0.06")
        done = self.search("-o", "r.h5", "--resume")
        self.assertIn("does not hold the results of this search", done.stderr)

    def test_profiles(self):
        folder = "compute/h100/meta-llama/Llama-2-7b-hf"
        shutil.copytree(os.path.join(SOURCE, "data", "profiles", folder),
                        self.path(f"p/{folder}"))
        self.write(self.config_text
                   .replace("{device: a100, network_device: a100_dgx, num_gpus: 4},", "")
                   .replace("source: roofline", "source: profiles, profiles: p")
                   .replace("tp_dimensions: [1, 2]", "tp_dimensions: [1]"))
        self.begin()
        with open(self.path(f"p/{folder}/mlp.csv"), "a") as file:
            file.write("\n")
        self.refused("Llama-2-7b-hf on h100, TP 1", "profiles", status=2)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
