"""jobs/*.sbatch on a real Slurm of one node, which this test starts on the loopback and
takes down again: a rank that dies, the time limit and the requeue, cancelling and resuming
by hand, an array of jobs, bad input. What they leave equals a search without Slurm.

    slurm_test.py VIDUR-SEARCH SOURCE-FOLDER

Skipped (77) where Slurm or munge is not installed or cannot be started.
"""

import os
import resource
import signal
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "program")]
import search_support  # noqa: E402
from search_support import SMALL, Search, differences, mpirun, read  # noqa: E402
from slurm_cluster import DAEMONS, CannotStart, Cluster, program  # noqa: E402

PROGRAM, SOURCE = map(os.path.abspath, sys.argv[1:3])
LIMIT_S = 560  # below ctest's, so that the cluster is always taken down

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


def cpu_s():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


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

    def wait(self, condition, timeout_s, what):
        end = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > end:
                self.fail(f"{what} not within {timeout_s} s\n{self.log()}{CLUSTER.logs()}")
            time.sleep(0.2)

    def wait_over(self, job, state, timeout_s=240):
        """Until all its tasks are; the fields of the first."""
        self.wait(lambda: all(task["JobState"] in OVER for task in CLUSTER.show(job)),
                  timeout_s, f"end of job {job}")
        for task in CLUSTER.show(job):
            self.assertEqual(task["JobState"], state, self.log())
        return CLUSTER.show(job)[0]

    def wait_for_probes(self, bytes_more):
        """Until the search has written down so much."""
        begin = self.journal_bytes()
        self.wait(lambda: self.journal_bytes() >= begin + bytes_more, 120, "journal")

    def journal_bytes(self):
        try:
            return os.path.getsize(self.path("r.h5.journal"))
        except OSError:
            return 0

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

    def size_to(self, wanted_cpu_s):
        """As many requests as make the search this long, whatever the machine."""
        begin_s = cpu_s()
        self.write(PAPER)
        self.search("-q", "-o", "pilot.h5", before=mpirun(2))
        requests = int(8000 * max(wanted_cpu_s / (cpu_s() - begin_s), 0.5))
        self.write(PAPER.replace("num_requests: 8000", f"num_requests: {requests}"))

    def expect_whole(self, name="r.h5"):
        """The same as without Slurm, and its report."""
        self.search("-q", "-o", "whole.h5", before=mpirun(2))
        self.assertEqual(differences(read(self.path("whole.h5")), read(self.path(name))),
                         [])
        self.assertFalse(os.path.exists(self.path(f"{name}.journal")))
        for ending in ("html", "md", "csv"):
            report = self.path(name.replace(".h5", f".{ending}"))
            self.assertGreater(os.path.getsize(report), 100, report)

    def wait_for_limit_check(self):
        """Slurm looks every 30 s, and one look warns any job of a minute: a job that
        begins now is warned in about 18 s."""
        end = time.monotonic() + 40  # the first look comes 30 s after Slurm began
        while CLUSTER.last_limit_check_s() is None and time.monotonic() < end:
            time.sleep(0.5)
        last = CLUSTER.last_limit_check_s()
        if last is not None:
            time.sleep(30 - (time.time() - last + 20) % 30)

    def test_dead_rank_then_time_limit(self):
        self.size_to(56)
        self.wait_for_limit_check()
        job = self.sbatch("-n", "2", "-t", "1", "--signal=B:TERM@50", "a.yaml", "r.h5")
        self.wait_for_probes(1500)
        os.kill(self.ranks()[-1], signal.SIGKILL)
        self.wait(lambda: "restart 1 of 3 in this allocation" in self.log(), 60, "restart")
        self.wait_for_probes(500)
        self.wait(lambda: CLUSTER.show(job)[0]["JobState"] == "PENDING", 120, "requeue")
        log = self.log()
        self.assertIn("ended with status 137", log)
        self.assertIn("SIGTERM: the search is told to stop", log)
        self.assertIn("interrupted (status 3)", log)
        self.assertIn("requeued; the next run resumes", log)
        self.assertEqual(self.ranks(), [])
        self.assertGreater(self.journal_bytes(), 0)
        # Slurm would wait two minutes; this time the search may take as long as it needs.
        done = CLUSTER.call("scontrol", "update", f"jobid={job}", "starttime=now",
                            "timelimit=10")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.wait_over(job, "COMPLETED")["Restarts"], "1")
        log = self.log()
        self.assertEqual(log.count("resumed: "), 2, log)
        self.assertNotIn("resumed: 0 of", log.split("run 2 of job")[1], log)
        self.assertIn("Results: r.h5", log)
        self.expect_whole()

    def test_cancelled_then_resumed_by_hand(self):
        self.write(PAPER)
        job = self.sbatch("-n", "2", "a.yaml", "r.h5")
        self.wait_for_probes(2000)
        self.assertEqual(CLUSTER.call("scancel", job).returncode, 0)
        self.wait_over(job, "CANCELLED")
        self.wait(lambda: "ends with status 3" in self.log(), 60, "end of the script")
        self.assertIn("not requeued; to go on: sbatch jobs/resume.sbatch", self.log())
        job = self.sbatch("-n", "1", "a.yaml", "r.h5", script="resume.sbatch")
        self.wait_over(job, "COMPLETED")
        self.assertIn("resumed: ", self.log())
        self.expect_whole()

    def test_array_of_jobs(self):
        self.write(SMALL)
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
