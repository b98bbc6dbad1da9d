"""A search on several ranks loses nothing when it is killed: twenty times, at moments
drawn with a fixed seed, one rank or everything gets SIGKILL; resumed, the search ends
with the results of one that was left in peace.

Moments are counted in steps that the journal holds, so that they do not depend on how
fast the machine is.

    search_kill.py VIDUR-SEARCH SOURCE-FOLDER
"""

import os
import random
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..",
                                "program"))
from search_support import (SMALL, Search, descendants_of, differences,  # noqa: E402
                            kill_job, mpirun, read, steps_in, wait_until)

Search.program = sys.argv[1]

KILLS = 20
RANKS = 3


class Kill(Search):
    config_text = SMALL.replace("num_requests: 2000", "num_requests: 4000")

    def setUp(self):
        super().setUp()
        self.need_h5py()
        self.search("-q", "-o", "whole.h5", before=mpirun(RANKS))
        self.whole = read(self.path("whole.h5"))
        self.steps = len(self.whole["probes"]) + 2 * len(self.whole["ranking"])
        self.journal = self.path("r.h5.journal")

    def start_job(self, *args):
        with open(self.path("log"), "a") as log:
            return subprocess.Popen([*mpirun(RANKS), self.program, "a.yaml", "-o", "r.h5",
                                     "-q", *args], cwd=self.folder, stdout=log,
                                    stderr=log, start_new_session=True)

    def kill_at(self, process, steps, everything, draw):
        """Kills when the journal holds so many steps; False when the search was over
        before."""
        if not wait_until(lambda: steps_in(self.journal) >= steps, process):
            return False
        if everything:
            kill_job(process)
            return True
        ranks = descendants_of(process.pid)
        if len(ranks) < RANKS:
            process.wait()
            return False
        try:
            os.kill(draw.choice(ranks), signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        return process.returncode != 0

    def finish(self):
        done = self.search("-q", "-o", "r.h5", "--resume", before=mpirun(RANKS))
        self.assertEqual(done.stderr, "")
        self.assertEqual(differences(self.whole, read(self.path("r.h5"))), [])
        self.assertFalse(os.path.exists(self.journal))

    def test_killed_at_random_moments(self):
        draw = random.Random(20240517)
        killed = {True: 0, False: 0}
        kept = 0
        while sum(killed.values()) < KILLS:
            everything = sum(killed.values()) % 2 == 0
            steps = draw.randint(0, int(0.9 * self.steps))
            if self.kill_at(self.start_job(), steps, everything, draw):
                killed[everything] += 1
                if os.path.exists(self.journal):  # it was not just at its end
                    self.assertGreaterEqual(steps_in(self.journal), steps)
                    kept += steps > 0
            self.finish()
            os.unlink(self.path("r.h5"))
        self.assertGreater(kept, 5, "the kills came before anything was done")

    def test_killed_again_and_again(self):
        """One search, killed until it is through."""
        draw = random.Random(7)
        for death in range(8):
            steps = steps_in(self.journal) + draw.randint(1, self.steps // 10)
            process = self.start_job(*(["--resume"] if death else []))
            if not self.kill_at(process, steps, death % 2 == 0, draw):
                break
        self.finish()


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
