"""Triggers in real processes: what they store, and that they disturb nothing else."""

import fcntl
import json
import os
import re
import threading
import time
from pathlib import Path

import pytest

from kit import mounts, reference
from kit.waiting import wait_until
from pprofplus.control.long_actions import ActionCancelledError
from pprofplus.log.artefacts import parse_artefact_name
from pprofplus.log.format import ARTEFACT
from pprofplus.profiles import taking
from pprofplus.profiles.capture import ProfileRefusedError
from pprofplus.profiles.pprof_decoder import decode_profile
from pprofplus.recording.capture_turn import CaptureTurn

EVER_S = 60
# starts a service whose expression holds immediately, and waits until all is stored
SERVICE = """
import os, sys, threading, time
import pprofplus
class Session:
    pass
SESSIONS = [Session() for _ in range(1000)]
collector = pprofplus.start("api", interval_s=0.05, profile_when="rss > 1MiB")
def stored(directory, kinds=("threads", "heap", "maps")):
    names = os.listdir(directory)
    return all(any(f"-{kind}-when.pb.gz" in name for name in names) for kind in kinds)
def wait_until_stored(directory, kinds=("threads", "heap", "maps")):
    end = time.monotonic() + 60
    while not stored(directory, kinds):
        assert time.monotonic() < end, os.listdir(directory)
        time.sleep(0.01)
"""


def artefacts(directory):
    found = (parse_artefact_name(path.name) for path in Path(directory).iterdir())
    return [each for each in found if each is not None and each.suffix == "pb.gz"]


def profiles(directory):
    """Return the decoded profiles of a run by (kind, why)."""
    return {
        (each.kind, each.why): decode_profile(Path(directory, each.name).read_bytes())
        for each in artefacts(directory)
    }


def test_when_an_expression_begins_to_hold_threads_heap_and_maps_are_stored_with_events(
    run, log_directory
):
    run(SERVICE + "wait_until_stored(collector.directory)\ntime.sleep(0.3)\n")
    (directory,) = reference.runs(log_directory)
    found = profiles(directory)
    assert set(found) == {(kind, "when") for kind in ("threads", "heap", "maps")}
    names = {each.name for each in artefacts(directory)}
    events = [e for e in reference.Run(directory).events if e.kind == ARTEFACT]
    assert {event.text for event in events} == names
    assert all(Path(directory, e.text).stat().st_size == e.value for e in events)
    for profile in found.values():
        assert "when: rss > 1MiB" in profile.comments


def test_it_fires_once_while_the_expression_holds(run, log_directory):
    run(
        SERVICE
        + "wait_until_stored(collector.directory)\n"
        + "before = collector.samples\n"
        + "while collector.samples < before + 20: time.sleep(0.01)\n"
    )
    (directory,) = reference.runs(log_directory)
    assert len(artefacts(directory)) == 3


def test_with_an_interval_of_an_hour_it_fires_within_seconds(run, log_directory):
    program = SERVICE.replace("interval_s=0.05", "interval_s=3600").replace(
        'profile_when="rss > 1MiB"', 'profile_when="rss > 100MiB"'
    )
    run(
        program
        + "time.sleep(1)\nheld = b'x' * (100 << 20)\nwait_until_stored(collector.directory)\n"
    )
    (directory,) = reference.runs(log_directory)
    assert len(artefacts(directory)) == 3


def test_the_environment_sets_the_expression_and_a_bad_one_is_a_warning(
    run, spawn, log_directory, monkeypatch
):
    program = SERVICE.replace(', profile_when="rss > 1MiB"', "")
    monkeypatch.setenv("PPROFPLUS_PROFILE_WHEN", "rss > 1MiB")
    run(program + "wait_until_stored(collector.directory)\n")
    monkeypatch.setenv("PPROFPLUS_PROFILE_WHEN", "rss > 1 parsec")
    process = spawn(program + "time.sleep(0.5)\n")
    _, err = process.communicate(timeout=EVER_S)
    assert process.returncode == 0
    assert re.fullmatch(r"PPROFPLUS_PROFILE_WHEN is ignored: .*1parsec.*\n", err)
    directory = reference.runs(log_directory)[-1]
    assert artefacts(directory) == []


MODULES = """
import json, sys, time
import pprofplus
collector = pprofplus.start("api", interval_s=0.05{})
while collector.samples < 5:
    time.sleep(0.01)
print(json.dumps(sorted(name for name in sys.modules if name.startswith("pprofplus."))))
"""


def test_without_a_limit_and_an_expression_a_service_loads_nothing_of_triggers(run):
    (words,) = run(
        MODULES.format("").replace(
            "json.dumps(sorted", "(lambda x: json.dumps(x).replace(' ', ''))(sorted"
        )
    )
    loaded = json.loads(words)
    assert not [name for name in loaded if "profiles" in name or "trigger" in name]


def test_a_service_whose_expression_does_not_hold_loads_nothing_that_takes_profiles(run):
    (words,) = run(
        MODULES.format(", profile_when='rss > 1TiB'").replace(
            "json.dumps(sorted", "(lambda x: json.dumps(x).replace(' ', ''))(sorted"
        )
    )
    loaded = json.loads(words)
    assert "pprofplus.recording.triggers" in loaded
    assert [name for name in loaded if name.startswith("pprofplus.profiles.")] == [
        "pprofplus.profiles.trigger_expression"
    ]


def test_nothing_fires_while_recording_is_paused(run, log_directory):
    program = SERVICE.replace("rss > 1MiB", "rss > 200MiB")
    run(
        program
        + "pprofplus.pause()\n"
        + "held = b'x' * (200 << 20)\n"
        + "time.sleep(3)\n"
        + "assert not stored(collector.directory, ('threads',))\n"
        + "pprofplus.resume()\n"
        + "wait_until_stored(collector.directory)\n"
    )


def test_a_fork_during_a_capture_leaves_it_to_the_parent(run, log_directory):
    run(
        SERVICE.replace("range(1000)", "range(300_000)")
        + """
wait_until_stored(collector.directory, ("threads",))  # now the census of many objects runs
child = os.fork()
if not child:
    directory = collector.directory
    end = time.monotonic() + 60
    while collector.samples < 3 or collector.directory == directory:
        assert time.monotonic() < end
        time.sleep(0.01)
    wait_until_stored(collector.directory)  # its own: it holds in the child, too
    while sys.getswitchinterval() != 0.005:
        assert time.monotonic() < end
        time.sleep(0.01)
    sys.exit(0)
wait_until_stored(collector.directory)
assert os.waitpid(child, 0)[1] == 0
end = time.monotonic() + 60
while sys.getswitchinterval() != 0.005:
    assert time.monotonic() < end
    time.sleep(0.01)
"""
    )
    runs = reference.runs(log_directory)
    assert len(runs) == 2
    for directory in runs:
        assert len(profiles(directory)) == 3
        assert "stop" in reference.Run(directory).kinds


def test_a_stop_during_a_capture_ends_it_and_is_not_delayed(run, log_directory):
    run(
        SERVICE.replace("range(1000)", "range(300_000)")
        + """
wait_until_stored(collector.directory, ("threads",))
pprofplus.stop()
assert not collector.running
"""
    )
    (directory,) = reference.runs(log_directory)
    assert reference.Run(directory).kinds[-1] == "stop"
    assert list(Path(directory).glob(".*")) == []


def test_a_kill_during_a_capture_leaves_complete_files_only(spawn, log_directory):
    process = spawn(SERVICE.replace("range(1000)", "range(300_000)") + "time.sleep(600)\n")
    directory = wait_until(lambda: reference.runs(log_directory), EVER_S)[0]
    wait_until(lambda: artefacts(directory), EVER_S)
    process.kill()
    process.wait()
    assert {kind for kind, _ in profiles(directory)} >= {"threads"}
    run = reference.Run(directory)
    assert run.bad == 0
    assert [e.text for e in run.events if e.kind == ARTEFACT] == [
        each.name for each in artefacts(directory)
    ]


def test_on_a_full_disk_a_trigger_is_one_warning_and_recording_continues(log_directory, spawn):
    prefix = mounts.private_mounts(log_directory.parent)
    log_directory.mkdir()
    process = spawn(
        """
import os, subprocess, sys, time
mounted = os.environ["PPROFPLUS_DIR"]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", mounted], check=True)
import pprofplus
collector = pprofplus.start(
    "api", interval_s=0.05, profile_when="rss > 100MiB", directory=mounted + "/logs"
)
filler = os.open(mounted + "/filler", os.O_WRONLY | os.O_CREAT)
try:
    while True:
        os.write(filler, b"x" * 4096)
except OSError:
    pass
held = b"x" * (100 << 20)
end = time.monotonic() + 60
while "pprofplus.recording.triggered_capture" not in sys.modules:
    assert time.monotonic() < end
    time.sleep(0.01)
time.sleep(1)
before = collector.samples
while collector.samples < before + 5:
    assert time.monotonic() < end
    time.sleep(0.01)
print(len([name for name in os.listdir(collector.directory) if ".gz" in name]))
""",
        prefix=prefix,
    )
    out, err = process.communicate(timeout=EVER_S)
    assert process.returncode == 0, err
    assert out == "0\n"
    lines = [line for line in err.splitlines() if "profiles of when" in line]
    assert len(lines) == 1
    assert "No space left on device" in lines[0]


# -- the turns of the processes of one cgroup


class Task:
    """A task that waits in real time, and can be cancelled."""

    def __init__(self):
        self.event = threading.Event()
        self.waited_s = 0.0

    def check(self):
        if self.event.is_set():
            raise ActionCancelledError

    def wait(self, timeout_s):
        self.waited_s += timeout_s
        self.event.wait(timeout_s)
        self.check()


def locked(directory):
    """Lock a directory as another process does; return its descriptor."""
    fd = os.open(directory, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return fd


def test_a_small_process_gives_up_its_turn_while_another_one_captures(tmp_path):
    other = locked(tmp_path)
    try:
        assert not CaptureTurn().take(str(tmp_path), 1 << 50, Task())
    finally:
        os.close(other)


def test_the_process_that_uses_most_of_the_memory_does_not_wait_for_long(tmp_path):
    other = locked(tmp_path)
    task = Task()
    try:
        assert CaptureTurn().take(str(tmp_path), 1, task)
    finally:
        os.close(other)
    assert task.waited_s < 1


def test_the_turn_passes_on_even_if_a_forked_child_has_a_copy(tmp_path):
    first, second = CaptureTurn(), CaptureTurn()
    assert first.take(str(tmp_path), 1 << 50, Task())
    copy = os.dup(first._descriptor.number)
    first.release()
    assert second.take(str(tmp_path), 1 << 50, Task())
    os.close(copy)
    second.release()


def test_a_forked_child_that_closes_its_copy_leaves_the_turn_to_the_parent(tmp_path):
    first = CaptureTurn()
    assert first.take(str(tmp_path), 1 << 50, Task())
    child = os.fork()
    if not child:
        first.abandon()
        os._exit(0)
    os.waitpid(child, 0)
    other = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    first.release()
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)


def test_a_cancelled_task_waits_no_longer_for_its_turn(tmp_path):
    other = locked(tmp_path)
    task = Task()
    task.event.set()
    with pytest.raises(ActionCancelledError):
        CaptureTurn().take(str(tmp_path), 1 << 50, task)
    os.close(other)


def test_a_small_process_loads_nothing_more_if_little_memory_is_left(tmp_path):
    task = Task()
    assert not CaptureTurn().take(str(tmp_path), 1 << 50, task, 1 << 20)
    assert task.waited_s == 0
    for turn, used_bytes, left_bytes in (
        (CaptureTurn(), 1 << 50, 1 << 30),
        (CaptureTurn(), 1 << 50, None),  # it has loaded everything
        (CaptureTurn(), 1, 1 << 20),
    ):
        assert turn.take(str(tmp_path), used_bytes, task, left_bytes)
        turn.release()


def test_without_a_cgroup_nobody_waits(tmp_path):
    task = Task()
    assert CaptureTurn().take("", 0, task)
    assert CaptureTurn().take(str(tmp_path / "gone"), 1, task)
    assert task.waited_s == 0


# -- beside other profiles


@pytest.fixture
def others(monkeypatch):
    """Pretend that these kinds are being taken."""

    def begin(*kinds):
        taking_now = taking._Taking(list(kinds))
        taking_now.begin()
        return taking_now

    yield begin
    taking._running.clear()


def take(task, kinds, **options):
    names = []
    taken = taking.take_profiles(
        kinds,
        task,
        lambda kind, *_: names.append(kind) or kind,
        service="api",
        with_source=False,
        **options,
    )
    assert taken.problems == []
    return names


class DumpTask(Task):
    window_over = False

    def report(self, share, text=""):
        pass


def test_a_trigger_does_not_wait_for_profiles_of_other_kinds(others):
    others("cpu", "wall")
    with pytest.raises(ProfileRefusedError, match="is being taken"):
        take(DumpTask(), ["threads"])
    assert take(DumpTask(), ["threads"], beside=True) == ["threads"]


def test_a_trigger_waits_for_the_end_of_one_of_the_same_kind(others):
    other = others("maps", "threads")
    ending = threading.Timer(0.3, other.end)
    ending.start()
    began = time.monotonic()
    assert take(DumpTask(), ["threads"], beside=True) == ["threads"]
    assert time.monotonic() - began >= 0.25
    ending.join()


def test_what_is_left_of_a_capture_is_left_out_if_it_is_hurried():
    assert take(DumpTask(), ["threads", "maps"], hurried=lambda: True) == ["threads"]
    assert take(DumpTask(), ["threads", "maps"], hurried=lambda: False) == ["threads", "maps"]
