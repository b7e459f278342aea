"""gevent: it replaces threads by greenlets, before the collector starts or while it runs."""

import pytest

pytest.importorskip("gevent")
pytestmark = pytest.mark.slow

PATIENCE_S = 60
ORDERS = {
    "before": """
from gevent import monkey; monkey.patch_all()
import pprofplus
collector = pprofplus.start("api", interval_s=0.05)
""",
    "between": """
import pprofplus
from gevent import monkey; monkey.patch_all()
collector = pprofplus.start("api", interval_s=0.05)
""",
    "after": """
import pprofplus
collector = pprofplus.start("api", interval_s=0.05)
from gevent import monkey; monkey.patch_all()
""",
}
WORK = """
import os, sys, time
import gevent
def wait_for_samples(count):
    while collector.samples < count:
        gevent.sleep(0.01)
wait_for_samples(5)
"""
order = pytest.mark.parametrize("order", ORDERS)


def whole(server, runs, count=1):
    assert (server.process.wait(PATIENCE_S), server.output()) == (0, "")
    assert list(runs.states().values()) == ["exited"] * count


@pytest.fixture
def program(serve, tmp_path):
    """Run a program to its end."""

    def start(text):
        (tmp_path / "program.py").write_text(text)
        return serve("program.py")

    return start


@order
def test_sampling_continues_and_ends_normally(program, runs, order):
    whole(program(ORDERS[order] + WORK), runs)


@order
def test_stopping_and_starting_again_works(program, runs, order):
    text = "pprofplus.stop()\nassert not collector.running\n"
    whole(program(ORDERS[order] + WORK + text), runs)


@order
def test_a_forked_child_has_its_own_run(program, runs, order):
    text = """
child = os.fork()
if child == 0:
    assert collector.pid == os.getpid()
    wait_for_samples(4)
    began, before = time.monotonic(), collector.samples
    gevent.sleep(0.5)
    # its own thread alone samples, and not its parent's too, which was copied with all greenlets
    assert collector.samples - before <= 1.5 * (time.monotonic() - began) / 0.05
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
wait_for_samples(collector.samples + 3)
"""
    whole(program(ORDERS[order] + WORK + text), runs, count=2)


@order
def test_no_greenlet_runs_in_a_child_before_its_exec(program, runs, order):
    text = """
import subprocess
parent = os.getpid()
def work():
    while True:
        gevent.sleep(0)
        if os.getpid() != parent:
            os.write(2, b"this ran twice\\n")
gevent.spawn(work)
for _ in range(10):
    subprocess.run(["true"], check=True)
"""
    whole(program(ORDERS[order] + WORK + text), runs)
