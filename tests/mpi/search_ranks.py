"""The same search on different numbers of ranks and threads gives the same results.

    search_ranks.py VIDUR-SEARCH SOURCE-FOLDER
"""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..",
                                "program"))
from search_support import MIXED, MOE, SMALL, Search, differences, mpirun, read  # noqa: E402

Search.program = sys.argv[1]


class Ranks(Search):
    def run_on(self, ranks, threads, name, *args):
        done = self.search("-v", "-o", name, "--threads", str(threads), *args,
                           before=mpirun(ranks))
        return done.stderr

    EACH = tuple((ranks, threads) for ranks in (1, 2, 4) for threads in (1, 2))
    FEW = ((2, 2), (4, 1))  # where what differs from other searches is not the farm

    def compare(self, *args, runs=EACH):
        """Every run builds its tables anew: they must not depend on threads either."""
        self.need_h5py()
        self.run_on(1, 1, "alone.h5", *args)
        alone = read(self.path("alone.h5"))
        for ranks, threads in runs:
            name = f"r{ranks}t{threads}.h5"
            cache = f"estimator.cache_dir=cache{ranks}{threads}"
            self.run_on(ranks, threads, name, *args, "--set", cache)
            self.assertEqual(differences(alone, read(self.path(name))), [],
                             f"{ranks} ranks, {threads} threads")
        return alone

    def test_whole_space(self):
        rows = self.compare()
        self.assertEqual(len(rows["ranking"]), 48)
        served = rows["ranking"][rows["ranking"]["status"] == b"ok"]
        self.assertTrue((served["tpot_p99_9_s"] >= served["tpot_p99_s"]).all())

    def test_experts_and_precisions(self):
        """Candidates that differ in nothing but what their model is served in, or in how
        two GPUs share it."""
        self.write(MOE + "data_parallel_size: [1, 2]\n"
                   "exclude: [{tensor_parallel_size: 2, data_parallel_size: 2}]\n")
        ranking = self.compare()["ranking"]
        # one GPU, or two by TP or DP, with experts dealt out or not; three precisions, two
        # caches
        self.assertEqual(len(ranking), 5 * 3 * 2)
        self.assertEqual(len(set(ranking["candidate_id"])), 30)
        self.assertEqual({(row["precision"].decode(), row["kv_cache_dtype"].decode())
                          for row in ranking},
                         {(weights, cache) for weights in ("bf16, experts mxfp4", "fp8", "nvfp4")
                          for cache in ("bf16", "fp8")})
        self.assertEqual(sum(ranking["expert_parallel"]), 12)
        self.assertEqual(sum(ranking["data_parallel_size"] == 2), 12)
        self.assertEqual(set(ranking["status"]), {b"ok"})

    def test_mixes(self):
        """Classes of traffic, joint objectives, priorities."""
        self.need_h5py()
        self.write(MIXED)
        self.run_on(1, 1, "alone.h5")
        alone = read(self.path("alone.h5"))
        self.assertIn("short_goodput_per_s", alone["ranking"].dtype.names)
        self.run_on(2, 1, "two.h5")
        self.assertEqual(differences(alone, read(self.path("two.h5"))), [])

    def test_recorded_arrivals_and_prefixes(self):
        """A replay, whose loads are scales of time, and prompts in a cycle; caches of
        prefixes are worth something under both."""
        lines = [f'{{"timestamp": {17 * i + i % 7 * 40}, "input_length": {300 + i % 5 * 20}, '
                 f'"output_length": {8 + i % 23}, "hash_ids": [{i % 9}, {i}]}}'
                 for i in range(900)]
        self.write("\n".join(lines), "log.jsonl")
        self.write(MOE.replace("traces: [{name: u, lengths: {type: uniform, min_tokens: 64, "
                               "prefill_to_decode_ratio: 4},\n          max_seq_len: 512, "
                               "num_requests: 2000}]",
                               "traces: [{name: log, replay: {file: log.jsonl, block_tokens: "
                               "256}, max_seq_len: 512}, {name: cycle, shared_prefix: "
                               "{num_groups: 3, system_prompt_tokens: 200, output_tokens: 20, "
                               "prompt_tokens: {mean: 300, std: 20}}, max_seq_len: 512, "
                               "num_requests: 2000}]")
                   .replace("schedulers: [{scheduler: vllm_v1}]", "schedulers: "
                            "[{scheduler: vllm_v1, prefix_caching: [true, false]}]")
                   .replace("expert_parallel: [false, true]\nprecision: [default, fp8, nvfp4]\n"
                            "kv_cache_dtype: [auto, fp8]\n", "")
                   .replace("tp_dimensions: [1, 2]", "tp_dimensions: [1]"))
        ranking = self.compare(runs=self.FEW)["ranking"]
        self.assertEqual(len(ranking), 4)
        self.assertEqual(set(ranking["status"]), {b"ok"})
        for name in (b"log", b"cycle"):
            rows = {bool(row["prefix_caching"]): row for row in ranking
                    if row["trace"] == name}
            self.assertGreater(rows[True]["prefix_hit_rate"], 0.1)
            self.assertEqual(rows[False]["prefix_hit_rate"], 0)
            self.assertGreater(rows[True]["max_qps"], rows[False]["max_qps"])
        log = [row for row in ranking if row["trace"] == b"log"]
        self.assertEqual({row["num_requests"] for row in log}, {900})
        self.assertEqual({row["replications"] for row in log}, {1})

    def test_host_memory(self):
        """Prompts in a cycle that is longer than the GPU's blocks come back from host
        memory, at the links' pace."""
        self.write(MOE.replace("traces: [{name: u, lengths: {type: uniform, min_tokens: 64, "
                               "prefill_to_decode_ratio: 4},\n          max_seq_len: 512, "
                               "num_requests: 2000}]",
                               "traces: [{name: cycle, shared_prefix: {num_groups: 30, "
                               "num_prompts_per_group: 2, system_prompt_tokens: 200, "
                               "output_tokens: 20, prompt_tokens: {mean: 300, std: 20}}, "
                               "max_seq_len: 512, num_requests: 2000}]")
                   .replace("schedulers: [{scheduler: vllm_v1}]", "schedulers: "
                            "[{scheduler: vllm_v1, num_blocks: 400, "
                            "kv_offload_gib_per_gpu: [0, 8]}]")
                   .replace("expert_parallel: [false, true]\nprecision: [default, fp8, nvfp4]\n"
                            "kv_cache_dtype: [auto, fp8]\n", "")
                   .replace("tp_dimensions: [1, 2]", "tp_dimensions: [1]"))
        ranking = self.compare(runs=self.FEW)["ranking"]
        rows = {row["kv_offload_gib_per_gpu"]: row for row in ranking}
        self.assertEqual(set(rows), {0, 8})
        self.assertEqual(set(ranking["status"]), {b"ok"})
        self.assertEqual(rows[0]["host_loads"], 0)
        self.assertGreater(rows[8]["host_hit_rate"], 0.1)
        self.assertGreater(rows[8]["host_loads"], 100)
        self.assertGreater(rows[8]["host_load_gb"], 0)
        self.assertGreater(rows[8]["host_load_s"], 0)
        self.assertGreater(rows[8]["max_qps"], rows[0]["max_qps"])

    def test_two_pools(self):
        """One pool beside pools that prefill and pools that decode, in one ranking."""
        self.write(MOE + "disaggregated: {near: 0.9, prefill: [{precision: nvfp4}]}\n")
        ranking = self.compare(runs=self.FEW)["ranking"]
        split = ranking[ranking["pools"] != b""]
        self.assertGreaterEqual(len(split), 2)
        self.assertGreater(len(ranking) - len(split), 2)
        self.assertEqual(set(split["status"]), {b"ok"})
        self.assertTrue((split["transfer_gb_per_s"] > 0).all())
        self.assertTrue((split["decode_busy"] > 0).all())

    FLEETS = (SMALL.replace("{scheduler: vllm}, {scheduler: sarathi, chunk_size: 256}",
                            "{scheduler: vllm_v1, max_num_batched_tokens: 1024}")
              .replace("pp_dimensions: [1, 2]", "pp_dimensions: [1]") +
              "have: [{device: a100, num_gpus: 4}]\n"
              "mixed: {near: 0, pools: [{rules: [{device: a100}]}, {rules: [{device: h100}], "
              "num_gpus: [1, 4]}]}\ndisaggregated: {near: 0.9, mixed_devices: false}\n")

    def test_mixed_fleets(self):
        """Pools of role all, whose weights are measured, beside one pool and pools with
        roles, with GPUs that are there already."""
        self.write(self.FLEETS)
        ranking = self.compare(runs=self.FEW)["ranking"]
        mixed = ranking[ranking["second_replicas"] > 0]
        self.assertGreaterEqual(len(mixed), 8)
        self.assertEqual(set(mixed["status"]), {b"ok"})
        self.assertTrue((mixed["first_replica_qps"] > 0).all())
        self.assertTrue((mixed["added_gpus"] == mixed["num_gpus"] - 4).all())
        alone = ranking[(ranking["pools"] == b"") & (ranking["device"] == b"a100")]
        self.assertEqual(set(alone["added_gpus"]), {0})
        self.assertEqual(max(alone["added_qps"]), 0)

    def test_pools_for_a_target(self):
        """Both counts of two pools, whatever their roles."""
        self.write(self.FLEETS)
        ranking = self.compare("--target-qps", "150", runs=self.FEW)["ranking"]
        for kind in ("prefill_replicas", "second_replicas"):
            rows = ranking[(ranking[kind] > 0) & (ranking["rank"] > 0)]
            self.assertGreater(len(rows), 0)
            self.assertEqual(set(rows["max_qps"]), {150})
        mixed = ranking[(ranking["second_replicas"] > 0) & (ranking["rank"] > 0)]
        self.assertGreater(len(set(mixed["first_replicas"])), 1)
        self.assertGreater(len(set(mixed["second_replicas"])), 1)
        ok = ranking[ranking["rank"] > 0]
        self.assertEqual(list(ok["added_usd_per_hour"]), sorted(ok["added_usd_per_hour"]))

    def test_fewer_candidates_than_ranks(self):
        """Idle ranks run ahead; nothing of that shows."""
        few = ["--set", "batch_sizes=16", "--set", "tp_dimensions=1", "--set",
               "schedulers=[{scheduler: vllm}]", "--set", "pp_dimensions=1", "--set",
               "traces.0.num_requests=30000"]
        rows = self.compare(*few)
        self.assertEqual(len(rows["ranking"]), 2)
        for _ in range(50):  # at once, unless the machine gives all its time to one rank
            told = self.run_on(4, 1, "ahead.h5", *few)
            if int(told.split(" steps, ")[1].split()[0]) > 0:
                break
        self.assertGreater(int(told.split(" steps, ")[1].split()[0]), 0, told)

    def test_without_tables_on_disk(self):
        """Every rank then builds its own."""
        self.need_h5py()
        self.run_on(1, 1, "alone.h5")
        self.run_on(2, 1, "uncached.h5", "--set", "estimator.cache_dir=''")
        self.assertEqual(differences(read(self.path("alone.h5")),
                                     read(self.path("uncached.h5"))), [])


class Errors(Search):
    def test_said_once(self):
        self.write(SMALL + "batchsizes: [3]\n")
        done = self.search(status=1, before=mpirun(3))
        self.assertEqual(done.stderr.count("unknown key"), 1)
        self.assertEqual(self.files(), [])
        self.write(SMALL)
        done = self.search("--set", "estimator={source: profiles, profiles: /no/such}",
                           status=1, before=mpirun(2))
        self.assertEqual(done.stderr.count("/no/such"), 1)
        self.assertEqual(self.files(), [])
        done = self.search("-o", "/no/such/r.h5", status=1, before=mpirun(2))
        self.assertIn("/no/such", done.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
