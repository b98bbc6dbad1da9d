"""jobs/*.sbatch on a real Slurm of one node, which this test starts on the loopback and
takes down again: a rank that dies, the time limit and the requeue, cancelling and resuming
by hand, an array of jobs, bad input. What they leave equals a search without Slurm.

    slurm_test.py VIDUR-SEARCH SOURCE-FOLDER

Skipped (77) where Slurm or munge is not installed or cannot be started.
"""

import os
import signal
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "program")]
import search_support  # noqa: E402
from search_support import (SMALL, Search, differences, mpirun, read,  # noqa: E402
                            steps_in)
from slurm_cluster import DAEMONS, CannotStart, Cluster, program  # noqa: E402

PROGRAM, SOURCE = map(os.path.abspath, sys.argv[1:3])
LIMIT_S = 3500  # below ctest's, so that the cluster is always taken down
PATIENCE_S = 1200  # no less than the slowest machine takes for anything here

# Llama-2-70B on long prompts and pipelines: 48 candidates.
PAPER = """\
models: [{name: llama2-70b, identifier: meta-llama/Llama-2-70b-hf}]
clusters: [{device: a100, network_device: a100_pairwise_nvlink, num_gpus: 16}]
schedulers: [{scheduler: vllm}, {scheduler: sarathi, chunk_size: [512, 1024]}]
traces: [{name: bwb, trace_file: "data:traces/bwb-4k-synthetic.csv", max_seq_len: 4096,
          num_requests: 8000}]
batch_sizes: [32, 64, 128, 256]
tp_dimensions: [2, 4]
pp_dimensions: [2, 4]
slos: [{metric: ttft, quantile: 0.9, limit_s: 2.0}, {metric: tbt, quantile: 0.99, limit_s: 0.2},
       {metric: scheduling_delay, quantile: 0.99, limit_s: 5.0}]
estimator: {source: roofline, cache_dir: cache}
"""
OVER = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")

CLUSTER = None  # main starts it


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


class Slurm(Search):
    program = PROGRAM

    def sbatch(self, *args, script="search.sbatch"):
        words = args[:-2] + (os.path.join(SOURCE, "jobs", script),) + args[-2:]
        env = dict(CLUSTER.env, VIDUR_BIN=os.path.dirname(PROGRAM))
        done = CLUSTER.call("sbatch", "--parsable", "--output=log-%j", *words, env=env,
                            cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def log(self):
        text = ""
        for name in self.files():
            if name.startswith("log-"):
                with open(self.path(name)) as f:
                    text += f"--- {name}\n{f.read()}"
        return text

    def wait(self, condition, what):
        end = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > end:
                self.fail(f"{what} not within {PATIENCE_S} s\n{self.log()}{CLUSTER.logs()}")
            time.sleep(0.2)

    def is_over(self, job):
        tasks = CLUSTER.show(job)
        return bool(tasks) and all(task["JobState"] in OVER for task in tasks)

    def wait_over(self, job, state):
        """Until all its tasks are; the fields of the first."""
        self.wait(lambda: self.is_over(job), f"end of job {job}")
        for task in CLUSTER.show(job):
            self.assertEqual(task["JobState"], state, self.log())
        return CLUSTER.show(job)[0]

    def steps(self):
        return steps_in(self.path("r.h5.journal"))

    def hold(self, steps):
        """Stops the ranks where they are, once the journal has so many steps more, until
        release(): the search cannot end meanwhile, however fast the machine is."""
        wanted = self.steps() + steps
        end = time.monotonic() + PATIENCE_S
        while self.steps() < wanted:
            self.assertLess(time.monotonic(), end, self.log())
            time.sleep(0.005)
        self.held = self.ranks()
        for pid in self.held:
            os.kill(pid, signal.SIGSTOP)
        self.assertTrue(os.path.exists(self.path("r.h5.journal")), "it was over before")

    def release(self):
        for pid in self.held:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass

    def ranks(self):
        """This search's processes, by their program and folder."""
        found = []
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.readlink(f"/proc/{entry}/exe") == PROGRAM and \
                        os.readlink(f"/proc/{entry}/cwd") == self.folder:
                    found.append(int(entry))
            except OSError:
                pass
        return sorted(found)

    def expect_whole(self, name="r.h5"):
        """The same as without Slurm, and its report."""
        self.search("-q", "-o", "whole.h5", before=mpirun(2))
        self.assertEqual(differences(read(self.path("whole.h5")), read(self.path(name))),
                         [])
        self.assertFalse(os.path.exists(self.path(f"{name}.journal")))
        for ending in ("html", "md", "csv"):
            report = self.path(name.replace(".h5", f".{ending}"))
            self.assertGreater(os.path.getsize(report), 100, report)

    def test_dead_rank_then_time_limit(self):
        self.write(PAPER)
        job = self.sbatch("-n", "2", "-t", "60", "--signal=B:TERM@240",
                          "--export=ALL,STOP_PATIENCE_S=600", "a.yaml", "r.h5")
        self.hold(3)
        os.kill(self.held[-1], signal.SIGKILL)
        self.release()
        self.wait(lambda: "restart 1 of 10 in this allocation" in self.log(), "restart")
        self.hold(2)
        # Four minutes are left from now on: Slurm, which looks every 30 s, sends its signal.
        limit = int(time.time() - self.began_s(job)) // 60 + 4
        done = CLUSTER.call("scontrol", "update", f"jobid={job}", f"timelimit={limit}")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.wait(lambda: "SIGTERM: the search is told to stop" in self.log(), "signal")
        self.release()
        self.wait(lambda: CLUSTER.show(job)[0]["JobState"] == "PENDING", "requeue")
        log = self.log()
        self.assertIn("ended with status 137", log)
        self.assertIn("interrupted (status 3)", log)
        self.assertIn("requeued; the next run resumes", log)
        self.assertEqual(self.ranks(), [])
        self.assertGreater(self.steps(), 0)
        # Slurm would wait two minutes; this time the search may take as long as it needs.
        done = CLUSTER.call("scontrol", "update", f"jobid={job}", "starttime=now",
                            "timelimit=60")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.wait_over(job, "COMPLETED")["Restarts"], "1")
        log = self.log()
        self.assertEqual(log.count("resumed: "), 2, log)
        self.assertNotIn(", 0 probes kept", log.split("run 2 of job")[1], log)
        self.assertIn("Results: r.h5", log)
        self.expect_whole()

    def began_s(self, job):
        return time.mktime(time.strptime(CLUSTER.show(job)[0]["StartTime"],
                                         "%Y-%m-%dT%H:%M:%S"))

    def test_cancelled_then_resumed_by_hand(self):
        self.write(PAPER)
        job = self.sbatch("-n", "2", "a.yaml", "r.h5")
        self.hold(4)
        self.assertEqual(CLUSTER.call("scancel", job).returncode, 0)
        self.release()
        self.wait_over(job, "CANCELLED")
        self.wait(lambda: "ends with status 3" in self.log(), "end of the script")
        self.assertIn("not requeued; to go on: sbatch jobs/resume.sbatch", self.log())
        job = self.sbatch("-n", "1", "a.yaml", "r.h5", script="resume.sbatch")
        self.wait_over(job, "COMPLETED")
        self.assertIn("resumed: ", self.log())
        self.expect_whole()

    def test_array_of_jobs(self):
        # Every shard would confirm its own best.
        self.write(SMALL + "search: {confirm_top: 0}\n")
        job = self.sbatch("--array=0-2", "a.yaml", "r.h5", script="search-array.sbatch")
        self.wait_over(job, "COMPLETED")
        self.assertIn("joins 3 parts in r.h5", self.log())
        self.expect_whole()

    def test_bad_input_is_not_tried_again(self):
        self.write(SMALL + "batchsizes: [3]\n")
        job = self.sbatch("a.yaml", "r.h5")
        fields = self.wait_over(job, "FAILED")
        self.assertEqual((fields["ExitCode"], fields["Restarts"]), ("1:0", "0"))
        log = self.log()
        self.assertEqual(log.count("unknown key"), 1, log)
        self.assertNotIn("restart", log)
        self.assertEqual([name for name in self.files() if name.startswith("r.")], [])


def give_up(number, frame):
    raise KeyboardInterrupt(f"stopped by signal {number}")  # which ends all tests


def main():
    global CLUSTER
    for name in (*DAEMONS, "sbatch", "scontrol", "squeue", "mpirun"):
        if not program(name):
            skip(f"{name} is not installed")
    if os.geteuid() != 0:
        skip("Slurm's daemons need root")
    if not search_support.h5py:
        skip("h5py is not here")
    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, give_up)
    signal.alarm(LIMIT_S)
    CLUSTER = Cluster()
    try:
        try:
            CLUSTER.start()
        except (CannotStart, OSError, subprocess.SubprocessError) as error:
            print(CLUSTER.logs())
            skip(f"Slurm cannot be started here: {error}")
        ran = unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2, exit=False)
        return 0 if ran.result.wasSuccessful() else 1
    finally:
        signal.alarm(0)
        CLUSTER.stop()


if __name__ == "__main__":
    sys.exit(main())
