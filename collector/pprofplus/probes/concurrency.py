"""The asyncio tasks and the greenlets of this process, where it uses them.

asyncio keeps sets of its tasks. No library lists all greenlets: see `greenlet_search`, which is
loaded in a process that uses them.
"""

from __future__ import annotations

import sys
from _weakrefset import WeakSet

from pprofplus.probes import Probe

# by Python version: 3.10 and 3.11 the first, 3.12 and later the others
_WEAK_SETS = ("_all_tasks", "_scheduled_tasks")
# greenlets are not counted in a larger process, nor if to find them holds the GIL for longer
MAX_BLOCKS = 6_000_000
_MAX_HOLD_NS = 30_000_000
_MAX_SCAN_BLOCKS = 1_000_000
_EAGER = "_eager_tasks"  # a set: tasks in their first step, if the host runs them eagerly


def weak_sets() -> list[WeakSet[object]]:
    """Return asyncio's weak sets of tasks; empty if this process has not loaded asyncio.

    Python 3.14 keeps its own tasks elsewhere, see `all_are_listed`.
    """
    module = dict.get(sys.modules, "asyncio.tasks")
    if type(module) is not type(sys):
        return []
    names = module.__dict__
    return [found for name in _WEAK_SETS if type(found := names.get(name)) is WeakSet]


def eager_tasks() -> set[object]:
    """Return asyncio's own set of the tasks that are in their first step."""
    module = dict.get(sys.modules, "asyncio.tasks")
    found = module.__dict__.get(_EAGER) if type(module) is type(sys) else None
    return found if type(found) is set else set()


def all_are_listed() -> bool:
    """Return whether the sets contain all tasks; in Python 3.14 only those of other libraries."""
    return sys.version_info < (3, 14)


def greenlet_class() -> type | None:
    """Return the class of greenlets, or None if no thread has used one."""
    module = dict.get(sys.modules, "greenlet._greenlet")
    if type(module) is not type(sys):
        return None
    names = module.__dict__
    count = names.get("get_total_main_greenlets")
    # SQLAlchemy, for example, imports it and seldom uses it
    if count is not None and not count():
        return None
    found: type | None = names.get("greenlet")
    return found


class TasksProbe(Probe):
    """Number of asyncio tasks, of all loops of all threads; none until asyncio is loaded.

    A task counts until it is freed: one that is done counts as long as the host refers to it. On
    Python 3.14 and later there is no cheap way to count them, and this probe has no value.
    """

    names = ("tasks",)
    exact = True

    def read(self) -> tuple[int, ...] | None:
        """Return their number; takes about a microsecond, however many there are."""
        found = weak_sets()
        if not found or not all_are_listed():
            return None
        count = len(eager_tasks())
        for each in found:
            # what len() of a WeakSet returns, at a third of its cost
            count += len(each.data) - len(each._pending_removals)  # type: ignore[attr-defined]  # noqa: SLF001
        return (count,)


class GreenletsProbe(Probe):
    """Number of greenlets that have not ended; none until a thread has used greenlets.

    There is no cheap way to count them: references are followed through all containers, which holds
    the GIL. So the budget limits how often it is done, and there is no value in a process so large
    that it holds the GIL for more than 30 ms.
    """

    names = ("greenlets",)
    exact = True
    budgeted = True
    min_period_s = 9.5  # half an interval less than ten seconds

    def __init__(self) -> None:
        self._most_blocks = MAX_BLOCKS

    def read(self) -> tuple[int, ...] | None:
        """Return their number; None if there are none, or if a count takes too long."""
        greenlet = greenlet_class()
        if greenlet is None:
            return None
        blocks = sys.getallocatedblocks()
        if blocks > self._most_blocks:
            return None
        from pprofplus.probes.greenlet_search import GreenletType

        kind = GreenletType(greenlet)
        found = kind.find(scan=blocks <= _MAX_SCAN_BLOCKS)
        if kind.hold_ns > _MAX_HOLD_NS:
            self._most_blocks = blocks // 2
        count = 0
        for reference in found:
            each = reference()
            if each is not None and kind.lives(each):
                count += 1
        return (count,)
