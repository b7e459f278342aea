"""The asyncio tasks of this process: the sets in which asyncio itself keeps them."""

from __future__ import annotations

import sys
from _weakrefset import WeakSet

from pprofplus.probes import Probe

# by Python version: 3.10 and 3.11 the first, 3.12 and later the others
_WEAK_SETS = ("_all_tasks", "_scheduled_tasks")
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
