"""Writes pages to segments: each sample is on disk before the next one, within a hard cap."""

from __future__ import annotations

import errno

from pprofplus.errors import PprofplusError
from pprofplus.log.format import LOST, PAGE_SIZE, Event, RunHeader
from pprofplus.log.ledger import LedgerBusyError
from pprofplus.log.log_directory import segment_name
from pprofplus.log.page import PageBuilder
from pprofplus.log.retention import DEFAULT_MAX_TOTAL_BYTES
from pprofplus.log.run_directory import DEFAULT_MAX_BYTES, RunDirectory
from pprofplus.log.segment import Segment
from pprofplus.log.summary import Summary

_CLOCK_STEP_MS = 1000
# the file system of the open segment may be gone permanently, and another one mounted at its path
_LOST_FILE_SYSTEM = {
    errno.EIO,
    errno.EROFS,
    errno.ESTALE,
    errno.ENODEV,
    errno.ENXIO,
    errno.ENOTCONN,
}


class Writer:
    """The log of one run. It handles errors of the disk itself: see `write_error`.

    A page that cannot be written stays in memory and is written when writing works again. Only if
    it fills up before that are its samples lost; a `lost` event counts them.

    Two versions of the page being filled alternate between slots `base` and `base + 1`, so that a
    truncated write leaves the previous version. A full page ends up in `base`; the next page's base
    is the slot after it.

    Attributes:
        header: the content of the segments' header pages.
        samples: samples written so far; a SIGKILL does not undo them.
        write_error: the error of the last write, or None if it succeeded.
        incidents: changes that others made to the log, a line by its kind; the caller that logs
            them removes them.
    """

    def __init__(
        self,
        log_directory: str,
        header: RunHeader,
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        max_total_bytes: int = DEFAULT_MAX_TOTAL_BYTES,
        group_readable: bool = False,
    ) -> None:
        """Prepare a run; its directory is created when the first page is written.

        `header.start_ms` is increased if that directory exists.
        """
        self.header = header
        self.samples = 0
        self.write_error: BaseException | None = None
        self.incidents: dict[str, str] = {}
        self._files = RunDirectory(
            log_directory,
            header,
            max_bytes=max_bytes,
            max_total_bytes=max_total_bytes,
            group_readable=group_readable,
        )
        self._interval_ms = header.interval_ms
        self._segment: Segment | None = None
        self._locked = True
        self._rotate = False
        self._page = PageBuilder(header.schema, header.counters, 0, header.interval_ms)
        self._summary: Summary | None = None  # of the segment's finished pages
        self._base = 0
        self._latest: int | None = None  # the slot of the page's newest complete version
        self._end_bytes = 0  # of the segment, up to the newest complete version of its last page
        self._saved = 0  # samples of this page on disk
        self._saved_events = 0
        # of this segment: end, samples, lost samples reported
        self._finished: list[tuple[int, int, int]] = []
        self._lost = 0  # lost samples that are not yet reported in an event
        self._reported = 0  # lost samples reported in this page's events
        self._saved_reported = 0  # in those events that are on disk
        self._reason = ""
        self._reasons: list[str] = []  # why samples were lost that are not yet reported

    @property
    def directory(self) -> str:
        """The run directory."""
        return self._files.directory

    @property
    def lost(self) -> int:
        """Samples that could not be written and are not yet reported in the log."""
        return self._lost + self._reported - self._saved_reported

    def add(self, mono_ms: int, unix_ms: int, values: list[int]) -> None:
        """Append a sample, one value a column of the header's schema; the list is kept."""
        self._check_segment()
        page = self._page
        if page.samples:
            mono_ms = max(mono_ms, page.last_mono_ms)
            if abs(unix_ms - mono_ms - page.anchor_ms) > _CLOCK_STEP_MS:
                self._finish_page()
        if self._page.interval_ms != self._interval_ms:
            self._finish_page()
        try:
            if not self._page.add(mono_ms, unix_ms, values):
                self._finish_page()
                self._page.add(mono_ms, unix_ms, values)
        except MemoryError as error:
            # the page may contain a part of the sample: keep what is on disk and begin another page
            self._note_error(error)
            self._count_lost(1)
            self._finish_page(sound=False)
            return
        if self._save() and self._lost:
            self._report_lost(mono_ms, unix_ms)

    def add_event(self, event: Event, reported: int = 0) -> None:
        """Append an event, and write it immediately; it reports `reported` lost samples."""
        self._check_segment()
        if not self._page.add_event(event):
            self._finish_page()
            self._page.add_event(event)
        self._reported += reported
        self._save()

    def set_interval(self, interval_ms: int) -> None:
        """Set the sampling interval for the next pages; the next sample begins one."""
        self._interval_ms = interval_ms

    def change_metrics(self, metrics: tuple[tuple[str, str, str], ...], values: list[int]) -> None:
        """Begin a segment with another schema; `values` are those of the next sample."""
        self._finish_page()
        then = self._page.last_sample
        before = [name for name, _, _ in self.header.metrics]
        self.header.metrics = metrics
        previous = None
        if then is not None:
            known = dict(zip(before, then[1], strict=True))
            names = [name for name, _, _ in metrics]
            # a counter that is new in the schema has the rate 0
            values = [known.get(name, value) for name, value in zip(names, values, strict=True)]
            previous = (then[0], values)
        header = self.header
        self._page = PageBuilder(
            header.schema, header.counters, self._page.number, self._interval_ms, previous
        )
        self._rotate = True

    def close(self) -> None:
        """Write what is not yet written, and end the last segment after its last page."""
        self._finish_page()
        if self._segment is not None:
            self._files.close(self._end_segment)
            self._segment = None

    def store_artefact(
        self, unix_ms: int, kind: str, data: bytes, *, why: str = "", suffix: str = ""
    ) -> str:
        """Write an artefact next to the segments; return its name.

        `suffix` is one of those in artefacts.py, "" for PROFILE_SUFFIX.

        Raises ValueError for a name that is not allowed, OSError and PprofplusError if it cannot
        be written, LedgerBusyError if it may work in a moment.
        """
        if self._segment is None:  # it creates the run directory, if the ledger is not busy
            self._writable_segment()
        return self._files.store_artefact(unix_ms, kind, data, why=why, suffix=suffix)

    def maintain(self) -> None:
        """Do what is due for the log directory, for some milliseconds; cheap if nothing is due."""
        self._files.maintain()

    def abandon(self) -> None:
        """Close the files without writing: they are the parent's."""
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    @property
    def _unsaved(self) -> bool:
        return (self._page.samples, self._page.events) != (self._saved, self._saved_events)

    def _report_lost(self, mono_ms: int, unix_ms: int) -> None:
        event = Event(LOST, mono_ms, unix_ms, self._lost, ", ".join(self._reasons))
        # an event that does not fit finishes the page: what is lost then is not part of this event
        reported, self._lost, self._reasons = self._lost, 0, []
        self.add_event(event, reported)

    def _count_lost(self, samples: int) -> None:
        """Count samples lost, and why."""
        if samples:
            self._lost += samples
            if self._reason not in self._reasons:
                self._reasons.append(self._reason)

    def _check_segment(self) -> None:
        """Close a segment that was removed or truncated by others, and continue in another."""
        segment = self._segment
        if segment is None:
            return
        left_bytes = segment.left_bytes()
        if left_bytes is None or left_bytes >= self._end_bytes:
            return
        if segment.ours():
            self._count_removed(segment, left_bytes)
            # this page is complete in memory, so it is written again
            self.samples -= self._saved
            self._saved = self._saved_events = self._saved_reported = 0
        # otherwise the host closed the descriptor: what was written is still there
        segment.close()
        self._segment = self._summary = None
        self._finished = []
        self._latest = None

    def _count_removed(self, segment: Segment, left_bytes: int) -> None:
        """Count the samples lost with the pages after `left_bytes`."""
        what = "truncated" if left_bytes else "removed"
        self._reason = what
        gone = [page for page in self._finished if page[0] > left_bytes]
        samples, reported = (sum(page[i] for page in gone) for i in (1, 2))
        self.samples -= samples
        self._count_lost(samples + reported)
        self.incidents[what] = (
            f"another program {what} {self.directory}/{segment_name(segment.number)}, with"
            f" {samples} samples: recording continues in a new segment"
        )

    def _save(self) -> bool:
        """Write a new version of the page; False, with `write_error` set, if that failed."""
        page = self._page
        try:
            segment = self._writable_segment()
            image = bytes(page)
            slot = self._base + 1 if self._latest == self._base else self._base
            segment.write(slot, image)
        except (OSError, PprofplusError, MemoryError) as error:
            if not isinstance(error, LedgerBusyError):  # a busy ledger is a matter of milliseconds
                self._note_error(error)
            return False
        self._latest = slot
        self._end_bytes = slot * PAGE_SIZE + len(image)
        self.samples += page.samples - self._saved  # immediately: other threads read it
        self._saved, self._saved_events, self._saved_reported = (
            page.samples,
            page.events,
            self._reported,
        )
        self.write_error = None
        return True

    def _note_error(self, error: BaseException) -> None:
        self.write_error = error
        number = getattr(error, "errno", None)
        self._reason = errno.errorcode.get(number or 0, type(error).__name__)
        # continue in another segment, unless this one is new itself and has no page
        if (number in _LOST_FILE_SYSTEM and (self._finished or self._latest is not None)) or (
            number == errno.EFBIG and self._finished
        ):
            self._rotate = True

    def _finish_page(self, *, sound: bool = True) -> None:
        """Finish the page and begin the next; what cannot be written now is lost."""
        page = self._page
        if sound and self._unsaved:
            sound = self._save()
        # if nothing of this page is on disk, in this segment or the last, the next page takes its
        # number
        on_disk = self._latest is not None or self._saved or self._saved_events
        number = page.number + 1 if on_disk else page.number
        self._page = page.follow(number, self._interval_ms)
        self._count_lost(page.samples - self._saved + self._reported - self._saved_reported)
        if self._latest is not None:
            if sound and self._latest > self._base:
                self._move_to_base(page)
            if self._summary is not None:
                if sound and self._latest == self._base:
                    self._summary.add_page(page, self._base)
                else:
                    self._summary.discard()
            self._finished.append((self._end_bytes, self._saved, self._saved_reported))
            self._base = self._latest + 1
            self._latest = None
        self._saved = self._saved_events = self._reported = self._saved_reported = 0

    def _move_to_base(self, page: PageBuilder) -> None:
        """Write the page's last version to its final slot."""
        if self._segment is None:
            return
        try:
            image = bytes(page)
            self._segment.write(self._base, image)
        except (OSError, MemoryError) as error:
            # it stays where it is, and a slot stays unused
            self.write_error = error
            return
        self._latest = self._base
        self._end_bytes = self._base * PAGE_SIZE + len(image)

    def _summarise(self, segment: Segment) -> None:
        """Write the summary after the last page, unless another version of a page is there."""
        if self._summary is None or self._latest is not None or self._base >= segment.slots:
            return
        try:
            image = self._summary.page()
            if image is None:
                return
            segment.write(self._base, image)
        except (OSError, MemoryError):
            return  # truncation removes it again, and readers use the heads of the pages
        self._end_bytes = self._base * PAGE_SIZE + len(image)

    def _end_segment(self) -> int:
        """End the open segment after its last page; return where that ends."""
        segment = self._segment
        if segment is not None:
            self._summarise(segment)
            segment.close(self._end_bytes)
        return self._end_bytes

    def _writable_segment(self) -> Segment:
        """Return a segment with room for the page. Raises OSError, PprofplusError."""
        segment = self._segment
        if segment is not None and not self._rotate and self._base <= segment.slots - 2:
            return segment
        # until the next segment exists, the old one stays open: its lock shows that the writer runs
        new = self._files.open_next(None if segment is None else segment.number, self._end_segment)
        if self._files.skipped_number:
            self.incidents["in the way"] = (
                f"{self.directory}/{segment_name(self._files.skipped_number)} is not a file of"
                " pprofplus: it is left unchanged, and the next segment number is used"
            )
        if self._locked and not new.locked:
            self._locked = False
            self.incidents["no locks"] = (
                f"{self.directory} is on a file system without file locks: the monitor cannot see"
                " which runs are live, and an ended run is removed only if it stopped normally or"
                " has had no write for a day: use a directory on a local disk (PPROFPLUS_DIR)"
            )
        self._segment = new
        self._rotate = False
        self._finished = []
        header = self.header
        self._summary = Summary(header.schema, len(header.metrics), new.slots - new.first_slot)
        self._base, self._latest = new.first_slot, None
        self._end_bytes = new.header_bytes
        return new
