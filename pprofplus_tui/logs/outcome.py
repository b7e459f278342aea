"""The `outcome` file of a run: what a parent or a service manager saw of its end; untrusted."""

import json
import os

from pprofplus.errors import LogFormatError
from pprofplus.home import OUTCOME_NAME
from pprofplus_tui.logs.files import opened
from pprofplus_tui.model.death import Outcome

_MOST_BYTES = 1 << 16
_MOST_CHARS = 400
_LATEST_MS = 1 << 48
_EXIT_CODES, _SIGNALS = range(-(1 << 31), 1 << 32), range(1, 129)


def read_outcome(path: str) -> Outcome | None:
    """Return what the outcome file of the run at `path` says; None if there is none to believe.

    What is of the wrong type or out of range is taken for not known. Raises nothing.
    """
    try:
        with opened(f"{path}/{OUTCOME_NAME}") as (file, status):
            if status.st_size > _MOST_BYTES:
                return None
            found = json.loads(os.read(file, _MOST_BYTES))
    except (OSError, LogFormatError, ValueError, RecursionError):
        return None
    return outcome_of(found)


def outcome_of(found: object) -> Outcome | None:
    """Return the outcome in an object of JSON, None if nothing in it says how a process ended."""
    if not isinstance(found, dict):
        return None
    oom_killed = found.get("oom_killed")
    outcome = Outcome(
        _text(found.get("by")),
        _number(found.get("unix_ms"), range(_LATEST_MS)) or 0,
        _number(found.get("exit_code"), _EXIT_CODES),
        _number(found.get("signal"), _SIGNALS),
        oom_killed if isinstance(oom_killed, bool) else None,
        _text(found.get("text")),
    )
    said = (outcome.exit_code, outcome.signal, outcome.oom_killed or None)
    return None if said == (None, None, None) else outcome


def _text(found: object) -> str:
    return found[:_MOST_CHARS] if isinstance(found, str) else ""


def _number(found: object, within: range) -> int | None:
    # a bool is an int, too
    proper = isinstance(found, int) and not isinstance(found, bool) and found in within
    return found if proper and isinstance(found, int) else None
