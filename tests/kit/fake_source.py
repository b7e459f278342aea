"""A source of runs in memory, for tests without a disk: curves are functions of time.

A test controls the source: it adds, removes and ends runs, adds events, blocks readers
(`FakeSource.held`) or makes them fail (`FakeSource.failure`).
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from pprofplus.metrics import BY_NAME
from pprofplus_tui.model.cursor import Reading
from pprofplus_tui.model.death import KILLED, KNOWN, Cause, Death
from pprofplus_tui.model.events import most_important
from pprofplus_tui.model.points import Points
from pprofplus_tui.model.runs import DIED, LIVE, RUNNING, RunId
from pprofplus_tui.model.time_buckets import TimeBuckets
from pprofplus_tui.sources.port import (
    Access,
    Header,
    NoRunError,
    PinError,
    RunInfo,
    SampleBlock,
    Selection,
    SourceError,
)

_BLOCK_SAMPLES = 100
_ALL = Selection()


def level(value):
    """Return a constant curve."""
    return lambda t_s: np.full(len(t_s), value, np.int64)


def rising(start, per_s):
    """Return a linear curve from `start`; `t_s` is the age of the run."""
    return lambda t_s: (start + per_s * t_s).astype(np.int64)


@dataclass
class FakeRun:
    """A run; its samples are the values of its curves between `begin_ms` and `last_ms`.

    Attributes:
        curves: by metric name, a function of the array of sample ages in seconds.
        end_ms: time of the last sample; None while samples arrive.
        pauses: intervals [begin, end) in unix ms without samples.
        cause: the cause of its end.
    """

    service: str
    pid: int
    begin_ms: int
    curves: Mapping[str, Callable[[np.ndarray], np.ndarray]]
    end_ms: int | None = None
    interval_ms: int = 1000
    state: str = LIVE
    pinned: bool = False
    events: list = field(default_factory=list)
    pauses: list = field(default_factory=list)
    cause: Cause | None = None
    problems: tuple[str, ...] = ()

    @property
    def id(self):
        # no file has this name: code that uses an id as a path fails
        return RunId(f"fake:{self.service}!{self.pid}@{self.begin_ms}")

    @property
    def name(self):
        return f"{self.service}/{self.pid}-{self.begin_ms}"

    @property
    def metrics(self):
        return tuple((name, *_unit_of(name)) for name in self.curves)

    @property
    def last_ms(self):
        end_ms = time.time_ns() // 1_000_000 if self.end_ms is None else self.end_ms
        return self.begin_ms + (end_ms - self.begin_ms) // self.interval_ms * self.interval_ms

    def end(self, state=DIED, cause=None):
        """End the run now."""
        self.end_ms, self.state, self.cause = self.last_ms, state, cause

    def times(self, begin_ms=0, end_ms=1 << 53):
        """Return the unix ms of the samples in [begin_ms, end_ms)."""
        first = max(0, -(-(begin_ms - self.begin_ms) // self.interval_ms))
        last = min(self.last_ms, end_ms - 1)
        count = (last - self.begin_ms) // self.interval_ms + 1
        t_ms = (
            self.begin_ms + np.arange(first, max(count, first), dtype=np.int64) * self.interval_ms
        )
        for begin, end in self.pauses:
            t_ms = t_ms[(t_ms < begin) | (t_ms >= end)]
        return t_ms

    def values(self, name, t_ms):
        return self.curves[name]((t_ms - self.begin_ms) / 1000)

    def sample(self, t_ms):
        at = np.array([t_ms])
        return {name: int(self.values(name, at)[0]) for name in self.curves}


def _unit_of(name):
    """Return (unit, kind) of a metric from the catalogue; an unknown metric is a gauge of bytes."""
    known = BY_NAME.get(name)
    return ("B", "gauge") if known is None else (known.unit, known.kind)


class FakeSource:
    """See `sources.port.Source`.

    Attributes:
        runs: by id; a test adds and removes runs.
        failure: text of the SourceError that each reading method raises; "" for no error.
        held: an event that readers wait for; a test clears it to block them.
        asked: the names of the methods that were called, in order.
    """

    where = "a fake"

    def __init__(self, *runs):
        self.runs = {run.id: run for run in runs}
        self.failure = ""
        self.held = threading.Event()
        self.held.set()
        self.asked = []

    def add(self, run):
        self.runs[run.id] = run
        return run

    def read(self, what):
        """Record the call, wait for `held`, and raise `failure` if it is set."""
        self.asked.append(what)
        if not self.held.wait(60):
            raise AssertionError("the test never set `held` again")
        if self.failure:
            raise SourceError(self.failure)

    def catalog(self, selection=_ALL, *, counting=False):
        return FakeCatalog(self, selection, counting=counting)

    def find_by_name(self, name):
        infos = [info_of(run) for run in self.runs.values()]
        found = [
            info for info in infos if name in {f"{info.service}/{info.pid}", self.name(info.id)}
        ]
        return tuple(found), ()

    def open(self, run, access=Access.CHARTS):
        self.read("open")
        if run not in self.runs:
            raise NoRunError(f"no run {run}")
        return FakeReader(self, self.runs[run], access)

    def name(self, run):
        return self.runs[run].name

    def location(self, run):
        return f"memory of the test: {self.runs[run].name}"

    def count(self, info):
        return info_of(self.runs[info.id], counting=True)

    def set_pinned(self, run, *, pinned):
        if self.failure:
            raise PinError(self.failure)
        self.runs[run].pinned = pinned

    def toggle_pinned(self, run):
        self.set_pinned(run, pinned=not self.runs[run].pinned)
        return self.runs[run].pinned

    def pack(self, runs, path):
        raise NotImplementedError


def info_of(run, *, counting=False):
    """Return the entry of a run in the list of runs."""
    t_ms = run.times()
    last_ms = int(t_ms[-1]) if len(t_ms) else run.begin_ms
    last = run.sample(last_ms)
    rss = run.values("rss", t_ms) if counting and "rss" in run.curves else None
    return RunInfo(
        id=run.id,
        service=run.service,
        pid=run.pid,
        state=run.state,
        begin_ms=run.begin_ms,
        end_ms=last_ms,
        interval_ms=run.interval_ms,
        size_bytes=8 * len(t_ms),
        samples=len(t_ms) if counting else None,
        rss_bytes=last.get("rss"),
        last=last,
        pinned=run.pinned,
        metrics=run.metrics,
        host="fakehost",
        first_rss_bytes=None if rss is None else int(rss[0]),
        peak_bytes=None if rss is None else int(rss.max()),
    )


class FakeCatalog:
    """See `sources.port.RunCatalog`; the first refresh reads each run completely."""

    unread = 0

    def __init__(self, source, selection, *, counting):
        self._source = source
        self._selection = selection
        self._counting = counting
        self._changes = {}
        self.infos = {}
        self.problems = ()

    @property
    def runs(self):
        def order(info):
            return info.service, -info.begin_ms, info.id

        return tuple(sorted(self.infos.values(), key=order))

    @property
    def running(self):
        return [info for info in self.infos.values() if info.state in RUNNING]

    @property
    def services(self):
        return tuple(sorted({run.service for run in self._source.runs.values()}))

    @property
    def read(self):
        return len(self.infos)

    def find(self, run):
        return self.infos.get(run)

    def changes(self):
        changes, self._changes = self._changes, {}
        return changes

    def refresh(self, in_view=None, until_s=None):
        try:
            self._source.read("refresh")
        except SourceError as error:
            self.problems = (str(error),)
            return False
        self.problems = ()
        selected = {
            run.id: run
            for run in self._source.runs.values()
            if self._selection.service in {None, run.service}
            and (not self._selection.pids or run.pid in self._selection.pids)
        }
        changed = False
        for gone in self.infos.keys() - selected.keys():
            del self.infos[gone]
            self._changes[gone], changed = None, True
        for key, run in selected.items():
            info, before = info_of(run, counting=self._counting), self.infos.get(key)
            if before is None or _figures(before) != _figures(info):
                self.infos[key] = self._changes[key] = info
                changed = True
        return changed

    def read_unread(self, until_s):
        return False

    def incomplete(self, runs):
        return []

    def complete(self, runs, until_s):
        return False

    def hiding_problems(self, service):
        return ()


def _figures(info):
    return info.state, info.begin_ms, info.end_ms, info.pinned, dict(info.last)


class FakeReader:
    """See `sources.port.RunReader`."""

    size_bytes = held_bytes = damaged_pages = 0
    problems = ()

    def __init__(self, source, run, access):
        self._source = source
        self._run = run
        self._end_ms = run.last_ms
        self.only_end = access is Access.END
        self.id, self.service, self.pid, self.name = run.id, run.service, run.pid, run.name
        self.start_ms = self.begin_ms = run.begin_ms
        self.interval_ms = run.interval_ms
        self.metrics = run.metrics
        self.schemas = (run.metrics,)
        self.header = Header("fakehost", ("python", "-m", run.service), "CPython 3.11.7", "0.1.0")

    @property
    def end_ms(self):
        return max(self._end_ms, self.begin_ms)

    @property
    def last_sample_ms(self):
        t_ms = self._times()
        return int(t_ms[-1]) if len(t_ms) else self.end_ms

    @property
    def has_data(self):
        return bool(self.sample_count)

    @property
    def sample_count(self):
        return len(self._times())

    @property
    def pinned(self):
        return self._run.pinned

    def _times(self, begin_ms=0, end_ms=1 << 53):
        t_ms = self._run.times(begin_ms, end_ms)
        return t_ms[t_ms <= self._end_ms]

    def refresh(self):
        try:
            self._source.read("refresh")
        except SourceError:
            return False
        before, self._end_ms = self._end_ms, self._run.last_ms
        return before != self._end_ms

    def query(self, begin_ms, end_ms, buckets, keys, *, exact=True):
        self._source.read("query")
        if buckets < 1:
            raise ValueError(f"{buckets} buckets")
        return {key: self._points(begin_ms, end_ms, buckets, key) for key in keys}

    def _points(self, begin_ms, end_ms, buckets, key):
        name, rate = key
        if name not in self._run.curves or end_ms <= begin_ms:
            return Points.empty()
        t_ms, values = self._values(name, begin_ms, end_ms, rate=rate)
        if not len(t_ms):
            return Points.empty()
        gaps = np.diff(t_ms) > max(3 * self.interval_ms, 1000)
        if len(self._times(begin_ms, end_ms)) <= buckets:
            return Points(t_ms, values, values, np.append(False, gaps))
        cut = TimeBuckets.at_most(begin_ms, end_ms, buckets)
        bucket = cut.bucket(t_ms)
        starts = np.flatnonzero(np.diff(bucket, prepend=-1))
        filled = bucket[starts]
        middles = cut.middle_ms(filled)
        breaks = np.append(False, gaps[starts[1:] - 1] & (np.diff(filled) > 1))
        low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
        return Points(middles, low, high, breaks)

    def _values(self, name, begin_ms, end_ms, *, rate):
        """Return (unix ms, values) of the samples in a window; with `rate`, of a counter's rate."""
        t_ms = self._times(begin_ms, end_ms)
        if not rate:
            return t_ms, self._run.values(name, t_ms).astype(np.float64)
        if _unit_of(name)[1] != "counter":
            return t_ms[:0], np.zeros(0)
        every = self._times()
        of_all = np.diff(self._run.values(name, every)) / (np.diff(every) / 1000)
        inside = (every[1:] >= begin_ms) & (every[1:] < end_ms)
        return every[1:][inside], of_all[inside]

    def _reading(self, at_ms, t_ms, keys):
        values = {}
        for name, rate in keys:
            if name in self._run.curves:
                _, found = self._values(name, t_ms, t_ms + 1, rate=rate)
                if len(found):
                    values[name, rate] = float(found[0])
        return Reading(at_ms, t_ms, values)

    def sample_at(self, at_ms, near_ms, keys):
        self._source.read("sample_at")
        t_ms = self._times()
        if not len(t_ms):
            return Reading(at_ms)
        nearest = int(t_ms[np.argmin(np.abs(t_ms - at_ms))])
        if abs(nearest - at_ms) > max(near_ms, 1000, 3 * self.interval_ms):
            return Reading(at_ms)
        return self._reading(at_ms, nearest, keys)

    def end_samples(self, begin_ms, end_ms, keys):
        self._source.read("end_samples")
        t_ms, keys = self._times(begin_ms, end_ms), list(keys)
        if not len(t_ms):
            return None
        first, last = (self._reading(int(at), int(at), keys) for at in (t_ms[0], t_ms[-1]))
        return first, last

    def has_samples(self, begin_ms, end_ms):
        return bool(len(self._times(begin_ms, end_ms)))

    def last_values(self):
        t_ms = self._times()
        return self._run.sample(int(t_ms[-1])) if len(t_ms) else {}

    def events(self, begin_ms=None, end_ms=None, *, limit=None, kinds=(), exact=True):
        self._source.read("events")
        found = [
            event
            for event in sorted(self._run.events, key=lambda event: event.t_ms)
            if (begin_ms is None or event.t_ms >= begin_ms)
            and (end_ms is None or event.t_ms < end_ms)
            and (not kinds or event.kind in kinds)
        ]
        return tuple(found) if limit is None else most_important(found, limit)

    def samples(self, begin_ms, end_ms, metrics=None):
        self._source.read("samples")
        t_ms = self._times(begin_ms, end_ms)
        rows = tuple(row for row in self.metrics if metrics is None or row[0] in metrics)
        blocks = []
        for at in range(0, len(t_ms), _BLOCK_SAMPLES):
            part = t_ms[at : at + _BLOCK_SAMPLES]
            values = [self._run.values(name, part) for name, _, _ in rows]
            blocks.append([SampleBlock(rows, part, np.array(values).reshape(len(rows), len(part)))])
        return blocks

    def earlier(self):
        same = (run for run in self._source.runs.values() if run.service == self.service)
        before = [run for run in same if run.begin_ms < self.begin_ms]
        newest = max(before, key=lambda run: run.begin_ms, default=None)
        return None if newest is None else FakeReader(self._source, newest, Access.CHARTS)

    def death(self, state, others=(), *, at_once=False):
        if state in RUNNING:
            return None
        cause = self._run.cause or Cause(KILLED, KNOWN, "SIGKILL", "the test says so")
        last = self.last_values()
        return Death(self.last_sample_ms, cause, last.get("rss"), last.get("rss"), None, None)

    def profiles(self):
        return ()


def ended(service, pid, begin_ms, seconds, curves, **changes):
    """Return a run that died after `seconds`."""
    run = FakeRun(service, pid, begin_ms, curves, begin_ms + (seconds - 1) * 1000, state=DIED)
    return replace(run, **changes)
