"""Fixtures of the tests in a pseudo-terminal."""

import sys

import pytest

from kit.terminal import Terminal


@pytest.fixture
def terminal():
    """Start commands of this checkout, each in its own terminal."""
    opened = []

    def open_one(*arguments, columns=100, rows=30, env=None, command=None):
        words = command or [sys.executable, "-m", "pprofplus_tui"]
        opened.append(Terminal([*words, *arguments], columns, rows, env))
        return opened[-1]

    yield open_one
    for screen in opened:
        screen.close()
