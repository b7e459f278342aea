"""Information about other processes, through psutil."""

from __future__ import annotations

import psutil

from pprofplus.system.command_line import parse_call, service_of_script
from pprofplus.system.open_files import NO_DESCRIPTOR

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re


def service_of(process: psutil.Process) -> str:
    """Return a service name for a process: its script's under Python, else its program's."""
    words = process.cmdline()
    call = parse_call(words)
    if call is not None:
        return call.service
    return service_of_script(words[0] if words and "/" in words[0] else process.name())


def matches(process: psutil.Process, pattern: re.Pattern[str]) -> bool:
    """Return whether a pattern matches a process's name or command line."""
    try:
        return bool(pattern.search(process.name()) or pattern.search(" ".join(process.cmdline())))
    except psutil.Error:
        return False


def find_process(pid: int) -> psutil.Process | None:
    """Return the process of a pid, or None if there is none."""
    try:
        return psutil.Process(pid)
    except (psutil.Error, ValueError, OverflowError):
        return None


def is_alive(process: psutil.Process) -> bool:
    """Return whether it is still the same process, and is alive."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
    except OSError as error:
        # no descriptor is left: this does not show that it has ended
        return error.errno in NO_DESCRIPTOR


def descendants(process: psutil.Process) -> list[psutil.Process]:
    """Return all descendants of a process; none if it is gone."""
    try:
        found: list[psutil.Process] = process.children(recursive=True)
    except psutil.Error:
        return []
    return found


def ancestors() -> set[int]:
    """Return our pid and those of our ancestors: their command lines contain the pattern too."""
    me = psutil.Process()
    return {me.pid, *(process.pid for process in me.parents())}
