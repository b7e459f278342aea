"""A profile that the program takes of itself; created by `pprofplus.profile()`.

It is taken on a thread of its own, so that the calling thread is in it like any other.
"""

from __future__ import annotations

import os
import sys
from types import BuiltinFunctionType

from pprofplus.control.long_actions import ActionCancelledError
from pprofplus.errors import PprofplusError, ProfileRefusedError
from pprofplus.log.artefacts import artefact_name
from pprofplus.profiles.capture import MAX_WINDOW_S
from pprofplus.profiles.kinds import KINDS
from pprofplus.profiles.output_files import OutputFiles
from pprofplus.profiles.taking import (
    check_hz,
    check_kinds,
    check_seconds,
    take_profiles,
)
from pprofplus.recording.profile_action import load_modules, store_in_run
from pprofplus.settings import Settings, check_directory
from pprofplus.system.background import BackgroundThread, Gate, WakeEvent
from pprofplus.warn import describe, warn_throttled

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from pprofplus.profiles.taking import Store, TakenProfiles
    from pprofplus.recording.run_recorder import RunRecorder

# its growth is the difference of two moments
_GROWTH = "heap"
_STEP_S = 0.02
_WAIT_S = 3600.0
_CANCEL_TIMEOUT_S = 5.0


class ProgramProfile:
    """One or more profiles of this process, taken by itself.

    `take()` takes them and blocks for the window. `start()` begins a window and `stop()` ends it;
    as a context manager, the window is the block. It may be used again when it has ended. One
    thread at a time may use it; it may be another one at the end than at the begin.

    Attributes:
        kinds: names of the kinds.
        files: paths of the files that were written, the files with source lines not included.
        data: the profiles by kind, as bytes, if there is neither a path nor a running collector.
        notes: one line each about what was taken, such as what was lost.
        problems: one line each for what could not be taken or stored.
    """

    def __init__(
        self,
        kinds: tuple[str, ...],
        seconds: float | None,
        path: str | os.PathLike[str] | None,
        hz: int,
        *,
        force: bool,
        find_recorder: Callable[[], RunRecorder | None],
    ) -> None:
        """See `pprofplus.profile()`; `find_recorder` returns the recorder of this process's run."""
        self.kinds = check_kinds(kinds)
        self.files: list[str] = []
        self.data: dict[str, bytes] = {}
        self.notes: list[str] = []
        self.problems: list[str] = []
        self._seconds = check_seconds(0.0 if seconds is None else seconds)
        if path is not None:
            check_directory(path)
        self._path = None if path is None else os.fsdecode(path)
        self._hz = check_hz(hz)
        self._force = force
        self._find_recorder = find_recorder
        self._directory = ""
        self._taking: _Taking | None = None
        load_modules(self.kinds)

    def __repr__(self) -> str:
        """Return the kinds and the state."""
        state = "running" if self._taking is not None else f"{len(self.files)} files"
        return f"<pprofplus.profile {' '.join(self.kinds)}: {state}>"

    def take(self) -> ProgramProfile:
        """Take all kinds, one window after another; return itself when they are stored.

        It blocks for the windows: in a coroutine, call it by `asyncio.to_thread`. Raises
        ProfileRefusedError if nothing is taken because of the state or the size of the process or
        because another profile is being taken, PprofplusError if one of them failed or could not
        be stored; `files` then has the others.
        """
        self._reset()
        self._begin(self._seconds, self.kinds)
        return self._end()

    def start(self) -> ProgramProfile:
        """Begin a window; return itself when it has begun.

        Kinds that show one moment are taken first. Raises ProfileRefusedError as `take()` does, and
        ValueError if kinds are named that need windows of their own, one after another.
        """
        moments, window = _split(self.kinds)
        self._reset()
        if moments:
            self._begin(0.0, moments)
            self._end()
        if window:
            self._begin(float(MAX_WINDOW_S), window)
            taking = self._taking
            if taking is not None:
                taking.wait_for_begin()
                if taking.error is not None:
                    self._end()
        return self

    def stop(self) -> ProgramProfile:
        """End the window of `start()`; return itself when the profiles are stored.

        Without a window, nothing happens. Raises as `take()` does.
        """
        if self._taking is None:
            return self
        self._taking.end_window()
        return self._end()

    def __enter__(self) -> ProgramProfile:  # noqa: PYI034 - Self needs Python 3.11
        """Begin a window, as `start()` does."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the window.

        It raises nothing, so that the block behaves as without a profile: what failed is one of the
        `problems`, and is logged.
        """
        try:
            self.stop()
        except PprofplusError as failure:
            warn_throttled("profile", f"a profile was not taken: {failure}")

    def _reset(self) -> None:
        self.files, self.data, self.notes, self.problems = [], {}, [], []

    def _begin(self, seconds: float, kinds: tuple[str, ...]) -> None:
        """Start the thread that takes these kinds. Raises ValueError, OSError."""
        if self._taking is not None and self._taking.is_ours:
            raise ValueError("this profile is being taken already")
        recorder = self._find_recorder()
        settings = Settings() if recorder is None else None
        taking = _Taking()
        if self._path is not None:
            store = _store_in(OutputFiles(self._path, len(self.kinds)))
        elif recorder is not None:
            store = store_in_run(recorder, taking.check)
        else:
            store = self._keep
        taking.start(
            lambda: take_profiles(
                kinds,
                taking,
                store,
                service=_service(recorder, settings),
                seconds=seconds,
                hz=self._hz,
                force=self._force,
                with_source=_with_source(recorder, settings) and store != self._keep,
            )
        )
        self._taking = taking
        self._directory = "" if self._path or recorder is None else recorder.writer.directory

    def _keep(self, kind: str, data: bytes, why: str, suffix: str, unix_ms: int) -> str:  # noqa: ARG002 - has the signature of all stores
        self.data[kind] = data
        return ""

    def _end(self) -> ProgramProfile:
        """Wait for the end of the thread; raise what went wrong."""
        taking, self._taking = self._taking, None
        if taking is None or not taking.is_ours:  # it belongs to the process that forked this one
            return self
        taking.join()
        taken = taking.taken
        if taking.error is not None:
            raise taking.error
        if taken is not None:
            self.files += [
                os.path.join(self._directory, each.name) for each in taken.profiles if each.name
            ]
            self.notes += [f"{each.kind}: {each.note}" for each in taken.profiles if each.note]
            self.problems += taken.problems
            if taken.problems:
                raise PprofplusError("; ".join(taken.problems))
        return self


def _split(kinds: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the kinds that show a moment, and those of the window that a block is.

    A census is of two moments, before and after a window, if no other kind has a window.
    """
    windows = tuple(name for name in kinds if KINDS[name].window_s)
    if not windows and _GROWTH in kinds:
        windows = (_GROWTH,)
    if len({KINDS[name].module_name for name in windows}) > 1:
        raise ValueError(
            f"{', '.join(windows)} are taken one after another: use take(), or one profile each"
        )
    return tuple(name for name in kinds if name not in windows), windows


def _service(recorder: RunRecorder | None, settings: Settings | None) -> str:
    if recorder is not None:
        return recorder.writer.header.service
    return "" if settings is None else settings.service


def _with_source(recorder: RunRecorder | None, settings: Settings | None) -> bool:
    if recorder is not None:
        return recorder.keeps_source
    return settings is None or settings.profile_source


def _store_in(output: OutputFiles) -> Store:
    def store(kind: str, data: bytes, why: str, suffix: str, unix_ms: int) -> str:
        return output.store(artefact_name(unix_ms, kind, why, suffix), data)

    return store


class _Taking:
    """One thread that takes profiles; it is their Task.

    Attributes:
        taken: what was taken, when it has ended.
        error: why nothing was taken, or None.
        window_over: the window ends now.
    """

    __slots__ = (
        "_begun",
        "_cancelled",
        "_pid",
        "_take",
        "_thread",
        "_wake_event",
        "error",
        "taken",
        "window_over",
    )

    def __init__(self) -> None:
        self.taken: TakenProfiles | None = None
        self.error: Exception | None = None
        self.window_over = False
        self._begun = Gate()
        self._cancelled = False
        self._pid = os.getpid()
        self._take: Callable[[], TakenProfiles] | None = None
        self._thread = BackgroundThread(self._run)
        self._wake_event = WakeEvent()

    @property
    def is_ours(self) -> bool:
        """Whether it belongs to this process: a forked child has no such thread."""
        return os.getpid() == self._pid

    def start(self, take: Callable[[], TakenProfiles]) -> None:
        """Start the thread. Raises PprofplusError if no thread can be created."""
        self._take = take
        try:
            self._thread.start()
        except (RuntimeError, MemoryError) as error:
            raise PprofplusError(f"no thread can be started: {error}") from error

    def check(self) -> None:
        """Raise ActionCancelledError if it must end."""
        if self._cancelled or not self.is_ours:
            raise ActionCancelledError

    def wait(self, timeout_s: float) -> None:
        """Sleep for `timeout_s`, or until the window is over. Raises ActionCancelledError."""
        self._begun.open()
        self.check()
        if not self.window_over:
            self._wake_event.wait(timeout_s)
        self.check()

    def report(self, share: float, text: str = "") -> None:
        """Do nothing: nobody asks for the progress."""

    def end_window(self) -> None:
        """End the window before its time."""
        self.window_over = True
        self._wake_event.set()

    def wait_for_begin(self) -> None:
        """Wait until the window has begun, or nothing will be taken."""
        self._wait_cooperatively(lambda: self._begun.is_open, self._begun.wait)

    def join(self) -> None:
        """Wait for the end. If an exception interrupts that, cancel it and raise the exception."""
        try:
            self._wait_cooperatively(lambda: not self._thread.alive, self._thread.join)
        except BaseException:
            self._cancelled = True
            self._wake_event.set()
            self._thread.join(_CANCEL_TIMEOUT_S)
            raise

    def _wait_cooperatively(
        self, is_over: Callable[[], bool], wait: Callable[[float], None]
    ) -> None:
        """Wait; under gevent so that other greenlets run meanwhile."""
        sleep = sys.modules["time"].sleep
        patched = type(sleep) is not BuiltinFunctionType
        while not is_over():
            if patched:
                sleep(_STEP_S)
            else:
                wait(_WAIT_S)

    def _run(self) -> None:
        take = self._take
        try:
            if take is not None:
                self.taken = take()
        except ActionCancelledError:
            self.error = ProfileRefusedError("it was cancelled")
        except (PprofplusError, ValueError, OSError) as error:
            self.error = error
        except BaseException as error:  # noqa: BLE001 - the calling thread raises it
            self.error = PprofplusError(f"it failed: {describe(error)}")
        finally:
            self._begun.open()
