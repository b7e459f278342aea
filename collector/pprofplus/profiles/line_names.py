"""Finds the function that a line of a file belongs to, in the modules that are loaded.

No code of the host is called: functions are found in the dictionaries of modules and classes, by
their exact types.
"""

from __future__ import annotations

import os
import sys
from types import CodeType, FunctionType

from pprofplus.profiles.code_names import function_name

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from pprofplus.profiles.pprof_encoder import ProfileBuilder

_MODULE = type(sys)
_dict_of_class: Callable[[type], Mapping[str, Any]] = type.__dict__["__dict__"].__get__
_name_of_class: Callable[[type], str] = type.__dict__["__qualname__"].__get__
_WRAPPERS = (classmethod, staticmethod)
_MAX_DEPTH = 20


class LineNames:
    """Locations of lines, in one profile."""

    def __init__(self, profile: ProfileBuilder) -> None:
        self._profile = profile
        self._modules = _modules_by_file()
        self._files: dict[str, dict[int, tuple[str, int]]] = {}
        self._locations: dict[tuple[str, int], int] = {}

    def location(self, filename: str, line: int) -> int:
        """Return the id of a location; its name is that of a function, or "module:line"."""
        place = filename, line
        found = self._locations.get(place)
        if found is None:
            name, first_line = self._name(filename, line)
            found = self._profile.location(name, filename, line, first_line)
            self._locations[place] = found
        return found

    def _name(self, filename: str, line: int) -> tuple[str, int]:
        module = self._modules.get(filename)
        if module is None:
            return f"{os.path.basename(filename)}:{line}", 0
        if filename not in self._files:
            self._files[filename] = _functions(module, filename)
        name = dict.get(module, "__name__")
        return self._files[filename].get(line) or (f"{name}:{line}", 0)


def _modules_by_file() -> dict[str, dict[str, Any]]:
    found = {}
    for module in sys.modules.copy().values():
        if type(module) is _MODULE:
            names = module.__dict__
            filename, name = names.get("__file__"), names.get("__name__")
            if type(filename) is str and type(name) is str:
                found[filename] = names
    return found


def _functions(module: dict[str, Any], filename: str) -> dict[int, tuple[str, int]]:
    """Return name and first line of the function of each line; an outer function comes first."""
    found: dict[int, tuple[str, int]] = {}
    name = module["__name__"]
    for code, prefix in _codes(list(module.values()), filename):
        _add(found, code, name, prefix, 0)
    return found


def _add(
    found: dict[int, tuple[str, int]], code: CodeType, module: str, prefix: str, depth: int
) -> None:
    name = function_name(code, module)
    if prefix and not hasattr(code, "co_qualname"):  # before Python 3.11
        name = f"{module}.{prefix}.{code.co_name}"
    place = name, code.co_firstlineno
    for _, _, line in code.co_lines():
        if line is not None:
            found.setdefault(line, place)
    if depth < _MAX_DEPTH:
        inner = f"{prefix}.{code.co_name}.<locals>" if prefix else f"{code.co_name}.<locals>"
        for each in code.co_consts:
            if type(each) is CodeType:
                _add(found, each, module, inner, depth + 1)


def _codes(
    values: Iterable[object], filename: str, prefix: str = "", depth: int = 0
) -> list[tuple[CodeType, str]]:
    """Return the code of functions of this file among `values`, each with its class's name."""
    found: list[tuple[CodeType, str]] = []
    for value in values:
        kind = type(value)
        if kind is FunctionType:
            found += _codes_of_function(value, filename, prefix, depth)  # type: ignore[arg-type]
        elif (kind is classmethod or kind is staticmethod) and depth < _MAX_DEPTH:
            found += _codes((value.__func__,), filename, prefix, depth + 1)  # type: ignore[attr-defined]
        elif kind is property and depth < _MAX_DEPTH:
            parts = (value.fget, value.fset, value.fdel)  # type: ignore[attr-defined]
            found += _codes(parts, filename, prefix, depth + 1)
        elif issubclass(kind, type) and depth < 3:
            names = _dict_of_class(value)  # type: ignore[arg-type]
            if names.get("__module__") is not None:
                inner = _name_of_class(value)  # type: ignore[arg-type]
                found += _codes(list(names.values()), filename, inner, depth + 1)
    return found


def _codes_of_function(
    function: FunctionType, filename: str, prefix: str, depth: int
) -> list[tuple[CodeType, str]]:
    """Return its code if it is of this file, and that of functions that it wraps."""
    found = []
    if function.__code__.co_filename == filename:
        found.append((function.__code__, prefix))
    if function.__closure__ and depth < 3:
        inside = []
        for cell in function.__closure__:
            try:
                inside.append(cell.cell_contents)
            except ValueError:  # an empty cell
                continue
        functions = [each for each in inside if type(each) is FunctionType]
        found += _codes(functions, filename, prefix, depth + 1)
    return found
