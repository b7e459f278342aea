"""The catalogue of runs and their states; refreshed each second, reads only what changed."""

import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from pprofplus.log import log_directory
from pprofplus_tui.model.runs import LIVE, RUNNING
from pprofplus_tui.sources.local.catalog_entry import CatalogEntry
from pprofplus_tui.sources.local.index_scan import counted
from pprofplus_tui.sources.local.run_directories import RunDirectories, by_promise
from pprofplus_tui.sources.local.run_info import RunInfo
from pprofplus_tui.sources.local.run_log import RunLog

__all__ = ["Catalog", "RunInfo"]

# Live runs that are not visible are refreshed once in this many ticks. Visible ones are refreshed
# each tick, but less often if there are so many that it would take noticeable time.
_SELDOM_TICKS = 5
_MANY_LIVE, _MOST_TICKS = 20, 3
# Ended runs that are not visible are checked in turn, this many per tick: an operator may have
# pinned one, or removed segments.
_SWEPT = 100
_LOOKED_AT_ONCE = 16  # runs that are read between two readings of the clock


class Catalog:
    """All runs in some log directories. Use it from one thread at a time.

    It is empty until `refresh` reads the runs. Of each run it reads only the end of the newest
    segment. It reads an ended run once, because that does not change; afterwards it checks only
    the mtimes of the directories to find out whether the run still exists.
    """

    def __init__(
        self,
        directories: Sequence[str],
        *,
        service: str | None = None,
        pids: Collection[int] = (),
        counting: bool = False,
    ) -> None:
        """Make a catalogue of the log directories `directories`; missing ones may appear later.

        With `service` or `pids`, other runs are ignored. With `counting`, the samples of ended
        runs are counted where that is cheap; `scan` counts the others.
        """
        self._homes: dict[str, RunDirectories] = {}
        for path in directories:
            place = RunDirectories(os.path.abspath(path), service, frozenset(pids))  # noqa: PTH100 - keeps links
            self._homes.setdefault(os.path.realpath(path), place)
        self._counting = counting
        self._found: dict[str, CatalogEntry] = {}  # by path
        self._active: dict[str, CatalogEntry] = {}  # those of `_found` that are not settled
        self._unread: list[CatalogEntry] = []  # the last is read next
        self._troubled: dict[str, CatalogEntry] = {}
        self._swept: Iterator[CatalogEntry] = iter(())
        self._changes: dict[str, RunInfo | None] = {}
        self._runs: tuple[RunInfo, ...] | None = ()
        self._problems: tuple[str, ...] = ()

    @property
    def runs(self) -> tuple[RunInfo, ...]:
        """The runs found, by service, the newest first."""
        if self._runs is None:
            found = (run.info for run in self._found.values())
            infos = [info for info in found if info is not None]
            infos.sort(key=lambda info: (info.service, -_start_of(info.path), info.path))
            self._runs = tuple(infos)
        return self._runs

    @property
    def problems(self) -> tuple[str, ...]:
        """One line for each part that could not be read; may contain untrusted text."""
        return self._problems

    def unlisted(self, service: str | None) -> tuple[str, ...]:
        """Return the problems that hide runs of a service, or of any service if it is None."""
        found = [line for place in self._homes.values() for line in place.unlisted(service)]
        for path, run in self._troubled.items():
            if run.info is None and service in {None, path.split("/")[-2]}:
                found += run.problems
        return tuple(found)

    @property
    def services(self) -> tuple[str, ...]:
        """The services that have run directories, whether selected or not."""
        names = {name for place in self._homes.values() for name in place.services()}
        return tuple(sorted(names))

    @property
    def unread(self) -> int:
        """The number of runs that were found but not yet read."""
        return len(self._unread)

    @property
    def read(self) -> int:
        """The number of runs that were read."""
        return len(self._found) - len(self._unread)

    def find(self, path: str) -> RunInfo | None:
        """Return the entry of the run at `path`, None if there is none or it is not read yet."""
        run = self._found.get(path)
        return run.info if run is not None else None

    @property
    def running(self) -> list[RunInfo]:
        """The runs in progress; the cost does not depend on the number of ended runs."""
        found = (run.info for run in self._active.values())
        return [info for info in found if info is not None and info.state in RUNNING]

    @property
    def infos(self) -> Mapping[str, RunInfo]:
        """A live view of the runs found, by path."""
        return _Infos(self._found)

    def changes(self) -> dict[str, RunInfo | None]:
        """Return, by path, the runs that changed since the last call; None for a removed run.

        Only here an ended run that was read whole has `last` and `recent`; they are not kept.
        """
        changes, self._changes = self._changes, {}
        return changes

    def refresh(self, sought: Collection[str] | None = None, until_s: float | None = None) -> bool:
        """Read what is new; return whether `runs` or `problems` changed. Raises nothing.

        With `sought`, only the record of an ended run is read; `complete` reads the rest. Runs
        with other paths are refreshed only every few seconds, as are all runs if many are live.
        With `until_s`, a monotonic time, new runs are read until then, those that probably run and
        the newest first; `read_on` reads the remaining `unread` ones.
        """
        now_ns = time.time_ns()
        whole, every = sought is None, self._ticks_for(sought)
        changed, problems = self._list(now_ns)
        for run in list(self._active.values()):
            often = whole or (sought is not None and run.path in sought)
            changed |= self._refresh(
                run, now_ns, whole=whole, every=every if often else _SELDOM_TICKS
            )
        for run in self._settled(sought):
            changed |= self._refresh(run, now_ns, whole=whole)
        changed |= self._read_on(until_s, whole=whole)
        for run in self._troubled.values():
            problems += run.problems
        lines = tuple(dict.fromkeys(problems))
        changed |= lines != self._problems
        self._problems = lines
        return changed

    def _settled(self, sought: Collection[str] | None) -> list[CatalogEntry]:
        """Return the settled runs to refresh now: all, or those sought and the next in turn."""
        if sought is None:
            return [run for run in self._found.values() if run.settled]
        found = [run for path in sought if (run := self._found.get(path)) and run.settled]
        for run in self._swept:
            if run.settled:
                found.append(run)
            if len(found) >= _SWEPT + len(sought):
                return found
        self._swept = iter(list(self._found.values()))
        return found

    def _ticks_for(self, sought: Collection[str] | None) -> int:
        """Return the number of ticks between two refreshes of a visible run."""
        if sought is None:
            return 1
        infos = (run.info for path in sought if (run := self._active.get(path)))
        live = sum(info is not None and info.state == LIVE for info in infos)
        return min(1 + live // _MANY_LIVE, _MOST_TICKS)

    def _list(self, now_ns: int) -> tuple[bool, list[str]]:
        """List the directories; return (whether a run was removed, problems)."""
        problems: list[str] = []
        new: list[str] = []
        gone: list[str] = []
        for place in self._homes.values():
            place.refresh(now_ns, new, gone, problems)
        changed = False
        for path in gone:
            run = self._found.pop(path, None)
            self._active.pop(path, None)
            self._troubled.pop(path, None)
            if run is not None and run.info is not None:
                self._changes[path], self._runs, changed = None, None, True
        if gone and self._unread:
            self._unread = [run for run in self._unread if run.path in self._found]
        if new:
            runs = [CatalogEntry(path) for path in by_promise(new)]
            self._found.update((run.path, run) for run in runs)
            self._unread += runs
        return changed, problems

    def read_on(self, until_s: float) -> bool:
        """Read more `unread` runs until a monotonic time; return whether `runs` changed."""
        return self._read_on(until_s, whole=False)

    def _read_on(self, until_s: float | None, *, whole: bool) -> bool:
        changed = False
        now_ns = time.time_ns()
        unread = self._unread
        while unread:
            for _ in range(min(_LOOKED_AT_ONCE, len(unread))):
                run = unread.pop()
                if run.path in self._found:
                    self._active[run.path] = run
                    changed |= self._refresh(run, now_ns, whole=whole)
            if until_s is not None and time.monotonic() >= until_s:
                break
            now_ns = time.time_ns()
        return changed

    def _refresh(self, run: CatalogEntry, now_ns: int, *, whole: bool, every: int = 1) -> bool:
        """Refresh one run; return whether it changed."""
        before = run.info
        run.refresh(now_ns, whole=whole, every=every, counting=self._counting)
        info, path = run.info, run.path
        if run.settled:
            self._active.pop(path, None)
        else:
            self._active[path] = run
        if run.problems:
            self._troubled[path] = run
        elif self._troubled:
            self._troubled.pop(path, None)
        if info is before:
            return False
        self._changes[path], self._runs = info, None
        if not whole:
            run.drop_recent()
        return True

    def lacking(self, paths: Iterable[str]) -> list[str]:
        """Return those of the paths of which only the record of an ended run was read."""
        found = self._found
        return [
            path
            for path in paths
            if (run := found.get(path)) is not None and run.info is not None and not run.whole
        ]

    def complete(self, paths: Iterable[str], until_s: float) -> bool:
        """Read these ended runs whole, until a monotonic time; return whether any was read."""
        now_ns = time.time_ns()
        done = False
        for path in self.lacking(paths):
            run = self._found[path]
            run.refresh(now_ns, whole=True)
            self._changes[path], self._runs, done = run.info, None, True
            run.drop_recent()
            if time.monotonic() >= until_s:
                break
        return done

    @staticmethod
    def open(path: str) -> RunLog:
        """Return the refreshed log of the run at `path`. Raises PprofplusError if it is no run.

        Most of its rows are blocks: see `RunLog`.
        """
        run = RunLog(path, in_blocks=True)
        run.refresh()
        return run

    @staticmethod
    def scan(info: RunInfo) -> RunInfo:
        """Return `info` with its samples and damaged pages counted; reads all page heads."""
        return counted(info)


class _Infos(Mapping[str, RunInfo]):
    """A live view of the runs of a catalogue, by path."""

    def __init__(self, found: Mapping[str, CatalogEntry]) -> None:
        self._found = found

    def __getitem__(self, path: str) -> RunInfo:
        info = self._found[path].info
        if info is None:
            raise KeyError(path)
        return info

    def __iter__(self) -> Iterator[str]:
        return (path for path, run in self._found.items() if run.info is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _start_of(path: str) -> int:
    parsed = log_directory.parse_run_name(path.rpartition("/")[2])
    return parsed[1] if parsed else 0
