"""Check of the log directory: its path and why, a test recording, space, and its content."""

from __future__ import annotations

import errno
import os

from pprofplus.doctor.check_report import CheckReport, duration, size
from pprofplus.doctor.trial_run import SAMPLES, Trial, try_recording
from pprofplus.errors import PprofplusError, UnsafeDirectoryError
from pprofplus.log.log_directory import (
    open_log_directory,
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
    errno.EACCES: "run as the service's user, or use another directory (PPROFPLUS_DIR)",
    errno.EPERM: "run as the service's user, or use another directory (PPROFPLUS_DIR)",
    errno.EROFS: "mount a volume there, or use another directory (PPROFPLUS_DIR)",
    errno.ENOSPC: "free some space there, or use another directory (PPROFPLUS_DIR)",
    errno.EDQUOT: "free some space there, or use another directory (PPROFPLUS_DIR)",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENAMETOOLONG: "use a directory with a shorter path (PPROFPLUS_DIR)",
}


def examine_destination(report: CheckReport, directory: str | None, service: str | None) -> None:
    """Report where logs go, and record a test run there; `directory` is --dir, or None."""
    settings = Settings(directory=directory)
    log_directory = settings.log_directory
    report.section("log directory")
    report.add_line("directory", log_directory)
    report.add_line("reason", _reason(directory))
    trial = try_recording(log_directory, settings)
    _report_trial(report, log_directory, trial)
    if service is not None and trial.error is None:
        _examine_service(report, log_directory, service)
    _examine_space(report, log_directory, None if trial.error else settings)
    report.add_line("content", _contents(log_directory, settings))
    if trial.costs_s:
        _report_costs(report, trial.costs_s, settings.interval_s)


def _reason(directory: str | None) -> str:
    """Return why this log directory is used; the order is that of `default_log_directory`."""
    if directory is not None:
        return "given by --dir"
    for name in ("PPROFPLUS_DIR", "STATE_DIRECTORY"):
        if os.environ.get(name):
            more = " (set by systemd)" if name == "STATE_DIRECTORY" else ""
            return f"{name}={os.environ[name]} in the environment{more}"
    return "the default: neither --dir nor PPROFPLUS_DIR nor STATE_DIRECTORY is set"


def _report_trial(report: CheckReport, log_directory: str, trial: Trial) -> None:
    error = trial.error
    if error is not None:
        report.add_line("recording", "fails")
        report.add_problem(_advice(log_directory, error))
        return
    report.add_line("recording", f"works: {SAMPLES} samples were written, read back and removed")
    if trial.locked:
        report.add_line("locks", "work: the monitor can detect which runs are live")
    else:
        report.add_line("locks", "do not work")
        report.add_problem(
            f"{log_directory} is on a file system without file locks, so the monitor cannot detect "
            "which runs are live: use a directory on a local disk (PPROFPLUS_DIR)"
        )


def _advice(log_directory: str, error: BaseException) -> str:
    """Return the problem and what to do."""
    if isinstance(error, PprofplusError):
        mine = isinstance(error, UnsafeDirectoryError) and os.geteuid() == 0
        return f"{error} (if the service owns it, run this as its user)" if mine else str(error)
    number = getattr(error, "errno", None) or 0
    hint = _WHAT_TO_DO.get(number, "use another directory (PPROFPLUS_DIR)")
    return f"cannot record in {log_directory}: {getattr(error, 'strerror', None) or error}: {hint}"


def _examine_service(report: CheckReport, log_directory: str, service: str) -> None:
    """Check the service's own directory, if it exists."""
    if not os.path.lexists(os.path.join(log_directory, service)):
        report.add_line("service", f"{service}: it has no directory yet")
        return
    try:
        log_directory_fd = open_log_directory(log_directory)
        try:
            os.close(open_private(service, within=log_directory_fd))
        finally:
            os.close(log_directory_fd)
    except (OSError, PprofplusError) as error:
        report.add_line("service", f"{service}: refused")
        report.add_problem(f"in {log_directory}: {error}")
        return
    report.add_line("service", f"{service}: its directory exists and is safe")


def _examine_space(report: CheckReport, log_directory: str, settings: Settings | None) -> None:
    """Report the free space and the file system, and whether the space is enough for `settings`."""
    existing = log_directory
    while not os.path.exists(existing):
        existing = os.path.dirname(existing)
    found = os.statvfs(existing)
    free = found.f_bavail * found.f_frsize
    kind = file_system_type(os.stat(existing).st_dev)
    report.add_line("free", f"{size(free)}{f' on {kind}' if kind else ''}")
    if kind in _MEMORY:
        report.add_line(
            "", "this file system is in memory: logs use memory, and are lost at a reboot"
        )
    elif kind == "overlay":
        report.add_line(
            "", "the container's own layer: logs are lost with the container; mount a volume"
        )
    elif kind in _REMOTE:
        report.add_line(
            "", "a network file system: a local disk is faster, and its locks are reliable"
        )
    if settings is not None and free < settings.max_bytes:
        report.add_problem(
            f"{existing} has {size(free)} free, but one run may take {size(settings.max_bytes)}: "
            "free some space, or lower PPROFPLUS_MAX_BYTES"
        )


def _contents(log_directory: str, settings: Settings) -> str:
    """Return a description of the log directory's content."""
    services = runs = total = 0
    try:
        for service in os.scandir(log_directory):
            if not (valid_service(service.name) and service.is_dir(follow_symlinks=False)):
                continue
            sizes = [_size_of(run.path) for run in os.scandir(service.path) if _is_run(run)]
            services += bool(sizes)
            runs += len(sizes)
            total += sum(sizes)
    except FileNotFoundError:
        return "empty"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
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


def _report_costs(report: CheckReport, costs_s: list[float], interval_s: float) -> None:
    ordered = sorted(costs_s)
    median_s, p99_s = ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]
    mean_s = sum(ordered) / len(ordered)
    report.section(f"cost of a sample and its write, at one sample every {interval_s:g} s")
    report.add_line("median", duration(median_s))
    report.add_line("p99", duration(p99_s))
    report.add_line("share", f"{mean_s / interval_s:.3%} of a core")
