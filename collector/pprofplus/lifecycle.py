"""The one collector of a process: start and stop, forks, and the interpreter's end."""

from __future__ import annotations

import _thread
import atexit
import os
import sys

# The first import of `threading` records the importing thread as the main thread, so import it here
# and not in our thread.
import threading
from _thread import RLock, get_ident

from pprofplus.recording.sampler import Collector
from pprofplus.recording.termination import reserve
from pprofplus.settings import Settings
from pprofplus.system.background import on_main_thread
from pprofplus.system.locks import LOCKS_EXIST
from pprofplus.warn import warn_once

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from types import FrameType

# how long a fork waits while files are changed, and an ending interpreter for the last sample
_FORK_TIMEOUT_S = 0.25
_EXIT_TIMEOUT_S = 0.025
# a process that did not request recording gets a run if it lives this long
_UNREQUESTED_GRACE_S = 1.0


class _Process:
    """The state of the collector in this process.

    Attributes:
        collector: the one that runs, or the last one.
        started: `start()` was called, even if nothing is recorded.
        starting: the one that is being started.
        hooked: the fork and exit hooks are installed.
        hooked_libraries: other libraries whose hooks for forked children are installed.
        lock: held while a collector starts; a fork waits for it. Reentrant, because a signal
            handler may fork or start meanwhile.
        held: by thread, the locks that it took for its fork.
        torn: the last fork did not get all locks, so files may have been half open. Further forks
            do not wait until one gets all locks at the same time, because a disk may hang for long.
        fork_exit_hook: thread-local; in a forked child, runs when the forking thread ends.
    """

    def __init__(self) -> None:
        self.collector: Collector | None = None
        self.started = False
        self.starting: dict[str, Collector] = {}
        self.hooked = False
        self.hooked_libraries: set[str] = set()
        self.lock = RLock()
        self.held: dict[int, list[RLock]] = {}
        self.torn = False
        self.fork_exit_hook = threading.local()


_process = _Process()


def start(
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

    If a collector runs already, it is returned unchanged; the arguments are ignored. Thread-safe.
    An argument that is left out is taken from the environment, else from the default.

    Args:
        service: name of the service, 1 to 64 of A-Z a-z 0-9 . _ -; `PPROFPLUS_SERVICE`; the
            script's name.
        interval_s: seconds from sample to sample, 0.05 to 3600; `PPROFPLUS_INTERVAL`; 1.
        directory: the log directory; `PPROFPLUS_DIR`; `$STATE_DIRECTORY/pprofplus` under systemd,
            else `/var/tmp/pprofplus-<uid>`.
        max_bytes: hard cap of this run's log, 256 KiB or more: the oldest part is removed first;
            `PPROFPLUS_MAX_BYTES`; 64 MiB.
        max_total_bytes: hard cap of the log directory: the ended run that ended first is removed
            first, never a live or a pinned one; `PPROFPLUS_MAX_TOTAL_BYTES`; 1 GiB.
        max_age_days: an ended run is kept for this time; `PPROFPLUS_MAX_AGE_DAYS`; 14.
        group_readable: let the group read the logs; `PPROFPLUS_GROUP_READABLE`; False.
        budget: share of one core for the probes whose cost grows with the process;
            `PPROFPLUS_BUDGET`; 0.001.

    With `PPROFPLUS_DISABLED=1` nothing is recorded. Raises ValueError for an argument out of its
    range, and nothing else: other problems are logged once, by `logging.getLogger("pprofplus")`.
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
    collector.open_now()
    collector.emit_warnings()
    return collector


def start_if_it_lasts(service: str | None = None) -> Collector:
    """As `start()`, for a program that did not request it: after one second of life, or on use.

    A process that ends earlier leaves nothing on disk.
    """
    # resolve a relative path now: the program may change its directory in that second
    settings = Settings(service, directory=os.environ.get("PPROFPLUS_DIR") or None)
    return _start(settings, _UNREQUESTED_GRACE_S)


def _start(settings: Settings, grace_s: float) -> Collector:
    """Return the collector that runs, else a new one, which opens its log after `grace_s`."""
    _process.started = True
    known = _process.collector
    if known is not None and known.pid != os.getpid():
        _after_fork_in_child()  # forked without informing Python, as uWSGI's workers are
    with _process.lock:
        running = _process.collector
        if running is not None and running.running:
            return running  # before another one is created: a signal handler would get that one
        collector = Collector(settings, grace_s)
        # one atomic step: a signal handler may call start() during this start
        first = _process.starting.setdefault("collector", collector)
        if first is not collector:
            return first
        try:
            running = _process.collector
            if running is not None and running.running:
                return running
            reason = "" if settings.disabled else _reason_not_to_record()
            if not settings.disabled and not reason:
                _process.collector = collector
                _install_hooks()
                if not grace_s:
                    reserve()
                collector.begin()
        finally:
            _process.starting.clear()
    if reason:
        warn_once("obstacle", f"nothing is recorded: {reason}")
    return collector


def stop() -> None:
    """Take a last sample, write a stop event, and close the log. Idempotent; never raises."""
    collector = _process.collector
    if collector is not None:
        collector.stop()


def current() -> tuple[Collector | None, bool]:
    """Return the collector that runs or ran last, if any, and whether `start()` was called."""
    return _process.collector, _process.started


def _reason_not_to_record() -> str:
    """Return why recording is impossible here, or ""."""
    if not LOCKS_EXIST:
        return "this platform has no file locks"
    if _in_subinterpreter():
        # its metrics would be the same, forks do not notify it, and its end would have to wait for
        # us
        return "this is a subinterpreter: call start() in the main interpreter"
    if sys.is_finalizing():
        return "the interpreter is ending"
    return ""


def _in_subinterpreter() -> bool:
    # Python 3.12 and later have the first function, earlier ones the second
    is_main = getattr(_thread, "_is_main_interpreter", None)
    if is_main is not None:
        return not is_main()
    try:
        interpreters = __import__("_xxsubinterpreters")  # up to 1 ms
    except ImportError:
        return False
    return bool(interpreters.get_current() != interpreters.get_main())


def _install_hooks() -> None:
    """Install the fork and exit hooks; once, because they cannot be removed."""
    if not _process.hooked:
        _process.hooked = True
        atexit.register(_at_exit)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=_before_fork,
                after_in_parent=_after_fork_in_parent,
                after_in_child=_after_fork_in_child,
            )
    _hook_multiprocessing_forks()
    _hook_multiprocessing_exit()


def _at_exit() -> None:
    collector = _process.collector
    if collector is not None:
        collector.finish(_EXIT_TIMEOUT_S)


class _ForkExitHook:
    """Ends the run of a forked child whose only thread is not the main one.

    Such a child does not shut down the interpreter: it ends with its last thread, which must not be
    ours. So each thread that forks keeps an instance in a thread-local, and the deletion of that is
    the end of the child.
    """

    __slots__ = ("_ident", "_pid")

    def __init__(self) -> None:
        self._pid, self._ident = os.getpid(), get_ident()

    def __del__(self) -> None:
        # a child forked by another thread clears this thread's locals immediately: not its end
        if os.getpid() != self._pid and get_ident() == self._ident:
            _at_exit()


def _before_fork() -> None:
    """Wait until no file is half open: the child would have to search for it to close it."""
    if not (on_main_thread() or hasattr(_process.fork_exit_hook, "kept")):
        _process.fork_exit_hook.kept = _ForkExitHook()
    _hook_celery_exit()
    held = _process.held.setdefault(get_ident(), [])
    locks = [_process.lock]
    if _process.collector is not None:
        locks.append(_process.collector.lock)
    timeout_s = 0.0 if _process.torn else _FORK_TIMEOUT_S
    taken = [lock for lock in locks if lock.acquire(timeout=timeout_s)]
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
        _process.collector.after_fork_in_child(
            record=not _called_by_subprocess(sys._getframe().f_back),
            torn=_process.torn,
        )
    _process.torn = False
    _hook_multiprocessing_forks()


def _called_by_subprocess(frame: FrameType | None) -> bool:
    """Return whether subprocess forks, to execute another program.

    It calls the hooks only with a `preexec_fn`, which may require a single thread: unshare() fails
    with more.
    """
    return frame is not None and frame.f_globals.get("__name__") == "subprocess"


def _hook_multiprocessing_forks() -> None:
    """Install a hook in each child that multiprocessing forks, after it has reset its finalizers.

    Those children end by os._exit, without atexit.
    """
    util = sys.modules.get("multiprocessing.util")
    if util is not None and "multiprocessing" not in _process.hooked_libraries:
        _process.hooked_libraries.add("multiprocessing")
        util.register_after_fork(_process, _hook_multiprocessing_exit)


def _hook_multiprocessing_exit(_: object = None) -> None:
    """Install a hook that multiprocessing calls when it ends a process."""
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.Finalize(None, _at_exit, exitpriority=-100)


def _hook_celery_exit() -> None:
    """Install a hook that Celery calls before it ends a worker process by os._exit."""
    signals = sys.modules.get("celery.signals")
    if signals is not None and "celery" not in _process.hooked_libraries:
        _process.hooked_libraries.add("celery")
        try:
            signals.worker_process_shutdown.connect(_at_celery_exit, weak=False)
        except Exception as error:  # noqa: BLE001 - outer boundary: its workers may still record
            warn_once("celery", f"the log will not show how Celery's workers end: {error!r}")


def _at_celery_exit(**_: object) -> None:
    _at_exit()
