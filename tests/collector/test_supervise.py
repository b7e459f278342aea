"""`pprofplus run --wait`: the parent changes nothing for the command, and records how it ended."""

import contextlib
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kit import reference
from kit.environment import needs_root
from kit.memory_cgroup import ENTER, HOG, small_cgroup
from kit.processes import has_ended, started_processes
from kit.waiting import wait_until
from pprofplus.system.descriptor import read_small_file

RUN = [sys.executable, "-m", "pprofplus", "run", "--wait"]
BASH = shutil.which("bash") or "bash"
EVER_S = 60
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="a promise for Linux")

READY = "import os, signal, sys, time\nprint('ready', os.getpid(), flush=True)\n"
SLEEP = READY + "time.sleep(600)\n"


def finish(words, **options):
    """Run to the end; return (exit code, stdout, stderr)."""
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=EVER_S, check=False, **options
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def start(log_directory):
    """Start a Python program under it; return the parent, and the pid that the program prints."""
    with started_processes() as start_process:

        def begin(program, *, before=(), **options):
            words = [*before, *RUN, "--", sys.executable, "-c", program]
            options = {"stderr": subprocess.PIPE, **options}
            process = start_process(words, stdout=subprocess.PIPE, text=True, **options)
            return process, int(process.stdout.readline().split()[1])

        yield begin


def outcomes(log_directory):
    return {
        int(path.name.split("-")[0]): json.loads((path / "outcome").read_text())
        for path in reference.runs(log_directory)
        if (path / "outcome").exists()
    }


# -- how it ended


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_its_exit_code_is_the_commands_and_is_recorded(log_directory, code):
    found = finish([*RUN, "--", sys.executable, "-c", f"raise SystemExit({code})"])
    assert found == (code, "", "")
    (outcome,) = outcomes(log_directory).values()
    assert outcome.pop("unix_ms") == pytest.approx(time.time() * 1000, abs=60_000)
    assert outcome == {
        "by": "pprofplus run",
        "exit_code": code,
        "signal": None,
        "oom_killed": False,
        "text": f"exit code {code}",
    }


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_a_signals_exit_code_is_that_of_shells_and_one_line_is_printed(log_directory, number):
    program = f"import os; os.kill(os.getpid(), {number:d})"
    code, out, err = finish([*RUN, "--", sys.executable, "-c", program])
    assert (code, out) == (128 + number, "")
    assert err.startswith("pprofplus: ")
    assert f"was killed by {signal.Signals(number).name}" in err
    assert err.count("\n") == 1
    (outcome,) = outcomes(log_directory).values()
    assert (outcome["signal"], outcome["exit_code"]) == (number, None)
    assert outcome["oom_killed"] is False


def test_the_outcome_is_in_the_run_of_the_command_and_not_of_its_children(log_directory):
    program = """
import os, subprocess, sys, time
child = os.fork()
time.sleep(1)
if child == 0:
    sys.exit(5)
os.waitpid(child, 0)
print(os.getpid())
sys.exit(3)
"""
    code, out, _ = finish([*RUN, "--", sys.executable, "-W", "ignore", "-c", program])
    assert code == 3
    assert len(reference.runs(log_directory)) == 2
    assert list(outcomes(log_directory)) == [int(out)]


def test_if_a_shell_execs_the_program_the_last_run_has_the_outcome(log_directory):
    again = f"'{sys.executable}' -c 'import time; time.sleep(0.05)'"
    become = "import os, sys; os.execv(sys.executable, [sys.executable, '-c', 'exit(4)'])"
    script = f'{again}; exec "{sys.executable}" -c "{become}"'
    assert finish([*RUN, "--", "sh", "-c", script])[0] == 4
    (pid,) = {int(path.name.split("-")[0]) for path in reference.runs(log_directory)}
    newest = max(reference.runs(log_directory), key=lambda path: int(path.name.split("-")[1]))
    assert len(reference.runs(log_directory)) == 2
    assert json.loads((newest / "outcome").read_text())["exit_code"] == 4
    assert outcomes(log_directory)[pid]["exit_code"] == 4


def test_a_command_that_records_nothing_ends_unchanged():
    assert finish([*RUN, "--", "sh", "-c", "exit 9"]) == (9, "", "")


@linux_only
def test_an_oom_kill_is_reported_as_such(log_directory):
    with small_cgroup("pprofplus-wait", 128 << 20) as cgroup:
        code, _, err = finish([*ENTER, str(cgroup), *RUN, "--", sys.executable, "-c", HOG])
    assert code == 128 + signal.SIGKILL
    assert "was killed by the OOM killer" in err
    (outcome,) = outcomes(log_directory).values()
    assert (outcome["signal"], outcome["oom_killed"]) == (signal.SIGKILL, True)


def test_an_outcome_that_cannot_be_written_changes_no_exit_code(log_directory):
    program = f"""
import os, sys
print(os.getpid())
os.mkdir("{log_directory}/python/" + os.listdir("{log_directory}/python")[0] + "/outcome")
sys.exit(6)
"""
    code, _, err = finish([*RUN, "--", sys.executable, "-c", program])
    assert code == 6
    assert err.startswith("pprofplus: cannot record how ")
    assert err.count("\n") == 1


@needs_root("needs another user")
def test_an_outcome_that_root_writes_is_readable_for_the_services_user(tmp_path, monkeypatch):
    logs = tmp_path / "logs"
    logs.mkdir(mode=0o700)
    os.chown(logs, 12345, 12345)
    monkeypatch.setenv("PPROFPLUS_DIR", str(logs))
    program = f"""
import os, sys
import pprofplus
os.seteuid(12345)
pprofplus.start("api", directory={str(logs)!r})
pprofplus.stop()
sys.exit(2)
"""
    environment = {**os.environ, "PPROFPLUS_AUTOSTART": "0"}
    script = tmp_path / "program.py"
    script.write_text(program)
    words = [*RUN, "--", "env", "PPROFPLUS_AUTOSTART=0", sys.executable, str(script)]
    for path in (tmp_path, *tmp_path.parents):
        if path.name.startswith(("pytest-", "popen-", "test_")):
            path.chmod(0o755)
    assert finish(words, env=environment)[0] == 2
    (directory,) = reference.runs(logs)
    found = (directory / "outcome").stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (12345, 0, 0o600)


# -- signals


@pytest.mark.parametrize(
    "name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGTTIN", "SIGTTOU",
             "SIGWINCH", "SIGALRM", "SIGTSTP"],
)  # fmt: skip
def test_a_signal_of_another_process_is_forwarded_once(start, name):
    process, _ = start(
        f"""
import os, signal, sys, time
came = []
signal.signal(signal.{name}, lambda *_: came.append(True))
print("ready", os.getpid(), flush=True)
while not came:
    time.sleep(0.01)
time.sleep(0.1)
sys.exit(len(came))
"""
    )
    process.send_signal(getattr(signal, name))
    assert process.wait(EVER_S) == 1


@linux_only
def test_a_kill_of_the_parent_kills_the_command(start):
    process, pid = start(SLEEP)
    process.kill()
    process.wait(EVER_S)
    wait_until(lambda: has_ended(pid))


def test_a_stop_of_the_command_stops_the_parent_and_a_continue_continues_both(start):
    process, pid = start(READY + "sys.stdin.readline()\n", stdin=subprocess.PIPE)
    os.kill(pid, signal.SIGSTOP)
    found, status = os.waitpid(process.pid, os.WUNTRACED)
    assert found == process.pid
    assert os.WIFSTOPPED(status)
    process.send_signal(signal.SIGCONT)
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.wait(EVER_S) == 0


def test_the_commands_signal_dispositions_are_unchanged():
    program = """
import signal
print([n for n in range(1, 32) if signal.getsignal(n) == signal.SIG_IGN],
      signal.pthread_sigmask(signal.SIG_BLOCK, []))
"""
    words = ["--", sys.executable, "-c", program]

    def block():
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    without = finish([*RUN[:-1], *words], preexec_fn=block)
    assert finish([*RUN, *words], preexec_fn=block) == without
    assert str(signal.SIGHUP.value) in without[1]


# -- what else it must not change


def test_stdin_and_stdout_are_the_commands():
    words = [*RUN, "--", sys.executable, "-c", "import sys; print(sys.stdin.read().upper())"]
    assert finish(words, input="abc") == (0, "ABC\n", "")


@linux_only
def test_a_pipe_that_the_command_closes_is_closed(start):
    process, _ = start(
        READY + "os.close(1)\nsys.stdout = None\nsys.stdin.readline()\n", stdin=subprocess.PIPE
    )
    assert process.stdout.read() == ""  # immediately, although it still runs
    assert process.poll() is None
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.wait(EVER_S) == 0


def test_descriptors_that_it_inherits_are_the_commands(tmp_path):
    with (tmp_path / "file").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        program = f"import os; os.write({file.fileno()}, b'through')"
        assert finish([*RUN, "--", sys.executable, "-c", program], close_fds=False)[0] == 0
    assert (tmp_path / "file").read_text() == "through"


def test_a_service_manager_finds_its_pid_in_the_commands_environment():
    program = (
        "import os; print(os.environ['LISTEN_PID'] == os.environ['PPROFPLUS_AUTOSTART_PID'] =="
        " str(os.getpid()), os.environ['WATCHDOG_PID'])"
    )
    words = ["sh", "-c", 'LISTEN_PID=$$ WATCHDOG_PID=1 exec "$@"', "sh", *RUN, "--"]
    assert finish([*words, sys.executable, "-c", program])[1] == "True 1\n"


@pytest.mark.parametrize("locale", [{}, {"LC_ALL": "C"}, {"LANG": "C"}, {"LC_CTYPE": "C.UTF-8"}])
def test_the_commands_environment_is_unchanged(log_directory, locale):
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "PPROFPLUS_DIR": str(log_directory),
        **locale,
    }

    def variables(words):
        code, out, _ = finish([*words, "--", "env"], env=environment)
        assert code == 0
        found = dict(line.split("=", 1) for line in out.splitlines())
        return {name: text for name, text in found.items() if "_PID" not in name and name != "_"}

    assert variables(RUN) == variables(RUN[:-1])


@pytest.mark.parametrize(
    ("name", "code"), [("no-such-command", 127), ("./orphan", 127), ("./text", 0)]
)
def test_a_command_that_cannot_be_run_prints_the_same_error(tmp_path, monkeypatch, name, code):
    monkeypatch.chdir(tmp_path)
    for file, text in {"orphan": "#!/no/such/interpreter\n", "text": "exit 0\n"}.items():
        Path(file).write_text(text)
        Path(file).chmod(0o755)
    found = finish([*RUN, "--", name])
    assert found == finish([*RUN[:-1], "--", name])
    assert found[0] == code


@linux_only
def test_it_costs_a_few_megabytes(start):
    process, pid = start(SLEEP)
    with open(f"/proc/{process.pid}/smaps_rollup") as file:
        found = dict(line.split(":") for line in list(file)[1:])
    private_kib = sum(int(found[name].split()[0]) for name in ("Private_Clean", "Private_Dirty"))
    assert private_kib < 6 * 1024
    os.kill(pid, signal.SIGKILL)


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare"), reason="a pid namespace needs root"
)
def test_as_pid_1_it_reaps_orphans_and_a_sigterm_ends_the_command(start):
    program = """
import os, signal, subprocess, sys, time
orphan = subprocess.run(["sh", "-c", "sleep 0.1 & echo $!"], capture_output=True).stdout
time.sleep(0.5)
assert os.getppid() == 1
assert not os.path.exists(f"/proc/{int(orphan)}"), "a zombie is left"
print("ready", os.getpid(), flush=True)
time.sleep(600)
"""
    before = ("unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", 'exec "$@"', "sh")
    process, _ = start(program, before=before)
    (inner,) = [
        int(pid)
        for pid in read_small_file(f"/proc/{process.pid}/task/{process.pid}/children").split()
    ]
    os.kill(inner, signal.SIGTERM)
    assert process.wait(EVER_S) == 128 + signal.SIGTERM
    assert "was killed by SIGTERM" in process.stderr.read()


# -- at a terminal


class Terminal:
    """A shell with job control on its own terminal."""

    def __init__(self, environment):
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.execvpe(BASH, [BASH, "--norc", "--noprofile", "-i"], environment)
        self.output = ""

    def type(self, text):
        os.write(self._fd, text.encode())

    def expect(self, text):
        """Wait for a text; discard the output before it."""
        until = time.monotonic() + EVER_S
        while text not in self.output:
            assert time.monotonic() < until, self.output
            if select.select([self._fd], [], [], 0.1)[0]:
                self.output += os.read(self._fd, 4096).decode("utf-8", "replace")
        before, _, self.output = self.output.partition(text)
        return before

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.close(self._fd)
        os.waitpid(self.pid, 0)


@pytest.fixture
def terminal(log_directory):
    if not shutil.which("bash"):
        pytest.skip("needs bash")
    opened = Terminal({**os.environ, "PS1": "$ ", "TERM": "dumb"})
    opened.expect("$ ")
    yield opened
    opened.close()


COUNTING = """
import os, signal, sys, time
came = []
signal.signal(signal.SIGINT, lambda *_: came.append(True))
print("at " + "work", flush=True)
line = ""
while not came:
    try:
        time.sleep(0.05)
    except InterruptedError:
        pass
time.sleep(0.3)
print("interrupted", len(came), "time", flush=True)
"""


def test_ctrl_c_arrives_once_and_ctrl_z_fg_and_bg_work(terminal, tmp_path):
    (tmp_path / "counting.py").write_text(COUNTING)
    run = " ".join(RUN)
    terminal.type(f"{run} -- {sys.executable} {tmp_path}/counting.py; echo code=$?\n")
    terminal.expect("at work")
    terminal.type("\x1a")
    terminal.expect("Stopped")
    terminal.type("jobs\n")
    terminal.expect("Stopped")
    terminal.type("bg\n")
    terminal.expect("&")
    terminal.type("fg\n")
    terminal.expect("counting.py")
    time.sleep(0.3)
    terminal.type("\x03")
    terminal.expect("interrupted 1 time")


def test_it_reads_the_terminal_and_waits_for_it_in_the_background(terminal):
    run = " ".join(RUN)
    program = "print(\\'got \\' + input())"
    terminal.type(f"{run} -- {sys.executable} -c $'{program}' &\n")
    terminal.expect("[1]")
    # SIGTTIN: it reads in the background; the shell prints that before its next prompt
    terminal.type(
        "for i in $(seq 600); do jobs; jobs | grep -q Stopped && break; sleep 0.1; done\n"
    )
    terminal.expect("Stopped ")
    terminal.type("fg\n")
    terminal.expect("got")  # the echo of the command
    terminal.type("a line\n")
    terminal.expect("got a line")
