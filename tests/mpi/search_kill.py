"""A search on several ranks loses nothing when it is killed: twenty times, at moments
drawn with a fixed seed, one rank or everything gets SIGKILL; resumed, the search ends
with the results of one that was left in peace.

    search_kill.py VIDUR-SEARCH SOURCE-FOLDER
"""

import os
import random
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..",
                                "program"))
from search_support import SMALL, Search, differences, mpirun, read  # noqa: E402

Search.program = sys.argv[1]

KILLS = 20
RANKS = 3


def children_of(pid):
    """Processes started by it, now."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat") as f:
                fields = f.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(entry))
    return sorted(found)


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


class Kill(Search):
    config_text = SMALL.replace("num_requests: 2000", "num_requests: 20000")

    def setUp(self):
        super().setUp()
        self.need_h5py()
        self.search("-q", "-o", "first.h5", before=mpirun(RANKS))  # makes the tables
        begin = time.monotonic()
        self.search("-q", "-o", "whole.h5", before=mpirun(RANKS))
        self.takes_s = time.monotonic() - begin
        self.whole = read(self.path("whole.h5"))

    def start(self, *args):
        with open(self.path("log"), "a") as log:
            return subprocess.Popen([*mpirun(RANKS), self.program, "a.yaml", "-o", "r.h5",
                                     "-q", *args], cwd=self.folder, stdout=log,
                                    stderr=log)

    def kill_at(self, process, after_s, everything, draw):
        """False when the search was over before."""
        time.sleep(after_s)
        ranks = children_of(process.pid)
        if process.poll() is not None or len(ranks) < RANKS:
            process.wait(timeout=60)
            return False
        victims = [process.pid, *ranks] if everything else [draw.choice(ranks)]
        for pid in victims:
            kill(pid)
        process.wait(timeout=60)
        for pid in ranks:  # orphans of a killed mpirun, whose end nobody waits for
            while os.path.exists(f"/proc/{pid}") and everything:
                time.sleep(0.01)
        return True

    def finish(self):
        done = self.search("-q", "-o", "r.h5", "--resume", before=mpirun(RANKS))
        self.assertEqual(done.stderr, "")
        self.assertEqual(differences(self.whole, read(self.path("r.h5"))), [])
        self.assertFalse(os.path.exists(self.path("r.h5.journal")))

    def test_killed_at_random_moments(self):
        draw = random.Random(20240517)
        killed = {True: 0, False: 0}
        kept = 0
        while sum(killed.values()) < KILLS:
            everything = draw.random() < 0.5
            process = self.start()
            if self.kill_at(process, draw.uniform(0.25, 0.9) * self.takes_s,
                            everything, draw):
                killed[everything] += 1
                if os.path.exists(self.path("r.h5.journal")):
                    kept += os.path.getsize(self.path("r.h5.journal")) > 5000
            self.finish()
            os.unlink(self.path("r.h5"))
        self.assertGreater(min(killed.values()), 4)
        self.assertGreater(kept, 5, "the kills came before anything was done")

    def test_killed_again_and_again(self):
        """One search, killed until it is through."""
        draw = random.Random(7)
        for death in range(8):
            resume = ["--resume"] if death else []
            # Deaths of no fault of any candidate's, more than are allowed for.
            process = self.start(*resume, "--set", "search.max_deaths=100")
            self.kill_at(process, draw.uniform(0.3, 0.6) * self.takes_s, death % 2 == 0,
                         draw)
        self.search("-q", "-o", "r.h5", "--resume", "--set", "search.max_deaths=100",
                    before=mpirun(RANKS))
        self.assertEqual(differences(self.whole, read(self.path("r.h5"))), [])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
