"""Why a run ended: a cause with its certainty, decided from evidence by an ordered table of rules.

The evidence comes from the log, from the `outcome` file that a parent or a service manager wrote,
from the kernel's log, from control groups and from /proc; `logs.deaths` collects it.
"""

import signal
from collections.abc import Callable
from dataclasses import dataclass, field

from pprofplus_tui.model.text import clean
from pprofplus_tui.model.units import format_bytes, format_span_ms

# how sure a cause is
KNOWN, PROBABLE, UNKNOWN = CERTAINTIES = ("known", "probable", "unknown")

# kinds of causes
OOM = "oom"  # the kernel's OOM killer
KILLED = "killed"  # SIGKILL, by whom is not known
CRASH = "crash"  # a signal that the process's own fault raises
FAILED = "failed"  # an exit code other than 0
RESTART = "restart"  # the machine restarted
NOT_KNOWN = "unknown"
EXIT = "exit"  # in order
TERMINATED = "terminated"  # by a signal that asks a process to end
UNWATCHED = "unwatched"  # `pprofplus watch` ended before the process did
STOPPED = "stopped"  # recording ended, the process still runs
PACKED = "packed"  # the run was live when its bundle was packed
DEATHS = frozenset({OOM, KILLED, CRASH, FAILED, RESTART, NOT_KNOWN})
_KINDS = DEATHS | {EXIT, TERMINATED, UNWATCHED, STOPPED, PACKED}

# texts of stop events, as `pprofplus watch` writes them
WATCH_ENDED = "the watch ended"
SEEN_FROM_OUTSIDE = "the process ended, seen from outside"

_BRIEFS = {OOM: "OOM", RESTART: "restart"}
NO_STOP = "no stop event: killed, crashed or power lost"
_ASKED = frozenset({"SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"})
_FAULTS = frozenset({"SIGSEGV", "SIGBUS", "SIGABRT", "SIGILL", "SIGFPE", "SIGSYS", "SIGTRAP"})
_SHELL_CODES = 128  # a shell gives 128 + n for a command that signal n ended
NEAR_LIMIT = 0.9  # of the cgroup's limit; what is above it is taken for near
_SOON_MS = 600_000  # a machine that lost power is usually up again by then
_TEXT_CELLS, _SHORT_CELLS = 120, 40


@dataclass(frozen=True)
class Outcome:
    """How a process ended, as its parent or its service manager saw it.

    Attributes:
        by: who says so; untrusted, as `text`.
        unix_ms: when.
        exit_code: None if a signal ended it, or it is not known.
        signal: number, None if it is not known or none ended it.
        oom_killed: None if it is not known.
        text: what else was said.
    """

    by: str = ""
    unix_ms: int = 0
    exit_code: int | None = None
    signal: int | None = None
    oom_killed: bool | None = None
    text: str = ""

    @property
    def in_order(self) -> bool:
        """Whether the process ended without a failure: exit code 0, or asked to by a signal."""
        if self.oom_killed:
            return False
        return self.exit_code == 0 or (
            self.signal is not None and signal_name(self.signal) in _ASKED
        )


@dataclass(frozen=True)
class KernelRecord:
    """What the kernel's log says about the process.

    Attributes:
        oom: the OOM killer killed it; False: a fault of its own.
        t_ms: unix milliseconds.
        text: the record; untrusted, for a process chooses its name.
    """

    oom: bool
    t_ms: int
    text: str


@dataclass(frozen=True)
class OomKills:
    """By how much the `oom_kill` count of the process's cgroup rose, and where that was seen.

    Attributes:
        own: between the last samples of the run itself.
        siblings: after the last sample, in other runs of the same cgroup.
        now: since the last sample, as the cgroup says now.
    """

    own: int = 0
    siblings: int = 0
    now: int = 0


@dataclass(frozen=True)
class Evidence:
    """All that is known about the end of a run; the defaults mean that nothing is known.

    Attributes:
        stop: text of its stop event, None if there is none.
        packed: the run was live when the bundle was packed that it is from.
        packed_cause: what was found when the bundle was packed, None if nothing.
        outcome: see `Outcome`.
        kernel: see `KernelRecord`.
        kills: see `OomKills`.
        used_bytes, limit_bytes: use and limit of the cgroup at the last sample.
        lives: the process is still there.
        renamed: its command line is another one than the log's.
        wait_status: of a process that its parent has yet to wait for, as `os.wait` gives it.
        last_ms: unix milliseconds of the last sample.
        booted_ms: when the machine started, if that was after the last sample.
        elsewhere: name of another machine that the run is from, or "".
    """

    stop: str | None = None
    packed: bool = False
    packed_cause: "Cause | None" = None
    outcome: Outcome | None = None
    kernel: KernelRecord | None = None
    kills: OomKills = field(default_factory=OomKills)
    used_bytes: int | None = None
    limit_bytes: int | None = None
    lives: bool = False
    renamed: bool = False
    wait_status: int | None = None
    last_ms: int = 0
    booted_ms: int | None = None
    elsewhere: str = ""

    @property
    def stopped_in_order(self) -> bool:
        """Whether the process itself wrote that it stops."""
        return self.stop is not None and self.stop not in {SEEN_FROM_OUTSIDE, WATCH_ENDED}

    @property
    def share(self) -> float | None:
        """The share of the cgroup's limit that was used at the last sample."""
        if self.used_bytes is None or not self.limit_bytes:
            return None
        return self.used_bytes / self.limit_bytes

    @property
    def near_limit(self) -> bool:
        """Whether the cgroup had little room left at the last sample."""
        return self.share is not None and self.share >= NEAR_LIMIT


@dataclass(frozen=True)
class Cause:
    """Why a run ended.

    Attributes:
        kind: one of the kinds above.
        certainty: one of CERTAINTIES.
        short: two or three words, as "out of memory" or "exit code 3".
        reason: the evidence, in one clause; safe to show.
    """

    kind: str
    certainty: str
    short: str
    reason: str = ""

    @property
    def is_death(self) -> bool:
        """Whether the process did not end as it should."""
        return self.kind in DEATHS

    @property
    def text(self) -> str:
        """The cause with its certainty: "probably out of memory", "SIGKILL"."""
        return f"probably {self.short}" if self.certainty == PROBABLE else self.short

    @property
    def brief(self) -> str:
        """The cause where there is room for a word or two only; "" if it is not known."""
        if self.certainty == UNKNOWN:
            return ""
        brief = _BRIEFS.get(self.kind, self.short)
        return f"{brief}?" if self.certainty == PROBABLE else brief

    @property
    def sentence(self) -> str:
        """The cause, its certainty and the evidence."""
        return f"{self.text}: {self.reason}" if self.reason else self.text

    def as_json(self) -> dict[str, str]:
        """Return the cause as an object of JSON."""
        return {
            "kind": self.kind,
            "certainty": self.certainty,
            "short": self.short,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Death:
    """The end of a run, and what it held then.

    Attributes:
        t_ms: unix milliseconds of the last sample.
        cause: why.
        rss_bytes: resident set at the last sample, None if the log has none.
        peak_bytes: the largest resident set in the log.
        used_bytes, limit_bytes: use and limit of the cgroup at the last sample.
    """

    t_ms: int
    cause: Cause
    rss_bytes: int | None = None
    peak_bytes: int | None = None
    used_bytes: int | None = None
    limit_bytes: int | None = None

    @property
    def figures(self) -> str:
        """What memory was at the end, in words; "" if the log has none of it."""
        parts = []
        if self.rss_bytes is not None:
            parts.append(f"RSS {format_bytes(self.rss_bytes)}")
        if self.peak_bytes is not None:
            parts.append(f"peak {format_bytes(self.peak_bytes)}")
        if self.used_bytes is not None and self.limit_bytes:
            share = f"{100 * self.used_bytes / self.limit_bytes:.0f} %"
            parts.append(f"container at {share} of its limit, {format_bytes(self.limit_bytes)}")
        return ", ".join(parts)

    @property
    def told(self) -> str:
        """The cause, the figures and the evidence, a line each."""
        return "\n".join(filter(None, (self.cause.text, self.figures, self.cause.reason)))


def cause_of(found: object) -> Cause | None:
    """Return the cause in an object of JSON, as `as_json` makes them; None if it is no such thing.

    It may come from anybody: its texts are made safe.
    """
    if not isinstance(found, dict):
        return None
    names = ("kind", "certainty", "short", "reason")
    words = [found.get(name) for name in names]
    if not all(isinstance(word, str) for word in words):
        return None
    kind, certainty, short, reason = map(str, words)
    if kind not in _KINDS or certainty not in CERTAINTIES:
        return None
    return Cause(kind, certainty, clean(short, _SHORT_CELLS), clean(reason, 2 * _TEXT_CELLS))


def signal_name(number: int) -> str:
    """Return the name of a signal: "SIGKILL", or "signal 99"."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def decide(evidence: Evidence) -> Cause:
    """Return the cause that the first rule finds which has evidence for one."""
    found = (rule(evidence) for rule in _RULES)
    return next((cause for cause in found if cause is not None), _nothing(evidence))


# The rules, in the order in which they are asked: a witness of the end comes before a guess.


def _packed(evidence: Evidence) -> Cause | None:
    if evidence.packed_cause is not None:
        return evidence.packed_cause
    return Cause(PACKED, KNOWN, "live when packed") if evidence.packed else None


def _oom_witnessed(evidence: Evidence) -> Cause | None:
    outcome, kernel = evidence.outcome, evidence.kernel
    if kernel is not None and kernel.oom:
        return Cause(OOM, KNOWN, "out of memory", "the kernel's log says that its OOM killer came")
    if outcome is not None and outcome.oom_killed:
        return Cause(OOM, KNOWN, "out of memory", _says(outcome, "the OOM killer came"))
    return None


def _still_there(evidence: Evidence) -> Cause | None:
    if not evidence.lives or evidence.outcome is not None:
        return None
    if evidence.stop == WATCH_ENDED:
        return Cause(UNWATCHED, KNOWN, "not watched any more", "the process still runs")
    why = "under another command line (exec)" if evidence.renamed else "without a stop event"
    if evidence.stop is not None:
        why = "it called pprofplus.stop()"
    return Cause(STOPPED, KNOWN, "not recorded any more", f"the process still runs, {why}")


def _unwatched(evidence: Evidence) -> Cause | None:
    if evidence.stop != WATCH_ENDED or evidence.outcome is not None:
        return None
    return Cause(UNWATCHED, KNOWN, "not watched any more", "pprofplus watch ended before it")


def _oom_counted(evidence: Evidence) -> Cause | None:
    outcome = evidence.outcome
    if evidence.stopped_in_order:
        return None
    if outcome is not None and outcome.signal != signal.SIGKILL:
        return None
    places = (
        (evidence.kills.siblings, "other runs of its cgroup counted {} right after"),
        (evidence.kills.own, "its cgroup counted {} in its last samples"),
        (evidence.kills.now, "its cgroup has counted {} since"),
    )
    for count, said in places:
        if count > 0:
            kills = "an OOM kill" if count == 1 else f"{count} OOM kills"
            return Cause(OOM, PROBABLE, "out of memory", said.format(kills))
    if outcome is not None and evidence.near_limit:
        return _near_limit(evidence)
    return None


def _by_outcome(evidence: Evidence) -> Cause | None:
    outcome = evidence.outcome
    if outcome is None:
        return None
    if outcome.signal is not None:
        return _by_signal(outcome.signal, _says(outcome))
    if outcome.exit_code:
        return _by_exit_code(outcome.exit_code, _says(outcome))
    return None


def _by_kernel(evidence: Evidence) -> Cause | None:
    kernel = evidence.kernel
    if kernel is None or evidence.stopped_in_order:
        return None
    told = clean(kernel.text, _TEXT_CELLS)
    short = "segfault" if "segfault" in kernel.text else "crash"
    return Cause(CRASH, KNOWN, short, f"the kernel's log says: {told}")


def _by_wait_status(evidence: Evidence) -> Cause | None:
    status = evidence.wait_status
    if not status:
        return None
    said = "its parent has yet to wait for it"
    if status & 0x7F:
        return _by_signal(status & 0x7F, said)
    return _by_exit_code(status >> 8 & 0xFF, said)


def _in_order(evidence: Evidence) -> Cause | None:
    stop, outcome = evidence.stop, evidence.outcome
    if evidence.stopped_in_order and stop is not None:
        said = clean(stop, _TEXT_CELLS)
        if "SIGTERM" in stop:
            return Cause(TERMINATED, KNOWN, "exited by SIGTERM", said)
        return Cause(EXIT, KNOWN, "exited", said)
    if outcome is not None and outcome.exit_code == 0:
        return Cause(EXIT, KNOWN, "exited", _says(outcome, "exit code 0"))
    return None


def _seen_from_outside(evidence: Evidence) -> Cause | None:
    if evidence.stop != SEEN_FROM_OUTSIDE:
        return None
    if evidence.near_limit:
        return _near_limit(evidence)
    return Cause(EXIT, UNKNOWN, "ended", "seen from outside, how is not known")


def _near_limit(evidence: Evidence) -> Cause | None:
    if not evidence.near_limit or evidence.share is None or evidence.limit_bytes is None:
        return None
    size = format_bytes(evidence.limit_bytes)
    told = f"its container was at {100 * evidence.share:.0f} % of its limit, {size}"
    return Cause(OOM, PROBABLE, "out of memory", told)


def _restarted(evidence: Evidence) -> Cause | None:
    booted_ms = evidence.booted_ms
    if booted_ms is None:
        return None
    later_ms = booted_ms - evidence.last_ms
    told = f"no stop event, and the machine started {format_span_ms(later_ms)} after"
    if 0 <= later_ms < _SOON_MS:
        return Cause(RESTART, PROBABLE, "the machine restarted", f"{told}: power lost, or a reboot")
    return Cause(RESTART, UNKNOWN, "cause not known", f"{told} the last sample")


_RULES: tuple[Callable[[Evidence], Cause | None], ...] = (
    _packed,
    _oom_witnessed,
    _still_there,
    _unwatched,
    _oom_counted,
    _by_outcome,
    _by_kernel,
    _by_wait_status,
    _in_order,
    _seen_from_outside,
    _near_limit,
    _restarted,
)


def _nothing(evidence: Evidence) -> Cause:
    told = NO_STOP
    if evidence.elsewhere:
        told += f" (recorded on {clean(evidence.elsewhere, 40)}, whose kernel log is not here)"
    return Cause(NOT_KNOWN, UNKNOWN, "cause not known", told)


def _says(outcome: Outcome, otherwise: str = "") -> str:
    """Return who said it, and what; their texts made safe."""
    by = clean(outcome.by, 40) or "an outcome file"
    text = clean(outcome.text, _TEXT_CELLS) or otherwise
    return f"{by}: {text}" if text else f"seen by {by}"


def _by_signal(number: int, said: str) -> Cause:
    name = signal_name(number)
    if name in _ASKED:
        return Cause(TERMINATED, KNOWN, f"ended by {name}", said)
    return Cause(CRASH if name in _FAULTS else KILLED, KNOWN, name, said)


def _by_exit_code(code: int, said: str) -> Cause:
    short = f"exit code {code}"
    if _SHELL_CODES < code <= _SHELL_CODES + 64:
        short += f" ({signal_name(code - _SHELL_CODES)})"
    return Cause(FAILED, KNOWN, short, said)
