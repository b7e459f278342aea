"""The text in place of charts when there is nothing to draw."""

from collections.abc import Sequence

from pprofplus.log.log_directory import default_log_directory
from pprofplus_tui.model.cell_rows import Cellrun, Row, Rows
from pprofplus_tui.model.installation import install_line
from pprofplus_tui.model.text import narrow
from pprofplus_tui.widgets.cell_widget import CellWidget
from pprofplus_tui.widgets.row_text import fit

_TEXT_CELLS = 200


def paste(directories: Sequence[str]) -> tuple[str, ...]:
    """Return the three lines that make a service record to a log directory of the monitor."""
    not_default = directories and default_log_directory() not in directories
    place = f", directory={directories[0]!a}" if not_default else ""
    return (install_line(), "import pprofplus", f'pprofplus.start("my-service"{place})')


def empty_rows(
    directories: Sequence[str],
    service: str | None,
    pid: int | None,
    *,
    others: Sequence[str] = (),
    plain: bool = False,
) -> tuple[Row, ...]:
    """Return the lines with the next steps.

    Args:
        directories: the log directories that were searched.
        service: the requested one, or None.
        pid: the requested one, or None.
        others: services that exist but were not requested.
        plain: ASCII only.
    """

    def safe(text: str) -> str:
        return narrow(text, limit=_TEXT_CELLS, ascii_only=plain)

    selection = " ".join(
        ([f"service {safe(service)}"] if service else []) + ([f"pid {pid}"] if pid else [])
    )
    title = (
        f"No run of {selection} here yet."
        if selection
        else "No service has written a log here yet."
    )
    lines: list[Row] = [(Cellrun(title, "title"),), ()]
    lines += [
        (
            Cellrun("looked in  " if not i else "           ", "dim"),
            Cellrun(safe(path), "text"),
        )
        for i, path in enumerate(directories)
    ]
    if others:
        lines.append((Cellrun("services   ", "dim"), Cellrun(safe(", ".join(others)), "text")))
    lines += [
        (),
        (Cellrun("Add this to your service and start it:", "text"),),
        (),
        *((Cellrun(f"    {line}", "accent"),) for line in paste(directories)),
        (),
        (Cellrun("Its charts appear here after its first sample.", "text"),),
        (
            Cellrun("To see an example: ", "dim"),
            Cellrun("pprofplus-tui demo", "accent"),
        ),
    ]
    return tuple(lines)


def placed(lines: Sequence[Row], width: int, height: int) -> Rows:
    """Return the lines in the middle of an area, cut to it."""
    longest = max((sum(len(run.text) for run in line) for line in lines), default=0)
    left = " " * max(0, min((width - longest) // 2, 8))
    above = max(0, (height - len(lines)) // 3)
    rows = [fit((Cellrun(left, "text"), *line), width) for line in lines]
    blank = fit((), width)
    return tuple([*([blank] * above), *rows, *([blank] * height)][:height])


class Placeholder(CellWidget):
    """Shows a few lines in the middle of its area."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._lines: tuple[Row, ...] = ()

    def show(self, lines: tuple[Row, ...]) -> None:
        """Show these lines."""
        self._lines = lines
        self.on_resize()

    def on_resize(self) -> None:
        """Place the lines again."""
        self.set_rows(placed(self._lines, self.size.width, self.size.height))
