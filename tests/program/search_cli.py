"""vidur-search as a user meets it: options, output, errors, signals, disks.

    search_cli.py VIDUR-SEARCH SOURCE-FOLDER
"""

import os
import re
import resource
import signal
import subprocess
import sys
import unittest

import search_support
from search_support import ENDLESS, SMALL, Search, steps_in, wait_until

PROGRAM, SOURCE = sys.argv[1:3]
Search.program = PROGRAM


class Options(Search):
    def test_help_and_version(self):
        text = self.run_program("--help").stdout
        for word in ("CONFIG.yaml", "--set", "--output", "--resume", "--shard", "Default",
                     "Examples", "mpirun", "configs/reference.yaml", "results.h5"):
            self.assertIn(word, text)
        done = self.run_program("--version")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"vidur-search \d+\.\d+\.\d+ \(commit .*\)")
        self.assertRegex(done.stdout, r"HDF5 \d")

    def test_bad_usage(self):
        for args in ([], ["a.yaml", "b.yaml"], ["--nope"], ["a.yaml", "--set", "x"],
                     ["a.yaml", "-o"], ["a.yaml", "--shard", "2/2"],
                     ["a.yaml", "--shard", "1"], ["a.yaml", "--shard", "a/b"],
                     ["a.yaml", "--threads", "many"], ["a.yaml", "--top", "-1"]):
            done = self.run_program(*args)
            self.assertEqual(done.returncode, 1, args)
            self.assertTrue(done.stderr.startswith("vidur-search: "), done.stderr)
            self.assertEqual((done.stdout, self.files()), ("", []))

    def test_what_is_printed(self):
        done = self.search("--top", "3")
        self.assertEqual(self.files(), ["results.h5"])
        for word in ("llama, u: 48 candidates", "rank", "QPS/$", "Results: results.h5",
                     "48 candidates, "):
            self.assertIn(word, done.stdout)
        found = re.search(r" candidates, (\d+) loads \((\d+) simulated\) in ", done.stdout)
        loads, simulated = int(found.group(1)), int(found.group(2))
        report = os.path.join(os.path.dirname(PROGRAM), "vidur-report")
        subprocess.run([report, self.path("results.h5"), "--markdown", self.path("r.md")],
                       check=True, stdout=subprocess.DEVNULL)
        with open(self.path("r.md"), encoding="utf-8") as file:
            self.assertIn(f"{loads} loads ({simulated} simulated)", file.read())
        self.assertLessEqual(simulated, loads)
        ranks = [line.split()[0] for line in done.stdout.splitlines()
                 if line.strip()[:1].isdigit() and "dgx" in line]
        self.assertEqual(ranks, ["1", "2", "3"])

    def test_quiet(self):
        done = self.search("-q", "-o", "r.h5")
        self.assertEqual((done.stdout, done.stderr), ("", ""))
        self.assertEqual(self.files(), ["r.h5"])

    def test_overrides_and_verbosity(self):
        done = self.search("-v", "--set", "batch_sizes=[16]", "--set",
                           "clusters.1.num_gpus=2")
        self.assertIn("16 candidates, ", done.stdout)
        self.assertIn("steps, ", done.stderr)


class Errors(Search):
    def refuse(self, text, *words, sets=(), **kwargs):
        """Exit 1, one line that says it, nothing written."""
        self.write(text)
        options = [word for item in sets for word in ("--set", item)]
        done = self.search("-o", "r.h5", *options, status=1, **kwargs)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertTrue(done.stderr.startswith("vidur-search: "), done.stderr)
        self.assertEqual((done.stdout, self.files()), ("", []))

    def test_unknown_key(self):
        self.refuse(SMALL + "batchsizes: [3]\n", "a.yaml:", "batchsizes: unknown key",
                    "batch_sizes")

    def test_tp_3(self):
        self.refuse(SMALL.replace("tp_dimensions: [1, 2]", "tp_dimensions: [3]"),
                    "a.yaml:8: tp_dimensions: 3 does not divide 32 query heads of llama")

    def test_missing_files(self):
        self.refuse(SMALL.replace("lengths: {type: uniform, min_tokens: 64, "
                                  "prefill_to_decode_ratio: 4}", "trace_file: no.csv"),
                    "traces.0.trace_file: ", "no.csv", "No such file")
        done = self.run_program("no.yaml")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no.yaml", done.stderr)

    def trace(self, text):
        self.write(text, "t.csv")
        return SMALL.replace("lengths: {type: uniform, min_tokens: 64, "
                             "prefill_to_decode_ratio: 4}", "trace_file: t.csv")

    def files(self):
        return [name for name in super().files() if name != "t.csv"]

    def test_text_in_a_number_column(self):
        self.refuse(self.trace("num_prefill_tokens,num_decode_tokens\n5,1\n7,two\n"),
                    "t.csv:3: num_decode_tokens: ")

    def test_empty_trace(self):
        self.refuse(self.trace("num_prefill_tokens,num_decode_tokens\n"), "t.csv")
        self.refuse(self.trace(""), "t.csv")

    def test_negative_qps(self):
        self.refuse(SMALL.replace("num_requests: 2000", "start_qps: -2"),
                    "traces.0.start_qps: -2 is out of range; it must be above 0")

    def test_unreadable_profiles(self):
        self.refuse(SMALL, "/no/such", sets=["estimator={source: profiles, "
                                             "profiles: /no/such}"])

    def test_unwritable_output(self):
        done = self.search("-o", "/no/such/r.h5", status=1)
        self.assertIn("/no/such", done.stderr)
        self.assertEqual(self.files(), [])

    def test_output_that_is_no_file(self):
        """Found out before the search, not after it."""
        os.mkdir(self.path("there"))
        for output in ("there", "there/", "new/", ""):
            done = self.search("-o", output, "-v", status=1)
            self.assertIn(f"-o '{output}': ", done.stderr)
            self.assertIn("name a file, like ", done.stderr)
            self.assertEqual(self.files(), ["there"])

    def test_output_that_holds_something_else(self):
        """As where the configuration is named twice: it stays."""
        with open(self.path("notes.txt"), "w", encoding="utf-8") as file:
            file.write("not to be lost\n")
        done = self.search("-o", "notes.txt", status=1)
        self.assertIn("notes.txt: is there and holds no results", done.stderr)
        with open(self.path("notes.txt"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "not to be lost\n")
        with open(self.path("empty.h5"), "w", encoding="utf-8"):
            pass
        self.search("-q", "-o", "empty.h5")

    def test_too_large_for_every_candidate(self):
        """A result, not an error."""
        done = self.search("--set", "models.0.identifier=Qwen/Qwen-72B", "--set",
                           "tp_dimensions=1", "--set", "pp_dimensions=1")
        self.assertIn("12 too large for memory", done.stdout)
        self.assertIn("note: No candidate fits in memory", done.stdout)
        self.assertEqual(self.files(), ["results.h5"])


# One candidate with much to do.
ONE = SMALL.replace("num_requests: 2000", "num_requests: 400000") + """\
include: [{device: a100, scheduler: vllm, batch_size: 16, tensor_parallel_size: 1,
           num_pipeline_stages: 1}]
"""


class Signals(Search):
    """Nothing here depends on how fast the machine is: a search is stopped when its journal
    says that it got somewhere, and cannot be over by then, or is begun again if it was."""

    config_text = ENDLESS

    def test_stops_when_told_to(self):
        """At its beginning and in its middle."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP):
            for steps in (0, 2):
                self.assertEqual(self.begin_and_stop(number, steps=steps), 3)
                self.assertEqual(self.files(), ["r.h5.journal"])
                os.unlink(self.path("r.h5.journal"))

    def test_interrupted_and_resumed(self):
        self.need_h5py()
        self.write(SMALL)
        self.search("-q", "-o", "whole.h5")
        self.begin_and_stop(signal.SIGTERM)
        done = self.search("-o", "r.h5", "--resume")
        self.assertIn("resumed: ", done.stderr)
        self.assertEqual(search_support.differences(
            search_support.read(self.path("whole.h5")),
            search_support.read(self.path("r.h5"))), [])
        self.assertEqual(self.files(), ["r.h5", "whole.h5"])
        done = self.search("-o", "r.h5", "--resume")
        self.assertIn("holds the results of this search already", done.stderr)

    def test_journal_of_another_search(self):
        self.begin_and_stop(signal.SIGTERM)
        done = self.search("-o", "r.h5", "--resume", "--set", "search.seed=8", status=1)
        self.assertIn("another configuration", done.stderr)
        self.write(SMALL)
        done = self.search("-o", "r.h5")
        self.assertIn("set aside as r.h5.journal.old", done.stderr)
        self.assertEqual(self.files(), ["r.h5", "r.h5.journal.old"])

    def test_two_at_a_time(self):
        process = self.start()
        self.assertTrue(wait_until(lambda: steps_in(self.path("r.h5.journal")) > 0, process))
        done = self.search("-o", "r.h5", "--resume", status=1)
        self.assertIn("another vidur-search is writing it", done.stderr)
        done = self.search("-o", "r.h5", status=1)
        self.assertIn("another vidur-search is writing it", done.stderr)
        self.assertEqual(self.files(), ["r.h5.journal"])
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(), 3)
        self.search("-q", "-o", "r.h5", "--resume", "--set", "search.seed=1", status=1)
        self.assertEqual(self.files(), ["r.h5.journal"])

    def has_open(self, process, name):
        folder = f"/proc/{process.pid}/fd"
        try:
            return any(os.path.realpath(os.path.join(folder, fd)) ==
                       os.path.realpath(self.path(name)) for fd in os.listdir(folder))
        except OSError:
            return False

    def test_resume_waits_for_a_killed_search_to_end(self):
        """It waits for a few seconds: a machine that takes longer to kill one is given
        another try."""
        for _ in range(20):
            first = self.start()
            self.assertTrue(wait_until(lambda: steps_in(self.path("r.h5.journal")) > 0,
                                       first))
            second = subprocess.Popen([PROGRAM, "a.yaml", "-o", "r.h5", "--resume"],
                                      cwd=self.folder, text=True, stderr=subprocess.PIPE)
            wait_until(lambda: self.has_open(second, "r.h5.journal"), second)
            first.kill()
            first.wait()
            said = second.stderr.readline()
            if "another vidur-search is writing it" not in said:
                break
            second.wait()
            os.unlink(self.path("r.h5.journal"))
        self.assertIn("resumed: ", said)
        second.send_signal(signal.SIGTERM)
        said += second.communicate()[1]
        self.assertEqual(second.returncode, 3, said)

    def kill_alone(self):
        """One candidate, in flight at a death and alone in flight at the next one."""
        self.begin_and_stop(signal.SIGKILL, steps=0)
        count = lambda kind: search_support.read_journal(self.path("r.h5.journal"))[kind]
        for _ in range(2):
            before = count("lease")
            process = self.start("--resume")
            wait_until(lambda: count("lease") > before, process)
            process.kill()
            process.wait()
            if count("lease") == before or count("finish") > 0:
                return False
        return True

    def test_ways_of_working_are_no_other_search(self):
        """Resumed with other ones; what was given up is said again, too."""
        self.write(ONE)
        for _ in range(50):
            if self.kill_alone():
                break
            self.start_over()  # it was over before it could be killed
        ways = [word for way in ("max_deaths=1", "speculate=false", "max_working_ranks=2")
                for word in ("--set", "search." + way)]
        done = self.search("-o", "r.h5", "--resume", *ways, status=2)
        self.assertIn("resumed: ", done.stderr)
        self.assertIn("failed; the results say why", done.stderr)
        done = self.search("-o", "r.h5", "--resume", status=2)
        self.assertIn("holds the results of this search already", done.stderr)
        self.assertIn("1 of 1 candidate failed; the results say why", done.stderr)

    def test_results_of_another_search(self):
        """Another shard, another trace of the same name: not done already."""
        self.write("num_prefill_tokens,num_decode_tokens\n" + "100,20\n" * 200, "t.csv")
        self.write(SMALL.replace("lengths: {type: uniform, min_tokens: 64, "
                                 "prefill_to_decode_ratio: 4}", "trace_file: t.csv"))
        self.search("-q", "-o", "r.h5", "--shard", "0/2")
        done = self.search("-o", "r.h5", "--resume", "--shard", "0/2")
        self.assertIn("holds the results of this search already", done.stderr)
        done = self.search("-o", "r.h5", "--resume", "--shard", "1/2")
        self.assertIn("r.h5 does not hold the results of this search", done.stderr)
        self.write("num_prefill_tokens,num_decode_tokens\n" + "150,20\n" * 200, "t.csv")
        done = self.search("-o", "r.h5", "--resume", "--shard", "1/2")
        self.assertIn("r.h5 does not hold the results of this search", done.stderr)

    def test_damaged_journal(self):
        """A bad byte costs what is behind it, but not without a word and a copy."""
        self.write(SMALL)
        self.begin_and_stop(signal.SIGTERM, steps=20)
        size = os.path.getsize(self.path("r.h5.journal"))
        with open(self.path("r.h5.journal"), "r+b") as f:
            f.seek(size // 2)
            byte = f.read(1)[0]
            f.seek(size // 2)
            f.write(bytes([byte ^ 1]))
        done = self.search("-o", "r.h5", "--resume")
        self.assertIn("r.h5.journal: damaged at byte ", done.stderr)
        self.assertIn("kept as r.h5.journal.damaged", done.stderr)
        self.assertEqual(self.files(), ["r.h5", "r.h5.journal.damaged"])
        self.assertEqual(os.path.getsize(self.path("r.h5.journal.damaged")), size)

    def test_creation_that_was_cut_short(self):
        """A journal without its first record is nothing to resume, and no obstacle."""
        self.write(SMALL)
        for options in (["--resume"], []):
            self.write("", "r.h5.journal")
            done = self.search("-o", "r.h5", *options)
            self.assertEqual(self.files(), ["r.h5"])
            self.assertEqual("not written whole" in done.stderr, bool(options))


class Disks(Search):
    def test_full_disk(self):
        """A limit on the size of files stands in for one."""
        self.need_h5py()
        self.search("-q", "-o", "whole.h5")

        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))

        done = self.search("-q", "-o", "r.h5", preexec_fn=limit, status=2)
        self.assertIn("r.h5.journal: cannot write", done.stderr)
        self.assertIn("r.h5.journal", self.files())
        self.search("-q", "-o", "r.h5", "--resume")
        self.assertEqual(search_support.differences(
            search_support.read(self.path("whole.h5")),
            search_support.read(self.path("r.h5"))), [])

    def test_results_that_do_not_fit(self):
        """The journal stays, so that nothing is lost."""
        self.search("-q", "-o", "whole.h5")
        size = os.path.getsize(self.path("whole.h5"))

        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (size - 1, size - 1))

        done = self.run_program("a.yaml", "-q", "-o", "r.h5", preexec_fn=limit)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("r.h5.journal", self.files())
        self.assertNotIn("r.h5", self.files())
        self.search("-q", "-o", "r.h5", "--resume")
        self.assertIn("r.h5", self.files())


class Shards(Search):
    def report(self, *args):
        program = os.path.join(os.path.dirname(PROGRAM), "vidur-report")
        done = subprocess.run([program, *args], text=True, capture_output=True,
                              cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_missing_shards_are_named(self):
        done = self.search("-o", "a.h5", "--shard", "0/4")
        self.search("-q", "-o", "b.h5", "--shard", "1/4")
        for text in (done.stdout, self.report("a.h5")):
            self.assertIn("1 of 4 shards of the search space are here; missing: 1/4, "
                          "2/4, 3/4.", text)
        self.report("--merge", "a.h5", "b.h5", "-o", "ab.h5")
        self.assertIn("2 of 4 shards of the search space are here; missing: 2/4, 3/4.",
                      self.report("ab.h5"))

    def test_empty_shard(self):
        """More shards than there is to share: a result like others."""
        self.write(SMALL.replace("num_requests: 2000", "num_requests: 200"))
        done = self.search("-o", "none.h5", "--shard", "100/1000")
        self.assertIn("No candidate falls into this shard", done.stdout)
        self.assertEqual(self.files(), ["none.h5"])
        self.search("-q", "-o", "some.h5", "--shard", "0/1000")
        self.report("--merge", "none.h5", "some.h5", "-o", "both.h5")
        self.assertIn("2 of 1000 shards", self.report("both.h5"))
        self.assertIn("and 994 more", self.report("both.h5"))
        done = self.search("-o", "none.h5", "--resume", "--shard", "100/1000")
        self.assertIn("holds the results of this search already", done.stderr)

    def test_shards_are_the_whole(self):
        # Every shard would confirm its own best.
        self.need_h5py()
        alone = ["-q", "--set", "search.confirm_top=0"]
        self.search(*alone, "-o", "whole.h5")
        parts = []
        for shard in range(3):
            parts.append(f"part{shard}.h5")
            self.search(*alone, "-o", parts[-1], "--shard", f"{shard}/3")
        self.report("--merge", *parts, "-o", "all.h5")
        self.assertNotIn("shard", self.report("all.h5"))
        self.assertEqual(search_support.differences(
            search_support.read(self.path("whole.h5")),
            search_support.read(self.path("all.h5"))), [])


class Configurations(unittest.TestCase):
    """Those that are delivered are read without complaint."""

    def test_all(self):
        folder = os.path.join(SOURCE, "configs")
        names = [n for n in sorted(os.listdir(folder)) if not n.startswith("simulate")]
        self.assertIn("quickstart.yaml", names)
        for name in names:
            # A price that cannot be is the last thing to be complained of.
            done = subprocess.run(
                [PROGRAM, os.path.join(folder, name), "-o", "/no/such/r.h5"],
                text=True, capture_output=True)
            self.assertEqual(done.returncode, 1)
            self.assertIn("/no/such", done.stderr, name)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
