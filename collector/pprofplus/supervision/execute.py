"""Execute a command in place of this process, as execvp(3) and shells do."""

from __future__ import annotations

import errno
import os
import sys

from pprofplus.system.printable import printable

# the exit codes of env(1), nice(1) and shells
NOT_FOUND = 127
NOT_EXECUTABLE = 126


def execute(path: str, words: list[str], environment: dict[bytes, bytes] | dict[str, str]) -> int:
    """Execute the file `path` with these words; return an exit code if that failed."""
    sys.stderr.flush()
    try:
        try:
            os.execve(path, words, environment)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            # no `#!` line: a shell script, as for execvp(3)
            os.execve("/bin/sh", ["sh", path, *words[1:]], environment)
    except OSError as error:
        if error.errno == errno.ENOENT:
            _complain(f"{words[0]}: the interpreter that its first line names does not exist")
            return NOT_FOUND
        _complain(f"{words[0]} cannot be executed: {error.strerror}")
        return NOT_EXECUTABLE


def _complain(text: str) -> None:
    sys.stderr.write(f"pprofplus: {printable(text)}\n")
    sys.stderr.flush()
