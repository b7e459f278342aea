"""One run: the segments of its directory as one log that grows, loses its oldest, and ends."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pprofplus import home
from pprofplus.errors import LogFormatError, PprofplusError
from pprofplus.format import EVENT_KINDS, DataHead, Event, RunHeader, read_events, read_prefix
from pprofplus_tui.logs.buckets import WindowMemo
from pprofplus_tui.logs.files import DirectoryWatch
from pprofplus_tui.logs.samples import PageCache
from pprofplus_tui.logs.segment import TAIL_SLOTS, Segment
from pprofplus_tui.logs.table import PageTable
from pprofplus_tui.model.series import Ints


@dataclass(frozen=True)
class RunEvent:
    """Something that happened in a run.

    Attributes:
        t_ms: unix milliseconds on the run's time axis.
        kind: as in `pprofplus.format.EVENT_KINDS`, or the number of a kind of a later version.
        value: what the kind says.
        text: untrusted; escape it before it is shown.
    """

    t_ms: int
    kind: str
    value: int
    text: str


class RunLog:
    """The log of one run. Use it from one thread at a time.

    It starts empty: `refresh` reads. Nothing that was read is read again but the live tail.

    Attributes:
        path: the run's directory.
        service, pid, start_ms: as the path says; only the rest of the header is untrusted text.
        header: of the newest readable segment, None if there is none.
        table: all pages, for `history`.
        cache: decoded pages, for `history`.
        memo: what `history` remembers of the last window.
        epoch: changes when pages other than the last ones change.
        problems: one line each, about what could not be read.
    """

    def __init__(self, path: str, *, last_slots: int | None = None) -> None:
        """Make the log of the run at `path`.

        With `last_slots`, only that many pages at the end of the newest segment are read: enough
        for the state and the last values. Raises PprofplusError if `path` is no run's directory.
        """
        self.path = os.path.abspath(path)  # noqa: PTH100 - keeps links, and paths are str here
        parent, name = os.path.split(self.path)
        service = os.path.basename(parent)  # noqa: PTH119
        found = home.parse_run_name(name)
        if found is None or not home.valid_service(service):
            raise PprofplusError(f"{path}: not the directory of a run: <service>/<pid>-<start>")
        self.service = service
        self.pid, self.start_ms = found
        self.header: RunHeader | None = None
        self.table = PageTable()
        self.cache = PageCache(self)
        self.memo: WindowMemo | None = None
        self.epoch = 0
        self.problems: tuple[str, ...] = ()
        self._last_slots = last_slots
        self._watch = DirectoryWatch(self.path)
        self._segments: dict[int, Segment] = {}
        self._sizes: dict[int, int] = {}
        self._bad: set[tuple[int, int]] = set()
        self._unresolved = 0
        self._misplaced = 0
        self._events: tuple[RunEvent, ...] | None = None

    # What is known

    @property
    def samples(self) -> int:
        """Samples in the pages read."""
        return int(self.table.rows["samples"].sum())

    @property
    def begin_ms(self) -> int:
        """Unix ms of the first sample or event kept; the run's start if there is none."""
        return int(self.table.begin_ms[0]) if self.table.count else self.start_ms

    @property
    def end_ms(self) -> int:
        """Unix ms of the last sample or event; the run's start if there is none."""
        return int(self.table.end_ms.max()) if self.table.count else self.start_ms

    @property
    def size_bytes(self) -> int:
        """Bytes of all segments on disk."""
        return sum(self._sizes.values())

    @property
    def damaged_pages(self) -> int:
        """Pages that were skipped."""
        pages = sum(segment.damaged_pages for segment in self._segments.values())
        return pages + len(self._bad) + self._unresolved + self._misplaced

    @property
    def interval_ms(self) -> int:
        """The sampling interval, as the last page or the header says."""
        if self.table.count:
            return int(self.table.rows["interval_ms"][-1])
        return self.header.interval_ms if self.header else 1000

    @property
    def metrics(self) -> tuple[tuple[str, str, str], ...]:
        """(name, unit, kind) of each metric of all segments; the newest table has the say."""
        table: dict[str, tuple[str, str, str]] = dict.fromkeys(self.table.names, ("", "", ""))
        for header in self.table.schemas:
            table.update({row[0]: row for row in header.metrics})
        return tuple(table.values())

    @property
    def newest_segment(self) -> str | None:
        """Path of the newest segment, None if there is none."""
        return self._segments[max(self._segments)].path if self._segments else None

    @property
    def oldest_segment(self) -> str | None:
        """Path of the oldest segment in the directory, read or not; None if there is none."""
        if not self._sizes:
            return None
        return os.path.join(self.path, home.segment_name(min(self._sizes)))  # noqa: PTH118

    # Keeping up

    def refresh(self) -> bool:
        """Bring the log up to date; return whether anything changed.

        A run whose directory is gone is empty from then on. Raises nothing: what cannot be read
        is in `problems` or counted in `damaged_pages`.
        """
        changed = False
        try:
            listing = self._watch.changed(time.time_ns())
            found = self._list() if listing else None
        except FileNotFoundError:
            found = {}
        except OSError as error:
            self._note(f"{self.path}: {error.strerror}")
            return False
        if found is not None:
            newest, before = max(found, default=0), max(self._segments, default=0)
            for number in sorted(self._segments.keys() & found.keys() - {newest}):
                # What was the newest may have been written to until its successor began.
                if number == before or found[number] != self._segments[number].size_bytes:
                    changed |= self._poll(number, growing=False)
            changed |= self._take(found)
        newest = max(self._segments, default=0)
        if newest:
            changed |= self._poll(newest, growing=True)
        return changed

    def _list(self) -> dict[int, int]:
        found: dict[int, int] = {}
        with os.scandir(self.path) as entries:
            for entry in entries:
                number = home.parse_segment_name(entry.name)
                if number is not None and entry.is_file(follow_symlinks=False):
                    found[number] = entry.stat(follow_symlinks=False).st_size
        return found

    def _take(self, sizes: dict[int, int]) -> bool:
        """Drop the segments that are gone and read those that are new."""
        self._sizes = sizes
        numbers = sorted(sizes)
        if self._last_slots is not None:
            numbers = numbers[-1:]
        gone = [number for number in self._segments if number not in numbers]
        for number in gone:
            del self._segments[number]
        new = [number for number in numbers if number not in self._segments]
        for number in new:
            self._add(number, growing=number == numbers[-1])
        if self._last_slots is not None and new and len(sizes) > 1:
            self._add_one_with_pages(sorted(sizes))
        if gone or new:
            self._rebuild(appended=not gone and self._is_after(new))
        return bool(gone or new)

    def _add(self, number: int, *, growing: bool) -> None:
        path = os.path.join(self.path, home.segment_name(number))  # noqa: PTH118
        self._segments[number] = Segment(path, self._last_slots)
        self._read(number, growing=growing)

    def _add_one_with_pages(self, numbers: Sequence[int]) -> None:
        """Read the last segment but one too while the newest has no page yet."""
        if not len(self._segments[numbers[-1]].heads):
            self._add(numbers[-2], growing=False)

    def _is_after(self, new: Sequence[int]) -> bool:
        old = self._segments.keys() - set(new)
        return bool(old) and min(new) > max(old) and self._unresolved == 0

    def _read(self, number: int, *, growing: bool) -> int | None:
        segment = self._segments[number]
        try:
            row = segment.poll(growing=growing)
        except (OSError, LogFormatError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            self._note(f"{segment.path}: {reason}")
            return None
        self._sizes[number] = segment.size_bytes
        if segment.problem:
            self._note(f"{segment.path}: {segment.problem}")
        if segment.header is not None:
            self.table.learn(segment.header)
            if number == max(self._segments) or self.header is None:
                self.header = segment.header
        return row

    def _note(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems = (*self.problems, problem)

    def _poll(self, number: int, *, growing: bool) -> bool:
        tables = len(self.table.schemas)
        row = self._read(number, growing=growing)
        if row is None:
            return False
        segment, table = self._segments[number], self.table
        schema = self._schema(segment)
        begin = self._row_after(segment, number, row)
        others = (table.rows["segment"][begin:] != number).any()
        if schema is None or others or (self._unresolved and len(table.schemas) != tables):
            self._rebuild(appended=False)
            return True
        if begin < table.count - TAIL_SLOTS:
            self.epoch += 1
        offset = int(table.offset_ms[0]) if table.count else None
        table.truncate(begin)
        table.append(number, schema, segment.heads.take(slice(row, None)))
        self._finish(offset, begin)
        return True

    def _row_after(self, segment: Segment, number: int, row: int) -> int:
        """Return the table's row for row `row` of the segment."""
        rows = self.table.rows
        if row:
            before = int(segment.heads.fixed["number"][row - 1])
            return int(np.searchsorted(rows["number"], before, side="right"))
        mine = np.flatnonzero(rows["segment"] == number)
        return int(mine[0]) if len(mine) else self.table.count

    def _schema(self, segment: Segment) -> int | None:
        if segment.schema is None:
            return None
        index = self.table.schema_index(segment.schema)
        if index is None or len(self.table.schemas[index].metrics) != segment.columns:
            return None
        return index

    def _rebuild(self, *, appended: bool) -> None:
        """Fill the table from the segments, from the first that is not yet in it."""
        offset = int(self.table.offset_ms[0]) if self.table.count else None
        known = set(self.table.rows["segment"].tolist()) if appended else set()
        if not appended:
            self.table.truncate(0)
            self.epoch += 1
            self._unresolved = self._misplaced = 0
        for number in sorted(self._segments.keys() - known):
            segment = self._segments[number]
            schema = self._schema(segment)
            if schema is None:
                self._unresolved += len(segment.heads)
            else:
                self.table.append(number, schema, segment.heads)
        self._finish(offset, 0)

    def _finish(self, offset_ms: int | None, begin: int) -> None:
        """Complete the table, of which the rows from `begin` on are new."""
        self._misplaced += self.table.finish()
        if self._bad:
            self._drop(self._bad, begin)
        # A clock that was set back has moved all pages before.
        if offset_ms is not None and self.table.count and self.table.offset_ms[0] != offset_ms:
            self.epoch += 1
        self._events = None

    def _drop(self, keys: set[tuple[int, int]], begin: int = 0) -> None:
        rows = self.table.rows[begin:]
        found = zip(rows["number"].tolist(), rows["head_crc"].tolist(), strict=True)
        mask = np.zeros(self.table.count, np.bool_)
        mask[begin:] = [key in keys for key in found]
        if mask.any():
            self.table.remove(mask)
            self.epoch += 1

    # Reading pages

    def exclude(self, rows: Sequence[int]) -> None:
        """Take pages out of the table that turned out to be damaged, and count them.

        Pages of a segment that is no longer there are taken out without being counted.
        """
        table = self.table.rows
        keys = {(int(table["number"][r]), int(table["head_crc"][r])): r for r in rows}
        for key, row in keys.items():
            segment = self._segments.get(int(table["segment"][row]))
            if segment is not None and os.path.lexists(segment.path):
                self._bad.add(key)
        self._drop(set(keys))

    def read_pages(self, rows: Ints) -> list[bytes | None]:
        """Return these rows' pages whole, bodies checked; None where damaged or gone."""
        picked = self.table.rows[rows]
        pages: list[bytes | None] = []
        segments = picked["segment"]
        starts = [0, *(np.flatnonzero(np.diff(segments)) + 1).tolist(), len(segments)]
        for begin, end in pairwise(starts):
            if begin == end:
                continue
            segment = self._segments[int(segments[begin])]
            slots, crcs = picked["slot"][begin:end], picked["head_crc"][begin:end]
            try:
                pages += segment.read_pages(slots.tolist(), crcs.tolist())
            except (OSError, LogFormatError):
                pages += [None] * (end - begin)
        return pages

    def events(self) -> tuple[RunEvent, ...]:
        """Return all events in the pages read, in order of time."""
        if self._events is None:
            rows = np.flatnonzero(self.table.rows["events_bytes"] > 0)
            found: list[RunEvent] = []
            for row, page in zip(rows.tolist(), self.read_pages(rows), strict=True):
                offset = int(self.table.offset_ms[row])
                found += [_placed(event, offset) for event in _events_of(page)]
            self._events = tuple(sorted(found, key=lambda event: event.t_ms))
        return self._events

    def last(self) -> dict[str, int]:
        """Return the last sample's value of each metric, empty if there is no sample."""
        rows = np.flatnonzero(self.table.rows["samples"] > 0)
        return self.cache.last_values(int(rows[-1])) if len(rows) else {}


def _events_of(page: bytes | None) -> list[Event]:
    if page is None:
        return []
    try:
        head = DataHead(read_prefix(page), page)
        begin = head.prefix.head_length + sum(head.lengths)
        return read_events(page[begin : begin + head.events_bytes])
    except LogFormatError:
        return []


def _placed(event: Event, offset_ms: int) -> RunEvent:
    kind = EVENT_KINDS.get(event.kind, str(event.kind))
    return RunEvent(event.mono_ms + offset_ms, kind, event.value, event.text)
