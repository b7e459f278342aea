"""The place for logs: which and why, whether a run can be written there, what is there already."""

from __future__ import annotations

# pathlib costs each command 5 ms
# ruff: noqa: PTH110, PTH116, PTH118, PTH120
import errno
import os

from pprofplus.doctor.check_report import CheckReport, duration, size
from pprofplus.doctor.trial_run import SAMPLES, Trial, try_place
from pprofplus.errors import PprofplusError, UnsafePlaceError
from pprofplus.log.log_directory import (
    open_home,
    open_private,
    parse_run_name,
    parse_segment_name,
    valid_service,
)
from pprofplus.settings import Settings
from pprofplus.system.procfs import file_system_type

_MEMORY = {"tmpfs", "ramfs"}
_REMOTE = {"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "fuse.sshfs"}
_WHAT_TO_DO = {
    errno.EACCES: "run as the service's user, or name a directory of its own (PPROFPLUS_DIR)",
    errno.EPERM: "run as the service's user, or name a directory of its own (PPROFPLUS_DIR)",
    errno.EROFS: "mount a volume there, or name another directory (PPROFPLUS_DIR)",
    errno.ENOSPC: "make room there, or name another directory (PPROFPLUS_DIR)",
    errno.EDQUOT: "make room there, or name another directory (PPROFPLUS_DIR)",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENAMETOOLONG: "name a directory with a shorter path (PPROFPLUS_DIR)",
}


def examine_place(report: CheckReport, directory: str | None, service: str | None) -> None:
    """Say where logs go, and try it; `directory` is the option's, or None."""
    settings = Settings(directory=directory)
    home = settings.home
    report.section("place")
    report.tell("directory", home)
    report.tell("because", _reason(directory))
    trial = try_place(home, settings)
    _tell_of_trial(report, home, trial)
    if service is not None and trial.error is None:
        _examine_service(report, home, service)
    _examine_space(report, home, None if trial.error else settings)
    report.tell("there now", _contents(home, settings))
    if trial.costs_s:
        _tell_of_costs(report, trial.costs_s, settings.interval_s)


def _reason(directory: str | None) -> str:
    """Return why the logs go where they go; the order is that of `default_home`."""
    if directory is not None:
        return "--dir says so"
    for name in ("PPROFPLUS_DIR", "STATE_DIRECTORY"):
        if os.environ.get(name):
            more = ", of systemd or its like," if name == "STATE_DIRECTORY" else ""
            return f"{name}={os.environ[name]}{more} is in the environment"
    return "neither --dir nor PPROFPLUS_DIR nor STATE_DIRECTORY names one"


def _tell_of_trial(report: CheckReport, home: str, trial: Trial) -> None:
    error = trial.error
    if error is not None:
        report.tell("recording", "fails")
        report.trouble(_advice(home, error))
        return
    report.tell("recording", f"works: {SAMPLES} samples written, read back and removed")
    if trial.locked:
        report.tell("locks", "work: the monitor can tell the living from the dead")
    else:
        report.tell("locks", "do not work")
        report.trouble(
            f"{home} has no file locks, so the monitor cannot tell who lives: name a directory on "
            "a local disk (PPROFPLUS_DIR)"
        )


def _advice(home: str, error: BaseException) -> str:
    """Return what is wrong and what to do."""
    if isinstance(error, PprofplusError):
        mine = isinstance(error, UnsafePlaceError) and os.geteuid() == 0
        return f"{error} (if it is the service's, run this as its user)" if mine else str(error)
    number = getattr(error, "errno", None) or 0
    hint = _WHAT_TO_DO.get(number, "name another directory (PPROFPLUS_DIR)")
    return f"cannot record in {home}: {getattr(error, 'strerror', None) or error}: {hint}"


def _examine_service(report: CheckReport, home: str, service: str) -> None:
    """Look whether the service's own directory, if there is one, may be used."""
    if not os.path.lexists(os.path.join(home, service)):
        report.tell("service", f"{service}: nothing there yet")
        return
    try:
        home_fd = open_home(home)
        try:
            os.close(open_private(service, within=home_fd))
        finally:
            os.close(home_fd)
    except (OSError, PprofplusError) as error:
        report.tell("service", f"{service}: refused")
        report.trouble(f"in {home}: {error}")
        return
    report.tell("service", f"{service}: its directory is there, and safe")


def _examine_space(report: CheckReport, home: str, settings: Settings | None) -> None:
    """Say how much room there is, and on what; and whether that does for `settings`."""
    place = home
    while not os.path.exists(place):
        place = os.path.dirname(place)
    found = os.statvfs(place)
    free = found.f_bavail * found.f_frsize
    kind = file_system_type(os.stat(place).st_dev)
    report.tell("free", f"{size(free)}{f' on {kind}' if kind else ''}")
    if kind in _MEMORY:
        report.tell("", "this is memory: it counts as used, and is gone at a restart")
    elif kind == "overlay":
        report.tell("", "a container's own layer: gone with the container; mount a volume")
    elif kind in _REMOTE:
        report.tell("", "over the network: a local disk is faster, and sure of its locks")
    if settings is not None and free < settings.max_bytes:
        report.trouble(
            f"{size(free)} are free in {place}, and one run may take {size(settings.max_bytes)}: "
            "make room, or lower PPROFPLUS_MAX_BYTES"
        )


def _contents(home: str, settings: Settings) -> str:
    """Return what is there, in words."""
    services = runs = total = 0
    try:
        for service in os.scandir(home):
            if not (valid_service(service.name) and service.is_dir(follow_symlinks=False)):
                continue
            sizes = [_size_of(run.path) for run in os.scandir(service.path) if _is_run(run)]
            services += bool(sizes)
            runs += len(sizes)
            total += sum(sizes)
    except FileNotFoundError:
        return "nothing"
    except OSError as error:
        return f"cannot be told: {error.strerror}"
    cap = size(settings.max_total_bytes)
    return f"services: {services}, runs: {runs}, {size(total)} of at most {cap}"


def _is_run(entry: os.DirEntry[str]) -> bool:
    return parse_run_name(entry.name) is not None and entry.is_dir(follow_symlinks=False)


def _size_of(run: str) -> int:
    """Return the bytes of a run's segments; 0 if it is gone meanwhile."""
    try:
        return sum(
            entry.stat(follow_symlinks=False).st_size
            for entry in os.scandir(run)
            if parse_segment_name(entry.name) is not None
        )
    except OSError:
        return 0


def _tell_of_costs(report: CheckReport, costs_s: list[float], interval_s: float) -> None:
    ordered = sorted(costs_s)
    median_s, p99_s = ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]
    mean_s = sum(ordered) / len(ordered)
    report.section(f"cost of a sample here, with its write, one every {interval_s:g} s")
    report.tell("median", duration(median_s))
    report.tell("p99", duration(p99_s))
    report.tell("share", f"{mean_s / interval_s:.3%} of a core")
