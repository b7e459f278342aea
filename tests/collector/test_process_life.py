"""Difficult moments of a process: signals, unusual forks, unusual ends. Nothing hangs or is lost.

See test_processes.py for the usual ones.
"""

import os
import signal
import sys

import pytest

from kit import reference
from kit.programs import RECORDING_SERVICE


def test_stops_from_a_signal_handler_at_any_moment_hang_nothing_and_leave_complete_runs(
    run, log_directory
):
    run(
        """
import signal, threading
import pprofplus
def stop(*_):
    pprofplus.stop()
    if rounds:
        signal.setitimer(signal.ITIMER_REAL, 0.001)  # when done: a busy machine would pile them up
rounds = 100
signal.signal(signal.SIGALRM, stop)
signal.setitimer(signal.ITIMER_REAL, 0.001)
while rounds:
    rounds -= 1
    pprofplus.start("api", interval_s=0.05)
    pprofplus.stop()
signal.setitimer(signal.ITIMER_REAL, 0)
"""
    )
    runs = reference.runs(log_directory)
    assert 0 < len(runs) <= 100
    for directory in runs:
        assert reference.Run(directory).kinds == ["start", "stop"]


def test_starts_from_a_signal_handler_during_a_start_make_one_run(run, log_directory):
    run(
        """
import signal, threading
import pprofplus
found = []
def start(*_):
    found.append(pprofplus.start("api", interval_s=0.05))
    if len(found) < 20:
        signal.setitimer(signal.ITIMER_REAL, 0.001)  # when done: a busy machine would pile them up
signal.signal(signal.SIGALRM, start)
signal.setitimer(signal.ITIMER_REAL, 0.001)
found.append(pprofplus.start("api", interval_s=0.05))
while len(found) < 20:
    threading.Event().wait(0.01)
assert len(set(map(id, found))) == 1
"""
    )
    (directory,) = reference.runs(log_directory)
    assert reference.Run(directory).kinds == ["start", "stop"]


def test_an_exit_from_a_signal_handler_at_any_moment_of_a_start_hangs_nothing(spawn, log_directory):
    service = spawn(
        """
import os, signal, sys, threading
import pprofplus
came = []
def leave(*_):
    came.append(True)
    sys.exit(0)
for i in range(60):
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, leave)
        signal.setitimer(signal.ITIMER_REAL, 0.0001 + i * 0.0001)
        pprofplus.start("api")
        while not came:  # Python drops what is raised in a callback of a weak reference
            threading.Event().wait(0.05)
        sys.exit(0)
    assert os.WIFEXITED(os.waitpid(child, 0)[1])
"""
    )
    service.communicate(timeout=90)
    assert service.returncode == 0
    for directory in reference.runs(log_directory):
        found = reference.segments(directory)
        assert not found or not reference.is_live(directory)


def test_our_thread_never_receives_a_signal_that_the_host_waits_for(run, log_directory):
    run(
        RECORDING_SERVICE
        + """
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
os.kill(os.getpid(), signal.SIGTERM)
wait_for_samples(3)
assert signal.sigwait({signal.SIGTERM}) == signal.SIGTERM
"""
    )
    (found,) = reference.runs_by_pid(log_directory).values()
    assert found.kinds == ["start", "stop"]


def test_our_thread_does_not_keep_a_child_alive_whose_only_thread_ends(run, log_directory):
    # it has no main thread, so the interpreter does not shut down: it ends with its last thread
    run(
        RECORDING_SERVICE
        + """
def fork_and_fall_off_the_end():
    child = os.fork()
    if child == 0:
        wait_for_samples(3)
        sys.exit(0)  # of a thread: the thread alone ends
    assert os.waitpid(child, 0)[1] == 0
for _ in range(3):
    thread = threading.Thread(target=fork_and_fall_off_the_end)
    thread.start()
    thread.join()
assert collector.running and collector.pid == os.getpid()
"""
    )
    kinds = sorted(found.kinds for found in reference.runs_by_pid(log_directory).values())
    assert kinds == [["start", "fork", "stop"]] * 3 + [["start", "stop"]]


def test_our_thread_does_not_keep_a_grandchild_alive_whose_only_thread_ends(run, log_directory):
    run(
        RECORDING_SERVICE
        + """
def generation(depth):
    child = os.fork()
    if child == 0:
        wait_for_samples(2)
        if depth:
            generation(depth - 1)
        return
    assert os.waitpid(child, 0)[1] == 0
thread = threading.Thread(target=generation, args=(2,))
thread.start()
thread.join()
"""
    )
    runs = reference.runs_by_pid(log_directory)
    assert len(runs) == 4
    assert all(found.kinds[-1] == "stop" for found in runs.values())


def test_the_end_of_a_thread_that_forked_does_not_end_the_run_of_its_process(run, log_directory):
    run(
        RECORDING_SERVICE
        + """
def fork():
    child = os.fork()
    if child == 0:
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
thread = threading.Thread(target=fork)
thread.start()
thread.join()
assert collector.running
wait_for_samples(collector.samples + 3)
"""
    )
    (found,) = reference.runs_by_pid(log_directory).values()
    assert found.kinds == ["start", "stop"]


def test_forks_during_continuous_sampling_hang_no_child_and_damage_no_log(run, log_directory):
    # a sample each millisecond: most forks happen while the sampler holds its locks
    (parent,) = run(
        """
import os, sys, threading
from pprofplus import settings
settings.MIN_INTERVAL_S = 0.0001
import pprofplus
collector = pprofplus.start("api", interval_s=0.001)
def fork(rounds):
    for i in range(rounds):
        child = os.fork()
        if child == 0:
            if i % 3 == 0:
                pprofplus.start("api")  # else it is not worth a run
                pprofplus.stop()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
threads = [threading.Thread(target=fork, args=(60,)) for _ in range(2)]
for thread in threads:
    thread.start()
fork(120)
for thread in threads:
    thread.join()
before = collector.samples
while collector.samples < before + 10:
    threading.Event().wait(0.001)
print(os.getpid())
"""
    )
    children = 0
    for path in reference.runs(log_directory):
        if not reference.segments(path):
            continue  # the process was killed while its run began
        found = reference.Run(path)
        assert found.bad == 0
        assert not reference.is_live(path)
        if found.header.pid == int(parent):
            assert found.kinds == ["start", "stop"]
        elif "stop" in found.kinds:
            assert found.kinds == ["start", "fork", "stop"]
            children += 1
    assert children == 80


def test_a_child_that_subprocess_forks_for_a_program_has_no_collector_thread_and_no_run(
    run, log_directory
):
    run(
        RECORDING_SERVICE
        + """
import subprocess
def prepare():
    assert len(os.listdir("/proc/self/task")) == 1
    assert not any("pplog" in os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd")
                   if os.path.exists(f"/proc/self/fd/{n}"))
    time.sleep(0.3)  # longer than a forked child waits before it records itself
subprocess.run([sys.executable, "-c", ""], preexec_fn=prepare, check=True)
assert collector.running
wait_for_samples(collector.samples + 2)
"""
    )
    (found,) = reference.runs_by_pid(log_directory).values()
    assert found.kinds == ["start", "stop"]


UNTOLD = (
    RECORDING_SERVICE
    + """
import ctypes
wait_for_samples(2)
child = ctypes.PyDLL(None).fork()  # none of Python's hooks
if child == 0:
    if sys.argv[1] == "starts":
        assert pprofplus.start("api").pid == os.getpid()
        wait_for_samples(3)
    else:
        pprofplus.stop()
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
wait_for_samples(collector.samples + 3)
print(os.getpid(), child)
"""
)


@pytest.mark.parametrize(
    ("does", "kinds"), [("stops", []), ("starts", [["start", "fork", "stop"]])]
)
def test_a_fork_unknown_to_python_leaves_the_parents_log_unchanged(run, log_directory, does, kinds):
    parent, child = map(int, run(UNTOLD, does))
    runs = reference.runs_by_pid(log_directory)
    assert (runs[parent].kinds, runs[parent].bad) == (["start", "stop"], 0)
    assert [runs[pid].kinds for pid in runs if pid == child] == kinds


EXEC = (
    RECORDING_SERVICE
    + """
import os, sys
wait_for_samples(3)
if len(sys.argv) < 2:
    os.write(1, b"%d %d\\n" % (os.getpid(), collector.samples))
    os.execv(sys.executable, [*sys.orig_argv, "again"])
os.write(1, b"%d\\n" % os.getpid())
"""
)


def test_a_program_that_exec_starts_in_the_process_has_its_own_run(run, log_directory):
    first, counted, second = map(int, run(EXEC))
    assert first == second
    before, after = (reference.Run(path) for path in reference.runs(log_directory))
    assert {before.header.pid, after.header.pid} == {first}
    assert (before.kinds, after.kinds) == (["start"], ["start", "stop"])
    assert len(before.samples) >= counted
    assert not reference.is_live(before.directory)


def test_the_log_of_a_program_replaced_by_exec_is_not_live(spawn, log_directory):
    service = spawn(
        RECORDING_SERVICE
        + """
wait_for_samples(2)
os.execv(sys.executable, [sys.executable, "-c", "print(flush=True); import time; time.sleep(60)"])
"""
    )
    service.stdout.readline()
    (directory,) = reference.runs(log_directory)
    assert service.poll() is None
    assert reference.Run(directory).kinds == ["start"]
    assert not reference.is_live(directory)


@pytest.mark.parametrize("ending", ["os._exit(3)", "os.abort()", "os.kill(os.getpid(), 9)"])
def test_an_immediate_exit_loses_no_counted_sample(spawn, log_directory, ending):
    service = spawn(
        RECORDING_SERVICE
        + f"wait_for_samples(4)\nos.write(1, b'%d' % collector.samples)\n{ending}\n"
    )
    counted = int(service.communicate(timeout=60)[0])
    ((directory, found),) = (
        (run.directory, run) for run in reference.runs_by_pid(log_directory).values()
    )
    assert found.kinds == ["start"]
    assert len(found.samples) >= counted
    assert not reference.is_live(directory)


def test_a_default_sigterm_ends_immediately_and_loses_no_counted_sample(spawn, log_directory):
    service = spawn(
        RECORDING_SERVICE
        + """
while True:
    wait_for_samples(collector.samples + 1)
    os.write(1, b"%d\\n" % collector.samples)
"""
    )
    for _ in range(3):
        service.stdout.readline()
    service.terminate()
    rest = service.communicate(timeout=30)[0].split()
    assert service.returncode == -signal.SIGTERM
    (found,) = reference.runs_by_pid(log_directory).values()
    assert len(found.samples) >= int(rest[-1] if rest else 1)
    assert found.kinds == ["start"]


def test_a_sigterm_that_the_host_turns_into_an_exit_is_a_normal_end(spawn, log_directory):
    service = spawn(
        RECORDING_SERVICE
        + """
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print(flush=True)
while True:  # Python does not see a signal that comes just before it waits
    threading.Event().wait(0.05)
"""
    )
    service.stdout.readline()
    service.terminate()
    assert service.communicate(timeout=30)[1] == ""
    assert service.returncode == 7
    (found,) = reference.runs_by_pid(log_directory).values()
    assert found.kinds == ["start", "stop"]


def test_an_exit_in_a_thread_ends_the_thread_and_not_the_run(run, log_directory):
    run(
        RECORDING_SERVICE
        + """
thread = threading.Thread(target=sys.exit, args=(5,))
thread.start()
thread.join()
assert collector.running
wait_for_samples(collector.samples + 3)
"""
    )
    (found,) = reference.runs_by_pid(log_directory).values()
    assert found.kinds == ["start", "stop"]
    assert len(found.samples) >= 4


def test_threads_that_outlive_the_main_thread_are_recorded_to_their_end(run, log_directory):
    (counted,) = run(
        RECORDING_SERVICE
        + """
def outlive():
    threading.main_thread().join()
    wait_for_samples(collector.samples + 4)
    os.write(1, b"%d" % collector.samples)
threading.Thread(target=outlive).start()
"""
    )
    (found,) = reference.runs_by_pid(log_directory).values()
    assert found.kinds == ["start", "stop"]
    assert len(found.samples) >= int(counted)


def test_ends_during_continuous_sampling_are_normal_and_print_nothing(spawn, log_directory):
    program = """
import sys, threading
from pprofplus import settings
settings.MIN_INTERVAL_S = 0.0001
import pprofplus
pprofplus.start("api", interval_s=0.0005)
threading.Event().wait(float(sys.argv[1]))
"""
    for batch in range(4):  # in parallel, because most of the time is spent starting Python
        services = [spawn(program, str(0.002 * batch + 0.0003 * i)) for i in range(8)]
        for service in services:
            err = service.communicate(timeout=60)[1]
            assert (service.returncode, err) == (0, "")
    runs = reference.runs(log_directory)
    assert len(runs) == 32
    for path in runs:
        found = reference.Run(path)
        assert found.kinds == ["start", "stop"]
        assert found.bad == 0
        assert not reference.is_live(path)


def test_an_end_while_a_probe_hangs_does_not_wait_for_it(run, log_directory):
    run(
        """
import threading
from pprofplus.probes import probe_set
held = threading.Event()
read = probe_set.StatmProbe.read
started = threading.Event()
def hang(probe):
    if started.is_set():
        held.set()
        threading.Event().wait(3600)
    return read(probe)
probe_set.StatmProbe.read = hang
import pprofplus
pprofplus.start("api", interval_s=0.05)
started.set()
assert held.wait(30)
"""
    )
    (found,) = reference.runs_by_pid(log_directory).values()
    assert found.kinds == ["start", "stop"]


def test_a_daemon_that_forks_twice_and_closes_everything_has_one_run(spawn, log_directory):
    service = spawn(
        RECORDING_SERVICE
        + """
wait_for_samples(2)
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
os.chdir("/")
os.umask(0)
answer = os.dup(1)
os.closerange(0, 3)
os.closerange(3, answer)
os.open("/dev/null", os.O_RDWR)
os.dup2(0, 1)
os.dup2(0, 2)
wait_for_samples(4)
os.write(answer, b"%d\\n" % os.getpid())
os.close(answer)
sys.exit(0)
"""
    )
    out, _ = service.communicate(timeout=60)  # until its end, because it held the pipe
    runs = reference.runs_by_pid(log_directory)
    daemon = int(out)
    assert set(runs) == {service.pid, daemon}
    assert runs[service.pid].kinds == ["start"]
    assert runs[daemon].kinds[:2] == ["start", "fork"]
    assert len(runs[daemon].samples) >= 4
    assert runs[daemon].directory.stat().st_mode & 0o777 == 0o700


FORKSERVER = """
import multiprocessing, os, sys, threading
import pprofplus
def work():
    collector = pprofplus.start("api", interval_s=0.05)
    while collector.samples < 3:
        threading.Event().wait(0.005)
if __name__ == "__main__":
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["preloaded"])
    children = [context.Process(target=work) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0
"""


def test_a_fork_server_that_preloads_the_service_and_its_children_have_runs(
    run, log_directory, tmp_path, monkeypatch
):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    (tmp_path / "preloaded.py").write_text(
        "import pprofplus\npprofplus.start('api', interval_s=0.05)\n"
    )
    run(FORKSERVER)
    kinds = [found.kinds for found in reference.runs_by_pid(log_directory).values()]
    assert sorted(kinds)[:3] == [["start", "fork", "stop"]] * 3
    assert len(kinds) == 4


def test_the_workers_of_an_executor_end_normally(run, log_directory):
    run(
        """
import multiprocessing, os, time
from concurrent.futures import ProcessPoolExecutor
import pprofplus
from pprofplus.lifecycle import current
def work(i):
    time.sleep(0.3)
    while current()[0].samples < 1:
        time.sleep(0.005)
    return os.getpid()
if __name__ == "__main__":
    pprofplus.start("api", interval_s=0.05)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as executor:
        assert len(set(executor.map(work, range(2)))) == 2
"""
    )
    runs = reference.runs_by_pid(log_directory)
    assert len(runs) == 3
    assert all(found.kinds[-1] == "stop" for found in runs.values())


SUBINTERPRETER = """
import sys
import pprofplus
if sys.argv[1] == "recorded":
    collector = pprofplus.start("api", interval_s=0.05)
code = '''
import sys
sys.path[:] = %r
import pprofplus
collector = pprofplus.start("sub", interval_s=0.05)
print(collector.running, collector.samples)
pprofplus.stop()
''' % (sys.path,)
if sys.argv[2] == "legacy":
    import _testcapi
    assert _testcapi.run_in_subinterp(code) == 0
else:
    try:
        import _interpreters as interpreters
    except ImportError:
        import _xxsubinterpreters as interpreters
    other = interpreters.create()
    assert not interpreters.run_string(other, code)
    interpreters.destroy(other)
if sys.argv[1] == "recorded":
    assert collector.running
"""


@pytest.mark.parametrize("kind", ["legacy", "isolated"])
@pytest.mark.parametrize("main", ["recorded", "idle"])
def test_a_subinterpreter_records_nothing_and_logs_why(spawn, log_directory, main, kind):
    pytest.importorskip(
        "_testcapi"
        if kind == "legacy"
        else "_interpreters"
        if sys.version_info >= (3, 13)
        else "_xxsubinterpreters"
    )
    service = spawn(SUBINTERPRETER, main, kind)
    out, err = service.communicate(timeout=60)
    assert service.returncode == 0
    assert out.split() == ["False", "0"]
    assert err.splitlines() == [
        "nothing is recorded: this is a subinterpreter: call start() in the main interpreter"
    ]
    assert [found.kinds for found in reference.runs_by_pid(log_directory).values()] == [
        ["start", "stop"]
    ] * (main == "recorded")


def test_a_start_while_the_interpreter_ends_records_nothing_and_hangs_nothing(spawn, log_directory):
    service = spawn(
        """
import pprofplus
class Late:
    def __init__(self):
        self.start = pprofplus.start
    def __del__(self):
        self.start("api", interval_s=0.05)
late = Late()
late.itself = late  # to be found by the last collection
"""
    )
    service.communicate(timeout=60)
    assert service.returncode == 0
    assert not any(reference.is_live(path) for path in reference.runs(log_directory))


def test_a_fork_while_the_interpreter_ends_hangs_neither_process(spawn, log_directory):
    service = spawn(
        RECORDING_SERVICE
        + """
class Late:
    def __init__(self, fork=os.fork, wait=os.waitpid, leave=os._exit):
        self.fork, self.wait, self.leave = fork, wait, leave
    def __del__(self):
        child = self.fork()
        if child == 0:
            self.leave(0)
        self.wait(child, 0)
late = Late()
"""
    )
    service.communicate(timeout=60)
    assert service.returncode == 0
    (found,) = reference.runs_by_pid(log_directory).values()
    assert found.kinds == ["start", "stop"]
