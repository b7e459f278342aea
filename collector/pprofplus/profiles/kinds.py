"""The table of all kinds of profiles: one object each."""

from __future__ import annotations

import sys

from pprofplus.system.release import check_release

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from pprofplus.profiles.capture import CaptureRequest, ProfilePart, Task

# what a profile costs the service while it is taken
LOW, PAUSES, HIGH = "low", "pauses", "high"


class ProfileKind:
    """One kind of profile.

    Attributes:
        name: on the command line, in requests and in names of artefacts.
        meaning: one line.
        sample_types: (type, unit) of each value of a sample; empty if it is not a pprof profile.
        window_s: default length of its window in seconds; 0 if it shows one moment.
        cost: LOW, PAUSES (the interpreter stands still for milliseconds) or HIGH.
        warning: one line to show before it is taken, or "".
        opt_in: it is taken only if it is named: neither a trigger nor "all" takes it.
    """

    __slots__ = (
        "_module",
        "cost",
        "meaning",
        "name",
        "opt_in",
        "sample_types",
        "warning",
        "window_s",
    )

    def __init__(
        self,
        name: str,
        module: str,
        meaning: str,
        sample_types: tuple[tuple[str, str], ...],
        *,
        window_s: float = 0.0,
        cost: str = LOW,
        warning: str = "",
        opt_in: bool = False,
    ) -> None:
        """Declare it; `module` of this package takes it, see `capture`."""
        self.name = name
        self.meaning = meaning
        self.sample_types = sample_types
        self.window_s = window_s
        self.cost = cost
        self.warning = warning
        self.opt_in = opt_in
        self._module = f"{__package__}.{module}"

    @property
    def module_name(self) -> str:
        """The module that takes it; kinds of one module are taken together, in one window."""
        return self._module

    def check(self, request: CaptureRequest) -> None:
        """Raise ProfileRefusedError if this process cannot, or should not, take it now."""
        self._load().check(request)

    def take(self, request: CaptureRequest, task: Task) -> Iterator[ProfilePart]:
        """Take the kinds of `request`; yield each profile as soon as it is made.

        Raises ProfileRefusedError, ActionCancelledError.
        """
        parts: Iterator[ProfilePart] = self._load().take(request, task)
        return parts

    def expected_hold_ms(self, request: CaptureRequest) -> float:
        """Return the longest time for which it will hold the GIL; 0 if that is not noticeable."""
        estimate = getattr(self._load(), "expected_hold_ms", None)
        return 0.0 if estimate is None else float(estimate(request))

    def load(self) -> None:
        """Load the module that takes it. Raises ValueError, ImportError, OSError."""
        self._load()

    def _load(self) -> ModuleType:
        if self._module not in sys.modules:
            check_release()
            __import__(self._module)
        return sys.modules[self._module]


_COUNT, _BYTES, _NS = "count", "bytes", "nanoseconds"
_OBJECTS = (("inuse_objects", _COUNT), ("inuse_space", _BYTES))
_WAITS = (("waits", _COUNT), ("delay", _NS))

KINDS: dict[str, ProfileKind] = {
    kind.name: kind
    for kind in (
        ProfileKind(
            "cpu",
            "stack_sampler",
            "where CPU time goes: ticks at which a thread could run, scaled to its CPU clock",
            (("samples", _COUNT), ("cpu", _NS)),
            window_s=30.0,
        ),
        ProfileKind(
            "wall",
            "stack_sampler",
            "where time goes: every thread at every tick, running or waiting",
            (("samples", _COUNT), ("wall", _NS)),
            window_s=30.0,
        ),
        ProfileKind(
            "block",
            "stack_sampler",
            "where threads wait, and for what: lock, GIL, I/O, sleep, poll",
            _WAITS,
            window_s=30.0,
        ),
        ProfileKind(
            "lock",
            "stack_sampler",
            "where threads wait for locks and for the GIL",
            _WAITS,
            window_s=30.0,
        ),
        ProfileKind(
            "threads",
            "thread_dump",
            "what each thread, asyncio task and greenlet does at this moment",
            (("threads", _COUNT),),
        ),
        ProfileKind(
            "heap",
            "object_census",
            "objects by type, and what holds them",
            _OBJECTS,
            cost=PAUSES,
        ),
        ProfileKind(
            "maps",
            "memory_maps",
            "memory by mapping: files, anonymous memory, stacks, arenas",
            (("mappings", _COUNT), ("rss", _BYTES), ("pss", _BYTES), ("private_dirty", _BYTES)),
        ),
        ProfileKind(
            "allocs",
            "allocation_sites",
            "lines that allocated what was kept during the window (tracemalloc)",
            _OBJECTS,
            window_s=10.0,
            cost=HIGH,
            warning="code that allocates runs 4 to 8 times slower while this is taken",
            opt_in=True,
        ),
        ProfileKind(
            "native",
            "native_allocations",
            "memory that C and Python allocated and kept, with native stacks (memray)",
            _OBJECTS,
            window_s=10.0,
            cost=HIGH,
            warning="code that allocates runs slower while this is taken",
            opt_in=True,
        ),
        ProfileKind(
            "threadcreate",
            "thread_starts",
            "where threads were started during the window",
            (("threads", _COUNT),),
            window_s=30.0,
            opt_in=True,
        ),
        ProfileKind(
            "trace",
            "tick_trace",
            "what each thread did over time, with GC pauses, for Perfetto or chrome://tracing",
            (),
            window_s=10.0,
            opt_in=True,
        ),
    )
}
