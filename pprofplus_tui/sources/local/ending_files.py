"""Small files beside a run's log that say how it ended; they may come from anybody.

`outcome` is from a parent or a service manager, which saw the end; `sigterm` is the process's own
mark. The others are put there when a bundle is unpacked: that the run was live when it was packed,
or why it had ended.
"""

import json
import os
import signal
from collections.abc import Container
from dataclasses import dataclass

from pprofplus.errors import LogFormatError
from pprofplus.log.log_directory import OUTCOME_NAME, TERMINATED_NAME
from pprofplus_tui.model.death import Cause, ProcessOutcome, cause_of
from pprofplus_tui.sources.local.safe_files import opened
from pprofplus_tui.sources.local.sigterm_file import terminated_ms

PACKED_NAME, CAUSE_NAME = "packed", "cause"
_MOST_BYTES = 1 << 16
_MOST_CHARS = 400
_LATEST_MS = 1 << 48
_EXIT_CODES, _SIGNALS = range(-(1 << 31), 1 << 32), range(1, 129)


@dataclass(frozen=True)
class EndingFiles:
    """What is noted beside a run's log.

    Attributes:
        outcome: how its process ended, None if nobody saw it.
        packed: the run is from a bundle, and was live when that was packed.
        cause: why it had ended when its bundle was packed, None if that is not noted.
    """

    outcome: ProcessOutcome | None = None
    packed: bool = False
    cause: Cause | None = None


def read_notes(path: str, names: Container[str] | None = None) -> EndingFiles:
    """Return what is noted in the directory of a run. Raises nothing.

    `names` are those of the files there, if it was listed: what is not there is not asked for.
    """

    def may_have(name: str) -> bool:
        return names is None or name in names

    outcome = outcome_of(_read(f"{path}/{OUTCOME_NAME}")) if may_have(OUTCOME_NAME) else None
    if outcome is None and may_have(TERMINATED_NAME):
        outcome = _marked(path)
    return EndingFiles(
        outcome,
        may_have(PACKED_NAME) and os.path.lexists(f"{path}/{PACKED_NAME}"),
        cause_of(_read(f"{path}/{CAUSE_NAME}")) if may_have(CAUSE_NAME) else None,
    )


def _marked(path: str) -> ProcessOutcome | None:
    """Return what the mark of a SIGTERM says that ended the process; None if there is none."""
    unix_ms = terminated_ms(path)
    if unix_ms is None:
        return None
    return ProcessOutcome("the process", unix_ms, signal=int(signal.SIGTERM), oom_killed=False)


def _read(path: str) -> object:
    """Return the JSON in a file, None if there is none that can be read."""
    try:
        with opened(path) as (file, status):
            if status.st_size > _MOST_BYTES:
                return None
            found: object = json.loads(os.read(file, _MOST_BYTES))
            return found
    except (OSError, LogFormatError, ValueError, RecursionError):
        return None


def outcome_of(found: object) -> ProcessOutcome | None:
    """Return the outcome in an object of JSON, None if nothing in it says how a process ended.

    What is of the wrong type or out of range is taken for not known.
    """
    if not isinstance(found, dict):
        return None
    oom_killed = found.get("oom_killed")
    outcome = ProcessOutcome(
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
