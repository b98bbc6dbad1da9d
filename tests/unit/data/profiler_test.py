#!/usr/bin/env python3
"""data/profiler/profile.py --device cpu: the whole path at toy size.

Usage: profiler_test.py [VIDUR_ESTIMATE]; with it, forests are trained on the result.
Skipped (77) where this python has no PyTorch.
"""

import csv
import json
import os
import subprocess
import sys
import tempfile
import unittest

try:
    import torch  # noqa: F401
except ImportError:
    print("skipped: no PyTorch for this python (Debian: python3-torch)")
    sys.exit(77)

SOURCE = os.path.abspath(os.path.dirname(os.path.abspath(__file__)) + "/../../..")
PROFILER = os.path.join(SOURCE, "data", "profiler", "profile.py")
ESTIMATE = sys.argv.pop(1) if len(sys.argv) > 1 else None
SPEC = """\
name: toy/Toy-1M
num_layers: 2
num_q_heads: 8
num_kv_heads: 2
head_dim: 16
embedding_dim: 128
mlp_hidden_dim: 256
vocab_size: 512
max_position_embeddings: 512
use_gated_mlp: true
post_attn_norm: true
tie_word_embeddings: false
"""
CONFIG = """\
model: {spec}
cluster: {{device: a30, network_device: a30_single_gpu, num_replicas: 1,
          tensor_parallel_size: 1, num_pipeline_stages: 1}}
estimator: {{source: profiles, profiles: {out}, num_estimators: [20], max_depth: [8],
            min_samples_split: [2], k_fold_cv_splits: 3}}
"""
OPERATORS = {
    "mlp.csv": "emb input_layernorm attn_pre_proj attn_rope attn_post_proj "
               "post_attention_layernorm mlp_up_proj mlp_act mlp_down_proj add",
    "attention.csv": "attn_input_reshape attn_kv_cache_save attn_prefill attn_decode "
                     "attn_output_reshape",
}
KEYS = {
    "mlp.csv": "n_head n_kv_head n_embd n_expanded_embd vocab_size use_gated_mlp "
               "num_tokens num_tensor_parallel_workers",
    "attention.csv": "n_embd n_q_head n_kv_head block_size num_tensor_parallel_workers "
                     "max_model_len batch_size prefill_chunk_size kv_cache_size is_prefill "
                     "attention_backend",
}


def run(*arguments):
    # No bytecode: the source folder stays as it is.
    environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="1")
    return subprocess.run([sys.executable, PROFILER, *arguments], capture_output=True,
                          text=True, env=environment, check=False)


class Profiler(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.scratch.cleanup)
        cls.spec = os.path.join(cls.scratch.name, "toy.yaml")
        with open(cls.spec, "w", encoding="ascii") as out:
            out.write(SPEC)
        cls.out = os.path.join(cls.scratch.name, "profiles")
        cls.folder = os.path.join(cls.out, "compute", "a30", "toy", "Toy-1M")
        cls.log = os.path.join(cls.out, "points-a30.jsonl")
        cls.arguments = ("--model", cls.spec, "--device", "cpu", "--device-name", "a30",
                         "--out", cls.out, "--tp", "1,2", "--rows", "10,14,16",
                         "--max-kv", "256", "--max-batch", "8", "--filled-rows", "40", "--budget-minutes", "3")
        cls.first = run(*cls.arguments)

    def table(self, name):
        with open(os.path.join(self.folder, name), newline="", encoding="ascii") as lines:
            return list(csv.DictReader(lines))

    def test_it_ends_well_and_says_so(self):
        self.assertEqual(self.first.returncode, 0, self.first.stderr)
        self.assertIn("rows in", self.first.stderr)

    def test_columns_are_the_layouts(self):
        for name, operators in OPERATORS.items():
            wanted = [f"time_stats.{op}.{field}" for op in operators.split()
                      for field in ("min", "max", "mean", "median", "std")]
            self.assertEqual(list(self.table(name)[0]), wanted + KEYS[name].split())

    def test_keys_are_the_models(self):
        for row in self.table("mlp.csv"):
            self.assertEqual([row[key] for key in KEYS["mlp.csv"].split()[:6]],
                             ["8", "2", "128", "256", "512", "True"])
        degrees = {row["num_tensor_parallel_workers"] for row in self.table("mlp.csv")}
        self.assertEqual(degrees, {"1", "2"})

    def test_times_are_positive_where_they_belong(self):
        for row in self.table("mlp.csv"):
            for operator in OPERATORS["mlp.csv"].split():
                self.assertGreater(float(row[f"time_stats.{operator}.median"]), 0.0)
        for row in self.table("attention.csv"):
            prefill = int(row["prefill_chunk_size"]) > 0
            self.assertEqual(row["is_prefill"], str(prefill))
            self.assertEqual(float(row["time_stats.attn_prefill.median"]) > 0, prefill)
            self.assertEqual(float(row["time_stats.attn_decode.median"]) > 0, not prefill)
            self.assertGreater(float(row["time_stats.attn_kv_cache_save.median"]), 0.0)
            spread = [float(row[f"time_stats.attn_{'prefill' if prefill else 'decode'}.{f}"])
                      for f in ("min", "median", "max")]
            self.assertEqual(spread, sorted(spread))

    def test_interpolated_rows_say_so(self):
        kernels = {row["attention_backend"] for row in self.table("attention.csv")}
        self.assertEqual(kernels, {"torch_math", "interpolated"})

    def test_provenance_is_beside_the_tables(self):
        with open(os.path.join(self.folder, "profile.yaml"), encoding="utf-8") as text:
            facts = text.read()
        for key in ("date:", "torch:", "toy run for tests", "attention_measured:",
                    "largest_error_against_float64:", "attn_decode_p90:"):
            self.assertIn(key, facts)

    def test_every_kernel_was_checked(self):
        with open(self.log, encoding="utf-8") as lines:
            facts = [json.loads(line).get("fact", "") for line in lines]
        for kernel in "gemm norm rope act add emb kvsave torch_math".split():
            self.assertIn("error of " + kernel, facts)

    def test_a_second_run_measures_nothing_again(self):
        def points():
            with open(self.log, encoding="utf-8") as lines:
                return [line for line in lines if '"key"' in line]

        before, tables = points(), [self.table(name) for name in OPERATORS]
        self.assertEqual(run(*self.arguments).returncode, 0)
        self.assertEqual(points(), before)
        self.assertEqual([self.table(name) for name in OPERATORS], tables)

    def test_a_torn_log_is_taken_up(self):
        torn = os.path.join(self.scratch.name, "torn.jsonl")
        with open(self.log, encoding="utf-8") as lines:
            text = lines.read()
        cut = text.rindex('"key"') + 12
        with open(torn, "w", encoding="utf-8") as out:
            out.write(text[:cut])
        for _ in range(2):
            again = run(*self.arguments, "--log", torn)
            self.assertEqual(again.returncode, 0, again.stderr)
            with open(torn, encoding="utf-8") as lines:
                got = sorted(json.loads(line).get("key", "")
                             for line in lines if line.endswith("}\n"))
            self.assertEqual(len(set(got)), len(set(self.keys(text))))

    def keys(self, text):
        return [json.loads(line).get("key", "") for line in text.splitlines()]

    def test_forests_train_on_it(self):
        if not ESTIMATE:
            self.skipTest("no vidur-estimate given")
        config = os.path.join(self.scratch.name, "config.yaml")
        with open(config, "w", encoding="ascii") as out:
            out.write(CONFIG.format(spec=self.spec, out=self.out))
        trained = subprocess.run([ESTIMATE, "train", config], capture_output=True, text=True,
                                 check=False)
        self.assertEqual(trained.returncode, 0, trained.stderr)
        for operator in ("attn_decode", "attn_prefill", "mlp_up_proj"):
            self.assertIn(operator, trained.stdout)


class Refusals(unittest.TestCase):
    def refused(self, wanted, *arguments):
        with tempfile.TemporaryDirectory() as out:
            done = run("--device", "cpu", "--device-name", "x", "--out", out, *arguments)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertRegex(done.stderr, wanted)
            self.assertFalse(os.path.exists(os.path.join(out, "compute")))

    def test_unknown_model(self):
        self.refused("no spec at .*no-such-model.yaml", "--model", "x/No-Such-Model")

    def test_spec_without_a_key(self):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as spec:
            spec.write(SPEC.replace("mlp_hidden_dim: 256\n", ""))
            spec.flush()
            self.refused("mlp_hidden_dim: missing", "--model", spec.name)

    def test_spec_of_experts(self):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as spec:
            spec.write(SPEC + "num_experts: 8\n")
            spec.flush()
            self.refused("num_experts: experts; the profiler measures dense", "--model",
                         spec.name)

    def test_impossible_degree(self):
        self.refused("no model here allows", "--model", "microsoft/phi-2", "--tp", "3")

    def test_degrees_that_are_no_numbers(self):
        self.refused("--tp: 1,x: want", "--model", "microsoft/phi-2", "--tp", "1,x")

    def test_rows_that_are_no_numbers(self):
        self.refused("--rows: many: want 3", "--model", "microsoft/phi-2", "--rows", "many")


if __name__ == "__main__":
    unittest.main()
