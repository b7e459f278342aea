"""The command `pprofplus`."""

import os
import subprocess
import sys

import pprofplus


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "pprofplus", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_prints_its_version():
    done = command("--version")
    assert (done.returncode, done.stdout) == (0, f"pprofplus {pprofplus.__version__}\n")


def test_it_prints_the_log_directory(log_directory, tmp_path):
    assert command("where").stdout == f"{log_directory}\n"
    assert command("where", "--dir", f"{tmp_path}/x/../y").stdout == f"{tmp_path}/y\n"
    assert not log_directory.exists()


def test_a_wrong_argument_prints_one_line_and_exits_2():
    for arguments in ((), ("wher",), ("where", "--nonsense")):
        done = command(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.count("\n") == 1
        assert done.stderr.startswith("pprofplus: ")


def test_a_reader_of_the_output_that_ends_early_causes_no_traceback():
    reader, writer = os.pipe()
    os.close(reader)
    words = [sys.executable, "-m", "pprofplus", "ctl", "profile", "--list"]
    try:
        done = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, check=False, timeout=60)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")
