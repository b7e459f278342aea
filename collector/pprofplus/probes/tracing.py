"""The memory that tracemalloc reports, while it is tracing."""

from __future__ import annotations

from pprofplus.errors import ProbeAbsentError
from pprofplus.probes import Probe


def is_tracing() -> bool:
    """Return whether tracemalloc is tracing."""
    try:
        import _tracemalloc
    except ImportError:
        return False
    return _tracemalloc.is_tracing()


class TracingProbe(Probe):
    """Memory that tracemalloc has traced, and its peak."""

    names = ("traced", "traced_peak")
    exact = True

    def __init__(self) -> None:
        try:
            # the built-in part: `tracemalloc` itself also loads pickle and linecache
            import _tracemalloc
        except ImportError as error:
            raise ProbeAbsentError("no tracemalloc") from error
        self._is_tracing = _tracemalloc.is_tracing
        self._traced = _tracemalloc.get_traced_memory

    def read(self) -> tuple[int, ...] | None:
        """Return bytes traced and their peak; None while nothing is traced."""
        return self._traced() if self._is_tracing() else None
