"""Finds the greenlets of this process, as of gevent, eventlet and SQLAlchemy.

No library lists all greenlets. But each refers to its parent, and an instance of a class written
in Python refers to its class. So `gc.get_referrers`, which follows references in C without calling
code of the host, finds them in two passes over all containers: first the instances of Python
classes, among them gevent's hubs, then the children of those and of their parents. A pass takes 16
to 45 ns for each container and holds the GIL; to filter all containers by their type takes 100 ns
for each.
"""

from __future__ import annotations

import gc
from _weakref import ref
from time import thread_time_ns

from pprofplus.probes.instances import distinct, instances_among, is_heap_type, with_subclasses

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

_MAX_PARENTS = 40  # a pass compares each reference with each of them


class GreenletType:
    """The class of greenlets.

    Attributes:
        active: returns whether a greenlet has begun and has not ended.
        dead: returns whether a greenlet has ended.
        parent: returns the parent of a greenlet, None for that of a thread's own stack.
        frame: returns the innermost frame of a suspended greenlet; None if it runs, has not begun
            or has ended.
        hold_ns: the longest time for which `find` held the GIL.
    """

    __slots__ = ("_type", "active", "dead", "frame", "hold_ns", "parent")

    def __init__(self, greenlet: type) -> None:
        """Use this class. Raises AttributeError, KeyError if it is that of an unknown version."""
        # a subclass of the host may define the same names; these are not looked up in it
        names = greenlet.__dict__
        self._type = greenlet
        self.hold_ns = 0
        self.active: Callable[[object], bool] = names["__bool__"]
        self.dead: Callable[[object], bool] = names["dead"].__get__
        self.parent: Callable[[object], object] = names["parent"].__get__
        self.frame: Callable[[object], Any] = names["gr_frame"].__get__

    def lives(self, greenlet: object) -> bool:
        """Return whether a greenlet has not ended, and is not a thread's own stack."""
        return not self.dead(greenlet) and self.parent(greenlet) is not None

    def find(self, *, scan: bool) -> list[ref[Any]]:
        """Return weak references to all greenlets, also to those of the threads' own stacks.

        Not found are those of the exact type `greenlet` whose parent is neither a thread's own
        greenlet nor a hub nor the parent of one that is found. If no Python class of greenlets
        has an instance, and `scan` is set, all containers are filtered by their type instead.
        """
        kinds = with_subclasses(self._type)
        classes = [kind for kind in kinds if is_heap_type(kind)]
        found = self._pass(gc.get_referrers, classes, kinds) if classes else []
        if found:
            parents = self._parents(found)
            found += map(ref, parents)
            found += self._pass(gc.get_referrers, parents, kinds)
        elif scan:
            found = self._pass(gc.get_objects, (), kinds)
        return distinct(found)

    def _pass(
        self, search: Callable[..., list[Any]], front: Sequence[object], kinds: list[type]
    ) -> list[ref[Any]]:
        began_ns = thread_time_ns()
        found = instances_among(search(*front), kinds)
        self.hold_ns = max(self.hold_ns, thread_time_ns() - began_ns)
        return found

    def _parents(self, references: Iterable[ref[Any]]) -> list[object]:
        """Return what may be parents of further greenlets, at most _MAX_PARENTS.

        They are the parents of these greenlets, and theirs, and the children of a thread's own
        greenlet, such as hubs: nothing but a hub refers to a greenlet that has not begun.
        """
        found: dict[int, object] = {}
        children: list[object] = []
        for reference in references:
            greenlet = reference()
            parent = None if greenlet is None else self.parent(greenlet)
            if parent is not None and self.parent(parent) is None:
                children.append(greenlet)
            while parent is not None and id(parent) not in found and len(found) < _MAX_PARENTS:
                found[id(parent)] = parent
                parent = self.parent(parent)
            if len(children) >= _MAX_PARENTS and len(found) >= _MAX_PARENTS:
                break
        for greenlet in children[: _MAX_PARENTS - len(found)]:
            found[id(greenlet)] = greenlet
        return list(found.values())
