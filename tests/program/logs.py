"""Logs as people have them: sessions and priorities, in a run and in a search.

    logs.py VIDUR-SEARCH VIDUR-SIMULATE
"""

import csv
import json
import os
import subprocess
import sys
import unittest

from search_support import Search, differences, mpirun, read

Search.program, SIMULATE = sys.argv[1:3]

SIMULATED = """\
model: meta-llama/Llama-2-7b-hf
cluster: {device: h100, num_replicas: 1}
scheduler: {type: vllm_v1, max_num_batched_tokens: 512, scheduling_policy: priority}
estimator: {source: roofline, cache_dir: ""}
workload:
  type: sessions
  max_tokens: 1024
  arrivals: {type: trace}
  sessions: {file: log.jsonl, columns: {session: user, arrived_at: at, latency_ms: took}}
"""

SEARCHED = """\
models: [{name: meta-llama/Llama-2-7b-hf}]
clusters: [{device: h100, num_gpus: 2}]
schedulers: [{scheduler: vllm_v1, scheduling_policy: [fcfs, priority]}]
traces:
  - {name: logged, max_seq_len: 2048, arrivals: {type: trace},
     sessions: {file: log.csv}}
  - {name: users, max_seq_len: 2048, num_requests: 600, arrivals: {type: closed_loop},
     sessions: {file: log.csv, think_time: logged_gap}}
batch_sizes: [32]
tp_dimensions: [1]
pp_dimensions: [1]
router: [session, round_robin]
slos:
  - {metric: ttft, quantile: 0.9, limit_s: 1}
  - {metric: tpot, quantile: 0.9, limit_s: 0.05}
estimator: {source: roofline, cache_dir: ""}
"""


def log_lines(count):
    """Sessions of five turns, one a second, each turn 4 s after the last answer."""
    yield "arrived_at,session,num_prefill_tokens,num_decode_tokens,ended_at,priority"
    turns = []
    for session in range(count):
        at, context = float(session), 100 + 7 * (session % 11)
        for turn in range(5):
            turns.append((at, session, context, 20 + 3 * turn, at + 1, session % 3))
            context += 60 + 3 * turn
            at += 5
    for turn in sorted(turns):
        yield ",".join(map(str, turn))


class Runs(Search):
    config_text = SEARCHED

    def simulate(self, *sets, status=0):
        self.write(SIMULATED, "s.yaml")
        options = [word for item in sets for word in ("--set", item)]
        done = subprocess.run([SIMULATE, "s.yaml", "-o", "out", *options], text=True,
                              cwd=os.path.dirname(self.path("s.yaml")), capture_output=True,
                              check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def summary(self):
        with open(self.path("out/summary.json")) as file:
            return json.load(file)

    def test_two_turns(self):
        """The second turn waits for the first one's answer, and finds it in the cache."""
        self.write('{"at": 100, "user": "u", "prompt_tokens": 40, "output_tokens": 10, '
                   '"took": 1500}\n'
                   '{"at": 104, "user": "u", "prompt_tokens": 70, "output_tokens": 9}\n',
                   "log.jsonl")
        self.simulate()
        with open(self.path("out/request_metrics.csv"), newline="") as file:
            first, second = csv.DictReader(file)
        self.assertAlmostEqual(float(second["request_inter_arrival_delay"]),
                               float(first["request_e2e_time"]) + 2.5, places=9)
        self.assertAlmostEqual(self.summary()["load"]["prefix_hit_rate"], 48 / 110)
        self.simulate("workload.sessions.think_time=logged_gap")
        said = ("requests of the log: pauses between turns: logged gaps between arrivals, so "
                "longer than they were by an answer")
        self.assertIn(said, self.summary()["notes"])
        self.write('{"at": 1, "user": "u", "prompt_tokens": 40, "output_tokens": 10}\n' * 2,
                   "log.jsonl")
        done = self.simulate(status=1)
        self.assertIn("log.jsonl: no ends of answers", done.stderr)

    def test_priorities(self):
        """Each priority is a class; the lowest waits least."""
        self.write("\n".join('{"at": 1, "prompt_tokens": 500, "output_tokens": 60, '
                             f'"priority": {i % 2 * 5}}}' for i in range(400)), "log.jsonl")
        replay = "workload={type: trace_replay, file: log.jsonl, columns: {arrived_at: at}}"
        self.simulate(replay)
        first, second = self.summary()["classes"]
        self.assertEqual((first["name"], second["name"]), ("priority_0", "priority_5"))
        self.assertEqual((first["priority"], second["priority"]), (0, 5))
        self.assertEqual(first["requests"], 200)
        self.assertLess(first["ttft"]["p99"], second["ttft"]["p50"])
        self.simulate(replay, "scheduler.scheduling_policy=fcfs")
        first, second = self.summary()["classes"]
        self.assertLess(abs(first["ttft"]["p50"] - second["ttft"]["p50"]),
                        0.1 * second["ttft"]["p50"])
        self.write('{"at": 1, "prompt_tokens": 500, "output_tokens": 60, "priority": 1e10}\n',
                   "log.jsonl")
        self.assertIn("log.jsonl:1: priority: ", self.simulate(replay, status=1).stderr)


class Searches(Search):
    config_text = SEARCHED

    def setUp(self):
        super().setUp()
        self.need_h5py()
        self.write("\n".join(log_lines(120)) + "\n", "log.csv")

    def test_sessions(self):
        """A load scales the starts; users take sessions one after the other. Priorities are
        columns."""
        done = self.search("-o", "r.h5")
        found = read(self.path("r.h5"))
        self.assertIn("trace logged: sessions of 5 requests on average", done.stderr)
        self.assertIn("trace users: requests of the log: pauses between turns: logged gaps",
                      done.stderr)
        rows = found["ranking"]
        self.assertEqual(len(rows), 8)
        for row in rows:
            self.assertEqual(row["status"], b"ok")
            self.assertEqual(row["num_requests"], 600)
            self.assertGreater(row["prefix_hit_rate"], 0.2)
            self.assertEqual(sum(row[f"priority_{i}_requests"] for i in range(3)), 600)
            self.assertEqual(row["max_users"] > 0, row["trace"] == b"users")
        kept = {row["router"]: row["prefix_hit_rate"] for row in rows
                if row["trace"] == b"logged" and row["scheduling_policy"] == 0}
        self.assertGreater(kept[b"session"], kept[b"round_robin"])
        for row in rows:  # starts that are not drawn need no seeds
            self.assertEqual(row["replications"] == 1, row["trace"] == b"logged")

    def test_another_file(self):
        """What the file holds is part of what was searched."""
        one = [row["candidate_id"] for row in self.results()["ranking"]]
        self.write("\n".join(log_lines(119)) + "\n", "log.csv")
        other = [row["candidate_id"] for row in self.results()["ranking"]]
        self.assertFalse(set(one) & set(other))

    def results(self, *args):
        self.search("-q", "-o", "r.h5", *args)
        found = read(self.path("r.h5"))
        self.start_over()
        return found

    def test_ranks(self):
        self.search("-q", "-o", "one.h5")
        self.search("-q", "-o", "two.h5", before=mpirun(2))
        self.assertEqual(differences(read(self.path("one.h5")),
                                     read(self.path("two.h5"))), [])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
