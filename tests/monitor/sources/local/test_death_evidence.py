"""The evidence for the end of real processes: killed, crashed, out of memory, running."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest

from kit.environment import needs_root
from kit.memory_cgroup import ENTER, small_cgroup
from kit.run_logs import wait_for_runs
from kit.waiting import wait_until
from pprofplus.metrics import BY_NAME
from pprofplus_tui.model.death_causes import NO_STOP
from pprofplus_tui.sources.local import death_evidence, kernel_log, liveness, machine
from pprofplus_tui.sources.local.catalog import Catalog
from pprofplus_tui.sources.local.cgroup_siblings import Sibling
from pprofplus_tui.sources.local.death_evidence import CauseFinder, quick_cause
from pprofplus_tui.sources.local.ended_run import read_ended_run
from pprofplus_tui.sources.local.machine import Machine, this_machine
from pprofplus_tui.sources.local.run_log import open_log

START = """
import os, signal, sys, time, pprofplus
collector = pprofplus.start("svc", directory=sys.argv[1], interval_s=0.05)
while collector.samples < 3:
    time.sleep(0.01)
"""
WAITS = START + "print('ready', flush=True); sys.stdin.read()"
EATS = START + "kept = []\nwhile True:\n    kept.append(bytearray(b'x') * 500_000)"
# in one call that holds the GIL: the last sample is of before, and does not tell of a full cgroup
EATS_AT_ONCE = START + "kept = bytearray(b'x') * (256 << 20)"
LIMIT = 64 << 20
SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def run_to_its_end(home, program, *, before=(), wait=True):
    """Run a service; return its process, which has ended unless `wait` is False."""
    process = subprocess.Popen(
        [*before, sys.executable, "-c", program, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    if wait:
        process.wait(60)
        process.stdin.close()
        process.stdout.close()
    return process


@contextmanager
def waiting(home):
    """Run a service that waits; end it afterwards."""
    process = run_to_its_end(home, WAITS, wait=False)
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def found(home, pid=None):
    """Return (info, death) of a run in a log directory."""
    catalog = Catalog([str(home)])
    wait_for_runs(catalog, within_s=30)
    (info,) = (info for info in catalog.runs if pid in {None, info.pid})
    log = open_log(info.id, in_blocks=True)
    return info, CauseFinder().death_of(log, info.state, map(Sibling.of, catalog.runs))


def cause_of(home, pid=None):
    info, death = found(home, pid)
    return info.state, death.cause.kind, death.cause.certainty


@contextmanager
def cgroup(name):
    """Make a cgroup with a limit; give the words before a command that run it in there."""
    with small_cgroup(f"pprofplus-{name}", LIMIT) as directory:
        yield (*ENTER, str(directory))


@pytest.fixture
def place(tmp_path):
    home = tmp_path / "logs"
    home.mkdir(mode=0o700)
    return home


def needs_kernel_log():
    if kernel_log._from_device() is None and kernel_log._from_ring() is None:
        pytest.skip("the kernel's log may not be read here")


def test_out_of_memory_is_certain_if_the_kernels_log_is_readable(place):
    needs_kernel_log()
    with cgroup("known") as before:
        process = run_to_its_end(place, EATS, before=before)
    assert process.returncode == -signal.SIGKILL
    info, death = found(place)
    assert (info.state, death.cause.kind, death.cause.certainty) == ("died", "oom", "known")
    assert death.limit_bytes == LIMIT
    assert 0 < death.rss_bytes <= death.peak_bytes  # pages of files count, charged elsewhere
    assert "64 MiB" in death.details


def test_out_of_memory_is_probable_if_a_sibling_counted_the_kill(place, monkeypatch):
    if "cgroup_oom_kills" not in BY_NAME:
        pytest.skip("this collector does not count OOM kills")
    monkeypatch.setattr(kernel_log, "process_records", lambda: ())
    with cgroup("sibling") as before:
        other = run_to_its_end(place, WAITS, before=before, wait=False)
        try:
            assert other.stdout.readline() == "ready\n"
            for _ in range(3):  # on a busy machine, the two may have no samples near each other
                process = run_to_its_end(place, EATS_AT_ONCE, before=before)
                assert process.returncode == -signal.SIGKILL
                until = time.monotonic() + 10
                info, death = found(place, process.pid)
                while death.cause.kind != "oom" and time.monotonic() < until:
                    time.sleep(0.1)
                    info, death = found(place, process.pid)
                if death.cause.kind == "oom":
                    break
        finally:
            other.kill()
            other.wait()
            other.stdin.close()
            other.stdout.close()
    assert (info.state, death.cause.kind, death.cause.certainty) == ("died", "oom", "probable")
    assert "OOM kill" in death.cause.reason


def test_a_sigkill_without_evidence_has_an_unknown_cause(place):
    process = run_to_its_end(place, START + "os.kill(os.getpid(), signal.SIGKILL)")
    assert process.returncode == -signal.SIGKILL
    info, death = found(place)
    assert (info.state, death.cause.kind, death.cause.certainty) == ("died", "unknown", "unknown")
    assert death.cause.reason == NO_STOP


def test_a_zombie_process_has_its_wait_status_as_the_cause(place):
    with waiting(place) as process:
        process.kill()
        wait_until(lambda: (death := found(place)[1]) and death.cause.kind == "killed", 30)
        assert cause_of(place) == ("died", "killed", "known")


def test_a_cause_stays_when_its_evidence_disappears(place):
    finder = CauseFinder()
    with waiting(place) as process:
        process.kill()
        wait_until(lambda: found(place)[0].state == "died", 30)
        log = open_log(found(place)[0].id, in_blocks=True)
        assert finder.death_of(log, "died").cause.kind == "killed"
    time.sleep(1.1)  # the search runs once a second
    assert found(place)[1].cause.kind == "unknown"
    assert finder.death_of(log, "died").cause.kind == "killed"


def test_a_segfault_is_certain_if_the_kernels_log_is_readable(place):
    needs_kernel_log()
    process = run_to_its_end(place, START + "import ctypes; ctypes.string_at(0)")
    assert process.returncode == -signal.SIGSEGV
    if not any(record.pid == process.pid for record in kernel_log.process_records()):
        pytest.skip("this kernel does not log segfaults")
    assert cause_of(place) == ("died", "crash", "known")


def test_a_regular_exit_has_no_other_cause(place):
    assert run_to_its_end(place, START).returncode == 0
    assert cause_of(place) == ("exited", "exit", "known")


def test_a_process_that_executed_another_program_has_not_died(place):
    process = run_to_its_end(place, START + "os.execvp('sleep', ['sleep', '60'])", wait=False)
    try:
        wait_until(lambda: found(place)[0].state == "unrecorded", 30)
        info, death = found(place)
        assert death.cause.kind == "stopped"
        assert "exec" in death.cause.reason
        # this needs /proc, which the record of an ended run does not read
        assert read_ended_run(info.id, "rss", time.time_ns() + 1) is None
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
    assert found(place)[0].state == "died"


def test_a_process_that_stopped_recording_is_not_dead(place):
    program = START + "pprofplus.stop(); print('ready', flush=True); sys.stdin.read()"
    process = run_to_its_end(place, program, wait=False)
    try:
        assert process.stdout.readline() == "ready\n"
        _, death = found(place)
        assert death.cause.kind == "stopped"
        assert "pprofplus.stop()" in death.cause.reason
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def test_a_later_process_with_the_same_pid_is_not_that_of_the_run(place, tmp_path):
    path = killed_run(place)
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    with waiting(other) as later:
        # as if the kernel had reused the pid
        path.rename(path.with_name(f"{later.pid}-{path.name.partition('-')[2]}"))
        assert cause_of(place) == ("died", "unknown", "unknown")


@needs_root("root alone makes a pid namespace")
def test_a_process_of_this_host_is_not_mistaken_for_one_of_a_container(place, monkeypatch):
    # its pid in its own namespace is that of an unrelated older process here
    monkeypatch.setattr(machine, "_LONGEST_START_MS", 1000)
    monkeypatch.setattr(machine, "_CLOCK_SLACK_MS", 0)
    inside = (
        "import os, sys\n"
        "for _ in range(100000):\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        if os.getpid() == int(sys.argv[2]):\n"
        "            exec(sys.argv[3])\n"
        "        os._exit(0)\n"
        "    os.waitpid(pid, 0)\n"
        "    if pid >= int(sys.argv[2]):\n"
        "        break\n"
    )
    ours = next(
        pid
        for pid in sorted(map(int, filter(str.isdigit, os.listdir("/proc"))))  # noqa: PTH208
        if pid > 2
        and (seen := machine.process(pid)) is not None
        and seen.argv
        and machine.monotonic_now_ms()[0] - seen.started_ms > 3000
    )
    program = START + "os.kill(os.getpid(), signal.SIGKILL)"
    done = subprocess.run(
        ["unshare", "-pf", sys.executable, "-c", inside, str(place), str(ours), program],  # noqa: S607
        check=False,
        timeout=100,
    )
    if done.returncode != 0:
        pytest.skip("no pid namespace can be made here")
    info, death = found(place)
    assert info.pid == ours
    assert (info.state, death.cause.kind) == ("died", "unknown")


def test_a_watch_that_ends_before_its_target_is_not_an_exit(place):
    target = subprocess.Popen(SLEEP)
    try:
        with subprocess.Popen(
            [
                *(sys.executable, "-m", "pprofplus", "watch", "--service", "svc"),
                *("--dir", str(place), "--interval", "0.1", str(target.pid)),
            ],
            stdout=subprocess.PIPE,
            text=True,
            # a background process of a shell ignores SIGINT, and so do its children
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
        ) as watch:
            assert "recorded to" in watch.stdout.readline()
            watch.send_signal(signal.SIGINT)
        info, death = found(place)
        assert (info.state, death.cause.text) == ("unrecorded", "no longer watched")
        assert death.cause.reason == "the process still runs"
    finally:
        target.kill()
        target.wait()
    assert found(place)[1].cause.text == "no longer watched"


def test_an_end_seen_by_a_watch_does_not_count_as_a_regular_exit(place):
    with (
        subprocess.Popen(SLEEP) as target,
        subprocess.Popen(
            [
                *(sys.executable, "-m", "pprofplus", "watch", "--service", "svc"),
                *("--dir", str(place), "--interval", "0.1", str(target.pid)),
            ],
            stdout=subprocess.PIPE,
            text=True,
        ) as watch,
    ):
        assert "recorded to" in watch.stdout.readline()
        target.kill()
        target.wait()
        watch.wait(60)
    _, death = found(place)
    assert death.cause.kind != "exit" or death.cause.certainty == "unknown"


# -- the outcome file


def killed_run(place):
    run_to_its_end(place, START + "os.kill(os.getpid(), signal.SIGKILL)")
    (path,) = place.glob("svc/*")
    return path


OUTCOME = {
    "by": "pprofplus run",
    "unix_ms": 1,
    "exit_code": None,
    "signal": 9,
    "oom_killed": None,
    "text": "",
}


@pytest.mark.parametrize(
    ("outcome", "wanted"),
    [
        ({}, ("died", "killed", "known")),
        ({"signal": 15}, ("exited", "terminated", "known")),
        ({"signal": None, "exit_code": 0}, ("exited", "exit", "known")),
        ({"signal": None, "exit_code": 7}, ("died", "failed", "known")),
        ({"by": "systemd", "oom_killed": True}, ("died", "oom", "known")),
    ],
)
def test_the_outcome_from_a_parent_is_the_cause(place, outcome, wanted):
    path = killed_run(place)
    (path / "outcome").write_text(json.dumps({**OUTCOME, **outcome}))
    assert cause_of(place) == wanted


HOSTILE = [
    b"",
    b"null",
    b"[1]",
    b"{",
    b"\xff\xfe{}",
    b"[" * 100_000,
    b'{"signal": "9"}',
    b'{"signal": true}',
    b'{"signal": 9.0}',
    b'{"signal": -9}',
    b'{"signal": 1e400, "exit_code": NaN}',
    b'{"exit_code": ' + b"9" * 5000 + b"}",
    b'{"exit_code": [0]}',
    b'{"oom_killed": "yes"}',
    b'{"signal": 9, "text": "' + b"x" * (1 << 20) + b'"}',
]


@pytest.mark.parametrize("raw", HOSTILE, ids=range(len(HOSTILE)))
def test_an_invalid_outcome_file_is_ignored(place, raw):
    path = killed_run(place)
    (path / "outcome").write_bytes(raw)
    assert cause_of(place) == ("died", "unknown", "unknown")


def test_an_outcome_that_is_a_link_a_pipe_or_a_directory_is_ignored(place, tmp_path):
    path = killed_run(place)
    (tmp_path / "other").write_text(json.dumps(OUTCOME))
    (path / "outcome").symlink_to(tmp_path / "other")
    assert cause_of(place)[1] == "unknown"
    (path / "outcome").unlink()
    os.mkfifo(path / "outcome")
    assert cause_of(place)[1] == "unknown"
    (path / "outcome").unlink()
    (path / "outcome").mkdir()
    assert cause_of(place)[1] == "unknown"


def test_texts_of_an_outcome_are_cleaned(place):
    path = killed_run(place)
    hostile = "\x1b]0;owned\x07[bold]\u202e"
    (path / "outcome").write_text(json.dumps({**OUTCOME, "by": hostile, "text": hostile}))
    _, death = found(place)
    assert death.cause.kind == "killed"
    assert all(line.isprintable() for line in death.details.split("\n"))


def test_an_outcome_that_is_written_late_is_found(place):
    path = killed_run(place)
    log, finder = open_log(str(path), in_blocks=True), CauseFinder()
    assert finder.death_of(log, "died").cause.kind == "unknown"
    (path / "outcome").write_text(json.dumps({**OUTCOME, "signal": 11}))
    wait_until(lambda: finder.death_of(log, "died").cause.kind == "crash", 30, pause_s=0.1)


# -- other boots and machines


def test_a_run_of_an_earlier_boot_may_have_ended_with_the_machine(place, monkeypatch):
    killed_run(place)
    now_ms = time.time_ns() // 1_000_000
    rebooted = replace(this_machine(), boot_id="another", booted_ms=now_ms + 30_000)
    for module in (death_evidence, machine):
        monkeypatch.setattr(module, "this_machine", lambda: rebooted)
    info, death = found(place)
    assert (info.state, death.cause.kind, death.cause.certainty) == ("died", "restart", "probable")


def test_a_run_of_another_machine_has_no_evidence_here(place, monkeypatch):
    killed_run(place)
    now_ms = time.time_ns() // 1_000_000
    other = Machine("elsewhere", "another", now_ms + 30_000)
    for module in (death_evidence, machine):
        monkeypatch.setattr(module, "this_machine", lambda: other)
    _, death = found(place)
    assert death.cause.kind == "unknown"
    assert os.uname().nodename in death.cause.reason


def test_a_list_has_the_same_cause_from_the_few_files_that_it_reads(place):
    path = killed_run(place)
    log = open_log(str(path), in_blocks=True)

    def quick(names=None):
        return quick_cause(
            str(path),
            stop=None,
            last_ms=log.last_sample_ms,
            host=log.header.host,
            boot_id=log.header.boot_id,
            used_bytes=None,
            limit_bytes=None,
            names=names,
        )

    assert quick().reason == NO_STOP
    (path / "outcome").write_text(json.dumps(OUTCOME))
    assert quick() == quick(os.listdir(path)) == found(place)[1].cause  # noqa: PTH208
    assert quick(()).reason == NO_STOP  # a file that is not there is not asked for


def test_the_record_and_the_whole_log_agree_on_how_a_run_ended(place):
    path = killed_run(place)
    for outcome in (None, {**OUTCOME, "signal": 15}, OUTCOME):
        if outcome is not None:
            (path / "outcome").write_text(json.dumps(outcome))
        state = found(place)[0].state
        assert read_ended_run(str(path), "rss", time.time_ns() + 1).state == state
        names = os.listdir(path)  # noqa: PTH208
        assert liveness.ended_state(str(path), None, 1, None, 0, names=names) == state
    for stop, state in (
        ("the watch ended", "unrecorded"),
        ("goes on in another run, as uid 5", "unrecorded"),
        ("", "exited"),
        ("SIGTERM", "exited"),
        ("the process ended, seen from outside", "died"),  # from the outcome
    ):
        assert liveness.ended_state(str(path), stop, 1, None, 0) == state
