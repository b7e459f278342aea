"""What a command line runs, and the name of a service that is made from it."""

# pathlib costs each service 5 ms
# ruff: noqa: PTH119, PTH122

from __future__ import annotations

import os
import re
import sys

NAMELESS = "python"

_PYTHON = re.compile(r"(?:python|pypy)[0-9.]*(?:t|d|-dbg)?")
_MODULE = re.compile(r"-[A-Za-z]*m(.+)")
# what makes Python pass over PYTHONPATH, and what takes a value
_DEAF = "IES"
_VALUED = "WX"


def service_of_script(path: str) -> str:
    """Return the script's stem, or its directory's name for a `__main__`, made fit."""
    directory, name = os.path.split(path)
    stem = os.path.splitext(name)[0]
    return _fit(os.path.basename(directory) if stem == "__main__" else stem)


def service_of_module(module: str) -> str:
    """Return what `service_of_script` makes of the file that `python -m module` runs."""
    return service_of_script(module.replace(".", "/") + ".py")


def _fit(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:64] or NAMELESS


def module_running() -> str:
    """Return the module of `python -m` before Python has found its file, or "" if there is none.

    That is at the interpreter's start, when `sys.argv` has "-m" in the module's place.
    """
    line = getattr(sys, "orig_argv", [])
    at = len(line) - len(sys.argv)
    if at < 1 or at >= len(line):
        return ""
    joined = _MODULE.fullmatch(line[at])
    if joined is not None:
        return joined[1]
    before = line[at - 1]
    return line[at] if before.startswith("-") and before.endswith("m") else ""


class PythonCall:
    """The command line of a Python.

    Attributes:
        service: the name made from what it runs.
        deaf: the option by which it passes over PYTHONPATH, as "-I", or "".
    """

    __slots__ = ("deaf", "service")

    def __init__(self, arguments: list[str]) -> None:
        """Read what follows the interpreter on the command line."""
        self.deaf = ""
        self.service = NAMELESS
        words = iter(arguments)
        for word in words:
            if word == "--check-hash-based-pycs":
                next(words, "")
            elif not word.startswith("-"):
                self.service = service_of_script(word)
                return
            elif word in {"-", "--"}:
                self.service = service_of_script(next(words, "")) if word == "--" else NAMELESS
                return
            elif not word.startswith("--") and self._ends(word[1:], words):
                return

    def _ends(self, letters: str, words: Iterator[str]) -> bool:
        """Read options in one word; True if it is the last before the program's arguments."""
        for at, letter in enumerate(letters):
            rest = letters[at + 1 :]
            if letter in _DEAF:
                self.deaf = self.deaf or f"-{letter}"
            elif letter in _VALUED:
                if not rest:
                    next(words, "")
                return False
            elif letter == "m":
                self.service = service_of_module(rest or next(words, ""))
                return True
            elif letter == "c":
                return True
        return False


def call_of(words: list[str]) -> PythonCall | None:
    """Return the Python that a command line runs, or None if its first word is no Python."""
    if words and _PYTHON.fullmatch(os.path.basename(words[0])):
        return PythonCall(words[1:])
    return None


def call_of_file(path: str) -> PythonCall | None:
    """Return the Python that a script's first line names, or None; never raises."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - as above
            line = file.readline(512)
    except OSError:
        return None
    if not line.startswith(b"#!"):
        return None
    words = line[2:].decode("utf-8", "replace").split()
    if words and os.path.basename(words[0]) == "env":
        words = [word for word in words[1:] if word != "-S"]
    return call_of(words)


TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Iterator
