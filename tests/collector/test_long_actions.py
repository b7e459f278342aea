"""Long actions: on their own thread, with progress, cancellable, and with an orderly end."""

import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import pprofplus
from kit import reference
from kit.waiting import wait_until
from pprofplus.control import request_handler
from pprofplus.control.actions import Action, ActionRegistry, Argument
from pprofplus.control.client import cancel, put_request, read_progress, take_answer
from pprofplus.control.request_handler import RequestHandler
from pprofplus.control.requests import Request
from pprofplus.recording.run_actions import ACTIONS
from pprofplus.system.background import on_main_thread

EVER_S = 60
HERE = str(Path(__file__).parent)
SERVICE = f"""
import os, sys, threading, time
sys.path.insert(0, {HERE!r})
import extra_actions
import pprofplus
collector = pprofplus.start("api", interval_s=0.05)
print("up", flush=True)
"""
CTL = f"""
import sys
sys.path.insert(0, {HERE!r})
import extra_actions
from pprofplus.cli import main
sys.exit(main(["ctl", *sys.argv[1:]]))
"""


@pytest.fixture
def actions(monkeypatch):
    """The registry, for actions of one test."""
    monkeypatch.setattr(ACTIONS, "_actions", dict(ACTIONS._actions))
    return ACTIONS


@pytest.fixture
def collector(log_directory):
    yield pprofplus.start("api", interval_s=0.05)
    pprofplus.stop()


@pytest.fixture
def service(spawn):
    def begin(program="time.sleep(600)"):
        process = spawn(SERVICE + program, stdin=subprocess.PIPE)
        assert process.stdout.readline() == "up\n"
        return process

    return begin


def send(directory, name, **arguments):
    return put_request(str(directory), Request(name, arguments))


def answer_of(directory, stem):
    return wait_until(lambda: take_answer(str(directory), stem))


def ctl(*words, **options):
    return subprocess.Popen(
        [sys.executable, "-c", CTL, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def finished(process):
    out, err = process.communicate(timeout=EVER_S)
    return process.returncode, out, err


def left(directory):
    """Return the files of requests that are in a run directory."""
    return sorted(path.name for path in Path(directory).iterdir() if "ctl-" in path.name)


def hold(actions, name="hold"):
    """Register a long action that runs until the returned event is set."""
    begun, end = threading.Event(), threading.Event()

    def wait(_, __, task):
        begun.set()
        while not end.is_set():
            task.wait(0.005)
        return "held"

    actions.register(Action(name, wait, long=True))
    return begun, end


# -- the registry


def test_an_action_whose_name_is_taken_or_invalid_is_not_registered():
    registry = ActionRegistry()
    registry.register(Action("pause", lambda *_: ""))
    for action in (
        Action("pause", lambda *_: ""),
        Action("Pause!", lambda *_: ""),
        Action("x", lambda *_: "", Argument("do", "X", (str,))),
        Action("x", lambda *_: "", Argument("a", "X", (str,)), Argument("a", "Y", (str,))),
    ):
        with pytest.raises(ValueError, match=r"."):
            registry.register(action)
    assert [action.name for action in registry] == ["pause"]


def test_requests_have_the_json_of_earlier_releases():
    assert json.loads(Request("pause").pack()) == {"do": "pause"}
    assert json.loads(Request("interval", {"interval_s": 0.5}).pack()) == {
        "do": "interval",
        "interval_s": 0.5,
    }
    assert json.loads(Request("mark", {"text": "x"}).pack()) == {"do": "mark", "text": "x"}


def test_a_request_without_a_required_argument_is_refused(collector):
    stem = send(collector.directory, "interval")
    assert answer_of(collector.directory, stem) == (False, "a request without interval_s")
    assert left(collector.directory) == [f"{stem}.bad"]


def test_a_missing_argument_has_its_default_and_keys_of_a_later_release_are_ignored(
    collector, actions
):
    received = []
    actions.register(
        Action(
            "note",
            lambda _, arguments: received.append(arguments) or "noted",
            Argument("text", "TEXT", (str,), default="nothing"),
        )
    )
    stem = send(collector.directory, "note", unknown=[1])
    assert answer_of(collector.directory, stem) == (True, "noted")
    assert received == [{"text": "nothing"}]


# -- in the process


def test_a_long_action_delays_no_sample_no_lock_and_no_other_request(collector, actions):
    begun, end = hold(actions)
    stem = send(collector.directory, "hold")
    assert begun.wait(EVER_S)
    before = collector.samples
    wait_until(lambda: collector.samples > before + 3)
    assert collector.lock.acquire(timeout=EVER_S)
    collector.lock.release()
    short = send(collector.directory, "mark", text="meanwhile")
    assert answer_of(collector.directory, short) == (True, "marked")
    assert take_answer(collector.directory, stem) is None
    end.set()
    assert answer_of(collector.directory, stem) == (True, "held")
    assert left(collector.directory) == []


def test_it_runs_on_its_own_thread_and_not_on_the_samplers(collector, actions):
    idents = {}

    def look(_, __, ___=None):
        idents[on_main_thread(), threading.get_ident()] = True
        return "looked"

    actions.register(Action("short", look))
    actions.register(Action("long", look, long=True))
    for name in ("short", "long"):
        answer_of(collector.directory, send(collector.directory, name))
    assert len(idents) == 2
    assert not any(on_main for on_main, _ in idents)


def test_it_reports_its_begin_and_its_progress(collector, actions):
    begun, end = hold(actions)
    step = threading.Event()

    def report(_, __, task):
        step.wait(EVER_S)
        task.report(0.25, "a quarter ✓")
        begun.set()
        while not end.is_set():
            task.wait(0.005)
        return "reported"

    actions.register(Action("report", report, long=True))
    stem = send(collector.directory, "report")
    assert wait_until(lambda: read_progress(collector.directory, stem)) == (0.0, "")
    step.set()
    wait_until(lambda: read_progress(collector.directory, stem) == (0.25, "a quarter ✓"))
    end.set()
    assert answer_of(collector.directory, stem) == (True, "reported")
    assert read_progress(collector.directory, stem) is None


def test_a_second_long_action_is_refused_while_one_runs(collector, actions):
    begun, end = hold(actions)
    stem = send(collector.directory, "hold")
    assert begun.wait(EVER_S)
    done, text = answer_of(collector.directory, send(collector.directory, "hold"))
    assert not done
    assert "hold is running" in text
    end.set()
    assert answer_of(collector.directory, stem) == (True, "held")
    assert answer_of(collector.directory, send(collector.directory, "hold")) == (True, "held")


def test_a_cancelled_action_ends_and_answers_that(collector, actions):
    begun, _ = hold(actions)
    stem = send(collector.directory, "hold")
    assert begun.wait(EVER_S)
    assert cancel(collector.directory, stem)
    assert answer_of(collector.directory, stem) == (False, "cancelled by request")
    wait_until(lambda: left(collector.directory) == [])


def test_a_cancellation_of_another_request_changes_nothing(collector, actions):
    begun, end = hold(actions)
    stem = send(collector.directory, "hold")
    assert begun.wait(EVER_S)
    assert cancel(collector.directory, "ctl-0123")
    wait_until(lambda: not Path(collector.directory, "ctl-0123.cancel").exists())
    end.set()
    assert answer_of(collector.directory, stem) == (True, "held")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_cancellation_of_another_user_changes_nothing(collector, actions):
    begun, end = hold(actions)
    stem = send(collector.directory, "hold")
    assert begun.wait(EVER_S)
    run_directory = Path(collector.directory)
    (run_directory / "planted").touch()
    os.chown(run_directory / "planted", 12345, 12345)
    (run_directory / "planted").rename(run_directory / f"{stem}.cancel")
    wait_until(lambda: not (run_directory / f"{stem}.cancel").exists())
    end.set()
    assert answer_of(collector.directory, stem) == (True, "held")


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (ValueError("not today"), "not today"),
        (RuntimeError("a bug"), "it failed: RuntimeError('a bug')"),
        (SystemExit(3), "it failed: SystemExit(3)"),
        (KeyboardInterrupt(), "it failed: KeyboardInterrupt()"),
        (MemoryError(), "it failed: MemoryError()"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_exception_of_a_long_action_is_its_answer(collector, actions, error, answer):
    def fail(*_):
        raise error

    actions.register(Action("fail", fail, long=True))
    assert answer_of(collector.directory, send(collector.directory, "fail")) == (False, answer)
    before = collector.samples
    wait_until(lambda: collector.samples > before + 3)
    assert answer_of(collector.directory, send(collector.directory, "pause")) == (True, "paused")


def test_an_answer_that_cannot_be_written_is_tried_again(collector, actions, monkeypatch):
    begun, end = hold(actions)
    stem = send(collector.directory, "hold")
    assert begun.wait(EVER_S)
    write, failures = request_handler._write, []

    def fail(stem, suffix, *rest):
        if len(failures) < 5 and suffix == "answer":
            failures.append(1)
            raise OSError(28, "No space left on device")
        write(stem, suffix, *rest)

    monkeypatch.setattr(request_handler, "_write", fail)
    end.set()
    assert answer_of(collector.directory, stem) == (True, "held")
    assert len(failures) == 5


def test_an_answer_is_never_longer_than_the_limit_of_its_reader(collector, actions):
    actions.register(Action("talk", lambda *_: "✓" * 10_000, long=True))
    done, text = answer_of(collector.directory, send(collector.directory, "talk"))
    assert done
    assert set(text) == {"✓"}
    assert len(text) > 100


def test_a_stop_cancels_the_action_and_writes_its_answer(collector, actions):
    begun, _ = hold(actions)
    directory = collector.directory
    stem = send(directory, "hold")
    assert begun.wait(EVER_S)
    pprofplus.stop()
    assert take_answer(directory, stem) == (False, "cancelled: the recording ends")
    assert left(directory) == []
    assert reference.Run(directory).kinds[-1] == "stop"


def test_a_stop_does_not_wait_for_an_action_that_ignores_it(collector, actions):
    begun, end = threading.Event(), threading.Event()

    def ignore(*_):
        begun.set()
        end.wait(EVER_S)
        return "too late"

    actions.register(Action("ignore", ignore, long=True))
    directory = collector.directory
    stem = send(directory, "ignore")
    assert begun.wait(EVER_S)
    pprofplus.stop()
    assert reference.Run(directory).kinds[-1] == "stop"
    assert take_answer(directory, stem) == (False, "cancelled: the recording ends")
    end.set()
    assert left(directory) == []


def test_a_recorder_of_another_process_refuses_actions_of_the_own_process(tmp_path):
    registry = ActionRegistry()
    registry.register(Action("own", lambda *_: "done", own_process_only=True))
    handler = RequestHandler(registry, own_process=False)
    stem = send(tmp_path, "own")
    handler.handle(str(tmp_path), None)
    done, text = take_answer(str(tmp_path), stem)
    assert not done
    assert "recorded from outside" in text
    stem = send(tmp_path, "own")
    RequestHandler(registry).handle(str(tmp_path), None)
    assert take_answer(str(tmp_path), stem) == (True, "done")


# -- real processes


def test_a_forked_child_does_not_run_the_action_and_answers_its_own_requests(
    service, log_directory
):
    process = service(
        """
sys.stdin.readline()
child = os.fork()
if child == 0:
    time.sleep(600)
print(child, flush=True)
time.sleep(600)
"""
    )
    (directory,) = reference.runs(log_directory)
    stem = send(directory, "work", seconds=3)
    wait_until(lambda: (progress := read_progress(str(directory), stem)) and progress[0] > 0)
    process.stdin.write("fork\n")
    process.stdin.flush()
    child = int(process.stdout.readline())
    try:
        (childs,) = wait_until(lambda: list(log_directory.glob(f"api/{child}-*")))
        wait_until(lambda: list(childs.glob("*.pplog")))
        done, text = answer_of(childs, send(childs, "work", seconds=0))
        assert (done, text) == (True, "worked")
        assert answer_of(directory, stem) == (True, "worked")
        # the collector's own thread and the main one
        threads = Path(f"/proc/{child}/task")
        wait_until(lambda: len(list(threads.iterdir())) == 2)
        assert (left(directory), left(childs)) == ([], [])
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_handler_that_forks_is_answered_once_by_the_parent(service, log_directory):
    process = service()
    (directory,) = reference.runs(log_directory)
    done, text = answer_of(directory, send(directory, "fork"))
    assert done
    assert text.startswith("forked ")
    child = int(text.split()[1])
    wait_until(lambda: not Path(f"/proc/{child}/cmdline").exists() or not _cmdline(child))
    assert answer_of(directory, send(directory, "work", seconds=0)) == (True, "worked")
    assert left(directory) == []
    assert process.poll() is None


def _cmdline(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize("action", ["work", "uncancellable"])
def test_an_end_of_the_process_is_answered_and_not_delayed(service, log_directory, action):
    process = service("sys.stdin.readline()")
    (directory,) = reference.runs(log_directory)
    stem = send(directory, action, seconds=600)
    wait_until(lambda: read_progress(str(directory), stem))
    began_s = time.monotonic()
    _, err = process.communicate("end\n", timeout=EVER_S)
    assert (process.returncode, err) == (0, "")
    assert time.monotonic() - began_s < EVER_S / 2
    assert take_answer(str(directory), stem) == (False, "cancelled: the recording ends")
    assert left(directory) == []
    assert reference.Run(directory).kinds[-1] == "stop"


def test_many_forks_during_an_action_leave_one_answer_and_complete_logs(service, log_directory):
    process = service(
        """
children = []
sys.stdin.readline()
for _ in range(40):
    child = os.fork()
    if child == 0:
        time.sleep(0.01)
        os._exit(0)
    children.append(child)
    time.sleep(0.01)
for child in children:
    os.waitpid(child, 0)
print("forked", flush=True)
sys.stdin.readline()
"""
    )
    (directory,) = reference.runs(log_directory)
    stem = send(directory, "work", seconds=2)
    wait_until(lambda: read_progress(str(directory), stem))
    process.stdin.write("fork\n")
    process.stdin.flush()
    assert process.stdout.readline() == "forked\n"
    assert answer_of(directory, stem) == (True, "worked")
    _, err = process.communicate("end\n", timeout=EVER_S)
    assert (process.returncode, err) == (0, "")
    run = reference.Run(directory)
    assert (run.bad, run.kinds[-1]) == (0, "stop")
    assert left(directory) == []


# -- the command


def test_a_registered_action_is_a_command_of_ctl(service):
    process = service()
    who = f"api {process.pid}: "
    assert finished(ctl("echo", "hello", "--service", "api")) == (0, f"{who}hello x1\n", "")
    found = finished(ctl("echo", "hi", "--times", "3", "--service", "api"))
    assert found == (0, f"{who}hi x3\n", "")
    code, out, _ = finished(ctl("echo", "--help"))
    assert code == 0
    assert "how often" in out
    for words in (("work", "-1"), ("work", "x"), ("echo", "x", "--times", "y")):
        code, out, err = finished(ctl(*words, "--service", "api"))
        assert (code, out, err.count("\n")) == (2, "", 1)


def test_ctl_waits_for_a_long_action_and_prints_its_result(service):
    process = service()
    who = f"api {process.pid}: "
    assert finished(ctl("work", "1", "--service", "api")) == (0, f"{who}worked\n", "")
    assert finished(ctl("refuse", "--service", "api")) == (1, "", f"{who}not today\n")
    code, out, err = finished(ctl("fail", "--service", "api"))
    assert (code, out) == (1, "")
    assert err == f"{who}it failed: RuntimeError('a bug')\n"
    assert process.poll() is None


def test_ctrl_c_cancels_the_action_in_every_service(service, log_directory):
    pids = sorted(service().pid for _ in range(2))
    asking = ctl("work", "500", "--service", "api")
    for directory in reference.runs(log_directory):
        wait_until(lambda directory=directory: list(directory.glob("*.progress")))
    asking.send_signal(signal.SIGINT)
    code, out, err = finished(asking)
    assert (code, out) == (1, "")
    assert err == "".join(f"api {pid}: cancelled by request\n" for pid in pids)
    for directory in reference.runs(log_directory):
        wait_until(lambda directory=directory: left(directory) == [])
        assert answer_of(directory, send(directory, "work", seconds=0)) == (True, "worked")


def test_ctrl_c_withdraws_a_request_that_no_process_has_read(service, log_directory):
    process = service()
    process.send_signal(signal.SIGSTOP)
    asking = ctl("work", "1", "--service", "api")
    (directory,) = reference.runs(log_directory)
    wait_until(lambda: list(directory.glob("*.request")))
    asking.send_signal(signal.SIGINT)
    code, out, err = finished(asking)
    assert (code, out) == (1, "")
    assert err == f"api {process.pid}: interrupted; the request was withdrawn\n"
    process.send_signal(signal.SIGCONT)
    assert left(directory) == []


def read_some(terminal):
    """Return what a program wrote to its terminal; nothing after it has closed it."""
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""


def test_progress_is_plain_text_on_a_terminal_and_erased_at_the_end(service):
    process = service()
    ours, theirs = pty.openpty()
    asking = subprocess.Popen(
        [sys.executable, "-c", CTL, "work", "2", "--service", "api"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
    )
    os.close(theirs)
    shown = b"".join(iter(lambda: read_some(ours), b""))
    os.close(ours)
    out, _ = asking.communicate(timeout=EVER_S)
    assert (asking.returncode, out) == (0, f"api {process.pid}: worked\n")
    lines = shown.decode().split("\r")
    assert any(f"api {process.pid}: " in line and "% step " in line for line in lines)
    assert lines[-1] == "\x1b[K"


def test_a_service_without_the_action_refuses_the_request(spawn, log_directory):
    process = spawn(SERVICE.replace("import extra_actions\n", "") + "time.sleep(600)")
    assert process.stdout.readline() == "up\n"
    found = finished(ctl("work", "1", "--service", "api"))
    assert found == (1, "", f"api {process.pid}: no request that this release knows\n")
    (directory,) = reference.runs(log_directory)
    assert [path.suffix for path in directory.glob("ctl-*")] == [".bad"]


def test_a_process_that_is_killed_is_not_waited_for(service):
    process = service()
    asking = ctl("work", "500", "--service", "api")
    (directory,) = reference.runs(Path(os.environ["PPROFPLUS_DIR"]))
    wait_until(lambda: list(directory.glob("*.progress")))
    process.kill()
    assert finished(asking) == (1, "", f"api {process.pid}: it ended before it answered\n")
