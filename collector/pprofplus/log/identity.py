"""The header of a run: identifies the process that is recorded."""

from __future__ import annotations

import os
import sys

from pprofplus.log.format import RunHeader
from pprofplus.system.descriptor import read_small_file
from pprofplus.version import __version__

_ARGV_BYTES = 4096


def header(
    service: str,
    pid: int,
    start_ms: int,
    interval_s: float,
    metrics: tuple[tuple[str, str, str], ...],
    *,
    argv: list[str] | None = None,
) -> RunHeader:
    """Return the header for a run that begins at unix `start_ms`.

    It describes this process, unless `argv` is the command line of another one.
    """
    return RunHeader(
        service=service,
        pid=pid,
        start_ms=start_ms,
        metrics=metrics,
        host=os.uname().nodename if hasattr(os, "uname") else "",
        boot_id=_boot_id(),
        argv=cut_argv(_argv() if argv is None else argv),
        python=_python() if argv is None else "",
        collector=__version__,
        interval_ms=round(interval_s * 1000),
    )


def _argv() -> list[str]:
    """Return the command line from Python or, if it is embedded in a server, from the kernel."""
    words = getattr(sys, "orig_argv", None) or getattr(sys, "argv", [])
    if any(words):
        return list(words)
    try:
        line = read_small_file("/proc/self/cmdline")
    except OSError:
        return list(words)
    return line.rstrip(b"\0").decode("utf-8", "surrogateescape").split("\0")


def cut_argv(argv: list[str], size_bytes: int = _ARGV_BYTES) -> tuple[str, ...]:
    """Return the words that fit in `size_bytes` of UTF-8, the last one truncated."""
    words = []
    for word in argv:
        raw = word.encode("utf-8", "surrogateescape")[:size_bytes]
        words.append(raw.decode("utf-8", "replace"))
        size_bytes -= len(raw) + 1
        if size_bytes <= 0:
            break
    return tuple(words)


def _boot_id() -> str:
    try:
        return read_small_file("/proc/sys/kernel/random/boot_id").decode("ascii").strip()
    except (OSError, ValueError):
        return ""


def _python() -> str:
    name = sys.implementation.name
    names = {"cpython": "CPython", "pypy": "PyPy"}
    return f"{names.get(name, name)} {'.'.join(map(str, sys.version_info[:3]))}"
