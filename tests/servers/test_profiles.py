"""Profiles of all workers of a real server, while it serves and while it forks."""

import os
import subprocess
import sys

import pytest

from pprofplus.profiles.pprof_decoder import decode_profile

pytest.importorskip("gunicorn")
pytestmark = pytest.mark.slow

APP = """
import os
import pprofplus
collector = pprofplus.start("api", interval_s=0.05)
def compute():
    return sum(i * i for i in range(20_000))
def app(environ, start_response):
    compute()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {collector.pid} {collector.samples}".encode()]
"""
CONFIG = """
import os
def post_worker_init(worker):
    os.write(2, b"ready\\n")
"""
FORKS = """
import os, threading, time
import pprofplus
collector = pprofplus.start("api", interval_s=0.05)
def fork():
    while True:
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        time.sleep(0.002)
threading.Thread(target=fork, daemon=True).start()
print("ready", flush=True)
while True:
    sum(i * i for i in range(1000))
"""
EVER_S = 100


def selection():
    """Return the options for the runs of this test: root would also find those of others."""
    return "--service", "api", "--dir", os.environ["PPROFPLUS_DIR"]


def ctl(*words):
    """Run ctl; return (exit code, output)."""
    found = subprocess.run(
        [sys.executable, "-m", "pprofplus", "ctl", *words, *selection()],
        capture_output=True,
        text=True,
        timeout=EVER_S,
        check=False,
    )
    return found.returncode, found.stdout + found.stderr


@pytest.mark.parametrize("worker", ["sync", "gthread", "gevent"])
def test_all_workers_are_profiled_at_once_while_they_serve(serve, web, runs, tmp_path, worker):
    if worker == "gevent":
        pytest.importorskip("gevent")
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "conf.py").write_text(CONFIG)
    options = ["-c", "conf.py", "--bind", f"127.0.0.1:{web.port}", "--workers", "2"]
    server = serve("-m", "gunicorn", *options, "-k", worker, "--threads", "2", "app:app")
    server.wait_for(lambda: server.output().count("ready") >= 2)
    server.wait_for(lambda: len(runs.live()) == 2)
    pids = {str(pid) for pid in runs.live()}
    taking = subprocess.Popen(
        [
            *(sys.executable, "-m", "pprofplus", "ctl", "profile", "wall", "threads", "heap"),
            *(*selection(), "--seconds", "2", "-o", str(tmp_path / "out")),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while taking.poll() is None:
        server.wait_for(web.request)
    out = taking.communicate()[0]
    assert taking.returncode == 0, out
    for kind in ("wall", "threads", "heap"):
        (path,) = (tmp_path / "out").glob(f"*-{kind}.pb.gz")
        profile = decode_profile(path.read_bytes())
        found = {text for _, _, labels in profile.samples for key, text in labels if key == "pid"}
        assert found == pids or kind == "heap"
        if kind == "wall":
            assert "app.compute" in {name for name, *_ in profile.frames}
    code, listed = ctl("profiles")
    assert code == 0
    assert len(listed.splitlines()) == 1 + 3 * 2
    server.wait_for(web.request)
    assert server.end() == 0, server.output()
    assert set(runs.states().values()) == {"exited"}
    assert "Traceback" not in server.output()


def test_a_process_that_forks_all_the_time_is_profiled(serve, runs, tmp_path):
    (tmp_path / "forks.py").write_text(FORKS)
    server = serve("forks.py")
    server.wait_for(lambda: "ready" in server.output())
    for kinds in (("cpu", "wall"), ("heap",), ("allocs", "threadcreate"), ("threads", "maps")):
        code, out = ctl("profile", *kinds, "--pid", str(server.pid), "--seconds", "1")
        assert code == 0, out
        assert server.process.poll() is None, server.output()
    assert server.output() == "ready\n"
