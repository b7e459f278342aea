"""Long logs in the real monitor: the time to the first charts, and from a key to the last byte."""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pty_driver import Terminal
from tables import Column, Row, Table
from timing import Effort, quantile

_BRAILLE = tuple(bytes((0xE2, second)) for second in range(0xA0, 0xA4))
_BARE = (sys.executable, str(Path(__file__).with_name("bare_textual.py")))
_FRAME_TIMES_BARE = 1.4
_QUIET_S = 0.25
_PANS = (b"\x1b[D", b"\x1b[D", b"\x1b[5~", b"\x1b[C", b"\x1b[6~")


def _bare_ms() -> float:
    """Return milliseconds from the start to the first picture of a minimal application."""
    with Terminal(_BARE) as terminal:
        painted_ms = terminal.first_paint_ms()
        terminal.settle(0.1, 0.5)
    if painted_ms is None:
        raise RuntimeError("a bare Textual app painted nothing")
    return painted_ms


def _opening(log_directory: Path) -> tuple[float, float, float]:
    """Return milliseconds from the start to the frame, the first curve and the last byte."""
    command = [sys.executable, "-m", "pprofplus_tui", "--dir", str(log_directory)]
    with Terminal(command) as terminal:
        frame_ms = terminal.first_paint_ms()
        if frame_ms is None:
            raise RuntimeError("the monitor painted nothing")
        tail, curve = b"", 0.0
        while not curve and not terminal.ended:
            data = terminal.read(_QUIET_S)
            if any(mark in tail + data for mark in _BRAILLE):
                curve = time.monotonic()
            tail = data[-2:]
            if time.monotonic() - terminal.started > 15:
                raise RuntimeError("the monitor drew no curve")
        last = max(curve, terminal.settle(_QUIET_S)[0])
        return frame_ms, *((at - terminal.started) * 1000 for at in (curve, last))


def _walk(
    log_directory: Path, rounds: int, levels: int
) -> tuple[dict[str, list[tuple[float, int]]], float]:
    """Return (milliseconds to the last byte, bytes) of each key, and the MB of the process."""
    taken: dict[str, list[tuple[float, int]]] = {"pan": [], "zoom": []}
    command = [sys.executable, "-m", "pprofplus_tui", "--dir", str(log_directory)]
    with Terminal(command) as terminal:
        terminal.first_paint_ms()
        terminal.settle(1.0)
        for _ in range(rounds):
            terminal.press(b"0", _QUIET_S)
            for level in range(2 * levels):
                taken["zoom"].append(terminal.press(b"+" if level < levels else b"-", _QUIET_S))
                # a window of the complete run cannot pan
                if 0 < level < levels:
                    taken["pan"] += [terminal.press(key, _QUIET_S) for key in _PANS]
        rss_mb = terminal.process.memory_info().rss / 1e6
    # a key at the edge of the run changes nothing and writes nothing
    return {kind: [step for step in found if step[1]] for kind, found in taken.items()}, rss_mb


def _switch(log_directory: Path, keys: int) -> tuple[dict[str, list[tuple[float, int]]], float]:
    """Return the same as `_walk`, for keys that go up in the list of runs."""
    command = [sys.executable, "-m", "pprofplus_tui", "--dir", str(log_directory)]
    with Terminal(command) as terminal:
        terminal.first_paint_ms()
        terminal.settle(1.0)
        found = [terminal.press(b"k", _QUIET_S) for _ in range(keys)]
        rss_mb = terminal.process.memory_info().rss / 1e6
    return {"next run": [step for step in found if step[1]]}, rss_mb


def through_the_terminal(
    name: str, log_directory: Path, more_ms: int, effort: Effort
) -> list[Table]:
    """Open a log directory in the monitor, at 200x50, then pan and zoom."""
    walk = effort.count(2, 1), effort.count(8, 4, 2)
    return _in_the_monitor(
        name, log_directory, more_ms, effort, lambda: _walk(log_directory, *walk)
    )


def among_runs(name: str, log_directory: Path, effort: Effort) -> list[Table]:
    """Open a log directory of many runs in the monitor, and go up the list."""
    keys = effort.count(60, 20, 3)
    return _in_the_monitor(name, log_directory, 400, effort, lambda: _switch(log_directory, keys))


def _in_the_monitor(
    name: str,
    log_directory: Path,
    more_ms: int,
    effort: Effort,
    walk: Callable[[], tuple[dict[str, list[tuple[float, int]]], float]],
) -> list[Table]:
    try:
        # in turns, so that other load affects both
        turns = [(_bare_ms(), *_opening(log_directory)) for _ in range(effort.count(15, 3, 1))]
        taken, rss_mb = walk()
    except RuntimeError as error:
        rows = (Row("pprofplus-tui", note=str(error)),)
        return [Table(f"{name}: in the monitor, at 200x50", (Column("time", "ms"),), rows)]
    bare, *opened = (statistics.median(values) for values in zip(*turns, strict=True))
    limit_ms = round(_FRAME_TIMES_BARE * bare) + more_ms
    return [
        Table(
            f"{name}: opening the monitor on it, at 200x50",
            (
                Column("frame", "ms"),
                Column("first chart", "ms", at_most=limit_ms),
                Column("all six", "ms"),
                Column("memory (RSS), after all keys", "MB", at_most=120),
            ),
            (
                Row("pprofplus-tui", (*opened, rss_mb)),
                Row("a bare Textual app", (bare, None, None, None)),
            ),
            (
                "Milliseconds from the start of the process, medians of starts in turns.",
                f"First chart: at most {_FRAME_TIMES_BARE} x the bare app's frame + {more_ms} ms.",
            ),
        ),
        Table(
            f"{name}: from a key to the last byte of the new picture, at 200x50",
            (
                Column("keys", compared=False),
                Column("median", "ms", at_most=50),
                Column("p95", "ms", at_most=80),
                Column("p99", "ms", at_most=120),
                Column("median", "kB"),
            ),
            tuple(
                Row(
                    kind,
                    (
                        len(found),
                        statistics.median(ms for ms, _ in found),
                        *(quantile([ms for ms, _ in found], share) for share in (0.95, 0.99)),
                        statistics.median(size for _, size in found) / 1000,
                    ),
                )
                for kind, found in taken.items()
                if found
            ),
            ours=2,
        ),
    ]
