"""How close the cgroups of this process are to their memory limits, read from kept descriptors."""

from __future__ import annotations

import re

from pprofplus.system.descriptor import KeptFile, read_small_file

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pprofplus.probes.cgroup import Cgroup

# below this share of the limit, the page cache is not subtracted: that costs a larger file to read
_EXACT_SHARE = 0.6
# Page cache that the kernel reclaims before it kills. Version 1 also has sums over the whole
# hierarchy, as the memory used is, with a prefix.
_RECLAIMABLE = re.compile(
    rb"^(total_)?(?:active_file|inactive_file|slab_reclaimable) (\d+)$", re.MULTILINE
)


class LimitedCgroup:
    """One cgroup with a memory limit: this process's own, or one above it.

    Attributes:
        directory: its path.
        limit_bytes: the limit.
    """

    __slots__ = ("_used", "directory", "limit_bytes")

    def __init__(self, directory: str, used_name: str, limit_bytes: int) -> None:
        """Open its file. Raises OSError."""
        self.directory = directory
        self.limit_bytes = limit_bytes
        self._used = KeptFile(f"{directory}/{used_name}")

    def used_bytes(self) -> int:
        """Return the memory that the limit applies to, or an upper bound of it.

        Near the limit that is the memory charged without the page cache that the kernel can
        reclaim; further away, all memory charged. Raises OSError, ValueError.
        """
        charged = int(self._used.read())
        if charged < _EXACT_SHARE * self.limit_bytes:
            return charged
        try:
            text = read_small_file(f"{self.directory}/memory.stat")
        except OSError:
            return charged  # no descriptor is left
        return max(charged - reclaimable_bytes(text), 0)

    def close(self) -> None:
        """Close its file."""
        self._used.close()


def reclaimable_bytes(text: bytes) -> int:
    """Return the page cache in a `memory.stat` that the kernel can reclaim."""
    found = _RECLAIMABLE.findall(text)
    summed = [int(digits) for prefix, digits in found if prefix]
    return sum(summed) if summed else sum(int(digits) for _, digits in found)


def open_limited(
    cgroup: Cgroup, limits: Iterable[tuple[str, int]], known: Iterable[LimitedCgroup] = ()
) -> list[LimitedCgroup]:
    """Return an object for each of these limits; those of `known` are used again or closed.

    A cgroup that cannot be read is left out.
    """
    before = {each.directory: each for each in known}
    found = []
    for directory, limit_bytes in limits:
        each = before.pop(directory, None)
        try:
            each = each or LimitedCgroup(directory, cgroup.used, limit_bytes)
        except OSError:
            continue
        each.limit_bytes = limit_bytes
        found.append(each)
    for each in before.values():
        each.close()
    return found
