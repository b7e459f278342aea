"""Builds a trace in Chrome's JSON object format, which Perfetto reads too.

https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU: a slice is an event
"X" with a begin and a duration in microseconds; slices of one row are nested. Events are sorted by
begin, an outer one before an inner one.
"""

from __future__ import annotations

import json
import zlib

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from typing import Any

MAX_EVENTS = 200_000
_NS_PER_US = 1000


class TraceEvents:
    """The events of one process.

    Attributes:
        lost: events that were left out, because there are too many.
    """

    __slots__ = ("_begin_ns", "_metadata", "_pid", "_slices", "lost")

    def __init__(self, pid: int, begin_ns: int) -> None:
        self.lost = 0
        self._pid = pid
        self._begin_ns = begin_ns
        self._metadata: list[dict[str, Any]] = []
        # (begin, minus the end, depth, event), in the order in which they must be written
        self._slices: list[tuple[int, int, int, dict[str, Any]]] = []

    def __len__(self) -> int:
        """Return the number of slices and marks."""
        return len(self._slices)

    def name_process(self, name: str) -> None:
        """Name the process."""
        self._metadata.append(self._event("process_name", "M", self._pid, args={"name": name}))

    def name_row(self, row: int, name: str, position: int) -> None:
        """Name a row, such as a thread; rows are shown by position."""
        self._metadata.append(self._event("thread_name", "M", row, args={"name": name}))
        order = {"sort_index": position}
        self._metadata.append(self._event("thread_sort_index", "M", row, args=order))

    def add_slice(
        self, row: int, name: str, begin_ns: int, end_ns: int, depth: int, **args: object
    ) -> None:
        """Add a slice; slices of one row must be nested."""
        begin_ns, end_ns = max(begin_ns, self._begin_ns), max(end_ns, self._begin_ns)
        event = self._event(name, "X", row, args=args)
        event["ts"] = (begin_ns - self._begin_ns) / _NS_PER_US
        event["dur"] = (end_ns - begin_ns) / _NS_PER_US
        self._add(begin_ns, end_ns, depth, event)

    def add_mark(self, name: str, at_ns: int) -> None:
        """Add a line across all rows."""
        event = self._event(name, "i", self._pid, s="g")
        event["ts"] = max(at_ns - self._begin_ns, 0) / _NS_PER_US
        self._add(at_ns, at_ns, 0, event)

    def encode(self, comments: dict[str, str]) -> bytes:
        """Return the trace, compressed with gzip."""
        events = sorted(self._slices, key=lambda each: each[:3])
        trace = {
            "traceEvents": [*self._metadata, *(event for _, _, _, event in events)],
            "displayTimeUnit": "ms",
            "otherData": comments,
        }
        packer = zlib.compressobj(6, zlib.DEFLATED, 31)
        text = json.dumps(trace, separators=(",", ":")).encode()
        return packer.compress(text) + packer.flush()

    def _add(self, begin_ns: int, end_ns: int, depth: int, event: dict[str, Any]) -> None:
        if len(self._slices) >= MAX_EVENTS:
            self.lost += 1
        else:
            self._slices.append((begin_ns, -end_ns, depth, event))

    def _event(self, name: str, phase: str, row: int, **more: object) -> dict[str, Any]:
        return {"name": name, "ph": phase, "pid": self._pid, "tid": row, **more}
