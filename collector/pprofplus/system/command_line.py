"""Parse a Python command line, and derive a service's name from it."""

from __future__ import annotations

import os
import re
import sys

NAMELESS = "python"

_PYTHON = re.compile(r"(?:python|pypy)[0-9.]*(?:t|d|-dbg)?")
_MODULE = re.compile(r"-[A-Za-z]*m(.+)")
# options with which Python ignores PYTHONPATH, and options that take a value
_ISOLATING_OPTIONS = "IES"
_VALUE_OPTIONS = "WX"


def service_of_script(path: str) -> str:
    """Return the script's stem, or its directory for a `__main__`, as a valid service name."""
    directory, name = os.path.split(path)
    stem = os.path.splitext(name)[0]
    return _valid_name(os.path.basename(directory) if stem == "__main__" else stem)


def service_of_module(module: str) -> str:
    """Return what `service_of_script` returns for the file that `python -m module` runs."""
    return service_of_script(module.replace(".", "/") + ".py")


def _valid_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:64] or NAMELESS


def module_running() -> str:
    """Return the module of `python -m` before Python has found its file, or "" without `-m`.

    This is needed at the interpreter's start, when `sys.argv` has "-m" in place of the module.
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
    """A parsed Python command line.

    Attributes:
        service: the service name derived from the script or module.
        isolating_option: the option with which Python ignores PYTHONPATH, as "-I", or "".
    """

    __slots__ = ("isolating_option", "service")

    def __init__(self, arguments: list[str]) -> None:
        """Parse the arguments that follow the interpreter on the command line."""
        self.isolating_option = ""
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
            elif not word.startswith("--") and self._parse_options(word[1:], words):
                return

    def _parse_options(self, letters: str, words: Iterator[str]) -> bool:
        """Parse the options in one word; True if the program's arguments follow it."""
        for at, letter in enumerate(letters):
            rest = letters[at + 1 :]
            if letter in _ISOLATING_OPTIONS:
                self.isolating_option = self.isolating_option or f"-{letter}"
            elif letter in _VALUE_OPTIONS:
                if not rest:
                    next(words, "")
                return False
            elif letter == "m":
                self.service = service_of_module(rest or next(words, ""))
                return True
            elif letter == "c":
                return True
        return False


def parse_call(words: list[str]) -> PythonCall | None:
    """Return the parsed call if the first word is a Python interpreter, else None."""
    if words and _PYTHON.fullmatch(os.path.basename(words[0])):
        return PythonCall(words[1:])
    return None


def parse_shebang(path: str) -> PythonCall | None:
    """Return the parsed call in a script's `#!` line, or None; never raises."""
    try:
        with open(path, "rb") as file:
            line = file.readline(512)
    except OSError:
        return None
    if not line.startswith(b"#!"):
        return None
    words = line[2:].decode("utf-8", "replace").split()
    if words and os.path.basename(words[0]) == "env":
        words = [word for word in words[1:] if word != "-S"]
    return parse_call(words)


TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Iterator
