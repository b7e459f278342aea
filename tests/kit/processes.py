"""Starts processes that are killed at the end of a test, even if the test fails."""

import contextlib
import os
import subprocess
import sys

# PYTHONPATH with which another process can import the same modules as this one
IMPORT_PATH = os.pathsep.join(entry for entry in sys.path if entry)


@contextlib.contextmanager
def started_processes():
    """Yield a function that starts a process; at the end kill all, and read their pipes."""
    started = []

    def start(words, **options):
        started.append(subprocess.Popen(words, **options))
        return started[-1]

    try:
        yield start
    finally:
        for process in started:
            process.kill()
        for process in started:
            with contextlib.suppress(ValueError):  # the test has closed one of its pipes
                process.communicate()
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()


def has_ended(pid):
    """Return whether a process has ended; a zombie has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] == b"Z"
    except OSError:
        return True
