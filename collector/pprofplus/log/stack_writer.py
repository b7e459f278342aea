"""Writes ticks to the files of stacks of one run: what is counted is on disk, within the cap."""

from __future__ import annotations

import errno
from time import monotonic

from pprofplus.errors import PprofplusError
from pprofplus.log.ledger import LedgerBusyError
from pprofplus.log.stack_encoder import StackEncoder
from pprofplus.log.stack_format import STACK_HEADER_BYTES

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pprofplus.log.run_directory import RunDirectory
    from pprofplus.log.stack_encoder import StackNames, ThreadTick
    from pprofplus.log.stack_file import StackFile

    Tick = tuple[int, int, Sequence[ThreadTick], bool, int]

PERIOD_MS = 300_000
_CLOCK_STEP_MS = 1000
_GAP_MS = 60_000
_MAX_WAITING_BYTES = 64 << 10
_MAX_WAITING_TICKS = 64
_RETRY_S = 30.0
# New stacks may use this many bytes a second on average, so that no program can replace the stacks
# of days with those of minutes.
_ROOM_BYTES_PER_S = 128
_MAX_ROOM_BYTES = 192 << 10
_MIN_ROOM_BYTES = 16 << 10
_FULL_AGE_MS = 600_000
_MIN_MARGIN_BYTES = 1024


class StackWriter:
    """The stacks of one run. It handles errors of the disk itself: see `write_error`.

    Ticks that cannot be written stay in memory, up to some 10 KiB, and are written when writing
    works again. Then they are lost, and the next period counts them.

    Attributes:
        ticks: ticks written so far; a SIGKILL does not undo them.
        write_error: the error of the last write, or None if it succeeded.
    """

    def __init__(self, files: RunDirectory, names: StackNames) -> None:
        self.ticks = 0
        self._lost = 0
        self.write_error: BaseException | None = None
        self._files = files
        self._names = names
        self._batch: list[Tick] = []
        self._encoder: StackEncoder | None = None
        self._file: StackFile | None = None
        self._begin_ms = self._refilled_ms = 0
        self._times_ms = (0, 0)
        self._waiting = b""  # encoded, not yet in the file
        self._waiting_ticks = 0
        self._reported = 0  # lost ticks that `_waiting` counts
        self._room_bytes = _MAX_ROOM_BYTES
        self._largest_bytes = 0  # of one write
        self._retry_s = 0.0

    @property
    def lost(self) -> int:
        """Ticks that could not be written and are not yet counted in a file."""
        return self._lost + self._reported

    def add(
        self,
        mono_ms: int,
        unix_ms: int,
        threads: Sequence[ThreadTick],
        *,
        biased: bool,
        missed: int = 0,
    ) -> None:
        """Keep a tick for the next `write`; `missed` ticks before it could not be taken."""
        if len(self._batch) >= _MAX_WAITING_TICKS:
            self._lost += 1
            return
        self._batch.append((mono_ms, unix_ms, threads, biased, missed))

    def write(self, segment: int) -> None:
        """Write the ticks that were added; `segment` is that which the log is writing, or 0.

        Never raises OSError or MemoryError.
        """
        batch, self._batch = self._batch, []
        if not batch:
            return
        if self._file is not None and self._file.damaged():
            self._give_up()
        try:
            if self._encoder is None:
                self._begin(batch[0])
            self._encode(batch)
            self._save(segment, batch)
        except (OSError, PprofplusError, MemoryError) as error:
            if not isinstance(error, LedgerBusyError):  # that is a matter of milliseconds
                self.write_error = error
            if not isinstance(error, (OSError, PprofplusError)):
                self._give_up()  # the encoder may have a part of a tick
            elif len(self._waiting) > _MAX_WAITING_BYTES:
                self._give_up()
            return
        self._rotate_if_due(segment, batch[-1][0])

    def close(self) -> None:
        """Finish the file: what has waited is written, or lost."""
        self._end_file(finish=True)

    def abandon(self) -> None:
        """Close the file without writing: it is the parent's."""
        if self._file is not None:
            self._file.close(finish=False)
            self._file = None
        self._encoder = None
        self._names.abandon()

    def _begin(self, tick: Tick) -> StackEncoder:
        """Begin the content of a file with this tick."""
        capacity = self._files.stack_file_bytes()
        room_bytes = min(max(self._room_bytes, _MIN_ROOM_BYTES), capacity // 2)
        self._encoder = encoder = StackEncoder(self._names, STACK_HEADER_BYTES, room_bytes)
        self._begin_ms = self._refilled_ms = tick[0]
        self._times_ms = tick[0], tick[1]
        self._largest_bytes = 0
        return encoder

    def _encode(self, batch: list[Tick]) -> None:
        """Encode ticks, and move them to those that wait."""
        encoder = self._encoder
        if encoder is None:
            return
        for mono_ms, unix_ms, threads, biased, missed in batch:
            period = encoder.period
            if period is not None:
                begin_ms, end_ms, anchor_ms = period
                mono_ms = max(mono_ms, end_ms)  # noqa: PLW2901 - it never goes back
                if (
                    mono_ms - begin_ms >= PERIOD_MS
                    or mono_ms - end_ms > _GAP_MS
                    or abs(unix_ms - mono_ms - anchor_ms) > _CLOCK_STEP_MS
                    or encoder.period_full
                    or self._lost
                ):
                    encoder.end_period()
            lost = 0 if encoder.period is not None else self._lost
            encoder.add(mono_ms, unix_ms, threads, biased=biased, lost=lost, missed=missed)
            self._lost -= lost
            self._reported += lost
        count = encoder.ticks
        self._waiting += encoder.take()
        self._waiting_ticks += count
        now_ms = batch[-1][0]
        gained_bytes = (now_ms - self._refilled_ms) * _ROOM_BYTES_PER_S // 1000
        if gained_bytes > 0:
            self._refilled_ms = now_ms
            encoder.room_bytes = min(encoder.room_bytes + gained_bytes, _MAX_ROOM_BYTES)

    def _save(self, segment: int, batch: list[Tick]) -> None:
        """Write what waits, in a new file if necessary. Raises OSError, PprofplusError."""
        encoder, file = self._encoder, self._file
        if encoder is None:
            return
        if file is not None and not self._fits(encoder, file):
            # these ticks begin another file, and this one ends before them
            counts = self._waiting_ticks, self._reported
            self._waiting, self._waiting_ticks, self._reported = b"", 0, 0
            self._lost += counts[0] - len(batch) + counts[1]
            self._close_file()
            encoder, file = self._begin(batch[0]), None
            self._encode(batch)
        if file is None:
            file = self._open(segment)
            if not self._fits(encoder, file):
                self._give_up()
                return
        file.append(self._waiting)
        self._largest_bytes = max(self._largest_bytes, len(self._waiting))
        self.ticks += self._waiting_ticks
        self._waiting, self._waiting_ticks, self._reported = b"", 0, 0
        self.write_error = None

    def _fits(self, encoder: StackEncoder, file: StackFile) -> bool:
        return file.end + len(self._waiting) + encoder.closing_bytes <= file.capacity

    def _open(self, segment: int) -> StackFile:
        """Open a file. Raises OSError, PprofplusError."""
        if not segment:
            raise LedgerBusyError("the log has no segment yet")
        now_s = monotonic()
        if now_s < self._retry_s:
            raise self.write_error or LedgerBusyError("it is tried again later")
        try:
            self._file = file = self._files.open_stack_file(segment, self._times_ms)
        except (OSError, PprofplusError) as error:
            if getattr(error, "errno", None) == errno.EDQUOT:  # to find that out takes long
                self._retry_s = now_s + _RETRY_S
            raise
        return file

    def _rotate_if_due(self, segment: int, now_ms: int) -> None:
        """End the file if it has no room for some more ticks, or belongs to another segment."""
        encoder, file = self._encoder, self._file
        if encoder is None or file is None:
            return
        margin = max(_MIN_MARGIN_BYTES, self._largest_bytes // 4)
        if (
            file.segment != segment
            or file.end + encoder.closing_bytes + margin > file.capacity
            or (encoder.cut and now_ms - self._begin_ms >= _FULL_AGE_MS)
        ):
            self._end_file(finish=True)

    def _end_file(self, *, finish: bool) -> None:
        """End the file, with `finish` after a last period and an index. Never raises OSError."""
        encoder, file = self._encoder, self._file
        if finish and encoder is not None and file is not None:
            try:
                encoder.finish()
                data = self._waiting + encoder.take()
                if file.end + len(data) <= file.capacity:
                    file.append(data)
                    self.ticks += self._waiting_ticks
                    self._waiting, self._waiting_ticks, self._reported = b"", 0, 0
            except (OSError, MemoryError) as error:
                self.write_error = error
        self._give_up()

    def _give_up(self) -> None:
        """Close the file as it is; what waits is lost."""
        self._lost += self._waiting_ticks + self._reported
        self._waiting, self._waiting_ticks, self._reported = b"", 0, 0
        self._close_file()

    def _close_file(self) -> None:
        if self._encoder is not None:
            self._room_bytes = self._encoder.room_bytes
            self._encoder = None
        if self._file is not None:
            file, self._file = self._file, None
            self._files.close_stack_file(file)
