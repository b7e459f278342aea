"""The report of the checks as lines of text: aligned, ASCII only, fitting a terminal."""

from __future__ import annotations

import textwrap

from pprofplus.system.printable import printable

_WIDTH = 80
_LABEL = 13


class CheckReport:
    """Sections of labelled lines, and the list of problems.

    Attributes:
        lines: the text so far.
        problems: what prevents recording as intended, each a line with advice.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.problems: list[str] = []

    def section(self, title: str) -> None:
        """Begin a section."""
        self.lines += ["", title]

    def add_line(self, label: str, text: str) -> None:
        """Add a line; a long text is wrapped. An empty label continues the previous line."""
        self._wrap(f"  {label:<{_LABEL}} ", text)

    def add_problem(self, text: str) -> None:
        """Add a problem; it is printed at the end."""
        self.problems.append(text)

    def conclude(self, healthy: str) -> None:
        """Add the problems, or the line `healthy` if there is none."""
        self.lines.append("")
        if not self.problems:
            self.lines.append(healthy)
        for text in self.problems:
            self._wrap("! ", text)

    def _wrap(self, start: str, text: str) -> None:
        self.lines += textwrap.wrap(
            printable(text),
            _WIDTH,
            initial_indent=start,
            subsequent_indent=" " * len(start),
            break_long_words=False,  # a path is useful only in full
            break_on_hyphens=False,
        ) or [start.rstrip()]


def size(size_bytes: float) -> str:
    """Return a size in readable units."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size_bytes < 1024:
            return f"{size_bytes:.{0 if unit == 'B' else 1}f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.1f} TiB"


def duration(took_s: float) -> str:
    """Return a short time in readable units."""
    return f"{took_s * 1e6:.0f} us" if took_s < 1e-3 else f"{took_s * 1e3:.1f} ms"
