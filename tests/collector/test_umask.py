"""Under any umask the collector can use what it creates, and other users cannot."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from kit import reference

NOBODY = 65534
UMASKS = [0, 0o022, 0o077, 0o177, 0o277, 0o377, 0o777]

# the user may not read the interpreter's modules: load all that is used before
AS_USER = """
import os, sys, tempfile
import logging, pprofplus, pprofplus.log.ledger_scan
uid, umask = int(sys.argv[1]), int(sys.argv[2], 8)
if uid:
    with tempfile.TemporaryDirectory() as directory:
        pprofplus.start("loads", directory=directory, interval_s=0.05)
        pprofplus.mark("")
        pprofplus.stop()
    os.setgid(uid)
    os.setuid(uid)
os.umask(umask)
"""

# two starts: the second one must be able to open what the first one created
TWO_RUNS = (
    AS_USER
    + """
for _ in range(2):
    collector = pprofplus.start("api", interval_s=0.05, group_readable=sys.argv[3] == "group")
    pprofplus.mark("here")
    pprofplus.stop()
    print(collector.samples)
"""
)


@pytest.fixture(params=["root", "user"])
def uid(request, reachable_by_others, tmp_path, monkeypatch):
    """The user that records: root, to whom modes do not apply, and an ordinary one."""
    if request.param == "root":
        return 0
    if os.geteuid() != 0:
        return 0  # otherwise the tests' own user is an ordinary one
    # a directory of the user's, whose parents do not exist yet
    directory = tmp_path / "mine"
    directory.mkdir()
    os.chown(directory, NOBODY, NOBODY)
    monkeypatch.setenv("PPROFPLUS_DIR", str(directory / "a" / "b" / "logs"))
    return NOBODY


def modes(log_directory):
    found = [path for path in log_directory.rglob("*") if path.name != ".ledger"]
    return (
        {stat.S_IMODE(path.stat().st_mode) for path in [log_directory, *found] if path.is_dir()},
        {stat.S_IMODE(path.stat().st_mode) for path in found if path.is_file()},
    )


@pytest.mark.parametrize("readable", ["group", "owner"])
@pytest.mark.parametrize("umask", UMASKS, ids=oct)
def test_under_any_umask_every_start_records_with_the_documented_modes(
    log_directory, run, uid, umask, readable
):
    samples = run(TWO_RUNS, str(uid), oct(umask), readable)
    assert [int(samples) >= 1 for samples in samples] == [True, True]
    log_directory = Path(os.environ["PPROFPLUS_DIR"])
    assert modes(log_directory) == (
        ({0o750}, {0o640}) if readable == "group" else ({0o700}, {0o600})
    )
    assert stat.S_IMODE((log_directory / ".ledger").stat().st_mode) == 0o600
    for directory in reference.runs(log_directory):
        assert reference.Run(directory).kinds == ["start", "mark", "stop"]


def test_created_parents_have_the_owners_permissions_and_those_the_umask_leaves(
    log_directory, run, uid
):
    run(TWO_RUNS, str(uid), "0o177", "owner")
    directory = Path(os.environ["PPROFPLUS_DIR"])
    if uid:
        assert stat.S_IMODE(directory.parent.stat().st_mode) == 0o700
    else:
        assert directory == log_directory


@pytest.mark.usefixtures("log_directory")
def test_a_ledger_that_an_earlier_release_left_unwritable_is_made_writable(run, uid):
    run(TWO_RUNS, str(uid), "0o022", "owner")
    ledger = Path(os.environ["PPROFPLUS_DIR"]) / ".ledger"
    for mode in (0o400, 0):
        ledger.chmod(mode)
        samples = run(TWO_RUNS, str(uid), "0o022", "owner")
        assert [int(samples) >= 1 for samples in samples] == [True, True]


REQUESTED = (
    AS_USER
    + """
collector = pprofplus.start("api", interval_s=0.05)
sys.stdout.write(collector.directory + "\\n")
sys.stdout.flush()
sys.stdin.read()
"""
)


@pytest.mark.parametrize("umask", UMASKS, ids=oct)
def test_under_any_umask_a_request_of_the_same_user_is_read_and_answered(
    log_directory, spawn, uid, umask
):
    service = spawn(REQUESTED, str(uid), oct(umask), stdin=subprocess.PIPE)
    directory = service.stdout.readline().strip()
    assert directory.startswith(os.environ["PPROFPLUS_DIR"]), (log_directory, directory)
    pid = Path(directory).name.partition("-")[0]
    ask = (
        "import os, sys\n"
        "from pprofplus.cli import build_parser, main\n"
        "import gettext, locale, logging, platform, shutil\n"
        "import pprofplus.commands.request_exchange\n"
        "import pprofplus.control.client, pprofplus.log.discovery\n"
        "build_parser()\n"
        "uid, umask = int(sys.argv[1]), int(sys.argv[2], 8)\n"
        "uid and (os.setgid(uid), os.setuid(uid))\n"
        "os.umask(umask)\n"
        "sys.argv[1:] = ['ctl', 'mark', '--service', 'api', '--pid', sys.argv[3], 'asked']\n"
        "sys.exit(main())\n"
    )
    asked = subprocess.run(
        [sys.executable, "-c", ask, str(uid), oct(umask), pid],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (asked.returncode, asked.stderr) == (0, ""), asked
    service.communicate(timeout=30)
    assert "mark" in reference.Run(directory).kinds
