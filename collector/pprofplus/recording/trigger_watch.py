"""Watches memory and the expression of `profile_when` on the collector's thread.

While nothing is near a limit, that costs the collector's thread one reading of a kept descriptor a
second. What fires is captured by another thread: see `triggered_capture`.
"""

from __future__ import annotations

from time import monotonic_ns

from pprofplus.probes.cgroup import CgroupLimitProbe, CgroupUsedProbe
from pprofplus.probes.limited_cgroup import open_limited
from pprofplus.probes.process import DescriptorsProbe, StatmProbe, ThreadsProbe
from pprofplus.recording.limit_trigger import MAX_POLL_S, LimitTriggers, RateLimit
from pprofplus.warn import describe

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable

    from pprofplus.probes import Probe
    from pprofplus.probes.limited_cgroup import LimitedCgroup
    from pprofplus.probes.probe_set import ProbeSet
    from pprofplus.profiles.trigger_expression import TriggerExpression

WHEN = "when"  # the name of the expression's trigger in names of artefacts

_NS = 1_000_000_000
# the limits are read with the samples; with rarer samples, after this time
_LIMITS_NS = 15 * _NS
# with rarer samples, the metrics of an expression that are cheap are read between them
_RARE_S = 2.0
_CHEAP: tuple[type[Probe], ...] = (
    StatmProbe,
    ThreadsProbe,
    DescriptorsProbe,
    CgroupUsedProbe,
)


class FiredTrigger:
    """A trigger that has fired.

    Attributes:
        why: its name in names of artefacts: "limit-75", "limit-90" or WHEN.
        comment: one line for the profiles: which limit, and how much was in use.
        directory: of the cgroup that is near its limit, or the process's own; "" without cgroups.
        used_bytes: memory in use in it.
        left_bytes: what is left below the limit; None without one.
    """

    __slots__ = ("comment", "directory", "left_bytes", "used_bytes", "why")

    def __init__(
        self,
        why: str,
        comment: str,
        *,
        directory: str = "",
        used_bytes: int = 0,
        left_bytes: int | None = None,
    ) -> None:
        self.why = why
        self.comment = comment
        self.directory = directory
        self.used_bytes = used_bytes
        self.left_bytes = left_bytes


class TriggerWatch:
    """The triggers of one process. Only the collector's thread calls it.

    Attributes:
        due_ns: monotonic time of the next `poll`.
        approached_bytes: memory in use in a cgroup whose last trigger will probably fire within
            seconds, as seen by the last `poll`; 0 if there is none.
    """

    __slots__ = (
        "_cheap",
        "_expression",
        "_held",
        "_limited",
        "_limits",
        "_limits_ns",
        "_rate",
        "_report",
        "_triggers",
        "_used",
        "approached_bytes",
        "due_ns",
    )

    def __init__(
        self,
        expression: TriggerExpression | None,
        report: Callable[[str, str], object],
    ) -> None:
        """Watch the limits, and the expression if there is one.

        `report(kind, line)` takes a warning for the host.
        """
        self.due_ns = 0
        self.approached_bytes = 0
        # another one, because a forked child must not continue the history of its parent
        self._expression = None if expression is None else expression.fresh()
        self._report = report
        self._limits: list[tuple[str, int]] | None = None  # as the probe has returned them
        self._limits_ns = 0
        self._limited: list[LimitedCgroup] = []
        self._triggers: dict[str, LimitTriggers] = {}  # by directory
        self._used: dict[str, int] = {}  # by directory, as read last
        self._held = False  # the expression, when it was last evaluated
        self._rate = RateLimit()
        self._cheap: dict[str, Probe | None] = {}

    def poll(self, probe_set: ProbeSet, interval_s: float, *, sampled: bool) -> list[FiredTrigger]:
        """Read what is watched; return the triggers that fire, and set `due_ns`.

        `sampled` says that a sample was just taken. Never raises OSError.
        """
        now_ns = self.postpone()
        now_s = now_ns / _NS
        self._find_limits(probe_set, now_ns)
        self.approached_bytes = 0
        poll_s = MAX_POLL_S if self._limited else max(MAX_POLL_S, min(interval_s, _RARE_S))
        fired: list[FiredTrigger] = []
        for each in self._limited:
            try:
                used_bytes = each.used_bytes()
            except (OSError, ValueError):
                # the process was moved to another cgroup, or a container's cgroup was removed
                self._limits_ns = 0
                self._used.pop(each.directory, None)
                continue
            self._used[each.directory] = used_bytes
            triggers = self._triggers[each.directory]
            names = triggers.fired(used_bytes, each.limit_bytes, now_s)
            fired += [self._at_limit(name, each, used_bytes) for name in names]
            poll_s = min(poll_s, triggers.poll_s(each.limit_bytes))
            if triggers.approaching(each.limit_bytes):
                self.approached_bytes = used_bytes
        if self._expression is not None and (sampled or interval_s > _RARE_S):
            rare = interval_s > _RARE_S and not sampled
            if self._begins_to_hold(self._expression, probe_set, now_s, rare=rare):
                fired.append(self._at_expression(self._expression))
        self.due_ns = now_ns + round(poll_s * _NS)
        return fired

    def postpone(self) -> int:
        """Set `due_ns` to the longest time without a `poll`; return the monotonic time."""
        now_ns = monotonic_ns()
        self.due_ns = now_ns + round(MAX_POLL_S * _NS)
        return now_ns

    def close(self) -> None:
        """Close all files; also in a forked child, to close the copies of the parent's."""
        for each in self._limited:
            each.close()
        self._limited = []
        for probe in self._cheap.values():
            if probe is not None:
                probe.close()
        self._cheap = {}

    def _find_limits(self, probe_set: ProbeSet, now_ns: int) -> None:
        """Open the files of limits that are new, as at a change at runtime."""
        probe = probe_set.source(CgroupLimitProbe)
        if not isinstance(probe, CgroupLimitProbe):
            return
        if now_ns - self._limits_ns >= _LIMITS_NS and probe.limits is self._limits:
            try:
                probe.read()  # the samples are rare
            except Exception as error:  # noqa: BLE001 - as for a sample: the last limits stay
                self._report("limits", f"the memory limits cannot be read: {describe(error)}")
                self._limits_ns = now_ns
                return
        if probe.limits is self._limits:
            return
        self._limits, self._limits_ns = probe.limits, now_ns
        self._limited = open_limited(probe.cgroup, probe.limits, self._limited)
        self._triggers = {
            each.directory: self._triggers.get(each.directory) or LimitTriggers()
            for each in self._limited
        }

    def _begins_to_hold(
        self, expression: TriggerExpression, probe_set: ProbeSet, now_s: float, *, rare: bool
    ) -> bool:
        """Evaluate the expression; return whether it fires."""

        def value(name: str) -> int | None:
            if name == "limit_used":
                return self._used.get(self._nearest())
            read = self._read_now(name) if rare else None
            return probe_set.latest(name) if read is None else read

        held, self._held = self._held, expression.holds(value, now_s)
        if not self._held or held:
            return False
        if self._rate.take(now_s):
            return True
        self._held = False  # fires when it is allowed
        return False

    def _read_now(self, name: str) -> int | None:
        """Return the current value of a metric that is cheap to read, None for any other."""
        if name not in self._cheap:
            self._cheap[name] = _open(name)
        probe = self._cheap[name]
        if probe is None:
            return None
        try:
            values = probe.read()
        except Exception:  # noqa: BLE001 - as for a sample: the last value is used
            return None
        return None if values is None else values[probe.names.index(name)]

    def _nearest(self) -> str:
        """Return the directory of the cgroup that is nearest to its limit, or ""."""
        limits = self._limits_by_directory()
        known = [directory for directory in self._used if directory in limits]
        return max(known, key=lambda each: self._used[each] / limits[each], default="")

    def _limits_by_directory(self) -> dict[str, int]:
        return {each.directory: each.limit_bytes for each in self._limited}

    def _at_limit(self, name: str, at: LimitedCgroup, used_bytes: int) -> FiredTrigger:
        comment = f"{name}: {used_bytes} of {at.limit_bytes} bytes of the memory limit are in use"
        return FiredTrigger(
            name,
            comment,
            directory=at.directory,
            used_bytes=used_bytes,
            left_bytes=at.limit_bytes - used_bytes,
        )

    def _at_expression(self, expression: TriggerExpression) -> FiredTrigger:
        comment, directory = f"{WHEN}: {expression.text}", self._nearest()
        if not directory:
            return FiredTrigger(WHEN, comment)
        used_bytes = self._used[directory]
        return FiredTrigger(
            WHEN,
            comment,
            directory=directory,
            used_bytes=used_bytes,
            left_bytes=self._limits_by_directory()[directory] - used_bytes,
        )


def _open(name: str) -> Probe | None:
    """Return the cheap probe that has this metric; None if there is none here."""
    for kind in _CHEAP:
        if name in kind.names:
            try:
                return kind()
            except Exception:  # noqa: BLE001 - the value of the last sample is used
                return None
    return None
