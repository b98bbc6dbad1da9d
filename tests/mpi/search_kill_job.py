"""A search whose whole job is killed again and again loses nothing: mpirun and all ranks
get SIGKILL up to twenty times, at moments drawn with a fixed seed; resumed each time, the
search ends with the results of one that was left in peace, and no candidate is blamed.

Moments are counted in steps that the journal holds, so that they do not depend on how
fast the machine is.

    search_kill_job.py VIDUR-SEARCH SOURCE-FOLDER
"""

import os
import random
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..",
                                "program"))
from search_support import (Search, SMALL, differences, kill_job, mpirun,  # noqa: E402
                            read, read_journal, steps_in, wait_until)

Search.program = sys.argv[1]

KILLS = 20


class KillJob(Search):
    config_text = SMALL.replace("num_requests: 2000", "num_requests: 4000")

    def setUp(self):
        super().setUp()
        self.need_h5py()
        self.search("-q", "-o", "whole.h5")
        self.whole = read(self.path("whole.h5"))
        self.journal = self.path("r.h5.journal")

    def start_job(self, ranks, *args):
        with open(self.path("log"), "a") as log:
            return subprocess.Popen([*mpirun(ranks), self.program, "a.yaml", "-o", "r.h5",
                                     *args], cwd=self.folder, stdout=log,
                                    stderr=log, start_new_session=True)

    def kill_again_and_again(self, ranks, *args):
        """The deaths until the search was through, or there were enough of them."""
        draw = random.Random(1000 * ranks + len(args))
        steps = len(self.whole["probes"]) + 2 * len(self.whole["ranking"])
        deaths = 0
        while deaths < KILLS:
            wanted = steps_in(self.journal) + draw.randint(1, steps // 12)
            process = self.start_job(ranks, *args, *(["--resume"] if deaths else []))
            if not wait_until(lambda: steps_in(self.journal) >= wanted, process):
                self.assertEqual(process.returncode, 0, self.log())
                return deaths
            kill_job(process)
            deaths += 1
        return deaths

    def log(self):
        with open(self.path("log")) as file:
            return file.read()

    def check(self, ranks, *args):
        deaths = self.kill_again_and_again(ranks, *args)
        if not os.path.exists(self.path("r.h5")):
            self.search("-q", "-o", "r.h5", "--resume", *args, before=mpirun(ranks))
        self.assertGreater(deaths, 7, "few moments were before the end")
        self.assertEqual(differences(self.whole, read(self.path("r.h5"))), [])
        self.assertFalse(os.path.exists(self.journal))
        self.assertNotIn("given up", self.log())

    def test_one_rank(self):
        self.check(1)

    def test_two_ranks(self):
        self.check(2)

    def test_four_ranks(self):
        self.check(4)

    def test_four_ranks_without_running_ahead(self):
        self.check(4, "--set", "search.speculate=false")

    def test_suspects_alone(self):
        """Killed while nothing but suspects is left, after every single step."""
        few = ["--set", "clusters=[{device: a100, network_device: a100_dgx, num_gpus: 4}]",
               "--set", "tp_dimensions=[1]", "--set", "pp_dimensions=[1]",
               "--set", "schedulers=[{scheduler: vllm}]"]
        self.search("-q", "-o", "few.h5", *few)
        deaths = 0
        while deaths < KILLS:
            before = steps_in(self.journal)
            process = self.start_job(2, *few, *(["--resume"] if deaths else []))
            if not wait_until(lambda: steps_in(self.journal) > before, process):
                break
            kill_job(process)
            deaths += 1
        if not os.path.exists(self.path("r.h5")):
            self.assertGreater(read_journal(self.journal)["lease"], 0)
            self.search("-q", "-o", "r.h5", "--resume", *few, before=mpirun(2))
        self.assertGreater(deaths, 2)
        self.assertEqual(differences(read(self.path("few.h5")),
                                     read(self.path("r.h5"))), [])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
