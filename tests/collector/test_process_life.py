"""A process's life, where it is hard: signals, odd forks, odd ends. Nothing hangs, nothing is lost.

See test_processes.py for what every process goes through.
"""

import reference

SERVICE = """
import os, signal, sys, threading, time
import pprofplus
collector = pprofplus.start("api", interval_s=0.05)
def wait_for(samples):
    while collector.samples < samples:
        threading.Event().wait(0.005)
"""


def by_pid(home):
    return {int(path.name.split("-")[0]): reference.Run(path) for path in reference.runs(home)}


def test_stops_from_a_signal_handler_at_any_moment_hang_nothing_and_leave_whole_runs(run, home):
    run(
        """
import signal, threading
import pprofplus
signal.signal(signal.SIGALRM, lambda *_: pprofplus.stop())
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
for _ in range(100):
    pprofplus.start("api", interval_s=0.05)
    pprofplus.stop()
signal.setitimer(signal.ITIMER_REAL, 0)
"""
    )
    runs = reference.runs(home)
    assert 0 < len(runs) <= 100
    for directory in runs:
        assert reference.Run(directory).kinds == ["start", "stop"]


def test_starts_from_a_signal_handler_in_the_midst_of_a_start_make_one_run(run, home):
    run(
        """
import signal
import pprofplus
found = []
signal.signal(signal.SIGALRM, lambda *_: found.append(pprofplus.start("api", interval_s=0.05)))
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
found.append(pprofplus.start("api", interval_s=0.05))
while len(found) < 20:
    signal.pause()
signal.setitimer(signal.ITIMER_REAL, 0)
assert len(set(map(id, found))) == 1
"""
    )
    (directory,) = reference.runs(home)
    assert reference.Run(directory).kinds == ["start", "stop"]


def test_an_exit_from_a_signal_handler_at_any_moment_of_a_start_hangs_nothing(run, home):
    run(
        """
import os, signal, sys, threading
import pprofplus
for i in range(60):
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, lambda *_: sys.exit(0))
        signal.setitimer(signal.ITIMER_REAL, 0.0001 + i * 0.0001)
        pprofplus.start("api")
        threading.Event().wait(60)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
"""
    )
    for directory in reference.runs(home):
        found = reference.segments(directory)
        assert not found or not reference.is_live(directory)
