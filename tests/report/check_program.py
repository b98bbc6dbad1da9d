"""Runs vidur-report as a user would: outputs, exit statuses, errors for bad files.

check_program.py vidur-report make_results FOLDER no_locks.so
"""
import csv
import fcntl
import io
import os
import shutil
import subprocess
import sys


# Under a sanitizer: HDF5 itself loses a little memory on damaged files.
ENVIRONMENT = {**os.environ, "LSAN_OPTIONS": "print_suppressions=0:suppressions="
               + os.path.join(os.path.dirname(os.path.abspath(__file__)), "hdf5_leaks.txt")}


def run(*command, status=0):
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == status, (command, done.returncode, done.stderr)
    if status:
        assert done.stderr.startswith("vidur-report: ") and done.stderr.count("\n") == 1, done.stderr
        assert done.stdout == "" or status == 2, done.stdout
    return done


def damaged_files(folder, whole):
    """Pairs of a bad file and what its error must say."""
    with open(whole, "rb") as f:
        data = f.read()
    contents = {
        "empty.h5": (b"", "the file is empty; give the results.h5 that vidur-search wrote"),
        "foreign.h5": (b"rank,model\n1,x\n", "this is not an HDF5 file"),
        "cut.h5": (data[:len(data) // 2], "damaged or truncated"),
        "head.h5": (data[:100], "damaged or truncated"),
        "flipped.h5": (data[:300] + bytes(b ^ 0xff for b in data[300:500]) + data[500:],
                       "damaged or truncated"),
        "zeros.h5": (data[:4096] + bytes(len(data) - 4096), "damaged or truncated"),
    }
    for name, (content, message) in contents.items():
        path = os.path.join(folder, name)
        with open(path, "wb") as f:
            f.write(content)
        yield path, message
    yield os.path.join(folder, "absent.h5"), "No such file"
    yield folder, "Is a directory"
    yield from foreign_hdf5(folder, whole)


def foreign_hdf5(folder, whole):
    try:
        import h5py
    except ImportError:
        print("h5py is not installed: foreign and newer HDF5 files are not tried here")
        return
    path = os.path.join(folder, "other.h5")
    with h5py.File(path, "w") as f:
        f.attrs["creator"] = "another program"
        f["data"] = [1, 2, 3]
    yield path, "an HDF5 file, but not results of vidur-search"
    path = os.path.join(folder, "newer.h5")
    shutil.copy(whole, path)
    with h5py.File(path, "r+") as f:
        f.attrs["format_version"] = 99
        f.attrs["creator_version"] = "7.1"
    yield path, "format version is 99, written by vidur-search 7.1"
    path = os.path.join(folder, "edited.h5")
    shutil.copy(whole, path)
    with h5py.File(path, "r+") as f:
        rows = f["ranking"][()]
        rows["max_qps"] *= 2
        f["ranking"][...] = rows
    yield path, "/ranking cannot be read"


def check_locks(report, whole, no_locks):
    """A lock of another program, or a file system without locks, is no damage."""
    answer = run(report, whole).stdout
    with open(whole, "r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert run(report, whole).stdout == answer
    without = {**ENVIRONMENT, "LD_PRELOAD": no_locks, "ASAN_OPTIONS": "verify_asan_link_order=0"}
    done = subprocess.run([report, whole], capture_output=True, text=True, env=without)
    assert done.returncode == 0 and done.stdout == answer, done.stderr


def check_load(report, make_results, whole, folder):
    """Every form begins with what to rent, and all say the same."""
    options = [whole, "--model", "llama-2-7b", "--trace", "chat", "--qps", "20", "--headroom", "0.1"]
    lines = run(report, *options).stdout.splitlines()
    assert lines[0] == "llama-2-7b, chat:", lines[0]
    rent = lines[1].strip()
    assert rent.startswith("For 20.0 QPS (sized for 22.0: 10.0 % headroom): rent "), rent
    markdown = run(report, *options, "--markdown", "-")
    assert markdown.stdout.splitlines()[2] == "- llama-2-7b, chat: **" + rent.replace(": rent", "**: rent") + ".", markdown
    assert markdown.stderr == "", markdown.stderr
    plain = run(report, *options, "--csv", "-")
    rows = list(csv.DictReader(plain.stdout.splitlines()))
    assert plain.stderr == "" and float(rows[0]["load_qps"]) == 20 * 1.1
    assert f"rent {rows[0]['load_replicas']} replica" in rent, (rent, rows[0])
    assert f": {rows[0]['load_gpus']} GPU" in rent
    assert f"${float(rows[0]['load_usd_per_hour']):.2f} an hour" in rent
    prices = [float(row["load_usd_per_hour"]) for row in rows if row["load_usd_per_hour"]]
    assert prices == sorted(prices) and len(prices) == sum(row["status"] == "ok" for row in rows)
    target = os.path.join(folder, "target.h5")
    run(make_results, target, "60", "1", "target")
    assert run(report, target).stdout.splitlines()[1].startswith("  For 50.0 QPS: rent ")
    one = run(report, whole, "--model", "llama-2-7b", "--trace", "chat", "--qps", "0.001").stdout
    assert "rent 1 replica of" in one and "1 GPU, " in one, one


def check_hostile(report, make_results, folder):
    """Names from a file reach neither a terminal nor a spreadsheet as they are."""
    path = os.path.join(folder, "attack.h5")
    run(make_results, path, "40", "1", "attack")
    for options in ([], ["--qps", "5"], ["--markdown", "-"], ["--compare", path]):
        done = run(report, path, *options)
        assert not any(ord(c) < 32 and c != "\n" or 127 <= ord(c) < 160 for c in done.stdout + done.stderr), options
    error = run(report, path, "--model", "x\x1b[2Jy", status=1).stderr
    assert "\x1b" not in error and "@node\\x1b]0;x" in error, error
    text = subprocess.run([report, path, "--csv", "-"], capture_output=True, check=True).stdout.decode()
    for row in csv.DictReader(io.StringIO(text, newline="")):
        assert all(value[:1] not in ("=", "+", "@", "\t", "\r") for value in row.values()), row
        assert row["reason"].startswith("'-1")


def main(report, make_results, folder, no_locks):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    whole, other = (os.path.join(folder, name) for name in ("whole.h5", "other-seed.h5"))
    run(make_results, whole, "120", "1")
    run(make_results, other, "120", "2")

    assert "vidur-report RESULTS.h5" in run(report, "--help").stdout
    assert "HDF5 1." in run(report, "--version").stdout
    answer = run(report, whole).stdout
    assert answer.count("  Rent  ") == 6, answer
    check_load(report, make_results, whole, folder)
    check_hostile(report, make_results, folder)
    comparison = run(report, whole, "--compare", other).stdout
    assert "Best configurations" in comparison and "Candidates" in comparison
    assert run(report, whole, "--compare", other, "--markdown", "-").stdout.startswith("## Two searches")
    paths = {kind: os.path.join(folder, "out." + kind) for kind in ("csv", "md")}
    told = run(report, whole, "--csv", paths["csv"], "--markdown", paths["md"]).stderr
    assert told.split() == ["wrote", paths["md"], "wrote", paths["csv"]], told
    assert run(report, whole, "-q", "--csv", paths["csv"], "--top", "2").stderr == ""
    with open(paths["csv"]) as f:
        assert len(f.readlines()) == 1 + 12
    merged = os.path.join(folder, "merged.h5")
    run(report, "--merge", whole, whole, "-o", merged)
    # Merging makes the notes on rows anew; the made-up results carry none.
    told = [[line for line in run(report, path, "--trace", "chat").stdout.splitlines()
             if not line.startswith("note: ")] for path in (merged, whole)]
    assert told[0] == told[1], told

    check_locks(report, whole, no_locks)
    for path, message in damaged_files(folder, whole):
        error = run(report, path, status=1).stderr
        assert path in error and message in error, (path, error)
        assert "HDF5-DIAG" not in error and "\\x" not in error, error
    config = os.path.join(folder, "study.yaml")
    with open(config, "w") as f:
        f.write("models: []\n")
    copy = os.path.join(folder, "copy.h5")
    shutil.copy(whole, copy)
    for options, kept, message in (
            (["--merge", whole, whole, "-o", config], config, "holds no results, so writing"),
            ([copy, "--html", copy], copy, "holds the results that are read"),
            ([whole, "--compare", copy, "--markdown", copy], copy, "holds the results that are read")):
        with open(kept, "rb") as f:
            before = f.read()
        assert message in run(report, *options, status=1).stderr, options
        with open(kept, "rb") as f:
            assert f.read() == before, options
    for options, message in (
            ([], "arguments are missing"), ([whole, other], "several results need --merge"),
            ([whole, "--top", "0"], "--top"), ([whole, "--top", "x"], "--top"),
            ([whole, "--qps", "-1"], "--qps: -1; give more than 0"), ([whole, "--qps", "nan"], "--qps"),
            ([whole, "--qps", "0"], "--qps: 0; give more than 0"), ([whole, "--qps", "inf"], "--qps"),
            ([whole, "--qps", "1e300"], "at most 1e+09"), ([whole, "--qps", "1e400"], "--qps"),
            ([whole, "--qps", "5", "--headroom", "10"], "from 0 to less than 10"),
            ([whole, "--qps", "5", "--headroom", "-0.1"], "from 0 to less than 10"),
            ([whole, "--headroom", "0.1"], "give it with --qps"),
            ([whole, "--whole-nodes"], "give it with --qps"),
            ([whole, "--compare", other, "--qps", "5"], "leave out --qps"),
            ([whole, "--csv", "-", "--markdown", "-"], "only one of"),
            ([whole, "--modell", "x"], "nearest is --model"),
            ([whole, "--model", "gpt"], "there are models llama-2-70b, llama-2-7b"),
            ([whole, "-o", "x"], "--output goes with --merge"),
            ([whole, "--merge"], "--merge needs --output"),
            ([whole, "--compare", other, "--csv", "x"], "leave out --html and --csv"),
            (["--merge", whole, other, "-o", merged], "its seed is 2")):
        error = run(report, *options, status=1).stderr
        assert message in error, (options, error)
    assert "/nowhere/x.md" in run(report, whole, "--markdown", "/nowhere/x.md", status=2).stderr
    run(report, "--merge", whole, "-o", "/nowhere/x.h5", status=2)
    if os.path.exists("/dev/full"):
        with open("/dev/full", "w") as full:
            done = subprocess.run([report, whole], stdout=full, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 2 and "stdout" in done.stderr, done
    left = [name for name in os.listdir(folder) if "tmp" in name.lower()]
    assert not left, left
    print("every check passed")


if __name__ == "__main__":
    main(*sys.argv[1:5])
