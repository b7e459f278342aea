"""Reads slices of all objects that the garbage collector tracks, as numbers.

A list of all objects keeps each of them alive, and releasing it later would run finalizers of the
host on our thread. Here the list, a slice of it and everything computed from the slice are made
within one call of C code: the GIL is not released in between, and only numbers are left.
"""

from __future__ import annotations

import gc
from array import array
from functools import partial
from itertools import compress, count, islice, repeat
from operator import itemgetter
from time import perf_counter

from pprofplus.profiles.object_sizes import CONTAINERS, DEFAULT_SIZER, Sizers

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from typing import Any

BIG_BYTES = 1024  # the size of such a container is kept, to see whether it grows
LARGE_BYTES = 64 << 10  # a container of this size is reported alone
# array.array is generic for type checkers only
_call: Any = type(DEFAULT_SIZER).__call__
# `operator.call` is new in 3.11
_call_slot: Any = type(list.__len__).__call__
_LENGTHS = {id(cls): cls.__len__ for cls in CONTAINERS}  # type: ignore[attr-defined] # each has it


class Held(list[object]):
    """A list of objects of the host; a search for referrers excludes it by its type."""

    __slots__ = ()


class OwnArray(array):  # type: ignore[type-arg] # generic for type checkers only
    """An array of ours; a census leaves out everything whose type is of this package."""

    __slots__ = ()


class OwnDict(dict[Any, Any] if TYPE_CHECKING else dict):  # type: ignore[misc]
    """A dict of ours, like `OwnArray`."""

    __slots__ = ()


class Holds:
    """How long the GIL was held.

    Attributes:
        count: how often.
        longest_s: the longest.
        shortest_s: the shortest, 0 before the first.
        total_s: the sum.
    """

    __slots__ = ("count", "longest_s", "shortest_s", "total_s")

    def __init__(self) -> None:
        self.count = 0
        self.longest_s = self.shortest_s = self.total_s = 0.0

    def add(self, held_s: float) -> None:
        """Count one."""
        self.count += 1
        self.longest_s = max(self.longest_s, held_s)
        self.shortest_s = min(self.shortest_s or held_s, held_s)
        self.total_s += held_s

    def include(self, other: Holds) -> None:
        """Count those of another."""
        self.count += other.count
        self.longest_s = max(self.longest_s, other.longest_s)
        self.total_s += other.total_s


class ObjectSlice:
    """Numbers of one slice.

    Attributes:
        total: tracked objects in the generation, or in all.
        type_ids: the id of each object's type.
        object_ids: the id of each object.
        sizes: own size of each object in bytes, without what lies before it.
        big_ids: the id of each builtin container of at least `BIG_BYTES`.
        big_sizes: its own size.
        big_lengths: the number of its elements.
        large: those of at least `LARGE_BYTES`.
        held_s: how long the GIL was held.
    """

    __slots__ = (
        "big_ids",
        "big_lengths",
        "big_sizes",
        "held_s",
        "large",
        "object_ids",
        "sizes",
        "total",
        "type_ids",
    )

    def __init__(
        self, generation: int | None, part: slice, sizers: Sizers, *, keep_large: bool
    ) -> None:
        """Read `part` of a generation (None: of all)."""
        self.type_ids, self.object_ids, self.sizes = (OwnArray("Q") for _ in range(3))
        self.big_ids, self.big_sizes, self.big_lengths = (OwnArray("Q") for _ in range(3))
        self.large = Held()
        everything: list[list[object]] = []
        lengths: list[int] = []
        objects = Held()
        steps: list[Any] = [
            map(everything.append, iter(partial(gc.get_objects, generation), None)),
            map(lengths.extend, (map(len, everything),)),
            map(objects.extend, map(itemgetter(part), everything)),
            map(list.clear, (everything,)),
            map(self.type_ids.extend, (map(id, map(type, objects)),)),
            map(self.object_ids.extend, (map(id, objects),)),
            map(
                self.sizes.extend,
                (
                    map(
                        _call,
                        map(sizers.by_id.get, self.type_ids, repeat(DEFAULT_SIZER)),
                        objects,
                    ),
                ),
            ),
        ]
        big, containers, found_large = Held(), Held(), map(LARGE_BYTES.__le__, self.big_sizes)
        steps += [
            map(big.extend, (compress(objects, map(BIG_BYTES.__le__, self.sizes)),)),
            map(list.clear, (objects,)),
            map(
                containers.extend,
                (compress(big, map(_LENGTHS.__contains__, map(id, map(type, big)))),),
            ),
            map(list.clear, (big,)),
            map(self.big_ids.extend, (map(id, containers),)),
            map(
                self.big_sizes.extend,
                (
                    map(
                        _call,
                        map(
                            sizers.by_id.get,
                            map(id, map(type, containers)),
                            repeat(DEFAULT_SIZER),
                        ),
                        containers,
                    ),
                ),
            ),
            map(
                self.big_lengths.extend,
                (map(_call_slot, map(_LENGTHS.get, map(id, map(type, containers))), containers),),
            ),
        ]
        if keep_large:
            steps.append(map(self.large.extend, (compress(containers, found_large),)))
        steps.append(map(list.clear, (containers,)))
        self.held_s = _at_once(steps, everything, objects, big, containers)
        self.total = lengths[0]


class ObjectSample:
    """Some objects with a wanted id, or of a type with a wanted id, from a slice of all objects.

    Attributes:
        objects: those objects.
        total: tracked objects.
        held_s: how long the GIL was held.
    """

    __slots__ = ("held_s", "objects", "total")

    def __init__(self, part: slice, wanted: set[int], most: int, *, by_type: bool = True) -> None:
        """Read at most `most` objects whose id, or whose type's id, is in `wanted`."""
        self.objects = Held()
        everything: list[list[object]] = []
        objects = Held()
        ids = map(id, map(type, objects)) if by_type else map(id, objects)
        is_wanted = map(wanted.__contains__, ids)
        lengths: list[int] = []
        steps: list[Any] = [
            map(everything.append, iter(gc.get_objects, None)),
            map(lengths.extend, (map(len, everything),)),
            map(objects.extend, map(itemgetter(part), everything)),
            map(list.clear, (everything,)),
            map(self.objects.extend, (islice(compress(objects, is_wanted), most),)),
            map(list.clear, (objects,)),
        ]
        self.held_s = _at_once(steps, everything, objects)
        self.total = lengths[0]


def _at_once(steps: list[Any], *emptied: list[Any]) -> float:
    """Run the first item of each iterator, in order, within one call of C code."""
    at_once = zip(*steps, strict=False)
    begin = perf_counter()
    try:
        next(at_once)
        return perf_counter() - begin
    finally:
        for one in emptied:
            list.clear(one)


def indexes_of(elements: Any, wanted: set[int]) -> list[int]:  # noqa: ANN401 - any iterable of C
    """Return the indexes of the elements whose id is in `wanted`, within one call of C code."""
    return list(compress(count(), map(wanted.__contains__, map(id, elements))))
