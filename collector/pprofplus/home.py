"""Where logs live: `<home>/<service>/<pid>-<start unix ms>/000001.pplog`, and that it is safe."""

import os
import re

SEGMENT_SUFFIX = ".pplog"
SERVICE_PATTERN = re.compile(r"[A-Za-z0-9._-]{1,64}")
RUN_PATTERN = re.compile(r"([0-9]{1,10})-([0-9]{1,15})")
SEGMENT_PATTERN = re.compile(r"([0-9]{6,9})\.pplog")


def default_home() -> str:
    """Return the directory for logs when none is named.

    `$PPROFPLUS_DIR`; else `$STATE_DIRECTORY/pprofplus`, which systemd makes for a unit; else
    `/var/tmp/pprofplus-<uid>`, which needs no home directory and which root finds for any user.
    """
    named = os.environ.get("PPROFPLUS_DIR")
    if named:
        return os.path.abspath(os.path.expanduser(named))  # noqa: PTH100, PTH111 - pathlib costs the service 5 ms
    state = os.environ.get("STATE_DIRECTORY")
    if state:
        # systemd joins several directories with colons; the first is ours
        return os.path.join(state.split(":")[0], "pprofplus")  # noqa: PTH118
    return f"/var/tmp/pprofplus-{os.getuid()}"  # noqa: S108 - checked to be ours before use


def valid_service(name: str) -> bool:
    """Tell whether `name` may be a service: 1 to 64 of A-Z a-z 0-9 . _ -, and not `.` or `..`."""
    return SERVICE_PATTERN.fullmatch(name) is not None and name not in {".", ".."}


def run_name(pid: int, start_ms: int) -> str:
    """Return the name of a run's directory; `start_ms` is unix time."""
    return f"{pid}-{start_ms}"


def parse_run_name(name: str) -> tuple[int, int] | None:
    """Return (pid, start_ms) of a run's directory name, or None if it is none."""
    found = RUN_PATTERN.fullmatch(name)
    return (int(found[1]), int(found[2])) if found else None


def segment_name(number: int) -> str:
    """Return the file name of segment `number`, which counts from 1."""
    return f"{number:06d}{SEGMENT_SUFFIX}"


def parse_segment_name(name: str) -> int | None:
    """Return the number of a segment's file name, or None if it is none."""
    found = SEGMENT_PATTERN.fullmatch(name)
    return int(found[1]) if found else None
