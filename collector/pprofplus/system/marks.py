"""Passes the marks of this process on to whoever collects them at the moment."""

from __future__ import annotations

from time import monotonic_ns

_collecting: list[list[tuple[int, str]]] = []


def begin_collecting() -> list[tuple[int, str]]:
    """Return a list to which each mark is added, as (monotonic ns, text), until the end."""
    marks: list[tuple[int, str]] = []
    _collecting.append(marks)
    return marks


def end_collecting(marks: list[tuple[int, str]]) -> None:
    """End what `begin_collecting` began."""
    _collecting[:] = [each for each in _collecting if each is not marks]


def pass_on(text: str) -> None:
    """Add a mark of this moment to all lists."""
    for marks in _collecting:
        marks.append((monotonic_ns(), text))
