"""The runs in log directories: checked every second, read only when they change."""

import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from pprofplus.log import log_directory
from pprofplus_tui.model.runs import LIVE, RUNNING, RunId
from pprofplus_tui.sources.local.catalog_entry import CatalogEntry
from pprofplus_tui.sources.local.run_directories import RunDirectories, by_priority
from pprofplus_tui.sources.run_info import RunInfo

# Live runs that are not in view are refreshed once in this many ticks. Those in view are refreshed
# each tick, but less often if there are so many that it would take noticeable time.
_HIDDEN_TICKS = 5
_MANY_LIVE, _MAX_TICKS = 20, 3
# Ended runs that are not in view are checked in turn, this many per tick: an operator may have
# pinned one, or removed segments.
_CHECKED_PER_TICK = 100
_BATCH_RUNS = 16  # runs that are read between two readings of the clock


class Catalog:
    """All runs in some log directories; see `sources.port.RunCatalog`.

    Of each run only the end of its newest segment is read, and of a run that has ended only once:
    it does not change. From then on only the times of its directories are checked.
    """

    def __init__(
        self,
        directories: Sequence[str],
        *,
        service: str | None = None,
        pids: Collection[int] = (),
        counting: bool = False,
    ) -> None:
        """Make a catalogue of log directories; missing ones may appear later.

        With `service` or `pids`, other runs are not read. With `counting`, the samples of ended
        runs are counted where that is cheap; `sample_counts` counts the others.
        """
        self._directories: dict[str, RunDirectories] = {}
        for path in directories:
            found = RunDirectories(os.path.abspath(path), service, frozenset(pids))  # noqa: PTH100 - keeps links
            self._directories.setdefault(os.path.realpath(path), found)
        self._counting = counting
        self._found: dict[RunId, CatalogEntry] = {}  # by id
        self._active: dict[RunId, CatalogEntry] = {}  # of these, those that may change
        self._unread: list[CatalogEntry] = []  # the last one is the next to be read
        self._with_problems: dict[RunId, CatalogEntry] = {}
        self._rotation: Iterator[CatalogEntry] = iter(())
        self._changes: dict[RunId, RunInfo | None] = {}
        self._runs: tuple[RunInfo, ...] | None = ()
        self._problems: tuple[str, ...] = ()

    @property
    def runs(self) -> tuple[RunInfo, ...]:
        """The runs found, by service, the newest first."""
        if self._runs is None:
            found = (run.info for run in self._found.values())
            infos = [info for info in found if info is not None]
            infos.sort(key=lambda info: (info.service, -_start_of(info.id), info.id))
            self._runs = tuple(infos)
        return self._runs

    @property
    def problems(self) -> tuple[str, ...]:
        """One line for each part that could not be read; may contain untrusted text."""
        return self._problems

    def hiding_problems(self, service: str | None) -> tuple[str, ...]:
        """Return the problems that hide runs of a service, or of any service if it is None."""
        found = [
            line for each in self._directories.values() for line in each.hiding_problems(service)
        ]
        for path, run in self._with_problems.items():
            if run.info is None and service in {None, path.split("/")[-2]}:
                found += run.problems
        return tuple(found)

    @property
    def services(self) -> tuple[str, ...]:
        """The services that have run directories, selected or not."""
        names = {name for each in self._directories.values() for name in each.services()}
        return tuple(sorted(names))

    @property
    def unread(self) -> int:
        """The number of runs that were found but not yet read."""
        return len(self._unread)

    @property
    def read(self) -> int:
        """The number of runs that were read."""
        return len(self._found) - len(self._unread)

    def find(self, run: RunId) -> RunInfo | None:
        """Return what is known of a run, None if there is none or it is not read yet."""
        found = self._found.get(run)
        return found.info if found is not None else None

    @property
    def running(self) -> list[RunInfo]:
        """The runs whose processes are alive; ended runs do not make this slower."""
        found = (run.info for run in self._active.values())
        return [info for info in found if info is not None and info.state in RUNNING]

    @property
    def infos(self) -> Mapping[RunId, RunInfo]:
        """The runs found; the mapping follows `refresh`."""
        return _Infos(self._found)

    def changes(self) -> dict[RunId, RunInfo | None]:
        """Return the runs that changed since the last call; None: the run is gone.

        Only here an ended run that was read in full has `last` and `recent`: they are not kept.
        """
        changes, self._changes = self._changes, {}
        return changes

    def refresh(
        self, in_view: Collection[RunId] | None = None, until_s: float | None = None
    ) -> bool:
        """Check for changes; return whether `runs` or `problems` changed. Raises nothing.

        With `in_view`, the runs that a user sees, only records of ended runs are read: `complete`
        reads them in full. Other runs are checked only every few seconds, and all runs
        if many are live. With `until_s`, a monotonic time, new runs are read until then: first
        those that may be running and the newest. The rest stays `unread`, for `read_unread`.
        """
        now_ns = time.time_ns()
        whole, every = in_view is None, self._ticks_for(in_view)
        changed, problems = self._list(now_ns)
        for run in list(self._active.values()):
            often = whole or (in_view is not None and run.path in in_view)
            changed |= self._refresh(
                run, now_ns, whole=whole, every=every if often else _HIDDEN_TICKS
            )
        for run in self._settled(in_view):
            changed |= self._refresh(run, now_ns, whole=whole)
        changed |= self._read_batches(until_s, whole=whole)
        for run in self._with_problems.values():
            problems += run.problems
        distinct = tuple(dict.fromkeys(problems))
        changed |= distinct != self._problems
        self._problems = distinct
        return changed

    def _settled(self, in_view: Collection[RunId] | None) -> list[CatalogEntry]:
        """Return the settled runs to check now: all, or those in view and the next in turn."""
        if in_view is None:
            return [run for run in self._found.values() if run.settled]
        found = [run for path in in_view if (run := self._found.get(path)) and run.settled]
        for run in self._rotation:
            if run.settled:
                found.append(run)
            if len(found) >= _CHECKED_PER_TICK + len(in_view):
                return found
        self._rotation = iter(list(self._found.values()))
        return found

    def _ticks_for(self, in_view: Collection[RunId] | None) -> int:
        """Return the number of ticks between two refreshes of a run in view."""
        if in_view is None:
            return 1
        infos = (run.info for path in in_view if (run := self._active.get(path)))
        live = sum(info is not None and info.state == LIVE for info in infos)
        return min(1 + live // _MANY_LIVE, _MAX_TICKS)

    def _list(self, now_ns: int) -> tuple[bool, list[str]]:
        """List the run directories; return (whether any is gone, problems)."""
        problems: list[str] = []
        new: list[str] = []
        gone: list[str] = []
        for each in self._directories.values():
            each.refresh(now_ns, new, gone, problems)
        changed = False
        for path in map(RunId, gone):
            run = self._found.pop(path, None)
            self._active.pop(path, None)
            self._with_problems.pop(path, None)
            if run is not None and run.info is not None:
                self._changes[path], self._runs, changed = None, None, True
        if gone and self._unread:
            self._unread = [run for run in self._unread if run.path in self._found]
        if new:
            runs = [CatalogEntry(RunId(path)) for path in by_priority(new)]
            self._found.update((run.path, run) for run in runs)
            self._unread += runs
        return changed, problems

    def read_unread(self, until_s: float) -> bool:
        """Read more of the `unread` runs until a monotonic time; return whether any changed."""
        return self._read_batches(until_s, whole=False)

    def _read_batches(self, until_s: float | None, *, whole: bool) -> bool:
        changed = False
        now_ns = time.time_ns()
        unread = self._unread
        while unread:
            for _ in range(min(_BATCH_RUNS, len(unread))):
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
            self._with_problems[path] = run
        elif self._with_problems:
            self._with_problems.pop(path, None)
        if info is before:
            return False
        self._changes[path], self._runs = info, None
        if not whole:
            run.drop_recent()
        return True

    def incomplete(self, runs: Iterable[RunId]) -> list[RunId]:
        """Return those of the runs of which only the record of an ended run was read."""
        found = self._found
        return [
            path
            for path in runs
            if (run := found.get(path)) is not None and run.info is not None and not run.whole
        ]

    def complete(self, runs: Iterable[RunId], until_s: float) -> bool:
        """Read these runs in full until a monotonic time; return whether any was read."""
        now_ns = time.time_ns()
        done = False
        for path in self.incomplete(runs):
            run = self._found[path]
            run.refresh(now_ns, whole=True)
            self._changes[path], self._runs, done = run.info, None, True
            run.drop_recent()
            if time.monotonic() >= until_s:
                break
        return done


class _Infos(Mapping[RunId, RunInfo]):
    """The runs of a catalogue, by id."""

    def __init__(self, found: Mapping[RunId, CatalogEntry]) -> None:
        self._found = found

    def __getitem__(self, path: RunId) -> RunInfo:
        info = self._found[path].info
        if info is None:
            raise KeyError(path)
        return info

    def __iter__(self) -> Iterator[RunId]:
        return (path for path, run in self._found.items() if run.info is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _start_of(path: str) -> int:
    parsed = log_directory.parse_run_name(path.rpartition("/")[2])
    return parsed[1] if parsed else 0
