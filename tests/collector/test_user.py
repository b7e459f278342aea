"""A process that changes its user after `start()`, as servers do that start as root."""

import json
import os

import pytest

import pprofplus
from kit import reference
from kit.environment import needs_root
from kit.programs import WAITING

pytestmark = [
    needs_root("only root can become another user"),
    pytest.mark.usefixtures("reachable_by_others"),
]

SERVICE = (
    WAITING
    + """
import json, os, time
import pprofplus

def samples(count):
    goal = collector.samples + count
    wait_until(lambda: collector.samples >= goal)
"""
)


def runs_of(*homes):
    found = [
        reference.Run(path) for log_directory in homes for path in reference.runs(log_directory)
    ]
    return sorted(found, key=lambda run: run.header.start_ms)


@pytest.mark.parametrize("become", ["os.setuid(12345)", "os.seteuid(12345)"])
def test_a_process_that_changes_user_continues_in_a_run_of_the_new_user(
    spawn, tmp_path, monkeypatch, become
):
    # the default directory depends on the user; here it is in this test's directory
    monkeypatch.delenv("PPROFPLUS_DIR")
    (tmp_path / "logs-12345").mkdir()
    os.chown(tmp_path / "logs-12345", 12345, 12345)
    program = f"""
from pprofplus import settings
settings.default_log_directory = lambda: {str(tmp_path)!r} + f"/logs-{{os.geteuid()}}"
collector = pprofplus.start("api", interval_s=0.05)
samples(5)
first = collector.directory
{become}
wait_until(lambda: collector.directory != first)
samples(5)
pprofplus.mark("as another user")
pprofplus.stop()
print(json.dumps([first, collector.directory]))
"""
    process = spawn(SERVICE + program)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    first, second = json.loads(out)
    before, after = reference.Run(first), reference.Run(second)
    assert "logs-0/" in first
    assert "logs-12345/" in second
    assert os.stat(second).st_uid == 12345
    assert before.kinds == ["start", "stop"]
    assert before.events[-1].text == "goes on in another run, as uid 12345"
    assert after.kinds == ["start", "mark", "stop"]
    assert min(len(before.samples), len(after.samples)) >= 5
    assert before.bad == after.bad == 0


def test_a_new_user_without_write_permission_is_logged_once_and_the_old_log_continues(
    spawn, log_directory
):
    program = """
import logging  # this user may not read the interpreter's library
from pprofplus.system import user
user._AGAIN_NS = 0
collector = pprofplus.start("api", interval_s=0.05)
samples(5)
os.setuid(12345)
samples(20)
pprofplus.stop()
print(collector.samples)
"""
    process = spawn(SERVICE + program)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert err.count("\n") == 1
    assert "now runs as uid 12345, which cannot write to" in err
    (run,) = runs_of(log_directory)
    assert run.kinds == ["start", "stop"]
    assert len(run.samples) == int(out)


def test_a_temporary_change_of_user_stays_in_one_run(spawn, log_directory):
    program = """
collector = pprofplus.start("api", interval_s=0.05)
directory = collector.directory
for _ in range(20):
    os.seteuid(12345)
    time.sleep(0.001)
    os.seteuid(0)
    time.sleep(0.02)
samples(2)
assert collector.directory == directory
"""
    process = spawn(SERVICE + program)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    (run,) = runs_of(log_directory)
    assert run.kinds == ["start", "stop"]


PRIVATE = """
import json, os, shutil, sys
private = {directory!r}
shutil.copytree(os.path.dirname({package!r}), private + "/pprofplus")
sys.path.insert(0, private)
import psutil
import pprofplus
from pprofplus.control.client import put_request, take_answer
from pprofplus.control.requests import Request
assert pprofplus.__file__.startswith(private)
os.setgroups([])
os.setgid(12345)
os.setuid(12345)
assert not os.access(pprofplus.__file__, os.R_OK)
"""


def test_a_server_that_dropped_root_and_cannot_read_the_library_refuses_profiles(
    spawn, tmp_path, monkeypatch
):
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    logs = tmp_path / "logs"
    logs.mkdir()
    os.chown(logs, 12345, 12345)
    program = PRIVATE.format(directory=str(private), package=pprofplus.__file__) + (
        """
collector = pprofplus.start("api", interval_s=0.05)
def answer_to(request):
    stem = put_request(collector.directory, request)
    return wait_until(lambda: take_answer(collector.directory, stem))
answers = [answer_to(Request("profile", {"kinds": ["threads"]})), answer_to(Request("pause"))]
name = collector._recorder.store_artefact("heap", b"data")
print(json.dumps([answers, name in os.listdir(collector.directory)]))
"""
    )
    process = spawn(WAITING + program)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    ((refused, why), paused), kept = json.loads(out)
    assert not refused
    assert "may not read the files of pprofplus, as uid 12345" in why
    assert paused == [True, "paused"]
    assert kept


def test_the_import_loads_no_module_of_profiles_where_others_cannot_reach_the_package(
    spawn, tmp_path
):
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    look = 'print("pprofplus.profiles.kinds" in sys.modules)'
    program = PRIVATE.format(directory=str(private), package=pprofplus.__file__) + look
    out, err = spawn(program).communicate(timeout=60)
    assert (out, err) == ("False\n", "")
