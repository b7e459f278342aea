"""What was found, as lines of text: aligned, in plain ASCII, and no wider than a terminal."""

from __future__ import annotations

import textwrap

from pprofplus.system.printable import printable

_WIDTH = 80
_LABEL = 13


class CheckReport:
    """Sections of labelled lines, and the troubles among them.

    Attributes:
        lines: the text so far.
        troubles: what keeps a service from being recorded as it is meant, each a line that says
            what to do.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.troubles: list[str] = []

    def section(self, title: str) -> None:
        """Begin a section."""
        self.lines += ["", title]

    def tell(self, label: str, text: str) -> None:
        """Add a line; a long text goes on below itself. An empty label goes on with the last."""
        self._wrap(f"  {label:<{_LABEL}} ", text)

    def trouble(self, text: str) -> None:
        """Note a trouble, for the end."""
        self.troubles.append(text)

    def conclude(self, healthy: str) -> None:
        """Add the troubles, or the line `healthy` if there is none."""
        self.lines.append("")
        if not self.troubles:
            self.lines.append(healthy)
        for text in self.troubles:
            self._wrap("! ", text)

    def _wrap(self, start: str, text: str) -> None:
        self.lines += textwrap.wrap(
            printable(text),
            _WIDTH,
            initial_indent=start,
            subsequent_indent=" " * len(start),
            break_long_words=False,  # a path is of use only whole
            break_on_hyphens=False,
        ) or [start.rstrip()]


def size(size_bytes: float) -> str:
    """Return bytes as people read them."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size_bytes < 1024:  # noqa: PLR2004 - as the units say
            return f"{size_bytes:.{0 if unit == 'B' else 1}f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.1f} TiB"


def duration(took_s: float) -> str:
    """Return a short time as people read it."""
    return f"{took_s * 1e6:.0f} us" if took_s < 1e-3 else f"{took_s * 1e3:.1f} ms"  # noqa: PLR2004 - as the units say
