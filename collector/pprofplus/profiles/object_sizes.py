"""Sizes of objects and of what they hold, without calling code of the host.

The size of an object is that of its own memory. What the garbage collector does not track (str,
bytes, int, ndarray …) is charged to the containers that hold it, divided by its reference count.
Lists, dicts, sets and tuples to which an instance has the only reference are charged to it too.
"""

from __future__ import annotations

import gc
import sys
from collections import OrderedDict, deque
from itertools import islice
from types import MethodDescriptorType

from pprofplus.profiles.type_names import (
    HAVE_GC,
    HEAP_TYPE,
    IMMUTABLE,
    MANAGED_DICT,
    flags_of,
    mro_of,
    namespace_of,
    type_name,
)

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    Sizer = Callable[[object], int]

DEFAULT_SIZER: Sizer = object.__sizeof__
GC_HEAD = 16  # bytes before an object that the collector tracks

# Their C code computes sizes and calls nothing else. A type is trusted if nobody can have replaced
# its method: it is no heap type, or it is immutable.
_TRUSTED = {"_io", "array", "builtins", "collections", "decimal", "io", "numpy"}
CONTAINERS: tuple[type, ...] = (dict, list, tuple, set, frozenset, deque, OrderedDict)
_MANY = 1 << 28  # references: an immortal object, which belongs to nobody
_MOST_ELEMENTS = 400  # of one container; the rest is extrapolated
_MOST_REFERENTS = 4_000  # of one instance with all that it owns
_INLINE_VALUES_APART = (3, 11) <= sys.version_info < (3, 13)


def sizer_of(cls: type) -> Sizer:
    """Return the C function that computes the own size of instances of a type."""
    for base in mro_of(cls):
        flags = flags_of(base)
        if flags & HEAP_TYPE and not flags & IMMUTABLE:
            continue
        found = namespace_of(base).get("__sizeof__")
        if found is not None and type(found) is MethodDescriptorType:
            trusted = type_name(base).rpartition(".")[0] or "builtins"
            sizer: Sizer = found if trusted in _TRUSTED else DEFAULT_SIZER
            return sizer
    return DEFAULT_SIZER


def fixed_overhead(cls: type) -> int:
    """Return the bytes before each instance: for the collector and for a managed `__dict__`."""
    flags = flags_of(cls)
    managed = flags & MANAGED_DICT and sys.version_info >= (3, 11)
    return (GC_HEAD if flags & HAVE_GC else 0) + (16 if managed else 0)


class Sizers:
    """The sizers of all types, by id of the type; a type is looked up once."""

    __slots__ = ("_overheads", "_types", "by_id")

    def __init__(self, types: dict[int, type]) -> None:
        """Prepare those of `types`."""
        self._types = dict(types)  # keeps each id valid
        self.by_id: dict[int, Sizer] = {}
        self._overheads: dict[int, int] = {}
        for cls in types.values():
            self._add(cls)

    def size(self, of: object) -> int:
        """Return the bytes of an object, with what lies before it."""
        cls = type(of)
        number = id(cls)
        if number not in self._types:
            self._types[number] = cls
            self._add(cls)
        return self.by_id.get(number, DEFAULT_SIZER)(of) + self._overheads[number]

    def overhead(self, type_id: int) -> int:
        """Return the bytes before each instance of a known type."""
        return self._overheads.get(type_id, GC_HEAD)

    def _add(self, cls: type) -> None:
        sizer = sizer_of(cls)
        if sizer is not DEFAULT_SIZER:
            self.by_id[id(cls)] = sizer
        self._overheads[id(cls)] = fixed_overhead(cls)


class Content:
    """What one container or instance holds besides its own memory.

    Attributes:
        size_bytes: of all of it.
        absorbed: (count, bytes) of the containers that are charged to it, by id of their type.
        leaves: (count, bytes) of what is not tracked, by id of its type; only of a container.
        types: the types of `leaves`, by id.
    """

    __slots__ = ("absorbed", "leaves", "size_bytes", "types")

    def __init__(self) -> None:
        self.size_bytes = 0.0
        self.absorbed: dict[int, list[float]] = {}
        self.leaves: dict[int, list[float]] = {}
        self.types: dict[int, type] = {}


def content_of(holder: object, sizers: Sizers) -> Content:
    """Return what `holder` holds; of a large container some elements are extrapolated."""
    content = Content()
    cls = type(holder)
    if is_container(cls):
        elements, scale = elements_of(holder)
        _add_leaves(content, elements, scale, sizers)
        return content
    if sizers.size(holder) > _MOST_REFERENTS * 16:
        return content  # it may refer to anything
    if _INLINE_VALUES_APART and flags_of(cls) & MANAGED_DICT:
        content.size_bytes += 16 + 8 * len(gc.get_referents(holder))
    pending: list[tuple[object, float, int]] = [(holder, 1.0, 0)]
    left = _MOST_REFERENTS
    while pending and left > 0:
        owner, weight, depth = pending.pop()
        elements, scale = elements_of(owner)
        left -= len(elements)
        owned = _add_owned(content, elements, weight * scale, sizers)
        if depth < 4:
            pending += [(one, weight * scale, depth + 1) for one in owned]
    return content


def _add_owned(
    content: Content, elements: list[object], weight: float, sizers: Sizers
) -> list[object]:
    """Add what belongs to the owner of `elements`; return the containers among it."""
    owned = []
    for element in elements:
        cls = type(element)
        if is_container(cls):
            if sys.getrefcount(element) == _ONE:
                size_bytes = weight * sizers.size(element)
                entry = content.absorbed.setdefault(id(cls), [0.0, 0.0])
                entry[0] += weight
                entry[1] += size_bytes
                content.size_bytes += size_bytes
                owned.append(element)
        elif not flags_of(cls) & HAVE_GC:
            references = sys.getrefcount(element) - _ONE + 1
            if references < _MANY:
                content.size_bytes += weight * sizers.size(element) / max(references, 1)
    return owned


def _add_leaves(content: Content, elements: list[object], scale: float, sizers: Sizers) -> None:
    for element in elements:
        cls = type(element)
        if flags_of(cls) & HAVE_GC:
            continue
        references = sys.getrefcount(element) - _ONE + 1
        if references < _MANY:
            size_bytes = scale * sizers.size(element) / max(references, 1)
            entry = content.leaves.setdefault(id(cls), [0.0, 0.0])
            entry[0] += scale
            entry[1] += size_bytes
            content.types[id(cls)] = cls
            content.size_bytes += size_bytes


def is_container(cls: type) -> bool:
    """Return whether a type is one of the builtin containers, not a subclass of one."""
    return any(base is cls for base in CONTAINERS)


def length_of(container: object) -> int:
    """Return the number of elements of a builtin container, 0 of anything else."""
    for base in CONTAINERS:
        if type(container) is base:
            count: int = base.__len__(container)  # type: ignore[attr-defined] # each has it
            return count
    return 0


def elements_of(container: object) -> tuple[list[Any], float]:
    """Return elements of a builtin container and the number of elements that each stands for.

    The keys of a dict are elements too. The list is made without a release of the GIL.
    """
    cls = type(container)
    length = length_of(container)
    if length <= _MOST_ELEMENTS:
        return gc.get_referents(container), 1.0
    step = length // _MOST_ELEMENTS
    found: Iterable[Any]
    if cls is list:
        found = list.__getitem__(container, slice(None, None, step))  # type: ignore[call-overload]
    elif cls is tuple:
        found = tuple.__getitem__(container, slice(None, None, step))  # type: ignore[call-overload]
    else:
        return _first_elements(container, cls, length)
    elements = list(found)
    return elements, length / max(len(elements), 1)


def _first_elements(container: Any, cls: type, length: int) -> tuple[list[Any], float]:  # noqa: ANN401 - any container
    """Return the newest elements of a dict, or some of a set or deque."""
    try:
        if cls is dict or cls is OrderedDict:
            half = _MOST_ELEMENTS // 2
            elements = list(islice(reversed(cls.values(container)), half))
            elements += list(islice(reversed(cls.keys(container)), half))
            return elements, length / max(len(elements) // 2, 1)
        elements = list(islice(cls.__iter__(container), _MOST_ELEMENTS))  # type: ignore[attr-defined]
    except (RuntimeError, KeyError, AttributeError):  # it changed meanwhile
        return [], 1.0
    return elements, length / max(len(elements), 1)


def _references_to_one() -> int:
    """Return what `sys.getrefcount` returns for an element that its container alone holds."""
    counts = []
    container = [object()]
    for element in gc.get_referents(container):
        counts.append(sys.getrefcount(element))  # noqa: PERF401 - the same code as above
    return counts[0]


_ONE = _references_to_one()
