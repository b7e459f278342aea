"""Starts the demo's services, and removes all processes and files at the end."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pprofplus_tui.demo.services import SERVICES
from pprofplus_tui.signals import signals_held

_END_TIMEOUT_S = 1.0


@contextmanager
def demo_directory() -> Iterator[Path]:
    """Provide a temporary log directory, which is removed afterwards."""
    directory: Path | None = None
    try:
        with signals_held():
            directory = Path(tempfile.mkdtemp(prefix="pprofplus-demo-"))
        yield directory
    finally:
        if directory is not None:
            shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def running_services(directory: Path) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Run all services of the demo, logging to `directory`, until the block is left.

    Each reads from a pipe to this process and ends when the pipe is closed, so they end even if
    this process is killed. Here they are also waited for, and killed after a timeout.
    """
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PPROFPLUS_")
    }
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for name in SERVICES:
            with signals_held():  # no signal between the start and the entry in the list
                processes.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "pprofplus_tui.demo.services", name, str(directory)],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                        start_new_session=True,  # Ctrl-C in the terminal must not reach them
                        env=environment,
                    )
                )
        yield processes
    finally:
        for process in processes:
            if process.stdin is not None:
                with suppress(OSError):
                    process.stdin.close()
        for process in processes:
            _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.wait(_END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
