"""Profiles of services under real servers, while requests, recycling and signals go on."""

import threading
import time

import pytest

from kit.processes import started_processes
from kit.profile_commands import (
    artefacts,
    begin_profile,
    ctl_profile,
    functions,
    label_values,
    read_profile,
    share,
    unfinished,
)

pytestmark = pytest.mark.slow

SAMPLED = ("cpu", "wall")

WORK = """
import os, time
import pprofplus
collector = pprofplus.start("api", interval_s=0.05)
def work():
    until = time.thread_time() + 0.01
    while time.thread_time() < until:
        sum(range(100))
def rest():
    time.sleep(0.01)
"""

WSGI = (
    WORK
    + """
def app(environ, start_response):
    work()
    rest()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {collector.pid} {collector.samples}".encode()]
"""
)

ASGI = (
    WORK
    + """
import asyncio
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    work()
    await asyncio.sleep(0.01)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    answer = f"{os.getpid()} {collector.pid} {collector.samples}"
    await send({"type": "http.response.body", "body": answer.encode()})
"""
)

CELERY = """
import os, time
import pprofplus
from celery import Celery
collector = pprofplus.start("api", interval_s=0.05)
here = os.path.dirname(os.path.abspath(__file__))
app = Celery("app", broker="filesystem://")
app.conf.broker_transport_options = {
    "data_folder_in": f"{here}/queue", "data_folder_out": f"{here}/queue",
    "control_folder": f"{here}/control", "polling_interval": 0.05,
}
app.conf.worker_hijack_root_logger = False
app.conf.broker_connection_retry_on_startup = True
os.makedirs(f"{here}/queue", exist_ok=True)
def work(until):
    while time.monotonic() < until:
        sum(range(100))
@app.task(ignore_result=True)
def task(name):
    open(f"{here}/{name}.begun", "w").close()
    work(time.monotonic() + 6)
    open(f"{here}/{name}.done", "w").close()
"""

SERVERS = {
    "gunicorn with threads": ("-m", "gunicorn", "-k", "gthread", "--threads", "4"),
    "gunicorn with gevent": ("-m", "gunicorn", "-k", "gevent"),
    "uvicorn": (
        "-m",
        "uvicorn",
    ),
}
WORKERS = 2


def needed_modules(name):
    return [module for module in ("gunicorn", "gevent", "uvicorn") if module in name]


class Load:
    """Threads that send requests until the end of a `with` block."""

    def __init__(self, web):
        self._web = web
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._send) for _ in range(4)]
        self.answered = 0
        self.slowest_s = 0.0

    def _send(self):
        while not self._ending.is_set():
            began_s = time.monotonic()
            if self._web.request() is not None:
                self.answered += 1
            self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._ending.set()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def server_of(serve, web, runs, tmp_path):
    """Start the server with this name, two workers; return it when both are recorded."""

    def start(name, *more):
        for module in needed_modules(name):
            pytest.importorskip(module)
        (tmp_path / "app.py").write_text(ASGI if name == "uvicorn" else WSGI)
        where = (
            ("--port", str(web.port), "--log-level", "warning")
            if name == "uvicorn"
            else ("--bind", f"127.0.0.1:{web.port}")
        )
        server = serve(*SERVERS[name], "--workers", str(WORKERS), *where, *more, "app:app")
        server.wait_for(lambda: len(runs.live()) == WORKERS and web.request())
        return server

    return start


@pytest.mark.parametrize("name", SERVERS)
def test_every_worker_of_a_busy_server_is_profiled_and_goes_on(
    server_of, web, runs, log_directory, tmp_path, name
):
    server = server_of(name)
    before = runs.samples()
    with Load(web) as load:
        done = ctl_profile(
            *SAMPLED, "threads", "heap", "--seconds", "3", "-o", str(tmp_path / "out")
        )
        assert (done.returncode, done.stderr) == (0, "")
        answered = load.answered
        server.wait_for(lambda: load.answered > answered)
    for kind in (*SAMPLED, "threads", "heap"):
        (merged,) = (tmp_path / "out").glob(f"*{kind}*.pb.gz")
        assert len(label_values(read_profile(merged), "pid")) == WORKERS
        assert len(artefacts(log_directory, kind)) == WORKERS
    (cpu,) = (tmp_path / "out").glob("*cpu*.pb.gz")
    assert share(read_profile(cpu), r"app\.work", 1) > 0.2
    assert unfinished(log_directory) == []
    now = runs.samples()
    assert all(now[pid] > count for pid, count in before.items())
    server.end()
    assert set(runs.states().values()) == {"exited"}
    assert "Traceback" not in server.output()
    assert "Exception ignored" not in server.output()


@pytest.mark.parametrize("name", ["gunicorn with threads", "gunicorn with gevent"])
def test_workers_that_are_recycled_during_a_profile_end_and_are_answered_for(
    server_of, web, runs, log_directory, name
):
    server = server_of(name, "--max-requests", "20")
    with Load(web):
        done = ctl_profile(*SAMPLED, "--seconds", "5")
    assert done.returncode == 1
    assert "ended before it answered" in done.stderr or "cancelled" in done.stderr
    server.wait_for(lambda: len(runs.live()) == WORKERS)
    server.end()
    assert set(runs.states().values()) == {"exited"}
    assert "Traceback" not in server.output()


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_that_is_stopped_during_a_profile_ends_normally(
    server_of, web, runs, log_directory, name
):
    server = server_of(name)
    with started_processes() as start_process, Load(web):
        process = begin_profile(start_process, *SAMPLED, "--seconds", "60")
        server.wait_for(lambda: len(list(log_directory.rglob("*.progress"))) == WORKERS)
        server.end()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors
    assert set(runs.states().values()) == {"exited"}
    assert artefacts(log_directory) == []
    assert [path for path in unfinished(log_directory) if ".new" in path.name] == []
    assert "Traceback" not in server.output()


def test_tasks_of_celery_are_profiled_and_complete(
    serve, runs, tmp_path, log_directory, monkeypatch
):
    pytest.importorskip("celery")
    (tmp_path / "app.py").write_text(CELERY)
    (tmp_path / "send.py").write_text("import app\nfor name in 'ab':\n    app.task.delay(name)\n")
    server = serve(
        "-m", "celery", "-A", "app", "worker", "--pool", "prefork", "--concurrency", "2",
        "--without-gossip", "--without-mingle", "--without-heartbeat",
    )  # fmt: skip
    server.wait_for(lambda: len(runs.live()) == WORKERS + 1)
    with monkeypatch.context() as patch:
        patch.setenv("PPROFPLUS_DISABLED", "1")
        assert serve("send.py").process.wait(60) == 0
    server.wait_for(lambda: any(tmp_path.glob("*.begun")))
    done = ctl_profile(*SAMPLED, "--seconds", "2", "-o", str(tmp_path / "out"))
    assert (done.returncode, done.stderr) == (0, "")
    (cpu,) = (tmp_path / "out").glob("*cpu*.pb.gz")
    assert "app.work" in functions(read_profile(cpu))
    server.wait_for(lambda: len(list(tmp_path.glob("*.done"))) == 2)
    assert server.end() == 0, server.output()
    assert set(runs.states().values()) == {"exited"}
    assert "Traceback" not in server.output()
