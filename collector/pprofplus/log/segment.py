"""One segment file: created with its header, locked while open, written page by page."""

from __future__ import annotations

import errno
import os
import stat

from pprofplus.log.format import BLANK_PAGE, PAGE_SIZE
from pprofplus.log.log_directory import parse_segment_name, segment_name
from pprofplus.system.descriptor import NEW, Descriptor, above_standard, close_descriptor
from pprofplus.system.locks import lock

SEGMENT_BYTES = 1 << 20


class Segment:
    """A segment that is being written.

    The lock shows readers that its writer runs: the kernel releases it when the process dies. It
    belongs to the open file, which forked children share, so they must close their copies.

    Attributes:
        number: as in its name.
        slots: slots for pages.
        first_slot: the slot after its header.
        header_bytes: where the header ends.
        locked: it has a lock; False on a file system without locks.
    """

    __slots__ = ("_descriptor", "first_slot", "header_bytes", "locked", "number", "slots")

    def __init__(
        self, directory: int, number: int, header_pages: list[bytes], size_bytes: int, mode: int
    ) -> None:
        """Create segment `number` in the run directory, or the next whose name is free.

        Raises OSError. The file is renamed to its final name after it is locked and has its header,
        so no reader finds it without them. A file that already has the name is neither opened nor
        replaced.
        """
        # with a header of any size, a page and its other version must fit
        min_slots, largest_bytes = len(header_pages) + 3, largest_file_bytes()
        if min_slots * PAGE_SIZE > largest_bytes:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        self.slots = max(min(size_bytes, largest_bytes) // PAGE_SIZE, min_slots)
        self.first_slot = len(header_pages)
        self.header_bytes = (len(header_pages) - 1) * PAGE_SIZE + len(header_pages[-1])
        hidden, fd = _open_hidden(directory, number)
        try:
            self._descriptor = Descriptor(fd)
            os.fchmod(fd, mode)
            # without locks, record nevertheless, though readers cannot see that the writer runs
            locked = lock(fd)
            self.locked = locked is not None
            if locked is False:
                raise OSError(errno.EAGAIN, "another process has locked the new segment")
            for slot, page in enumerate(header_pages):
                self.write(slot, page)
            while _exists(segment_name(number), directory):
                number += 1
            self.number = number
            os.rename(hidden, segment_name(number), src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            close_descriptor(fd)
            _remove(hidden, directory)
            raise

    def write(self, slot: int, page: bytes) -> None:
        """Write one complete page. Raises OSError; the slot's previous content may be lost then."""
        if self._descriptor.stat() is None:
            raise OSError(errno.EBADF, "the host closed the log's descriptor")
        written = 0
        try:
            while written < len(page):  # after a short write, the next write reports the reason
                at = slot * PAGE_SIZE + written
                rest = page[written:] if written else page
                count = os.pwrite(self._descriptor.number, rest, at)
                if not count:  # no error and no progress: some FUSE file systems do that
                    raise OSError(errno.EIO, "the file system wrote 0 bytes of the page")
                written += count
        except (OSError, MemoryError):
            if written:
                self._blank(slot)
            raise

    def _blank(self, slot: int) -> None:
        """Overwrite the head of a page whose body was not written; never raises.

        It is shorter than a block, and that block is allocated: it works on a full disk too.
        """
        try:
            os.pwrite(self._descriptor.number, BLANK_PAGE, slot * PAGE_SIZE)
        except OSError:
            # readers check the bodies of pages that exist twice
            pass

    def ours(self) -> bool:
        """Return whether the descriptor still belongs to the segment."""
        return self._descriptor.ours()

    def left_bytes(self) -> int | None:
        """Return how many bytes of the file are usable: 0 without its name or its header.

        None if the file system returns an error: all bytes may be readable again in a moment.
        """
        try:
            found = self._descriptor.stat()
        except OSError:
            return None
        if found is None or not found.st_nlink or found.st_size < self.header_bytes:
            return 0
        return found.st_size

    def close(self, size_bytes: int | None = None) -> None:
        """Close the file, truncated to `size_bytes` if given; releases the lock; never raises."""
        if size_bytes is not None and self.ours():
            try:
                os.ftruncate(self._descriptor.number, size_bytes)
            except OSError:
                # the rest is another version of the last page, which readers handle
                pass
        self._descriptor.close()


def _open_hidden(directory: int, number: int) -> tuple[str, int]:
    """Return the name and the descriptor of a new hidden file. Raises OSError."""
    while True:
        hidden = f".{segment_name(number)}.new"
        try:
            return hidden, above_standard(os.open(hidden, NEW, 0o600, dir_fd=directory))
        except FileExistsError:
            # left by a failed attempt of this process: only this run uses the directory
            if not _remove(hidden, directory):
                number += 1


def largest_file_bytes(unlimited_bytes: int = SEGMENT_BYTES) -> int:
    """Return the largest size that this process may write: more would end it by SIGXFSZ.

    Without a limit that is `unlimited_bytes`.
    """
    try:
        from resource import RLIM_INFINITY, RLIMIT_FSIZE, getrlimit
    except ImportError:
        return unlimited_bytes
    limit_bytes = getrlimit(RLIMIT_FSIZE)[0]
    return unlimited_bytes if limit_bytes == RLIM_INFINITY else limit_bytes


def _exists(name: str, directory: int) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _remove(name: str, directory: int) -> bool:
    """Remove a file; False if that failed."""
    try:
        os.unlink(name, dir_fd=directory)
    except OSError:
        return False
    return True


def drop_oldest(directory: int, spare: int | None, wanted_bytes: int) -> int:
    """Remove the oldest segments of a run until `wanted_bytes` are free; return the bytes freed.

    Segment `spare`, the one being written, stays. Raises OSError.
    """
    freed = 0
    sizes = _sizes(directory)
    for number in sorted(sizes):
        if freed >= wanted_bytes:
            break
        if number != spare and _remove(segment_name(number), directory):
            freed += sizes[number]
    return freed


def make_room(directory: int, spare: int | None, new_bytes: int, max_bytes: int) -> int:
    """Remove the oldest segments of a run until `new_bytes` more keep it within `max_bytes`.

    Segment `spare`, the one being written, stays. Returns the bytes removed. Raises OSError with
    EDQUOT if there is still no room.
    """
    over = sum(_sizes(directory).values()) + new_bytes - max_bytes
    freed = drop_oldest(directory, spare, over)
    if freed < over:
        raise OSError(errno.EDQUOT, "no segment left to drop: max_bytes is too small")
    return freed


def _sizes(directory: int) -> dict[int, int]:
    """Return, by number, the bytes of a run's segments. Raises OSError."""
    sizes = {}
    for name in os.listdir(directory):
        number = parse_segment_name(name)
        if number is not None:
            try:
                found = os.stat(name, dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                continue  # an operator may remove segments too
            if stat.S_ISREG(found.st_mode):  # anything else is not ours
                sizes[number] = found.st_size
    return sizes
