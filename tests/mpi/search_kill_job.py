"""A search whose whole job is killed again and again loses nothing: mpirun and all ranks
get SIGKILL, twenty times at moments drawn with a fixed seed; resumed each time, the search
ends with the results of one that was left in peace, and no candidate is blamed.

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
                            read, steps_in, wait_until)

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

    def log(self):
        with open(self.path("log")) as file:
            return file.read()

    def is_over(self):
        """Not where it was killed with its results written and its journal still there."""
        return os.path.exists(self.path("r.h5")) and not os.path.exists(self.journal)

    def finish(self, whole, ranks, *args):
        """The search that was killed, or was over before it could be, ends well."""
        if not self.is_over():
            self.search("-q", "-o", "r.h5", "--resume", *args, before=mpirun(ranks))
        self.assertEqual(differences(whole, read(self.path("r.h5"))), [])
        self.assertFalse(os.path.exists(self.journal))
        self.assertNotIn("given up", self.log())
        os.unlink(self.path("r.h5"))

    def check(self, whole, most, ranks, *args):
        """A search is killed after 1 to `most` steps more, again and again, until it is
        through; others, until there were enough deaths: how many one of them sees depends
        on how soon this test is told of its steps."""
        draw = random.Random(1000 * ranks + len(args))
        deaths = 0
        for _ in range(20 * KILLS):
            resume = ["--resume"] if os.path.exists(self.journal) else []
            wanted = steps_in(self.journal) + draw.randint(1, most)
            process = self.start_job(ranks, *args, *resume)
            if wait_until(lambda: steps_in(self.journal) >= wanted, process):
                kill_job(process)
                deaths += 1
            else:
                self.assertEqual(process.returncode, 0, self.log())
            if deaths == KILLS:
                break
            if self.is_over():
                self.finish(whole, ranks, *args)
        self.assertEqual(deaths, KILLS)
        self.finish(whole, ranks, *args)

    def check_all(self, ranks, *args):
        steps = len(self.whole["probes"]) + 2 * len(self.whole["ranking"])
        self.check(self.whole, steps // 12, ranks, *args)

    def test_one_rank(self):
        self.check_all(1)

    def test_two_ranks(self):
        self.check_all(2)

    def test_four_ranks(self):
        self.check_all(4)

    def test_four_ranks_without_running_ahead(self):
        self.check_all(4, "--set", "search.speculate=false")

    def test_suspects_alone(self):
        """Killed after every single step, while nothing but suspects is left."""
        few = ["--set", "clusters=[{device: a100, network_device: a100_dgx, num_gpus: 4}]",
               "--set", "tp_dimensions=[1]", "--set", "pp_dimensions=[1]",
               "--set", "schedulers=[{scheduler: vllm}]"]
        self.search("-q", "-o", "few.h5", *few)
        self.check(read(self.path("few.h5")), 1, 2, *few)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
