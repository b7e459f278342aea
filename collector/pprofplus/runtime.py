"""The functions that a program calls while it is recorded: marks, gauges, pause and resume."""

from __future__ import annotations

from pprofplus.lifecycle import current
from pprofplus.metrics import GAUGE
from pprofplus.probes.gauge_registry import REGISTRY, Gauge
from pprofplus.warn import warn_once

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from pprofplus.probes.gauge_registry import GaugeFunction
    from pprofplus.recording.sampler import Collector


def mark(text: str) -> None:
    """Write `text` to the log, up to 1,024 bytes: charts show "deploy 1.4.2" as a line.

    It is on disk when this returns, unless the disk takes longer than 50 ms: then it is written
    when the disk responds. After a burst of 100, marks above one a second are omitted and counted.
    Never raises.
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
    """Take samples again, the first one immediately. Idempotent; never raises."""
    collector = _collector("resume")
    if collector is not None:
        collector.resume()


def gauge(name: str, function: GaugeFunction | None, *, unit: str = "", kind: str = GAUGE) -> None:
    """Record what `function()` returns with each sample, as a metric of this run.

    It may be called before `start()`; forked children record it too. The function runs in the
    collector's thread, so it should be fast: one that takes over a millisecond is called less
    often. While it returns None or raises, the last value is kept; the first error is logged.

    Args:
        name: 1 to 64 of A-Z a-z 0-9 . _ -; not one of the collector's own metrics. A gauge of the
            same name is replaced.
        function: returns the value, a number; None removes the gauge.
        unit: "B" for bytes, "count" and "us" for whole numbers; any other short text, for values
            that are kept to three decimals.
        kind: "gauge" for a level, "counter" for a value that only grows and is drawn as a rate.

    Raises ValueError for an argument out of its range, or a 65th gauge.
    """
    if function is None:
        REGISTRY.drop(name)
    else:
        REGISTRY.put(Gauge(name, function, unit, kind))


def _collector(what: str) -> Collector | None:
    collector, started = current()
    if not started:
        warn_once(what, f"{what}() has no effect: start() has not been called")
    return collector
