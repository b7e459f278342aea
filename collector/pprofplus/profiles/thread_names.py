"""Names of threads and of modules, without calling code of the host."""

from __future__ import annotations

import os
import sys

_MODULE = type(sys)


def thread_name(ident: int, tid: int) -> str:
    """Return a thread's name in `threading`, "MainThread" for the main one, else ""."""
    threading = sys.modules.get("threading")
    active = getattr(threading, "_active", None)
    if type(active) is dict:
        try:
            # of Thread itself: a subclass may have a property __dict__
            attributes = vars(threading.Thread)["__dict__"]  # type: ignore[union-attr]
            name = attributes.__get__(active.get(ident)).get("_name")
        except (AttributeError, KeyError, TypeError):
            name = None
        if type(name) is str and name:
            return name
    return "MainThread" if tid and tid == os.getpid() else ""


def module_by_file(filename: str) -> str:
    """Return the name of the module with this source file, or ""."""
    for name, module in sys.modules.copy().items():
        if (
            type(name) is str
            and type(module) is _MODULE
            and module.__dict__.get("__file__") == filename
        ):
            return name
    return ""
