"""What the numbers of a window say of the memory's layers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # Points need numpy, which the first paint does not wait for
    from pprofplus_tui.model.series import Points

# rss is about heap_sys + malloc_sys + what neither knows of: maps, stacks, shared libraries
LAYERS: tuple[tuple[str, str], ...] = (
    ("rss", "RSS"),
    ("heap_sys", "Python"),
    ("malloc_sys", "C"),
)
FACT_METRICS: tuple[str, ...] = (
    *(metric for metric, _ in LAYERS),
    "heap_used",
    "malloc_used",
    "cgroup_used",
    "cgroup_limit",
)


@dataclass(frozen=True)
class Layer:
    """One layer of memory over a window.

    Attributes:
        label: its name.
        now_bytes: its size at the window's last point.
        growth_bytes: that, less its size at the window's first point.
    """

    label: str
    now_bytes: int
    growth_bytes: int


@dataclass(frozen=True)
class Facts:
    """The figures above the charts.

    Attributes:
        layers: RSS first, then its parts; "other" last, if all parts are known.
        limit_bytes: the cgroup's limit, or None.
        used_bytes: what is charged to the cgroup, or None.
        span_ms: time from the window's first to its last point.
    """

    layers: tuple[Layer, ...] = ()
    limit_bytes: int | None = None
    used_bytes: int | None = None
    span_ms: int = 0


def _last(points: "Points | None") -> int | None:
    return int(points.hi[-1]) if points is not None and len(points) else None


def read_facts(points: Mapping[str, "Points"]) -> Facts:
    """Return what `points` (metric -> level in the window) say; unknown layers are left out."""
    layers = []
    for metric, label in LAYERS:
        found = points.get(metric)
        if found is not None and len(found):
            now = int(found.hi[-1])
            layers.append(Layer(label, now, now - int(found.hi[0])))
    rss = points.get("rss")
    if len(layers) == len(LAYERS):
        whole, *parts = layers
        layers.append(
            Layer(
                "other",
                whole.now_bytes - sum(part.now_bytes for part in parts),
                whole.growth_bytes - sum(part.growth_bytes for part in parts),
            )
        )
    span_ms = int(rss.t_ms[-1] - rss.t_ms[0]) if rss is not None and len(rss) else 0
    return Facts(
        tuple(layers), _last(points.get("cgroup_limit")), _last(points.get("cgroup_used")), span_ms
    )
