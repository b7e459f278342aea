"""Takes profiles of any set of kinds: checks all, takes them one after another, stores each part.

It runs on the calling thread, which must be neither a thread of the host nor the sampler's: that of
a LongAction, or one that `pprofplus.profile()` starts.
"""

from __future__ import annotations

import os
import sys
from time import monotonic

from pprofplus.control.long_actions import ActionCancelledError
from pprofplus.log.artefacts import PROFILE_SUFFIX, SOURCE_SUFFIX, parse_artefact_name
from pprofplus.log.identity import python_name
from pprofplus.profiles.capture import (
    DEFAULT_HZ,
    MAX_HZ,
    MAX_WINDOW_S,
    CaptureRequest,
    ProfileRefusedError,
)
from pprofplus.profiles.kinds import KINDS
from pprofplus.profiles.source_lines import pack_source_lines
from pprofplus.profiles.switch_interval import ShortSwitchInterval
from pprofplus.version import __version__
from pprofplus.warn import describe

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pprofplus.profiles.capture import ProfilePart, Task
    from pprofplus.profiles.kinds import ProfileKind

    # (kind, data, why, suffix, unix_ms) → the name or path under which it is stored
    Store = Callable[[str, bytes, str, str, int], str]

# a profile that shows one moment takes about as long as this, for the progress
_MOMENT_S = 0.5
# what may not wait for the end of others waits so long for one that takes the same kinds
_BESIDE_WAIT_S, _BESIDE_STEP_S = 5.0, 0.02

# The profile that is being taken, by pid: a forked child must not find its parent's. The process
# id alone may be the parent's in another pid namespace, so Python's forks clear it, too.
_running: dict[int, _Taking] = {}
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_running.clear)


class StoredProfile:
    """A profile that is stored.

    Attributes:
        kind: name of its kind.
        name: what the function that stored it returned: a file name, or a path.
        size_bytes: of the stored file.
        note: one line for the person who requested it, or "".
        hold_ms: the longest time for which the interpreter stood still, as measured; 0 if unknown.
    """

    __slots__ = ("hold_ms", "kind", "name", "note", "size_bytes")

    def __init__(self, kind: str, name: str, size_bytes: int, note: str, hold_ms: float) -> None:
        self.kind = kind
        self.name = name
        self.size_bytes = size_bytes
        self.note = note
        self.hold_ms = hold_ms


class TakenProfiles:
    """What was taken of a request.

    Attributes:
        profiles: those that are stored, in the order in which they were taken.
        problems: one line each for what could not be taken or stored.
    """

    __slots__ = ("problems", "profiles")

    def __init__(self) -> None:
        self.profiles: list[StoredProfile] = []
        self.problems: list[str] = []


def check_kinds(names: Sequence[object]) -> tuple[str, ...]:
    """Return names of kinds, each once, in the table's order. Raises ValueError."""
    wanted = set()
    for name in names:
        if not (isinstance(name, str) and name in KINDS):
            shown = name if isinstance(name, str) else type(name).__name__
            raise ValueError(f"no kind of profile: {shown!r:.40}; use {', '.join(KINDS)}")
        wanted.add(name)
    if not wanted:
        raise ValueError(f"no kind of profile is named; use {', '.join(KINDS)}")
    return tuple(name for name in KINDS if name in wanted)


def check_hz(hz: float | str) -> int:
    """Return the rate in ticks a second, 0 for the default.

    Raises ValueError unless it is at most MAX_HZ.
    """
    try:
        value = int(hz)
    except (TypeError, ValueError, OverflowError):
        value = -1
    if not 0 <= value <= MAX_HZ:
        raise ValueError(f"hz {hz!r:.40}: use 1 to {MAX_HZ}")
    return value


def check_seconds(seconds: float | str) -> float:
    """Return the length of a window, 0 for the default of each kind.

    Raises ValueError unless it is at most MAX_WINDOW_S.
    """
    try:
        value = float(seconds)
    except (TypeError, ValueError, OverflowError):
        value = -1.0
    if not 0 <= value <= MAX_WINDOW_S:
        raise ValueError(f"seconds {seconds!r:.40}: use more than 0, up to {MAX_WINDOW_S}")
    return value


def duration_s(kinds: Sequence[str], seconds: float = 0.0) -> float:
    """Return how long it takes about to take these kinds; `seconds` as in `take_profiles`."""
    return sum(_length_s(group, seconds) for group in _groups(kinds))


def take_profiles(
    kinds: Sequence[str],
    task: Task,
    store: Store,
    *,
    service: str,
    seconds: float = 0.0,
    hz: int = 0,
    force: bool = False,
    why: str = "",
    with_source: bool = True,
    comments: Sequence[str] = (),
    beside: bool = False,
    hurried: Callable[[], bool] | None = None,
) -> TakenProfiles:
    """Take profiles of this process, and store each one as soon as it is made.

    All kinds are checked before the first is taken. Kinds that show one moment come first, then the
    windows, one after another; kinds of one module share a window. If a kind fails later, or cannot
    be stored, that is one of the `problems`, and the others are taken nevertheless.

    Args:
        kinds: names of kinds.
        task: is asked whether to go on, and receives the progress.
        store: stores a file: (kind, data, why, suffix, unix_ms) → its name. It may raise OSError or
            PprofplusError.
        service: name of the service, for the profile.
        seconds: length of each window; 0 for the default of each kind.
        hz: ticks a second, for kinds that sample; 0 for the default.
        force: take it even if it costs more than is allowed without being forced.
        why: what requested it, see CaptureRequest.
        with_source: also store the lines of source code that the profiles refer to.
        comments: more lines for the comments of each profile.
        beside: do not wait for the end of profiles of other kinds that are being taken, as before
            an OOM kill.
        hurried: is asked before each module but the first, and before the source lines; if it
            returns True, the rest is left out.

    Raises ValueError for an unknown kind, ProfileRefusedError if one is refused or if another
    profile is being taken, ActionCancelledError if the task must end.
    """
    groups = [
        (
            group,
            CaptureRequest(
                tuple(kind.name for kind in group),
                seconds or max(kind.window_s for kind in group),
                hz=hz or DEFAULT_HZ,
                force=force,
                why=why,
            ),
        )
        for group in _groups(check_kinds(kinds))
    ]
    taking = _Taking([kind.name for group, _ in groups for kind in group])
    taking.begin(task if beside else None)
    try:
        for group, request in groups:
            group[0].check(request)
        storage = _Storage(store, service, why, comments, with_source=with_source)
        _take_groups(groups, taking, task, storage, hurried or _never)
    finally:
        taking.end()
    return taking.taken


class _Taking:
    """The one request that is being carried out in this process.

    Attributes:
        kinds: names of the kinds that are not yet taken.
        taken: what is.
    """

    __slots__ = ("_pid", "kinds", "taken")

    def __init__(self, kinds: list[str]) -> None:
        self.kinds = kinds
        self._pid = os.getpid()
        self.taken = TakenProfiles()

    def begin(self, task: Task | None = None) -> None:
        """Raise ProfileRefusedError if another one is being carried out.

        With a task, begin beside one of other kinds, and wait a few seconds for one of the same.
        """
        until_s = monotonic() + _BESIDE_WAIT_S
        while True:
            running = _running.setdefault(self._pid, self)  # one atomic step
            if running is self:
                return
            if task is not None and not set(running.kinds) & set(self.kinds):
                return
            if task is None or monotonic() >= until_s:
                raise ProfileRefusedError(
                    f"a profile ({', '.join(running.kinds)}) is being taken, and a process takes"
                    " one at a time: try again when it has ended"
                )
            task.wait(_BESIDE_STEP_S)

    def end(self) -> None:
        if _running.get(self._pid) is self:
            del _running[self._pid]


class _Storage:
    """Stores profiles, and afterwards their source lines."""

    __slots__ = ("_comments", "_lines", "_service", "_store", "_why", "_with_source")

    def __init__(
        self,
        store: Store,
        service: str,
        why: str,
        comments: Sequence[str],
        *,
        with_source: bool,
    ) -> None:
        self._store = store
        self._service = service
        self._why = why
        self._with_source = with_source
        self._comments = [*common_comments(service, why), *comments]
        self._lines: list[tuple[StoredProfile, int, dict[str, dict[int, set[int]]]]] = []

    def store(self, part: ProfilePart) -> StoredProfile:
        """Store one part. Raises OSError, PprofplusError."""
        profile, suffix, data = part.profile, part.suffix, part.data
        if profile is not None:
            profile.service = profile.service or self._service
            profile.comments[:0] = self._comments
            if part.hold_ms:
                profile.comments.append(f"longest hold of the GIL: {part.hold_ms:.1f} ms")
            # it computes for up to a second: with the usual interval, a thread of the host that
            # wants the GIL meanwhile would wait 5 ms each time
            with ShortSwitchInterval():
                data = profile.encode()
        name = self._store(part.kind, data, self._why, suffix or PROFILE_SUFFIX, part.unix_ms)
        stored = StoredProfile(part.kind, name, len(data), part.note, part.hold_ms)
        if profile is not None and self._with_source:
            self._lines.append((stored, part.unix_ms, profile.lines()))
        return stored

    def store_source_lines(self) -> None:
        """Store the source lines of all profiles. Raises OSError, PprofplusError."""
        while self._lines:
            stored, unix_ms, lines = self._lines.pop(0)
            with ShortSwitchInterval():
                packed = pack_source_lines(lines)
            if packed:
                # the profile's name may have a later time than was asked for
                found = parse_artefact_name(os.path.basename(stored.name))
                unix_ms = unix_ms if found is None else found.unix_ms
                self._store(stored.kind, packed, self._why, SOURCE_SUFFIX, unix_ms)


class _PartOfTask:
    """The progress of one group, as a part of the progress of the whole request."""

    __slots__ = ("_begin", "_name", "_share", "_task")

    def __init__(self, task: Task, name: str, begin: float, share: float) -> None:
        self._task = task
        self._name = name
        self._begin = begin
        self._share = share

    def check(self) -> None:
        self._task.check()

    def wait(self, timeout_s: float) -> None:
        self._task.wait(timeout_s)

    @property
    def window_over(self) -> bool:
        return self._task.window_over

    def report(self, share: float, text: str = "") -> None:
        share = min(max(share, 0.0), 1.0)
        self._task.report(self._begin + share * self._share, text or self._name)


def _never() -> bool:
    return False


def common_comments(service: str, why: str) -> list[str]:
    """Return the comments that all profiles have: what was profiled, where, and why."""
    host = os.uname().nodename if hasattr(os, "uname") else ""
    comments = [
        f"host: {host}",
        f"pid: {os.getpid()}",
        f"service: {service}",
        f"python: {python_name()}",
        f"platform: {sys.platform}",
        f"collector: pprofplus {__version__}",
    ]
    return [*comments, f"why: {why}"] if why else comments


def _groups(kinds: Sequence[str]) -> list[list[ProfileKind]]:
    """Return the kinds by module; first those that show one moment."""
    found: dict[str, list[ProfileKind]] = {}
    for name in kinds:
        found.setdefault(KINDS[name].module_name, []).append(KINDS[name])
    return sorted(found.values(), key=lambda group: max(kind.window_s for kind in group) > 0)


def _length_s(group: list[ProfileKind], seconds: float) -> float:
    window_s = max(kind.window_s for kind in group)
    return max(seconds or window_s, _MOMENT_S) if window_s or seconds else _MOMENT_S


def _take_groups(
    groups: list[tuple[list[ProfileKind], CaptureRequest]],
    taking: _Taking,
    task: Task,
    storage: _Storage,
    hurried: Callable[[], bool],
) -> None:
    """Take and store all groups; note problems. Raises ActionCancelledError."""
    taken = taking.taken
    lengths = [_length_s(group, request.window_s) for group, request in groups]
    done = 0.0
    for number, ((group, request), length) in enumerate(zip(groups, lengths, strict=True)):
        if done and hurried():
            return
        taking.kinds = [name for _, each in groups[number:] for name in each.kinds]
        name = ", ".join(request.kinds)
        begin, share = done / sum(lengths), length / sum(lengths)
        done += length
        part_of_task = _PartOfTask(task, name, begin, share)
        expected_ms = group[0].expected_hold_ms(request)
        pause = f", a pause of about {expected_ms:.0f} ms" if expected_ms >= 1 else ""
        part_of_task.report(0.0, f"{name}{pause}")
        parts = group[0].take(request, part_of_task)
        try:
            _store_parts(parts, taken, task, storage)
        except (ActionCancelledError, GeneratorExit):
            raise
        except Exception as error:  # noqa: BLE001 - a kind that fails must not prevent the others
            taken.problems.append(f"{name}: {_reason(error)}")
    if hurried():
        return
    try:
        task.report(1.0, "source lines")
        storage.store_source_lines()
    except ActionCancelledError:
        raise
    except Exception as error:  # noqa: BLE001 - the profiles are stored
        taken.problems.append(f"source lines: {_reason(error)}")


def _store_parts(
    parts: Iterator[ProfilePart], taken: TakenProfiles, task: Task, storage: _Storage
) -> None:
    """Store each part when it is made. Raises what `take` and `store` raise."""
    failure: Exception | None = None
    try:
        for part in parts:
            task.check()
            try:
                taken.profiles.append(storage.store(part))
            except ActionCancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - the next part may be smaller
                failure = error
    finally:
        # now, on this thread: it undoes its changes to the process
        close = getattr(parts, "close", None)
        if close is not None:
            close()
    if failure is not None:
        raise failure


def _reason(error: Exception) -> str:
    """Return the text of an error as one line: short for what is expected, else with its class."""
    if isinstance(error, OSError):
        return f"it cannot be stored: {error.strerror or error}"
    return str(error) if isinstance(error, ValueError) else f"it failed: {describe(error)}"
