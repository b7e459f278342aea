"""One file of stacks: created with its header, appended to, and finished."""

from __future__ import annotations

import errno
import os

from pprofplus.log.log_directory import stack_file_name
from pprofplus.log.stack_format import STACK_HEADER_BYTES, pack_stack_header
from pprofplus.system.descriptor import NEW, Descriptor, above_standard, close_descriptor

_MAX_PART = 99_999


class StackFile:
    """A file of stacks that is being written.

    Attributes:
        segment: number of the segment that it belongs to.
        part: its number among the files of that segment.
        capacity: bytes that it may grow to.
        end: where the next block is written.
    """

    __slots__ = ("_descriptor", "_mono_ms", "_unix_ms", "capacity", "end", "part", "segment")

    def __init__(
        self,
        directory: int,
        segment: int,
        part: int,
        capacity: int,
        times_ms: tuple[int, int],
        mode: int,
    ) -> None:
        """Create the file with this part's number, or the next one whose name is free.

        `times_ms` are the monotonic and the unix time. Raises OSError.
        """
        self._mono_ms, self._unix_ms = times_ms
        self.segment = segment
        self.capacity = capacity
        self.end = 0
        name, fd = "", -1
        while fd < 0:
            name = stack_file_name(segment, part)
            try:
                fd = above_standard(os.open(name, NEW, 0o600, dir_fd=directory))
            except FileExistsError:
                if part >= _MAX_PART:
                    raise
                part += 1
        self.part = part
        try:
            self._descriptor = Descriptor(fd)
            os.fchmod(fd, mode)
            self.append(self._header(capacity))
        except BaseException:
            close_descriptor(fd)
            try:
                os.unlink(name, dir_fd=directory)
            except OSError:
                # it is empty, or its header counts it
                pass
            raise

    def append(self, data: bytes) -> None:
        """Append complete blocks. Raises OSError; then the next call writes at the same place."""
        self._write(data, self.end)
        self.end += len(data)

    def damaged(self) -> bool:
        """Return whether another program removed or truncated it, or closed its descriptor."""
        try:
            found = self._descriptor.stat()
        except OSError:
            return False  # all may be well again in a moment
        return found is None or not found.st_nlink or found.st_size < self.end

    def close(self, *, finish: bool) -> int:
        """Close it; return the bytes that it takes or may still take. Never raises OSError.

        With `finish`, it is truncated to its blocks, and may not grow any more.
        """
        kept = self.capacity
        if finish and self._descriptor.ours():
            try:
                # a retention that counts the run must not count what is not reserved any more
                self._write(self._header(self.end), 0)
                os.ftruncate(self._descriptor.number, self.end)
                kept = self.end
            except OSError:
                # then it counts as it may grow to
                pass
        self._descriptor.close()
        return kept

    def _header(self, capacity: int) -> bytes:
        return pack_stack_header(capacity, self._mono_ms, self._unix_ms)

    def _write(self, data: bytes, at: int) -> None:
        if self._descriptor.stat() is None:
            raise OSError(errno.EBADF, "the host closed the descriptor of a file of stacks")
        written = 0
        while written < len(data):  # after a short write, the next write reports the reason
            rest = data[written:] if written else data
            count = os.pwrite(self._descriptor.number, rest, at + written)
            if not count:  # no error and no progress: some FUSE file systems do that
                raise OSError(errno.EIO, "the file system wrote 0 bytes of the stacks")
            written += count


assert len(pack_stack_header(0, 0, 0)) == STACK_HEADER_BYTES  # close() replaces it
