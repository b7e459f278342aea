"""The time in which a run's values count: to its last sample, or until that is stale."""

from dataclasses import dataclass, replace

_STALE_INTERVALS = 3
_MIN_STALE_MS = 5000

ENDED, NOT_YET, SILENT = "ended", "not yet", "no sample"


def stale_ms(interval_ms: int) -> int:
    """Return how long after a run's last sample its values no longer count as present."""
    return max(_STALE_INTERVALS * interval_ms, _MIN_STALE_MS)


@dataclass(frozen=True)
class Lifetime:
    """The time in which a run has values, unix milliseconds or ages.

    Attributes:
        begin_ms: of the first sample.
        last_ms: of the last.
        until_ms: from here on it has none: just after the last sample of a run that has ended;
            of a live run, when its last sample is stale.
        ended: the run has ended.
        stale_ms: a value holds so long in a gap between samples.
        newest: the last sample's value if the run is live and has one, in the drawn series' unit.
    """

    begin_ms: int
    last_ms: int
    until_ms: int
    ended: bool = True
    stale_ms: int = _MIN_STALE_MS
    newest: float | None = None

    @classmethod
    def of_ended_run(cls, begin_ms: int, last_ms: int) -> "Lifetime":
        """Return the lifetime of a run that has ended."""
        return cls(min(begin_ms, last_ms), last_ms, last_ms + 1)

    @classmethod
    def of_live_run(
        cls, begin_ms: int, last_ms: int, interval_ms: int, present_ms: int, newest: float | None
    ) -> "Lifetime":
        """Return the lifetime of a live run.

        `present_ms` is until when its last sample counts as new: the newest sample of all runs,
        for one whose samples arrive, else its own last sample.
        """
        stale = stale_ms(interval_ms)
        until_ms = max(last_ms, present_ms) + stale
        begin_ms = min(begin_ms, last_ms)
        return cls(begin_ms, last_ms, until_ms, ended=False, stale_ms=stale, newest=newest)

    def earlier(self, by_ms: int) -> "Lifetime":
        """Return it `by_ms` earlier: in ages, if that is its beginning."""
        return replace(
            self,
            begin_ms=self.begin_ms - by_ms,
            last_ms=self.last_ms - by_ms,
            until_ms=self.until_ms - by_ms,
        )

    def covers(self, t_ms: int) -> bool:
        """Return whether the run has a value at a time, but for gaps in between."""
        return self.begin_ms <= t_ms < self.until_ms

    def reason_for_none(self, t_ms: int, *, aligned: bool) -> str:
        """Return why it has no value at a time, or at an age if times are `aligned`."""
        if t_ms < self.begin_ms:
            return NOT_YET
        if t_ms < self.until_ms:
            return SILENT
        if self.ended:
            return ENDED
        return NOT_YET if aligned else SILENT
