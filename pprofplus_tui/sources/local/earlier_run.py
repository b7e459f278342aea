"""Finds an earlier run of the same service, to compare its daily pattern and its start."""

import heapq
import os

from pprofplus.log import log_directory
from pprofplus_tui.sources.local.run_log import RunLog, open_log
from pprofplus_tui.sources.port import NoRunError

_MAX_CANDIDATES = 3  # of the runs that began earlier, the newest
DAYS_KNOWN_MS = 36 * 3_600_000  # the minimum duration that shows a daily pattern
_TIMES_THE_AGE = 3  # or that many times the age of the young run, to compare the start


def _earlier_paths(log: RunLog) -> list[str]:
    """Return the run directories of the service's last runs before this one, the newest first."""
    parent = os.path.dirname(log.path)
    try:
        with os.scandir(parent) as entries:
            found = (
                (start_ms, entry.path)
                for entry in entries
                if (parsed := log_directory.parse_run_name(entry.name)) is not None
                and (start_ms := parsed[1]) < log.start_ms
            )
            return [path for _, path in heapq.nlargest(_MAX_CANDIDATES, found)]
    except OSError:
        return []


def earlier_run(log: RunLog) -> RunLog | None:
    """Return the refreshed log of an earlier run to compare a young run with, None without one.

    It is one of the last three runs before: the newest that lasted a day and a half, else the
    newest that lasted three times as long as the young run so far. Reads the last pages of each
    candidate, and the whole page index of one.
    """
    age_ms = log.end_ms - log.begin_ms
    lasted: list[tuple[bool, str]] = []
    for path in _earlier_paths(log):
        try:
            end = open_log(path, last_slots=1)
        except NoRunError:
            continue
        span_ms = end.end_ms - end.start_ms
        if span_ms >= DAYS_KNOWN_MS:
            lasted.append((False, path))
            break
        if span_ms >= _TIMES_THE_AGE * age_ms:
            lasted.append((True, path))
    if not lasted:
        return None
    found = open_log(min(lasted, key=lambda one: one[0])[1], in_blocks=True)
    return found if found.samples else None
