"""The control group of a process, version 2 or 1: memory used, limit, OOM kills."""

from __future__ import annotations

import os
import re

from pprofplus.errors import ProbeAbsentError
from pprofplus.probes import Probe
from pprofplus.system.descriptor import KeptFile, read_small_file

# version 1 reports "no limit" as the largest whole page below 2**63
_NO_LIMIT = 1 << 60
_ESCAPED = re.compile(r"\\([0-7]{3})")
_OOM_KILLS = re.compile(rb"^oom_kill (\d+)$", re.MULTILINE)


class Cgroup:
    """The memory files of a process's cgroup.

    Attributes:
        directory: the cgroup's path as seen from here.
        top: the topmost cgroup visible from here.
        used: name of the file with the memory used.
        limit: name of the file with the limit.
        events: name of the file with the count of OOM kills.
    """

    __slots__ = ("directory", "events", "limit", "top", "used")

    def __init__(self, who: str = "self", proc: str = "/proc") -> None:
        """Find the cgroup of process `who` (a pid, or "self") among our mounts.

        Raises ProbeAbsentError.
        """
        try:
            groups = read_small_file(f"{proc}/{who}/cgroup").decode("utf-8", "surrogateescape")
            mounts = read_small_file(f"{proc}/self/mountinfo").decode("utf-8", "surrogateescape")
        except OSError as error:
            raise ProbeAbsentError("this kernel has no cgroups") from error
        path = ""
        fstype, self.used, self.limit = "cgroup2", "memory.current", "memory.max"
        self.events = "memory.events"
        for line in groups.splitlines():
            _, controllers, group_path = line.split(":", 2)
            if "memory" in controllers.split(","):
                path = group_path
                fstype, self.used, self.limit = (
                    "cgroup",
                    "memory.usage_in_bytes",
                    "memory.limit_in_bytes",
                )
                self.events = "memory.oom_control"
                break
            if not controllers:
                path = group_path
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
            # our own cgroup is the mount's top, but another process's is not
            raise ProbeAbsentError("the cgroup has no memory files")

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
                pass  # the root cgroup of version 2 has no limit file
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


class _ReopenedFile:
    """A cgroup file that is opened for each reading, so that it keeps no descriptor."""

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        """Check that `path` can be read. Raises OSError."""
        self._path = path
        self.read()

    def read(self) -> bytes:
        """Return the content. Raises OSError."""
        return read_small_file(self._path)

    def close(self) -> None:
        """Do nothing: it is not open between two readings."""


class _CgroupFileProbe(Probe):
    """One file of the cgroup; found again when the process is moved to another cgroup.

    With `keep`, the file stays open: that is four times as fast as opening it for each reading, but
    `pprofplus watch` records more processes than it may open files.
    """

    exact = True

    def __init__(self, who: str = "self", *, keep: bool = True) -> None:
        self._who = who
        self._keep = keep
        self._file = self._open()
        try:
            self.read()
        except (OSError, ValueError) as error:
            self._file.close()
            raise ProbeAbsentError(f"this kernel does not provide {self.names[0]}") from error

    def _open(self) -> KeptFile | _ReopenedFile:
        cgroup = Cgroup(self._who)
        path = f"{cgroup.directory}/{self._file_name(cgroup)}"
        try:
            return KeptFile(path) if self._keep else _ReopenedFile(path)
        except OSError as error:
            raise ProbeAbsentError(f"{path} cannot be read: {error.strerror}") from error

    @staticmethod
    def _file_name(cgroup: Cgroup) -> str:
        raise NotImplementedError

    @staticmethod
    def _parse(text: bytes) -> int:
        raise NotImplementedError

    def read(self) -> tuple[int, ...]:
        """Return the value. Raises OSError, ValueError, ProbeAbsentError."""
        try:
            return (self._parse(self._file.read()),)
        except OSError:
            # the process was moved to another cgroup, and the old one removed
            self._file.close()
            self._file = self._open()
            return (self._parse(self._file.read()),)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class CgroupUsedProbe(_CgroupFileProbe):
    """Memory charged to the cgroup, including its other processes and its page cache."""

    names = ("cgroup_used",)

    @staticmethod
    def _file_name(cgroup: Cgroup) -> str:
        return cgroup.used

    @staticmethod
    def _parse(text: bytes) -> int:
        return int(text)


class CgroupOomKillsProbe(_CgroupFileProbe):
    """OOM kills in the cgroup; the root cgroup of version 2 has no count."""

    names = ("cgroup_oom_kills",)

    @staticmethod
    def _file_name(cgroup: Cgroup) -> str:
        return cgroup.events

    @staticmethod
    def _parse(text: bytes) -> int:
        return oom_kills_in(text)


def oom_kills_in(text: bytes) -> int:
    """Return the count of OOM kills in `memory.events`, `memory.oom_control` or `/proc/vmstat`.

    Raises ValueError if the kernel does not count them there, as before Linux 4.13.
    """
    found = _OOM_KILLS.search(text)
    if found is None:
        raise ValueError("no line oom_kill")
    return int(found[1])


class CgroupLimitProbe(Probe):
    """The effective limit: the smallest of this cgroup and its ancestors."""

    names = ("cgroup_limit",)
    min_period_s = 10.0  # an operator changes it rarely, and each level is a file to open

    def __init__(self, who: str = "self") -> None:
        self._who = who
        Cgroup(who)

    def read(self) -> tuple[int, ...] | None:
        """Return bytes, or None while there is no limit. Raises OSError, ProbeAbsentError."""
        limit_bytes = Cgroup(self._who).limit_bytes()
        return None if limit_bytes is None else (limit_bytes,)
