"""Opens the monitor on what the command line chose."""

import os
import signal
import sys
import threading

from pprofplus_tui.app import MonitorApp
from pprofplus_tui.model.options import Options
from pprofplus_tui.terminal.crash_report import keep


def run_monitor(options: Options) -> int:
    """Run the monitor until the user leaves it; return the exit code.

    A fault of the program is told in one line, with the terminal as it was found before.
    """
    app = MonitorApp(options)
    before = threading.excepthook

    def take(broken: threading.ExceptHookArgs) -> None:
        # a thread's traceback would be written across the screen
        if broken.exc_value is not None and not _is_hung_up():
            app.post_message(MonitorApp.Broke(broken.exc_value))

    threading.excepthook = take
    try:
        code = app.run(mouse=options.mouse)
    finally:
        threading.excepthook = before
        if _is_hung_up():
            # what is left in the buffers leads nowhere, and nobody could be told of it
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stderr.fileno())
            os.close(nowhere)
            return 128 + signal.SIGHUP  # noqa: B012 - whatever happened: the line dropped
    if app.fault is not None:
        print(f"pprofplus-tui: {keep(cause(app.fault))}", file=sys.stderr)  # noqa: T201 - errors are lines there
        return 1
    return app.return_code or code or 0


def _is_hung_up() -> bool:
    """Return whether the terminal that was there is gone."""
    return not sys.stderr.isatty()


def cause(error: BaseException) -> BaseException:
    """Return the exception that a worker's failure wraps, or the exception itself."""
    inner = getattr(error, "error", None)
    return inner if isinstance(inner, BaseException) else error
