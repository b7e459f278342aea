"""Data that a command could not read: reported on standard error, with exit code 1."""

from collections.abc import Iterable
from typing import TextIO

from pprofplus_tui.model.text import clean
from pprofplus_tui.sources.port import RunReader


class UnreadRuns:
    """Collects the problems while the command prints the data that it could read."""

    def __init__(self) -> None:
        self._lines: dict[str, None] = {}
        self._of_runs: dict[str, str] = {}

    def note(self, lines: Iterable[str]) -> None:
        """Note these lines; the same line counts once."""
        self._lines.update(dict.fromkeys(lines))

    def note_run(self, run: RunReader) -> None:
        """Note the problems of a run in one line, which replaces an earlier line about the run."""
        for line in one_line(run.name, run.problems):
            self._of_runs[run.id] = line

    def exit_code(self, err: TextIO, code: int = 0) -> int:
        """Write the lines; return 1 if there is any, else `code`."""
        lines = [*self._lines, *self._of_runs.values()]
        err.writelines(f"pprofplus-tui: incomplete: {clean(line)}\n" for line in lines)
        return 1 if lines else code


def one_line(name: str, problems: tuple[str, ...]) -> tuple[str, ...]:
    """Return the problems of the run `name` as one line, or no line without problems."""
    if not problems:
        return ()
    rest = (problem.removeprefix(f"{name}: ") for problem in problems[1:])
    return ("; ".join((problems[0], *rest)),)
