"""Why a run ended: the cause and its certainty, from the evidence by an ordered table of rules."""

import signal
from collections.abc import Callable

from pprofplus_tui.model.death import (
    CONTINUED,
    CRASH,
    EXIT,
    FAILED,
    KILLED,
    KNOWN,
    NOT_KNOWN,
    OOM,
    PACKED,
    PROBABLE,
    RESTART,
    SEEN_FROM_OUTSIDE,
    STOPPED,
    TERMINATED,
    TERMINATION_SIGNALS,
    UNKNOWN,
    UNWATCHED,
    WATCH_ENDED,
    Cause,
    Evidence,
    ProcessOutcome,
    signal_name,
)
from pprofplus_tui.model.text import clean
from pprofplus_tui.model.units import format_bytes, format_share, format_span_ms

NO_STOP = "no stop event: killed, crashed or power lost"
_FAULTS = frozenset({"SIGSEGV", "SIGBUS", "SIGABRT", "SIGILL", "SIGFPE", "SIGSYS", "SIGTRAP"})
_SHELL_CODES = 128  # a shell gives 128 + n for a command that signal n ended
_SOON_MS = 600_000  # a machine that lost power is usually up again by then
_TEXT_CELLS = 120


def decide(evidence: Evidence) -> Cause:
    """Return the cause from the first rule that has evidence for one."""
    found = (rule(evidence) for rule in _RULES)
    return next((cause for cause in found if cause is not None), _nothing(evidence))


# The rules, in the order in which they are tried: direct evidence comes before inference.


def _packed(evidence: Evidence) -> Cause | None:
    if evidence.packed_cause is not None:
        return evidence.packed_cause
    return Cause(PACKED, KNOWN, "live when packed") if evidence.packed else None


def _oom_recorded(evidence: Evidence) -> Cause | None:
    outcome, kernel = evidence.outcome, evidence.kernel
    if kernel is not None and kernel.oom:
        return Cause(
            OOM, KNOWN, "out of memory", "the kernel's log names it as killed by the OOM killer"
        )
    if outcome is not None and outcome.oom_killed:
        return Cause(
            OOM, KNOWN, "out of memory", _outcome_text(outcome, "killed by the OOM killer")
        )
    return None


def _continued(evidence: Evidence) -> Cause | None:
    if not evidence.is_continued or evidence.stop is None:
        return None
    return Cause(STOPPED, KNOWN, CONTINUED, clean(evidence.stop, _TEXT_CELLS))


def _still_running(evidence: Evidence) -> Cause | None:
    if not evidence.still_runs or evidence.outcome is not None:
        return None
    if evidence.stop == WATCH_ENDED:
        return Cause(UNWATCHED, KNOWN, "no longer watched", "the process still runs")
    why = (
        "under another command line (exec)"
        if evidence.other_command_line
        else "without a stop event"
    )
    if evidence.stop is not None:
        why = "it called pprofplus.stop()"
    return Cause(STOPPED, KNOWN, "no longer recorded", f"the process still runs, {why}")


def _unwatched(evidence: Evidence) -> Cause | None:
    if evidence.stop != WATCH_ENDED or evidence.outcome is not None:
        return None
    return Cause(UNWATCHED, KNOWN, "no longer watched", "pprofplus watch ended before the process")


def _oom_counted(evidence: Evidence) -> Cause | None:
    outcome = evidence.outcome
    if evidence.stopped_in_order:
        return None
    if outcome is not None and (
        outcome.signal != signal.SIGKILL
        or outcome.oom_killed is False  # its parent has seen another end
    ):
        return None
    counts = (
        (evidence.kills.siblings, "other runs of its cgroup counted {} right after"),
        (evidence.kills.own, "its cgroup counted {} in its last samples"),
        (evidence.kills.now, "its cgroup has counted {} since"),
    )
    for count, words in counts:
        if count > 0:
            kills = "an OOM kill" if count == 1 else f"{count} OOM kills"
            return Cause(OOM, PROBABLE, "out of memory", words.format(kills))
    if outcome is not None and evidence.near_limit:
        return _near_limit(evidence)
    return None


def _by_outcome(evidence: Evidence) -> Cause | None:
    outcome = evidence.outcome
    if outcome is None:
        return None
    if outcome.signal is not None:
        return _by_signal(outcome.signal, _outcome_text(outcome))
    if outcome.exit_code:
        return _by_exit_code(outcome.exit_code, _outcome_text(outcome))
    return None


def _by_kernel(evidence: Evidence) -> Cause | None:
    kernel = evidence.kernel
    if kernel is None or evidence.stopped_in_order:
        return None
    record = clean(kernel.text, _TEXT_CELLS)
    short = "segfault" if "segfault" in kernel.text else "crash"
    return Cause(CRASH, KNOWN, short, f"the kernel's log says: {record}")


def _by_wait_status(evidence: Evidence) -> Cause | None:
    status = evidence.wait_status
    if not status:
        return None
    reason = "its parent has not waited for it yet"
    if status & 0x7F:
        return _by_signal(status & 0x7F, reason)
    return _by_exit_code(status >> 8 & 0xFF, reason)


def _in_order(evidence: Evidence) -> Cause | None:
    stop, outcome = evidence.stop, evidence.outcome
    if evidence.stopped_in_order and stop is not None:
        reason = clean(stop, _TEXT_CELLS)
        if "SIGTERM" in stop:
            return Cause(TERMINATED, KNOWN, "exited by SIGTERM", reason)
        return Cause(EXIT, KNOWN, "exited", reason)
    if outcome is not None and outcome.exit_code == 0:
        return Cause(EXIT, KNOWN, "exited", _outcome_text(outcome, "exit code 0"))
    return None


def _observed_from_outside(evidence: Evidence) -> Cause | None:
    if evidence.stop != SEEN_FROM_OUTSIDE:
        return None
    if evidence.near_limit:
        return _near_limit(evidence)
    return Cause(EXIT, UNKNOWN, "ended", "observed from outside: its exit status is not known")


def _near_limit(evidence: Evidence) -> Cause | None:
    if not evidence.near_limit or evidence.share is None or evidence.limit_bytes is None:
        return None
    size = format_bytes(evidence.limit_bytes)
    reason = f"its cgroup was at {format_share(evidence.share)} of its limit, {size}"
    return Cause(OOM, PROBABLE, "out of memory", reason)


def _restarted(evidence: Evidence) -> Cause | None:
    booted_ms = evidence.booted_ms
    if booted_ms is None:
        return None
    later_ms = booted_ms - evidence.last_ms
    reason = (
        f"no stop event, and the machine started {format_span_ms(later_ms)} after the last sample"
    )
    if 0 <= later_ms < _SOON_MS:
        return Cause(
            RESTART, PROBABLE, "the machine restarted", f"{reason}: power loss or a reboot"
        )
    return Cause(RESTART, UNKNOWN, "cause not known", reason)


_RULES: tuple[Callable[[Evidence], Cause | None], ...] = (
    _packed,
    _continued,
    _oom_recorded,
    _still_running,
    _unwatched,
    _oom_counted,
    _by_outcome,
    _by_kernel,
    _by_wait_status,
    _in_order,
    _observed_from_outside,
    _near_limit,
    _restarted,
)


def _nothing(evidence: Evidence) -> Cause:
    reason = NO_STOP
    if evidence.other_machine:
        reason += (
            f" (recorded on {clean(evidence.other_machine, 40)}, whose kernel log is not available)"
        )
    return Cause(NOT_KNOWN, UNKNOWN, "cause not known", reason)


def _outcome_text(outcome: ProcessOutcome, otherwise: str = "") -> str:
    """Return who recorded the outcome, and its text; both made safe."""
    by = clean(outcome.by, 40) or "an outcome file"
    text = clean(outcome.text, _TEXT_CELLS) or otherwise
    return f"{by}: {text}" if text else f"seen by {by}"


def _by_signal(number: int, reason: str) -> Cause:
    name = signal_name(number)
    if name in TERMINATION_SIGNALS:
        return Cause(TERMINATED, KNOWN, f"ended by {name}", reason)
    return Cause(CRASH if name in _FAULTS else KILLED, KNOWN, name, reason)


def _by_exit_code(code: int, reason: str) -> Cause:
    short = f"exit code {code}"
    if _SHELL_CODES < code <= _SHELL_CODES + 64:
        short += f" ({signal_name(code - _SHELL_CODES)})"
    return Cause(FAILED, KNOWN, short, reason)
