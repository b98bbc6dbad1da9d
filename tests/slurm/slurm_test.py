"""jobs/*.sbatch on a real Slurm of one node, which this test starts on the loopback and
takes down again: time limit and requeue, a rank that dies, an array of jobs.

    slurm_test.py VIDUR-SEARCH SOURCE-FOLDER

Skipped (77) where Slurm or munge is not installed or cannot be started.
"""

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..",
                                "program"))
import search_support  # noqa: E402
from search_support import SMALL, differences, read  # noqa: E402

PROGRAM, SOURCE = map(os.path.abspath, sys.argv[1:3])

CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort={ctld_port}
SlurmdPort={d_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CryptoType=crypto/munge
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
JobRequeue=1
KillWait=5
SchedulerParameters=sched_interval=5
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=test Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Cluster:
    """munged, slurmctld and slurmd in one temporary folder, addressed by their pids."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="vidur-slurm-")
        self.host = socket.gethostname().split(".")[0]
        self.env = dict(os.environ, SLURM_CONF=self.path("slurm.conf"))
        os.chmod(self.folder, 0o755)

    def path(self, name):
        return os.path.join(self.folder, name)

    def start(self):
        for name in ("state", "spool", "munge"):
            os.mkdir(self.path(name), 0o755)
        user = pwd.getpwnam("munge")
        with open(self.path("munge/key"), "wb") as f:
            f.write(os.urandom(128))
        for name in ("munge", "munge/key"):
            os.chown(self.path(name), user.pw_uid, user.pw_gid)
        os.chmod(self.path("munge/key"), 0o400)
        munge = [f"--{option}={self.path('munge/' + name)}" for option, name in
                 (("socket", "socket"), ("pid-file", "pid"), ("log-file", "log"),
                  ("seed-file", "seed"), ("key-file", "key"))]
        self.run("munged", *munge, user="munge", group="munge", extra_groups=[])
        with open(self.path("slurm.conf"), "w") as f:
            f.write(CONF.format(folder=self.folder, host=self.host,
                                ctld_port=free_port(), d_port=free_port()))
        self.run("slurmctld", "-f", self.path("slurm.conf"))
        self.run("slurmd", "-f", self.path("slurm.conf"), "-N", self.host)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            done = subprocess.run(["sinfo", "-h", "-o", "%T"], env=self.env, text=True,
                                  capture_output=True)
            if done.stdout.strip() == "idle":
                return
            time.sleep(0.5)
        raise RuntimeError("the node does not become idle")

    def run(self, program, *args, **kwargs):
        program = shutil.which(program) or f"/usr/sbin/{program}"
        subprocess.run([program, *args], env=self.env, check=True, timeout=30,
                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **kwargs)

    def pid(self, name):
        try:
            with open(self.path(name)) as f:
                return int(f.read())
        except (OSError, ValueError):
            return None

    def stop(self):
        for name in ("slurmctld.pid", "slurmd.pid", "munge/pid"):
            pid = self.pid(name)
            if not pid:
                continue
            try:
                os.kill(pid, signal.SIGTERM)
                for _ in range(100):
                    os.kill(pid, 0)
                    time.sleep(0.1)
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        shutil.rmtree(self.folder, ignore_errors=True)

    def logs(self):
        text = ""
        for name in ("slurmctld.log", "slurmd.log"):
            try:
                with open(self.path(name)) as f:
                    text += f"--- {name}\n" + f.read()[-3000:]
            except OSError:
                pass
        return text


CLUSTER = None


class Slurm(search_support.Search):
    program = PROGRAM

    def setUp(self):
        super().setUp()
        self.env = dict(CLUSTER.env, VIDUR_ROOT=SOURCE, VIDUR_BIN=os.path.dirname(PROGRAM))

    def sbatch(self, *args):
        done = subprocess.run(["sbatch", "--parsable", *args], text=True, env=self.env,
                              capture_output=True, cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip().split(";")[0]

    def show(self, job):
        """A job's (or all its tasks') fields."""
        done = subprocess.run(["scontrol", "-o", "show", "job", job], text=True,
                              capture_output=True, env=self.env)
        return [dict(re.findall(r"(\S+?)=(\S*)", line))
                for line in done.stdout.splitlines() if "JobState=" in line]

    def wait(self, job, timeout_s):
        """Until it is over, its requeued runs started at once. The last fields."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            tasks = self.show(job)
            for task in tasks:
                if task["JobState"] == "PENDING" and task.get("Restarts", "0") != "0":
                    subprocess.run(["scontrol", "update", f"jobid={task['JobId']}",
                                    "starttime=now"], env=self.env,
                                   capture_output=True)
            if tasks and all(t["JobState"] not in ("PENDING", "RUNNING", "COMPLETING",
                                                   "REQUEUED") for t in tasks):
                return tasks
            time.sleep(0.5)
        self.fail(f"job {job} is not over: {self.show(job)}\n{self.log()}{CLUSTER.logs()}")

    def log(self):
        text = ""
        for name in self.files():
            if name.endswith(".log"):
                with open(self.path(name)) as f:
                    text += f"--- {name}\n{f.read()}"
        return text

    def script(self, name):
        return os.path.join(SOURCE, "jobs", name)

    def scale(self, wanted_s):
        """Makes the search long enough to take this time on two ranks."""
        begin = time.monotonic()
        self.search("-q", "-o", "scale.h5", before=search_support.mpirun(2))
        took_s = max(time.monotonic() - begin - 0.7, 0.1)
        requests = int(2000 * min(max(wanted_s / took_s, 1), 400))
        self.write(SMALL.replace("num_requests: 2000", f"num_requests: {requests}"))

    def whole(self):
        """The same without Slurm."""
        self.search("-q", "-o", "whole.h5", before=search_support.mpirun(2))
        return read(self.path("whole.h5"))

    def expect_whole(self, name):
        self.assertEqual(differences(self.whole(), read(self.path(name))), [])

    def test_limit_requeue_and_result(self):
        """A minute's limit is not enough; three runs or so are."""
        self.scale(60)
        job = self.sbatch("-t", "1", "--signal=B:TERM@50", self.script("search.sbatch"),
                          "a.yaml", "-o", "r.h5")
        tasks = self.wait(job, 400)
        log = self.log()
        self.assertEqual(tasks[0]["JobState"], "COMPLETED", log)
        self.assertGreater(int(tasks[0]["Restarts"]), 0, log)
        self.assertIn("the time limit is near; stopping", log)
        self.assertIn("requeueing; the next run resumes", log)
        self.assertIn("resumed: ", log)
        self.assertIn("Results: r.h5", log)
        self.expect_whole("r.h5")

    def ranks(self):
        """vidur-search processes that run in this test's folder."""
        found = []
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.readlink(f"/proc/{entry}/exe") == PROGRAM and \
                        os.readlink(f"/proc/{entry}/cwd") == self.folder:
                    found.append(int(entry))
            except OSError:
                pass
        return found

    def test_dead_rank_restarts_in_the_allocation(self):
        self.scale(8)
        job = self.sbatch("-t", "5", self.script("search.sbatch"), "a.yaml", "-o", "r.h5")
        end = time.monotonic() + 60
        while len(self.ranks()) < 2 and time.monotonic() < end:
            time.sleep(0.1)
        time.sleep(2)
        os.kill(self.ranks()[-1], signal.SIGKILL)
        tasks = self.wait(job, 200)
        log = self.log()
        self.assertEqual(tasks[0]["JobState"], "COMPLETED", log)
        self.assertEqual(tasks[0]["Restarts"], "0", log)
        self.assertIn("restart 1, what was finished is kept", log)
        self.assertIn("resumed: ", log)
        self.expect_whole("r.h5")

    def test_resume_after_cancelling(self):
        self.scale(8)
        job = self.sbatch("-t", "5", self.script("search.sbatch"), "a.yaml", "-o", "r.h5")
        end = time.monotonic() + 60
        while not os.path.exists(self.path("r.h5.journal")) and time.monotonic() < end:
            time.sleep(0.1)
        time.sleep(2)
        subprocess.run(["scancel", "--full", job], env=self.env, check=True)
        self.assertEqual(self.wait(job, 60)[0]["JobState"], "CANCELLED")
        self.assertIn("r.h5.journal", self.files())
        job = self.sbatch("-n", "1", self.script("resume.sbatch"), "a.yaml", "-o", "r.h5")
        self.assertEqual(self.wait(job, 200)[0]["JobState"], "COMPLETED", self.log())
        self.assertIn("resumed: ", self.log())
        self.expect_whole("r.h5")

    def test_array_of_jobs(self):
        job = self.sbatch("--array=0-2", self.script("search-array.sbatch"), "a.yaml",
                          "r.h5")
        tasks = self.wait(job, 120)
        self.assertEqual([t["JobState"] for t in tasks], ["COMPLETED"] * 3, self.log())
        self.assertIn("joining 3 parts", self.log())
        self.expect_whole("r.h5")

    def test_bad_input_is_not_retried(self):
        self.write(SMALL + "batchsizes: [3]\n")
        job = self.sbatch(self.script("search.sbatch"), "a.yaml", "-o", "r.h5")
        self.assertEqual(self.wait(job, 60)[0]["JobState"], "FAILED")
        self.assertEqual(self.log().count("unknown key"), 1)


def main():
    global CLUSTER
    for program in ("munged", "slurmctld", "slurmd", "sbatch", "mpirun"):
        if not (shutil.which(program) or os.path.exists(f"/usr/sbin/{program}")):
            skip(f"{program} is not installed")
    if os.geteuid() != 0:
        skip("Slurm's daemons need root")
    if not search_support.h5py:
        skip("h5py is not here")
    CLUSTER = Cluster()
    try:
        try:
            CLUSTER.start()
        except (subprocess.SubprocessError, OSError, RuntimeError, KeyError) as error:
            print(CLUSTER.logs())
            skip(f"Slurm cannot be started here: {error}")
        result = unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2, exit=False)
        return 0 if result.result.wasSuccessful() else 1
    finally:
        CLUSTER.stop()


if __name__ == "__main__":
    sys.exit(main())
