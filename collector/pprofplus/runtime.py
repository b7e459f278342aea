"""What a program says to its collector while it runs: marks, gauges, pause and resume."""

from __future__ import annotations

from pprofplus.lifecycle import current
from pprofplus.metrics import GAUGE
from pprofplus.probes.gauge_registry import REGISTRY, Gauge
from pprofplus.warn import say_once

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from pprofplus.probes.gauge_registry import Figure
    from pprofplus.recording.sampler import Collector


def mark(text: str) -> None:
    """Note `text` in the log, up to 1,024 bytes of it: "deploy 1.4.2" is a line on every chart.

    It is on disk when this returns, unless the disk takes longer than 50 ms: then it is written
    when the disk answers. More than a burst of 100, and then one a second, are left out and
    counted. Never raises.
    """
    collector = _collector("mark")
    if collector is not None:
        collector.mark(text)


def pause() -> None:
    """Take no more samples until `resume()`; the charts show a gap. Idempotent; never raises."""
    collector = _collector("pause")
    if collector is not None:
        collector.pause()


def resume() -> None:
    """Take samples again, the first one at once. Idempotent; never raises."""
    collector = _collector("resume")
    if collector is not None:
        collector.resume()


def gauge(name: str, function: Figure | None, *, unit: str = "", kind: str = GAUGE) -> None:
    """Record what `function()` returns with each sample, as a metric of the run's own.

    It may be called before `start()`; children that are forked record it, too. The function runs in
    the collector's thread, so it should be quick: one that takes over a millisecond is asked less
    often. While it returns None or raises, the last figure stands; the first error is warned of.

    Args:
        name: 1 to 64 of A-Z a-z 0-9 . _ -; not one of the collector's own metrics. A gauge of the
            same name is replaced.
        function: returns the figure, a number; None takes the gauge away.
        unit: "B" for bytes, "count" and "us" for whole numbers; any other short text, for figures
            that are kept to three decimals.
        kind: "gauge" for a level, "counter" for what only grows and is drawn as a rate.

    Raises ValueError for an argument out of its range, or a 65th gauge.
    """
    if function is None:
        REGISTRY.drop(name)
    else:
        REGISTRY.put(Gauge(name, function, unit, kind))


def _collector(what: str) -> Collector | None:
    collector, started = current()
    if not started:
        say_once(what, f"{what}() came before start(): it has no effect")
    return collector
