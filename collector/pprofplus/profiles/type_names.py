"""All types of this process, with their names and flags; no code of the host is called for them.

A metaclass can replace `__name__`, `__hash__` or `__subclasses__`, so attributes of a type are
read with the slots of `type` itself, and types are looked up by `id`.
"""

from __future__ import annotations

from types import GetSetDescriptorType, MemberDescriptorType

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

# flags of a type, Include/object.h
IMMUTABLE, HEAP_TYPE, HAVE_GC = 1 << 8, 1 << 9, 1 << 14
MANAGED_DICT = 1 << 4  # since Python 3.11
MAX_NAME = 200  # of characters

_SLOTS = type.__dict__
_qualname = _SLOTS["__qualname__"].__get__
_module = _SLOTS["__module__"].__get__
_mro = _SLOTS["__mro__"].__get__
_namespace = _SLOTS["__dict__"].__get__
_flags = _SLOTS["__flags__"].__get__
_subclasses = type.__subclasses__


def all_types() -> dict[int, type]:
    """Return every type that can be reached from `object`, by its id."""
    found: dict[int, type] = {id(object): object}
    pending: list[type] = [object]
    while pending:
        try:
            below: list[type] = _subclasses(pending.pop())
        except (TypeError, RuntimeError):  # a class that is just being made
            continue
        for cls in below:
            if id(cls) not in found:
                found[id(cls)] = cls
                pending.append(cls)
    return found


def flags_of(cls: type) -> int:
    """Return the flags of a type."""
    flags: int = _flags(cls)
    return flags


def mro_of(cls: type) -> tuple[type, ...]:
    """Return the method resolution order, () for a class that is just being made."""
    order = _mro(cls)
    return order if type(order) is tuple else ()


def namespace_of(cls: type) -> Mapping[str, Any]:
    """Return the attributes of a type itself, without those it inherits."""
    space: Mapping[str, Any] = _namespace(cls)
    return space


def type_name(cls: type) -> str:
    """Return "module.qualname", or only the name of a builtin, without control characters."""
    try:
        name, module = _qualname(cls), _module(cls)
    except (AttributeError, TypeError):
        name = module = None
    if type(name) is not str:
        name = "[unnamed type]"
    # cut first: a name can be megabytes long
    name = shown(name, MAX_NAME)
    if type(module) is not str or module == "builtins":
        return name
    return f"{shown(module, MAX_NAME)}.{name}"


def shown(text: str, limit: int) -> str:
    """Return an exact str without control characters, cut to `limit` characters."""
    cut = text[:limit]
    if not cut.isprintable():
        cut = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in cut)
    return f"{cut}…" if len(text) > limit else cut


def dict_descriptor(cls: type) -> GetSetDescriptorType | None:
    """Return the C descriptor with which the instances of a type return their `__dict__`."""
    for base in mro_of(cls):
        found = namespace_of(base).get("__dict__")
        if found is not None:
            return found if type(found) is GetSetDescriptorType else None
    return None


def slots_of(cls: type) -> dict[str, MemberDescriptorType]:
    """Return the C descriptors of `__slots__` and of members that C code defines."""
    return {
        name: value
        for base in reversed(mro_of(cls))
        for name, value in list(namespace_of(base).items())
        if type(value) is MemberDescriptorType and type(name) is str
    }
