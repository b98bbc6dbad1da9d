"""The manual pages that the build leaves: there, parsed without a warning, and with every
option of --help.   man_pages.py BIN_DIR MAN_DIR"""
import os
import re
import shutil
import subprocess
import sys
import unittest

PROGRAMS = ("vidur-estimate", "vidur-simulate", "vidur-search", "vidur-report")
BIN_DIR, MAN_DIR = sys.argv[1:3]


def read(program):
    with open(os.path.join(MAN_DIR, program + ".1"), encoding="utf-8") as page:
        return page.read()


def plain(page):
    """The words of a page: its fonts and escapes taken away."""
    page = re.sub(r"\\f.", "", page)
    for escape, character in (("\\-", "-"), ("\\(aq", "'"), ("\\(ga", "`"), ("\\(ha", "^"),
                              ("\\(ti", "~"), ("\\&", ""), ("\\e", "\\")):
        page = page.replace(escape, character)
    return page


def print_help(program):
    return subprocess.run([os.path.join(BIN_DIR, program), "--help"], check=True,
                          capture_output=True, text=True).stdout


class ManPages(unittest.TestCase):
    def test_names_every_option(self):
        for program in PROGRAMS:
            headings = re.findall(r"^  (?:    |(-\w), )(--[\w-]+)(?: (\S+))?$",
                                  print_help(program), re.MULTILINE)
            self.assertGreaterEqual(len(headings), 4, program)
            page = plain(read(program))
            for letter, name, value in headings:
                tag = (f"{letter}, " if letter else "") + name + (f" {value}" if value else "")
                with self.subTest(program=program, option=tag):
                    self.assertIn(f".TP\n{tag}\n", page)

    def test_says_what_help_says(self):
        for program in PROGRAMS:
            words = " ".join(plain(read(program)).split())
            usage, rest = print_help(program).split("\n\n", 1)
            summary, rest = rest.split("\n\nOptions:\n", 1)
            options, examples = rest.split("\nExamples:\n", 1)
            # An option's text is indented more than its heading.
            texts = [re.sub(r"^ {10}", "", block, flags=re.MULTILINE) for block in
                     re.findall(r"(?:^ {10}.*\n)+", options, re.MULTILINE)]
            for text in (usage.removeprefix("Usage: "), summary, *texts, *examples.splitlines()):
                with self.subTest(program=program, text=text):
                    self.assertIn(" ".join(text.split()), words)

    def test_sections(self):
        for program in PROGRAMS:
            page = read(program)
            self.assertEqual(re.findall(r"^\.SH (.*)$", page, re.MULTILINE),
                             ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES"])
            self.assertTrue(page.startswith(f'.TH "{program}" 1 '))
            self.assertRegex(plain(page), rf"\.SH NAME\n{program} - [a-z][^\n]{{20,}}\n")

    def test_hidden_option_stays_hidden(self):
        for program in PROGRAMS:
            self.assertNotIn("print-man-page", print_help(program))
            self.assertNotIn("print-man-page", plain(read(program)))

    def test_parses_without_warnings(self):
        commands = []
        if shutil.which("groff"):
            commands.append(["groff", "-man", "-ww", "-z", "-Tutf8"])
        if shutil.which("mandb"):  # containers have a "man" that only says it is not there
            commands.append(["man", "--warnings", "-E", "UTF-8", "-Tutf8", "-Z", "-l"])
        if not commands:
            self.skipTest("neither groff nor man is here")
        for program in PROGRAMS:
            for command in commands:
                with self.subTest(program=program, command=command[0]):
                    done = subprocess.run(
                        [*command, os.path.join(MAN_DIR, program + ".1")],
                        capture_output=True, text=True,
                        env={**os.environ, "LC_ALL": "C.UTF-8"})
                    self.assertEqual((done.returncode, done.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
