"""Small files in a run directory that record how the process ended; their content is untrusted.

A parent process or a service manager that observed the end writes `outcome`; the process itself
writes `sigterm`. The others are written when a bundle is unpacked: `packed` if the run was in
progress when it was packed, `cause` if it had ended.
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
_MAX_BYTES = 1 << 16
_MAX_CHARS = 400
_MAX_UNIX_MS = 1 << 48
_EXIT_CODES, _SIGNALS = range(-(1 << 31), 1 << 32), range(1, 129)


@dataclass(frozen=True)
class EndingFiles:
    """The content of the files.

    Attributes:
        outcome: how the process ended, None if no file records it.
        packed: the run is from a bundle, and was in progress when it was packed.
        cause: why it had ended when it was packed, None if that is not recorded.
    """

    outcome: ProcessOutcome | None = None
    packed: bool = False
    cause: Cause | None = None


def read_ending_files(path: str, names: Container[str] | None = None) -> EndingFiles:
    """Return the content of the files in a run directory. Raises nothing.

    `names` are those of the files there, if it was listed; other files are not opened.
    """

    def may_have(name: str) -> bool:
        return names is None or name in names

    outcome = outcome_of(_read(f"{path}/{OUTCOME_NAME}")) if may_have(OUTCOME_NAME) else None
    if outcome is None and may_have(TERMINATED_NAME):
        outcome = _sigterm_outcome(path)
    return EndingFiles(
        outcome,
        may_have(PACKED_NAME) and os.path.lexists(f"{path}/{PACKED_NAME}"),
        cause_of(_read(f"{path}/{CAUSE_NAME}")) if may_have(CAUSE_NAME) else None,
    )


def _sigterm_outcome(path: str) -> ProcessOutcome | None:
    """Return the outcome if a SIGTERM ended the process, else None."""
    unix_ms = terminated_ms(path)
    if unix_ms is None:
        return None
    return ProcessOutcome("the process", unix_ms, signal=int(signal.SIGTERM), oom_killed=False)


def _read(path: str) -> object:
    """Return the JSON in a file, None if it cannot be read."""
    try:
        with opened(path) as (file, status):
            if status.st_size > _MAX_BYTES:
                return None
            found: object = json.loads(os.read(file, _MAX_BYTES))
            return found
    except (OSError, LogFormatError, ValueError, RecursionError):
        return None


def outcome_of(found: object) -> ProcessOutcome | None:
    """Return the outcome in a JSON object, None if it does not say how the process ended.

    Values of a wrong type or out of range count as unknown.
    """
    if not isinstance(found, dict):
        return None
    oom_killed = found.get("oom_killed")
    outcome = ProcessOutcome(
        _text(found.get("by")),
        _number(found.get("unix_ms"), range(_MAX_UNIX_MS)) or 0,
        _number(found.get("exit_code"), _EXIT_CODES),
        _number(found.get("signal"), _SIGNALS),
        oom_killed if isinstance(oom_killed, bool) else None,
        _text(found.get("text")),
    )
    known = (outcome.exit_code, outcome.signal, outcome.oom_killed or None)
    return None if known == (None, None, None) else outcome


def _text(found: object) -> str:
    return found[:_MAX_CHARS] if isinstance(found, str) else ""


def _number(found: object, within: range) -> int | None:
    # bool is a subclass of int
    valid = isinstance(found, int) and not isinstance(found, bool) and found in within
    return found if valid and isinstance(found, int) else None
