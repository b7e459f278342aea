"""Starts processes that are killed at the end of a test, whatever happens to the test."""

import contextlib
import os
import subprocess
import sys

# for a process that imports what this one imports, in an environment of its own
IMPORT_PATH = os.pathsep.join(entry for entry in sys.path if entry)


@contextlib.contextmanager
def started_processes():
    """Give a function that starts a process; each is killed and read to its end in the end."""
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
            with contextlib.suppress(ValueError):  # the test has closed a pipe of it
                process.communicate()
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()


def has_ended(pid):
    """Tell whether a process has ended, if only as a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - bytes of one read
            return file.read().rpartition(b")")[2].split()[0] == b"Z"
    except OSError:
        return True
