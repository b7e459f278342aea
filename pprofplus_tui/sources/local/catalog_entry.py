"""One run of the catalogue: an open log while the process runs, a record once it has ended."""

import operator
import os
import sys
from dataclasses import replace
from types import MappingProxyType

from pprofplus.log import log_directory
from pprofplus_tui.model.points import Points
from pprofplus_tui.model.runs import LIVE, RUNNING, RunId
from pprofplus_tui.sources.local.ended_run import RECENT_NS, EndedRun, read_ended_run
from pprofplus_tui.sources.local.liveness import Lock, lock_of, state_of
from pprofplus_tui.sources.local.run_log import RunLog
from pprofplus_tui.sources.local.segment_end import LAST_SLOTS
from pprofplus_tui.sources.local.segment_header import begin_on_axis, first_instant
from pprofplus_tui.sources.local.window_query import page_extremes, query
from pprofplus_tui.sources.run_info import NO_POINTS, NO_VALUES, RSS, RunInfo

_RECENT_MS = 900_000
_RECENT_BUCKETS = 24
_TICK_NS = 1_000_000_000
# The kernel takes file times from a clock with a resolution of some milliseconds: a change within
# the same tick as a check does not change the time.
_FRESH_NS = 100_000_000


class _Reading:
    """The log of a run in progress, and its curve of the last minutes."""

    def __init__(self, path: str) -> None:
        self.log = RunLog(path, last_slots=LAST_SLOTS)
        self._oldest: tuple[str, tuple[int, int] | None] | None = None
        self._recent = NO_POINTS
        self._recent_ms = 0

    def recent(self) -> Points:
        """Return the curve of the last quarter of an hour; cached while it would not differ."""
        log, end_ms = self.log, self.log.end_ms
        if log.table.count >= LAST_SLOTS - 1:
            # the heads of several pages give a curve that is precise enough, without decoding
            return page_extremes(log, RSS)
        span_ms = min(end_ms - log.begin_ms, _RECENT_MS)
        if not 0 <= end_ms - self._recent_ms < span_ms // _RECENT_BUCKETS:
            request = (RSS, False)
            # the curve of a young run covers its whole age, so that it is more than one point
            begin_ms = end_ms - max(span_ms, _RECENT_BUCKETS)
            found = query(log, begin_ms, end_ms + 1, _RECENT_BUCKETS, [request])
            self._recent, self._recent_ms = found[request], end_ms
        return self._recent

    def begin_ms(self) -> int:
        """Return the beginning of the first page that rotation has not removed, unix ms."""
        log, path = self.log, self.log.oldest_segment or ""
        if self._oldest is None or self._oldest[0] != path:
            self._oldest = (path, first_instant(path))
        first = self._oldest[1]
        if first is None:
            self._oldest = None  # not yet written: retry at the next call
            return log.begin_ms
        return begin_on_axis(first, int(log.table.offset_ms[0])) if log.table.count else first[1]


class CatalogEntry:
    """The entry of one run in a catalogue, which may have a hundred thousand of them.

    Attributes:
        path: the run directory.
        info: what is known of the run, None if it has no log or is not read yet.
        whole: `info` is from the log, not only from the record of an ended run.
        settled: it has ended, or has no log, and only retention or an operator can change it.
        problems: one line for each part that could not be read.
    """

    __slots__ = (
        "_reading",
        "_refreshed_ns",
        "_seen",
        "_segment",
        "info",
        "path",
        "problems",
        "settled",
        "whole",
    )

    def __init__(self, path: RunId) -> None:
        self.path = path
        self.info: RunInfo | None = None
        self.whole = False
        self.settled = False
        self.problems: tuple[str, ...] = ()
        self._reading: _Reading | None = None
        self._segment = ""  # the newest, while it is checked each second
        self._seen: int | None = None  # of the files when they were read, see `_fingerprint`
        self._refreshed_ns = 0

    def refresh(self, now_ns: int, *, whole: bool, every: int = 1, counting: bool = False) -> None:
        """Update `info`; it stays the same object while nothing changes.

        Unless `whole`, only the record of an ended run is read, with its samples counted if
        `counting`. A live run is refreshed once in `every` ticks.
        """
        whole = whole or self.whole
        if self._reading is not None:
            live = self.info is not None and self.info.state == LIVE
            if live and not self._is_due(now_ns, every):
                return
        elif self._refreshed_ns and (self.whole or not whole):
            # a run without a log has just begun, or never gets one
            at_once = self.settled or self.info is None
            due = at_once or (now_ns // _TICK_NS + hash(self.path)) % every == 0
            if not due or not self._has_changed(now_ns):
                return
        self._refreshed_ns = now_ns  # before `_close_log` resets it
        if self._reading is not None or whole or not self._read_ended(now_ns, counting=counting):
            self._read(now_ns)

    def drop_recent(self) -> None:
        """Drop the values and the curve of an ended run; only the first report of it has them."""
        info = self.info
        if self._reading is None and info is not None and (info.last or len(info.recent)):
            self.info = replace(info, last=NO_VALUES, recent=NO_POINTS)

    def _is_due(self, now_ns: int, every: int) -> bool:
        """Return whether to refresh this run now; pids spread the runs over the ticks."""
        since_ns = now_ns - self._refreshed_ns
        pid = self.info.pid if self.info is not None else 0
        turn = (now_ns // _TICK_NS + pid) % every == 0
        return turn or not 0 <= since_ns < every * _TICK_NS

    def _has_changed(self, now_ns: int) -> bool:
        """Return whether an ended run must be read again."""
        if not self.settled and not 0 <= now_ns - self._refreshed_ns < RECENT_NS:
            return True  # it may be settled now
        return self._seen is None or self._seen != self._fingerprint(now_ns)

    def _fingerprint(self, now_ns: int) -> int | None:
        """Return a value that changes with the files; None if they changed too recently to tell."""
        directory = self._directory(now_ns)
        if not directory or not self._segment:
            return hash(directory) if directory is not None else None
        try:
            found = os.lstat(f"{self.path}/{self._segment}")
        except OSError:
            return 0
        return hash((*directory, found.st_ino, found.st_mtime_ns, found.st_size))

    def _directory(self, now_ns: int) -> tuple[int, ...] | None:
        """Return a value that changes with the run directory; () if it is gone, None as above."""
        try:
            found = os.stat(self.path)  # noqa: PTH116 - of thousands, and pathlib doubles it
        except OSError:
            return ()
        if 0 <= now_ns - found.st_mtime_ns < _FRESH_NS:
            return None
        return found.st_ino, found.st_mtime_ns

    def _close_log(self, segment: str, *, settled: bool) -> None:
        """Close the log; from now on check only whether the files of the run change."""
        self._reading, self.settled = None, settled
        if settled:
            self._refreshed_ns = 1  # only nonzero matters for a settled run
        self._segment = "" if settled else segment

    def _read_ended(self, now_ns: int, *, counting: bool) -> bool:
        """Read the record of an ended run; return False if it runs, or its log must be read."""
        directory = self._directory(now_ns)
        seen = read_ended_run(self.path, RSS, now_ns, counting=counting)
        if seen is None:
            return False
        self._close_log(log_directory.segment_name(seen.newest), settled=seen.settled)
        if directory is None:
            self._seen = None
        else:
            self._seen = hash(directory if seen.settled else (*directory, *seen.written))
        info = self._info_of(seen)
        if self.info is None or not _same_record(self.info, info):
            self.info = info
        self.problems = ()
        return True

    def _info_of(self, seen: EndedRun) -> RunInfo:
        service, pid = _names(self.path)
        return RunInfo(
            id=self.path,
            service=service,
            pid=pid,
            state=seen.state,
            begin_ms=seen.begin_ms,
            end_ms=seen.end_ms,
            interval_ms=seen.interval_ms,
            size_bytes=seen.size_bytes,
            samples=seen.samples,
            rss_bytes=seen.last,
            pinned=seen.pinned,
            metrics=seen.schema.metrics,
            whole=False,
            host=seen.schema.host,
            first_rss_bytes=seen.first,
            peak_bytes=seen.peak,
            cause=seen.cause,
        )

    def _read(self, now_ns: int) -> None:
        """Read the run from its log."""
        if self._reading is None:
            self._segment = ""
            self._seen = self._fingerprint(now_ns)
            self._reading = _Reading(self.path)
            changed = True
        else:
            changed = False
        log = self._reading.log
        changed |= log.refresh()
        self.problems = log.problems
        segment = log.newest_segment
        if segment is None:
            self.info = None
            self._close_log("", settled=not self.problems and self._is_old(now_ns))
            self._seen = None if self.problems else self._seen
            return
        lock = lock_of(segment)
        old = now_ns - log.written_ns > RECENT_NS
        if lock is not Lock.HELD and not old:
            # The writer may meanwhile have begun another segment or written its stop event.
            changed |= log.refresh()
            if log.newest_segment != segment:
                lock = lock_of(log.newest_segment or segment)
        self._describe(self._reading, lock, now_ns, changed=changed)
        if lock is not Lock.HELD and old and self.info is not None:
            ended = self.info.state not in RUNNING
            if ended and not self.problems:
                self._close_log(os.path.basename(segment), settled=lock is Lock.FREE)  # noqa: PTH119
                self._seen = self._seen if self.settled else None

    def _is_old(self, now_ns: int) -> bool:
        try:
            return now_ns - os.stat(self.path).st_mtime_ns > RECENT_NS  # noqa: PTH116 - as above
        except OSError:
            return False

    def _describe(self, reading: _Reading, lock: Lock, now_ns: int, *, changed: bool) -> None:
        """Update `info` if the log, or only the state of the run, has changed."""
        log, info, now_ms = reading.log, self.info, now_ns // 1_000_000
        state = state_of(log, lock, now_ms)
        if info is not None and not changed:
            if state != info.state:
                self.info = replace(info, state=state)
            return
        end_ms, last = log.end_ms, log.last()
        found = RunInfo(
            id=self.path,
            service=sys.intern(log.service),
            pid=log.pid,
            state=state,
            begin_ms=min(reading.begin_ms(), end_ms),
            end_ms=end_ms,
            interval_ms=log.interval_ms,
            size_bytes=log.size_bytes,
            damaged_pages=log.damaged_pages,
            rss_bytes=last.get(RSS),
            last=MappingProxyType(last),
            recent=reading.recent(),
            pinned=log.pinned,
            metrics=log.metrics,
            host=log.header.host if log.header is not None else "",
            machine=_machine_of(log),
        )
        self.whole = True
        if info is None or state in RUNNING or not _same_record(info, found):
            self.info = found


def _machine_of(log: RunLog) -> str:
    """Return an identifier of the machine of a run, "" if its header has none."""
    header = log.header
    return f"{header.boot_id} {header.host}" if header is not None and header.boot_id else ""


def _names(path: str) -> tuple[str, int]:
    """Return (service, pid) from a path; runs of one service share one string."""
    parent, _, name = path.rpartition("/")
    parsed = log_directory.parse_run_name(name)
    return sys.intern(parent.rpartition("/")[2]), parsed[0] if parsed else 0


_record_of = operator.attrgetter(
    "state",
    "begin_ms",
    "end_ms",
    "interval_ms",
    "size_bytes",
    "samples",
    "damaged_pages",
    "rss_bytes",
    "pinned",
    "metrics",
    "whole",
    "host",
    "first_rss_bytes",
    "peak_bytes",
)


def _same_record(one: RunInfo, other: RunInfo) -> bool:
    """Return whether two records of an ended run are equal."""
    return bool(_record_of(one) == _record_of(other))
