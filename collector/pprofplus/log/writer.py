"""Pages into segments: what was sampled is on disk before the next sample, and under a hard cap."""

from __future__ import annotations

import errno

from pprofplus.errors import PprofplusError
from pprofplus.log.artefacts import PROFILE_SUFFIX
from pprofplus.log.format import LOST, PAGE_SIZE, Event, RunHeader
from pprofplus.log.ledger import LedgerBusyError
from pprofplus.log.log_directory import segment_name
from pprofplus.log.page import PageBuilder
from pprofplus.log.retention import DEFAULT_MAX_TOTAL_BYTES
from pprofplus.log.run_directory import DEFAULT_MAX_BYTES, RunDirectory
from pprofplus.log.segment import Segment
from pprofplus.log.summary import Summary

_CLOCK_STEP_MS = 1000
# the file system of the open segment may be gone for good: another may be mounted at its path
_LEAVE = {errno.EIO, errno.EROFS, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.ENOTCONN}


class Writer:
    """The log of one run. Trouble with the disk never leaves it: see `trouble`.

    A page that cannot be written stays in memory and is written whole when writing works again;
    only if it fills up before that are its samples lost, and then counted in a `lost` event.

    Two versions of the page being filled take turns in slots `base` and `base + 1`, so that a
    write cut short leaves the one before. A full page ends up in `base`; the next one's base is
    the slot after it.

    Attributes:
        header: what the segments' header pages say.
        samples: samples written so far; a SIGKILL does not undo them.
        trouble: the error of the last write, or None if it went well.
        incidents: what others did to the log, a line by its kind; whoever reports them takes them
            out.
    """

    def __init__(
        self,
        home: str,
        header: RunHeader,
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        max_total_bytes: int = DEFAULT_MAX_TOTAL_BYTES,
        group_readable: bool = False,
    ) -> None:
        """Prepare a run; its directory is made when the first page is written.

        `header.start_ms` is moved on if that directory is taken.
        """
        self.header = header
        self.samples = 0
        self.trouble: BaseException | None = None
        self.incidents: dict[str, str] = {}
        self._files = RunDirectory(
            home,
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
        self._latest: int | None = None  # the slot of the page's newest whole version
        self._end_bytes = 0  # of the segment, up to the newest whole version of its last page
        self._saved = 0  # samples of this page on disk
        self._saved_events = 0
        self._finished: list[tuple[int, int, int]] = []  # of this segment: end, samples, told of
        self._lost = 0  # samples not yet told of
        self._told = 0  # lost samples told of in this page's events
        self._saved_told = 0  # in those that are on disk
        self._why = ""
        self._reasons: list[str] = []  # why samples were lost that are not yet told of

    @property
    def directory(self) -> str:
        """The run's directory."""
        return self._files.directory

    @property
    def lost(self) -> int:
        """Samples that could not be written and are not yet told of in the log."""
        return self._lost + self._told - self._saved_told

    def add(self, mono_ms: int, unix_ms: int, values: list[int]) -> None:
        """Append a sample, one value a column of the header's table; the list is kept."""
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
            # the page may have part of the sample: keep what is on disk and begin another
            self._fail(error)
            self._lose(1)
            self._finish_page(sound=False)
            return
        if self._save() and self._lost:
            self._tell_of_lost(mono_ms, unix_ms)

    def add_event(self, event: Event, told: int = 0) -> None:
        """Append an event, and write it at once; `told` are the lost samples that it tells of."""
        self._check_segment()
        if not self._page.add_event(event):
            self._finish_page()
            self._page.add_event(event)
        self._told += told
        self._save()

    def set_interval(self, interval_ms: int) -> None:
        """Note a new sampling interval for the pages to come; the next sample begins one."""
        self._interval_ms = interval_ms

    def change_metrics(self, metrics: tuple[tuple[str, str, str], ...], values: list[int]) -> None:
        """Begin a segment with another table; `values` are those of the sample to come."""
        self._finish_page()
        then = self._page.last_sample
        before = [name for name, _, _ in self.header.metrics]
        self.header.metrics = metrics
        previous = None
        if then is not None:
            known = dict(zip(before, then[1], strict=True))
            names = [name for name, _, _ in metrics]
            # a counter that is new here has the rate 0
            values = [known.get(name, value) for name, value in zip(names, values, strict=True)]
            previous = (then[0], values)
        header = self.header
        self._page = PageBuilder(
            header.schema, header.counters, self._page.number, self._interval_ms, previous
        )
        self._rotate = True

    def close(self) -> None:
        """Write what is not yet written, and end the last segment behind its last page."""
        self._finish_page()
        if self._segment is not None:
            self._files.close(self._end_segment)
            self._segment = None

    def store_artefact(
        self, unix_ms: int, kind: str, data: bytes, *, why: str = "", suffix: str = PROFILE_SUFFIX
    ) -> str:
        """Write an artefact next to the segments; return its name.

        Raises ValueError for a name that is not allowed, OSError and PprofplusError if it cannot
        be written, LedgerBusyError if it is only a moment too early.
        """
        return self._files.store_artefact(unix_ms, kind, data, why=why, suffix=suffix)

    def relieve(self) -> None:
        """Do what is due for the log directory, for some milliseconds; cheap if nothing is."""
        self._files.tend()

    def abandon(self) -> None:
        """Let go of the files without touching them: they are the parent's."""
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    @property
    def _unsaved(self) -> bool:
        return (self._page.samples, self._page.events) != (self._saved, self._saved_events)

    def _tell_of_lost(self, mono_ms: int, unix_ms: int) -> None:
        event = Event(LOST, mono_ms, unix_ms, self._lost, ", ".join(self._reasons))
        # an event that does not fit finishes the page: what that loses is not in this one
        told, self._lost, self._reasons = self._lost, 0, []
        self.add_event(event, told)

    def _lose(self, samples: int) -> None:
        """Count samples lost, and why."""
        if samples:
            self._lost += samples
            if self._why not in self._reasons:
                self._reasons.append(self._why)

    def _check_segment(self) -> None:
        """Let go of a segment that someone took from us, and go on in another."""
        segment = self._segment
        if segment is None:
            return
        left_bytes = segment.left_bytes()
        if left_bytes is None or left_bytes >= self._end_bytes:
            return
        if segment.ours():
            self._note_taken(segment, left_bytes)
            # this page is in memory whole, so it is written again
            self.samples -= self._saved
            self._saved = self._saved_events = self._saved_told = 0
        # else the host closed the descriptor: what was written is there
        segment.close()
        self._segment = self._summary = None
        self._finished = []
        self._latest = None

    def _note_taken(self, segment: Segment, left_bytes: int) -> None:
        """Count what is gone with the pages that are behind `left_bytes`."""
        what = "cut short" if left_bytes else "removed"
        self._why = what
        gone = [page for page in self._finished if page[0] > left_bytes]
        samples, told = (sum(page[i] for page in gone) for i in (1, 2))
        self.samples -= samples
        self._lose(samples + told)
        self.incidents[what] = (
            f"{self.directory}/{segment_name(segment.number)} was {what} by someone, with"
            f" {samples} samples: going on in another"
        )

    def _save(self) -> bool:
        """Write a new version of the page; False, with `trouble` set, if that failed."""
        page = self._page
        try:
            segment = self._ready()
            image = bytes(page)
            slot = self._base + 1 if self._latest == self._base else self._base
            segment.write(slot, image)
        except (OSError, PprofplusError, MemoryError) as error:
            if not isinstance(error, LedgerBusyError):  # that is over in a moment
                self._fail(error)
            return False
        self._latest = slot
        self._end_bytes = slot * PAGE_SIZE + len(image)
        self.samples += page.samples - self._saved  # at once: other threads read it
        self._saved, self._saved_events, self._saved_told = page.samples, page.events, self._told
        self.trouble = None
        return True

    def _fail(self, error: BaseException) -> None:
        self.trouble = error
        number = getattr(error, "errno", None)
        self._why = errno.errorcode.get(number or 0, type(error).__name__)
        # go on in another segment, unless this one is new itself: it has no page
        if (number in _LEAVE and (self._finished or self._latest is not None)) or (
            number == errno.EFBIG and self._finished
        ):
            self._rotate = True

    def _finish_page(self, *, sound: bool = True) -> None:
        """Settle the page and begin the next; what cannot be written now is lost."""
        page = self._page
        if sound and self._unsaved:
            sound = self._save()
        # a page of which nothing is on disk, in this segment or the last, gives its number to the
        # next
        on_disk = self._latest is not None or self._saved or self._saved_events
        number = page.number + 1 if on_disk else page.number
        self._page = page.follow(number, self._interval_ms)
        self._lose(page.samples - self._saved + self._told - self._saved_told)
        if self._latest is not None:
            if sound and self._latest > self._base:
                self._move_to_base(page)
            if self._summary is not None:
                if sound and self._latest == self._base:
                    self._summary.take(page, self._base)
                else:
                    self._summary.spoil()
            self._finished.append((self._end_bytes, self._saved, self._saved_told))
            self._base = self._latest + 1
            self._latest = None
        self._saved = self._saved_events = self._told = self._saved_told = 0

    def _move_to_base(self, page: PageBuilder) -> None:
        """Write the page's last version to its final slot."""
        if self._segment is None:
            return
        try:
            image = bytes(page)
            self._segment.write(self._base, image)
        except (OSError, MemoryError) as error:
            # it stays where it is, and a slot is wasted
            self.trouble = error
            return
        self._latest = self._base
        self._end_bytes = self._base * PAGE_SIZE + len(image)

    def _summarise(self, segment: Segment) -> None:
        """Write the summary behind the last page, unless another version of a page is there."""
        if self._summary is None or self._latest is not None or self._base >= segment.slots:
            return
        try:
            image = self._summary.page()
            if image is None:
                return
            segment.write(self._base, image)
        except (OSError, MemoryError):
            return  # it is cut off again, and the pages are read by their heads
        self._end_bytes = self._base * PAGE_SIZE + len(image)

    def _end_segment(self) -> int:
        """End the open segment behind its last page; return where that is."""
        segment = self._segment
        if segment is not None:
            self._summarise(segment)
            segment.close(self._end_bytes)
        return self._end_bytes

    def _ready(self) -> Segment:
        """Return a segment with room for the page. Raises OSError, PprofplusError."""
        segment = self._segment
        if segment is not None and not self._rotate and self._base <= segment.slots - 2:
            return segment
        # while there is none to follow it, the old one stays open: its lock says that we live
        new = self._files.open_next(None if segment is None else segment.number, self._end_segment)
        if self._files.passed_over:
            self.incidents["in the way"] = (
                f"{self.directory}/{segment_name(self._files.passed_over)} is not ours: it is left"
                " alone, and its name passed over"
            )
        if self._locked and not new.locked:
            self._locked = False
            self.incidents["no locks"] = (
                f"{self.directory} is on a file system without file locks: the monitor cannot tell"
                " which runs are live, and ended runs are removed only if they stopped in order or"
                " were silent for a day: name a directory on a local disk (PPROFPLUS_DIR)"
            )
        self._segment = new
        self._rotate = False
        self._finished = []
        header = self.header
        self._summary = Summary(header.schema, len(header.metrics), new.slots - new.first_slot)
        self._base, self._latest = new.first_slot, None
        self._end_bytes = new.header_bytes
        return new
