"""Takes the kind `native`: memory that C and Python allocated and kept during the window (memray).

memray is of the extra `pprofplus[native]`. It writes its aggregated format: live blocks are counted
by stack in memory, about 150 bytes for each, and a file of some KiB is written at the end. Here the
file exists in memory only, so that nothing is left on a disk, whatever ends the process.

The artefact is memray's file, compressed. The monitor converts it into a pprof profile, see
`pprofplus_tui.profiles.memray_conversion`: a service should not load the debug information of all
its libraries. A forked child is not tracked.
"""

from __future__ import annotations

import os
import sys
import zlib
from time import monotonic_ns, thread_time_ns, time_ns

from pprofplus.log.artefacts import MEMRAY_SUFFIX
from pprofplus.probes.concurrency import greenlet_class
from pprofplus.profiles.capture import ProfilePart, ProfileRefusedError
from pprofplus.profiles.memory_headroom import resident_bytes
from pprofplus.system.descriptor import Descriptor, above_standard

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pprofplus.profiles.capture import CaptureRequest, Task

_STEP_S = 0.25
_NS_PER_S = 1_000_000_000
_NS_PER_MS = 1_000_000
# the window ends early if memray's file or the process grows by so much
_MAX_FILE_BYTES = 64 << 20
_MAX_GROWTH_BYTES = 512 << 20
# what is stored, compressed: half of the artefacts of a run
_MAX_STORED_BYTES = 8 << 20
_READ_BYTES = 1 << 20


def check(request: CaptureRequest) -> None:
    """Raise ProfileRefusedError without memray, or where memray could disturb the program."""
    if not hasattr(os, "memfd_create"):
        raise ProfileRefusedError("native profiles are taken on Linux only")
    memray = _memray()
    hook = getattr(dict.get(sys.modules, "threading"), "_profile_hook", None)
    if hook is not None and hook is getattr(memray._memray, "start_thread_trace", None):  # noqa: SLF001 - memray has no function that tells
        raise ProfileRefusedError("the program runs memray already")
    if request.force:
        return
    if sys.getprofile() is not None or hook is not None:
        raise ProfileRefusedError(
            "the program has set a profile function, which memray would replace: force it if that"
            " is acceptable"
        )
    if greenlet_class() is not None:
        raise ProfileRefusedError(
            "the program uses greenlets, and memray would set greenlet.settrace: force it if that"
            " is acceptable"
        )


def take(request: CaptureRequest, task: Task) -> Iterator[ProfilePart]:
    """Yield the one profile, memray's file. Raises ProfileRefusedError, ActionCancelledError."""
    memray = _memray()
    begin_unix_ns = time_ns()
    file = Descriptor(above_standard(os.memfd_create("pprofplus-native", os.MFD_CLOEXEC)))
    try:
        window = _Window(memray, file)
        window.begin()
        try:
            window.run(request.window_s, task)
        finally:
            window.end()
        data = _compressed(file, task)
    finally:
        file.close()
    if len(data) > _MAX_STORED_BYTES:
        raise ProfileRefusedError(
            f"memray's file has {len(data):,} bytes, more than can be stored: use a shorter window"
        )
    yield ProfilePart(
        "native",
        data=data,
        suffix=MEMRAY_SUFFIX,
        unix_ms=begin_unix_ns // _NS_PER_MS,
        note="; ".join(window.notes),
        hold_ms=window.hold_ns / _NS_PER_MS,
    )


class _Window:
    """One window of tracking.

    Attributes:
        notes: lines for people.
        hold_ns: the CPU time of the begin and the end of tracking, in which the GIL is held.
    """

    def __init__(self, memray: Any, file: Descriptor) -> None:  # noqa: ANN401 - may be missing
        self.notes: list[str] = []
        self.hold_ns = 0
        self._file = file
        began_ns = thread_time_ns()
        try:
            self._tracker = memray.Tracker(
                destination=memray.FileDestination(
                    f"/proc/self/fd/{file.number}", overwrite=True, compress_on_exit=False
                ),
                native_traces=True,
                follow_fork=False,
                memory_interval_ms=1000,
                file_format=memray.FileFormat.AGGREGATED_ALLOCATIONS,
            )
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise ProfileRefusedError(f"memray cannot write its file: {error}") from error
        self.hold_ns = thread_time_ns() - began_ns

    def begin(self) -> None:
        """Begin to track. Raises ProfileRefusedError if the program is tracked already."""
        began_ns = thread_time_ns()
        try:
            self._tracker.__enter__()
        except RuntimeError as error:
            raise ProfileRefusedError("the program runs memray already") from error
        self.hold_ns = max(self.hold_ns, thread_time_ns() - began_ns)

    def run(self, window_s: float, task: Task) -> None:
        """Wait for the end of the window, or until it costs too much memory."""
        began_ns, began_bytes = monotonic_ns(), resident_bytes()
        length_ns = int(window_s * _NS_PER_S)
        while not task.window_over and (passed_ns := monotonic_ns() - began_ns) < length_ns:
            task.wait(min(_STEP_S, (length_ns - passed_ns) / _NS_PER_S))
            task.report(passed_ns / length_ns, "native")
            status = self._file.stat()
            if status is None:
                raise ProfileRefusedError("the program closed the descriptor of memray's file")
            if status.st_size > _MAX_FILE_BYTES:
                self.notes.append("ended early: memray's file grew too large")
                break
            growth_bytes = resident_bytes() - began_bytes
            if growth_bytes > _MAX_GROWTH_BYTES:
                self.notes.append(f"ended early: RSS grew by {growth_bytes >> 20} MiB")
                break
        self.notes.insert(0, f"{(monotonic_ns() - began_ns) / _NS_PER_S:.1f} s were tracked")

    def end(self) -> None:
        """End tracking; memray writes its file now."""
        began_ns = thread_time_ns()
        self._tracker.__exit__(None, None, None)
        self.hold_ns = max(self.hold_ns, thread_time_ns() - began_ns)


def _memray() -> Any:  # noqa: ANN401 - may be missing
    try:
        import memray
    except ImportError as error:
        raise ProfileRefusedError("native profiles need memray: pip install memray") from error
    return memray


def _compressed(file: Descriptor, task: Task) -> bytes:
    """Return the content of the file in gzip's format. Raises ProfileRefusedError."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    parts: list[bytes] = []
    at = 0
    while at < _MAX_FILE_BYTES:
        task.check()
        if not file.ours():
            raise ProfileRefusedError("the program closed the descriptor of memray's file")
        part = os.pread(file.number, _READ_BYTES, at)
        if not part:
            break
        at += len(part)
        parts.append(packer.compress(part))
    else:
        raise ProfileRefusedError("memray's file is too large to store: use a shorter window")
    return b"".join([*parts, packer.flush()])
