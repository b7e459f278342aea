"""`pprofplus run`: the command runs unchanged, and each Python process in it is recorded."""

import json
import os
import pty
import signal
import subprocess
import sys
import zipapp
from pathlib import Path

import pytest

import pprofplus
from kit import reference
from kit.waiting import wait_until

RUN = [sys.executable, "-m", "pprofplus", "run"]

# everything by which a program can see how it was started
REPORT = """
import json, os, signal, sys
report = {
    "argv": sys.argv,
    "orig_argv": sys.orig_argv,
    "path": sys.path,
    "flags": list(sys.flags),
    "name": __name__,
    "file": globals().get("__file__"),
    "main": sorted(vars(sys.modules["__main__"])),
    "cwd": os.getcwd(),
    "ignored": [n for n in range(1, 32) if signal.getsignal(n) == signal.SIG_IGN],
    "umask": os.umask(0o22),
    "tty": os.isatty(0),
    "warnings": sys.warnoptions,
}
print(json.dumps(report))
"""


def finish(words, **options):
    """Run to the end; return (exit code, stdout, stderr)."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, **options)
    return done.returncode, done.stdout, done.stderr


def services(log_directory):
    return sorted({path.parent.name for path in reference.runs(log_directory)})


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Write one program in all its forms to the working directory."""
    directory = tmp_path / "work"
    (directory / "shop").mkdir(parents=True)
    monkeypatch.chdir(directory)
    for name in ("app.py", "shop/__init__.py", "shop/__main__.py", "shop/worker.py"):
        Path(name).write_text("" if "__init__" in name else REPORT)
    Path("console").write_text(f"#!{sys.executable}\n{REPORT}")
    Path("start.sh").write_text(f'#!/bin/sh\nexec "{sys.executable}" app.py "$@"\n')
    Path("plain").write_text(f'exec "{sys.executable}" app.py "$@"\n')
    Path("zipped").mkdir()
    Path("zipped/__main__.py").write_text(REPORT)
    zipapp.create_archive("zipped", "packed.pyz")
    for name in ("console", "start.sh", "plain"):
        Path(name).chmod(0o755)
    return directory


SHAPES = [
    ([sys.executable, "app.py"], "app"),
    ([sys.executable, "-X", "dev", "-W", "error", "app.py"], "app"),
    ([sys.executable, "-um", "shop"], "shop"),
    ([sys.executable, "-mshop.worker"], "worker"),
    ([sys.executable, "packed.pyz"], "packed"),
    ([sys.executable, "zipped"], "zipped"),
    ([sys.executable, "-c", REPORT], "python"),
    ([sys.executable, "-"], "python"),
    (["./console"], "console"),
    (["./start.sh"], "start"),
]


@pytest.mark.parametrize(("command", "service"), SHAPES)
@pytest.mark.usefixtures("programs")
def test_a_program_runs_unchanged_and_is_recorded_by_its_name(log_directory, command, service):
    words = [*command, "--service", "x y", "--", "", "-m"]
    stdin = REPORT if command[-1] == "-" else ""
    without = finish(words, input=stdin)
    assert without[0] == 0
    assert services(log_directory) == []
    assert finish([*RUN, "--", *words], input=stdin) == without
    assert finish([*RUN, *words], input=stdin) == without
    assert services(log_directory) == [service]
    assert len(reference.runs(log_directory)) == 2
    for run in map(reference.Run, reference.runs(log_directory)):
        assert run.kinds == ["start", "stop"]


@pytest.mark.usefixtures("programs")
def test_a_script_without_a_shebang_is_run_by_the_shell(log_directory):
    code, out, _ = finish([*RUN, "--", "./plain", "a"])
    assert (code, json.loads(out)["argv"]) == (0, ["app.py", "a"])
    assert services(log_directory) == ["plain"]


@pytest.mark.usefixtures("log_directory")
def test_the_program_has_the_pid_of_the_command():
    process = subprocess.Popen(
        [*RUN, "--", sys.executable, "-c", "import os; print(os.getpid())"],
        stdout=subprocess.PIPE,
    )
    assert int(process.communicate(timeout=60)[0]) == process.pid


@pytest.mark.usefixtures("log_directory")
def test_exit_codes_and_fatal_signals_are_the_programs():
    assert finish([*RUN, "--", sys.executable, "-c", "raise SystemExit(7)"])[0] == 7
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGPIPE, signal.SIGXFSZ):
        # a shell, because Python itself ignores the last two
        assert finish([*RUN, "--", "sh", "-c", f"kill -{number:d} $$"])[0] == -number


@pytest.mark.usefixtures("log_directory")
def test_a_signal_reaches_the_programs_own_handler():
    program = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
print("ready", flush=True)
signal.pause()
"""
    process = subprocess.Popen([*RUN, "--", sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 3


@pytest.mark.usefixtures("log_directory")
def test_the_terminal_is_the_programs():
    leader, follower = pty.openpty()
    done = subprocess.run(
        [*RUN, "--", sys.executable, "-c", "import os; print(*map(os.isatty, range(3)))"],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert os.read(leader, 1000).split() == [b"True"] * 3
    os.close(leader)
    os.close(follower)


@pytest.mark.parametrize("locale", [{}, {"LC_ALL": "C"}, {"LANG": "C"}, {"LC_CTYPE": "C.UTF-8"}])
def test_only_our_variables_are_added_to_the_environment(log_directory, tmp_path, locale):
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": _import_path(), **locale}
    code, out, _ = finish(
        [*RUN, "--service", "api", "--interval", "0.5", "--dir", "logs", "--", "env"],
        env=environment,
        cwd=tmp_path,
    )
    found = dict(line.split("=", 1) for line in out.splitlines())
    path = found["PYTHONPATH"].split(os.pathsep)
    assert (code, path[1:]) == (0, _import_path().split(os.pathsep))
    assert (Path(path[0]) / "sitecustomize.py").is_file()
    added = {
        "PPROFPLUS_AUTOSTART": "api",
        "PPROFPLUS_INTERVAL": "0.5",
        "PPROFPLUS_DIR": str(log_directory),
        "PYTHONPATH": found["PYTHONPATH"],
    }
    found.pop("_", None)  # a shell in between sets it
    assert found.pop("PPROFPLUS_AUTOSTART_PID").isdecimal()
    assert found == {**environment, **added}


def _import_path():
    """Return where this pprofplus and psutil are imported from."""
    return str(Path(pprofplus.__file__).parent.parent)


@pytest.mark.usefixtures("log_directory")
def test_an_empty_search_path_does_not_become_the_working_directory():
    environment = {**os.environ, "PYTHONPATH": ""}
    program = f"import sys; sys.path.insert(0, {_import_path()!r}); from pprofplus.cli import main"
    words = [sys.executable, "-c", f"{program}; main(['run', 'env'])"]
    _, out, _ = finish(words, env=environment)
    (path,) = (line for line in out.splitlines() if line.startswith("PYTHONPATH="))
    assert os.pathsep not in path


@pytest.mark.usefixtures("programs")
def test_the_options_set_service_interval_and_directory(log_directory, tmp_path):
    other = tmp_path / "other"
    words = [*RUN, "--service", "web", "--interval", "0.25", "--dir", "../other", "--"]
    # the program changes its directory before Python starts
    code, _, err = finish([*words, "sh", "-c", f"cd / && exec '{sys.executable}' -c pass"])
    assert (code, err) == (0, "")
    assert services(log_directory) == []
    (run,) = map(reference.Run, reference.runs(other))
    assert run.header.service == "web"
    assert run.header.interval_ms == 250


@pytest.mark.usefixtures("programs")
def test_the_environments_service_overrides_the_programs_name(log_directory, monkeypatch):
    monkeypatch.setenv("PPROFPLUS_SERVICE", "web")
    assert finish([*RUN, "--", sys.executable, "app.py"])[0] == 0
    assert services(log_directory) == ["web"]


@pytest.mark.usefixtures("programs")
def test_a_malformed_service_in_the_environment_prints_one_line_and_is_ignored(
    log_directory, monkeypatch
):
    monkeypatch.setenv("PPROFPLUS_SERVICE", "a/b\x1b[1m")
    code, _, err = finish([*RUN, "--", sys.executable, "app.py"])
    assert code == 0
    assert err.startswith("pprofplus: PPROFPLUS_SERVICE is ignored")
    assert (err.count("\n"), err.count("\x1b")) == (1, 0)
    assert services(log_directory) == ["app"]


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["--service", "a/b", "--", "true"], 2, "a/b"),
        (["--interval", "soon", "--", "true"], 2, "soon"),
        (["--interval", "0.01", "--", "true"], 2, "0.05"),
        (["--dir", "", "--", "true"], 2, "directory"),
        (["--nonsense", "--", "true"], 2, "nonsense"),
        ([], 2, "command"),
        (["--"], 2, "command"),
        (["--", ""], 2, "command"),
        (["--", "no-such-command"], 127, "not found"),
        (["--", "./no-such-command"], 127, "not found"),
        (["--", "./orphan"], 127, "interpreter"),
        (["--", "./app.py"], 126, "python ./app.py"),
        (["--", "./shop"], 126, "not executable"),
    ],
)
@pytest.mark.usefixtures("programs")
def test_a_command_that_cannot_be_run_prints_one_line(log_directory, arguments, code, word):
    Path("orphan").write_text("#!/no/such/interpreter\n")
    Path("orphan").chmod(0o755)
    found, out, err = finish([*RUN, *arguments])
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert err.startswith("pprofplus: ")
    assert word in err
    assert services(log_directory) == []


@pytest.mark.parametrize("option", ["-I", "-E", "-S", "-sE"])
@pytest.mark.usefixtures("programs")
def test_a_python_that_ignores_pythonpath_is_run_with_a_warning(log_directory, option):
    Path("console").write_text(f"#!{sys.executable} {option}\n")
    for words in ([sys.executable, option, "-c", ""], ["./console"]):
        code, _, err = finish([*RUN, "--", *words])
        assert (code, err.count("\n")) == (0, 1)
        assert f"-{option[-1]}" in err
    assert services(log_directory) == []


def test_a_kill_loses_no_sample(log_directory):
    program = "print('ready', flush=True)\nimport signal; signal.pause()"
    process = subprocess.Popen(
        [*RUN, "--interval", "0.05", "--", sys.executable, "-c", program], stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"ready\n"
    (directory,) = reference.runs(log_directory)
    wait_until(lambda: len(reference.Run(directory).samples) >= 3)
    assert reference.is_live(directory)
    process.kill()
    process.communicate(timeout=60)
    assert not reference.is_live(directory)
    assert reference.Run(directory).kinds == ["start"]
    assert directory.name.startswith(f"{process.pid}-")


WORKERS = """
import multiprocessing, os, sys, time
from pprofplus.lifecycle import current

def work():
    while current()[0].samples < 1:
        time.sleep(0.005)
    os.write(1, b"%d\\n" % os.getpid())

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    children = [context.Process(target=work) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0
    os.write(1, b"%d\\n" % os.getpid())
"""


@pytest.mark.parametrize(("method", "helpers"), [("fork", 0), ("spawn", 0), ("forkserver", 1)])
def test_workers_of_multiprocessing_have_runs_that_end_normally(
    log_directory, tmp_path, method, helpers
):
    (tmp_path / "boss.py").write_text(WORKERS)
    # Python 3.12 and later warn about a fork in a process with threads
    quiet = ["-W", "ignore::DeprecationWarning"]
    words = [sys.executable, *quiet, str(tmp_path / "boss.py"), method]
    code, out, err = finish([*RUN, "--", *words])
    assert (code, err) == (0, "")
    pids = set(map(int, out.split()))
    runs = {
        int(path.name.split("-")[0]): reference.Run(path) for path in reference.runs(log_directory)
    }
    assert services(log_directory) == ["boss"]
    assert pids <= set(runs)
    # the fork server is a Python process of its own; the resource tracker of spawn is not recorded
    assert 3 <= len(runs) <= 3 + helpers
    assert all(runs[pid].kinds[-1] == "stop" for pid in pids)


def test_a_short_program_is_recorded_and_the_short_programs_that_it_starts_are_not(
    log_directory, tmp_path, monkeypatch
):
    (tmp_path / "sitecustomize.py").write_text(
        "from pprofplus import lifecycle\nlifecycle._UNREQUESTED_GRACE_S = 1000\n"
    )
    path = [str(tmp_path), _import_path(), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    # the shell starts the first, and executes the second
    short = f"'{sys.executable}' -c pass"
    process = subprocess.Popen([*RUN, "--", "sh", "-c", f"{short}; exec {short}"])
    assert process.wait(timeout=60) == 0
    (directory,) = reference.runs(log_directory)
    assert directory.name.startswith(f"{process.pid}-")
    assert reference.Run(directory).kinds == ["start", "stop"]
