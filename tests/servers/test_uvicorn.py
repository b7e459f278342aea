"""uvicorn: its workers are new processes, and it ends by the signal that it received."""

import signal
import sys

import pytest

pytest.importorskip("uvicorn")
pytestmark = pytest.mark.slow

APP = """
import os
import pprofplus
STOPS = __name__ == "stopping"
collector = pprofplus.start("api", interval_s=0.05)
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                if STOPS:
                    pprofplus.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return
            await send({"type": "lifespan.startup.complete"})
    await send({"type": "http.response.start", "status": 200, "headers": []})
    answer = f"{os.getpid()} {collector.pid} {collector.samples}"
    await send({"type": "http.response.body", "body": answer.encode()})
"""


@pytest.fixture(autouse=True)
def app(tmp_path):
    for name in ("app", "stopping"):
        (tmp_path / f"{name}.py").write_text(APP)


def uvicorn(serve, web, *arguments, module="app"):
    return serve("-m", "uvicorn", "--port", str(web.port), *arguments, f"{module}:app")


def test_each_worker_has_a_run_that_loses_no_counted_sample(serve, web, runs):
    server = uvicorn(serve, web, "--workers", "2")
    server.wait_for(lambda: len(runs.live()) == 2)
    pid, recorded, count = server.wait_for(web.request)
    assert pid == recorded
    assert pid in runs.live()
    assert server.pid not in runs.states()
    server.wait_for(lambda: min(runs.samples().values()) > 5)
    server.end()
    assert list(runs.states().values()) == ["exited"] * 2
    assert runs.samples()[pid] >= count
    assert "Traceback" not in server.output()


@pytest.mark.parametrize("module", ["app", "stopping"])
@pytest.mark.parametrize("way", ["start", "run"])
def test_a_server_that_ends_by_its_own_signal_has_exited(serve, web, runs, module, way):
    words = ("-m", "pprofplus", "run", "--interval", "0.05", "--", sys.executable)
    before = words if way == "run" else ()
    server = serve(*before, "-m", "uvicorn", "--port", str(web.port), f"{module}:app")
    server.wait_for(web.request)
    assert runs.live() == {server.pid}
    server.wait_for(lambda: runs.samples()[server.pid] > 5)
    assert server.end() == -signal.SIGTERM
    assert runs.states() == {server.pid: "exited"}
    assert "Traceback" not in server.output()


def test_a_killed_server_has_died(serve, web, runs):
    server = uvicorn(serve, web)
    server.wait_for(web.request)
    assert server.end(signal.SIGKILL) == -signal.SIGKILL
    assert runs.states() == {server.pid: "died"}


def test_an_interrupted_server_has_exited(serve, web, runs):
    server = uvicorn(serve, web)
    server.wait_for(web.request)
    server.end(signal.SIGINT)
    assert runs.states() == {server.pid: "exited"}
