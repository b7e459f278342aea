"""What the monitor shows of a disturbed service: its state, and a gap afterwards."""

import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from kit.processes import IMPORT_PATH
from kit.programs import COUNTING_SERVICE, SHIFTED_CLOCK
from kit.waiting import wait_until
from pprofplus_tui.sources.local import catalog
from pprofplus_tui.sources.local.catalog import Catalog
from pprofplus_tui.sources.local.run_log import open_log
from pprofplus_tui.sources.local.window_query import query

REQUEST = ("rss", False)

# executes commands from its standard input, one a line
COMMANDS = """
import ctypes, resource
print(collector.directory, flush=True)
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
"""


class Service:
    """A process that records itself and executes commands."""

    def __init__(self, home, before="", interval_s=0.05):
        start = f"collector = pprofplus.start('api', interval_s={interval_s})\n"
        program = before + COUNTING_SERVICE + start + COMMANDS
        self.process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PPROFPLUS_DIR": str(home), "PYTHONPATH": IMPORT_PATH},
        )
        self.directory = self.process.stdout.readline().strip()

    def begin(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def do(self, line):
        self.begin(line)
        assert self.process.stdout.readline() == "done\n"


@pytest.fixture
def service(tmp_path):
    made = []

    def start(**options):
        made.append(Service(tmp_path / "logs", **options))
        return made[-1]

    yield start
    for one in made:
        one.process.kill()
        one.process.communicate()


@pytest.fixture
def state(tmp_path):
    """Wait until the only run is in a state."""
    watching = Catalog([str(tmp_path / "logs")])

    def wait(wanted, patience_s=60):
        found = []

        def is_wanted():
            watching.refresh()
            found[:] = [info.state for info in watching.runs]
            return found == [wanted]

        wait_until(is_wanted, patience_s, describe=lambda: found)
        return watching.runs[0]

    return wait


@pytest.mark.slow
def test_a_stopped_process_is_stalled_until_it_continues(service, state):
    running = service()
    state("live")
    running.process.send_signal(signal.SIGSTOP)
    state("stalled")
    running.process.send_signal(signal.SIGCONT)
    state("live")
    running.begin("pprofplus.stop()")
    state("exited")


@pytest.mark.slow
def test_while_a_c_extension_holds_the_gil_a_process_is_stalled(service, state):
    running = service()
    state("live")
    running.begin("ctypes.PyDLL(None).sleep(15)")
    state("stalled")
    assert running.process.stdout.readline() == "done\n"
    state("live")
    running.begin("pprofplus.stop()")
    state("exited")


@pytest.mark.slow
def test_while_nothing_can_be_written_a_process_is_stalled(service, state):
    running = service()
    state("live")
    running.do("resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))")
    state("stalled")
    running.do("resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)")
    state("live")


def test_lost_samples_are_a_break_in_the_chart_without_points(service):
    running = service(interval_s=0.005)
    running.do("samples(100)")
    running.do("resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))")
    running.do("wait_for(in_trouble)")
    # longer than a second, which is the minimum of a gap
    running.do("wait_for(lambda: lost() * 0.005 > 1.5)")
    running.do("resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)")
    running.do("samples(100)")
    running.do("pprofplus.stop()")
    run = open_log(running.directory, in_blocks=True)
    (lost,) = (event for event in run.events() if event.kind == "lost")
    for buckets in (20_000, 100):
        points = query(run, run.begin_ms, run.end_ms + 1, buckets, [REQUEST])[REQUEST]
        gap = int(np.argmax(np.diff(points.t_ms)))
        assert points.t_ms[gap + 1] - points.t_ms[gap] >= 1400
        assert points.breaks[gap + 1]
        # the event is at the end of the gap
        assert points.t_ms[gap] < lost.t_ms
    assert lost.value >= 300
    assert "EFBIG" in lost.text


def test_a_wall_clock_that_steps_by_an_hour_leaves_a_live_run_live(service, state, monkeypatch):
    # service and monitor share one simulated clock, because the real one cannot be set
    shift_ns = [0]
    true_ns = time.time_ns
    clock = SimpleNamespace(time_ns=lambda: true_ns() + shift_ns[0])
    monkeypatch.setattr(catalog, "time", clock)
    running = service(before=SHIFTED_CLOCK)
    for hours in (0, 1, 0, -1, 0):
        shift_ns[0] = hours * 3_600 * 10**9
        running.do(f"shift_ns[0] = {shift_ns[0]}")
        running.do("samples(5)")
        info = state("live")
        assert abs(info.end_ms - clock.time_ns() // 1_000_000) < 60_000
    run = open_log(running.directory, in_blocks=True)
    points = query(run, 0, 1 << 50, 1 << 20, [REQUEST])[REQUEST]
    assert (np.diff(points.t_ms) > 0).all()
    assert list(points.lo) == sorted(points.lo)  # the value of each sample is its number


def test_a_clock_set_forward_leaves_a_break(service):
    running = service(before=SHIFTED_CLOCK)
    running.do("samples(5)")
    running.do("shift_ns[0] = 3_600 * 10**9")
    running.do("samples(5)")
    run = open_log(running.directory, in_blocks=True)
    points = query(run, run.begin_ms, run.end_ms + 1, 1 << 20, [REQUEST])[REQUEST]
    (at,) = np.flatnonzero(np.diff(points.t_ms) > 3_000_000)
    assert points.breaks[at + 1]
    assert points.breaks.sum() == 1
