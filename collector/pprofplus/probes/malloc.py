"""The C heap as reported by glibc: mallinfo2, in glibc 2.33 and later."""

from __future__ import annotations

from pprofplus.errors import ProbeAbsentError
from pprofplus.probes import Probe

# struct mallinfo2, each a size_t
_FIELDS = (
    "arena",
    "ordblks",
    "smblks",
    "hblks",
    "hblkhd",
    "usmblks",
    "fsmblks",
    "uordblks",
    "fordblks",
    "keepcost",
)

# Another malloc must replace all of these. One alone proves nothing: in a program that is not a PIE
# (Debian's python3) and takes the address of a function, that address is in the program itself.
_REPLACED = ("malloc", "calloc", "realloc")


class MallocProbe(Probe):
    """Memory that malloc holds, uses, keeps free and could return.

    It walks the lists of free chunks, of which a fragmented heap has millions: budgeted.
    """

    names = ("malloc_sys", "malloc_used", "malloc_free", "malloc_trimmable")
    exact = True
    budgeted = True

    def __init__(self) -> None:
        try:
            import ctypes

            # CDLL, not PyDLL: the walk does not need the GIL
            everything, libc = ctypes.CDLL(None), ctypes.CDLL("libc.so.6")
            mallinfo2 = libc.mallinfo2
            glibcs = any(
                ctypes.cast(getattr(everything, name), ctypes.c_void_p).value
                == ctypes.cast(getattr(libc, name), ctypes.c_void_p).value
                for name in _REPLACED
            )
        except (ImportError, OSError, AttributeError, TypeError) as error:
            raise ProbeAbsentError(
                "no mallinfo2: the C library is not glibc, or older than 2.33"
            ) from error
        if not glibcs:
            raise ProbeAbsentError("another malloc is in use (LD_PRELOAD)")
        fields = [(name, ctypes.c_size_t) for name in _FIELDS]
        mallinfo2.restype = type("Mallinfo2", (ctypes.Structure,), {"_fields_": fields})
        self._mallinfo2 = mallinfo2

    def read(self) -> tuple[int, ...]:
        """Return bytes held from the system, in use, free, and free at the top."""
        found = self._mallinfo2()
        mapped = found.hblkhd
        return found.arena + mapped, found.uordblks + mapped, found.fordblks, found.keepcost
