"""Finds the run of the same service that came before a run, to learn its days and its start."""

import heapq
import os

from pprofplus.errors import PprofplusError
from pprofplus.log import log_directory
from pprofplus_tui.sources.local.run_log import RunLog

_TRIED = 3  # the last ones that began before
DAYS_KNOWN_MS = 36 * 3_600_000  # so long a run must have lasted for its days to be known
_TIMES_THE_AGE = 3  # or so many times longer than the young one, for its start to be


def _began_before(log: RunLog) -> list[str]:
    """Return the directories of the service's last runs before this one, the newest first."""
    parent = os.path.dirname(log.path)  # noqa: PTH120 - paths are str here
    try:
        with os.scandir(parent) as entries:
            found = (
                (start_ms, entry.path)
                for entry in entries
                if (parsed := log_directory.parse_run_name(entry.name)) is not None
                and (start_ms := parsed[1]) < log.start_ms
            )
            return [path for _, path in heapq.nlargest(_TRIED, found)]
    except OSError:
        return []


def earlier_run(log: RunLog) -> RunLog | None:
    """Return the log, refreshed, of a run of the service that is worth comparing with a young one.

    It is one of the last three that began before: the first that lasted for a day and a half, else
    the first that lasted three times as long as the young run has. None if there is none. Reads
    the last pages of each, and the whole index of one.
    """
    age_ms = log.end_ms - log.begin_ms
    lasted: list[tuple[bool, str]] = []
    for path in _began_before(log):
        try:
            end = RunLog(path, last_slots=1)
        except PprofplusError:
            continue
        end.refresh()
        span_ms = end.end_ms - end.start_ms
        if span_ms >= DAYS_KNOWN_MS:
            lasted.append((False, path))
            break
        if span_ms >= _TIMES_THE_AGE * age_ms:
            lasted.append((True, path))
    if not lasted:
        return None
    found = RunLog(min(lasted, key=lambda one: one[0])[1], in_blocks=True)
    found.refresh()
    return found if found.samples else None
