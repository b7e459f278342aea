"""Takes the kind `threadcreate`: the stacks of Thread.start during a window.

For the window, the function in the namespace of `threading` with which Thread.start starts a thread
is replaced by one that records the stack and calls it. It is put back only if it is still ours. If
the host has replaced it meanwhile, and calls ours, then ours only passes the call on. Threads that
C code starts, or Python code with `_thread`, are not recorded.

Why not otherwise: polling misses threads that live shortly, and cannot see who started one; a
profile function slows down all code; an audit hook cannot be removed; `sys.monitoring` exists from
Python 3.12 on, and has few tools for all users.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from itertools import accumulate, islice, repeat, takewhile
from operator import attrgetter, truth
from time import monotonic_ns, time_ns
from types import FunctionType, MethodType

from pprofplus.profiles.capture import ProfilePart, ProfileRefusedError
from pprofplus.profiles.code_names import function_name, line_of
from pprofplus.profiles.pprof_encoder import ProfileBuilder

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType, FrameType, ModuleType
    from typing import Any

    from pprofplus.profiles.capture import CaptureRequest, Task

    # code, offset and globals of each frame, the leaf first
    Frames = list[tuple[CodeType, int, dict[str, Any]]]

# what Thread.start calls, from Python 3.13 on and before
_NAMES = ("_start_joinable_thread", "_start_new_thread")
_MAX_DEPTH = 200
_MAX_WAITING = 10_000  # starts that are not yet counted; more are lost, and that is said
_STEP_S = 0.1
_NS_PER_S = 1_000_000_000
_NS_PER_MS = 1_000_000
_of_frame = attrgetter("f_code", "f_lasti", "f_globals")
_name_of_class: Callable[[type], str] = type.__dict__["__qualname__"].__get__
_module_of_class: Callable[[type], object] = type.__dict__["__module__"].__get__


def check(request: CaptureRequest) -> None:  # noqa: ARG001 - the same for all requests
    """Raise ProfileRefusedError if the program cannot start a Thread."""
    _find()


def take(request: CaptureRequest, task: Task) -> Iterator[ProfilePart]:
    """Yield the one profile. Raises ProfileRefusedError, ActionCancelledError."""
    begin_unix_ns, began_ns = time_ns(), monotonic_ns()
    counted = _Counted()
    recorder = _Recorder(*_find())
    length_ns = int(request.window_s * _NS_PER_S)
    recorder.install()
    try:
        while not task.window_over and (passed_ns := monotonic_ns() - began_ns) < length_ns:
            task.wait(min(_STEP_S, (length_ns - passed_ns) / _NS_PER_S))
            task.report(passed_ns / length_ns, "threadcreate")
            counted.add_all(recorder.starts)
    finally:
        recorder.remove()
    counted.add_all(recorder.starts)
    profile = counted.profile
    profile.time_ns, profile.duration_ns = begin_unix_ns, monotonic_ns() - began_ns
    note = f"{counted.count:,} threads were started"
    if recorder.lost:
        note += f"; {recorder.lost:,} more could not be recorded"
    profile.comments.append(note)
    yield ProfilePart("threadcreate", profile, unix_ms=begin_unix_ns // _NS_PER_MS, note=note)


class _Recorder:
    """Records the calls of the function that it replaces.

    Attributes:
        starts: stack and target of each call; from the left, remove those that are counted.
        lost: calls that were not recorded.
    """

    __slots__ = ("_active", "_module", "_name", "_original", "lost", "starts")

    def __init__(self, module: ModuleType, name: str) -> None:
        self._module = module
        self._name = name
        self._original: Callable[..., Any] = module.__dict__[name]
        self._active = False
        self.starts: deque[tuple[Frames, str]] = deque()
        self.lost = 0

    def install(self) -> None:
        """Replace the function."""
        _remove_in_forked_children()
        _installed.append(self)
        self._active = True
        setattr(self._module, self._name, self.__call__)

    def remove(self) -> None:
        """Put the function back, if it is still ours."""
        self._active = False
        current = self._module.__dict__.get(self._name)
        if type(current) is MethodType and current.__self__ is self:
            setattr(self._module, self._name, self._original)
        if self in _installed:
            _installed.remove(self)

    def __call__(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as the original
        """Record a call of the host, and pass it on; raises only what the original raises."""
        if self._active:
            try:
                if len(self.starts) < _MAX_WAITING:
                    self.starts.append((_frames(sys._getframe(1)), _target(args)))
                else:
                    self.lost += 1
            except Exception:  # noqa: BLE001 - outer boundary: nothing of ours reaches the host
                self.lost += 1
        return self._original(*args, **options)


class _Counted:
    """The profile of the starts that are counted."""

    __slots__ = ("_codes", "_places", "count", "profile")

    def __init__(self) -> None:
        self.profile = ProfileBuilder((("threads", "count"),))
        self.count = 0
        self._places: dict[tuple[int, int], int] = {}
        self._codes: dict[int, CodeType] = {}  # keeps their ids unique

    def add_all(self, starts: deque[tuple[Frames, str]]) -> None:
        while starts:
            frames, target = starts.popleft()
            labels = (("target", target),) if target else ()
            self.profile.add([self._place(*frame) for frame in frames], (1,), labels)
            self.count += 1

    def _place(self, code: CodeType, offset: int, names: dict[str, Any]) -> int:
        found = self._places.get((id(code), offset))
        if found is None:
            self._codes[id(code)] = code
            # f_globals may be a subclass of dict with methods of the host
            module = dict.get(names, "__name__")
            found = self.profile.location(
                function_name(code, module if type(module) is str else ""),
                code.co_filename,
                line_of(code, offset),
                code.co_firstlineno,
            )
            self._places[id(code), offset] = found
        return found


def _find() -> tuple[ModuleType, str]:
    """Return the module and the name of the function to replace. Raises ProfileRefusedError."""
    threading = dict.get(sys.modules, "threading")
    if type(threading) is not type(sys):
        raise ProfileRefusedError("the program has not loaded `threading`: it starts no Thread")
    for name in _NAMES:
        if name in threading.__dict__:
            return threading, name
    raise ProfileRefusedError("threadcreate does not know how Thread.start works in this Python")


def _frames(frame: FrameType) -> Frames:
    """Return what is needed of a stack; called on the thread that the frames are of."""
    frames = takewhile(truth, accumulate(repeat("f_back"), getattr, initial=frame))
    return list(map(_of_frame, islice(frames, _MAX_DEPTH)))


def _target(args: tuple[Any, ...]) -> str:
    """Return the name of what a thread will run: its target, or its class."""
    bootstrap = args[0] if args else None
    thread = bootstrap.__self__ if type(bootstrap) is MethodType else None
    base = dict.get(sys.modules["threading"].__dict__, "Thread")
    kind = type(thread)
    if type(base) is not type or not issubclass(kind, base):
        return ""
    target = base.__dict__["__dict__"].__get__(thread).get("_target")
    if type(target) is MethodType:
        target = target.__func__
    if type(target) is FunctionType:
        return function_name(target.__code__, _text(target.__module__))
    module, name = _text(_module_of_class(kind)), _name_of_class(kind)
    return f"{module}.{name}" if module else name


def _text(value: object) -> str:
    return value if type(value) is str else ""


_installed: list[_Recorder] = []
_hooked: list[bool] = []


def _remove_in_forked_children() -> None:
    """Put the function back in children that are forked in a window: no thread there does it."""
    if not _hooked and hasattr(os, "register_at_fork"):
        _hooked.append(True)
        os.register_at_fork(after_in_child=_remove_in_child)


def _remove_in_child() -> None:
    for recorder in _installed[:]:
        recorder.remove()
