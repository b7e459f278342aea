"""The end of a run: the evidence for its cause, the cause, and what memory was then.

The sources of evidence are the log, the `outcome` file that a parent or a service manager wrote,
the kernel's log, control groups and /proc; `sources.local.death_evidence` collects it.
"""

import signal
from dataclasses import dataclass, field

from pprofplus_tui.model.text import clean
from pprofplus_tui.model.units import format_bytes, format_share

# how sure a cause is
KNOWN, PROBABLE, UNKNOWN = CERTAINTIES = ("known", "probable", "unknown")

# kinds of causes
OOM = "oom"  # the kernel's OOM killer
KILLED = "killed"  # SIGKILL from an unknown sender
CRASH = "crash"  # a signal that the process's own fault raises
FAILED = "failed"  # an exit code other than 0
RESTART = "restart"  # the machine restarted
NOT_KNOWN = "unknown"
EXIT = "exit"  # normally
TERMINATED = "terminated"  # by a signal that requests it
UNWATCHED = "unwatched"  # `pprofplus watch` ended before the process did
STOPPED = "stopped"  # recording ended, the process still runs
PACKED = "packed"  # the run was live when its bundle was packed
DEATHS = frozenset({OOM, KILLED, CRASH, FAILED, RESTART, NOT_KNOWN})
_KINDS = DEATHS | {EXIT, TERMINATED, UNWATCHED, STOPPED, PACKED}

# texts of stop events, as `pprofplus watch` writes them
WATCH_ENDED = "the watch ended"
SEEN_FROM_OUTSIDE = "the process ended, seen from outside"
# how the stop event of a process that became another user begins
CONTINUED = "goes on in another run"

_BRIEFS = {OOM: "OOM", RESTART: "restart"}
# signals that request a process to end
TERMINATION_SIGNALS = frozenset({"SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"})
NEAR_LIMIT = 0.9  # share of the cgroup's limit; use above it counts as near
_TEXT_CELLS, _SHORT_CELLS = 120, 40


@dataclass(frozen=True)
class ProcessOutcome:
    """How a process ended, as its parent or its service manager saw it.

    Attributes:
        by: who wrote it; untrusted, as `text`.
        unix_ms: when.
        exit_code: None if a signal ended it, or it is not known.
        signal: number, None if it is not known or none ended it.
        oom_killed: None if it is not known.
        text: more details.
    """

    by: str = ""
    unix_ms: int = 0
    exit_code: int | None = None
    signal: int | None = None
    oom_killed: bool | None = None
    text: str = ""

    @property
    def in_order(self) -> bool:
        """Whether the process ended without a failure: exit code 0, or a termination signal."""
        if self.oom_killed:
            return False
        return self.exit_code == 0 or (
            self.signal is not None and signal_name(self.signal) in TERMINATION_SIGNALS
        )


@dataclass(frozen=True)
class KernelRecord:
    """The record of the kernel's log about the process.

    Attributes:
        oom: the OOM killer killed it; False: a fault of its own.
        t_ms: unix milliseconds.
        text: the record; untrusted, because a process chooses its own name.
    """

    oom: bool
    t_ms: int
    text: str


@dataclass(frozen=True)
class OomKills:
    """The increase of the `oom_kill` count of the process's cgroup, by where it was read.

    Attributes:
        own: between the last samples of the run itself.
        siblings: after the last sample, in other runs of the same cgroup.
        now: since the last sample, by the current count of the cgroup.
    """

    own: int = 0
    siblings: int = 0
    now: int = 0


@dataclass(frozen=True)
class Evidence:
    """All that is known about the end of a run; the defaults mean that nothing is known.

    Attributes:
        stop: text of its stop event, None if there is none.
        packed: the run comes from a bundle, and was live when the bundle was packed.
        packed_cause: the cause found when the bundle was packed, None if there was none.
        outcome: see `ProcessOutcome`.
        kernel: see `KernelRecord`.
        kills: see `OomKills`.
        used_bytes, limit_bytes: use and limit of the cgroup at the last sample.
        still_runs: the process still runs.
        other_command_line: its command line differs from the log's.
        wait_status: of a zombie (its parent has not waited for it yet), as `os.wait` returns it.
        last_ms: unix milliseconds of the last sample.
        booted_ms: when the machine started, if that was after the last sample.
        other_machine: the machine on which the run was recorded, if it is not this one, or "".
    """

    stop: str | None = None
    packed: bool = False
    packed_cause: "Cause | None" = None
    outcome: ProcessOutcome | None = None
    kernel: KernelRecord | None = None
    kills: OomKills = field(default_factory=OomKills)
    used_bytes: int | None = None
    limit_bytes: int | None = None
    still_runs: bool = False
    other_command_line: bool = False
    wait_status: int | None = None
    last_ms: int = 0
    booted_ms: int | None = None
    other_machine: str = ""

    @property
    def stopped_in_order(self) -> bool:
        """Whether the process itself wrote a stop event."""
        others = {SEEN_FROM_OUTSIDE, WATCH_ENDED}
        return self.stop is not None and self.stop not in others and not self.is_continued

    @property
    def is_continued(self) -> bool:
        """Whether another run of the same process follows."""
        return self.stop is not None and self.stop.startswith(CONTINUED)

    @property
    def share(self) -> float | None:
        """The share of the cgroup's limit that was used at the last sample."""
        if self.used_bytes is None or not self.limit_bytes:
            return None
        return self.used_bytes / self.limit_bytes

    @property
    def near_limit(self) -> bool:
        """Whether the cgroup was near its limit at the last sample."""
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
        """Whether the process ended abnormally."""
        return self.kind in DEATHS

    @property
    def is_expected(self) -> bool:
        """Whether the run's state already implies the cause."""
        return self.kind == PACKED or (self.kind == EXIT and self.certainty == KNOWN)

    @property
    def text(self) -> str:
        """The cause with its certainty: "probably out of memory", "SIGKILL"."""
        return f"probably {self.short}" if self.certainty == PROBABLE else self.short

    @property
    def listed(self) -> str | None:
        """The cause for a list of runs, None if it is unknown or the state implies it."""
        return None if self.is_expected or self.certainty == UNKNOWN else self.text

    @property
    def brief(self) -> str:
        """The cause in a word or two; "" if it is not known."""
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
    """The end of a run, and its memory then.

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
        """The memory at the end, in words; "" if the log has no figures."""
        parts = []
        if self.rss_bytes is not None:
            parts.append(f"RSS {format_bytes(self.rss_bytes)}")
        if self.peak_bytes is not None:
            parts.append(f"peak {format_bytes(self.peak_bytes)}")
        if self.used_bytes is not None and self.limit_bytes:
            share = format_share(self.used_bytes / self.limit_bytes)
            parts.append(f"cgroup at {share} of its limit, {format_bytes(self.limit_bytes)}")
        return ", ".join(parts)

    @property
    def details(self) -> str:
        """The cause, the figures and the evidence, a line each."""
        return "\n".join(filter(None, (self.cause.text, self.figures, self.cause.reason)))


def cause_of(found: object) -> Cause | None:
    """Return the cause in an object of JSON, as `as_json` makes them; None if it is something else.

    The object is untrusted: its texts are made safe.
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
