"""When the triggers at a memory limit fire, how often, and how soon to look again."""

from __future__ import annotations

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Iterable

# names of the triggers in names of artefacts, and the shares of the limit
SHARES = (("limit-75", 0.75), ("limit-90", 0.9))

# A trigger that has fired is armed again when so much less of the limit is in use ...
_HYSTERESIS = 0.1
# ... and the last one also when so much of the memory is gone that was free when it last fired, if
# that was some time ago: a service that stays at 92 % is not profiled again before it grows again.
_LEFT_SHARE = 0.5
_LEFT_PAUSE_S = 60.0
# each trigger fires at most so many times within any hour
MOST_PER_HOUR = 2
_HOUR_S = 3600.0

MAX_POLL_S = 1.0
MIN_POLL_S = 0.05
# if memory grows by this share of the limit in a second
FAST_POLL_S, _FAST_SHARE = 0.02, 0.5
# While memory does not grow, it is looked at often enough to see growth of this rate before the
# last trigger, but not more often than this.
_SUDDEN_BYTES_S = 600e6
CALM_POLL_S = 0.25
# Growth that begins between two readings may have begun in the last part of the time between them.
_BEGIN_FACTOR = 4.0
_READINGS_AHEAD = 3.0
# what takes profiles is loaded if the last trigger will fire so soon, from this share of the limit
_SOON_S, _NEAR_SHARE = 4.0, 0.4


class RateLimit:
    """Lets something happen at most MOST_PER_HOUR times within any hour."""

    __slots__ = ("_times_s",)

    def __init__(self) -> None:
        self._times_s: list[float] = []

    @property
    def last_s(self) -> float | None:
        """When it last happened, None if never."""
        return self._times_s[-1] if self._times_s else None

    def take(self, now_s: float) -> bool:
        """Count it and return True, or return False if it is too much."""
        if len(self._times_s) == MOST_PER_HOUR and now_s - self._times_s[0] < _HOUR_S:
            return False
        self._times_s = [*self._times_s[1 - MOST_PER_HOUR :], now_s]
        return True


class LimitTrigger:
    """One trigger: fires when memory in use reaches a share of the limit.

    Attributes:
        name: in names of artefacts.
        share: of the limit.
    """

    __slots__ = ("_armed", "_is_last", "_left_bytes", "_rate", "name", "share")

    def __init__(self, name: str, share: float) -> None:
        self.name = name
        self.share = share
        self._is_last = share == SHARES[-1][1]
        self._armed: bool | None = None  # None before the first reading
        self._left_bytes = 0.0  # with not more than this left it fires again
        self._rate = RateLimit()

    def fires(self, used_bytes: int, limit_bytes: int, now_s: float) -> bool:
        """Return whether it fires now; `now_s` is monotonic.

        A process that begins above the threshold fires when it grows further: what is in use was
        there before it, or is what it always needs.
        """
        reached = used_bytes >= self.share * limit_bytes
        left_bytes = limit_bytes - used_bytes
        if self._armed is None:
            self._armed = not reached
            self._left_bytes = left_bytes * _LEFT_SHARE
            return False
        if used_bytes < (self.share - _HYSTERESIS) * limit_bytes:
            self._armed = True
        if not reached or not (self._armed or self._is_left(left_bytes, now_s)):
            return False
        if not self._rate.take(now_s):
            return False
        self._armed = False
        self._left_bytes = left_bytes * _LEFT_SHARE
        return True

    def fires_at_bytes(self, limit_bytes: int) -> float | None:
        """Return how much memory must be in use that it fires; None if that is not enough."""
        if self._armed is not False:
            return self.share * limit_bytes
        return limit_bytes - self._left_bytes if self._is_last else None

    def _is_left(self, left_bytes: int, now_s: float) -> bool:
        """Return whether little is left, compared with when it last fired."""
        last_s = self._rate.last_s
        paused = last_s is None or now_s - last_s >= _LEFT_PAUSE_S
        return self._is_last and paused and left_bytes <= self._left_bytes


class LimitTriggers:
    """The triggers at one limit, with the growth of the memory in use."""

    __slots__ = ("_bytes", "_grown", "_rate", "_read_s", "_triggers")

    def __init__(self, shares: Iterable[tuple[str, float]] = SHARES) -> None:
        self._triggers = [LimitTrigger(name, share) for name, share in shares]
        self._read_s: float | None = None
        self._bytes = 0
        self._rate = 0.0  # bytes per second
        self._grown = 0  # so many readings in succession have shown growth

    def fired(self, used_bytes: int, limit_bytes: int, now_s: float) -> list[str]:
        """Return the names of the triggers that fire now."""
        self._note_growth(used_bytes, now_s)
        return [each.name for each in self._triggers if each.fires(used_bytes, limit_bytes, now_s)]

    def poll_s(self, limit_bytes: int) -> float:
        """Return after how many seconds memory must be read again."""
        # the last trigger decides: on the way there, the others are not missed
        at_bytes = self._triggers[-1].fires_at_bytes(limit_bytes)
        if at_bytes is None:
            return MAX_POLL_S
        left_bytes = at_bytes - self._bytes
        if left_bytes <= 0:  # it has fired too often
            return MAX_POLL_S
        calm_s = min(max(left_bytes / _SUDDEN_BYTES_S, CALM_POLL_S), MAX_POLL_S)
        if not self._rate:
            return calm_s
        least_s = FAST_POLL_S if self._rate > _FAST_SHARE * limit_bytes else MIN_POLL_S
        return min(calm_s, max(left_bytes / self._rate / _READINGS_AHEAD, least_s))

    def approaching(self, limit_bytes: int) -> bool:
        """Return whether the last trigger will probably fire within seconds."""
        at_bytes = self._triggers[-1].fires_at_bytes(limit_bytes)
        if at_bytes is None or self._bytes < _NEAR_SHARE * limit_bytes or self._grown < 2:
            return False
        return 0 < at_bytes - self._bytes < self._rate * _SOON_S

    def _note_growth(self, used_bytes: int, now_s: float) -> None:
        if self._read_s is not None and now_s > self._read_s:
            rate = max(0.0, (used_bytes - self._bytes) / (now_s - self._read_s))
            self._grown = self._grown + 1 if rate else 0
            if rate > 2 * self._rate:
                rate *= _BEGIN_FACTOR
            # a short pause, as of the garbage collector, is not the end of the growth
            self._rate = max(rate, self._rate / 2)
            if self._rate < 1.0:
                self._rate = 0.0
        self._read_s, self._bytes = now_s, used_bytes
