"""The Python heap as reported by pymalloc.

CPython only prints these statistics (`sys._debugmallocstats`). The C function for that takes a
FILE, and libc can create one in memory; so the text can be read without writing to stderr.
"""

from __future__ import annotations

import re

from pprofplus.errors import ProbeAbsentError
from pprofplus.probes import CALM_PERIOD_S, Probe
from pprofplus.probes.tracing import is_tracing

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from re import Match

_BEGIN = b"# arenas reclaimed "
# Each line is a label, "=", and a figure that is aligned to the right.
_FIGURES = re.compile(
    rb"# arenas reclaimed +=( *[\d,]+)\n(?:#.*\n)*[\d,]+ arenas \* (\d+) .*=( *[\d,]+)\s*"
    rb"# bytes in allocated blocks +=( *[\d,]+)\n(?:#.*\n)*[\d,]+ unused pools .*=( *[\d,]+)\n"
)
_ARENA_BYTES = 2  # its group; the other groups are the figures that are read


def _number(figure: bytes) -> int:
    """Return a number as CPython prints it: with commas between thousands, after spaces."""
    return int(figure.replace(b",", b""))


class PymallocProbe(Probe):
    """Arenas, blocks and idle pools. It walks every pool and holds the GIL: budgeted."""

    names = ("heap_sys", "heap_used", "heap_idle", "heap_released")
    exact = True
    budgeted = True
    min_period_s = CALM_PERIOD_S
    follows_rss = True

    def __init__(self) -> None:
        self._stream = self._place = 0
        try:
            import ctypes

            # our own library object: argument types set on the shared one would affect the whole
            # process
            self._library = library = ctypes.PyDLL(None)
            print_stats = library._PyObject_DebugMallocStats  # noqa: SLF001 - there is no other way
            for function in (print_stats, library.rewind, library.fclose, library.free):
                function.argtypes = [ctypes.c_void_p]
                function.restype = None
            library.fflush.argtypes = [ctypes.c_void_p]
            library.open_memstream.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
            library.open_memstream.restype = library.calloc.restype = ctypes.c_void_p
        except (ImportError, OSError, AttributeError, TypeError) as error:
            raise ProbeAbsentError("no pymalloc statistics, or no open_memstream") from error
        self._print_stats = print_stats
        self._string_at = ctypes.string_at
        self._rewind, self._fflush = library.rewind, library.fflush
        # The length of the text from _BEGIN on, and where the figures are in it: the same at each
        # reading. Looking there takes a fifth of the time of a search.
        self._tail_length = 0
        self._spans: list[tuple[int, int]] = []
        self._arena_bytes = 0
        try:
            self._open(ctypes.sizeof(ctypes.c_size_t))
            found = self.read()
        except (OSError, ValueError) as error:
            self.close()
            raise ProbeAbsentError(
                "the pymalloc statistics of this interpreter have an unknown format"
            ) from error
        if found is None and not is_tracing():
            self.close()
            # free-threaded builds and PYTHONMALLOC=malloc do not use pymalloc
            raise ProbeAbsentError("this interpreter does not use pymalloc")

    def _open(self, word_bytes: int) -> None:
        """Create the stream. It is kept: to create it for each reading takes as long as CPython.

        Raises OSError.
        """
        from ctypes import c_size_t

        library = self._library
        # libc writes the address and the size of the text here; at the end of the process also
        # after Python has freed its memory, so it cannot be memory of Python
        self._place = place = library.calloc(2, word_bytes) or 0
        if place:
            self._text = (c_size_t * 2).from_address(place)
            self._stream = library.open_memstream(place, place + word_bytes) or 0
        if not self._stream:
            raise OSError("no memory for pymalloc's statistics")

    def read(self) -> tuple[int, ...] | None:
        """Return bytes held, used, idle, and released so far. Raises OSError, ValueError.

        None while tracemalloc is between Python and pymalloc: CPython prints nothing then.
        """
        stream = self._stream
        if not stream:
            raise OSError("the stream for pymalloc's statistics is closed")
        self._rewind(stream)
        self._print_stats(stream)
        self._fflush(stream)
        address, size = self._text
        if not size:
            return None
        length = self._tail_length
        # not the table of all size classes that comes first: it is most of the text
        tail = self._string_at(address + size - length, length) if length <= size else b""
        if not tail.startswith(_BEGIN):
            tail = self._find_figures(self._string_at(address, size))
        reclaimed, held, used, idle = [_number(tail[begin:end]) for begin, end in self._spans]
        return held, used, idle, reclaimed * self._arena_bytes

    def _find_figures(self, text: bytes) -> bytes:
        """Find where the figures are; return the text from _BEGIN on. Raises ValueError."""
        tail = text[max(0, text.rfind(_BEGIN)) :]
        found: Match[bytes] | None = _FIGURES.match(tail)
        if found is None:
            raise ValueError("pymalloc's statistics have an unknown format")
        groups = range(1, len(found.groups()) + 1)
        self._spans = [found.span(group) for group in groups if group != _ARENA_BYTES]
        self._arena_bytes = int(found[_ARENA_BYTES])
        self._tail_length = len(tail)
        return tail

    def close(self) -> None:
        """Close the stream, and free its memory."""
        stream, self._stream = self._stream, 0
        place, self._place = self._place, 0
        if stream:
            self._library.fclose(stream)
            self._library.free(self._text[0])
        if place:
            self._library.free(place)
