"""One collector a process: its start, its stop, its forks, and the interpreter's end."""

from __future__ import annotations

import _thread
import atexit
import os
import sys

# it takes the thread that imports it first for the main one: that may not be ours
import threading
from _thread import RLock, get_ident

from pprofplus.recording.sampler import Collector
from pprofplus.recording.termination import reserve
from pprofplus.settings import Settings
from pprofplus.system.background import on_main_thread
from pprofplus.system.locks import LOCKS_EXIST
from pprofplus.warn import say_once

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from types import FrameType

# how long a fork waits for files that are being changed, and an ending interpreter for the last
# sample
_FORK_PATIENCE_S = 0.25
_EXIT_PATIENCE_S = 0.025
# a process that never asked to be recorded is worth a run if it lives so long
_UNASKED_GRACE_S = 1.0


class _Process:
    """What this process has of the collector.

    Attributes:
        collector: the one that runs, or the last one.
        started: `start()` was called, if only to hear that nothing is recorded.
        starting: the one that is being started.
        hooked: fork and exit call us.
        followed: of other libraries, those that call us in the children that they fork.
        lock: held while a collector starts; a fork waits for it. Reentrant, for a signal handler
            may fork or start in the middle of that.
        held: by thread, the locks that it took for its fork.
        torn: the last fork did not get all of them: files may have been half open. Forks do not
            wait again until one gets them at once, for a disk that hangs does so for long.
        last_words: what a thread that forks says when it ends.
    """

    def __init__(self) -> None:
        self.collector: Collector | None = None
        self.started = False
        self.starting: dict[str, Collector] = {}
        self.hooked = False
        self.followed: set[str] = set()
        self.lock = RLock()
        self.held: dict[int, list[RLock]] = {}
        self.torn = False
        self.last_words = threading.local()


_process = _Process()


def start(  # noqa: PLR0913 - the settings
    service: str | None = None,
    *,
    interval_s: float | None = None,
    directory: str | os.PathLike[str] | None = None,
    max_bytes: int | None = None,
    max_total_bytes: int | None = None,
    max_age_days: float | None = None,
    group_readable: bool | None = None,
    budget: float | None = None,
) -> Collector:
    """Record this process from now on, and in its forked children; return the collector.

    If it runs already, the running collector is returned as it is, whatever the arguments. Safe
    from any thread. Each argument left out is taken from the environment, else from the default.

    Args:
        service: name of the service, 1 to 64 of A-Z a-z 0-9 . _ -; `PPROFPLUS_SERVICE`; the
            script's name.
        interval_s: seconds from sample to sample, 0.05 to 3600; `PPROFPLUS_INTERVAL`; 1.
        directory: home of all logs; `PPROFPLUS_DIR`; `$STATE_DIRECTORY/pprofplus` under systemd,
            else `/var/tmp/pprofplus-<uid>`.
        max_bytes: hard cap of this run's log, 256 KiB or more: the oldest goes first;
            `PPROFPLUS_MAX_BYTES`; 64 MiB.
        max_total_bytes: hard cap of the whole directory: ended runs go first, the oldest before
            the others, never a live or a pinned one; `PPROFPLUS_MAX_TOTAL_BYTES`; 1 GiB.
        max_age_days: an ended run is kept so long; `PPROFPLUS_MAX_AGE_DAYS`; 14.
        group_readable: let the group read what is written; `PPROFPLUS_GROUP_READABLE`; False.
        budget: share of one core for the probes whose cost grows with the process;
            `PPROFPLUS_BUDGET`; 0.001.

    With `PPROFPLUS_DISABLED=1` nothing is recorded. Raises ValueError for an argument out of its
    range, and nothing else: other trouble is warned of once, by `logging.getLogger("pprofplus")`.
    """
    settings = Settings(
        service,
        interval_s=interval_s,
        directory=directory,
        max_bytes=max_bytes,
        max_total_bytes=max_total_bytes,
        max_age_days=max_age_days,
        group_readable=group_readable,
        budget=budget,
    )
    collector = _start(settings, 0.0)
    collector.hurry()
    collector.emit_warnings()
    return collector


def start_if_it_lasts(service: str | None = None) -> Collector:
    """As `start()`, for a program that has not asked: only if it lives for a second, or asks.

    One that ends before leaves nothing on disk.
    """
    # a relative path is meant from here, wherever the program goes in that second
    settings = Settings(service, directory=os.environ.get("PPROFPLUS_DIR") or None)
    return _start(settings, _UNASKED_GRACE_S)


def _start(settings: Settings, grace_s: float) -> Collector:
    """Return the collector that runs, else a new one, which opens its log after `grace_s`."""
    _process.started = True
    known = _process.collector
    if known is not None and known.pid != os.getpid():
        _after_fork_in_child()  # forked past Python, as uWSGI's workers are: nobody has told us
    with _process.lock:
        running = _process.collector
        if running is not None and running.running:
            return running  # before another one is made: a signal handler would get that
        collector = Collector(settings, grace_s)
        # one step, for a signal handler may start in the middle of our start
        first = _process.starting.setdefault("collector", collector)
        if first is not collector:
            return first
        try:
            running = _process.collector
            if running is not None and running.running:
                return running
            obstacle = "" if settings.disabled else _obstacle()
            if not settings.disabled and not obstacle:
                _process.collector = collector
                _hook()
                if not grace_s:
                    reserve()
                collector.begin()
        finally:
            _process.starting.clear()
    if obstacle:
        say_once("obstacle", f"nothing is recorded: {obstacle}")
    return collector


def stop() -> None:
    """Take a last sample, write a stop event, and close the log. Idempotent; never raises."""
    collector = _process.collector
    if collector is not None:
        collector.stop()


def current() -> tuple[Collector | None, bool]:
    """Return the collector that runs or ran last, if any, and whether `start()` was called."""
    return _process.collector, _process.started


def _obstacle() -> str:
    """Return what forbids to record here, or nothing."""
    if not LOCKS_EXIST:
        return "this platform has no file locks"
    if _in_subinterpreter():
        # its figures would be the same, no fork tells it, and its end would have to wait for us
        return "this is a subinterpreter, call start() in the main one"
    if sys.is_finalizing():
        return "the interpreter is ending"
    return ""


def _in_subinterpreter() -> bool:
    # Python 3.12 and later have this one, earlier ones the other
    is_main = getattr(_thread, "_is_main_interpreter", None)
    if is_main is not None:
        return not is_main()
    try:
        interpreters = __import__("_xxsubinterpreters")  # up to 1 ms
    except ImportError:
        return False
    return bool(interpreters.get_current() != interpreters.get_main())


def _hook() -> None:
    """Have fork and exit call us; none of these can be undone, so they are done once."""
    if not _process.hooked:
        _process.hooked = True
        atexit.register(_at_exit)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=_before_fork,
                after_in_parent=_after_fork_in_parent,
                after_in_child=_after_fork_in_child,
            )
    _follow_multiprocessing()
    _finish_with_multiprocessing()


def _at_exit() -> None:
    collector = _process.collector
    if collector is not None:
        collector.finish(_EXIT_PATIENCE_S)


class _LastWords:
    """Ends the record of a forked child whose only thread is not the main one.

    Such a child has no end of the interpreter: it ends with its last thread, which must not be
    ours. So each thread that forks keeps one of these, and its end is the child's.
    """

    __slots__ = ("_ident", "_pid")

    def __init__(self) -> None:
        self._pid, self._ident = os.getpid(), get_ident()

    def __del__(self) -> None:
        # a child that another thread forks clears this one's locals at once: that is no end
        if os.getpid() != self._pid and get_ident() == self._ident:
            _at_exit()


def _before_fork() -> None:
    """Wait until no file is half open: the child would have to search for it to close it."""
    if not (on_main_thread() or hasattr(_process.last_words, "kept")):
        _process.last_words.kept = _LastWords()
    _finish_with_celery()
    held = _process.held.setdefault(get_ident(), [])
    locks = [_process.lock]
    if _process.collector is not None:
        locks.append(_process.collector.lock)
    patience_s = 0.0 if _process.torn else _FORK_PATIENCE_S
    taken = [lock for lock in locks if lock.acquire(timeout=patience_s)]
    held.extend(taken)
    _process.torn = len(taken) < len(locks)


def _after_fork_in_parent() -> None:
    for lock in reversed(_process.held.pop(get_ident(), [])):
        lock.release()


def _after_fork_in_child() -> None:
    _process.held.clear()
    _process.lock = RLock()
    _process.starting.clear()
    if _process.collector is not None:
        _process.collector.follow_fork(
            record=not _called_by_subprocess(sys._getframe().f_back),  # noqa: SLF001 - the only way
            torn=_process.torn,
        )
    _process.torn = False
    _follow_multiprocessing()


def _called_by_subprocess(frame: FrameType | None) -> bool:
    """Tell whether subprocess forks, for a program of its own.

    It calls us if it has a `preexec_fn`, which may need to be alone: unshare() fails with threads.
    """
    return frame is not None and frame.f_globals.get("__name__") == "subprocess"


def _follow_multiprocessing() -> None:
    """Have multiprocessing call us in each child that it forks, when it has forgotten finalizers.

    Those children end by os._exit, without atexit.
    """
    util = sys.modules.get("multiprocessing.util")
    if util is not None and "multiprocessing" not in _process.followed:
        _process.followed.add("multiprocessing")
        util.register_after_fork(_process, _finish_with_multiprocessing)


def _finish_with_multiprocessing(_: object = None) -> None:
    """Have multiprocessing call us when it ends a process."""
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.Finalize(None, _at_exit, exitpriority=-100)


def _finish_with_celery() -> None:
    """Have Celery call us when it ends a worker process: by os._exit, with nothing before it."""
    signals = sys.modules.get("celery.signals")
    if signals is not None and "celery" not in _process.followed:
        _process.followed.add("celery")
        try:
            signals.worker_process_shutdown.connect(_at_celery_exit, weak=False)
        except Exception as error:  # noqa: BLE001 - the outer edge: its workers may still record
            say_once("celery", f"the ends of Celery's workers will not be seen: {error!r}")


def _at_celery_exit(**_: object) -> None:
    _at_exit()
