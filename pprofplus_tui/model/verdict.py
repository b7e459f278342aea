"""Verdicts: what a curve does, its rate, and the table of the layers of memory.

`analysis.trend` finds them. This module does not import numpy, so screens can load it first.
"""

from dataclasses import dataclass, field, replace

from pprofplus_tui.model.change import Change
from pprofplus_tui.model.durations import HOUR_MS

# what a curve does
TOO_LITTLE = "too little data"
STEADY = "steady"
GROWING = "growing"
SHRINKING = "shrinking"
SAW_TOOTH = "saw-tooth"
NOT_SURE = "not sure"  # it rises in the window, and the run is too short to decide why
KINDS: tuple[str, ...] = (STEADY, GROWING, SHRINKING, SAW_TOOTH, NOT_SURE, TOO_LITTLE)

# the shape of the curve, which is more specific than its kind
LEVEL = "level"
LINE = "line"
TEETH = "teeth"
STEP = "step"
WARM_UP = "warm-up"
TURN = "turn"
SHAPES: tuple[str, ...] = (LEVEL, WARM_UP, STEP, TEETH, LINE, TURN)

# how reliable a verdict is
HIGH, MEDIUM, LOW = "high", "medium", "low"
CONFIDENCES: tuple[str, ...] = (HIGH, MEDIUM, LOW)

# the reason of a verdict that is based on more than the window; `verdict_reasons` has the texts
FLOOR_RISES = "floor rises"
FAST = "fast"
ALL_DAY = "all day"
NEW = "new"
EVERY_DAY = "every day"
AS_HIGH_BEFORE = "as high before"
SLOWS = "slows"
STEPPED = "stepped"
FLOOR_LEVEL = "floor level"
MAYBE_WAVE = "maybe a wave"
MAYBE_WARM_UP = "maybe a warm-up"
EARLIER_RUN = "as the run before"
NOT_AS_EARLIER = "not as the run before"
YOUNG = "young"
MAY_RISE = "may rise"
REASONS: tuple[str, ...] = (
    FLOOR_RISES,
    FAST,
    ALL_DAY,
    NEW,
    EVERY_DAY,
    AS_HIGH_BEFORE,
    SLOWS,
    STEPPED,
    FLOOR_LEVEL,
    MAYBE_WAVE,
    MAYBE_WARM_UP,
    EARLIER_RUN,
    NOT_AS_EARLIER,
    YOUNG,
    MAY_RISE,
)


@dataclass(frozen=True)
class Verdict:
    """What one series does in a window.

    Attributes:
        kind: one of `KINDS`.
        per_hour: change in an hour, in the metric's unit; 0 unless it grows, shrinks or may grow.
        low: lower end of the interval that holds the true rate in about 19 cases of 20.
        high: its upper end.
        change: the change in the window along the line, not from point to point; for a step or a
            warm-up, how far the end is above the beginning; for a saw-tooth, the height of a
            tooth.
        shape: one of `SHAPES`. A curve that grows under a saw-tooth has `TEETH`, one that began
            to grow within the window has `TURN`.
        confidence: one of `CONFIDENCES`; "" if the window alone was judged.
        reason: one of `REASONS`, or "" if the window alone was judged, or nothing more is known.
        known_ms: how much of the run the verdict is based on; 0 for the window alone.
    """

    kind: str = TOO_LITTLE
    per_hour: float = 0.0
    low: float = 0.0
    high: float = 0.0
    change: float = 0.0
    shape: str = LEVEL
    confidence: str = ""
    reason: str = ""
    known_ms: int = 0

    @property
    def moves(self) -> bool:
        """Whether it grows or shrinks."""
        return self.kind in {GROWING, SHRINKING}

    @property
    def order(self) -> float:
        """The sort key of runs, the fastest growing first; runs without a verdict are last."""
        return float("-inf") if self.kind == TOO_LITTLE else self.per_hour


@dataclass(frozen=True)
class LayerKind:
    """One part of the resident set, or the whole.

    Attributes:
        id: stable name.
        label: for a line that has little room.
        title: for a sentence.
        plus: metrics whose sum it is, less those of `minus`.
        minus: see `plus`.
        meaning: what its growth means.
        action: what to do next.
        resident: it is a part of the resident set.
    """

    id: str
    label: str
    title: str
    plus: tuple[str, ...]
    minus: tuple[str, ...] = ()
    meaning: str = ""
    action: str = ""
    resident: bool = True


# rss = heap_sys + malloc_sys + other - absent. Of the last two one is 0, for no layer is below 0:
# what the allocators hold beyond the resident set is not resident, and has a layer of its own.
# Memory that pymalloc holds without an object in it counts as fragmentation, idle pools included:
# pymalloc releases whole arenas only.
LAYERS: tuple[LayerKind, ...] = (
    LayerKind("rss", "RSS", "resident set", ("rss",)),
    LayerKind(
        "objects",
        "Python",
        "Python objects",
        ("heap_used",),
        meaning="Python objects accumulate",
        action="find what holds them: unbounded caches, lists that only grow, tracemalloc",
    ),
    LayerKind(
        "fragmentation",
        "fragmentation",
        "fragmentation",
        ("heap_sys",),
        ("heap_used",),
        meaning="objects were freed, their arenas (with idle pools) were not: RSS does not fall",
        action="look at the peak that caused it: long-lived objects among many short-lived ones",
    ),
    LayerKind(
        "c_heap",
        "C",
        "C heap",
        ("malloc_used",),
        meaning="a C extension, numpy, TLS or large bytes objects hold memory",
        action="look for allocations outside the Python heap: buffers, images, connections",
    ),
    LayerKind(
        "c_free",
        "C free",
        "freed C heap",
        ("malloc_free",),
        meaning="freed, but not returned to the operating system",
        action="try MALLOC_ARENA_MAX=2, malloc_trim(0), or another allocator",
    ),
    LayerKind(
        "other",
        "other",
        "other memory",
        ("rss",),
        ("heap_sys", "malloc_sys"),
        meaning="memory maps, thread stacks, shared memory, mapped files",
        action="compare the threads and fds metrics; read /proc/PID/smaps",
    ),
    LayerKind(
        "absent",
        "not resident",
        "memory allocated but not resident",
        ("heap_sys", "malloc_sys"),
        ("rss",),
        meaning="allocated but never written, or swapped out: RSS grows when it is used",
        action="look for large zeroed buffers and preallocated pools; compare swap",
        resident=False,
    ),
)
LAYER_BY_ID: dict[str, LayerKind] = {layer.id: layer for layer in LAYERS}
LIMIT, USED = "cgroup_limit", "cgroup_used"
# The number of buckets for a verdict, for any size of the charts: a verdict must not depend
# on how wide a curve is drawn, nor on where it is shown.
VERDICT_BUCKETS = 200
# the metrics of a verdict, as levels
VERDICT_METRICS: tuple[str, ...] = (
    *dict.fromkeys(metric for layer in LAYERS for metric in (*layer.plus, *layer.minus)),
    USED,
    LIMIT,
)


@dataclass(frozen=True)
class Layer:
    """One layer over a window.

    Attributes:
        kind: which.
        now_bytes: its size at the window's last sample.
        verdict: what it does.
        change: from the window's first to its last sample, None if one of them lacks it.
    """

    kind: LayerKind
    now_bytes: int
    verdict: Verdict = field(default_factory=Verdict)
    change: Change | None = None

    @property
    def change_bytes(self) -> float:
        """Its change in the window: as measured, or the verdict's if it was not measured."""
        return self.verdict.change if self.change is None else self.change.amount


@dataclass(frozen=True)
class Verdicts:
    """What the memory of a run does in a window.

    Attributes:
        layers: those that the log has, in the order of `LAYERS`.
        limit_bytes: the cgroup's limit, or None.
        used_bytes: what is charged to the cgroup, or None.
        span_ms: time from the window's first to its last point.
        sharers: live runs that are charged to that cgroup now, as far as logs show it, this one
            included; None if that is not known.
    """

    layers: tuple[Layer, ...] = ()
    limit_bytes: int | None = None
    used_bytes: int | None = None
    span_ms: int = 0
    sharers: int | None = None

    def layer(self, name: str) -> Layer | None:
        """Return the layer of that id, or None."""
        return next((layer for layer in self.layers if layer.kind.id == name), None)

    @property
    def rss(self) -> Layer | None:
        """The resident set."""
        return self.layer("rss")

    def with_rss(self, size_bytes: int) -> "Verdicts":
        """Return the same verdicts with the resident set as it is now."""
        layers = (
            replace(layer, now_bytes=size_bytes) if layer.kind.id == "rss" else layer
            for layer in self.layers
        )
        return replace(self, layers=tuple(layers))

    @property
    def responsible(self) -> Layer | None:
        """The layer that is responsible for the growth of the resident set: it grows most itself.

        None if the resident set does not grow, or no layer grows enough to explain it.
        """
        whole = self.rss
        if whole is None or whole.verdict.kind != GROWING:
            return None
        return self._leading(whole, (GROWING,))

    @property
    def rising(self) -> Layer | None:
        """The layer that rises most, if RSS rises without a sure verdict; else None."""
        whole = self.rss
        if whole is None or whole.verdict.kind != NOT_SURE:
            return None
        return self._leading(whole, (GROWING, NOT_SURE))

    def _leading(self, whole: Layer, kinds: tuple[str, ...]) -> Layer | None:
        grown = [
            layer
            for layer in self.layers
            if layer is not whole
            and layer.kind.resident
            and layer.verdict.kind in kinds
            and layer.verdict.per_hour >= whole.verdict.per_hour / 4
        ]
        return max(grown, key=lambda layer: layer.verdict.per_hour, default=None)

    @property
    def limit_in_ms(self) -> int | None:
        """Milliseconds until the cgroup's limit is reached at this rate; None if it is not."""
        whole = self.rss
        if whole is None or whole.verdict.kind != GROWING or not self.limit_bytes:
            return None
        if self.used_bytes is None:
            return None
        room = max(self.limit_bytes - self.used_bytes, 0)
        return int(room / whole.verdict.per_hour * HOUR_MS)
