"""Check of the triggers: at how much memory, or when else, profiles would be taken here."""

from __future__ import annotations

from pprofplus.doctor.check_report import CheckReport, size
from pprofplus.errors import ProbeAbsentError
from pprofplus.probes.cgroup import Cgroup
from pprofplus.probes.limited_cgroup import open_limited
from pprofplus.recording.limit_trigger import MOST_PER_HOUR, SHARES
from pprofplus.settings import Settings


def examine_triggers(report: CheckReport) -> None:
    """Report the memory limits and the expression that a service started here would watch."""
    settings = Settings()
    report.section("profiles taken by triggers")
    if not settings.triggers:
        report.add_line("none", "PPROFPLUS_PROFILE_WHEN switches them off")
        return
    _examine_limits(report)
    expression = settings.profile_when
    if expression is not None:
        report.add_line("expression", expression.text)
        if "cgroup_limit" in expression.metrics and not _limits():
            report.add_line("", "a comparison with a share of the limit never holds without one")
    report.add_line("at most", f"{MOST_PER_HOUR} times an hour for each of them")


def _examine_limits(report: CheckReport) -> None:
    found = _limits()
    if not found:
        report.add_line("memory limit", "none: only an expression can be a trigger")
        return
    for directory, limit_bytes, used_bytes in found:
        report.add_line("memory limit", f"{size(limit_bytes)}, of {directory}")
        if used_bytes is not None:
            share = 100 * used_bytes / limit_bytes
            report.add_line("", f"in use without page cache: {size(used_bytes)}, {share:.0f} %")
        for name, share in SHARES:
            report.add_line(name, f"{size(share * limit_bytes)}: threads, heap, maps")


def _limits() -> list[tuple[str, int, int | None]]:
    """Return (directory, limit, used) of each cgroup with a limit, in bytes."""
    try:
        cgroup = Cgroup()
        limits = cgroup.limits()
    except (ProbeAbsentError, OSError):
        return []
    found = []
    for each in open_limited(cgroup, limits):
        used_bytes = None
        try:
            used_bytes = each.used_bytes()
        except (OSError, ValueError):
            pass
        each.close()
        found.append((each.directory, each.limit_bytes, used_bytes))
    return found
