"""The options of the command line and the settings, as a value."""

from dataclasses import dataclass, field
from datetime import tzinfo

from pprofplus_tui.model.chart_options import ChartOptions
from pprofplus_tui.model.keys import KEYS, Key
from pprofplus_tui.model.runs import RunId


@dataclass(frozen=True)
class Options:
    """How to open the monitor.

    Attributes:
        directories: the log directories to read.
        service: show this service only; matched exactly.
        pid: show this pid only.
        pids: show these pids only, for commands that accept several.
        run: the run to open on, or None for the default.
        begin_ms: left edge of the first window, unix milliseconds, or None.
        end_ms: right edge of the first window, or None for the run's end.
        last_ms: span of the first window, or None.
        zone: time zone of all times shown; None is the machine's.
        plain: draw with ASCII only.
        colourless: the terminal shows no colours, so lines are distinguished by their marks.
        light: colours for a light background.
        mouse: take mouse events from the terminal.
        chart_options: which charts to hide at first, and how to show the others.
        low_bandwidth: write less: fewer frames and colours, no sparklines.
        keys: what the keys do.
        colours: colours that replace the theme's, by their names, or "line0" and so on.
        notice: one line to show at the start, or "".
    """

    directories: tuple[str, ...] = ()
    service: str | None = None
    pid: int | None = None
    pids: tuple[int, ...] = ()
    run: RunId | None = None
    begin_ms: int | None = None
    end_ms: int | None = None
    last_ms: int | None = None
    zone: tzinfo | None = None
    plain: bool = False
    colourless: bool = False
    light: bool = False
    mouse: bool = True
    chart_options: ChartOptions = field(default_factory=ChartOptions)
    low_bandwidth: bool = False
    keys: tuple[Key, ...] = KEYS
    colours: tuple[tuple[str, str], ...] = ()
    notice: str = ""

    @property
    def all_pids(self) -> tuple[int, ...]:
        """The requested pids; empty if all are shown."""
        return self.pids or (() if self.pid is None else (self.pid,))
