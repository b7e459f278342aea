"""Start recording in a Python whose environment asks for it.

With PYTHONPATH leading to this directory, each Python imports this at its start. It records if
PPROFPLUS_AUTOSTART names the service ("1": by the name that `pprofplus.start()` gives), and else
does nothing. The process PPROFPLUS_AUTOSTART_PID, which `pprofplus run` became, is recorded at
once; any other if it lives for a second, for health checks and shell loops start thousands a day
that do not. Either way the directory leaves sys.path again, and the sitecustomize that is hidden
behind this one has its turn: to the program, all is as without.

Whatever Python the program starts has to bear this: the text is that of 2.7 and 3 alike, and no
trouble of ours goes further than one line on stderr.
"""

import os
import sys

_HERE = os.path.dirname(os.path.realpath(__file__))
_OFF = ("", "0", "false", "no", "off")
_UNNAMED = ("1", "true", "yes", "on")
# the monitor is started in the container whose image has the variable set
_OURS = ("pprofplus", "pprofplus-tui")
_OUR_MODULES = ("pprofplus", "pprofplus_tui")
# the interpreters that multiprocessing keeps for housekeeping
_HELPERS = (
    "from multiprocessing.resource_tracker ",
    "from multiprocessing.semaphore_tracker ",
)


def _say(text):
    try:  # noqa: SIM105 - contextlib is dear
        sys.stderr.write("pprofplus: %s\n" % (text,))
    except Exception:  # noqa: BLE001, S110 - there is no stderr, or nobody reads it
        pass


def _is_helper():
    """Tell whether this is no program of the host's, by the first word after Python's options."""
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


def _load():
    """Return the package: the one that is installed here, else the one that this file is of."""
    try:
        import pprofplus
    except ImportError:
        # the Python of another environment: nothing else of ours may be found by it
        root = os.path.dirname(os.path.dirname(_HERE))
        sys.path.append(root)
        try:
            import pprofplus
        finally:
            sys.path.remove(root)
    return pprofplus


def _begin():
    word = os.environ.get("PPROFPLUS_AUTOSTART", "").strip()
    try:
        if word.lower() in _OFF or _is_helper():
            return
        if sys.version_info < (3, 10):
            _say("nothing is recorded: Python %d.%d is older than 3.10" % sys.version_info[:2])
            return
        package = _load()
        asked = os.environ.get("PPROFPLUS_AUTOSTART_PID") == str(os.getpid())
        start = package.start if asked else package.lifecycle.start_if_it_lasts
        if word.lower() in _UNNAMED:
            start()
            return
        try:
            start(word)
        except ValueError as error:
            _say("PPROFPLUS_AUTOSTART is passed over: %s" % (error,))
            start()
    except Exception as error:  # noqa: BLE001 - the outer edge: nothing leaves for the host
        _say("nothing is recorded: %s: %s" % (type(error).__name__, error))


def _take_turns():
    """Leave the path, run the sitecustomize that is hidden behind this one, and begin."""
    sys.path[:] = [entry for entry in sys.path if not entry or os.path.realpath(entry) != _HERE]
    # held until the end: 2.7 empties a module that nobody holds
    ours = sys.modules.pop("sitecustomize", None)
    try:
        import sitecustomize  # type: ignore[import-not-found]  # noqa: F401 - another one now
    except ImportError as error:
        if getattr(error, "name", None) != "sitecustomize":
            raise  # the host's own trouble, to be told as without us
    finally:
        if ours is not None:
            sys.modules.setdefault("sitecustomize", ours)
        _begin()


_take_turns()
