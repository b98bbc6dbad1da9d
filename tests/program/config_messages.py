"""A key means the same to every program that reads it: the same mistake gets the same
message, and what is left out has the same default.

    config_messages.py FOLDER-OF-PROGRAMS
"""

import os
import re
import subprocess
import sys
import tempfile
import unittest

BIN = sys.argv[1]

SIMULATE = """\
model: meta-llama/Llama-2-7b-hf
cluster: {device: a100, network_device: a100_dgx}
workload: {num_requests: 5, lengths: {type: uniform}, arrivals: {qps: 1}}
estimator: {source: roofline, cache_dir: ""}
"""
SEARCH = """\
models: [{name: llama, identifier: meta-llama/Llama-2-7b-hf}]
clusters: [{device: a100, network_device: a100_dgx, num_gpus: 8}]
schedulers: [{scheduler: sarathi}]
traces: [{name: chat, lengths: {type: uniform}, num_requests: 100}]
tp_dimensions: 1
pp_dimensions: 1
batch_sizes: 32
estimator: {source: roofline, cache_dir: ""}
"""

# Where the parts of a vidur-simulate configuration are in one of vidur-search.
PLACES = {"model": "models.0.identifier", "cluster": "clusters.0",
          "scheduler.type": "schedulers.0.scheduler", "scheduler": "schedulers.0",
          "workload": "traces.0", "cluster.memory_margin_fraction": "memory_margin_fraction",
          "cluster.memory_planner": "memory_planner"}

# Wrong overrides of what vidur-simulate and vidur-search both read, and of what
# vidur-estimate does, too.
OF_TWO = ["cluster.memory_margin_fraction=1", "cluster.memory_planner=exakt",
          "router=roundrobin", "tbt_definition=tokens", "scheduler.type=sarati",
          "scheduler.chunksize=3", "scheduler.chunk_size=0", "scheduler.chunk_size=many",
          "workload.lengths.type=unifrom", "workload.arrivals.type=poison",
          "workload.lengths.min_token=3", "workload.arrivals=3", "workload.lengths=[1]",
          "workload.arrivals.qps=-1", "scheduler.block_size=0",
          "workload.lengths={type: trace, file: a.csv, format: azur}",
          "workload.lengths={type: trace, file: a.csv, time_unit: min}",
          "workload.lengths={type: trace, file: a.csv, columns: {prompt: x}}",
          "workload.lengths={type: trace, file: a.csv, columns: {priority: ''}}",
          "workload.arrivals={type: trace}",
          "workload.arrivals={type: trace, file: a.csv, block_tokens: 0}"]
OF_THREE = ["model=lama", "model=nowhere.yaml", "model=[a, b]",
            "cluster.device=a10o", "cluster.device=", "cluster.device=nowhere.yaml",
            "cluster.device=''", "cluster.device=[a100]",
            "cluster.network_device=a100_dxg", "cluster.network_device=h100_dgx",
            "cluster.network_device=nowhere.yaml", "cluster.devices=3",
            "estimator.source=magic", "estimator.sauce=roofline", "estimator=3",
            "estimator.k_fold_cv_splits=1", "estimator.profiles=[]",
            "estimator.max_depth=[0]", "estimator.seed=-1", "estimator.constants={eta: 2}",
            "semantics=exact"]
# What vidur-search has lists of.
OF_DEPLOYMENTS = ["cluster.tensor_parallel_size=3", "cluster.num_pipeline_stages=3",
                  "cluster.tensor_parallel_size=0", "cluster.num_pipeline_stages=many",
                  "model=", "scheduler.block_size=0", "precision=fp9",
                  "precision={kv_cache: int8}", "precision={weight: fp8}",
                  "cluster.expert_parallel=maybe", "cluster.expert_parallel=true",
                  "cluster.data_parallel_size=0", "cluster.data_parallel_size=2"]


def in_search(override):
    key, value = override.split("=", 1)
    for length in range(key.count("."), -1, -1):
        head = ".".join(key.split(".")[:length + 1])
        if head in PLACES:
            return PLACES[head] + key[len(head):] + "=" + value
    return override


class Messages(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        for name, text in (("simulate", SIMULATE), ("search", SEARCH)):
            with open(os.path.join(self.folder.name, name + ".yaml"), "w") as f:
                f.write(text)

    def run_program(self, *words):
        return subprocess.run([os.path.join(BIN, words[0]), *words[1:]], text=True,
                              capture_output=True, cwd=self.folder.name)

    def message(self, program, *words):
        """What is wrong, without where; the place must be the override's, or the line
        of the mapping that lacks the key."""
        done = self.run_program(program, *words)
        self.assertEqual(done.returncode, 1, (words, done.stdout, done.stderr))
        found = re.fullmatch(program + r": (?:--set|\w+\.yaml:\d+:) [\w.]+: (.*)\n", done.stderr)
        self.assertTrue(found, done.stderr)
        return found[1]

    def simulate(self, override):
        return self.message("vidur-simulate", "simulate.yaml", "-o", "out", "--set", override)

    def search(self, override):
        return self.message("vidur-search", "search.yaml", "--set", in_search(override))

    def estimate(self, override):
        return self.message("vidur-estimate", "train", "simulate.yaml", "--set", override)

    def test_good_ones_run(self):
        for words in (("vidur-simulate", "simulate.yaml", "-q"),
                      ("vidur-search", "search.yaml", "-q"),
                      ("vidur-estimate", "predict", "simulate.yaml", "mlp_act", "num_tokens=8")):
            done = self.run_program(*words)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_simulate_and_search(self):
        for override in OF_TWO + OF_THREE:
            with self.subTest(override):
                said = self.simulate(override)
                self.assertEqual(self.search(override), said)

    def test_simulate_and_estimate(self):
        for override in OF_THREE + OF_DEPLOYMENTS:
            with self.subTest(override):
                self.assertEqual(self.estimate(override), self.simulate(override))

    def test_default_node(self):
        """vidur-estimate takes the node that vidur-simulate takes."""
        for device, semantics, node in (("l40s", "corrected", "l40s_pcie"),
                                        ("a100", "corrected", "a100_dgx"),
                                        ("a100", "vidur", "a100_pairwise_nvlink")):
            sets = ["--set", f"cluster={{device: {device}, tensor_parallel_size: 2}}",
                    "--set", "semantics=" + semantics]
            estimate = ["vidur-estimate", "predict", "simulate.yaml", "all_reduce",
                        "num_tokens=64", *sets]
            done = self.run_program(*estimate)
            self.assertEqual(done.returncode, 0, done.stderr)
            named = self.run_program(*estimate, "--set", "cluster.network_device=" + node)
            self.assertEqual(done.stdout, named.stdout)
            self.assertIn(" on " + node, done.stdout)
            done = self.run_program("vidur-simulate", "simulate.yaml", *sets)
            self.assertIn(f"network_device: {node} (default)", done.stdout + done.stderr)

    def test_overrides_themselves(self):
        for override in ("nonsense", "=3", "estimator.source.x=1", "a..b=1", "estimator={"):
            with self.subTest(override):
                said = {program: self.run_program(program, *words, "--set", override)
                        for program, *words in (("vidur-simulate", "simulate.yaml"),
                                                ("vidur-search", "search.yaml"),
                                                ("vidur-estimate", "train", "simulate.yaml"))}
                texts = {done.stderr.removeprefix(program) for program, done in said.items()}
                self.assertEqual(len(texts), 1, texts)
                self.assertEqual({done.returncode for done in said.values()}, {1})

    def test_files(self):
        for name, text in (("missing.yaml", None), ("broken.yaml", "a: [1\n"),
                           ("twice.yaml", "a: 1\na: 2\n"), ("list.yaml", "- 1\n")):
            if text is not None:
                with open(os.path.join(self.folder.name, name), "w") as f:
                    f.write(text)
            texts = {self.run_program(*words, name).stderr.removeprefix(words[0])
                     for words in (("vidur-simulate",), ("vidur-search",),
                                   ("vidur-estimate", "train"))}
            self.assertEqual(len(texts), 1, texts)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
