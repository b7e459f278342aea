"""The output, CPU and memory of the monitor, compared with other monitors and a minimal app."""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pty_driver import COLUMNS, ROWS, Terminal
from tables import Column, Row, Table
from timing import Effort

_BARE = (sys.executable, str(Path(__file__).with_name("bare_textual.py")))
_PEERS = ("htop", "btop", "glances")
_SETTLED_S = 5.0
_FIRST_PAINT_TIMES_BARE = 1.4
_WRITTEN = "written"
_LOW_BANDWIDTH = 300  # bytes per second


def _monitor(log_directory: Path, *more: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "pprofplus_tui", "--dir", str(log_directory), *more)


@contextmanager
def _leaking_service(log_directory: Path) -> Iterator[None]:
    """Run the leaking service of the demo at 1 Hz during the block."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PPROFPLUS_")}
    log_directory.mkdir(
        mode=0o700
    )  # on a busy machine the monitor may start before the service writes
    words = [sys.executable, "-m", "pprofplus_tui.demo.services", "leak", str(log_directory)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, env=environment) as process:
        try:
            yield
        finally:
            process.stdin.close()


def _record_dead_run(log_directory: Path, seconds: float) -> None:
    with _leaking_service(log_directory), Terminal(("sleep", str(seconds))) as sleeping:
        sleeping.settle(seconds, seconds + 1)


def _paints_ms(commands: dict[str, Sequence[str]], rounds: int) -> dict[str, float | None]:
    """Return the median first paint of each command; they start in turns."""
    found: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds + 1):
        for name, command in commands.items():
            with Terminal(command) as terminal:
                paint_ms = terminal.first_paint_ms()
                terminal.settle(0.1, 0.5)
            if paint_ms is not None:
                found[name].append(paint_ms)
    # the first start fills caches
    return {name: statistics.median(paints[1:] or [0]) or None for name, paints in found.items()}


def _watched(
    command: Sequence[str], seconds: float, settled_s: float
) -> tuple[float, float, float]:
    """Return (bytes per second, percent of a core, resident MB)."""
    with Terminal(command) as terminal:
        terminal.watch(settled_s)
        rate, cpu = terminal.watch(seconds)
        return rate, cpu, terminal.process.memory_info().rss / 1e6


def _row(
    name: str,
    paint_ms: float | None,
    command: Sequence[str],
    *spans_s: float,
    written: float | None = None,
) -> Row:
    """Measure a command; `written` is its target in bytes per second."""
    try:
        rate, cpu, rss = _watched(command, *spans_s)
    except RuntimeError as error:
        return Row(name, note=str(error))
    limits = {} if written is None else {_WRITTEN: written}
    return Row(name, (paint_ms, rate, cpu, rss), at_most=limits)


def measure(effort: Effort) -> list[Table]:
    """Measure at 200x50: following a live run, idle on a dead run, and other tools."""
    peers = () if effort.touch else _PEERS
    installed = {name: (found,) for name in peers if (found := shutil.which(name))}
    with tempfile.TemporaryDirectory() as made:
        dead, live = Path(made) / "dead", Path(made) / "live"
        _record_dead_run(dead, effort.pick(20, 3, 1))
        commands = {"pprofplus-tui": _monitor(dead), "a bare Textual app": _BARE, **installed}
        paints = _paints_ms(commands, effort.count(11, 3, 1))
        bare_ms = paints["a bare Textual app"]
        settled_s = effort.pick(_SETTLED_S, 3, 1)
        others_s = effort.pick(20, 5, 1)
        ours_ms = paints["pprofplus-tui"]
        following_s = effort.pick(300, 15, 1)
        with _leaking_service(live):
            young, quarter = _monitor(live), _monitor(live, "--last", "15m")
            slow_line = _monitor(live, "--low-bandwidth")
            rows = [
                _row("following a young run", ours_ms, young, following_s, settled_s),
                _row("following, --last 15m", None, quarter, following_s, settled_s),
                _row(
                    "following, --low-bandwidth",
                    None,
                    slow_line,
                    *(following_s, settled_s),
                    written=_LOW_BANDWIDTH,
                ),
            ]
        rows.append(_row("idle, a dead run", None, _monitor(dead), others_s, settled_s, written=0))
        for name, command in (("a bare Textual app", _BARE), *installed.items()):
            rows.append(_row(name, paints[name], command, others_s, settled_s))
    missing = [Row(name, note="not installed") for name in peers if name not in installed]
    limit_ms = None if bare_ms is None else round(_FIRST_PAINT_TIMES_BARE * bare_ms)
    return [
        Table(
            f"Terminal: at {COLUMNS}x{ROWS}",
            (
                Column("first paint", "ms", at_most=limit_ms),
                Column(_WRITTEN, "B/s", at_most=1000),
                Column("CPU", "%", at_most=2),
                Column("memory (RSS)", "MB"),
            ),
            (*rows, *missing),
            (
                f"Following: averages of {following_s:.0f} s.",
                f"First paint: at most {_FIRST_PAINT_TIMES_BARE} times the bare app's.",
                "A young run is the most expensive: its window of two minutes jumps every 15 s.",
            ),
            ours=4,
        )
    ]
