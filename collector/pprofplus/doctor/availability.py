"""Which metrics are to be had here, which not and why, and what the dear ones cost."""

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

# what a source has to say of itself when it is there, and has no figures now
_SILENT = {
    "traced": "comes and goes with tracemalloc, which is not tracing",
    "cgroup_limit": "comes and goes with a limit, and none is set",
}
_ROUNDS = 5


def examine_sources(report: CheckReport) -> None:
    """Open each source as a service does, read it, and say what came of it."""
    problem = proc_problem()
    if problem:
        report.trouble(problem)
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
            absent[missing] = "; ".join([*reasons, "psutil does not tell it on this platform"])
        try:
            if probe.read() is None:
                absent[probe.names] = _SILENT.get(probe.names[0], "has no figures now")
            else:
                available += probe.names
                if probe.budgeted:
                    costs.append((probe.names, _cost_s(probe)))
        except Exception as error:  # noqa: BLE001 - whatever a probe raises is what we are here to tell
            absent[probe.names] = f"failed: {error!r}"
            report.trouble(
                f"{', '.join(probe.names)} cannot be read: {error!r}; the others are kept up"
            )
        finally:
            probe.close()
    report.section(f"metrics: {len(available)} of {len(CATALOGUE)}")
    report.tell("available", ", ".join(available))
    for names, reason in absent.items():
        report.tell("not here", f"{', '.join(names)}: {reason}")
    for names, cost_s in costs:
        report.tell("budgeted", f"{', '.join(names)}: {duration(cost_s)} of CPU in this process")
    report.tell("", "these grow with the heap, and run as seldom as the budget says")


def _open(choices: tuple[Callable[[], Probe], ...]) -> tuple[Probe | None, list[str]]:
    """Return the first source that exists here, or None, and why those before it do not."""
    reasons: list[str] = []
    for choice in choices:
        try:
            return choice(), reasons
        except Exception as error:  # noqa: BLE001, PERF203 - as above
            reasons.append(str(error) or repr(error))
    return None, reasons


def _cost_s(probe: Probe) -> float:
    """Return the least CPU seconds that one reading takes."""
    costs_ns = []
    for _ in range(_ROUNDS):
        began_ns = thread_time_ns()
        probe.read()
        costs_ns.append(thread_time_ns() - began_ns)
    return min(costs_ns) / 1e9
