"""Shared fixtures of the tests with real servers: servers as processes that always end."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys

import pytest

from kit.environment import isolate_logs
from kit.waiting import wait_until
from pprofplus_tui.sources.local.catalog import Catalog
from pprofplus_tui.sources.local.sample_counts import counted

PATIENCE_S = 60


class Server:
    """A server in its own session, and its output."""

    def __init__(self, process, log):
        self.process = process
        self.pid = process.pid
        self._log = log

    def output(self):
        return self._log.read_text(errors="replace")

    def wait_for(self, condition):
        return wait_until(condition, PATIENCE_S, describe=self.output)

    def end(self, number=signal.SIGTERM):
        """Send it a signal, and return its exit code."""
        self.process.send_signal(number)
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            pytest.fail(f"it hangs: {self.output()}")


@pytest.fixture
def log_directory(tmp_path, monkeypatch):
    """A log directory for this test only."""
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    return isolate_logs(tmp_path, monkeypatch)


@pytest.fixture
def serve(log_directory, tmp_path):  # noqa: ARG001 - the servers log there
    """Start a server, `python -m module arguments…`, in the directory of the test's files."""
    servers = []

    def start(*arguments):
        log = tmp_path / f"server{len(servers)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-W", "ignore::DeprecationWarning", *arguments],
                cwd=tmp_path,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        servers.append(Server(process, log))
        return servers[-1]

    yield start
    for server in servers:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)  # its workers too
        server.process.wait()


class Runs:
    """The runs in a log directory, as the monitor lists them, by pid: each process has one."""

    def __init__(self, log_directory):
        self._catalog = Catalog([str(log_directory)])

    def _refreshed(self):
        self._catalog.refresh()
        assert not self._catalog.problems
        found = {run.pid: run for run in self._catalog.runs}
        assert len(found) == len(self._catalog.runs)
        return found

    def states(self):
        return {pid: run.state for pid, run in self._refreshed().items()}

    def live(self):
        return {pid for pid, state in self.states().items() if state == "live"}

    def samples(self):
        """Return the number of samples of each; no page may be damaged."""
        runs = {pid: counted(run) for pid, run in self._refreshed().items()}
        assert not any(run.damaged_pages for run in runs.values())
        return {pid: run.samples for pid, run in runs.items()}


@pytest.fixture
def runs(log_directory):
    return Runs(log_directory)


class Web:
    """A free port, and a client of the server that listens there."""

    def __init__(self):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = listener.getsockname()[1]

    def request(self):
        """Return (pid that answers, pid that its collector records, samples) or None."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/", headers={"Connection": "close"})
            return tuple(map(int, connection.getresponse().read().split()))
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()


@pytest.fixture
def web():
    return Web()
