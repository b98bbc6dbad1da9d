"""vidur-simulate as a user meets it: options, files, errors, exit statuses.

    simulate_cli.py VIDUR-SIMULATE SOURCE-FOLDER
"""

import csv
import json
import math
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM, SOURCE = sys.argv[1:3]

SMALL = """\
model: meta-llama/Llama-2-7b-hf
cluster: {device: a100, network_device: a100_dgx, num_replicas: 2,
          tensor_parallel_size: 2, num_pipeline_stages: 2}
scheduler: {type: sarathi, chunk_size: 256, batch_size_cap: 32}
workload:
  num_requests: 60
  lengths: {type: uniform, min_tokens: 64}
  max_tokens: 512
  arrivals: {type: poisson, qps: 6}
estimator: {source: roofline, cache_dir: ""}
"""


class Run(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.config = os.path.join(self.folder.name, "a.yaml")
        self.out = os.path.join(self.folder.name, "out")
        self.write(SMALL)

    def tearDown(self):
        self.folder.cleanup()

    def write(self, text, name="a.yaml"):
        with open(os.path.join(self.folder.name, name), "w") as f:
            f.write(text)

    def run_program(self, *args, **kwargs):
        return subprocess.run([PROGRAM, *args], text=True, capture_output=True,
                              cwd=self.folder.name, **kwargs)

    def simulate(self, *sets, status=0, **kwargs):
        options = [word for item in sets for word in ("--set", item)]
        done = self.run_program(self.config, "-o", self.out, *options, **kwargs)
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def summary(self):
        with open(os.path.join(self.out, "summary.json")) as f:
            return json.load(f)

    def rows(self, name):
        with open(os.path.join(self.out, name), newline="") as f:
            return list(csv.DictReader(f))

    def files(self):
        return sorted(os.listdir(self.out)) if os.path.isdir(self.out) else []


def quantile(values, q):
    values = sorted(values)
    at = q * (len(values) - 1)
    below = math.floor(at)
    above = min(below + 1, len(values) - 1)
    return values[below] + (values[above] - values[below]) * (at - below)


class Options(Run):
    def test_help_and_version(self):
        text = self.run_program("--help").stdout
        for word in ("CONFIG.yaml", "--set", "--output", "Default", "Examples",
                     "chrome_trace.json"):
            self.assertIn(word, text)
        done = self.run_program("--version")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"vidur-simulate \d+\.\d+\.\d+ \(commit .*\)")
        self.assertRegex(done.stdout, r"libyaml \d")

    def test_bad_usage(self):
        for args in ([], ["a.yaml", "b.yaml"], ["--nope"], ["a.yaml", "--set", "x"],
                     ["a.yaml", "-o"]):
            done = self.run_program(*args)
            self.assertEqual(done.returncode, 1, args)
            self.assertTrue(done.stderr.startswith("vidur-simulate: "), done.stderr)
            self.assertEqual(done.stdout, "")

    def test_default_folder_and_quiet(self):
        done = self.run_program("a.yaml", "-q")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        self.assertIn("summary.json",
                      os.listdir(os.path.join(self.folder.name, "simulation")))

    def test_what_is_printed(self):
        done = self.simulate()
        for word in ("meta-llama/Llama-2-7b-hf", "8 x a100", "ttft", "tbt", "throughput",
                     "MFU", "60 of 60 completed", "synthetic roofline"):
            self.assertIn(word, done.stdout)


class Files(Run):
    def test_only_what_is_asked_for(self):
        self.simulate()
        self.assertEqual(self.files(),
                         ["request_metrics.csv", "summary.json", "time_series.csv"])

    def test_all_files(self):
        self.simulate(*(f"output.{name}=true" for name in
                        ("batches", "operators", "chrome_trace", "event_trace")))
        self.assertEqual(self.files(),
                         ["batch_metrics.csv", "chrome_trace.json", "event_trace.json",
                          "operator_metrics.csv", "request_metrics.csv", "summary.json",
                          "time_series.csv"])
        self.check_operators()
        self.check_batches()
        self.check_events()
        self.check_series()

    def test_operators_of_experts(self):
        """The reference's schedulers run models with experts and windows."""
        for scheduler in ("sarathi", "vllm", "orca"):
            self.write(SMALL.replace("sarathi, chunk_size: 256", scheduler)
                       if scheduler != "sarathi" else SMALL)
            self.simulate("output.operators=true", "output.batches=true",
                          "model=openai/gpt-oss-20b")
            self.check_operators()
            self.assertIn("mlp_experts_s", self.rows("operator_metrics.csv")[0])
            totals = self.summary()["operators"]
            self.assertGreater(totals["mlp_experts"]["share"], 0.2)
        self.simulate("output.operators=true")
        self.assertNotIn("mlp_experts_s", self.rows("operator_metrics.csv")[0])
        self.assertNotIn("mlp_experts", self.summary()["operators"])

    def check_operators(self):
        """What operators take adds up to what stages take."""
        operators = self.rows("operator_metrics.csv")
        batches = self.rows("batch_metrics.csv")
        self.assertEqual(len(operators), len(batches))
        for a, b in zip(operators, batches):
            for name in ("batch_id", "replica_id", "stage_id"):
                self.assertEqual(a[name], b[name])
            total = sum(float(v) for k, v in a.items() if k.endswith("_s"))
            self.assertAlmostEqual(total, float(b["execution_time"]), delta=1e-12)
        totals = self.summary()["operators"]
        self.assertAlmostEqual(sum(o["share"] for o in totals.values()), 1)
        self.assertGreater(totals["all_reduce"]["total_s"], 0)

    def check_batches(self):
        """summary.json's distributions are those of the rows."""
        metrics = self.summary()["metrics"]
        last = [b for b in self.rows("batch_metrics.csv") if b["batch_execution_time"]]
        self.assertEqual(metrics["batch_size"]["count"], len(last))
        for name in ("batch_size", "batch_num_tokens", "batch_num_prefill_tokens",
                     "batch_num_decode_tokens", "batch_execution_time"):
            values = [float(b[name]) for b in last]
            self.assertAlmostEqual(metrics[name]["mean"], sum(values) / len(values))
            for q in (50, 90, 95, 99):
                self.assertAlmostEqual(metrics[name][f"p{q}"], quantile(values, q / 100))

    def check_events(self):
        with open(os.path.join(self.out, "event_trace.json")) as f:
            events = json.load(f)["events"]
        batches = self.summary()["counts"]["batches"]
        by_type = {}
        for event in events:
            by_type.setdefault(event["type"], []).append(event)
        self.assertEqual([e["request_id"] for e in by_type["request_arrival"]],
                         list(range(60)))
        self.assertEqual(len(by_type["batch_end"]), batches)
        self.assertEqual(len(by_type["stage_end"]), 2 * batches)
        for replica in (0, 1): # replicas may be told one after the other
            times = [e["time"] for e in events if e.get("replica") == replica]
            self.assertEqual(times, sorted(times))

    def check_series(self):
        series = self.rows("time_series.csv")
        replicas = self.summary()["replicas"]
        for replica in (0, 1):
            rows = [r for r in series if int(r["replica"]) == replica]
            self.assertLessEqual(len(rows), 512)
            self.assertEqual(sum(int(r["batches"]) for r in rows),
                             replicas[replica]["batches"])
            for a, b in zip(rows, rows[1:]):
                self.assertEqual(a["end_s"], b["start_s"])

    def test_requests_and_summary_agree(self):
        self.simulate()
        rows = self.rows("request_metrics.csv")
        summary = self.summary()
        self.assertEqual(len(rows), 60)
        self.assertEqual(rows[0]["request_inter_arrival_delay"], "")
        for metric, name in (("prefill_e2e_time", "ttft"), ("request_e2e_time", "e2e"),
                             ("request_scheduling_delay", "scheduling_delay")):
            values = [float(r[metric]) for r in rows]
            for key in ("count", "mean", "min", "max", "p50", "p90", "p95", "p99"):
                self.assertEqual(summary["metrics"][metric][key], summary[name][key])
            self.assertAlmostEqual(summary[name]["p90"], quantile(values, 0.9))
        for column in rows[0]:
            if column != "Request Id":
                self.assertIn(column, summary["metrics"])
        self.assertEqual(summary["counts"]["completed"], 60)
        self.assertEqual(summary["provenance"]["seed"], 42)
        self.assertEqual(summary["provenance"]["config_text"], SMALL)
        self.assertIn("synthetic roofline", summary["provenance"]["times"])
        for key in ("mfu", "memory", "busy"):
            self.assertTrue(0 < summary["utilization"][key] <= 100)

    def test_runs_repeat_to_the_byte(self):
        first = self.contents()
        self.assertEqual(first, self.contents())
        # neither what is recorded nor how long others take changes a request's times
        self.assertEqual(first[0], self.contents("output.batches=true")[0])
        self.assertEqual(first[0], self.contents("output.statistics=false")[0])
        self.assertNotEqual(first[0], self.contents("workload.seed=43")[0])

    def contents(self, *sets):
        self.simulate(*sets)
        with open(os.path.join(self.out, "request_metrics.csv"), "rb") as f:
            requests = f.read()
        summary = self.summary()
        for key in ("created", "elapsed_s"):
            del summary["provenance"][key]
        return requests, summary

    def test_time_limit(self):
        done = self.simulate("time_limit_s=3", "output.chrome_trace=true")
        self.assertIn("time_limit_s", done.stdout)
        summary = self.summary()
        self.assertTrue(summary["time_limited"])
        self.assertLess(summary["counts"]["completed"], 60)
        self.assertEqual(summary["e2e"]["count"], summary["counts"]["completed"])
        rows = self.rows("request_metrics.csv")
        self.assertIn("", [r["request_e2e_time"] for r in rows])
        with open(os.path.join(self.out, "chrome_trace.json")) as f:
            json.load(f)


class Inputs(Run):
    """Nothing is cut in silence, and times may begin anywhere."""

    REPLAY = "workload={type: trace_replay, file: t.csv, max_tokens: 512}"

    def write_replay(self, start_s):
        lines = ["arrived_at,num_prefill_tokens,num_decode_tokens"]
        lines += [f"{start_s + i * i / 64!r},{50 + 7 * i % 300},{5 + i % 40}"
                  for i in range(60)]
        self.write("\n".join(lines) + "\n", "t.csv")

    def write_lengths(self, num_long):
        rows = ["100000,10"] * num_long + ["50,10"] * (100 - num_long)
        self.write("num_prefill_tokens,num_decode_tokens\n" + "\n".join(rows) + "\n",
                   "t.csv")

    def figures(self, *sets):
        """All numbers of a summary but the provenance's."""
        self.simulate(self.REPLAY, *sets)
        numbers = {}

        def collect(value, path):
            if isinstance(value, dict):
                for key, part in value.items():
                    collect(part, f"{path}.{key}")
            elif isinstance(value, list):
                for i, part in enumerate(value):
                    collect(part, f"{path}.{i}")
            elif isinstance(value, (int, float)):
                numbers[path] = value
        summary = self.summary()
        del summary["provenance"]
        collect(summary, "")
        return numbers

    def test_loads_that_start_late(self):
        self.write_replay(0)
        expected = self.figures()
        series = self.rows("time_series.csv")
        self.assertEqual(expected.pop(".start_s"), 0)
        self.assertGreater(expected[".throughput.requests_per_s"], 0.5)
        self.assertGreater(expected[".utilization.busy"], 1)
        for start_s in (36000, 1.7e9):
            self.write_replay(start_s)
            actual = self.figures()
            self.assertEqual(actual.pop(".start_s"), start_s)
            self.assertEqual(expected.keys(), actual.keys())
            for name, value in expected.items():
                self.assertAlmostEqual(actual[name], value, delta=1e-6 * abs(value) + 1e-9,
                                       msg=name)
            self.assertEqual(len(self.rows("time_series.csv")), len(series))

    def test_a_load_that_starts_late_and_is_cut_by_time(self):
        self.write_replay(0)
        expected = self.figures("time_limit_s=20")[".counts.completed"]
        self.assertTrue(0 < expected < 60)
        self.write_replay(1.7e9)
        self.assertEqual(self.figures("time_limit_s=20")[".counts.completed"], expected)
        self.simulate("workload={type: trace_replay, file: t.csv, duration_s: 20, "
                      "max_tokens: 512}")
        self.assertEqual(self.summary()["counts"]["requests"], 36)

    def test_the_reference_counts_from_0(self):
        self.write_replay(36000)
        figures = self.figures("semantics=vidur")
        self.assertEqual(figures[".start_s"], 0)
        self.assertGreater(figures[".simulated_time_s"], 36000)

    def test_cut_requests(self):
        lengths = ("workload.lengths={type: trace, file: t.csv}",
                   "workload.num_requests=100")
        self.write_lengths(1)
        done = self.simulate(*lengths)
        self.assertIn("warning: 1 of 100 requests (1 %) are longer than 512 tokens and "
                      "are cut to that (workload.max_tokens)\n", done.stderr)
        self.assertEqual(self.summary()["counts"]["cut_requests"], 1)
        self.write_lengths(7)
        done = self.simulate(*lengths, status=1)
        self.assertIn("a.yaml:8: workload.max_tokens: 7 of 100 requests (7 %) are longer "
                      "than 512 tokens; raise it, or cut them with cut_long_requests: "
                      "true\n", done.stderr)
        for allowed in ("workload.cut_long_requests=true", "semantics=vidur"):
            done = self.simulate(*lengths, allowed)
            self.assertIn("warning: 7 of 100 requests (7 %)", done.stderr)
            self.assertEqual(self.summary()["counts"]["cut_requests"], 7)
            self.assertIn("7 of 100", self.summary()["notes"][0])
        done = self.simulate(*lengths, "workload.max_tokens=200000",
                             "cluster.num_replicas=1", "cluster.device=h100",
                             "cluster.network_device=h100_dgx",
                             "cluster.tensor_parallel_size=8")
        self.assertEqual(self.summary()["counts"]["cut_requests"], 0)
        self.assertIn("warning: workload.max_tokens 200000 is beyond the context of "
                      "meta-llama/Llama-2-7b-hf, 4096 tokens", done.stderr)

    def test_default_node(self):
        done = self.simulate("cluster.network_device=")
        self.assertIn("note         network_device: a100_dgx (default)\n", done.stdout)
        self.assertEqual(done.stderr, "")
        self.assertEqual(self.summary()["notes"], ["network_device: a100_dgx (default)"])
        self.assertEqual(self.summary()["deployment"]["network_device"], "a100_dgx")
        done = self.simulate()
        self.assertNotIn("note", done.stdout)
        self.assertEqual(self.summary()["notes"], [])

    def test_kv_heads_that_an_engine_cannot_split(self):
        self.write("name: ten\nnum_layers: 8\nnum_q_heads: 40\nnum_kv_heads: 10\n"
                   "embedding_dim: 2560\nmlp_hidden_dim: 4096\nvocab_size: 1000\n"
                   "max_position_embeddings: 4096\nuse_gated_mlp: true\n", "ten.yaml")
        at_four = ("model=ten.yaml", "cluster.tensor_parallel_size=4",
                   "cluster.num_pipeline_stages=1")
        done = self.simulate(*at_four, status=1)
        self.assertIn("--set cluster.tensor_parallel_size: 4 neither divides the 10 KV "
                      "heads of ten nor is a multiple of them", done.stderr)
        self.simulate(*at_four, "semantics=vidur")
        self.simulate("model=ten.yaml")

    def test_traces_that_are_no_csv(self):
        for content, what in (("[{}]", "JSON, but not a log of requests that is known; "
                               "give format: (vidur, azure, "),
                              ('{"num_prefill_tokens": 5}', "JSON, but not a log"),
                              ("PAR1\x15", "Parquet; give CSV")):
            self.write(content, "t.csv")
            done = self.simulate(self.REPLAY, status=1)
            self.assertIn(f"t.csv:1: this is {what}", done.stderr)

    LOG = ('{"created": 1700000002, "usage": {"prompt_tokens": 60, "completion_tokens": 4}}\n'
           '{"created": 1700000000, "usage": {"prompt_tokens": 50, "completion_tokens": 5}}\n'
           '{"created": 1700000003, "usage": {"prompt_tokens": 70, "completion_tokens": 0}}\n')

    def test_logs_of_other_formats(self):
        self.write(self.LOG, "t.jsonl")
        replay = "workload={type: trace_replay, file: t.jsonl, max_tokens: 512"
        done = self.simulate(replay + "}")
        said = ("requests of the log: 1 failed or without output, and left out; 1 out of "
                "order, and sorted by time")
        self.assertIn(f"warning: {said}\n", done.stderr)
        self.assertIn(said, self.summary()["notes"])
        self.assertEqual([(row["request_num_prefill_tokens"],
                           float(row["request_inter_arrival_delay"] or 0))
                          for row in self.rows("request_metrics.csv")],
                         [("50", 0), ("60", 2)])
        self.simulate(replay + ", format: access_log, time_unit: ms}")
        row = self.rows("request_metrics.csv")[1]
        self.assertEqual(float(row["request_inter_arrival_delay"]), 0.002)
        self.simulate(replay + ", columns: {prompt_tokens: usage.completion_tokens}, "
                      "block_tokens: 4}")
        self.assertEqual(self.rows("request_metrics.csv")[1]["request_num_prefill_tokens"],
                         "4")
        for wrong, text in (("format: moon", "workload.format: 'moon' is not known; "),
                            ("time_unit: h", "workload.time_unit: 'h' is not a unit"),
                            ("columns: {prompt: x}", "workload.columns.prompt: unknown"),
                            ("format: azure", "t.jsonl:1: this is JSON; give CSV")):
            self.assertIn(text, self.simulate(replay + f", {wrong}}}", status=1).stderr)
        self.write('[{"id": 1, "conversations": [{"from": "human", "value": "%s"}, '
                   '{"from": "gpt", "value": "Yes."}]}]' % ("why? " * 40), "chat.json")
        done = self.simulate("workload.lengths={type: trace, file: chat.json, "
                             "characters_per_token: 2.5}")
        self.assertIn("lengths estimated at 2.5 characters a token", done.stderr)
        self.assertEqual(self.rows("request_metrics.csv")[0]["request_num_prefill_tokens"],
                         "80")
        self.assertIn("chat.json: no times of arrival (format sharegpt)",
                      self.simulate("workload={type: trace_replay, file: chat.json}",
                                    status=1).stderr)

    def describe(self, *arguments):
        return subprocess.run([PROGRAM, *arguments], cwd=self.folder.name, text=True,
                              capture_output=True, check=False)

    def test_describe(self):
        self.write(self.LOG, "t.jsonl")
        done = self.describe("--describe", "t.jsonl", "--set", "time_unit=ms")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("format       access_log: ", done.stdout)
        self.assertIn("span         0.002 s", done.stdout)
        self.write("num_prefill_tokens,num_decode_tokens\n5,0\n", "t.csv")
        done = self.describe("--describe", "t.csv", "--format", "vidur")
        self.assertIn("span         no times of arrival\n", done.stdout)
        for arguments, text in (
                (("--describe", "no.csv"), "no.csv: "),
                (("--describe", "t.csv", "--format", "x"), "--format: 'x' is not known"),
                (("--describe", "t.csv", "--blocks", "many"), "--blocks: 'many' is not"),
                (("--describe", "t.csv", "--set", "unit=s"), "unit: unknown key"),
                (("--describe", "t.csv", "a.yaml"), "--describe: takes no configuration"),
                (("a.yaml", "--format", "vidur"), "--format: goes with --describe FILE"),
                ((), "arguments are missing: vidur-simulate CONFIG.yaml")):
            done = self.describe(*arguments)
            self.assertEqual((done.returncode, done.stdout), (1, ""), arguments)
            self.assertIn(text, done.stderr)


class Objectives(Run):
    """Classes and objectives, from the rows of the requests."""

    MIX = ("workload={type: mix, num_requests: 300, max_tokens: 512, "
           "arrivals: {type: poisson, qps: 12}, classes: ["
           "{name: short, share: 2, lengths: {type: fixed, prefill_tokens: 50, decode_tokens: 20}, "
           "slos: [{all: {ttft: 0.02, tpot: 0.0068}, quantile: 0.8}, "
           "{metric: e2e, quantile: 0.5, limit_s: 100}]}, "
           "{name: long, share: 1, priority: 3, lengths: {type: fixed, prefill_tokens: 400, "
           "decode_tokens: 30}}]}")
    SCHEDULER = "scheduler={type: vllm_v1, max_num_seqs: 16, scheduling_policy: priority}"
    SLOS = "slos=[{metric: ttft, quantile: 0.9, limit_s: 1e-6}]"
    ONE_STAGE = "cluster.num_pipeline_stages=1"

    def run_mix(self):
        done = self.simulate(self.MIX, self.SCHEDULER, self.SLOS, self.ONE_STAGE)
        rows = {"short": [], "long": []}
        for row in self.rows("request_metrics.csv"):
            name = "short" if row["request_num_prefill_tokens"] == "50" else "long"
            e2e, ttft = float(row["request_e2e_time"]), float(row["prefill_e2e_time"])
            tokens = int(row["request_num_decode_tokens"])
            rows[name].append({"ttft": ttft, "tpot": (e2e - ttft) / (tokens - 1), "e2e": e2e})
        return done.stdout, self.summary(), rows

    def test_classes(self):
        printed, summary, rows = self.run_mix()
        self.assertEqual([c["name"] for c in summary["classes"]], ["short", "long"])
        self.assertEqual([c["priority"] for c in summary["classes"]], [0, 3])
        for told in summary["classes"]:
            mine = rows[told["name"]]
            self.assertEqual(told["requests"], len(mine))
            self.assertEqual(told["completed"], len(mine))
            for metric in ("ttft", "tpot"):
                values = sorted(row[metric] for row in mine)
                self.assertEqual(told[metric]["count"], len(values))
                for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
                    self.assertAlmostEqual(told[metric][name], quantile(values, q), 12)
        self.assertIn("classes, ms", printed)
        self.assertIsNone(summary["classes"][1]["goodput_per_s"])

    def test_objectives(self):
        printed, summary, rows = self.run_mix()
        slos = {slo["name"]: slo for slo in summary["slos"]}
        self.assertEqual(list(slos), ["ttft_p90", "short_goodput_ttft_tpot_p80", "short_e2e_p50"])
        joint = slos["short_goodput_ttft_tpot_p80"]
        shares = sorted(max(row["ttft"] / 0.02, row["tpot"] / 0.0068) for row in rows["short"])
        self.assertEqual(joint["all"], {"ttft": 0.02, "tpot": 0.0068})
        self.assertEqual(joint["class"], "short")
        self.assertAlmostEqual(joint["share_of_limits"], quantile(shares, 0.8), 10)
        self.assertEqual(joint["met"], quantile(shares, 0.8) <= 1)
        good = sum(row["ttft"] <= 0.02 and row["tpot"] <= 0.0068 for row in rows["short"])
        self.assertTrue(0 < good < len(rows["short"]), good)
        self.assertAlmostEqual(summary["goodput_per_s"] * summary["simulated_time_s"], good, 6)
        self.assertEqual(summary["classes"][0]["goodput_per_s"], summary["goodput_per_s"])
        self.assertFalse(slos["ttft_p90"]["met"])
        self.assertTrue(slos["short_e2e_p50"]["met"])
        self.assertAlmostEqual(slos["short_e2e_p50"]["value_s"],
                               quantile(sorted(row["e2e"] for row in rows["short"]), 0.5), 10)
        self.assertIn("(limit 1e-06 s): missed", printed)
        self.assertIn("requests/s meet all joint objectives", printed)

    def test_nothing_is_told_unasked(self):
        self.simulate()
        for key in ("slos", "goodput_per_s", "classes"):
            self.assertNotIn(key, self.summary())


class ClosedLoop(Run):
    LOOP = "workload.arrivals={type: closed_loop, concurrency: 7}"

    def test_clients_wait_for_their_answers(self):
        done = self.simulate(self.LOOP)
        summary = self.summary()
        self.assertEqual(summary["concurrency"], 7)
        self.assertEqual(summary["counts"]["completed"], 60)
        rate = summary["throughput"]["requests_per_s"]
        self.assertAlmostEqual(rate, 60 / summary["simulated_time_s"])
        self.assertIn("closed loop  7 clients\n", done.stdout)
        self.assertIn(f"throughput   {rate:.3f} requests/s", done.stdout)
        rows = self.rows("request_metrics.csv")
        sent, sends = 0.0, []
        for r in rows:
            sent += float(r["request_inter_arrival_delay"] or 0)
            sends.append(sent)
        self.assertEqual(sends[:7], [0.0] * 7)
        ends = sorted(s + float(r["request_e2e_time"]) for s, r in zip(sends, rows))
        for i in range(7, 60):
            self.assertAlmostEqual(sends[i], ends[i - 7], delta=1e-9)

    def test_more_clients_are_served_more_slowly(self):
        rates, delays = [], []
        for clients in (1, 4, 16):
            self.simulate(self.LOOP.replace("7", str(clients)))
            rates.append(self.summary()["throughput"]["requests_per_s"])
            delays.append(self.summary()["e2e"]["mean"])
        self.assertEqual(rates, sorted(rates))
        self.assertEqual(delays, sorted(delays))

    def test_an_open_loop_has_no_clients(self):
        done = self.simulate()
        self.assertNotIn("concurrency", self.summary())
        self.assertNotIn("closed loop", done.stdout)

    def test_what_is_refused(self):
        for item, message in (
                ("workload.arrivals={type: closed_loop}", "workload.arrivals.concurrency"),
                ("workload.arrivals={type: closed_loop, concurrency: 0}", "at least 1"),
                ("workload.arrivals={type: closed_loop, concurrency: 2, qps: 1}", "qps"),
                ("workload.arrivals={type: closed_lop, concurrency: 2}",
                 "the nearest is 'closed_loop'")):
            done = self.simulate(item, status=1)
            self.assertIn(message, done.stderr)


class Unfinished(Run):
    """Requests that can never run: the files tell, and so does the exit status."""

    def check(self, message, scheduler):
        self.write(SMALL.replace("{type: sarathi, ", "{" + scheduler)
                   .replace("chunk_size: 256, ", ""))
        done = self.simulate(status=2)
        self.assertIn("vidur-simulate: warning: " + self.config + message, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertEqual(self.files(),
                         ["request_metrics.csv", "summary.json", "time_series.csv"])
        return done, self.summary()

    def test_too_few_blocks(self):
        done, summary = self.check(
            ":4: scheduler.num_blocks: 60 of 60 requests never finish: request 0 has a "
            "prompt of ", "type: sarathi, num_blocks: 1, ")
        self.assertIn("holds 16 (1 blocks of 16)", done.stderr)
        for name in ("ttft", "e2e", "tbt", "scheduling_delay"):
            self.assertEqual(summary[name].pop("count"), 0)
            self.assertEqual(set(summary[name].values()), {None}, name)
        self.assertNotIn(" 0.0 ", done.stdout.split("throughput")[0])

    def test_prompt_longer_than_a_batch(self):
        done, summary = self.check(":4: scheduler.max_tokens_in_batch: ",
                                   "type: vllm, max_tokens_in_batch: 400, ")
        self.assertRegex(done.stderr, r"request \d+ has a prompt of \d+ tokens, a batch "
                                      r"at most 400; raise it")
        self.assertLess(summary["counts"]["completed"], 60)

    def test_a_time_limit_is_no_fault(self):
        self.simulate("scheduler.num_blocks=1", "time_limit_s=3")


class Offload(Run):
    """KV blocks in host memory: eight prompts in turn on a GPU with room for one."""

    LOAD = ("workload={type: shared_prefix, num_groups: 8, num_prompts_per_group: 1, "
            "system_prompt_tokens: 100, prompt_tokens: {mean: 600, std: 0}, output_tokens: 8, "
            "max_tokens: 1024, arrivals: {type: static}, stages: [{rate: 2, duration_s: 30}]}")
    SETS = ["cluster={device: a100}", LOAD]

    def run_with(self, gib, *sets):
        done = self.simulate(f"scheduler={{type: vllm_v1, num_blocks: 64, "
                             f"kv_offload_gib_per_gpu: {gib}}}", *self.SETS, *sets)
        return done.stdout, self.summary()

    def test_loads(self):
        printed, off = self.run_with(0)
        self.assertNotIn("host hits", printed)
        self.assertEqual(off["load"]["host_loads"], 0)
        printed, on = self.run_with(8)
        load = on["load"]
        # after the first round each prompt's 37 blocks before its last token come back
        self.assertEqual(load["host_loads"], 52)
        found = load["prefix_hit_rate"] + load["host_hit_rate"]
        self.assertAlmostEqual(found, 52 * 37 * 16 / (60 * 600), 12)
        gb_per_s = load["host_load_bytes"] / load["host_load_s"] / 1e9
        self.assertAlmostEqual(gb_per_s, 31.5 * 0.8, 9)  # PCIe 4.0 x16, derated
        self.assertAlmostEqual(load["host_load_waited_s"], load["host_load_s"], 9)
        self.assertIn("host hits", printed)
        self.assertLess(on["ttft"]["mean"], off["ttft"]["mean"])
        _, slow = self.run_with(8, "scheduler.kv_offload_gb_per_s=0.5")
        self.assertGreater(slow["ttft"]["mean"], off["ttft"]["mean"])

    def test_event_trace(self):
        self.run_with(8, "output.event_trace=true")
        with open(os.path.join(self.out, "event_trace.json")) as f:
            ends = [e for e in json.load(f)["events"] if e["type"] == "load_end"]
        self.assertEqual(len(ends), 52)
        self.assertEqual(len({e["request_id"] for e in ends}), 52)

    def test_errors(self):
        for message, scheduler in (
                ("--set scheduler.kv_offload_gib_per_gpu: -1 is out of range; it must be at "
                 "least 0",
                 "{type: vllm_v1, kv_offload_gib_per_gpu: -1}"),
                ("--set scheduler.kv_offload_gb_per_s: -2 is out of range; it must be at least 0",
                 "{type: vllm_v1, kv_offload_gb_per_s: -2}"),
                ("--set scheduler.kv_offload_gib_per_gpu: 8 without prefix_caching, by which "
                 "blocks in host memory are found; set prefix_caching: true, or 0",
                 "{type: vllm_v1, kv_offload_gib_per_gpu: 8, prefix_caching: false}"),
                ("--set scheduler.kv_offload_gib_per_gpu: 8; scheduler sarathi keeps no",
                 "{type: sarathi, kv_offload_gib_per_gpu: 8}")):
            done = self.simulate(f"scheduler={scheduler}", *self.SETS, status=1)
            self.assertIn(message, done.stderr)


class Examples(Run):
    def test_configurations_that_come_with_the_project(self):
        for name in ("simulate-quickstart.yaml", "simulate-reference.yaml",
                     "simulate-pools.yaml", "simulate-sessions.yaml"):
            done = self.run_program(os.path.join(SOURCE, "configs", name), "-o", self.out,
                                    "--set", "workload.num_requests=50")
            self.assertEqual(done.returncode, 0, done.stderr)


POOLS = """\
model: meta-llama/Meta-Llama-3-8B
cluster: {device: h100}
scheduler: {type: vllm_v1}
pools:
  - {role: prefill, cluster: {num_replicas: 2}}
  - role: decode
    router: lor
    cluster: {device: a100, num_pipeline_stages: 2}
workload:
  num_requests: 60
  lengths: {type: uniform, min_tokens: 64}
  max_tokens: 512
  arrivals: {type: poisson, qps: 20}
estimator: {source: roofline, cache_dir: ""}
"""

MIXED = """\
pools:
  - weight: 2
  - cluster: {device: h100, num_replicas: 1, tensor_parallel_size: 1,
              num_pipeline_stages: 1}
"""


class Pools(Run):
    """Replicas are counted over all pools, in their order."""

    ALL = [f"output.{name}=true" for name in
           ("batches", "operators", "chrome_trace", "event_trace")]

    def test_one_pool_is_a_deployment(self):
        """Listed alone it changes no figure."""
        self.simulate()
        plain = self.rows("request_metrics.csv")
        self.write(SMALL + "pools: [{}]\n")
        self.simulate()
        self.assertEqual(plain, self.rows("request_metrics.csv"))
        self.assertNotIn("pools", self.summary())

    def test_pools_that_hand_over(self):
        self.write(POOLS)
        done = self.simulate(*self.ALL)
        for text in ("on 4 devices in 2 pools", "pool 0 prefill  2 replicas of TP 1",
                     "pool 1 decode   1 replica of TP 1, PP 2 on a100",
                     "60 of 60 completed", "transfers"):
            self.assertIn(text, done.stdout)
        summary = self.summary()
        self.check_pools(summary)
        self.check_moves(summary)
        self.check_replicas(summary)
        self.check_events()

    def check_pools(self, summary):
        prefill, decode = summary["pools"]
        for pool, role, replicas, device, stages in (
                (prefill, "prefill", 2, "h100", 1), (decode, "decode", 1, "a100", 2)):
            self.assertEqual((pool["role"], pool["num_replicas"], pool["device"],
                              pool["num_pipeline_stages"], pool["scheduler"]),
                             (role, replicas, device, stages, "vllm_v1"))
            self.assertGreater(pool["num_blocks"], 0)
            self.assertIn("roofline of " + device, pool["times"])
        self.assertEqual(summary["deployment"]["num_gpus"], 4)
        self.assertEqual(summary["counts"]["batches"], sum(
            pool["metrics"]["batches"] for pool in summary["pools"]))
        self.assertNotIn("transfers", prefill)
        self.assertEqual(summary["notes"], ["network_device: h100_dgx (default)",
                                            "network_device: a100_dgx (default)"])

    def check_moves(self, summary):
        rows = self.rows("request_metrics.csv")
        transfers = summary["pools"][1]["transfers"]
        self.assertEqual(transfers["count"], 60)
        tokens = sum(int(r["request_num_prefill_tokens"]) for r in rows)
        self.assertAlmostEqual(transfers["gb"], tokens * 2 * 32 * 8 * 128 * 2 * 1e-9)
        for row in rows:
            self.assertLess(0, float(row["request_departed_time"]))
            self.assertLess(float(row["request_departed_time"]),
                            float(row["request_loaded_time"]))
            self.assertLess(float(row["request_loaded_time"]),
                            float(row["request_e2e_time"]))
        loaded = summary["metrics"]["request_loaded_time"]
        self.assertEqual(loaded["count"], 60)
        self.assertEqual(loaded["max"], max(float(r["request_loaded_time"])
                                            for r in rows))

    def check_replicas(self, summary):
        """Each has the stages and blocks of its pool."""
        self.assertEqual([len(r["stages"]) for r in summary["replicas"]], [1, 1, 2])
        batches = self.rows("batch_metrics.csv")
        self.assertEqual({(b["replica_id"], b["stage_id"]) for b in batches},
                         {("0", "0"), ("1", "0"), ("2", "0"), ("2", "1")})
        operators = self.rows("operator_metrics.csv")
        self.assertEqual(len(operators), len(batches))
        for a, b in zip(operators, batches):
            total = sum(float(v) for k, v in a.items() if k.endswith("_s"))
            self.assertAlmostEqual(total, float(b["execution_time"]), delta=1e-12)
        blocks = summary["pools"][1]["num_blocks"]
        most = max(int(b["allocated_blocks"]) for b in batches if b["replica_id"] == "2")
        self.assertAlmostEqual(summary["replicas"][2]["max_kv_utilization_percent"],
                               100 * most / blocks)
        self.assertEqual({r["replica"] for r in self.rows("time_series.csv")},
                         {"0", "1", "2"})

    def check_events(self):
        with open(os.path.join(self.out, "event_trace.json")) as f:
            events = json.load(f)["events"]
        ends = [e for e in events if e["type"] == "transfer_end"]
        self.assertEqual(sorted(e["request_id"] for e in ends), list(range(60)))
        self.assertEqual({e["replica"] for e in ends}, {2})
        with open(os.path.join(self.out, "chrome_trace.json")) as f:
            trace = json.load(f)["traceEvents"]
        self.assertEqual([e["args"]["name"] for e in trace
                          if e["name"] == "process_name"],
                         ["replica 0 (prefill)", "replica 1 (prefill)",
                          "replica 2 (decode)"])

    def test_pools_behind_one_router(self):
        self.write(SMALL + MIXED)
        self.simulate(*self.ALL)
        summary = self.summary()
        self.assertEqual([p["role"] for p in summary["pools"]], ["all", "all"])
        self.assertEqual([p["num_gpus"] for p in summary["pools"]], [8, 1])
        self.assertNotIn("request_departed_time", summary["metrics"])
        self.assertNotIn("first_token", summary["deployment"])
        self.assertEqual(summary["counts"]["completed"], 60)

    def test_schedulers_beside_each_other(self):
        """Debug builds count requests and blocks after every event."""
        self.write(SMALL + "pools:\n" + "".join(
            f"  - scheduler: {{type: {name}}}\n"
            for name in ("sarathi", "faster_transformer", "orca", "vllm")))
        self.simulate("output.batches=true")
        pools = self.summary()["pools"]
        self.assertEqual([p["scheduler"] for p in pools],
                         ["sarathi", "faster_transformer", "orca", "vllm"])
        self.assertTrue(all(p["metrics"]["batches"] > 0 for p in pools))
        self.assertEqual(self.summary()["counts"]["completed"], 60)

    def test_operators_of_pools_that_differ(self):
        """A file has one set of columns."""
        self.write(SMALL + MIXED + "    scheduler: {type: vllm_v1}\n")
        self.simulate()
        done = self.simulate("output.operators=true", status=1)
        self.assertIn("--set output.operators: pools 0 and 1 have times of different "
                      "operators", done.stderr)

    def test_what_is_refused(self):
        self.write(POOLS)
        for message, setting in (
                ("a.yaml:5: pools.0.cluster: meta-llama/Llama-2-70b-hf does not fit",
                 "model=meta-llama/Llama-2-70b-hf"),
                ("--set pools.1.scheduler.num_blocks: the KV cache of a replica has 5 "
                 "blocks of 16 tokens, a request of 512 tokens needs 32",
                 "pools.1.scheduler.num_blocks=5"),
                ("--set pools.1.scheduler.type: orca cannot hand requests over",
                 "pools.1.scheduler.type=orca"),
                ("--set pools.1.role: ", "pools.1.role={a: 1}")):
            done = self.simulate(setting, status=1)
            self.assertIn(message, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)

    def test_requests_that_never_finish(self):
        self.write(SMALL + MIXED)
        done = self.simulate("pools.1.scheduler.type=vllm",
                             "pools.1.scheduler.max_tokens_in_batch=100", status=2)
        self.assertIn("--set pools.1.scheduler.max_tokens_in_batch: ", done.stderr)
        self.assertIn("never finish", done.stderr)

    def test_compare_takes_pools_from_the_experiments(self):
        self.write(POOLS)
        done = self.run_program(self.config, "--compare", "nowhere.json", "-o", self.out)
        self.assertEqual(done.returncode, 1)
        self.assertIn("pools: experiments say what pools they had", done.stderr)


class Errors(Run):
    def check(self, message, *sets):
        done = self.simulate(*sets, status=1)
        self.assertIn(message, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertEqual(self.files(), [], "nothing is written")

    def test_bad_configuration(self):
        self.check("--set cluster.tensor_parallel_size: 3 does not divide",
                   "cluster.tensor_parallel_size=3")
        self.check("--set workload.arrivals.qps: ", "workload.arrivals.qps=-1")
        self.check("unknown key", "cluster.devise=a100")
        self.write(SMALL + "colour: blue\n")
        self.check("a.yaml:11: colour: unknown key")
        os.unlink(self.config)
        self.check("a.yaml")

    def test_files_that_are_missing(self):
        """Named at the place in the configuration that asks for them."""
        trace = SMALL.replace("{type: uniform, min_tokens: 64}",
                              "\n    type: trace\n    file: t.csv")
        self.write(trace)
        self.check("a.yaml:9: workload.lengths.file: ")
        self.write(SMALL.replace("{type: poisson, qps: 6}", "{type: trace, file: t.csv}"))
        self.check("a.yaml:9: workload.arrivals.file: ")
        self.write(SMALL)
        self.check("--set workload.file: ",
                   "workload={type: trace_replay, max_tokens: 512, file: t.csv}")
        self.write(SMALL.replace("source: roofline", "source: profiles, profiles: nope"))
        self.check("a.yaml:10: estimator.profiles: compute/a100/")
        self.write(SMALL.replace("source: roofline", "source: tables, tables: nope"))
        self.check("a.yaml:10: estimator.tables: ")

    def test_bad_trace(self):
        trace = "workload.lengths={type: trace, file: t.csv}"
        self.check("--set workload.lengths.file: ", trace)
        self.write("num_prefill_tokens,num_decode_tokens\n5,7\n6,many\n", "t.csv")
        self.check("t.csv:3: num_decode_tokens: ", trace)
        self.write("num_prefill_tokens,num_decode_tokens\n", "t.csv")
        self.check("no rows", trace)

    def test_model_that_does_not_fit(self):
        self.check("does not fit", "model=meta-llama/Llama-2-70b-hf",
                   "cluster.tensor_parallel_size=1", "cluster.num_pipeline_stages=1")

    def test_missing_tables(self):
        self.check("nowhere", "estimator={source: tables, tables: /nowhere}")

    def test_folder_that_cannot_be_made(self):
        self.write("", "out")
        done = self.simulate(status=1)
        self.assertIn("out", done.stderr)


class Trouble(Run):
    def test_full_disk(self):
        """/dev/full takes bytes until they are flushed. An old summary survives."""
        for name, key in (("batch_metrics.csv", "batches"),
                          ("operator_metrics.csv", "operators"),
                          ("chrome_trace.json", "chrome_trace"),
                          ("event_trace.json", "event_trace"),
                          ("time_series.csv", "statistics"),
                          ("request_metrics.csv", "requests")):
            with self.subTest(name):
                os.makedirs(self.out, exist_ok=True)
                path = os.path.join(self.out, name)
                if os.path.lexists(path):
                    os.unlink(path)
                os.symlink("/dev/full", path)
                done = self.simulate(f"output.{key}=true", status=2)
                self.assertIn(name, done.stderr)
                self.assertFalse([f for f in self.files() if ".tmp" in f])
                os.unlink(path)

    def test_file_size_limit(self):
        """The same where the temporary file itself cannot grow."""
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
        done = self.simulate("output.chrome_trace=true", status=2, preexec_fn=limit)
        self.assertIn("chrome_trace.json", done.stderr)
        self.assertEqual(self.files(), [])

    def test_cache_that_cannot_be_written(self):
        """The tables are larger than files may be: that costs a warning."""
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (200000, 200000))
        cache = os.path.join(self.folder.name, "cache")
        done = self.simulate(f"estimator.cache_dir={cache}", preexec_fn=limit)
        self.assertIn("warning: " + cache, done.stderr)
        self.assertIn("File too large", done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertEqual(os.listdir(cache), [])

    def interrupted(self, signal_number):
        for _ in range(50):
            process = subprocess.Popen(
                [PROGRAM, self.config, "-o", self.out, "--set",
                 "workload.num_requests=2000000", "--set", "output.chrome_trace=true"],
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            while not any(".tmp" in name for name in self.files()) and process.poll() is None:
                time.sleep(0.01)
            process.send_signal(signal_number)
            message = process.communicate()[1]
            if process.returncode != 0: # else it was over before
                break
            shutil.rmtree(self.out)
        self.assertEqual(process.returncode, 3, message)
        self.assertIn("interrupted", message)
        self.assertEqual(self.files(), [])

    def test_interrupt(self):
        self.interrupted(signal.SIGINT)
        self.interrupted(signal.SIGTERM)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
