"""Check of the metric sources: available, unavailable and why, and the cost of expensive ones."""

from __future__ import annotations

from time import thread_time_ns

from pprofplus.doctor.check_report import CheckReport, duration
from pprofplus.metrics import CATALOGUE
from pprofplus.probes import Probe
from pprofplus.probes.probe_set import SOURCES
from pprofplus.system.procfs import proc_problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# the reason why a source that exists has no values now
_SILENT = {
    "traced": "recorded while tracemalloc is tracing, which is not now",
    "cgroup_limit": "recorded while the cgroup has a limit; none is set",
}
_ROUNDS = 5


def examine_sources(report: CheckReport) -> None:
    """Open each source as a service does, read it, and report the result."""
    problem = proc_problem()
    if problem:
        report.add_problem(problem)
    available: list[str] = []
    costs: list[tuple[tuple[str, ...], float]] = []
    absent: dict[tuple[str, ...], str] = {}
    for choices in SOURCES:
        wanted: tuple[str, ...] = getattr(choices[0], "names", ())
        probe, reasons = _open(choices)
        if probe is None:
            absent[wanted] = "; ".join(reasons)
            continue
        missing = tuple(name for name in wanted if name not in probe.names)
        if missing:
            absent[missing] = "; ".join([*reasons, "psutil does not provide it on this platform"])
        try:
            if probe.read() is None:
                absent[probe.names] = _SILENT.get(probe.names[0], "has no value now")
            else:
                available += probe.names
                if probe.budgeted:
                    costs.append((probe.names, _cost_s(probe)))
        except Exception as error:  # noqa: BLE001 - report any exception of a probe
            absent[probe.names] = f"failed: {error!r}"
            report.add_problem(
                f"{', '.join(probe.names)} cannot be read: {error!r}; other metrics are recorded"
            )
        finally:
            probe.close()
    report.section(f"metrics: {len(available)} of {len(CATALOGUE)}")
    report.add_line("available", ", ".join(available))
    for names, reason in absent.items():
        report.add_line("unavailable", f"{', '.join(names)}: {reason}")
    for names, cost_s in costs:
        report.add_line(
            "budgeted", f"{', '.join(names)}: {duration(cost_s)} of CPU in this process"
        )
    report.add_line("", "this cost grows with the heap; the budget limits how often they are read")


def _open(choices: tuple[Callable[[], Probe], ...]) -> tuple[Probe | None, list[str]]:
    """Return the first source that exists here, or None, and why the earlier ones do not."""
    reasons: list[str] = []
    for choice in choices:
        try:
            return choice(), reasons
        except Exception as error:  # noqa: BLE001 - as above
            reasons.append(str(error) or repr(error))
    return None, reasons


def _cost_s(probe: Probe) -> float:
    """Return the minimum CPU seconds of one reading."""
    costs_ns = []
    for _ in range(_ROUNDS):
        began_ns = thread_time_ns()
        probe.read()
        costs_ns.append(thread_time_ns() - began_ns)
    return min(costs_ns) / 1e9
