"""Requests from outside: handled, answered, refused or renamed, without affecting the service."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import pprofplus
from kit import reference
from kit.environment import needs_root
from kit.programs import as_another_user
from kit.waiting import wait_until
from pprofplus.control import request_handler
from pprofplus.control.client import put_request, take_answer, withdraw
from pprofplus.control.requests import Request, parse_request
from pprofplus.log.log_directory import TERMINATED_NAME
from pprofplus.recording.run_actions import ACTIONS

EVER_S = 30
SERVICE = """
import sys, time
import pprofplus
pprofplus.start("api", interval_s=float(sys.argv[1]))
print("up", flush=True)
time.sleep(600)
"""

AS_ANOTHER_USER = as_another_user(
    "pprofplus.commands.request_exchange",
    "pprofplus.control.client",
    "pprofplus.log.discovery",
    "pprofplus.recording.watching",
)


@pytest.fixture
def start(log_directory):
    yield pprofplus.start
    pprofplus.stop()


def send(collector, request):
    """Send a request; return its answer."""
    stem = put_request(collector.directory, request)
    return wait_until(lambda: take_answer(collector.directory, stem))


def plant(collector, raw, name="ctl-abc.request"):
    """Write a file of the test's own into the run directory, atomically."""
    run_directory = Path(collector.directory)
    (run_directory / "planted").write_bytes(raw)
    (run_directory / "planted").rename(run_directory / name)


def ctl(*words, timeout=60):
    done = subprocess.run(
        [sys.executable, "-m", "pprofplus", "ctl", *words],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def left(collector):
    """Return what is in the run directory besides segments and the SIGTERM file."""
    names = [path.name for path in Path(collector.directory).iterdir()]
    ours = (".pplog", TERMINATED_NAME)
    return sorted(name for name in names if not name.endswith(ours))


# -- in the process


def test_pausing_and_resuming_from_outside_is_answered_and_recorded(start):
    collector = start("api", interval_s=0.05)
    assert send(collector, Request("pause")) == (True, "paused")
    assert collector.paused
    assert send(collector, Request("pause")) == (True, "it was paused already")
    assert send(collector, Request("resume")) == (True, "resumed")
    assert send(collector, Request("resume")) == (True, "it was not paused")
    assert reference.Run(collector.directory).kinds == ["start", "pause", "resume"]
    assert left(collector) == []


def test_a_mark_from_outside_is_a_mark(start):
    collector = start("api", interval_s=0.05)
    assert send(collector, Request("mark", {"text": "deploy ✓"})) == (True, "marked")
    assert reference.Run(collector.directory).events[-1].text == "deploy ✓"


def test_the_interval_may_be_set_from_outside(start):
    collector = start("api", interval_s=0.05)
    assert send(collector, Request("interval", {"interval_s": 0.5})) == (True, "every 0.5 s")
    assert collector.interval_s == 0.5
    assert send(collector, Request("interval", {"interval_s": 0.5})) == (
        True,
        "every 0.5 s, as before",
    )


def test_an_interval_out_of_range_is_refused_with_the_range(start):
    collector = start("api", interval_s=0.05)
    done, text = send(collector, Request("interval", {"interval_s": 0.001}))
    assert not done
    assert "0.05 to 3600" in text
    assert collector.interval_s == 0.05


def test_a_request_does_not_wait_for_a_long_interval(start):
    collector = start("api", interval_s=3600)
    assert send(collector, Request("interval", {"interval_s": 0.05})) == (True, "every 0.05 s")
    wait_until(lambda: collector.samples > 3)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"do": "explode"}',
        b'{"do": ["pause"]}',
        b'{"do": "interval", "interval_s": "1"}',
        b'{"do": "interval", "interval_s": true}',
        b'{"do": "mark", "text": 5}',
        b"\xff\xfe",
        b"[" * 4000,
        b" " * 5000,
        b'{"do": "interval", "interval_s": 1' + b"0" * 5000 + b"}",
    ],
)
def test_a_malformed_request_is_renamed_refused_and_logged(start, raw, caplog):
    collector = start("api", interval_s=0.05)
    plant(collector, raw)
    done, _ = wait_until(lambda: take_answer(collector.directory, "ctl-abc"))
    assert not done
    assert left(collector) == ["ctl-abc.bad"]
    wait_until(lambda: [r for r in caplog.records if "ctl-abc.bad" in r.message] or "logged before")
    wait_until(lambda: collector.samples > 2)


def test_an_interval_of_four_hundred_digits_is_refused_and_delays_no_other_request(start):
    collector = start("api", interval_s=0.05)
    plant(collector, b'{"do": "interval", "interval_s": 1' + b"0" * 400 + b"}", "ctl-0.request")
    plant(collector, Request("mark", {"text": "after it"}).pack(), "ctl-1.request")
    done, text = wait_until(lambda: take_answer(collector.directory, "ctl-0"))
    assert not done
    assert "0.05 to 3600" in text
    assert len(text) < 200
    assert wait_until(lambda: take_answer(collector.directory, "ctl-1")) == (True, "marked")
    assert left(collector) == []


def test_a_request_that_fails_unexpectedly_is_answered_and_removed(start, monkeypatch):
    collector = start("api", interval_s=0.05)

    def fail(*_):
        raise RuntimeError("a bug")

    monkeypatch.setattr("pprofplus.recording.run_recorder.RunRecorder.set_interval", fail)
    plant(collector, Request("interval", {"interval_s": 1.0}).pack(), "ctl-0.request")
    plant(collector, Request("mark", {"text": "after it"}).pack(), "ctl-1.request")
    done, text = wait_until(lambda: take_answer(collector.directory, "ctl-0"))
    assert not done
    assert "a bug" in text
    assert wait_until(lambda: take_answer(collector.directory, "ctl-1")) == (True, "marked")
    assert left(collector) == []


def test_a_fifo_a_link_and_a_directory_under_a_requests_name_hang_nothing(start, tmp_path):
    collector = start("api", interval_s=0.05)
    run_directory = Path(collector.directory)
    (tmp_path / "target").write_text('{"do": "pause"}')
    os.mkfifo(run_directory / "ctl-a.request")
    (run_directory / "ctl-b.request").symlink_to(tmp_path / "target")
    (run_directory / "ctl-c.request").mkdir()
    for stem in ("ctl-a", "ctl-b", "ctl-c"):
        done, _ = wait_until(lambda stem=stem: take_answer(collector.directory, stem))
        assert not done
    assert not collector.paused
    assert (tmp_path / "target").exists()


@needs_root("only root can give a file to another user")
def test_a_request_of_another_user_is_refused_and_logged(start):
    collector = start("api", interval_s=0.05)
    run_directory = Path(collector.directory)
    (run_directory / "planted").write_bytes(Request("pause").pack())
    os.chown(run_directory / "planted", 12345, 12345)
    (run_directory / "planted").rename(run_directory / "ctl-abc.request")
    done, text = wait_until(lambda: take_answer(collector.directory, "ctl-abc"))
    assert not done
    assert "12345" in text
    assert not collector.paused
    assert left(collector) == ["ctl-abc.bad"]


@needs_root("root sends to a service of another user")
@pytest.mark.usefixtures("reachable_by_others")
def test_root_may_send_requests_to_the_service_of_another_user(log_directory, spawn):
    log_directory.mkdir(mode=0o700)
    os.chown(log_directory, 12345, 12345)
    process = spawn(
        SERVICE.replace("import pprofplus\n", "import os, pprofplus\nos.setuid(12345)\n"), "0.05"
    )
    assert process.stdout.readline() == "up\n"
    found = ctl("pause", "--service", "api", "--dir", str(log_directory))
    assert found == (0, f"api {process.pid}: paused\n", "")


def test_many_requests_at_the_same_time_are_all_answered(start):
    collector = start("api", interval_s=0.05)
    stems = [
        put_request(collector.directory, Request("mark", {"text": str(i)})) for i in range(150)
    ]
    for stem in stems:
        assert wait_until(lambda stem=stem: take_answer(collector.directory, stem))[0]
    assert left(collector) == []


def test_answers_that_are_not_read_are_removed_later(start, monkeypatch):
    collector = start("api", interval_s=0.05)
    put_request(collector.directory, Request("pause"))
    wait_until(lambda: left(collector) and left(collector)[0].endswith(".answer"))
    monkeypatch.setattr(request_handler, "_LEFTOVER_S", -1)
    send(collector, Request("resume"))
    wait_until(lambda: left(collector) == [])


def test_a_request_that_is_withdrawn_is_not_carried_out(start):
    collector = start("api", interval_s=0.05)
    run_directory = collector.directory
    pprofplus.stop()
    stem = put_request(run_directory, Request("pause"))
    assert withdraw(run_directory, stem)
    assert not withdraw(run_directory, stem)
    assert left(collector) == []


def test_a_packed_request_is_parsed_unchanged():
    for name, arguments in (
        ("pause", {}),
        ("interval", {"interval_s": 2.5}),
        ("mark", {"text": "\x1b✓"}),
    ):
        action, found = parse_request(Request(name, arguments).pack(), ACTIONS)
        assert (action.name, found) == (name, arguments)


# -- the command


@pytest.fixture
def service(spawn):
    def begin(interval_s=0.05):
        process = spawn(SERVICE, str(interval_s))
        assert process.stdout.readline() == "up\n"
        return process

    return begin


def test_the_command_sends_to_each_live_run_of_the_service_and_prints_the_answers(
    service, log_directory
):
    pids = sorted(service().pid for _ in range(3))
    assert ctl("pause", "--service", "api") == (
        0,
        "".join(f"api {pid}: paused\n" for pid in pids),
        "",
    )
    assert ctl("mark", "--service", "api", "--pid", str(pids[1]), "deploy")[:2] == (
        0,
        f"api {pids[1]}: marked\n",
    )
    marked = [d for d in reference.runs(log_directory) if "mark" in reference.Run(d).kinds]
    assert [reference.Run(d).header.pid for d in marked] == [pids[1]]


def test_the_command_sets_the_interval_and_prints_the_new_one(service):
    process = service()
    assert ctl("interval", "2", "--service", "api")[:2] == (0, f"api {process.pid}: every 2 s\n")


def test_a_service_that_does_not_run_prints_one_line_and_exits_1(service, log_directory):
    process = service()
    process.send_signal(signal.SIGKILL)
    process.wait()
    for words in (("--service", "api"), ("--service", "other"), ("--service", "api", "--pid", "1")):
        code, out, err = ctl("pause", *words)
        assert (code, out) == (1, "")
        assert err.count("\n") == 1
        assert "no live run" in err
    assert ctl("pause", "--service", "api", "--dir", str(log_directory / "nowhere"))[0] == 1


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("explode", "--service", "api"),
        ("pause",),
        ("pause", "--service", "../api"),
        ("interval", "0", "--service", "api"),
        ("interval", "--service", "api"),
        ("mark", "--service", "api"),
        ("pause", "--service", "api", "--pid", "x"),
    ],
)
def test_wrong_usage_prints_one_line_and_exits_2(words, log_directory):
    code, out, err = ctl(*words)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1


@pytest.mark.slow
def test_a_request_to_a_stopped_process_times_out_and_is_withdrawn(service, log_directory):
    process = service()
    process.send_signal(signal.SIGSTOP)
    code, out, err = ctl("pause", "--service", "api")
    assert (code, out) == (1, "")
    assert "withdrawn" in err
    process.send_signal(signal.SIGCONT)
    (directory,) = reference.runs(log_directory)
    before = len(reference.Run(directory).samples)
    wait_until(lambda: len(reference.Run(directory).samples) > before + 3)
    assert "pause" not in reference.Run(directory).kinds


def test_an_answer_with_escape_sequences_is_printed_as_plain_text(service):
    """The run directory belongs to the service, so an answer in it may contain anything."""
    process = service()
    process.send_signal(signal.SIGSTOP)
    log_directory = Path(os.environ["PPROFPLUS_DIR"])
    (directory,) = reference.runs(log_directory)
    asking = subprocess.Popen(
        [sys.executable, "-m", "pprofplus", "ctl", "pause", "--service", "api"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    (request,) = wait_until(lambda: list(Path(directory).glob("*.request")))
    answer = {"done": True, "text": "\x1b[2J\x07 fine\n[bold]"}
    request.with_suffix(".answer").write_text(json.dumps(answer))
    out, _ = asking.communicate(timeout=EVER_S)
    assert "\x1b" not in out
    assert "\x07" not in out
    assert out.count("\n") == 1
    process.send_signal(signal.SIGCONT)


# -- without permission


@needs_root("needs a service of another user")
@pytest.mark.usefixtures("reachable_by_others", "start")
@pytest.mark.parametrize("closed", ["log directory", "service", "run", "request"])
def test_a_service_of_another_user_is_denied_in_one_line_with_advice(spawn, log_directory, closed):
    service = spawn(SERVICE, "0.05")
    assert service.stdout.readline() == "up\n"
    (directory,) = reference.runs(log_directory)
    log_directory.chmod(0o700 if closed == "log directory" else 0o755)
    directory.parent.chmod(0o700 if closed == "service" else 0o755)
    directory.chmod(0o700 if closed == "run" else 0o755)
    for segment in reference.segments(directory):
        segment.chmod(0o644)
    for more in ((), ("--pid", str(service.pid))):
        done = subprocess.run(
            [sys.executable, "-c", AS_ANOTHER_USER, "ctl", "pause", "--service", "api", *more],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert "Permission denied" in done.stderr
        assert "as the service's user or as root" in done.stderr
        assert "no live run" not in done.stderr
