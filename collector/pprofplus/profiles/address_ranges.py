"""The address ranges of this process, from /proc/self/maps."""

from __future__ import annotations

import os

from pprofplus.system.descriptor import close_descriptor


class AddressRange:
    """One mapping.

    Attributes:
        begin, end: the addresses; end is exclusive.
        writable: it can be written to.
        path: of its file, or another name such as "[heap]", or "".
    """

    __slots__ = ("begin", "end", "path", "writable")

    def __init__(self, begin: int, end: int, path: str, *, writable: bool) -> None:
        self.begin = begin
        self.end = end
        self.path = path
        self.writable = writable

    def __contains__(self, address: int) -> bool:
        """Return whether the address lies in it."""
        return self.begin <= address < self.end


def mapped_ranges() -> list[AddressRange]:
    """Return all mappings by address. Raises OSError where there is no /proc."""
    number = os.open("/proc/self/maps", os.O_RDONLY | os.O_CLOEXEC)
    try:
        text = bytearray()
        while part := os.read(number, 1 << 16):
            text += part
    finally:
        close_descriptor(number)
    ranges = []
    for line in text.splitlines():
        # begin-end rw-p offset device inode path
        words = line.split(maxsplit=5)
        begin, _, end = words[0].partition(b"-")
        path = os.fsdecode(bytes(words[5])) if len(words) > 5 else ""
        ranges.append(AddressRange(int(begin, 16), int(end, 16), path, writable=b"w" in words[1]))
    return ranges


def interpreter_data() -> list[tuple[int, int]]:
    """Return the ranges of the interpreter's static data, where the GIL is. Raises OSError.

    These are the writable mappings of the file that contains the type `object`, and the anonymous
    mapping that follows such a one immediately: its data without initial values.
    """
    ranges = mapped_ranges()
    path = next((each.path for each in ranges if id(object) in each), "")
    if not path.startswith("/"):
        # the type lies in data without initial values, or not in a file: nothing is known
        return []
    found = []
    last_end = 0
    for each in ranges:
        own = each.path == path
        if each.writable and (own or (not each.path and each.begin == last_end)):
            found.append((each.begin, each.end))
        last_end = each.end if own else 0
    return found
