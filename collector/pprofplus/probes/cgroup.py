"""The control group that this process is charged to, version 2 or 1: use and limit of memory."""

from __future__ import annotations

# pathlib costs each service 5 ms
# ruff: noqa: PTH110, PTH120
import os
import re

from pprofplus.descriptor import KeptFile, read_small_file
from pprofplus.errors import ProbeAbsentError
from pprofplus.probes import Probe

# version 1 says "no limit" as the largest whole page below 2**63
_NO_LIMIT = 1 << 60
_ESCAPED = re.compile(r"\\([0-7]{3})")


class Cgroup:
    """Where the memory files of this process's cgroup are.

    Attributes:
        directory: the cgroup as seen from here.
        top: the uppermost cgroup that can be seen from here.
        used: name of the file that tells the use.
        limit: name of the file that tells the limit.
    """

    __slots__ = ("directory", "limit", "top", "used")

    def __init__(self, who: str = "self", proc: str = "/proc") -> None:
        """Find that of process `who` (a pid, or "self") among our mounts.

        Raises ProbeAbsentError.
        """
        try:
            groups = read_small_file(f"{proc}/{who}/cgroup").decode("utf-8", "surrogateescape")
            mounts = read_small_file(f"{proc}/self/mountinfo").decode("utf-8", "surrogateescape")
        except OSError as error:
            raise ProbeAbsentError("no cgroups") from error
        path = ""
        fstype, self.used, self.limit = "cgroup2", "memory.current", "memory.max"
        for line in groups.splitlines():
            _, controllers, place = line.split(":", 2)
            if "memory" in controllers.split(","):
                path = place
                fstype, self.used, self.limit = (
                    "cgroup",
                    "memory.usage_in_bytes",
                    "memory.limit_in_bytes",
                )
                break
            if not controllers:
                path = place
        if not path:
            raise ProbeAbsentError("this process is in no cgroup")
        root, self.top = _mount(mounts, fstype)
        self.directory = self.top
        # inside a container the path may be the host's, and not exist under the mount
        inside = path.removeprefix(root).lstrip("/") if root != "/" else path.lstrip("/")
        below = f"{self.top}/{inside}" if inside else self.top
        if ".." not in inside.split("/") and os.path.exists(f"{below}/{self.used}"):
            self.directory = below
        elif who != "self" or not os.path.exists(f"{self.top}/{self.used}"):
            # where ours is found at the mount's top, another's is not
            raise ProbeAbsentError("the cgroup does not tell its memory")

    def limit_bytes(self) -> int | None:
        """Return the smallest limit from this cgroup upwards, or None if there is none."""
        limits = []
        directory = self.directory
        while True:
            try:
                text = read_small_file(f"{directory}/{self.limit}").strip()
                if text.isdigit() and int(text) < _NO_LIMIT:
                    limits.append(int(text))
            except FileNotFoundError:
                pass  # the root of version 2 has no limit to tell
            if directory == self.top:
                return min(limits, default=None)
            directory = os.path.dirname(directory)


def _mount(mounts: str, fstype: str) -> tuple[str, str]:
    """Return (root, mount point) of the memory hierarchy. Raises ProbeAbsentError."""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields, rest = before.split(" "), after.split(" ")
        if rest[0] == fstype and (fstype == "cgroup2" or "memory" in rest[-1].split(",")):
            root, point = (
                _ESCAPED.sub(lambda found: chr(int(found[1], 8)), field) for field in fields[3:5]
            )
            return root, point
    raise ProbeAbsentError("the cgroup file system is not mounted here")


class CgroupUsedProbe(Probe):
    """Memory charged to the cgroup: that of its other processes and its page cache included."""

    names = ("cgroup_used",)
    exact = True

    def __init__(self, who: str = "self") -> None:
        self._who = who
        self._file = self._open()

    def _open(self) -> KeptFile:
        cgroup = Cgroup(self._who)
        try:
            return KeptFile(f"{cgroup.directory}/{cgroup.used}")
        except OSError as error:
            raise ProbeAbsentError("the cgroup's memory may not be read") from error

    def read(self) -> tuple[int, ...]:
        """Return bytes. Raises OSError, ValueError, ProbeAbsentError."""
        try:
            return (int(self._file.read()),)
        except OSError:
            # moved to another cgroup, and the old one removed
            self._file.close()
            self._file = self._open()
            return (int(self._file.read()),)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class CgroupLimitProbe(Probe):
    """The limit that counts: the smallest of this cgroup's and of those above it."""

    names = ("cgroup_limit",)
    least_period_s = 10.0  # an operator changes it now and then; each level is a file to open

    def __init__(self, who: str = "self") -> None:
        self._who = who
        Cgroup(who)

    def read(self) -> tuple[int, ...] | None:
        """Return bytes, or None while there is no limit. Raises OSError, ProbeAbsentError."""
        limit_bytes = Cgroup(self._who).limit_bytes()
        return None if limit_bytes is None else (limit_bytes,)
