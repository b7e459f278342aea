"""The period of time on the screen, and how it pans, zooms and follows the clock."""

import math
from dataclasses import dataclass, replace

from pprofplus_tui.model.durations import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, YEAR_MS

MIN_SPAN_MS = 10_000
MAX_SPAN_MS = 10 * YEAR_MS
# The range of times that datetime can show in any time zone.
EARLIEST_MS = 0
LATEST_MS = 253_370_764_800_000  # 9999-01-01T00:00Z
JUMPS = 8  # a following window moves in jumps of 1/8 of its span
SHORT_JUMPS = 4  # of 1/4 if it is short, because each jump repaints all charts
SHORT_SPAN_MS = 120_000

# The spans of `+` and `-`: each is 2 to 3.5 times the one before, like zooming on a map.
LADDER_MS: tuple[int, ...] = (
    *(seconds * SECOND_MS for seconds in (10, 30)),
    *(minutes * MINUTE_MS for minutes in (1, 2, 5, 15, 30)),
    *(hours * HOUR_MS for hours in (1, 3, 6, 12)),
    *(days * DAY_MS for days in (1, 2, 7, 14, 30, 90, 180)),
    *(YEAR_MS, 2 * YEAR_MS, 5 * YEAR_MS, MAX_SPAN_MS),
)


def _clamp_span(span_ms: float) -> int:
    if math.isnan(span_ms):
        return MIN_SPAN_MS
    return int(min(max(span_ms, MIN_SPAN_MS), MAX_SPAN_MS))


def jump_ms(span_ms: int) -> int:
    """Return how far a following window of this span moves at a time."""
    return span_ms // (SHORT_JUMPS if span_ms <= SHORT_SPAN_MS else JUMPS)


@dataclass(frozen=True)
class Window:
    """A period of time [begin_ms, end_ms); every method returns a new one.

    Its span is always MIN_SPAN_MS to MAX_SPAN_MS, within EARLIEST_MS and LATEST_MS. Build one
    with `live`, `fit` or `around`.

    Attributes:
        begin_ms: unix milliseconds, inclusive.
        end_ms: unix milliseconds, exclusive.
        following: the window moves with the clock.
        frozen: the charts do not change until it is thawed; panning and zooming still work.
    """

    begin_ms: int
    end_ms: int
    following: bool = False
    frozen: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError if the limits are broken; the constructors never break them."""
        if not MIN_SPAN_MS <= self.end_ms - self.begin_ms <= MAX_SPAN_MS:
            raise ValueError(f"window of {self.end_ms - self.begin_ms} ms")
        if self.begin_ms < EARLIEST_MS or self.end_ms > LATEST_MS:
            raise ValueError(f"window from {self.begin_ms} to {self.end_ms}")

    @property
    def span_ms(self) -> int:
        """The length in milliseconds."""
        return self.end_ms - self.begin_ms

    @classmethod
    def live(cls, now_ms: int, span_ms: int) -> "Window":
        """Return a window that follows the clock and now shows the last `span_ms`."""
        span = _clamp_span(span_ms)
        return _jumped(_placed(now_ms - span, span, following=True, frozen=False), now_ms)

    @classmethod
    def fit(cls, begin_ms: int, end_ms: int, now_ms: int | None = None) -> "Window":
        """Return a window that shows all of [begin_ms, end_ms), as far as the limits allow.

        A window that is widened or cut keeps its right end. It follows if it reaches `now_ms`.
        """
        span = _clamp_span(end_ms - begin_ms)
        begin = end_ms - span
        return _settled(_placed(begin, span, following=False, frozen=False), now_ms)

    @classmethod
    def around(cls, instant_ms: int, span_ms: int, now_ms: int | None = None) -> "Window":
        """Return a window with `instant_ms` in its middle; it follows if it reaches `now_ms`."""
        span = _clamp_span(span_ms)
        begin = instant_ms - span // 2
        return _settled(_placed(begin, span, following=False, frozen=False), now_ms)

    def follow(self, now_ms: int) -> "Window":
        """Return the window for the time `now_ms`; itself unless it follows and must jump.

        The end is at multiples of the jump and moves when the clock reaches it, so the
        axes stay fixed between jumps and new samples are drawn into the room at the right.
        """
        if not self.following or self.frozen:
            return self
        jumped = _jumped(self, now_ms)
        return self if jumped == self else jumped

    def pan(self, fraction: float, now_ms: int | None = None) -> "Window":
        """Return the window moved by a fraction of its span, to the left if negative.

        Moving left leaves following; reaching `now_ms` with the right edge goes back to it.
        """
        if not math.isfinite(fraction) or fraction == 0:
            return self
        begin = self.begin_ms + fraction * self.span_ms
        moved = _placed(begin, self.span_ms, following=False, frozen=self.frozen)
        if fraction > 0:
            return _settled(replace(moved, following=self.following), now_ms)
        return moved

    def zoom(
        self, factor: float, anchor_ms: int | None = None, now_ms: int | None = None
    ) -> "Window":
        """Return the window with its span times `factor`, below 1 to zoom in.

        The instant `anchor_ms` keeps its place on the screen; without one the right edge stays,
        and a following window continues to follow. A window whose right edge reaches `now_ms`
        follows.
        """
        if not math.isfinite(factor) or factor <= 0:
            return self
        return self._spanning(_clamp_span(self.span_ms * factor), anchor_ms, now_ms)

    def zoom_in(self, anchor_ms: int | None = None, now_ms: int | None = None) -> "Window":
        """Return the window with the next smaller span of the ladder; see `zoom`."""
        span = next((s for s in reversed(LADDER_MS) if s < self.span_ms), MIN_SPAN_MS)
        return self._spanning(span, anchor_ms, now_ms)

    def zoom_out(self, anchor_ms: int | None = None, now_ms: int | None = None) -> "Window":
        """Return the window with the next larger span of the ladder; see `zoom`."""
        span = next((s for s in LADDER_MS if s > self.span_ms), MAX_SPAN_MS)
        return self._spanning(span, anchor_ms, now_ms)

    def _spanning(self, span: int, anchor_ms: int | None, now_ms: int | None) -> "Window":
        if span == self.span_ms:
            return self
        if anchor_ms is None:
            zoomed = _placed(self.end_ms - span, span, following=self.following, frozen=self.frozen)
            if self.following and not self.frozen and now_ms is not None:
                return _jumped(zoomed, now_ms)
            return _settled(zoomed, now_ms)
        anchor = min(max(anchor_ms, self.begin_ms), self.end_ms)
        share = (anchor - self.begin_ms) / self.span_ms
        begin = anchor - share * span
        zoomed = _placed(begin, span, following=False, frozen=self.frozen)
        return _settled(zoomed, now_ms)

    def freeze(self) -> "Window":
        """Return the window frozen."""
        return replace(self, frozen=True)

    def thaw(self, now_ms: int) -> "Window":
        """Return the window moving again, at its place for `now_ms` if it follows."""
        return replace(self, frozen=False).follow(now_ms)


def _placed(begin_ms: float, span_ms: int, *, following: bool, frozen: bool) -> Window:
    """Return the window of this span nearest to begin_ms that is within the limits."""
    begin = int(min(max(begin_ms, EARLIEST_MS), LATEST_MS - span_ms))
    return Window(begin, begin + span_ms, following, frozen)


def _jumped(window: Window, now_ms: int) -> Window:
    """Return the window whose end is the first multiple of its jump after `now_ms`."""
    span = window.span_ms
    step = jump_ms(span)
    end = (now_ms // step + 1) * step
    return _placed(end - span, span, following=window.following, frozen=window.frozen)


def _settled(window: Window, now_ms: int | None) -> Window:
    """Return a following window if the right edge has reached `now_ms`, else the same."""
    if now_ms is None or window.end_ms < now_ms:
        return window
    return _jumped(replace(window, following=True), now_ms)
