"""Crash reports: a file with the traceback for the developers, one line for the user."""

import os
import sys
import tempfile
import time
import traceback

from pprofplus_tui.model.text import clean

_MAX_CELLS = 120  # of the text of the exception


def keep(error: BaseException) -> str:
    """Write the traceback to a new private file; return the line for the user."""
    summary = clean(f"{type(error).__name__}: {error}", _MAX_CELLS).rstrip(": ")
    try:
        path = _save_traceback(error)
    except OSError as failure:
        return f"internal error: {summary} (the traceback was not saved: {failure.strerror})"
    return (
        f"internal error: {summary}; please report it with the traceback in {clean(path)}. "
        "The logs are unchanged, and services continue to record"
    )


def _save_traceback(error: BaseException) -> str:
    descriptor, path = tempfile.mkstemp(prefix="pprofplus-tui-fault-", suffix=".txt", text=True)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S %z')}  Python {sys.version}\n")
        file.write(f"TERM={os.environ.get('TERM')} {sys.platform}\n\n")
        file.writelines(traceback.format_exception(error))
    return path
