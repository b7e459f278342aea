"""Finds the instances of a class through the garbage collector; no code of the host runs."""

from __future__ import annotations

from _weakref import ref
from itertools import compress

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE

# a metaclass of the host may define the same name; these are not looked up in it
_flags: Callable[[type], int] = type.__dict__["__flags__"].__get__


def with_subclasses(kind: type) -> list[type]:
    """Return a class and all classes that derive from it."""
    found = {id(kind): kind}
    waiting = [kind]
    each: type
    while waiting:
        for each in type.__subclasses__(waiting.pop()):
            if id(each) not in found:
                found[id(each)] = each
                waiting.append(each)
    return list(found.values())


def is_heap_type(kind: type) -> bool:
    """Return whether the instances of a class refer to it, so that `gc.get_referrers` finds them.

    It is so for classes written in Python, and for some in C.
    """
    return bool(_flags(kind) & _HEAP_TYPE)


def instances_among(objects: list[Any], kinds: Iterable[type]) -> list[ref[Any]]:
    """Return weak references to the objects of exactly these types, by C functions only.

    Types are compared by their id, because a metaclass of the host may define `__eq__`.
    """
    ids = frozenset(map(id, kinds))
    wanted = map(ids.__contains__, map(id, map(type, objects)))
    return list(map(ref, compress(objects, wanted)))


def distinct(references: list[ref[Any]]) -> list[ref[Any]]:
    """Return each once; an object has only one weak reference without a callback."""
    return list(dict(zip(map(id, references), references, strict=True)).values())
