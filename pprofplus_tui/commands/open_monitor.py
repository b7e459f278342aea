"""Opens the monitor on the runs that the command line chooses."""

import argparse
import gc
import os
import signal
import sys
import threading
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from pprofplus_tui.commands.errors import UsageError
from pprofplus_tui.model.options import Options
from pprofplus_tui.sources.open import open_source

if TYPE_CHECKING:
    from pprofplus_tui.app import MakeBackend


def run(_: argparse.Namespace, options: Options) -> int:
    """Run `pprofplus-tui` without a subcommand; return the exit code. Raises UsageError."""
    prepare_monitor()
    return run_monitor(options)


def prepare_monitor() -> None:
    """Check the terminal and prepare this process, before Textual is imported.

    Raises UsageError if nothing can be drawn here.
    """
    if _is_browser_session():
        _end_with_server()
    else:
        require_terminal()
    # the objects loaded now stay: collecting garbage would only delay the first paint
    gc.disable()
    # numpy's library for matrices, which is not used here, would start a thread for each core
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Textual repaints at this rate: a lower one delays the response to a key
    os.environ.setdefault("TEXTUAL_FPS", "250")


def require_terminal() -> None:
    """Raise UsageError unless there is a terminal to draw on; Textual draws on stderr."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "the monitor needs a terminal; without one use  pprofplus-tui list  or  export"
        )
    if os.environ.get("TERM", "dumb") in {"", "dumb", "unknown"}:
        raise UsageError(
            "TERM is dumb or not set, so nothing can be drawn: set it, e.g.  TERM=xterm-256color"
        )


def local_backend(directories: Sequence[str]) -> "MakeBackend":
    """Return the function that makes the backend on the runs in these log directories."""
    from pprofplus_tui.backend.worker import BackendThread  # after prepare_monitor()

    return partial(BackendThread, open_source=partial(open_source, directories))


def run_monitor(options: Options) -> int:
    """Run the monitor until the user quits; return the exit code.

    An internal error is reported in one line, after the terminal is restored.
    """
    from pprofplus_tui.app import MonitorApp  # after prepare_monitor()
    from pprofplus_tui.terminal.crash_report import keep  # as above

    app = MonitorApp(options, local_backend(options.directories))
    before = threading.excepthook

    def report_to_app(broken: threading.ExceptHookArgs) -> None:
        # the default hook would write the traceback across the screen
        if broken.exc_value is not None and not _is_hung_up():
            app.post_message(MonitorApp.ThreadFailed(broken.exc_value))

    threading.excepthook = report_to_app
    try:
        code = app.run(mouse=options.mouse)
    finally:
        threading.excepthook = before
        if _is_hung_up():
            # stderr is closed: drop the content of its buffer
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stderr.fileno())
            os.close(nowhere)
            return 128 + signal.SIGHUP  # noqa: B012 - no error can be shown after a hangup
    if app.failure is not None:
        print(f"pprofplus-tui: {keep(_cause(app.failure))}", file=sys.stderr)  # noqa: T201 - errors are lines there
        return 1
    return app.return_code or code or 0


def _is_hung_up() -> bool:
    """Return whether the terminal was closed."""
    return not sys.stderr.isatty()


def _cause(error: BaseException) -> BaseException:
    """Return the exception that a worker's failure wraps, or the exception itself."""
    inner = getattr(error, "error", None)
    return inner if isinstance(inner, BaseException) else error


def _is_browser_session() -> bool:
    """Return whether `serve` started this process for a page in a browser."""
    return os.environ.get("TEXTUAL_DRIVER") == "textual.drivers.web_driver:WebDriver"


def _end_with_server() -> None:
    """End this process when the server that started it ends; Linux only."""
    import ctypes  # only for a page

    parent = os.getppid()
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
    except (OSError, AttributeError):
        return
    if os.getppid() != parent:
        sys.exit(0)
