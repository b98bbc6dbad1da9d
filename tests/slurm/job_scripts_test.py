"""What jobs/*.sbatch do, without Slurm: a launcher, a search and Slurm's commands that play
a plan stand in for the real ones, and write down how they were called.

    job_scripts_test.py SOURCE-FOLDER
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

JOBS = os.path.join(os.path.abspath(sys.argv[1]), "jobs")

# Line N of `plan` is what the search does when it runs for the N-th time.
SEARCH = """#!/usr/bin/env bash
printf '%s|' "$@" >>calls
echo >>calls
eval "$(sed -n "$(wc -l <calls)p" plan)"
"""
# Written to stand in for mpirun: the command comes after its options.
MPIRUN = """#!/usr/bin/env bash
echo "$*" >>launches
while [ "${1##*/}" != vidur-search ]; do shift; done
exec "$@"
"""
SCONTROL = """#!/usr/bin/env bash
case $1 in
show) echo "JobId=7 JobName=x Command=$SCRIPT a.yaml r.h5 WorkDir=/" ;;
*) echo "$*" >>scontrol-calls; [ ! -e refuse ] ;;
esac
"""
SQUEUE = """#!/usr/bin/env bash
echo "${STATE:-RUNNING}"
"""
REPORT = """#!/usr/bin/env bash
echo "$*" >>reports
[ "$1" != --merge ] || touch "${@: -1}"
"""
DONE = "touch r.h5; rm -f r.h5.journal; exit 0"
DIE = "touch r.h5.journal; kill -KILL $$"
# Until told to stop, as the real one: status 3.
WORK = "trap 'exit 3' USR1; touch r.h5.journal working; while :; do sleep 0.05; done"


class Jobs(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = holder.name
        self.bin = os.path.join(self.folder, "bin")
        os.mkdir(self.bin)
        for name, text in (("vidur-search", SEARCH), ("vidur-report", REPORT),
                           ("mpirun", MPIRUN), ("srun", MPIRUN),
                           ("scontrol", SCONTROL), ("squeue", SQUEUE)):
            self.write(f"bin/{name}", text)
            os.chmod(os.path.join(self.bin, name), 0o755)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text=""):
        with open(self.path(name), "w") as f:
            f.write(text)

    def lines(self, name):
        try:
            with open(self.path(name)) as f:
                return f.read().splitlines()
        except FileNotFoundError:
            return []

    def start(self, *plan, script="search.sbatch", args=("a.yaml", "r.h5"), **env):
        """As Slurm does: a copy of the script, run from elsewhere."""
        self.write("plan", "\n".join(plan) + "\n")
        original = os.path.join(JOBS, script)
        copy = shutil.copy(original, self.path("slurm_script"))
        inherited = {k: v for k, v in os.environ.items()
                     if not k.startswith(("SLURM_", "VIDUR_", "MAX_", "OMPI_"))}
        whole = dict(inherited, PATH=f"{self.bin}:{os.environ['PATH']}", SCRIPT=original,
                     SLURM_JOB_ID="7", SLURM_NTASKS="2", VIDUR_BIN=self.bin,
                     STOP_PATIENCE_S="600")
        whole.update(env)
        return subprocess.Popen(["bash", copy, *args], cwd=self.folder, env=whole,
                                text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT)

    def end(self, job, status):
        log, _ = job.communicate()
        self.assertEqual(job.returncode, status, log)
        return log

    def run_job(self, *plan, status=0, **more):
        return self.end(self.start(*plan, **more), status)

    def calls(self):
        return [line.split("|")[:-1] for line in self.lines("calls")]

    def stop_while_working(self, job):
        """Slurm's early signal goes to the batch shell alone."""
        while not os.path.exists(self.path("working")):
            self.assertIsNone(job.poll())
            time.sleep(0.01)
        job.send_signal(signal.SIGTERM)

    # ---- A run that ends by itself ----

    def test_done(self):
        log = self.run_job(DONE, args=("a.yaml", "r.h5", "--set", "tp_dimensions=[1, 2]"))
        self.assertEqual(self.calls(), [["a.yaml", "-o", "r.h5", "--set",
                                         "tp_dimensions=[1, 2]"]])
        self.assertEqual(self.lines("reports"),
                         ["r.h5 --html r.html --markdown r.md --csv r.csv"])
        self.assertIn("ends with status 0", log)
        self.assertIn(" -n 2 ", self.lines("launches")[0])

    def test_threads_are_the_processors_of_a_task(self):
        self.run_job(DONE, SLURM_CPUS_PER_TASK="4", VIDUR_LAUNCHER="srun",
                     VIDUR_LAUNCHER_OPTIONS="--mpi=pmix --mem=0")
        self.assertEqual(self.calls()[0][3:], ["--threads", "4"])
        self.assertIn("-n 2 -c 4 --mpi=pmix --mem=0 ", self.lines("launches")[0])

    def test_bad_input_ends_the_job(self):
        self.run_job("exit 1", status=1)
        self.assertEqual(len(self.calls()), 1)
        self.assertEqual(self.lines("reports") + self.lines("scontrol-calls"), [])

    def test_bad_calls(self):
        for args in ((), ("a.yaml",), ("a.yaml", "-o", "r.h5"), ("", "r.h5")):
            self.assertIn("usage: sbatch", self.run_job(status=1, args=args))
        self.assertIn("mpirun or srun", self.run_job(status=1, VIDUR_LAUNCHER="ssh"))
        self.assertIn("no vidur-search in nowhere", self.run_job(status=1,
                                                                 VIDUR_BIN="nowhere"))
        self.assertEqual(self.calls(), [])

    def test_failed_candidates_are_a_result(self):
        self.run_job("touch r.h5; exit 2", status=2)
        self.assertEqual(len(self.calls()), 1)
        self.assertEqual(len(self.lines("reports")), 1)

    # ---- Deaths ----

    def test_death_restarts_with_resume(self):
        log = self.run_job(DIE, DONE)
        self.assertEqual(self.calls(), [["a.yaml", "-o", "r.h5"],
                                        ["a.yaml", "-o", "r.h5", "--resume"]])
        self.assertIn("ended with status 137; restart 1 of 10", log)
        self.assertEqual(self.lines("scontrol-calls"), [])

    def test_launcher_that_calls_a_death_bad_input(self):
        """mpirun ends with 1 after SIGTERM."""
        self.run_job("touch r.h5.journal; exit 1", DONE)
        self.assertEqual(self.calls()[1][3:], ["--resume"])

    def test_death_after_the_results_were_written(self):
        """Resuming then finds them; starting anew would search again."""
        self.run_job("touch r.h5; kill -KILL $$", DONE)
        self.assertEqual(self.calls()[1][3:], ["--resume"])

    def test_not_completed_restarts(self):
        self.run_job("touch r.h5.journal; exit 2", DONE)
        self.assertEqual(len(self.calls()), 2)

    def test_restarts_are_bounded(self):
        self.run_job(*[DIE] * 12, status=137)
        self.assertEqual(len(self.calls()), 11)
        self.assertEqual(self.lines("reports"), [])

    def test_restarts_can_be_forbidden(self):
        self.run_job(DIE, DONE, status=137, MAX_RESTARTS="0")
        self.assertEqual(len(self.calls()), 1)

    # ---- The time limit ----

    def test_limit_requeues(self):
        job = self.start(WORK)
        self.stop_while_working(job)
        self.end(job, 3)
        self.assertEqual(self.lines("scontrol-calls"), ["requeue 7"])
        self.assertEqual(self.lines("reports"), [])

    def test_array_task_requeues_itself_alone(self):
        job = self.start(WORK, script="search-array.sbatch", SLURM_ARRAY_JOB_ID="7",
                         SLURM_ARRAY_TASK_ID="1", SLURM_ARRAY_TASK_COUNT="2",
                         SLURM_ARRAY_TASK_MAX="1")
        self.stop_while_working(job)
        self.end(job, 3)
        self.assertEqual(self.lines("scontrol-calls"), ["requeue 7_1"])

    def test_cancelled_job_is_not_requeued(self):
        job = self.start(WORK, STATE="COMPLETING")
        self.stop_while_working(job)
        self.assertIn("resume.sbatch", self.end(job, 3))
        self.assertEqual(self.lines("scontrol-calls"), [])

    def test_launcher_that_hides_the_status(self):
        """mpirun that is killed itself ends with 1."""
        job = self.start(WORK.replace("exit 3", "exit 1"))
        self.stop_while_working(job)
        self.end(job, 3)
        self.assertEqual(self.lines("scontrol-calls"), ["requeue 7"])

    def test_launcher_that_hangs_is_killed(self):
        job = self.start(WORK.replace("'exit 3'", "''"), STOP_PATIENCE_S="0.5")
        self.stop_while_working(job)
        self.end(job, 3)
        self.assertEqual(self.lines("scontrol-calls"), ["requeue 7"])

    def test_done_in_the_last_moment(self):
        job = self.start(WORK.replace("exit 3", DONE))
        self.stop_while_working(job)
        self.end(job, 0)
        self.assertEqual(self.lines("scontrol-calls"), [])
        self.assertEqual(len(self.lines("reports")), 1)

    def test_requeues_are_bounded(self):
        job = self.start(WORK, SLURM_RESTART_COUNT="2", MAX_REQUEUES="2")
        self.stop_while_working(job)
        self.assertIn("MAX_REQUEUES", self.end(job, 3))
        self.assertEqual(self.lines("scontrol-calls"), [])

    def test_refused_requeue(self):
        self.write("refuse")
        job = self.start(WORK)
        self.stop_while_working(job)
        self.assertIn("Slurm refuses", self.end(job, 3))

    # ---- Resuming ----

    def test_when_to_resume(self):
        """After a requeue, where a journal is, and when asked to."""
        self.run_job(DONE, SLURM_RESTART_COUNT="1")
        self.run_job("", DONE, script="resume.sbatch")
        self.write("r.h5.journal")
        self.run_job("", "", DONE)
        self.assertEqual([call[3:] for call in self.calls()], [["--resume"]] * 3)

    # ---- Arrays ----

    def task(self, index, count=3, **more):
        part = f"r.part-{index}-of-{count}.h5"
        env = dict({"SLURM_ARRAY_JOB_ID": "6", "SLURM_ARRAY_TASK_ID": str(index),
                    "SLURM_ARRAY_TASK_COUNT": str(count),
                    "SLURM_ARRAY_TASK_MAX": str(count - 1)}, **more)
        self.write("calls")
        return self.run_job(f"[ ! -e {part} ] && touch {part}",
                            script="search-array.sbatch",
                            args=("a.yaml", "r.h5", "--top", "3"), **env)

    def test_array_joins_when_all_parts_are_there(self):
        parts = [f"r.part-{i}-of-3.h5" for i in range(3)]
        self.write(parts[1])  # of an earlier search
        self.task(1)
        self.assertEqual(self.calls(), [["a.yaml", "-o", parts[1], "--shard", "1/3",
                                         "--top", "3"]])
        self.assertIn("part 0 of 3 is not done yet", self.task(2))
        self.assertEqual(self.lines("reports"), [])
        self.task(0)
        self.assertEqual(self.lines("reports"),
                         [f"--merge {' '.join(parts)} -o r.h5",
                          "r.h5 --html r.html --markdown r.md --csv r.csv"])

    def test_array_waits_for_a_part_that_is_resumed(self):
        for name in ("r.part-0-of-3.h5", "r.part-1-of-3.h5", "r.part-1-of-3.h5.journal"):
            self.write(name)
        self.assertIn("part 1 of 3 is not done yet", self.task(2))

    def test_one_task_again(self):
        """sbatch --array=2 with PARTS."""
        self.task(2, SLURM_ARRAY_TASK_COUNT="1", SLURM_ARRAY_TASK_MAX="2", PARTS="3")
        self.assertIn("2/3", self.calls()[0])

    def test_array_with_gaps_is_refused(self):
        for env in ({"SLURM_ARRAY_TASK_MAX": "4"}, {"SLURM_ARRAY_TASK_ID": "3"},
                    {"SLURM_ARRAY_TASK_ID": ""}):
            self.assertIn("--array=0-7", self.task(2, status=1, **env))
            self.assertEqual(self.calls(), [])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=2)
