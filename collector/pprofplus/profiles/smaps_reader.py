"""Reads /proc/self/smaps as a stream: a process may have 100,000 mappings, which are 70 MB of text.

The kernel walks all pages of a mapping while it holds the lock that mmap and munmap need, about
10 ms for each GiB that is resident. It prints a few mappings a read, and the GIL is released
meanwhile; this thread rests between reads, so that parsing takes at most half of its time.
"""

from __future__ import annotations

import os
import re
from time import thread_time_ns

from pprofplus.profiles.capture import ProfileRefusedError
from pprofplus.system.descriptor import Descriptor, above_standard

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pprofplus.profiles.capture import Task

SMAPS = "/proc/self/smaps"

_MAPPING = re.compile(
    rb"^([0-9a-f]+)-([0-9a-f]+) ([-\w]{4}) [0-9a-f]+ [0-9a-f]+:[0-9a-f]+ (\d+) *([^\n]*)\n"
    rb"(?:\w+: [^\n]*\n)*?Rss: +(\d+) kB\nPss: +(\d+) kB\n"
    rb"(?:\w+: [^\n]*\n)*?Private_Dirty: +(\d+) kB\n",
    re.MULTILINE,
)
_HUGE_PAGES = b" ht"  # one of its VmFlags
_HUGE = re.compile(rb"^(Shared|Private)_Hugetlb: +(\d+) kB$", re.MULTILINE)
_READ_BYTES = 1 << 16
_MAX_TEXT_BYTES = 1 << 18  # text of one mapping; more is another format
_BUSY_NS = 2_000_000
_REST_S = 0.002


class MemoryMapping:
    """One mapping; sizes in bytes.

    Attributes:
        begin: its first address.
        end: the address after its last.
        permissions: such as "rw-p".
        inode: of its file, 0 for none.
        name: as the kernel prints it: a path, such as "[heap]", or "".
        rss: what of it is resident; huge pages of hugetlbfs included.
        pss: its pages divided by their users.
        private_dirty: pages that only this process uses and has written.
        huge: it consists of pages of hugetlbfs.
    """

    __slots__ = (
        "begin",
        "end",
        "huge",
        "inode",
        "name",
        "permissions",
        "private_dirty",
        "pss",
        "rss",
    )

    def __init__(self, found: re.Match[bytes], shared_huge: int, private_huge: int) -> None:
        self.begin = int(found[1], 16)
        self.end = int(found[2], 16)
        self.permissions = found[3].decode("ascii", "backslashreplace")
        self.inode = int(found[4])
        self.name = found[5].decode("utf-8", "backslashreplace")
        # the kernel leaves huge pages out of these sums
        self.rss = (int(found[6]) << 10) + shared_huge + private_huge
        self.pss = (int(found[7]) << 10) + private_huge
        self.private_dirty = (int(found[8]) << 10) + private_huge
        self.huge = bool(shared_huge or private_huge)


def read_mappings(task: Task) -> Iterator[MemoryMapping]:
    """Yield each mapping, by address.

    Raises ProfileRefusedError if the file is missing or has another format, ActionCancelledError if
    `task` must end.
    """
    try:
        file = Descriptor(above_standard(os.open(SMAPS, os.O_RDONLY | os.O_CLOEXEC)))
    except OSError as error:
        raise ProfileRefusedError(f"{SMAPS} cannot be read: {error.strerror}") from error
    try:
        yield from _parse(_read(file, task))
    finally:
        file.close()


def _read(file: Descriptor, task: Task) -> Iterator[bytes]:
    began_ns = thread_time_ns()
    while True:
        task.check()
        if not file.ours():
            raise ProfileRefusedError(f"the program closed the descriptor of {SMAPS}: try again")
        try:
            data = os.read(file.number, _READ_BYTES)
        except OSError as error:
            raise ProfileRefusedError(f"{SMAPS} cannot be read: {error.strerror}") from error
        if not data:
            return
        yield data
        if thread_time_ns() - began_ns > _BUSY_NS:
            task.wait(_REST_S)
            began_ns = thread_time_ns()


def _parse(parts: Iterator[bytes]) -> Iterator[MemoryMapping]:
    text = b""
    for part in parts:
        text += part
        found = None
        for following in _MAPPING.finditer(text):
            if found is not None:
                yield _mapping(text, found, following.start())
            found = following
        # the text of the last mapping may go on in the next part
        text = text[found.start() :] if found is not None else text
        if len(text) > _MAX_TEXT_BYTES:
            raise ProfileRefusedError(f"{SMAPS} has an unknown format")
    found = _MAPPING.match(text)
    if found is not None:
        yield _mapping(text, found, len(text))


def _mapping(text: bytes, found: re.Match[bytes], end: int) -> MemoryMapping:
    shared = private = 0
    if text.find(_HUGE_PAGES, found.end(), end) >= 0:
        for which, kib in _HUGE.findall(text, found.end(), end):
            if which == b"Shared":
                shared = int(kib) << 10
            else:
                private = int(kib) << 10
    return MemoryMapping(found, shared, private)
