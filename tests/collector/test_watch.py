"""Other processes recorded from outside: found, recorded to their end, and without permission."""

import os
import re
import resource
import signal
import subprocess
import sys
import time

import psutil
import pytest

from kit import reference
from kit.environment import needs_root
from kit.processes import started_processes
from kit.programs import as_another_user
from kit.waiting import wait_until
from pprofplus.recording.watched_process import WatchedProcess
from pprofplus.settings import Settings

EVER_S = 60
GROWING = (
    "import time\nheld = []\nwhile True:\n    held.append(bytes(1 << 20))\n    time.sleep(0.02)\n"
)

AS_ANOTHER_USER = as_another_user(
    "pprofplus.control.client",
    "pprofplus.log.discovery",
    "pprofplus.log.ledger_scan",
    "pprofplus.recording.watching",
)

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def others():
    """Start processes without the collector; they are killed at the end."""
    with started_processes() as start:
        yield lambda *words, **options: start(words, stdout=subprocess.DEVNULL, **options)


@pytest.fixture
def watch(log_directory):
    """Run `pprofplus watch`; it is killed at the end if it still runs."""
    with started_processes() as start_process:

        def start(*words, **options):
            # under nohup or a shell's `&`, tests inherit an ignored SIGINT, and so would the watch
            ignored = [each for each in _ENDING if signal.getsignal(each) == signal.SIG_IGN]
            for each in ignored:
                signal.signal(each, signal.SIG_DFL)
            try:
                return start_process(
                    [sys.executable, "-m", "pprofplus", "watch", "--interval", "0.05", *words],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    **options,
                )
            finally:
                for each in ignored:
                    signal.signal(each, signal.SIG_IGN)

        yield start


def samples(log_directory, pid):
    run = reference.runs_by_pid(log_directory).get(pid)
    return 0 if run is None else len(run.samples)


def test_a_process_without_the_collector_is_recorded_until_it_ends(watch, others, log_directory):
    other = others("sleep", "600")
    watching = watch(str(other.pid))
    wait_until(lambda: samples(log_directory, other.pid) > 5)
    other.kill()
    other.wait()
    out, err = watching.communicate(timeout=EVER_S)
    assert (watching.returncode, err) == (0, "")
    assert re.fullmatch(rf"sleep {other.pid}: recorded to \S+\nsleep {other.pid}: ended\n", out)
    run = reference.runs_by_pid(log_directory)[other.pid]
    assert (run.kinds, run.header.service, run.header.argv) == (
        ["start", "stop"],
        "sleep",
        ("sleep", "600"),
    )
    assert not reference.is_live(run.directory)
    assert run.bad == 0


def test_its_values_are_those_of_the_process(watch, others, log_directory):
    other = others(sys.executable, "-c", GROWING)
    watching = watch(str(other.pid), "--service", "grower")
    wait_until(lambda: samples(log_directory, other.pid) > 20)
    run = reference.runs_by_pid(log_directory)[other.pid]
    assert run.header.service == "grower"
    first, last = run.samples[0][2], run.samples[-1][2]
    assert last["rss"] > first["rss"]
    assert last["vms"] >= last["rss"]
    assert last["threads"] == 1
    names = {name for name, _, _ in run.header.metrics}
    assert {"rss", "vms", "cpu_user", "cpu_system", "threads", "fds"} <= names
    assert not {"heap_sys", "gc_runs_0"} & names
    watching.send_signal(signal.SIGTERM)
    assert watching.wait(EVER_S) == 0


@pytest.mark.parametrize("number", _ENDING)
def test_a_signal_ends_the_watch_normally(watch, others, log_directory, number):
    other = others("sleep", "600")
    watching = watch(str(other.pid))
    wait_until(lambda: samples(log_directory, other.pid) > 1)
    watching.send_signal(number)
    assert watching.wait(EVER_S) == 0
    assert other.poll() is None
    run = reference.runs_by_pid(log_directory)[other.pid]
    assert run.kinds == ["start", "stop"]
    assert run.events[-1].text == "the watch ended"


def test_a_python_program_has_its_scripts_name(watch, others, log_directory, tmp_path):
    (tmp_path / "shop_api.py").write_text("import time; time.sleep(600)")
    other = others(sys.executable, str(tmp_path / "shop_api.py"))
    wait_until(lambda: "shop_api" in " ".join(psutil.Process(other.pid).cmdline()))
    watch(str(other.pid))
    wait_until(lambda: samples(log_directory, other.pid) > 0)
    assert reference.runs_by_pid(log_directory)[other.pid].header.service == "shop_api"


def test_by_name_matching_processes_are_found_also_new_ones(watch, others, log_directory):
    mark = f"watched-{os.getpid()}-{time.monotonic_ns()}"
    words = (sys.executable, "-c", "import time; time.sleep(600)", mark)
    first = others(*words)
    other = others(sys.executable, "-c", "import time; time.sleep(600)", "another")
    watching = watch("--name", mark, "--service", "marked")
    wait_until(lambda: samples(log_directory, first.pid) > 0)
    second = others(*words)
    wait_until(lambda: samples(log_directory, second.pid) > 0)
    first.kill()
    first.wait()
    wait_until(lambda: reference.runs_by_pid(log_directory)[first.pid].kinds[-1] == "stop")
    assert watching.poll() is None
    assert set(reference.runs_by_pid(log_directory)) == {first.pid, second.pid}
    assert other.pid not in reference.runs_by_pid(log_directory)


def test_with_a_name_it_waits_for_the_first_match(watch, others, log_directory):
    mark = f"waited-{os.getpid()}-{time.monotonic_ns()}"
    watching = watch("--name", mark)
    time.sleep(0.5)
    assert watching.poll() is None
    other = others(sys.executable, "-c", "import time; time.sleep(600)", mark)
    wait_until(lambda: samples(log_directory, other.pid) > 0)


def test_new_children_are_recorded_and_the_watch_ends_with_the_last(watch, others, log_directory):
    parent = others(
        sys.executable,
        "-c",
        "import subprocess, sys, time\n"
        "first = subprocess.Popen(['sleep', '600'])\n"
        "time.sleep(2)\n"
        "second = subprocess.Popen(['sleep', '601'])\n"
        "sys.stdin.read()\n"
        "first.kill(); second.kill(); first.wait(); second.wait()\n",
        stdin=subprocess.PIPE,
    )
    watching = watch(str(parent.pid), "--children")
    wait_until(lambda: len(reference.runs_by_pid(log_directory)) == 3)
    argv = {run.header.argv for run in reference.runs_by_pid(log_directory).values()}
    assert {("sleep", "600"), ("sleep", "601")} < argv
    parent.stdin.close()
    parent.wait()
    assert watching.wait(EVER_S) == 0
    assert {run.kinds[-1] for run in reference.runs_by_pid(log_directory).values()} == {"stop"}


def test_without_a_pid_children_are_those_of_the_process_that_started_the_watch(
    log_directory, tmp_path
):
    script = tmp_path / "supervisor.py"
    script.write_text(
        "import subprocess, sys\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        "watching = subprocess.Popen([sys.executable, '-m', 'pprofplus', 'watch', '--children',"
        " '--interval', '0.05', '--quiet'])\n"
        "print(child.pid, watching.pid, flush=True)\n"
        "sys.stdin.read()\n"
        "watching.terminate(); child.kill(); print(watching.wait())\n"
    )
    supervisor = subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    child, watching = map(int, supervisor.stdout.readline().split())
    try:
        wait_until(lambda: samples(log_directory, child) > 2)
        assert watching not in reference.runs_by_pid(log_directory)
    finally:
        out, _ = supervisor.communicate(timeout=EVER_S)
    assert out == "0\n"


def test_a_missing_pid_prints_one_line_and_exits_1(watch):
    watching = watch("4194303")
    out, err = watching.communicate(timeout=EVER_S)
    assert (watching.returncode, out) == (1, "")
    assert err == "pprofplus: 4194303: no such process\n"


@pytest.mark.parametrize(
    "words",
    [(), ("0",), ("-1",), ("x",), ("99999999999",), ("--name", "("), ("1", "--service", "../x")],
)
def test_wrong_usage_prints_one_line_and_exits_2(watch, words):
    watching = watch(*words)
    out, err = watching.communicate(timeout=EVER_S)
    assert (watching.returncode, out) == (2, "")
    assert err.count("\n") == 1


@needs_root("needs a process of another user to look at")
@pytest.mark.usefixtures("reachable_by_others")
def test_metrics_that_this_user_may_not_read_are_named_and_the_others_recorded(
    others, log_directory
):
    other = others("sleep", "600")  # root's
    log_directory.mkdir(mode=0o700)
    os.chown(log_directory, 12345, 12345)
    program = (
        "import logging, os, sys, time\n"
        "from pprofplus.settings import Settings\n"
        "from pprofplus.recording.watching import WatchSelection, Watch\n"
        "os.setgroups([]); os.setgid(12345); os.setuid(12345)\n"
        "def complain(line): print(line, file=sys.stderr)\n"
        "selection = WatchSelection((int(sys.argv[1]),), None, ())\n"
        "watch = Watch(selection, Settings('watch', interval_s=0.05), None, print, complain)\n"
        "while not watch.over: time.sleep(watch.step())\n"
    )
    watching = subprocess.Popen(
        [sys.executable, "-c", program, str(other.pid)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: samples(log_directory, other.pid) > 3 or watching.poll() is not None)
    other.kill()
    other.wait()
    _, err = watching.communicate(timeout=EVER_S)
    assert watching.returncode == 0, err
    assert err.count("\n") == 1
    assert "uss, pss, swap, fds" in err
    assert {"rss", "vms", "threads"} <= {
        name for name, _, _ in reference.runs_by_pid(log_directory)[other.pid].header.metrics
    }


def test_ctl_may_mark_and_pause_a_watched_process(watch, others, log_directory):
    other = others("sleep", "600")
    watch(str(other.pid))
    wait_until(lambda: samples(log_directory, other.pid) > 0)
    for words in (("mark", "hello"), ("pause",)):
        subprocess.run(
            [sys.executable, "-m", "pprofplus", "ctl", *words, "--service", "sleep"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    assert reference.runs_by_pid(log_directory)[other.pid].kinds == ["start", "mark", "pause"]


def test_a_killed_watch_loses_no_sample_and_its_runs_have_died(watch, others, log_directory):
    other = others("sleep", "600")
    watching = watch(str(other.pid))
    wait_until(lambda: samples(log_directory, other.pid) > 3)
    watching.kill()
    watching.wait()
    run = reference.runs_by_pid(log_directory)[other.pid]
    assert run.kinds == ["start"]
    assert not reference.is_live(run.directory)


def test_escape_sequences_in_a_command_line_do_not_reach_the_terminal(watch, others, log_directory):
    other = others(
        sys.executable, "-c", "import time; time.sleep(600)", "\x1b[2J\x07evil", "needle-\x9b31m"
    )
    watching = watch("--name", "needle-")
    wait_until(lambda: samples(log_directory, other.pid) > 0)
    other.kill()
    other.wait()
    time.sleep(0.3)
    watching.send_signal(signal.SIGTERM)
    out, err = watching.communicate(timeout=EVER_S)
    assert out.isascii()
    assert all(char >= " " or char == "\n" for char in out + err)


def test_a_pid_reused_by_another_process_ends_the_run(others, tmp_path):
    """A pid cannot be reused on demand: so the test checks the process's identity."""
    process = others("sleep", "600")
    watched = WatchedProcess(
        psutil.Process(process.pid), "svc", Settings("svc", directory=tmp_path / "logs")
    )
    assert watched.is_alive
    watched.process._create_time = 1.0
    watched.process._ident = (process.pid, 1.0)
    assert not watched.step(time.monotonic())
    assert reference.Run(watched.recorder.writer.directory).kinds == ["start", "stop"]


# -- without enough descriptors

MANY = 60
LIMIT = 64  # maximum of files that the watch may open
HERD = """
import subprocess, sys
herd = [subprocess.Popen(["sleep", sys.argv[2]]) for _ in range(int(sys.argv[1]))]
print(*(each.pid for each in herd), flush=True)
for line in sys.stdin:
    for _ in range(int(line)):
        gone = herd.pop(0)
        gone.kill()
        gone.wait()
for each in herd:
    each.kill()
"""


@pytest.fixture
def herd():
    """Start many processes below one; return that one and their pids."""
    started = []

    def start(count, duration_s="600"):
        words = [sys.executable, "-c", HERD, str(count), duration_s]
        parent = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(parent)
        return parent, set(map(int, parent.stdout.readline().split()))

    yield start
    for parent in started:
        parent.stdin.close()
        parent.wait(EVER_S)
        parent.stdout.close()


def limited(soft, hard):
    """Return the command prefix that sets these limits of open files."""
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def live(log_directory):
    paths = [path for path in reference.runs(log_directory) if reference.segments(path)]
    return {path.name.partition("-")[0] for path in paths if reference.is_live(path)}


def test_the_soft_limit_of_descriptors_is_raised_to_the_hard_one(watch, herd, log_directory):
    parent, pids = herd(MANY)
    watching = watch(str(parent.pid), "--children", preexec_fn=limited(40, 1024))
    wait_until(lambda: len(live(log_directory)) == MANY + 1)
    with open(f"/proc/{watching.pid}/limits") as file:
        (line,) = (line for line in file if line.startswith("Max open files"))
    assert line.split()[3:5] == ["1024", "1024"]
    assert pids < set(map(int, live(log_directory)))


def test_a_watched_process_uses_one_descriptor(watch, herd, log_directory):
    parent, _ = herd(MANY)
    watching = watch(str(parent.pid), "--children", preexec_fn=limited(1024, 1024))
    wait_until(lambda: len(live(log_directory)) == MANY + 1)
    assert len(os.listdir(f"/proc/{watching.pid}/fd")) < MANY + 16


def test_without_descriptors_one_line_is_printed_and_recorded_processes_continue(
    watch, herd, log_directory
):
    parent, _ = herd(MANY)
    watching = watch(str(parent.pid), "--children", preexec_fn=limited(LIMIT, LIMIT))
    line = watching.stderr.readline()
    assert "no file descriptor is left (limit 64)" in line
    assert "ulimit -n" in line
    recorded = live(log_directory)
    assert len(recorded) > LIMIT // 2
    (first, *_) = sorted(recorded)
    before = samples(log_directory, int(first))
    wait_until(lambda: samples(log_directory, int(first)) > before + 5)
    # room for others: they are recorded
    parent.stdin.write("30\n")
    parent.stdin.flush()
    wait_until(lambda: live(log_directory) - recorded)
    assert watching.poll() is None
    watching.send_signal(signal.SIGTERM)
    out, err = watching.communicate(timeout=EVER_S)
    assert (watching.returncode, err) == (0, "")
    assert "Traceback" not in out
    assert {run.kinds[-1] for run in reference.runs_by_pid(log_directory).values()} == {"stop"}


def test_without_a_descriptor_for_any_process_one_line_is_printed_and_the_exit_code_is_1(
    watch, others
):
    other = others("sleep", "600")
    watching = watch(str(other.pid), preexec_fn=limited(14, 14))
    out, err = watching.communicate(timeout=EVER_S)
    assert (watching.returncode, out) == (1, "")
    assert err.count("\n") == 1
    assert "no file descriptor is left (limit 14)" in err


def test_with_a_name_processes_without_a_descriptor_are_recorded_later(watch, herd, log_directory):
    duration_s = f"600.{os.getpid()}{time.monotonic_ns()}"  # a duration that no other process has
    parent, pids = herd(40, duration_s)
    watching = watch("--name", f"^sleep {re.escape(duration_s)}$", preexec_fn=limited(48, 48))
    assert "no file descriptor is left" in watching.stderr.readline()
    recorded = live(log_directory)
    assert len(recorded) < 40
    parent.stdin.write("20\n")
    parent.stdin.flush()
    wait_until(lambda: live(log_directory) - recorded)
    assert {int(pid) for pid in live(log_directory)} <= pids
    assert watching.poll() is None


# -- without permission


@needs_root("needs a directory of another user")
@pytest.mark.usefixtures("reachable_by_others")
def test_a_directory_without_write_permission_prints_one_line_and_exits_1(
    others, log_directory, tmp_path
):
    log_directory.parent.joinpath("closed").mkdir(mode=0o755)
    other = others("sleep", "600", preexec_fn=lambda: os.setuid(12345))
    for directory in (tmp_path / "closed" / "logs", tmp_path / "closed", log_directory):
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                AS_ANOTHER_USER,
                "watch",
                str(other.pid),
                "--dir",
                str(directory),
            ],
            capture_output=True,
            text=True,
            timeout=EVER_S,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done
        assert done.stderr.startswith("pprofplus: cannot record")
        assert str(directory) in done.stderr


@needs_root("needs a directory of another user")
@pytest.mark.usefixtures("reachable_by_others")
def test_a_services_directory_of_another_user_prints_one_line_and_exits_1(others, log_directory):
    log_directory.mkdir(mode=0o755)
    os.chown(log_directory, 12345, 12345)
    (log_directory / "sleep").mkdir(mode=0o700)  # root's
    other = others("sleep", "600", preexec_fn=lambda: os.setuid(12345))
    done = subprocess.run(
        [sys.executable, "-c", AS_ANOTHER_USER, "watch", str(other.pid)],
        capture_output=True,
        text=True,
        timeout=EVER_S,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done
    assert f"{other.pid}: cannot record to {log_directory}: " in done.stderr


@needs_root("mounting a small disk needs root")
def test_on_a_full_disk_it_prints_the_run_directory_after_the_first_write(watch, others, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        (disk / "filler").write_bytes(bytes(4 << 20))
        other = others("sleep", "600")
        watching = watch(str(other.pid), "--dir", str(disk / "logs"))
        assert "No space left" in watching.stderr.readline()
        (disk / "filler").unlink()
        assert watching.stdout.readline().startswith(f"sleep {other.pid}: recorded to ")
        watching.kill()
        watching.wait()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
