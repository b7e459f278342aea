"""Walks the stacks of all suspended greenlets; one that runs is on the stack of its thread.

A frame is never kept while another thread may run, because its locals would then be freed here: one
call of C functions walks a stack, and returns code and offsets.
"""

from __future__ import annotations

import sys
from _weakref import ref
from itertools import accumulate, islice, repeat, takewhile
from operator import attrgetter, truth

from pprofplus.probes.concurrency import MAX_BLOCKS, greenlet_class
from pprofplus.probes.greenlet_search import GreenletType

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import CodeType
    from typing import Any

    from pprofplus.profiles.capture import Task

_MAX_DEPTH = 1000
_CHUNK = 200

_read = attrgetter("f_code", "f_lasti", "f_globals")


NOT_BEGUN, SUSPENDED, NOT_READ = "not begun", "suspended", "not read"


class GreenletStack:
    """One greenlet that has not ended.

    Attributes:
        frames: code and offset of the instruction of each frame, the innermost first; empty unless
            it is SUSPENDED.
        state: NOT_BEGUN, SUSPENDED, or NOT_READ.
        own: it is the own stack of a thread, which now runs another greenlet.
    """

    __slots__ = ("frames", "own", "state")

    def __init__(
        self, frames: Sequence[tuple[CodeType, int]], state: str, *, own: bool = False
    ) -> None:
        self.frames = frames
        self.state = state
        self.own = own


class GreenletWalk:
    """One walk over all greenlets.

    Attributes:
        modules: name of the module of each code, by the code's id.
        hold_ns: the longest time for which the search held the GIL.
        too_large: the process is so large that the greenlets were not searched for.
    """

    __slots__ = ("_frames_left", "hold_ns", "modules", "too_large")

    def __init__(self, max_frames: int) -> None:
        """Look at up to `max_frames` frames, as `task_stacks.TaskWalk`."""
        self.modules: dict[int, str] = {}
        self.hold_ns = 0
        self.too_large = False
        self._frames_left = max_frames

    def stacks(self, task: Task, *, force: bool = False) -> Iterator[GreenletStack]:
        """Yield each greenlet that has not ended and does not run at this moment.

        Raises ActionCancelledError if `task` must end.
        """
        greenlet = greenlet_class()
        if greenlet is None:
            return
        try:
            kind = GreenletType(greenlet)
        except (AttributeError, KeyError):  # a version of greenlet that is not known
            return
        if sys.getallocatedblocks() > MAX_BLOCKS and not force:
            self.too_large = True
            return
        references = kind.find(scan=True)
        self.hold_ns = kind.hold_ns
        for index, reference in enumerate(references):
            if not index % _CHUNK:
                task.check()
            found = self._stack(kind, reference)
            if found is not None:
                yield found

    def _stack(self, kind: GreenletType, reference: ref[Any]) -> GreenletStack | None:
        greenlet = reference()
        if greenlet is None or kind.dead(greenlet):
            return None
        if not kind.active(greenlet):
            return GreenletStack((), NOT_BEGUN)
        own = kind.parent(greenlet) is None
        del greenlet
        if self._frames_left <= 0:
            return GreenletStack((), NOT_READ, own=own)
        rows = _walk(kind, reference)
        self._frames_left -= len(rows)
        for code, _, names in rows:
            if id(code) not in self.modules:
                # f_globals may be a subclass of dict with methods of the host
                module = dict.get(names, "__name__")
                self.modules[id(code)] = module if type(module) is str else ""
        frames = [(code, offset) for code, offset, _ in rows]
        return GreenletStack(frames, SUSPENDED, own=own) if frames else None


def _walk(kind: GreenletType, reference: ref[Any]) -> list[tuple[CodeType, int, dict[str, Any]]]:
    """Return code, offset and globals of each frame, the innermost first; empty if it runs."""
    try:
        # from inside: frame, frame.f_back and so on, cut before the None at the end
        return list(
            map(
                _read,
                islice(
                    takewhile(
                        truth,
                        accumulate(repeat("f_back"), getattr, initial=kind.frame(reference())),
                    ),
                    _MAX_DEPTH,
                ),
            )
        )
    except (AttributeError, TypeError):  # it was freed
        return []
