"""Passes the marks of this process on to whoever collects them at the moment."""

from __future__ import annotations

import os
from time import monotonic_ns

# with the process: a forked child inherits the lists, not those who collect
_collecting: list[tuple[int, list[tuple[int, str]]]] = []


def begin_collecting() -> list[tuple[int, str]]:
    """Return a list to which each mark is added, as (monotonic ns, text), until the end."""
    marks: list[tuple[int, str]] = []
    _collecting.append((os.getpid(), marks))
    return marks


def end_collecting(marks: list[tuple[int, str]]) -> None:
    """End what `begin_collecting` began."""
    _collecting[:] = [each for each in _collecting if each[1] is not marks]


def pass_on(text: str) -> None:
    """Add a mark of this moment to all lists."""
    for pid, marks in _collecting:
        if pid == os.getpid():
            marks.append((monotonic_ns(), text))
