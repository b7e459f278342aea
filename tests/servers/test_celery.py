"""Celery: its prefork workers end by os._exit, and are replaced after a number of tasks."""

import os
import signal

import pytest

pytest.importorskip("celery")
pytestmark = pytest.mark.slow

APP = """
import os
import pprofplus
from celery import Celery
collector = pprofplus.start("worker", interval_s=0.05)
here = os.path.dirname(os.path.abspath(__file__))
app = Celery("app", broker="filesystem://")
app.conf.broker_transport_options = {
    "data_folder_in": f"{here}/queue", "data_folder_out": f"{here}/queue",
    "control_folder": f"{here}/control", "polling_interval": 0.05,
}
app.conf.worker_hijack_root_logger = False
app.conf.broker_connection_retry_on_startup = True
os.makedirs(f"{here}/queue", exist_ok=True)
@app.task(ignore_result=True)
def note(name):
    with open(f"{here}/{name}.done.new", "w") as file:
        file.write(f"{os.getpid()} {collector.pid} {collector.samples}")
    os.rename(f"{here}/{name}.done.new", f"{here}/{name}.done")
"""

SEND = """
import sys
import app
for name in sys.argv[1:]:
    app.note.delay(name)
"""


@pytest.fixture
def celery(serve, tmp_path):
    """Start a worker of two processes; send tasks to it with `send`."""
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "send.py").write_text(SEND)

    def start(*arguments):
        return serve(
            "-m", "celery", "-A", "app", "worker", "--pool", "prefork", "--concurrency", "2",
            "--without-gossip", "--without-mingle", "--without-heartbeat", *arguments,
        )  # fmt: skip

    return start


@pytest.fixture
def send(serve, tmp_path, monkeypatch):
    """Send tasks; return the result of each, (pid, pid recorded, samples), when all are done."""

    def work(server, *names):
        with monkeypatch.context() as patch:
            patch.setenv("PPROFPLUS_DISABLED", "1")
            assert serve("send.py", *names).process.wait(60) == 0
        done = [tmp_path / f"{name}.done" for name in names]
        server.wait_for(lambda: all(path.exists() for path in done))
        return [tuple(map(int, path.read_text().split())) for path in done]

    return work


def test_each_process_has_a_run_that_ends_normally(celery, send, runs):
    server = celery()
    server.wait_for(lambda: len(runs.live()) == 3)
    answers = send(server, "a", "b", "c")
    for pid, recorded, _ in answers:
        assert pid == recorded != server.pid
        assert pid in runs.live()
    assert server.end() == 0, server.output()
    assert list(runs.states().values()) == ["exited"] * 3
    found = runs.samples()
    assert all(found[pid] >= count for pid, _, count in answers)
    assert "Traceback" not in server.output()


def test_recycled_processes_have_exited_and_their_successors_are_live(celery, send, runs):
    server = celery("--max-tasks-per-child", "1")
    server.wait_for(lambda: len(runs.live()) == 3)
    answers = send(server, "a", "b", "c", "d")
    used = {pid for pid, _, _ in answers}
    assert len(used) == 4
    server.wait_for(lambda: not used & runs.live())
    assert {runs.states()[pid] for pid in used if pid in runs.states()} == {"exited"}
    server.wait_for(lambda: len(runs.live()) == 3)
    assert server.end() == 0, server.output()
    assert set(runs.states().values()) == {"exited"}


def test_a_killed_process_has_died_and_its_successor_is_live(celery, runs):
    # then there is no normal end, even without a collector: the pool waits for the ended one's
    # lock
    server = celery()
    server.wait_for(lambda: len(runs.live()) == 3)
    (victim, *_) = runs.live() - {server.pid}
    os.kill(victim, signal.SIGKILL)
    server.wait_for(lambda: runs.states()[victim] == "died" and len(runs.live()) == 3)
