"""Names what holds an object, and by which reference; no code of the host is called for it.

Instances of builtin types are read with the methods and slots of exactly that type. Keys are shown
only if they are exact str or int, cut and without control characters.
"""

from __future__ import annotations

import gc
import sys
from array import array
from collections import deque
from itertools import compress, count, islice
from types import (
    AsyncGeneratorType,
    CellType,
    CodeType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
    MethodType,
    ModuleType,
)

from pprofplus.profiles.object_slices import indexes_of
from pprofplus.profiles.type_names import (
    MAX_NAME,
    dict_descriptor,
    mro_of,
    namespace_of,
    shown,
    slots_of,
    type_name,
)

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from typing import Any

_MAX_KEY = 60  # of characters
_CHUNK = 50_000  # elements that are compared without a release of the GIL
_MOST_SCANNED = 2_000_000  # elements of one container
_MANY = 16  # elements: of a larger container, the key is no part of the holder's identity

_CODE_SLOT = {
    id(CoroutineType): "cr_code",
    id(GeneratorType): "gi_code",
    id(AsyncGeneratorType): "ag_code",
    id(FrameType): "f_code",
}
_closure = FunctionType.__dict__["__closure__"].__get__
_function_name = FunctionType.__dict__["__qualname__"].__get__
_function_module = FunctionType.__dict__["__module__"].__get__
_method_function = MethodType.__dict__["__func__"].__get__
_module_dict = type.__getattribute__(ModuleType, "__dict__")["__dict__"].__get__


class Edge:
    """A reference from a holder.

    Attributes:
        stem: of the label, such as "list" or "app.Registry.sessions".
        key: the rest of it, such as "[163]"; or "".
        attribute: the key of a dict as the name of an attribute, or "".
        role: "namespace" if the object is the dict of an instance, "closure" if it is the tuple of
            a function's cells, else "".
        common: the key differs from object to object, as in a container with many elements.
    """

    __slots__ = ("attribute", "common", "key", "role", "stem")

    def __init__(
        self,
        stem: str,
        key: str = "",
        attribute: str = "",
        *,
        role: str = "",
        common: bool = False,
    ) -> None:
        self.stem = stem
        self.key = key
        self.attribute = attribute
        self.role = role
        self.common = common

    @property
    def group(self) -> str:
        """The label without a key that differs from object to object."""
        return f"{self.stem}[*]" if self.common else f"{self.stem}{self.key}"

    @property
    def text(self) -> str:
        """The label with its key."""
        return f"{self.stem}{self.key}"


def namespaces(types: dict[int, type]) -> dict[int, tuple[str, str]]:
    """Return the dicts of modules and classes: id to (kind, name)."""
    found: dict[int, tuple[str, str]] = {}
    for cls in types.values():
        # a mappingproxy refers to the dict of the class alone
        for space in gc.get_referents(namespace_of(cls)):
            found[id(space)] = ("class", type_name(cls))
    for name, module in list(dict.items(sys.modules)):
        if type(name) is str and ModuleType in mro_of(type(module)):
            found[id(_module_dict(module))] = ("module", shown(name, _MAX_KEY * 2))
    return found


def found_in(holder: object, wanted: set[int]) -> list[tuple[int, Edge]] | None:
    """Return (id, edge) of each wanted object that a builtin container holds.

    Of a large container only some of them are found, the newest first. Returns None for anything
    but a builtin container or a dict of another type.
    """
    cls = type(holder)
    if dict in mro_of(cls):
        return _in_dict(holder, wanted)
    if cls is list or cls is tuple:
        return _in_sequence(holder, cls, wanted)
    if cls is set or cls is frozenset or cls is deque:
        try:
            elements: Any = cls.__iter__(holder)  # type: ignore[arg-type] # of that class
            found: list[int] = [*filter(wanted.__contains__, map(id, elements))]
        except RuntimeError:  # it changed meanwhile
            return []
        return [(number, Edge(cls.__name__, "[*]", common=True)) for number in found]
    return None


def _in_sequence(holder: Any, cls: Any, wanted: set[int]) -> list[tuple[int, Edge]]:  # noqa: ANN401 - list or tuple
    length = cls.__len__(holder)
    found: list[tuple[int, Edge]] = []
    for end in range(length, max(length - _MOST_SCANNED, 0), -_CHUNK):
        begin = max(end - _CHUNK, 0)
        part = cls.__getitem__(holder, slice(begin, end))
        for index in indexes_of(part, wanted):
            edge = Edge(cls.__name__, f"[{begin + index}]", common=length > _MANY)
            found.append((id(part[index]), edge))
    return found


def _in_dict(holder: Any, wanted: set[int]) -> list[tuple[int, Edge]]:  # noqa: ANN401 - a dict
    name = type_name(type(holder))
    length = dict.__len__(holder)
    found: list[tuple[int, object]]
    if length <= _CHUNK:
        # values and keys in one call of C code each, so that the dict cannot change during it
        marks = map(wanted.__contains__, map(id, dict.values(holder)))
        ids_and_keys = zip(map(id, dict.values(holder)), dict.keys(holder), strict=True)
        try:
            found = list(compress(ids_and_keys, marks))
        except (RuntimeError, ValueError):  # it changed between two of the lines
            found = []
    else:
        found = _newest_of_dict(holder, wanted)
    edges = [(number, _edge_of_key(name, key, common=length > _MANY)) for number, key in found]
    if not edges:
        try:
            as_keys = list(filter(wanted.__contains__, map(id, dict.keys(holder))))
            edges = [(number, Edge(f"key of {name}")) for number in as_keys]
            if not edges:
                as_values = list(filter(wanted.__contains__, map(id, dict.values(holder))))
                edges = [(number, Edge(name, "[*]", common=True)) for number in as_values]
        except RuntimeError:
            return []
    return edges


def _newest_of_dict(holder: Any, wanted: set[int]) -> list[tuple[int, object]]:  # noqa: ANN401 - a dict
    """Return (id, key) of wanted values in a large dict: some of them if it changes meanwhile."""
    found: list[tuple[int, object]] = []
    values, keys = reversed(dict.values(holder)), reversed(dict.keys(holder))
    try:
        for _ in range(0, min(dict.__len__(holder), _MOST_SCANNED), _CHUNK):
            ids = array("Q", islice(map(id, values), _CHUNK))
            names = list(islice(keys, _CHUNK))
            hits = compress(count(), map(wanted.__contains__, ids))
            found += [(ids[index], names[index]) for index in hits]
    except (RuntimeError, IndexError):
        pass
    return found


def _edge_of_key(name: str, key: object, *, common: bool) -> Edge:
    if type(key) is str:
        text = shown(key, _MAX_KEY)
        return Edge(name, f"[{text!r}]", text, common=common)
    if type(key) is int and -(1 << 63) < key < 1 << 63:
        return Edge(name, f"[{key}]", common=common)
    return Edge(name, "[*]", common=True)


def attribute_edge(holder: object, target: object) -> Edge:
    """Return the edge from an instance, function, generator or other object to `target`."""
    cls = type(holder)
    name = type_name(cls)
    label = _builtin_label(holder, cls, name)
    if label:
        return Edge(label)
    for attribute, slot in slots_of(cls).items():
        try:
            value = slot.__get__(holder, cls)
        except (AttributeError, TypeError, SystemError):
            continue
        if value is target:
            return Edge(f"{name}.{shown(attribute, _MAX_KEY)}")
    space = dict_of(holder)
    if space is not None:
        for number, key in _pairs(space):
            if number == id(target) and type(key) is str:
                return Edge(f"{name}.{shown(key, _MAX_KEY)}")
    return Edge(name)


def _builtin_label(holder: Any, cls: type, name: str) -> str:  # noqa: ANN401 - any object
    """Return the label of a function, method, cell, generator or class, "" for anything else."""
    if cls is FunctionType:
        return f"function {function_label(holder)}"
    if cls is MethodType:
        return f"bound method {function_label(_method_function(holder))}"
    if cls is CellType:
        return "cell"
    slot = _CODE_SLOT.get(id(cls))
    if slot is not None:
        code = namespace_of(cls)[slot].__get__(holder)
        return f"{name} {_code_name(code)}" if type(code) is CodeType else name
    if type in mro_of(cls):
        return f"class {type_name(holder)}"
    if name == "functools._lru_cache_wrapper":
        for one in gc.get_referents(holder):
            if type(one) is FunctionType:
                return f"lru_cache {function_label(one)}"
    return ""


def dict_of(holder: object) -> object:
    """Return the `__dict__` of an instance, or None if it has none that C code returns.

    Since Python 3.11 the interpreter may create the dict for this, 64 to 300 bytes.
    """
    cls = type(holder)
    descriptor = dict_descriptor(cls)
    if descriptor is None:
        return None
    try:
        space: object = descriptor.__get__(holder, cls)
    except (AttributeError, TypeError):
        return None
    return space if dict in mro_of(type(space)) else None


def is_closure(holder: object, target: object) -> bool:
    """Return whether `target` is the tuple of cells of the function `holder`."""
    return type(holder) is FunctionType and _closure(holder) is target


def _pairs(space: Any) -> list[tuple[int, object]]:  # noqa: ANN401 - a dict
    try:
        ids = map(id, dict.values(space))
        return list(islice(zip(ids, dict.keys(space), strict=True), _CHUNK))
    except (RuntimeError, ValueError):
        return []


def function_label(function: object) -> str:
    """Return "module.qualname" of a function; of another callable its type's name."""
    if type(function) is not FunctionType:
        return type_name(type(function))
    name, module = _function_name(function), _function_module(function)
    text = shown(name, MAX_NAME) if type(name) is str else "[unnamed]"
    return f"{shown(module, MAX_NAME)}.{text}" if type(module) is str else text


def _code_name(code: CodeType) -> str:
    return shown(getattr(code, "co_qualname", code.co_name), MAX_NAME)
