"""One collector a process: its start, its stop, its forks, and the interpreter's end."""

from __future__ import annotations

import atexit
import os
import sys
from _thread import RLock, get_ident

from pprofplus.locks import LOCKS_EXIST
from pprofplus.notices import say_once
from pprofplus.sampler import Collector
from pprofplus.settings import Settings

# a fork waits so long for files that are being changed, an ending interpreter for the last sample
_FORK_PATIENCE_S = 1.0
_EXIT_PATIENCE_S = 0.025


class _Process:
    """What this process has of the collector.

    Attributes:
        collector: the one that runs, or the last one.
        started: `start()` was called, if only to hear that nothing is recorded.
        starting: it is being started.
        hooked: fork and exit call us.
        follows_multiprocessing: multiprocessing calls us in the children that it forks.
        lock: held while a collector starts; a fork waits for it. Reentrant, for a signal handler
            may fork or start in the middle of that.
        held: by thread, the locks that it took for its fork.
    """

    def __init__(self) -> None:
        self.collector: Collector | None = None
        self.started = False
        self.starting = False
        self.hooked = False
        self.follows_multiprocessing = False
        self.lock = RLock()
        self.held: dict[int, list[RLock]] = {}


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
    _process.started = True
    known = _process.collector
    if known is not None and known.pid != os.getpid():
        _after_fork_in_child()  # forked past Python, as uWSGI's workers are: nobody has told us
    with _process.lock:
        running = _process.collector
        if running is not None and (running.running or _process.starting):
            return running
        collector = Collector(settings)
        recordable = not settings.disabled and LOCKS_EXIST
        if recordable:
            _process.collector = collector
            _process.starting = True
            try:
                _hook()
                collector.begin()
            finally:
                _process.starting = False
    if not settings.disabled and not recordable:
        say_once("platform", "nothing is recorded: this platform has no file locks")
    collector.speak()
    return collector


def stop() -> None:
    """Take a last sample, write a stop event, and close the log. Idempotent; never raises."""
    collector = _process.collector
    if collector is not None:
        collector.stop()


def current() -> tuple[Collector | None, bool]:
    """Return the collector that runs or ran last, if any, and whether `start()` was called."""
    return _process.collector, _process.started


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


def _before_fork() -> None:
    """Wait until no file is half open: the child could not close it, and would hold its lock."""
    held = _process.held.setdefault(get_ident(), [])
    locks = [_process.lock]
    if _process.collector is not None:
        locks.append(_process.collector.lock)
    held.extend(lock for lock in locks if lock.acquire(timeout=_FORK_PATIENCE_S))


def _after_fork_in_parent() -> None:
    for lock in reversed(_process.held.pop(get_ident(), [])):
        lock.release()


def _after_fork_in_child() -> None:
    _process.held.clear()
    _process.lock = RLock()
    _process.starting = False
    if _process.collector is not None:
        _process.collector.follow_fork()
    _follow_multiprocessing()


def _follow_multiprocessing() -> None:
    """Have multiprocessing call us in each child that it forks, when it has forgotten finalizers.

    Those children end by os._exit, without atexit.
    """
    util = sys.modules.get("multiprocessing.util")
    if util is not None and not _process.follows_multiprocessing:
        _process.follows_multiprocessing = True
        util.register_after_fork(_process, _finish_with_multiprocessing)


def _finish_with_multiprocessing(_: object = None) -> None:
    """Have multiprocessing call us when it ends a process."""
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.Finalize(None, _at_exit, exitpriority=-100)
