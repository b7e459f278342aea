"""The log of one run: the segments of its run directory, which are added, removed and finished."""

import os
import time
from collections.abc import Sequence

import numpy as np

from pprofplus.errors import LogFormatError
from pprofplus.log import log_directory
from pprofplus.log.format import MAX_UNIX_MS, RunHeader
from pprofplus_tui.model.events import RunEvent
from pprofplus_tui.model.points import Ints
from pprofplus_tui.sources.local.block_detail import (
    BlockMismatchError,
    Detail,
    PageHeadCache,
    detail_of,
)
from pprofplus_tui.sources.local.buckets import WindowMemo
from pprofplus_tui.sources.local.page_cache import PageCache, PagesLostError
from pprofplus_tui.sources.local.page_store import PageStore
from pprofplus_tui.sources.local.page_table import PageTable
from pprofplus_tui.sources.local.pins import is_pinned
from pprofplus_tui.sources.local.safe_files import DirectoryWatch, segment_sizes
from pprofplus_tui.sources.local.segment_reader import TAIL_SLOTS, SegmentReader
from pprofplus_tui.sources.port import MetricRow, NoRunError

_TOO_MANY_PAGES = "not read: the run has more pages than fit into memory, only the newest are read"
_TOO_MANY_METRICS = (
    "not read: the run has more metrics than fit into memory, only the newest are read"
)
_LAST_EVENT_PAGES = 8
_MAX_RETRIES = 8  # segments that could not be read, in each refresh
_BLOCKS_AT_ONCE = 256
_NO_OFFSET_MS: Ints = np.zeros(0, np.int64)


class RunLog:
    """The log of one run. Use it from one thread at a time.

    It is empty until `refresh` reads the segments. Only the live tail is read more than once.

    Attributes:
        path: the run directory.
        service, pid, start_ms: from the path, and therefore trusted, unlike the header's text.
        header: of the newest readable segment, None if there is none.
        table: the page index, for `window_query`.
        pages: reads whole pages of the table, for `sample_rows`.
        cache: decoded pages, for `window_query`.
        memos: the buckets of the last windows, for `window_query`.
        pinned: retention does not remove the run.
    """

    def __init__(
        self, path: str, *, last_slots: int | None = None, in_blocks: bool = False
    ) -> None:
        """Make the log of the run at `path`.

        With `in_blocks`, most rows of the table are blocks of pages, so that a long run loads fast
        and takes little memory: `query` returns the same, and `single_pages` returns the pages.

        With `last_slots`, only that many pages at the end of the newest segment are read: enough
        for the state and the last values. Raises NoRunError if `path` is not a run directory.
        """
        self.path = os.path.abspath(path)
        parent, name = os.path.split(self.path)
        service = os.path.basename(parent)
        found = log_directory.parse_run_name(name)
        if found is None or not log_directory.valid_service(service):
            raise NoRunError(f"{path}: not a run directory, which is named <service>/<pid>-<start>")
        self.service = service
        self.pid, self.start_ms = found
        self.header: RunHeader | None = None
        self.table = PageTable()
        self._segments: dict[int, SegmentReader] = {}
        self._newest = 0  # the largest number in `_segments`
        self.pages = PageStore(self.table, self._segments)
        self.cache = PageCache(self.pages)
        self._head_cache = PageHeadCache(self._segments)
        self._in_blocks = in_blocks
        self._block_events_key: tuple[int, bytes] | None = None  # the blocks whose events are known
        self._block_events: tuple[RunEvent, ...] = ()
        self.memos: list[WindowMemo] = []
        self.pinned = False
        self._metrics: tuple[tuple[int, int | None], tuple[MetricRow, ...]] = ((-1, None), ())
        self._problem = ""  # of the run directory
        self._failed: set[int] = set()  # segments that could not be read
        self._left_out: dict[int, str] = {}  # segment to reason
        self._last_slots = last_slots
        self._watch = DirectoryWatch(self.path)
        self._sizes: dict[int, int] = {}
        self._unresolved = 0
        self._misplaced: set[int] = set()  # numbers of pages that cannot belong to this run
        self._schemas_in: dict[int, int] = {}  # schema to the newest segment that has it

    @property
    def name(self) -> str:
        """The name of the run: SERVICE/PID-START."""
        return f"{self.service}/{os.path.basename(self.path)}"

    @property
    def only_end(self) -> bool:
        """Whether only the last pages of the run are read."""
        return self._last_slots is not None

    @property
    def problems(self) -> tuple[str, ...]:
        """One line for each reason why data that may be on disk is not in this log."""
        reasons: dict[str, list[int]] = {}
        for number in sorted(self._segments):
            segment = self._segments[number]
            reason = segment.unread or segment.problem or self._left_out.get(number)
            if reason:
                reasons.setdefault(reason, []).append(number)
        lines = [f"{self.path}: {self._problem}"] if self._problem else []
        log_root = self.path.removesuffix(f"/{self.name}")
        for reason, numbers in reasons.items():
            what = f"{len(numbers)} of {len(self._sizes)} segments"
            if len(numbers) == 1:
                what = log_directory.segment_name(numbers[0])
            lines.append(f"{self.name}: {what} {reason} (in {log_root})")
        return tuple(lines)

    @property
    def samples(self) -> int:
        """Samples in the pages read."""
        return int(self.table.rows["samples"].sum())

    @property
    def begin_ms(self) -> int:
        """Unix ms of the first sample or event in the log; the run's start if there is none."""
        return int(self.table.begin_ms[0]) if self.table.count else self._start_ms

    @property
    def end_ms(self) -> int:
        """Unix ms of the last sample or event; the start of the run if there is none."""
        return int(self.table.end_ms.max()) if self.table.count else self._start_ms

    @property
    def _start_ms(self) -> int:
        """The start in the path; 0 if it is out of range, so that such a run is listed last."""
        return self.start_ms if self.start_ms < MAX_UNIX_MS else 0

    @property
    def last_sample_ms(self) -> int:
        """Unix ms of the last sample; without samples that of the last event, else the start."""
        rows = np.flatnonzero(self.table.rows["samples"] > 0)
        return int(self.table.end_ms[rows[-1]]) if len(rows) else self.end_ms

    @property
    def written_ns(self) -> int:
        """Unix ns of the last write to the newest segment, 0 if there is none."""
        return self._segments[self._newest].written_ns if self._segments else 0

    @property
    def size_bytes(self) -> int:
        """Bytes of all segments on disk."""
        return sum(self._sizes.values())

    @property
    def damaged_pages(self) -> int:
        """Pages that were skipped."""
        pages = sum(segment.damaged_pages for segment in self._segments.values())
        return pages + len(self.pages.bad) + self._unresolved + len(self._misplaced)

    @property
    def interval_ms(self) -> int:
        """The sampling interval of the last page, else of the header."""
        if self.table.count:
            return int(self.table.rows["interval_ms"][-1])
        return self.header.interval_ms if self.header else 1000

    @property
    def metrics(self) -> tuple[MetricRow, ...]:
        """(name, unit, kind) of each metric of all segments; the newest schema takes precedence."""
        table = self.table
        newest = self._segments[self._newest].schema if self._segments else None
        key = table.generation, newest
        if self._metrics[0] != key:
            found: dict[str, MetricRow] = dict.fromkeys(table.names, ("", "", ""))
            for number in sorted(self._schemas_in, key=self._schemas_in.__getitem__):
                found.update({row[0]: row for row in table.schemas[number].metrics})
            self._metrics = key, tuple(found.values())
        return self._metrics[1]

    @property
    def newest_segment(self) -> str | None:
        """Path of the newest segment, None if there is none."""
        return self._segments[self._newest].path if self._segments else None

    @property
    def oldest_segment(self) -> str | None:
        """Path of the oldest segment in the run directory, read or not; None if there is none."""
        if not self._sizes:
            return None
        return os.path.join(self.path, log_directory.segment_name(min(self._sizes)))

    # Refresh

    def refresh(self) -> bool:
        """Read what is new in the run directory; return whether anything changed.

        If the run directory is removed, the log becomes empty. Raises nothing: what cannot be
        read is in `problems` or counted in `damaged_pages`.
        """
        changed = False
        try:
            listing = self._watch.changed(time.time_ns())
            found = segment_sizes(self.path) if listing else None
        except FileNotFoundError:
            found = {}
        except OSError as error:
            self._watch.invalidate()
            self._problem = error.strerror or str(error)
            return False
        if found is not None:
            self._problem = ""
            newest, before = max(found, default=0), self._newest
            for number in sorted(self._segments.keys() & found.keys() - {newest}):
                # The former newest segment may have grown until the next segment began.
                if number == before or found[number] != self._segments[number].size_bytes:
                    changed |= self._poll(number, growing=False)
            changed |= self._take(found)
            pinned = is_pinned(self.path)
            changed |= pinned != self.pinned
            self.pinned = pinned
        if self._failed:  # a chmod does not change the mtime of the directory
            self._failed &= self._segments.keys()
            for number in sorted(self._failed - {self._newest}, reverse=True)[:_MAX_RETRIES]:
                changed |= self._poll(number, growing=False)
        if self._newest:
            changed |= self._poll(self._newest, growing=True)
            if not self._is_known(self._segments[self._newest]):
                self._rebuild_schemas()
                changed = True
        return changed

    def _take(self, sizes: dict[int, int]) -> bool:
        """Drop the removed segments and read the new ones."""
        changed = sizes != self._sizes
        self._sizes = sizes
        numbers = sorted(sizes)
        if self._last_slots is not None:
            numbers = numbers[-1:]
        gone = [number for number in self._segments if number not in numbers]
        if gone:
            self._head_cache.clear()
        for number in gone:
            del self._segments[number]
            self._left_out.pop(number, None)
        self._newest = max(self._segments, default=0)
        new = [number for number in numbers if number not in self._segments]
        # the newest first: they matter most if memory does not suffice for all schemas
        for number in reversed(new):
            self._add(number, growing=number == numbers[-1])
        if self._last_slots is not None and new and len(sizes) > 1:
            before, newest = sorted(sizes)[-2:]
            if not len(self._segments[newest].heads):
                self._add(before, growing=False)
        if gone or new:
            self._rebuild(appended=not gone and self._is_after(new))
        return bool(gone or new) or changed

    def _add(self, number: int, *, growing: bool) -> None:
        path = os.path.join(self.path, log_directory.segment_name(number))
        self._segments[number] = SegmentReader(path, self._last_slots, in_blocks=self._in_blocks)
        self._newest = max(self._newest, number)
        self._read(number, growing=growing)

    def _is_after(self, new: Sequence[int]) -> bool:
        old = self._segments.keys() - set(new)
        in_order = bool(old) and min(new) > max(old)
        return in_order and not self._unresolved and not self._misplaced

    def _read(self, number: int, *, growing: bool) -> int | None:
        segment = self._segments[number]
        try:
            row = segment.poll(growing=growing)
        except FileNotFoundError:
            return None  # rotation removed it after the directory was listed
        except (OSError, LogFormatError):
            self._failed.add(number)
            return None
        self._failed.discard(number)
        self._sizes[number] = segment.size_bytes
        if segment.header is not None:
            self._add_schema(number, segment)
            if number == self._newest or self.header is None:
                self.header = segment.header
        return row

    def _add_schema(self, number: int, segment: SegmentReader, *, keep_spare: bool = False) -> None:
        """Add the schema of a segment to the table, if it has one and there is memory for it."""
        header, schema = segment.header, segment.schema
        if header is None or schema is None:
            return
        if self.table.add_schema(header, schema, keep_spare=keep_spare):
            index = self.table.schema_index(schema)
            if index is not None:
                self._schemas_in[index] = max(number, self._schemas_in.get(index, 0))

    def _is_known(self, segment: SegmentReader) -> bool:
        schema = segment.schema
        return (
            segment.header is None or schema is None or self.table.schema_index(schema) is not None
        )

    def _rebuild_schemas(self) -> None:
        """Add all schemas to the table again, those of the newest segments first."""
        self.table.clear()
        self._schemas_in.clear()
        self.cache.clear()
        self._head_cache.clear()
        self.memos.clear()
        for number in sorted(self._segments, reverse=True):
            self._add_schema(number, self._segments[number], keep_spare=True)
        self._rebuild(appended=False)

    def _poll(self, number: int, *, growing: bool) -> bool:
        tables = self.table.generation
        row = self._read(number, growing=growing)
        if row is None:
            return False
        segment, table = self._segments[number], self.table
        schema = self._schema(segment)
        begin = self._row_after(segment, number, row)
        others = (table.rows["segment"][begin:] != number).any()
        many = begin + len(segment.heads) - row > table.max_rows
        may_resolve = self._unresolved and table.generation != tables
        # whether a page is out of order depends on all pages
        if schema is None or others or many or may_resolve or self._misplaced:
            self._rebuild(appended=False)
            return True
        if begin < table.count - TAIL_SLOTS:
            self.table.epoch += 1
        offset_ms = table.offset_ms[begin - 1 : begin].copy() if begin else _NO_OFFSET_MS
        table.truncate(begin)
        table.append(number, schema, segment.heads.take(slice(row, None)))
        self._finish(begin, offset_ms)
        return True

    def _row_after(self, segment: SegmentReader, number: int, row: int) -> int:
        """Return the table's row for row `row` of the segment."""
        rows = self.table.rows
        if row:
            before = int(segment.heads.fixed["number"][row - 1])
            return int(np.searchsorted(rows["number"], before, side="right"))
        mine = np.flatnonzero(rows["segment"] == number)
        return int(mine[0]) if len(mine) else self.table.count

    def _schema(self, segment: SegmentReader) -> int | None:
        if segment.schema is None:
            return None
        index = self.table.schema_index(segment.schema)
        if index is None or len(self.table.schemas[index].metrics) != segment.columns:
            return None
        return index

    def _rebuild(self, *, appended: bool) -> None:
        """Fill the table from all segments, or from those that follow the ones in it."""
        table = self.table
        known = set(table.rows["segment"].tolist()) if appended else set()
        if not appended:
            table.truncate(0)
            table.epoch += 1
            self._unresolved = 0
            self._misplaced.clear()
        begin = table.count
        offset_ms = table.offset_ms[begin - 1 : begin].copy() if begin else _NO_OFFSET_MS
        new = sorted(self._segments.keys() - known)
        for number in new:
            if self._segments[number].released:
                self._read(number, growing=False)
        pages = self._leave_out(new, begin)
        if appended and pages > table.max_rows:
            self._rebuild(appended=False)
            return
        table.reserve(min(pages, table.max_rows))
        for number in new:
            if number in self._left_out:
                continue
            segment = self._segments[number]
            schema = self._schema(segment)
            if schema is None:
                self._unresolved += len(segment.heads)
            else:
                table.append(number, schema, segment.heads)
                if number != self._newest:  # the newest is polled each second
                    segment.release()
        self._finish(begin, offset_ms)

    def _leave_out(self, numbers: Sequence[int], pages: int) -> int:
        """Record the oldest of these segments for which there is no memory; see `problems`.

        `pages` are in the table already. Return their number plus that of the known segments.
        """
        for number in reversed(numbers):
            self._left_out.pop(number, None)
            segment = self._segments[number]
            if not self._is_known(segment):
                self._left_out[number] = _TOO_MANY_METRICS
                continue
            pages += len(segment.heads)
            if pages > self.table.max_rows:
                self._left_out[number] = _TOO_MANY_PAGES
        return pages

    def _finish(self, begin: int, offset_ms: Ints) -> None:
        """Complete the table after adding the rows from `begin` on.

        `offset_ms` is the former offset of the row before, shape (1,), or (0,) if there is none.
        """
        table = self.table
        self.pages.exclude_torn_versions(begin)
        self._misplaced.update(table.finish())
        self.pages.drop_bad(begin)
        # If the clock was set back, the pages before have moved, and the last of them first.
        if len(offset_ms) and not np.array_equal(table.offset_ms[begin - 1 : begin], offset_ms):
            table.epoch += 1

    def single_pages(self, rows: Ints) -> Detail:
        """Return the single pages of these rows of the table, which may be blocks.

        Raises PagesLostError if the pages contradict their blocks; the table has changed then.
        """
        try:
            return detail_of(self.table, self.pages, self.cache, self._head_cache, rows)
        except BlockMismatchError as error:
            self._head_cache.clear()
            for number in error.segments:
                self._segments[number].disable_blocks()
                self._read(number, growing=False)
            self._rebuild(appended=False)
            raise

    def discard_cached(self) -> None:
        """Discard cached results that used pages which are damaged or removed."""
        self.memos.clear()
        self._head_cache.clear()

    def events_in(self, rows: Ints) -> tuple[RunEvent, ...]:
        """Return the events in these rows of the table, in order of time."""
        blocks = self.table.blocks[rows]
        found = self.pages.events(rows[~blocks])
        if not blocks.any():
            return found
        key = self.table.epoch, rows[blocks].tobytes()
        if key != self._block_events_key:
            in_blocks: list[RunEvent] = []
            for begin in range(0, int(blocks.sum()), _BLOCKS_AT_ONCE):
                try:
                    detail = self.single_pages(rows[blocks][begin : begin + _BLOCKS_AT_ONCE])
                except PagesLostError:
                    return found  # the next call reads the rest
                has_events = detail.table.rows["events_bytes"][detail.requested] > 0
                in_blocks += detail.pages.events(detail.requested[has_events])
            self._block_events_key, self._block_events = key, tuple(in_blocks)
        return tuple(sorted((*self._block_events, *found), key=lambda event: event.t_ms))

    def events(self) -> tuple[RunEvent, ...]:
        """Return all events in the pages read, in order of time."""
        return self.events_in(np.flatnonzero(self.table.rows["events_bytes"] > 0))

    def last_events(self) -> tuple[RunEvent, ...]:
        """Return the events since the last sample, and some before; reads a few pages at most."""
        rows = self.table.rows
        sampled = np.flatnonzero(rows["samples"] > 0)
        begin = max(int(sampled[-1]) - 1 if len(sampled) else 0, len(rows) - _LAST_EVENT_PAGES, 0)
        return self.events_in(begin + np.flatnonzero(rows["events_bytes"][begin:] > 0))

    def last(self) -> dict[str, int]:
        """Return the last sample's value of each metric, empty if there is no sample."""
        rows = np.flatnonzero(self.table.rows["samples"] > 0)[-1:]
        if not len(rows):
            return {}
        if not self.table.blocks[rows[0]]:
            return self.cache.last_values(int(rows[0]))
        try:
            detail = self.single_pages(rows)
        except PagesLostError:
            return {}
        rows = detail.requested[detail.table.rows["samples"][detail.requested] > 0]
        return detail.cache.last_values(int(rows[-1])) if len(rows) else {}


def open_log(path: str, *, last_slots: int | None = None, in_blocks: bool = False) -> RunLog:
    """Return the log of the run at `path`, refreshed; see `RunLog`. Raises NoRunError."""
    log = RunLog(path, last_slots=last_slots, in_blocks=in_blocks)
    log.refresh()
    return log
