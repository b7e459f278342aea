"""Recording requested by the environment only: `PPROFPLUS_AUTOSTART`."""

import ast
import os
import signal
import subprocess
import sys
import zipapp
from pathlib import Path

import pytest

import pprofplus
from kit import reference

PACKAGE = Path(pprofplus.__file__).parent
BOOTSTRAP = PACKAGE / "autostart"
# Python 3.12 and later warn about a fork in a process with threads
QUIET = ["-W", "ignore::DeprecationWarning"]


# recorded from its start, even if short: the program of `pprofplus run`
AT_ONCE = ["/bin/sh", "-c", 'PPROFPLUS_AUTOSTART_PID=$$ exec "$0" "$@"']


@pytest.fixture
def python(log_directory):
    """Run Python with an environment that names the service `api`; return the completed process."""

    def run(*words, code=0, err="", path=(), variables=None, prefix=AT_ONCE, **options):
        search = [str(BOOTSTRAP), *map(str, path), str(PACKAGE.parent)]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(search),
            "PPROFPLUS_AUTOSTART": "api",
            **(variables or {}),
        }
        done = subprocess.run(
            [*prefix, options.pop("executable", sys.executable), *words],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=environment,
            **options,
        )
        assert done.returncode == code, done.stderr
        if err is not None:
            assert done.stderr == err
        done.lines = done.stdout.splitlines()
        return done

    return run


def recorded(log_directory):
    """Return (service, pid) of each run."""
    return sorted(
        (path.parent.name, int(path.name.split("-")[0])) for path in reference.runs(log_directory)
    )


def services(log_directory):
    return [service for service, _ in recorded(log_directory)]


def test_the_command_prints_the_directory_of_one_file():
    done = subprocess.run(
        [sys.executable, "-m", "pprofplus", "autostart"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == f"{BOOTSTRAP}\n"
    assert {path.name for path in BOOTSTRAP.iterdir()} - {"__pycache__"} == {"sitecustomize.py"}


def test_a_process_is_recorded_from_start_to_stop(python, log_directory):
    python("-c", "import pprofplus; assert pprofplus.start('other').service == 'api'")
    (run,) = map(reference.Run, reference.runs(log_directory))
    assert run.header.service == "api"
    assert run.kinds == ["start", "stop"]
    assert len(run.samples) >= 2


def test_a_process_that_forks_is_recorded_with_its_children(python, log_directory):
    program = """
import os, time
from pprofplus.lifecycle import current
pid = os.fork()
while current()[0].samples < 1:
    time.sleep(0.005)
pid and os.waitpid(pid, 0)
print(os.getpid())
"""
    done = python(*QUIET, "-c", program)
    assert recorded(log_directory) == sorted(("api", int(pid)) for pid in done.lines)


def test_without_the_variable_only_the_file_itself_is_loaded(python, log_directory):
    done = python(
        "-X",
        "importtime",
        "-c",
        "import sys; print(*sys.path, sep='\\n')",
        err=None,
        variables={"PPROFPLUS_AUTOSTART": ""},
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "sitecustomize" in loaded
    assert not {name for name in loaded if "pprofplus" in name}
    assert not {"threading", "re", "importlib", "struct", "json"} & (loaded - _bare_imports())
    assert str(BOOTSTRAP) not in done.lines
    assert not log_directory.exists()


def _bare_imports():
    """Return the modules that Python loads at its start without our variable."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", ""],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}


def test_the_installed_package_adds_no_module_to_a_python_process():
    assert not {name for name in _bare_imports() if name.startswith("pprofplus")}
    assert not list(PACKAGE.rglob("*.pth"))


@pytest.mark.parametrize("word", ["0", "false", "No", "OFF", " "])
def test_a_false_value_starts_nothing(python, log_directory, word):
    python("-c", "", variables={"PPROFPLUS_AUTOSTART": word})
    assert not log_directory.exists()


def test_a_disabled_collector_is_not_started_either(python, log_directory):
    python("-c", "", variables={"PPROFPLUS_DISABLED": "1"})
    assert not log_directory.exists()


def test_a_true_value_uses_the_default_service_name(python, log_directory, tmp_path):
    (tmp_path / "shop").mkdir()
    for name in ("worker.py", "shop/__init__.py", "shop/__main__.py", "shop/till.py"):
        (tmp_path / name).write_text("")
    yes = {"PPROFPLUS_AUTOSTART": "1"}
    for words in (["worker.py", "-m", "x"], ["-m", "shop"], ["-Bmshop.till", "-m", "x"]):
        python(*words, variables=yes, cwd=tmp_path)
    python("-c", "", "-m", "x", variables=yes)
    python("worker.py", cwd=tmp_path, variables={**yes, "PPROFPLUS_SERVICE": "named"})
    assert services(log_directory) == ["named", "python", "shop", "till", "worker"]


def test_a_malformed_service_prints_one_line_and_the_script_is_the_name(
    python, log_directory, tmp_path
):
    (tmp_path / "app.py").write_text("")
    done = python("app.py", cwd=tmp_path, err=None, variables={"PPROFPLUS_AUTOSTART": "a/b"})
    assert done.stderr.startswith("pprofplus: PPROFPLUS_AUTOSTART is ignored: service 'a/b'")
    assert done.stderr.count("\n") == 1
    assert services(log_directory) == ["app"]


def test_the_hosts_own_sitecustomize_is_run(python, log_directory, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.of_the_host = __file__\n")
    program = "import sys, sitecustomize; print(sys.of_the_host, sitecustomize.__file__)"
    for word in ("api", ""):
        done = python("-c", program, path=[tmp_path], variables={"PPROFPLUS_AUTOSTART": word})
        assert done.stdout.split() == [str(tmp_path / "sitecustomize.py")] * 2
    assert services(log_directory) == ["api"]


def test_an_error_of_the_hosts_own_sitecustomize_is_reported_unchanged(
    python, log_directory, tmp_path
):
    for trouble in ("raise RuntimeError('mine')", "import no_such_module"):
        (tmp_path / "sitecustomize.py").write_text(trouble)
        without = subprocess.run(
            [sys.executable, "-c", "print(5)"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
        )
        python("-c", "print(5)", path=[tmp_path], code=without.returncode, err=without.stderr)
    assert services(log_directory) == ["api", "api"]


def test_autostart_and_a_call_of_start_make_one_run(python, log_directory, tmp_path):
    (tmp_path / "link").symlink_to(BOOTSTRAP)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "sitecustomize.py").write_text(
        (BOOTSTRAP / "sitecustomize.py").read_text()
    )
    done = python(
        "-c",
        "import sys; print(*sys.path, sep='\\n')",
        path=[tmp_path / "link", tmp_path / "copy"],
    )
    assert not {str(tmp_path / "link"), str(tmp_path / "copy"), str(BOOTSTRAP)} & set(done.lines)
    assert services(log_directory) == ["api"]


@pytest.mark.parametrize(
    "trouble", ["raise RuntimeError('broken')", "import no_such_module", "(", "start = None"]
)
def test_an_unusable_package_prints_one_line_and_the_program_continues(
    python, log_directory, tmp_path, trouble
):
    (tmp_path / "pprofplus.py").write_text(trouble)
    done = python("-c", "print(5)", path=[tmp_path], err=None)
    assert done.stdout == "5\n"
    if "no_such" not in trouble:  # otherwise our package is found, which can be imported
        assert done.stderr.startswith("pprofplus: nothing is recorded: ")
        assert done.stderr.count("\n") == 1
        assert not log_directory.exists()


def test_an_unusable_log_directory_prints_one_line_and_the_program_continues(python, log_directory):
    log_directory.write_text("in the way")
    done = python("-c", "print(5)", err=None)
    assert done.stdout == "5\n"
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def other_python(tmp_path_factory):
    """The Python of an environment that has neither pprofplus nor anything else."""
    directory = tmp_path_factory.mktemp("other")
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(directory)],
        check=True,
        timeout=100,
        capture_output=True,
    )
    return str(directory / "bin" / "python")


def test_a_python_of_another_environment_is_recorded_and_finds_no_other_module_of_ours(
    python, log_directory, other_python
):
    program = """
import importlib.util, sys
assert "pprofplus.recording.sampler" in sys.modules
assert importlib.util.find_spec("psutil") is None
print(*sys.path, sep="\\n")
"""
    done = python("-c", program, executable=other_python, variables={"PYTHONPATH": str(BOOTSTRAP)})
    assert not {str(PACKAGE.parent), str(BOOTSTRAP)} & set(done.lines)
    assert services(log_directory) == ["api"]


def test_a_link_to_the_directory_works(python, log_directory, other_python, tmp_path):
    (tmp_path / "link").symlink_to(BOOTSTRAP)
    python("-c", "", executable=other_python, variables={"PYTHONPATH": str(tmp_path / "link")})
    assert services(log_directory) == ["api"]


@pytest.mark.parametrize("words", [["where"], ["autostart"], ["run", "--", "true"], ["--help"]])
def test_our_own_commands_record_nothing(python, log_directory, tmp_path, words):
    python("-m", "pprofplus", *words)
    script = tmp_path / "pprofplus"
    script.write_text("from pprofplus.cli import main\nraise SystemExit(main())\n")
    python(script, *words)
    (tmp_path / "pprofplus-tui").write_text("")
    python(tmp_path / "pprofplus-tui")
    assert not log_directory.exists()


def test_our_own_command_passes_the_variable_on(python, log_directory):
    python("-m", "pprofplus", "run", "--service", "inner", "--", sys.executable, "-c", "")
    assert services(log_directory) == ["inner"]


def test_the_resource_tracker_is_not_recorded_and_spawned_workers_are(
    python, log_directory, tmp_path
):
    (tmp_path / "boss.py").write_text("""
import multiprocessing, os, time
from multiprocessing import resource_tracker
from pprofplus.lifecycle import current
def work():
    while current()[0].samples < 1:
        time.sleep(0.005)
    print(os.getpid(), flush=True)
if __name__ == "__main__":
    worker = multiprocessing.get_context("spawn").Process(target=work)
    worker.start()
    worker.join()
    assert resource_tracker._resource_tracker._pid not in {None, worker.pid}
    print(os.getpid(), flush=True)
""")
    done = python("boss.py", cwd=tmp_path)
    assert recorded(log_directory) == sorted(("api", int(pid)) for pid in done.lines)


@pytest.mark.parametrize(
    "options",
    [
        ["-W", "error"],
        ["-X", "dev"],
        ["-X", "faulthandler"],
        ["-X", "tracemalloc"],
        ["-O"],
        ["-b", "-b"],
        ["-s", "-B"],
        ["-u"],
    ],
)
def test_options_of_python_do_not_prevent_recording(python, log_directory, options):
    python(*options, "-c", "pass")
    assert services(log_directory) == ["api"]


def test_a_program_on_stdin_an_interactive_one_and_a_zip_are_recorded(
    python, log_directory, tmp_path
):
    python(input="print(5)\n")
    python("-", input="print(5)\n")
    done = python("-i", "-c", "print(5)", input="print(6)\n", err=None)
    assert done.lines == ["5", "6"]
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__main__.py").write_text("print(5)")
    zipapp.create_archive(tmp_path / "app", tmp_path / "app.pyz")
    python(tmp_path / "app.pyz")
    assert services(log_directory) == ["api"] * 4


CLOSED = """
import os, pprofplus, sys, time
collector = pprofplus.start(interval_s=0.05)
def is_free(number):
    try:
        os.fstat(number)
    except OSError:
        return True
    return False
# the thread may have one for the moment of a look; none may be kept
end = time.monotonic() + 30
for number in map(int, sys.argv[1]):
    while not is_free(number):
        assert time.monotonic() < end, number
"""


@pytest.mark.parametrize("closed", ["0", "1", "2", "01", "02", "12", "012"])
def test_a_program_without_its_standard_streams_is_recorded_and_their_numbers_stay_free(
    python, log_directory, tmp_path, closed
):
    (tmp_path / "app.py").write_text(CLOSED)
    closing = " ".join(f"{number}>&-" for number in closed)
    command = f'exec "{sys.executable}" app.py {closed} {closing}'
    python("-c", command, executable="/bin/sh", cwd=tmp_path)
    (run,) = map(reference.Run, reference.runs(log_directory))
    assert run.kinds == ["start", "stop"]
    assert run.bad == 0


# -- a process that did not request recording gets a run if it lives for a second


def test_a_process_that_lives_for_a_second_is_recorded(python, log_directory, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys, time\nsys.began_s = time.monotonic()\n")
    program = """
import sys, time
from pprofplus.lifecycle import current
collector, _ = current()
while collector.samples < 3:
    time.sleep(0.005)
assert time.monotonic() - sys.began_s > 0.99
"""
    fast = {"PPROFPLUS_INTERVAL": "0.05"}
    python("-c", program, path=[tmp_path], prefix=(), variables=fast)
    (run,) = map(reference.Run, reference.runs(log_directory))
    assert run.kinds == ["start", "stop"]


@pytest.fixture
def waiting(python, tmp_path):
    """Run a program that ends within its grace time, which is a quarter of an hour here."""
    directory = tmp_path / "waiting"
    directory.mkdir()
    (directory / "sitecustomize.py").write_text(
        "from pprofplus import lifecycle\nlifecycle._UNREQUESTED_GRACE_S = 1000\n"
    )
    begin = """
import os, signal, sys, threading, time
import pprofplus
from pprofplus.lifecycle import current
collector, _ = current()
assert collector.running and collector.directory is None and collector.samples == 0
"""

    def run(program, **options):
        return python(*QUIET, "-c", begin + program, path=[directory], prefix=(), **options)

    return run


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("raise RuntimeError('of the host')", 1),
        ("os._exit(4)", 4),
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)", -signal.SIGTERM),
        ("pprofplus.stop(); assert not collector.running", 0),
        ("pprofplus.gauge('answer', lambda: 42)", 0),
    ],
)
def test_a_process_that_ends_within_the_second_leaves_nothing_on_disk(
    waiting, log_directory, ending, code
):
    waiting(ending, code=code, err=None)
    assert not log_directory.exists()


def test_a_program_that_calls_exec_within_the_second_leaves_nothing_on_disk(waiting, log_directory):
    waiting("os.execv(sys.executable, [sys.executable, '-S', '-c', ''])")
    assert not log_directory.exists()


def test_a_pid_of_another_process_is_ignored(waiting, log_directory):
    waiting("", variables={"PPROFPLUS_AUTOSTART_PID": "1"})
    assert not log_directory.exists()


def test_a_program_that_starts_the_collector_finds_it_open(waiting, log_directory):
    waiting(
        """
assert pprofplus.start("other") is collector
assert collector.samples == 1 and os.path.isdir(collector.directory)
pprofplus.stop()
"""
    )
    (run,) = map(reference.Run, reference.runs(log_directory))
    assert run.header.service == "api"
    assert run.kinds == ["start", "stop"]
    assert len(run.samples) == 2


@pytest.mark.parametrize(
    ("says", "kinds"),
    [
        ("pprofplus.mark('m')", ["mark"]),
        ("pprofplus.pause()", ["pause"]),
        ("pprofplus.resume()", []),
        ("pprofplus.pause(); pprofplus.resume()", ["pause", "resume"]),
        ("collector.interval_s = 7", []),
    ],
)
def test_a_call_of_the_program_opens_the_log(waiting, log_directory, says, kinds):
    waiting(f"{says}\npprofplus.start()")
    (run,) = map(reference.Run, reference.runs(log_directory))
    assert run.kinds == ["start", *kinds, "stop"]


def test_marks_of_many_threads_are_all_written_and_in_order(waiting, log_directory):
    waiting(
        """
def work(i):
    for j in range(3):
        pprofplus.mark(f"{i} {j}")
threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""
    )
    (run,) = map(reference.Run, reference.runs(log_directory))
    marks = [tuple(map(int, event.text.split())) for event in run.events if event.text]
    assert len(marks) == 24
    for i in range(8):
        assert [mark for mark in marks if mark[0] == i] == [(i, 0), (i, 1), (i, 2)]


def test_a_mark_under_a_lock_that_a_gauge_needs_is_written_without_a_deadlock(
    waiting, log_directory
):
    waiting(
        """
lock = threading.Lock()
def read_value():
    with lock:
        return 42
pprofplus.gauge("answer", read_value)
with lock:
    pprofplus.mark("kept")
while collector.samples < 1:
    time.sleep(0.005)
"""
    )
    (run,) = map(reference.Run, reference.runs(log_directory))
    assert run.kinds == ["start", "mark", "stop"]


def test_starts_and_marks_from_a_signal_handler_at_any_moment_make_one_run(waiting, log_directory):
    waiting(
        """
found = []
def handle(*_):
    pprofplus.mark("tick")
    found.append(pprofplus.start())
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
found.append(pprofplus.start())
while len(found) < 20:
    signal.pause()
signal.setitimer(signal.ITIMER_REAL, 0)
assert set(map(id, found)) == {id(collector)}
"""
    )
    (run,) = map(reference.Run, reference.runs(log_directory))
    assert {run.kinds[0], run.kinds[-1]} == {"start", "stop"}
    assert run.kinds.count("mark") == len(run.kinds) - 2 >= 19
    assert run.bad == 0


def test_an_exit_from_a_signal_handler_while_a_start_waits_hangs_nothing(waiting, log_directory):
    waiting(
        """
came = []
def leave(*_):
    came.append(True)
    sys.exit(0)
for i in range(40):
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, leave)
        signal.setitimer(signal.ITIMER_REAL, 0.0001 + i * 0.0001)
        pprofplus.start()
        while not came:  # Python drops what is raised in a callback of a weak reference
            time.sleep(0.05)
        sys.exit(0)
    assert os.WIFEXITED(os.waitpid(child, 0)[1])
""",
        err=None,
    )
    for directory in reference.runs(log_directory):
        assert not reference.segments(directory) or not reference.is_live(directory)


def test_a_child_of_a_waiting_process_waits_as_long(waiting, log_directory):
    waiting(
        """
child = os.fork()
if child == 0:
    assert collector.running and collector.pid == os.getpid()
    time.sleep(0.5)  # longer than the child of a recorded process waits
    assert collector.samples == 0
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    )
    assert not log_directory.exists()


def test_a_child_that_calls_start_is_recorded_and_its_waiting_parent_is_not(waiting, log_directory):
    done = waiting(
        """
child = os.fork()
if child == 0:
    assert pprofplus.start() is collector and collector.samples == 1
    print(os.getpid())
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
assert collector.samples == 0
"""
    )
    assert recorded(log_directory) == [("api", int(done.stdout))]
    (run,) = map(reference.Run, reference.runs(log_directory))
    assert run.kinds == ["start", "fork", "stop"]


def test_forks_during_calls_of_other_threads_hang_nothing_and_leave_complete_runs(
    waiting, log_directory
):
    waiting(
        """
def read_value():
    pprofplus.start()
for i in range(20):
    child = os.fork()
    if child == 0:
        asking = [threading.Thread(target=read_value) for _ in range(3)]
        for thread in asking:
            thread.start()
        grandchild = os.fork()
        if grandchild == 0:
            pprofplus.start()
            pprofplus.stop()
            os._exit(0)
        assert os.waitpid(grandchild, 0)[1] == 0
        for thread in asking:
            thread.join()
        pprofplus.stop()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""
    )
    runs = [reference.Run(directory) for directory in reference.runs(log_directory)]
    assert [run.kinds for run in runs] == [["start", "fork", "stop"]] * 40
    assert sum(run.bad for run in runs) == 0


def test_a_collector_that_was_stopped_while_it_waited_may_be_started(waiting, log_directory):
    waiting("pprofplus.stop()\nassert pprofplus.start('again').samples == 1")
    assert services(log_directory) == ["again"]


def test_a_relative_directory_is_resolved_when_the_process_begins(waiting, log_directory, tmp_path):
    relative = {"PPROFPLUS_DIR": "logs"}
    waiting("os.chdir('/')\npprofplus.start()", cwd=tmp_path, variables=relative)
    assert log_directory == tmp_path / "logs"
    assert services(log_directory) == ["api"]


def test_every_python_version_can_parse_the_file():
    text = (BOOTSTRAP / "sitecustomize.py").read_text()
    ast.parse(text, feature_version=(3, 6))
    assert text.isascii()
    names = {name for node in ast.walk(ast.parse(text)) for name in _annotations(node)}
    assert not names


def _annotations(node):
    """Return syntax in the file that Python 2.7 does not have."""
    if isinstance(node, ast.FunctionDef):
        return [node.name] if node.returns or any(a.annotation for a in node.args.args) else []
    return ["f"] if isinstance(node, ast.JoinedStr | ast.AnnAssign | ast.NamedExpr) else []
