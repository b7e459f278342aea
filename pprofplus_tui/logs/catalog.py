"""Which runs there are, and how they are: looked at each second, read hardly ever."""

import operator
import os
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from pprofplus import home
from pprofplus_tui.logs.files import DirectoryWatch
from pprofplus_tui.logs.glance import glance
from pprofplus_tui.logs.header import begin_on_axis, first_instant
from pprofplus_tui.logs.history import page_extremes, query
from pprofplus_tui.logs.liveness import Lock, lock_of, state_of
from pprofplus_tui.logs.pins import is_pinned
from pprofplus_tui.logs.run import RunLog
from pprofplus_tui.model.runs import LIVE
from pprofplus_tui.model.series import Points

# Pages at the end of a run that tell of its present: a quarter of an hour at one sample a second.
_LAST_SLOTS = 8
_RECENT_MS = 900_000
_RECENT_BUCKETS = 24
_RECENT_METRIC = "rss"
# An ended run that was written to within this time may yet turn out to be one just begun.
_DOUBT_NS = 60_000_000_000
_TICK_NS = 1_000_000_000
# Live and ended runs out of sight are looked at so seldom, in ticks; those in sight each tick,
# until so many of them live that this would be noticed.
_SELDOM_TICKS = 5
_MANY_LIVE, _MOST_TICKS = 20, 3


@dataclass(frozen=True, eq=False)
class RunInfo:
    """How a run is.

    Attributes:
        path: the run's directory.
        service, pid: as the path says.
        state: one of `model.runs.STATES`.
        begin_ms: unix ms of the first sample that rotation has left.
        end_ms: unix ms of the last sample or event.
        interval_ms: between samples.
        size_bytes: on disk.
        samples: None unless `Catalog.scan` counted them.
        damaged_pages: seen so far; all of them after `Catalog.scan`.
        last: the last value of each metric.
        recent: rss of the last quarter of an hour, for a sparkline.
        pinned: kept by retention.
        metrics: (name, unit, kind) of each metric of the newest table; untrusted.
        whole: False after a mere glance: `last` then has the resident set alone, and `recent`
            and `damaged_pages` are yet to be read.
        machine: boot id of the kernel and host name, "" if unknown or after a mere glance.
        problems: one line about each reason why some of it was not read by `Catalog.scan`.
    """

    path: str
    service: str
    pid: int
    state: str
    begin_ms: int
    end_ms: int
    interval_ms: int
    size_bytes: int
    samples: int | None = None
    damaged_pages: int = 0
    last: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    recent: Points = field(default_factory=Points.empty)
    pinned: bool = False
    metrics: tuple[tuple[str, str, str], ...] = ()
    whole: bool = True
    machine: str = ""
    problems: tuple[str, ...] = ()


def machine_of(log: RunLog) -> str:
    """Return what tells the machine of a run from others; "" if its header does not say."""
    header = log.header
    return f"{header.boot_id} {header.host}" if header is not None and header.boot_id else ""


class Catalog:
    """All runs in some home directories. Use it from one thread at a time.

    It starts empty: `refresh` looks. Of each run only the end of its newest segment is read, of
    one that has ended only once.
    """

    def __init__(self, directories: Sequence[str]) -> None:
        """Make a catalogue of the homes `directories`; missing ones may appear later."""
        self._homes: dict[str, _Directory] = {}
        for path in directories:
            self._homes.setdefault(os.path.realpath(path), _Directory(path))
        self._runs: tuple[RunInfo, ...] = ()
        self._glanced: dict[str, _Run] = {}  # by path, those of which not all is known
        self._problems: tuple[str, ...] = ()
        self._unlisted: tuple[tuple[str, str], ...] = ()

    def unlisted(self, service: str | None) -> tuple[str, ...]:
        """Return the problems that hide runs of a service, of any if it is None."""
        names = {"", service}
        return tuple(line for name, line in self._unlisted if service is None or name in names)

    @property
    def runs(self) -> tuple[RunInfo, ...]:
        """The runs found, by service, the newest first."""
        return self._runs

    @property
    def problems(self) -> tuple[str, ...]:
        """One line about each thing that could not be read; untrusted text may be in it."""
        return self._problems

    def refresh(self, sought: Container[str] | None = None) -> bool:
        """Look at what is new; return whether `runs` or `problems` changed. Raises nothing.

        With `sought`, at runs that have ended only a glance is taken: `complete` reads them. And
        those with other paths are looked at every few seconds only, as are all if many are live.
        """
        now_ns = time.time_ns()
        often = self._ticks_for(sought)
        problems: list[str] = []
        unlisted: list[tuple[str, str]] = []
        found: list[RunInfo] = []
        glanced: dict[str, _Run] = {}
        for place in self._homes.values():
            services = place.children(now_ns, problems, home.valid_service)
            unlisted += [("", line) for line in problems]
            for service in services:
                before = len(problems)
                runs_here = service.children(now_ns, problems, _is_run)
                name = os.path.basename(service.path)  # noqa: PTH119 - as RunLog
                unlisted += [(name, line) for line in problems[before:]]
                for run in runs_here:
                    entry = run.run
                    in_sight = sought is None or run.path in sought
                    every = often if in_sight else _SELDOM_TICKS
                    info = entry.look(now_ns, whole=sought is None, every=every)
                    problems += entry.problems
                    if info is None:
                        unlisted += [(name, line) for line in entry.problems]
                    else:
                        found.append(info)
                        if not info.whole:
                            glanced[info.path] = entry
        found.sort(key=lambda info: (info.service, -_start_of(info.path), info.path))
        runs = tuple(found)
        told = tuple(dict.fromkeys(problems))
        same = len(runs) == len(self._runs) and all(map(operator.is_, runs, self._runs))
        changed = not same or told != self._problems
        self._runs, self._problems, self._glanced = runs, told, glanced
        self._unlisted = tuple(unlisted)
        return changed

    def _ticks_for(self, sought: Container[str] | None) -> int:
        """Return every how many ticks the runs in sight are looked at."""
        if sought is None:
            return 1
        live = sum(info.state == LIVE and info.path in sought for info in self._runs)
        return min(1 + live // _MANY_LIVE, _MOST_TICKS)

    def lacking(self, paths: Iterable[str]) -> list[str]:
        """Return those of the paths that only a glance was taken at."""
        return [path for path in paths if path in self._glanced] if self._glanced else []

    def complete(self, paths: Iterable[str], until_s: float) -> bool:
        """Read what a glance left out of these runs, until a monotonic time; tell if any was."""
        now_ns = time.time_ns()
        done: dict[str, RunInfo | None] = {}
        for path in self.lacking(paths):
            done[path] = self._glanced.pop(path).look(now_ns, whole=True)
            if time.monotonic() >= until_s:
                break
        if done:
            runs = (done.get(info.path, info) for info in self._runs)
            self._runs = tuple(info for info in runs if info is not None)
        return bool(done)

    @staticmethod
    def open(path: str) -> RunLog:
        """Return the log of the run at `path`, read. Raises PprofplusError if it cannot be one.

        Most of its rows are blocks: see `RunLog`.
        """
        run = RunLog(path, in_blocks=True)
        run.refresh()
        return run

    def scan(self, info: RunInfo) -> RunInfo:
        """Return `info` with its samples and damaged pages counted; reads all page heads."""
        run = RunLog(info.path)
        run.refresh()
        return replace(
            info,
            samples=run.samples,
            damaged_pages=run.damaged_pages,
            begin_ms=run.begin_ms,
            end_ms=run.end_ms,
            size_bytes=run.size_bytes,
            problems=run.problems,
        )


def _is_run(name: str) -> bool:
    return home.parse_run_name(name) is not None


def _start_of(path: str) -> int:
    parsed = home.parse_run_name(os.path.basename(path))  # noqa: PTH119
    return parsed[1] if parsed else 0


class _Directory:
    """A home or a service: its subdirectories with proper names, listed when they change."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._watch = DirectoryWatch(path)
        self._children: dict[str, _Directory] = {}
        self._problem = ""
        self._run: _Run | None = None

    @property
    def run(self) -> "_Run":
        """This directory taken as a run's."""
        if self._run is None:
            self._run = _Run(self.path)
        return self._run

    def children(
        self, now_ns: int, problems: list[str], proper: Callable[[str], bool]
    ) -> list["_Directory"]:
        """Return the subdirectories that `proper` approves of, never links."""
        try:
            if self._watch.changed(now_ns):
                self._list(proper)
        except FileNotFoundError:
            self._children, self._problem = {}, ""
        except OSError as error:
            self._watch.forget()
            self._children, self._problem = {}, f"{self.path}: {error.strerror}"
        if self._problem:
            problems.append(self._problem)
        return list(self._children.values())

    def _list(self, proper: Callable[[str], bool]) -> None:
        with os.scandir(self.path) as entries:
            names = {
                entry.name
                for entry in entries
                if proper(entry.name) and entry.is_dir(follow_symlinks=False)
            }
        self._problem = ""
        for name in self._children.keys() - names:
            del self._children[name]
        for name in names - self._children.keys():
            self._children[name] = _Directory(os.path.join(self.path, name))  # noqa: PTH118


class _Run:
    """One run as the catalogue keeps it."""

    def __init__(self, path: str) -> None:
        self.problems: tuple[str, ...] = ()
        self._path = path
        self._log: RunLog | None = None
        self._info: RunInfo | None = None
        self._oldest: tuple[str, tuple[int, int] | None] | None = None
        self._watch = DirectoryWatch(path)
        self._recent = Points.empty()
        self._recent_ms = 0
        self._ended = False
        self._looked_ns = 0

    def look(self, now_ns: int, *, whole: bool, every: int = 1) -> RunInfo | None:
        """Return how the run is, None if it has no log; the same object while nothing changes.

        Unless `whole`, one that has ended and was never read is only glanced at. One that is live
        or has ended is looked at `every` so many ticks.
        """
        info = self._info
        steady = info is not None and (self._ended or info.state == LIVE)
        if info is not None and steady and not self._is_due(now_ns, every, info.pid):
            return info
        self._looked_ns = now_ns
        enough = info is None or info.whole or not whole
        if self._ended and not self._changed(now_ns) and enough:
            return info
        if not whole and self._log is None and (info is None or not info.whole):
            glanced = self._glance(now_ns)
            if glanced is not None:
                self._info, self._ended = glanced, True
                return glanced
        return self._read(now_ns)

    def _is_due(self, now_ns: int, every: int, pid: int) -> bool:
        """Tell whether it is this run's turn; runs take turns by their pids."""
        since_ns = now_ns - self._looked_ns
        turn = (now_ns // _TICK_NS + pid) % every == 0
        return turn or not 0 <= since_ns < every * _TICK_NS

    def _glance(self, now_ns: int) -> RunInfo | None:
        """Return how the run ended, None if it may not have, or takes a look to tell."""
        self._changed(now_ns)  # from here on
        seen = glance(self._path, _RECENT_METRIC, now_ns - _DOUBT_NS)
        parsed = home.parse_run_name(os.path.basename(self._path))  # noqa: PTH119 - as RunLog
        if seen is None or parsed is None:
            return None
        last = {} if seen.last is None else {_RECENT_METRIC: seen.last}
        return RunInfo(
            path=os.path.abspath(self._path),  # noqa: PTH100 - as RunLog
            service=os.path.basename(os.path.dirname(self._path)),  # noqa: PTH119, PTH120 - as RunLog
            pid=parsed[0],
            state=seen.state,
            begin_ms=seen.begin_ms,
            end_ms=seen.end_ms,
            interval_ms=seen.interval_ms,
            size_bytes=seen.size_bytes,
            last=MappingProxyType(last),
            pinned=is_pinned(self._path),
            metrics=seen.metrics,
            whole=False,
        )

    def _read(self, now_ns: int) -> RunInfo | None:
        """Return how the run is, from its log."""
        if self._log is None:
            self._log, self._info = RunLog(self._path, last_slots=_LAST_SLOTS), None
        log = self._log
        changed = log.refresh()
        self.problems = log.problems
        segment = log.newest_segment
        if segment is None:
            self._info = None
            return None
        lock = lock_of(segment)
        old = now_ns - log.written_ns > _DOUBT_NS
        if lock is not Lock.HELD and not old:
            # The writer may have gone on in a next segment since, or written its last words.
            changed |= log.refresh()
            if log.newest_segment != segment:
                lock = lock_of(log.newest_segment or segment)
        info = self._info
        now_ms = now_ns // 1_000_000
        if info is None or changed:
            info = self._describe(log, now_ms, lock)
        else:
            state = state_of(log, lock, now_ms)
            if state != info.state:
                info = replace(info, state=state)
        self._info = info
        self._ended = lock is Lock.FREE and old
        if self._ended:
            self._log = None  # should it be looked at again, after all, it is read again
        return info

    def _changed(self, now_ns: int) -> bool:
        try:
            return self._watch.changed(now_ns)
        except OSError:
            return True

    def _describe(self, log: RunLog, now_ms: int, lock: Lock) -> RunInfo:
        end_ms = log.end_ms
        return RunInfo(
            path=log.path,
            service=log.service,
            pid=log.pid,
            state=state_of(log, lock, now_ms),
            begin_ms=min(self._begin_ms(log), end_ms),
            end_ms=end_ms,
            interval_ms=log.interval_ms,
            size_bytes=log.size_bytes,
            damaged_pages=log.damaged_pages,
            last=MappingProxyType(log.last()),
            recent=self._recent_points(log, end_ms),
            pinned=log.pinned,
            metrics=log.metrics,
            machine=machine_of(log),
        )

    def _recent_points(self, log: RunLog, end_ms: int) -> Points:
        """Return the curve of the last quarter of an hour, drawn anew when it would differ."""
        if log.table.count >= _LAST_SLOTS - 1:
            # with several pages their heads draw the curve well enough, without decoding
            return page_extremes(log, _RECENT_METRIC)
        span_ms = min(end_ms - log.begin_ms, _RECENT_MS)
        if not 0 <= end_ms - self._recent_ms < span_ms // _RECENT_BUCKETS:
            request = (_RECENT_METRIC, False)
            # a young run is drawn over all of its age, not as a dot at the right
            begin_ms = end_ms - max(span_ms, _RECENT_BUCKETS)
            found = query(log, begin_ms, end_ms + 1, _RECENT_BUCKETS, [request])
            self._recent, self._recent_ms = found[request], end_ms
        return self._recent

    def _begin_ms(self, log: RunLog) -> int:
        """Return when the first page begins that rotation has left."""
        path = log.oldest_segment or ""
        if self._oldest is None or self._oldest[0] != path:
            self._oldest = (path, first_instant(path))
        first = self._oldest[1]
        if first is None:
            self._oldest = None  # not yet written: to be asked again
            return log.begin_ms
        return begin_on_axis(first, int(log.table.offset_ms[0])) if log.table.count else first[1]
