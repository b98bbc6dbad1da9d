"""Joint objectives and classes of traffic in a search: what must hold whatever the times.

    search_goals.py VIDUR-SEARCH SOURCE-FOLDER
"""

import re
import signal
import sys
import unittest

from search_support import MIXED, Search, differences, read

Search.program = sys.argv[1]

# Outputs of two tokens and more: every request has a tpot.
ONE_TRACE = MIXED[:MIXED.index("  - name: mixed")].replace("min_tokens: 64", "min_tokens: 96") + \
    MIXED[MIXED.index("batch_sizes"):]
SLOS = "slos: [{all: {ttft: 1.0, tpot: 0.05}, quantile: 0.9}]"


def by_candidate(results):
    return {row["candidate_id"]: row for row in results["ranking"]}


class Goals(Search):
    config_text = MIXED

    def setUp(self):
        super().setUp()
        self.need_h5py()

    def results(self, text, *args):
        self.write(text)
        self.search("-q", "-o", "r.h5", *args)
        found = read(self.path("r.h5"))
        self.start_over()
        return found

    def largest(self, slos, text=ONE_TRACE):
        """The largest load of each candidate, 0 where none passes."""
        rows = by_candidate(self.results(text.replace(SLOS, slos)))
        return {name: row["max_qps"] if row["status"] == b"ok" else 0
                for name, row in rows.items()}

    def test_joint_is_never_looser(self):
        for ttft, tpot, share in ((1.0, 0.05, 0.9), (0.15, 0.02, 0.95), (0.1, 1.0, 0.5)):
            joint = self.largest(
                f"slos: [{{all: {{ttft: {ttft}, tpot: {tpot}}}, quantile: {share}}}]")
            first = self.largest(f"slos: [{{metric: ttft, quantile: {share}, limit_s: {ttft}}}]")
            second = self.largest(f"slos: [{{metric: tpot, quantile: {share}, limit_s: {tpot}}}]")
            self.assertEqual(joint.keys(), first.keys())
            self.assertGreater(max(joint.values()), 0)
            for name, qps in joint.items():
                self.assertLessEqual(qps, min(first[name], second[name]), name)
        self.assertTrue(any(joint[name] < 0.999 * first[name] for name in joint) or
                        any(joint[name] < 0.999 * second[name] for name in joint))

    def test_tighter_share_is_never_more(self):
        loose = self.largest(SLOS)
        tight = self.largest(SLOS.replace("0.9", "0.99"))
        for name, qps in tight.items():
            self.assertLessEqual(qps, loose[name])

    def test_early_stop(self):
        """Ends simulations, changes no answer."""
        found = [self.results(MIXED, "--set", f"search.stop_early={stop}")
                 for stop in ("true", "false")]
        quick, slow = found
        self.assertTrue(quick["probes"]["stopped_early"].any())
        self.assertFalse(slow["probes"]["stopped_early"].any())
        for column in ("candidate_id", "max_qps", "status", "goodput_per_s",
                       "short_goodput_ttft_norm_p95_worst", "short_ttft_p99_9_s",
                       "u_tpot_p95_s"):
            self.assertEqual(quick["ranking"][column].tobytes(),
                             slow["ranking"][column].tobytes(), column)
        self.assertEqual(list(quick["probes"]["feasible"]), list(slow["probes"]["feasible"]))

    def test_one_class_is_its_trace(self):
        """A mix of one class is the trace to the bit, but for names and the class's columns."""
        text = ONE_TRACE.replace("batch_sizes", "  - {name: only, num_requests: 2000, "
                                 "mix: [{trace: u, share: 3}]}\nbatch_sizes")
        found = self.results(text)
        apart = {"candidate_id", "trace", "rank", "wall_s", "mpi_rank", "pareto"}
        for table in ("ranking", "probes"):
            rows = found[table]
            ids = {row["candidate_id"]: row["trace"] for row in found["ranking"]}
            of = {name: sorted((row for row in rows if ids[row["candidate_id"]] == name),
                               key=lambda row: (row["qps"] if table == "probes" else
                                                row["scheduler_label"], str(row)))
                  for name in (b"u", b"only")}
            self.assertEqual(len(of[b"u"]), len(of[b"only"]))
            for column in rows.dtype.names:
                if column in apart or column.startswith("u_"):
                    continue
                values = [sorted(row[column].tobytes() for row in of[name])
                          for name in (b"u", b"only")]
                self.assertEqual(*values, f"{table}.{column}")
        mixed = [row for row in found["ranking"]
                 if row["trace"] == b"only" and row["status"] == b"ok"]
        self.assertTrue(mixed)
        for row in mixed:  # all requests are of the class
            for name in ("ttft_p50_s", "ttft_p99_s", "tpot_p95_s", "goodput_per_s"):
                self.assertEqual(row[f"u_{name}"], row[name])
            self.assertEqual(row["u_requests"], row["num_requests"])

    def test_columns(self):
        """What only searches with classes and joint objectives have."""
        found = self.results(MIXED)
        names = found["ranking"].dtype.names
        for column in ("goodput_ttft_tpot_p90_worst", "short_goodput_ttft_norm_p95_worst",
                       "short_ttft_p99_9_s", "short_requests", "u_goodput_per_s"):
            self.assertIn(column, names)
        for row in found["ranking"]:
            if row["status"] != b"ok":
                continue
            self.assertLessEqual(row["goodput_ttft_tpot_p90_worst"], 1)
            self.assertGreater(row["goodput_per_s"], 0)
            if row["trace"] == b"u":
                self.assertNotEqual(row["u_requests"], row["u_requests"])  # NaN
                continue
            self.assertLessEqual(row["short_goodput_ttft_norm_p95_worst"], 1)
            self.assertEqual(row["u_requests"] + row["short_requests"], 2000)
        policies = {row["scheduling_policy"] for row in found["ranking"]}
        self.assertEqual(policies, {0, 1})
        served = self.results(MIXED, "--set", "exclude=[{scheduling_policy: fcfs}]")["ranking"]
        self.assertEqual({row["scheduling_policy"] for row in served
                          if row["scheduler"] == b"vllm_v1"}, {1})
        self.assertIn(b"sarathi", served["scheduler"])
        missed = {row["limiting_slo"].decode() for row in found["ranking"]}
        self.assertTrue(any(re.fullmatch(r"(short_)?goodput_\w+ \((ttft|tpot|norm)\)", name)
                            for name in missed), missed)

    def test_resume(self):
        whole = self.results(MIXED)
        self.begin_and_stop(signal.SIGKILL, steps=6)
        done = self.search("-o", "r.h5", "--resume")
        self.assertIn("resumed: ", done.stderr)
        self.assertEqual(differences(whole, read(self.path("r.h5"))), [])


class Messages(Search):
    config_text = MIXED

    def refuse(self, old, new, *words):
        self.write(MIXED.replace(old, new))
        done = self.search("-o", "r.h5", status=1)
        for word in words:
            self.assertIn(word, done.stderr)

    def test_mixes(self):
        self.refuse("trace: u, share", "trace: v, share", "a.yaml:11: traces.1.mix.0.trace",
                    "there is no trace 'v'")
        self.refuse("{trace: u, share: 2", "{trace: mixed, share: 2", "'mixed' is a mix itself")
        self.refuse("share: 2, ", "", "traces.1.mix.0.share: missing")
        self.refuse("name: short\n        share", "share", "traces.1.mix.1.name: missing")
        self.refuse("trace: u, share", "trace: u, trace_file: a.csv, share",
                    "traces.1.mix.0.trace_file: given beside trace")
        self.refuse("name: short", "name: a b", "traces.1.mix.1.name: 'a b'; use letters")
        self.refuse("    mix:", "    trace_file: a.csv\n    mix:",
                    "traces.1.trace_file: given beside mix")
        self.refuse("prefill_tokens: 40", "prefill_tokens: 5000",
                    "traces.1.mix.1.lengths.prefill_tokens: 5020 tokens")

    def test_slos(self):
        self.refuse("{all: {ttft: 0.5, e2e", "{all: {tbt: 0.5, e2e", "traces.1.mix.1.slos.0",
                    "all.tbt: gaps between tokens are counted by batches")
        self.refuse("metric: ttft, quantile: 0.999", "metric: tbt, quantile: 0.999",
                    "traces.1.mix.1.slos.1", "metric tbt of class short")
        self.refuse(SLOS, "", "traces.0.name: 'u' has no SLO")
        self.refuse("name: short", "name: a_name_of_23_characters",
                    "is longer than the 39 bytes")

    def test_without_a_file(self):
        def print_config(*args, status=0):
            done = self.run_program("--model", "llama-2-7b-hf", "--gpus", "a100", *args,
                                    "--print-config", "-")
            self.assertEqual(done.returncode, status, done.stderr)
            return done.stdout if status == 0 else done.stderr
        text = print_config("--goodput", "0.95", "--ttft", "1", "--tpot", "0.04")
        self.assertIn("slos:\n  - {all: {ttft: 1, tpot: 0.04}, quantile: 0.95}\n", text)
        text = print_config("--goodput", "0.9", "--e2e", "9", "--ttft-p95", "2")
        self.assertIn("slos:\n  - {metric: ttft, quantile: 0.95, limit_s: 2}\n"
                      "  - {all: {e2e: 9}, quantile: 0.9}\n", text)
        self.assertIn("--goodput is missing", print_config("--ttft", "1", status=1))
        self.assertIn("--goodput: no limit is given",
                      print_config("--goodput", "0.9", "--ttft-p95", "2", status=1))
        self.assertIn("--goodput: '95' is not a share",
                      print_config("--goodput", "95", "--ttft", "2", status=1))
        self.assertIn("--tpot: '-1' is not a number above 0",
                      print_config("--goodput", "0.9", "--tpot", "-1", status=1))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
