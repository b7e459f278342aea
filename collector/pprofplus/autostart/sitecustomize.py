"""Start recording in a Python process if its environment requests it.

If PYTHONPATH contains this directory, each Python process imports this module at its start. It
records if PPROFPLUS_AUTOSTART names the service ("1": the default name of `pprofplus.start()`), and
otherwise does nothing. The process PPROFPLUS_AUTOSTART_PID, which `pprofplus run` executed, is
recorded from its start. Any other process is recorded if it lives for a second, because health
checks and shell loops start thousands of shorter ones a day. In any case the directory is removed
from sys.path, and the next sitecustomize on the path is run, so that the program sees no
difference.

Every Python that the program starts imports this file: so it is valid in Python 2.7 and 3, and an
error here causes only one line on stderr.
"""

import os
import sys

_HERE = os.path.dirname(os.path.realpath(__file__))
_OFF = ("", "0", "false", "no", "off")
_UNNAMED = ("1", "true", "yes", "on")
# the monitor may be started in a container whose image sets the variable
_OURS = ("pprofplus", "pprofplus-tui")
_OUR_MODULES = ("pprofplus", "pprofplus_tui")
# interpreters that multiprocessing starts for its own use
_HELPERS = (
    "from multiprocessing.resource_tracker ",
    "from multiprocessing.semaphore_tracker ",
)


def _print_line(text):
    try:
        sys.stderr.write("pprofplus: %s\n" % (text,))
    except Exception:  # noqa: BLE001, S110 - stderr is missing or closed
        pass


def _is_helper():
    """Return whether this is not the host's program, by the first word after Python's options."""
    argv = getattr(sys, "argv", None) or [""]
    if argv[0] not in ("-c", "-m"):
        return os.path.basename(argv[0]) in _OURS
    line = getattr(sys, "orig_argv", argv)
    word = line[len(line) - len(argv)]  # the code or the module
    if argv[0] == "-c":
        return word.startswith(_HELPERS)
    if word.startswith("-"):
        word = word[word.find("m") + 1 :]
    return word.split(".")[0] in _OUR_MODULES


def _import_package():
    """Return the package: the installed one, else the one that contains this file."""
    try:
        import pprofplus
    except ImportError:
        # the Python of another environment: it must not find other modules of ours
        root = os.path.dirname(os.path.dirname(_HERE))
        sys.path.append(root)
        try:
            import pprofplus
        finally:
            sys.path.remove(root)
    return pprofplus


def _start():
    word = os.environ.get("PPROFPLUS_AUTOSTART", "").strip()
    try:
        if word.lower() in _OFF or _is_helper():
            return
        if sys.version_info < (3, 10):
            _print_line(
                "nothing is recorded: Python %d.%d is older than 3.10" % sys.version_info[:2]
            )
            return
        package = _import_package()
        executed_by_run = os.environ.get("PPROFPLUS_AUTOSTART_PID") == str(os.getpid())
        start = package.start if executed_by_run else package.lifecycle.start_if_it_lasts
        if word.lower() in _UNNAMED:
            start()
            return
        try:
            start(word)
        except ValueError as error:
            _print_line("PPROFPLUS_AUTOSTART is ignored: %s" % (error,))
            start()
    except Exception as error:  # noqa: BLE001 - outer boundary: no exception reaches the host
        _print_line("nothing is recorded: %s: %s" % (type(error).__name__, error))


def _run_next_and_start():
    """Remove the directory from the path, run the next sitecustomize, and start recording."""
    sys.path[:] = [entry for entry in sys.path if not entry or os.path.realpath(entry) != _HERE]
    # held until the end: Python 2.7 clears a module without references
    ours = sys.modules.pop("sitecustomize", None)
    try:
        import sitecustomize  # type: ignore[import-not-found]  # noqa: F401 - another one now
    except ImportError as error:
        if getattr(error, "name", None) != "sitecustomize":
            raise  # an error of the host's own: raise it unchanged
    finally:
        if ours is not None:
            sys.modules.setdefault("sitecustomize", ours)
        _start()


_run_next_and_start()
