"""The Python heap as reported by pymalloc.

CPython only prints these statistics (`sys._debugmallocstats`). The C function for that takes a
FILE, and libc can create one in memory; so the text can be read without writing to stderr.
"""

from __future__ import annotations

import re

from pprofplus.errors import ProbeAbsentError
from pprofplus.probes import Probe
from pprofplus.probes.tracing import is_tracing

_BEGIN = b"# arenas reclaimed "
_FIGURES = re.compile(
    rb"# arenas reclaimed +=\s*([\d,]+)\n(?:#.*\n)*([\d,]+) arenas \* (\d+) .*\s*"
    rb"# bytes in allocated blocks +=\s*([\d,]+)\n(?:#.*\n)*([\d,]+) unused pools \* (\d+) "
)


def _number(digits: bytes) -> int:
    """Return a number as CPython prints it: with commas between thousands."""
    return int(digits.replace(b",", b""))


class PymallocProbe(Probe):
    """Arenas, blocks and idle pools. It walks every pool and holds the GIL: budgeted."""

    names = ("heap_sys", "heap_used", "heap_idle", "heap_released")
    exact = True
    budgeted = True

    def __init__(self) -> None:
        try:
            import ctypes

            # our own library object: argument types set on the shared one would affect the whole
            # process
            self._library = library = ctypes.PyDLL(None)
            print_stats = library._PyObject_DebugMallocStats  # noqa: SLF001 - there is no other way
            open_memstream = library.open_memstream
        except (ImportError, OSError, AttributeError, TypeError) as error:
            raise ProbeAbsentError("no pymalloc statistics, or no open_memstream") from error
        print_stats.argtypes = [ctypes.c_void_p]
        open_memstream.restype = ctypes.c_void_p
        library.fclose.argtypes = [ctypes.c_void_p]
        library.free.argtypes = [ctypes.c_void_p]
        library.free.restype = None
        self._print_stats = print_stats
        self._open_memstream = open_memstream
        self._text = ctypes.c_void_p()
        self._size = ctypes.c_size_t()
        self._places = (ctypes.byref(self._text), ctypes.byref(self._size))
        self._string_at = ctypes.string_at
        try:
            found = self.read()
        except (OSError, ValueError) as error:
            raise ProbeAbsentError(
                "the pymalloc statistics of this interpreter have an unknown format"
            ) from error
        if found is None and not is_tracing():
            # free-threaded builds and PYTHONMALLOC=malloc do not use pymalloc
            raise ProbeAbsentError("this interpreter does not use pymalloc")

    def _stats(self) -> bytes:
        """Return CPython's text. Raises OSError."""
        stream = self._open_memstream(*self._places)
        if not stream:
            raise OSError("no memory for pymalloc's statistics")
        try:
            self._print_stats(stream)
        finally:
            self._library.fclose(stream)
        try:
            return self._string_at(self._text.value or 0, self._size.value)
        finally:
            self._library.free(self._text)

    def read(self) -> tuple[int, ...] | None:
        """Return bytes held, used, idle, and released so far. Raises OSError, ValueError.

        None while tracemalloc is between Python and pymalloc: CPython prints nothing then.
        """
        text = self._stats()
        if not text:
            return None
        # The table of all size classes comes first: a pattern that searched it would take as long
        # as the rest of this method.
        found = _FIGURES.match(text, max(0, text.rfind(_BEGIN)))
        if found is None:
            raise ValueError("pymalloc's statistics have an unknown format")
        reclaimed, arenas, arena_bytes, used, pools, pool_bytes = map(_number, found.groups())
        return arenas * arena_bytes, used, pools * pool_bytes, reclaimed * arena_bytes
