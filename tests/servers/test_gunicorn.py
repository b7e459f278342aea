"""gunicorn: a run for each process that loads the service, for any end of it."""

import os
import signal

import pytest

pytest.importorskip("gunicorn")
pytestmark = pytest.mark.slow

APP = """
import os
import pprofplus
collector = pprofplus.start("api", interval_s=0.05)
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {collector.pid} {collector.samples}".encode()]
"""

# before this a worker has its master's handlers, and a signal to it is lost
CONFIG = """
import os
def post_worker_init(worker):
    os.write(2, b"ready\\n")
"""


@pytest.fixture(autouse=True)
def app(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "conf.py").write_text(CONFIG)


def gunicorn(serve, web, *arguments):
    address = f"127.0.0.1:{web.port}"
    options = ("-c", "conf.py", "--bind", address, "--workers", "2", *arguments)
    server = serve("-m", "gunicorn", *options, "app:app")
    wait_for_workers(server, 2)
    return server


def wait_for_workers(server, count):
    """Wait until that many have started, including those that have ended."""
    server.wait_for(lambda: server.output().count("ready") >= count)


@pytest.mark.parametrize(
    ("arguments", "processes"), [((), 2), (("--preload",), 3), (("--threads", "2"), 2)]
)
def test_each_process_has_a_run_that_ends_normally(serve, web, runs, arguments, processes):
    server = gunicorn(serve, web, *arguments)
    server.wait_for(lambda: len(runs.live()) == processes)
    worker, recorded, _ = server.wait_for(web.request)
    assert worker == recorded != server.pid
    assert (server.pid in runs.live()) == ("--preload" in arguments)
    assert server.end() == 0, server.output()
    assert list(runs.states().values()) == ["exited"] * processes
    assert min(runs.samples().values()) >= 2
    assert "Traceback" not in server.output()


@pytest.mark.parametrize("preload", [[], ["--preload"]])
def test_recycled_workers_end_normally_and_their_successors_are_live(serve, web, runs, preload):
    server = gunicorn(serve, web, "--max-requests", "5", *preload)
    counts = {}

    def recycled():
        if found := web.request():
            pid, recorded, count = found
            assert pid == recorded
            counts[pid] = count
        return list(runs.states().values()).count("exited") >= 3

    server.wait_for(recycled)
    # the successors of those that ended, and no others
    server.wait_for(lambda: len(runs.live()) == (3 if preload else 2))
    wait_for_workers(server, len(runs.states()) - len(preload))
    assert server.end() == 0, server.output()
    assert set(runs.states().values()) == {"exited"}
    found = runs.samples()
    assert all(found[pid] >= count for pid, count in counts.items())


def test_a_killed_worker_has_died_and_its_successor_is_live(serve, web, runs):
    server = gunicorn(serve, web, "--preload")
    server.wait_for(lambda: len(runs.live()) == 3)
    pid, _, count = server.wait_for(web.request)
    os.kill(pid, signal.SIGKILL)
    server.wait_for(lambda: runs.states()[pid] == "died" and len(runs.live()) == 3)
    assert len(runs.states()) == 4
    assert runs.samples()[pid] >= count
    wait_for_workers(server, 3)
    assert server.end() == 0, server.output()


def test_gevent_workers_loaded_before_the_patch_are_recorded(serve, web, runs):
    pytest.importorskip("gevent")
    server = gunicorn(serve, web, "--preload", "-k", "gevent")
    server.wait_for(lambda: len(runs.live()) == 3)
    worker, recorded, _ = server.wait_for(web.request)
    assert worker == recorded
    assert server.end() == 0, server.output()
    assert list(runs.states().values()) == ["exited"] * 3
    assert "Exception ignored" not in server.output()
