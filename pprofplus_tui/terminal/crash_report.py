"""What becomes of a fault of the program: a file for whoever mends it, a line for the user."""

import os
import sys
import tempfile
import time
import traceback

from pprofplus_tui.model.text import clean

_MOST_CELLS = 120  # of what the fault says about itself


def keep(error: BaseException) -> str:
    """Write the traceback to a new private file; return the line that tells the user."""
    told = clean(f"{type(error).__name__}: {error}", _MOST_CELLS).rstrip(": ")
    try:
        path = _written(error)
    except OSError as trouble:
        return f"a fault of the program: {told} (and no traceback: {trouble.strerror})"
    return (
        f"a fault of the program: {told}; please report it with the traceback in {clean(path)}. "
        "The logs are as they were, and recording goes on"
    )


def _written(error: BaseException) -> str:
    descriptor, path = tempfile.mkstemp(prefix="pprofplus-tui-fault-", suffix=".txt", text=True)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S %z')}  Python {sys.version}\n")
        file.write(f"TERM={os.environ.get('TERM')} {sys.platform}\n\n")
        file.writelines(traceback.format_exception(error))
    return path
