"""vidur-simulate with the V1 engine: stages of load, the parts of a step, comparison.

    simulate_v1.py VIDUR-SIMULATE SOURCE-FOLDER
"""

import csv
import json
import os
import subprocess
import sys
import tempfile
import unittest

PROGRAM, SOURCE = sys.argv[1:3]
CONFIG = os.path.join(SOURCE, "configs", "simulate-vllm-v1-h100.yaml")
SHORT = "workload.stages=[{rate: 5, duration_s: 20}, {rate: 10, duration_s: 10}]"


def experiment(name, rate, e2e, ttft):
    def latency(mean):
        return {"mean": mean, "median": mean, "p90": mean, "p95": mean, "p99": mean}
    return {"id": name, "model": "meta-llama/Llama-2-7b-hf", "tensor_parallel_size": 1,
            "max_model_len": 1024, "max_num_batched_tokens": 512, "max_num_seqs": 64,
            "engine": "not looked at",
            "workload": {"stages": [{"rate": rate, "duration": 20}],
                         "shared_prefix": {"system_prompt_len": 50, "question_len": 200,
                                           "output_len": 60}},
            "stages": [{"e2e_s": latency(e2e), "ttft_s": latency(ttft)}]}


class Run(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.out = os.path.join(self.folder.name, "out")
        self.measured = os.path.join(self.folder.name, "m.json")
        self.write([experiment("a", 4, 0.5, 0.03), experiment("b", 8, 0.6, 0.04)])

    def tearDown(self):
        self.folder.cleanup()

    def write(self, experiments):
        with open(self.measured, "w") as f:
            json.dump(experiments, f)

    def run_program(self, *args, status=0):
        done = subprocess.run([PROGRAM, CONFIG, "-o", self.out, *args], text=True,
                              capture_output=True, cwd=self.folder.name)
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def rows(self, name):
        with open(os.path.join(self.out, name), newline="") as f:
            return list(csv.DictReader(f))


class Simulation(Run):
    def test_stages(self):
        done = self.run_program("--set", SHORT)
        self.assertIn("stages of load, ms", done.stdout)
        with open(os.path.join(self.out, "summary.json")) as f:
            summary = json.load(f)
        requests = self.rows("request_metrics.csv")
        self.assertEqual([s["requests"] for s in summary["stages"]], [100, 100])
        for index, stage in enumerate(summary["stages"]):
            own = requests[100 * index:100 * (index + 1)]
            e2e = [float(r["request_e2e_time"]) for r in own]
            ttft = [float(r["prefill_e2e_time"]) for r in own]
            tpot = [(a - b) / 246 for a, b in zip(e2e, ttft)]
            for name, values in (("e2e", e2e), ("ttft", ttft), ("tpot", tpot)):
                self.assertEqual(sorted(stage[name]),
                                 ["mean", "p50", "p90", "p95", "p99"])
                self.assertAlmostEqual(stage[name]["mean"], sum(values) / 100)

    def test_parts_of_steps_add_up(self):
        self.run_program("--set", SHORT, "--set", "output.operators=true", "--set",
                         "output.batches=true")
        parts = self.rows("operator_metrics.csv")
        batches = self.rows("batch_metrics.csv")
        self.assertEqual(list(parts[0])[3:],
                         ["gemm_and_small_s", "experts_s", "all_reduce_s", "attention_decode_s",
                          "attention_prefill_s", "output_head_s", "overheads_s"])
        self.assertEqual(len(parts), len(batches))
        for a, b in zip(parts, batches):
            total = sum(float(v) for k, v in a.items() if k.endswith("_s"))
            self.assertAlmostEqual(total, float(b["execution_time"]), delta=1e-12)

    def test_what_the_workload_refuses(self):
        for item, message in (
                ("workload.stages=[]", "workload.stages"),
                ("workload.stages=[{rate: 5}]", "duration_s"),
                ("workload.stages=[{rate: .nan, duration_s: 5}]", "rate"),
                ("workload.output_tokens=5000", "workload.max_tokens"),
                ("workload.num_requests=5", "workload.num_requests"),
                ("workload.prompt_tokens={quantiles: [[0.9, 5], [0.1, 6]]}", "ascending"),
                ("cluster.num_pipeline_stages=33", "cluster.num_pipeline_stages"),
                ("cluster.data_parallel_size=2", "cluster.data_parallel_size"),
                ("estimator={source: kernels, kernels: /nowhere}", "/nowhere")):
            done = self.run_program("--set", item, status=1)
            self.assertIn(message, done.stderr)
            self.assertFalse(os.path.isdir(self.out), item)


class Comparison(Run):
    def test_table_and_file(self):
        done = self.run_program("--compare", self.measured)
        for word in ("meta-llama/Llama-2-7b-hf, bf16, h100, tensor_parallel_size 1", "4/s",
                     "8/s", "median of |error|"):
            self.assertIn(word, done.stdout)
        rows = self.rows("compare.csv")
        self.assertEqual([r["metric"] for r in rows[:7]],
                         ["e2e_mean", "e2e_p50", "e2e_p99", "tpot_mean", "ttft_mean",
                          "ttft_p50", "ttft_p99"])
        self.assertEqual(len(rows), 14)
        for r in rows:
            error = float(r["predicted_s"]) / float(r["measured_s"]) - 1
            self.assertAlmostEqual(float(r["error_percent"]), 100 * error)
        tpot = rows[3]
        self.assertAlmostEqual(float(tpot["measured_s"]), (0.5 - 0.03) / 59)
        self.assertEqual(os.listdir(self.out), ["compare.csv"])

    def test_chosen_and_quiet(self):
        done = self.run_program("--compare", self.measured, "--experiments", "b", "-q")
        self.assertEqual(done.stdout, "")
        self.assertEqual({r["id"] for r in self.rows("compare.csv")}, {"b"})

    def test_fit(self):
        done = self.run_program("--compare", self.measured, "--fit", "t_api")
        self.assertIn("estimator:\n  constants: {eta: 0.91, ", done.stdout)
        self.assertIn("root mean square", done.stdout)
        again = self.run_program("--compare", self.measured, "--fit", "t_api")
        self.assertEqual(done.stdout, again.stdout)

    def test_bad_usage(self):
        for args, message in (
                (["--fit", "eta"], "--fit: goes with --compare"),
                (["--experiments", "a"], "--experiments: goes with --compare"),
                (["--compare", "nowhere.json"], "nowhere.json"),
                (["--compare", self.measured, "--experiments", "z"], "'z'"),
                (["--compare", self.measured, "--fit", "etta"], "did you mean 'eta'?"),
                (["--compare", self.measured, "--set", "scheduler.type=vllm"],
                 "scheduler.type: vllm")):
            done = self.run_program(*args, status=1)
            self.assertIn(message, done.stderr)
            self.assertEqual(done.stdout, "")
            self.assertFalse(os.path.isdir(self.out), args)

    def test_bad_measurements(self):
        for change, message in (({"tensor_parallel_size": 3}, "a: cluster.tensor"),
                                ({"model": "no/such"}, "m.json: a: "),
                                ({"max_num_seqs": 0}, "0.max_num_seqs"),
                                ({"max_num_seqs": 600}, "max_num_batched_tokens"),
                                ({"stages": []}, "0.stages"),
                                ({"id": None}, "0.id")):
            self.write([{**experiment("a", 4, 0.5, 0.03), **change}])
            done = self.run_program("--compare", self.measured, status=1)
            self.assertIn(message, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)

    def test_formats_and_what_is_not_modelled(self):
        bench = {"model_id": "meta-llama/Llama-2-7b-hf", "request_rate": "inf",
                 "max_concurrency": 4, "completed": 20, "total_input_tokens": 4000,
                 "total_output_tokens": 1000, "mean_ttft_ms": 40, "mean_tpot_ms": 7,
                 "tensor_parallel_size": "1", "device": "h100"}
        loop = {"id": "loop", "model": "meta-llama/Llama-2-7b-hf", "data_parallel_size": 2,
                "workload": {"closed_loop": {
                    "concurrency": 4, "num_requests": 40,
                    "prompt_tokens": {"min": 100, "max": 200},
                    "output_tokens": {"min": 50, "max": 60}}},
                "stages": [{"ttft_s": {"mean": 0.04}, "tpot_s": {"mean": 0.007}}]}
        self.write([experiment("a", 4, 0.5, 0.03), bench, loop])
        done = self.run_program("--compare", self.measured)
        for word in ("Llama-2-7b-hf-c4", "4 clients", "note: every request takes the mean",
                     "not modelled, 1 of 3 rows", "  loop: cluster.data_parallel_size: 2 ranks"):
            self.assertIn(word, done.stdout)
        rows = {(r["id"], r["metric"]): r for r in self.rows("compare.csv")}
        left_out = rows["loop", "tpot_mean"]
        self.assertEqual(left_out["predicted_s"], "")
        self.assertEqual(float(left_out["measured_s"]), 0.007)
        self.assertIn("num_replicas", left_out["not_modelled"])
        self.assertEqual(rows["Llama-2-7b-hf-c4", "ttft_mean"]["not_modelled"], "")
        # One experiment by itself, as the benchmark writes it.
        self.write(bench)
        self.run_program("--compare", self.measured)
        again = {(r["id"], r["metric"]): r for r in self.rows("compare.csv")}
        self.assertEqual(again["Llama-2-7b-hf-c4", "tpot_mean"],
                         rows["Llama-2-7b-hf-c4", "tpot_mean"])
        self.write([loop])
        done = self.run_program("--compare", self.measured, status=1)
        self.assertIn("m.json: loop: cluster.data_parallel_size: 2 ranks", done.stderr)

    def test_full_disk(self):
        os.makedirs(self.out)
        os.symlink("/dev/full", os.path.join(self.out, "compare.csv"))
        done = self.run_program("--compare", self.measured, status=2)
        self.assertIn("compare.csv", done.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
