"""The command `pprofplus`."""

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
