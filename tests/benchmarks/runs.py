"""The cost of `list` and the monitor with many ended runs."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pyte

from many_runs import write_ended_runs
from pty_driver import COLUMNS, ROWS, Terminal
from tables import Column, Row, Table
from timing import Effort

_BARE = (sys.executable, str(Path(__file__).with_name("bare_textual.py")))
_AXIS = "┤".encode()  # only charts have it
_DEADLINE_S = 60.0
_QUIET_S = 1.5
_CHART_TIMES_BARE, _CHART_MORE_MS = 1.4, 400
_LIST, _LIST_MEMORY = "list", "its memory"
_CHART, _MEMORY, _CPU, _NEW = "first chart", "monitor's memory", "CPU at rest", "a new run is seen"
_SERVICE = "import pprofplus, sys; pprofplus.start('a-new-one'); sys.stdin.read()"


def _monitor(log_directory: Path) -> tuple[str, ...]:
    return (sys.executable, "-m", "pprofplus_tui", "--dir", str(log_directory))


def _list_cost(log_directory: Path) -> tuple[float, float]:
    """Return (seconds, largest resident MB) of a list."""
    words = [*_monitor(log_directory), "list"]
    began_s = time.monotonic()
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"list failed: {process.returncode}")
    return time.monotonic() - began_s, usage.ru_maxrss * 1024 / 1e6


class _Screen:
    """The screen that a user would see."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self._screen)
        self._raw = b""

    def until_chart(self) -> float:
        """Read until a chart is drawn; return milliseconds since the start."""
        while _AXIS not in self._raw:
            self._raw += self._terminal.read(1.0)
            if time.monotonic() - self._terminal.started > _DEADLINE_S or self._terminal.ended:
                raise RuntimeError("no chart was drawn")
        return (time.monotonic() - self._terminal.started) * 1000

    def until_quiet(self) -> None:
        """Read until no output comes: all runs are read."""
        while data := self._terminal.read(_QUIET_S):
            self._raw += data

    def until_live(self) -> None:
        """Read until the top line shows a live run."""
        until_s = time.monotonic() + _DEADLINE_S
        while time.monotonic() < until_s:
            self._stream.feed(self._raw)
            self._raw = b""
            if " 1 live " in self._screen.display[0]:
                return
            self._raw = self._terminal.read(0.05)
        raise RuntimeError("the new run was not seen")


def _seconds_until_seen(log_directory: Path, screen: _Screen) -> float:
    """Return the seconds from the first byte of a new run on disk until the monitor shows it."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PPROFPLUS_")}
    environment["PPROFPLUS_DIR"] = str(log_directory)
    words = [sys.executable, "-c", _SERVICE]
    with subprocess.Popen(words, stdin=subprocess.PIPE, env=environment) as process:
        try:
            until_s = time.monotonic() + _DEADLINE_S
            while not list((log_directory / "a-new-one").glob("*/*.pplog")):
                if time.monotonic() > until_s:
                    raise RuntimeError("the service did not record")
                time.sleep(0.01)
            began_s = time.monotonic()
            screen.until_live()
            return time.monotonic() - began_s
        finally:
            process.stdin.close()


def _monitor_cost(log_directory: Path, rest_s: float) -> tuple[float, float, float, float]:
    """Return (ms to the first chart, resident MB, percent of a core at rest, s to a new run)."""
    with Terminal(_monitor(log_directory)) as terminal:
        screen = _Screen(terminal)
        chart_ms = screen.until_chart()
        screen.until_quiet()
        _, cpu = terminal.watch(rest_s)
        memory = terminal.process.memory_info().rss / 1e6
        seen_s = _seconds_until_seen(log_directory, screen)
        return chart_ms, memory, cpu, seen_s


def _bare_ms(rounds: int) -> float:
    paints = []
    for _ in range(rounds + 1):
        with Terminal(_BARE) as terminal:
            paints.append(terminal.first_paint_ms() or 0.0)
            terminal.settle(0.1, 0.5)
    return statistics.median(paints[1:])  # the first start fills caches


def _limits(count: int, bare_ms: float) -> dict[str, float]:
    """Return the targets for a log directory of `count` runs."""
    if count == 10_000:
        chart_ms = round(_CHART_TIMES_BARE * bare_ms + _CHART_MORE_MS)
        limits = {_LIST: 1.5, _LIST_MEMORY: 80, _CHART: chart_ms}
        return {**limits, _MEMORY: 120, _CPU: 0.5, _NEW: 2}
    if count == 100_000:
        return {_LIST: 12, _MEMORY: 200}
    return {}


def _counts(effort: Effort) -> Sequence[int]:
    if effort.touch:
        return (20,)
    return (100, 1000, 10_000) if effort.quick else (100, 1000, 10_000, 100_000)


def measure(effort: Effort) -> list[Table]:
    """Measure both with increasing numbers of runs."""
    rest_s, rounds = effort.pick(20, 10, 1), effort.count(5, 3, 1)
    bare_ms = _bare_ms(rounds)
    rows = []
    for count in _counts(effort):
        with tempfile.TemporaryDirectory() as made:
            log_directory = Path(made) / "logs"
            write_ended_runs(log_directory, count)
            _list_cost(log_directory)  # fills the page cache
            lists = [_list_cost(log_directory) for _ in range(effort.count(3, 2, 1))]
            chart_ms, memory, cpu, seen_s = _monitor_cost(log_directory, rest_s)
            figures = (
                statistics.median(seconds for seconds, _ in lists),
                max(megabytes for _, megabytes in lists),
                *(chart_ms, memory, cpu, seen_s),
            )
        rows.append(Row(f"{count:,} runs", figures, at_most=_limits(count, bare_ms)))
    return [
        Table(
            "Many ended runs of two samples each",
            (
                Column(_LIST, "s", compared=False),
                Column(_LIST_MEMORY, "MB", compared=False),
                Column(_CHART, "ms", compared=False),
                Column(_MEMORY, "MB", compared=False),
                Column(_CPU, "%", compared=False),
                Column(_NEW, "s", compared=False),
            ),
            tuple(rows),
            (
                f"A bare Textual app paints after {bare_ms:.0f} ms.",
                "A new run is seen: from its first byte on disk until the monitor shows it.",
            ),
            ours=len(rows),
        )
    ]
