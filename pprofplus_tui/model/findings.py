"""The figures of a comparison, which are shown with its charts."""

from dataclasses import dataclass, field

from pprofplus_tui.model.runs import RunId
from pprofplus_tui.model.verdict import Verdict


@dataclass(frozen=True)
class Member:
    """One run of a comparison.

    Attributes:
        id, service, pid, state, begin_ms: of the run.
        letter: marks its line.
        colour: palette index of its line.
        value: at the moment of the comparison, in the unit of the series; None if it had none then.
        missing_reason: why there is no value: one of the words of `lifetimes`, "" if there is one.
        verdict: on the curve in the window, as in the main view.
    """

    id: RunId
    service: str
    pid: int
    state: str
    begin_ms: int
    letter: str
    colour: int
    value: float | None = None
    missing_reason: str = ""
    verdict: Verdict = field(default_factory=Verdict)


@dataclass(frozen=True)
class Rest:
    """The runs of a service that have no line of their own.

    Attributes:
        count: how many they are.
        there: how many of them have a value at that moment.
        lo, hi: smallest and largest value then, None if none had one.
        total: sum of the values then; None where a sum has no meaning: for ages and extremes.
    """

    count: int
    there: int = 0
    lo: float | None = None
    hi: float | None = None
    total: float | None = None


@dataclass(frozen=True)
class Findings:
    """What a comparison found.

    Attributes:
        kind: as in `ComparisonRequest`.
        label: the name of the series.
        unit: its unit, as in `units.format_quantity`.
        aligned: times are ages.
        moment_ms: the time of the values; None: the last value of each run.
        members: the runs with a line of their own, in order.
        rest: the others.
        total: sum of all runs' values at the moment; None where a sum has no meaning.
        summed: how many runs have a value then.
        rss_bytes, uss_bytes: sums of the newest samples of the runs that are running now.
        running: how many these are.
        silent: how many of them have no fresh sample, and are not in these sums.
        count: runs with samples in the window.
        read: runs read so far.
        of: runs to read.
    """

    kind: str
    label: str = ""
    unit: str = ""
    aligned: bool = False
    moment_ms: int | None = None
    members: tuple[Member, ...] = ()
    rest: Rest | None = None
    total: float | None = None
    summed: int = 0
    rss_bytes: int | None = None
    uss_bytes: int | None = None
    running: int = 0
    silent: int = 0
    count: int = 0
    read: int = 0
    of: int = 0

    @property
    def whole(self) -> bool:
        """Whether all runs are read."""
        return self.read >= self.of
