"""Fixtures of the monitor's tests: logs that a test writes, and the application on them."""

import pytest

from kit.written_logs import WrittenLogs
from pprofplus_tui.app import MonitorApp
from pprofplus_tui.commands.open_monitor import local_backend
from pprofplus_tui.model.options import Options


@pytest.fixture
def home(tmp_path):
    """A log directory that the test writes runs into."""
    made = WrittenLogs(tmp_path / "logs")
    yield made
    made.close()


@pytest.fixture
def monitor(home):
    """Return a function that makes the application on the test's logs."""

    def make(**options):
        return MonitorApp(
            Options(directories=(str(home.path),), **options), local_backend([str(home.path)])
        )

    return make
