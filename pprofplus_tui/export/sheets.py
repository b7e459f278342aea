"""The rows of one run in an export: one for each sample, or one for each step of time."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Protocol

import numpy as np

from pprofplus_tui.export.columns import Key, keys
from pprofplus_tui.model.points import Ints
from pprofplus_tui.model.time_buckets import first_of_each
from pprofplus_tui.model.units import true_unit
from pprofplus_tui.sources.local.run_log import RunLog
from pprofplus_tui.sources.local.sample_rows import iso_times, moment, page_values

_STATISTICS = ("min", "max", "last")
Cells = tuple[int, int, int]  # smallest, largest, last


class Sheet(Protocol):
    """The rows of one run."""

    def pages(self, batch: Ints, begin_ms: int, end_ms: int) -> Iterator[tuple[str, int, bool]]:
        """Give (text, rows in it, whether the page is damaged) of each page."""

    def end(self) -> tuple[str, int]:
        """Return the remaining text to write, and the number of rows in it."""


def in_units(thousandths: int) -> str:
    """Return a number of thousandths as an exact decimal without trailing zeros."""
    whole, rest = divmod(abs(thousandths), 1000)
    text = f"{whole}.{rest:03d}".rstrip("0").rstrip(".")
    return f"-{text}" if thousandths < 0 else text


@dataclass(frozen=True)
class _Columns:
    """What an export takes of the pages of one metric table; all have the same order.

    Attributes:
        keys: of the metrics.
        order: their columns in the table.
        fine: which of them are in thousandths.
    """

    keys: tuple[Key, ...]
    order: tuple[int, ...]
    fine: tuple[bool, ...]


class _Tables:
    """The columns of each of a run's tables; the latest is kept, because pages come in order."""

    def __init__(self, run: RunLog, labels: dict[Key, str]) -> None:
        self._run = run
        self._places = {key: place for place, key in enumerate(labels)}
        self._latest: tuple[int, _Columns] | None = None

    def columns(self, schema: int) -> _Columns:
        """Return the columns of a table."""
        if self._latest is None or self._latest[0] != schema:
            found = keys(self._run, schema)
            having = sorted(found.keys() & self._places.keys(), key=self._places.__getitem__)
            order = tuple(found[key] for key in having)
            units = [unit for _, unit, _ in self._run.table.schemas[schema].metrics]
            fine = tuple(true_unit(units[column])[1] != 1 for column in order)
            self._latest = schema, _Columns(tuple(having), order, fine)
        return self._latest[1]


class Samples:
    """One row for each sample."""

    def __init__(
        self, run: RunLog, labels: dict[Key, str], zone: tzinfo | None, *, as_json: bool
    ) -> None:
        self._run = run
        self._labels = labels
        self._zone = zone
        self._json = as_json
        self._tables = _Tables(run, labels)
        self._latest: tuple[_Columns, str] | None = None

    def pages(self, batch: Ints, begin_ms: int, end_ms: int) -> Iterator[tuple[str, int, bool]]:
        """Give (text, samples in it, whether the page is damaged) of each page."""
        taken = self._tables.columns(int(self._run.table.rows["schema"][batch[0]]))
        template, fine = self._template(taken), taken.fine
        for t_ms, columns in page_values(self._run, batch, taken.order):
            inside = (t_ms >= begin_ms) & (t_ms < end_ms)
            times = t_ms[inside].tolist()
            texts = iso_times(times, self._zone)
            values = columns[:, inside].tolist()
            for column, is_fine in enumerate(fine):
                if is_fine:
                    values[column] = list(map(in_units, values[column]))
            cells = zip(texts, times, *values, strict=True)
            yield "".join(map(template.__mod__, cells)), len(times), not len(t_ms)

    def _template(self, taken: _Columns) -> str:
        """Return the %-format of a row; it has all columns of the export."""
        if self._latest is None or self._latest[0] is not taken:
            pairs = zip(taken.keys, taken.fine, strict=True)
            formats = {key: "%s" if fine else "%d" for key, fine in pairs}
            template = _template(self._run, formats, self._labels, as_json=self._json)
            self._latest = taken, template
        return self._latest[1]

    def end(self) -> tuple[str, int]:
        """Return nothing: every sample is written with its page."""
        return "", 0


def _service(run: RunLog) -> str:
    # the name of a service may begin with "-", which a spreadsheet reads as a formula
    return f"'{run.service}" if run.service.startswith("-") else run.service


def _template(
    run: RunLog, formats: dict[Key, str], labels: dict[Key, str], *, as_json: bool
) -> str:
    """Return the %-format of a row of a run's pages; `formats` are those of the metrics there."""
    if as_json:
        cells = [f', "{label}": {formats.get(key, "null")}' for key, label in labels.items()]
        return f'{{"time": "%s", "unix_ms": %d, {_identity(run)}{"".join(cells)}}}\n'
    given = [formats.get(key, "") for key in labels]
    return ",".join(("%s", "%d", _service(run), str(run.pid), *given)) + "\n"


def _identity(run: RunLog) -> str:
    return f'"service": {json.dumps(run.service)}, "pid": {run.pid}'


def step_headings(labels: Sequence[str]) -> list[str]:
    """Return the headings that follow the fixed ones in an export of steps."""
    return ["samples", *(f"{label}_{what}" for label in labels for what in _STATISTICS)]


class Steps:
    """One row for each step of time that has samples: min, max and last of each metric.

    Steps are counted from a local midnight, so that they begin at round times; `time` and
    `unix_ms` are those of the beginning of the step.
    """

    def __init__(  # noqa: PLR0913 - those of Samples, and the steps
        self,
        run: RunLog,
        labels: dict[Key, str],
        zone: tzinfo | None,
        begin_ms: int,
        every_ms: int,
        *,
        as_json: bool,
    ) -> None:
        self._run = run
        self._labels = labels
        self._zone = zone
        self._every_ms = every_ms
        self._json = as_json
        self._offset_ms = _offset_ms(begin_ms, zone)
        self._tables = _Tables(run, labels)
        self._step: int | None = None
        self._samples = 0
        self._cells: dict[Key, tuple[Cells, bool]] = {}

    def pages(self, batch: Ints, begin_ms: int, end_ms: int) -> Iterator[tuple[str, int, bool]]:
        """Give (text, steps in it, whether the page is damaged) of each page."""
        taken = self._tables.columns(int(self._run.table.rows["schema"][batch[0]]))
        for t_ms, columns in page_values(self._run, batch, taken.order):
            inside = (t_ms >= begin_ms) & (t_ms < end_ms)
            text, rows = self._take(t_ms[inside], columns[:, inside], taken)
            yield text, rows, not len(t_ms)

    def _take(self, t_ms: Ints, columns: Ints, taken: _Columns) -> tuple[str, int]:
        """Take in the samples of a page; return the steps that they end."""
        if not len(t_ms):
            return "", 0
        steps = (t_ms + self._offset_ms) // self._every_ms
        starts = first_of_each(steps)
        ends = np.append(starts[1:], len(t_ms))
        lows, highs = (
            (np.minimum.reduceat(columns, starts, axis=1).T.tolist()),
            (np.maximum.reduceat(columns, starts, axis=1).T.tolist()),
        )
        lasts = columns[:, ends - 1].T.tolist()
        counts = (ends - starts).tolist()
        written: list[str] = []
        for i, step in enumerate(steps[starts].tolist()):
            if step != self._step:
                text, rows = self.end()
                written += [text] * rows
                self._step = step
            self._samples += counts[i]
            for key, is_fine, lo, hi, last in zip(
                taken.keys, taken.fine, lows[i], highs[i], lasts[i], strict=True
            ):
                was = self._cells.get(key)
                if was is not None and was[1] == is_fine:
                    lo, hi = min(lo, was[0][0]), max(hi, was[0][1])  # noqa: PLW2901
                elif was is not None:
                    lo, hi, last = _alike(was, (lo, hi, last), is_fine=is_fine)  # noqa: PLW2901
                    self._cells[key] = (lo, hi, last), True
                    continue
                self._cells[key] = (lo, hi, last), is_fine
        return "".join(written), len(written)

    def end(self) -> tuple[str, int]:
        """Return the row of the current step, and leave no current step."""
        if self._step is None:
            return "", 0
        at_ms = self._step * self._every_ms - self._offset_ms
        (time,) = iso_times([at_ms], self._zone)
        values: list[str] = []
        for key in self._labels:
            found = self._cells.get(key)
            if found is None:
                values += ["null" if self._json else ""] * len(_STATISTICS)
            else:
                values += map(in_units if found[1] else str, found[0])
        if self._json:
            names = step_headings(list(self._labels.values()))[1:]
            cells = "".join(f', "{n}": {v}' for n, v in zip(names, values, strict=True))
            who = f'{_identity(self._run)}, "samples": {self._samples}'
            text = f'{{"time": "{time}", "unix_ms": {at_ms}, {who}{cells}}}\n'
        else:
            fixed = (time, str(at_ms), _service(self._run), str(self._run.pid), str(self._samples))
            text = ",".join((*fixed, *values)) + "\n"
        self._step, self._samples = None, 0
        self._cells.clear()
        return text, 1


def _alike(was: tuple[Cells, bool], now: Cells, *, is_fine: bool) -> Cells:
    """Merge two parts of a step, one of which is in thousandths; return it in thousandths."""
    (low, high, _), was_fine = was
    before, after = 1 if was_fine else 1000, 1 if is_fine else 1000
    lo, hi, last = now
    return min(lo * after, low * before), max(hi * after, high * before), last * after


def _offset_ms(at_ms: int, zone: tzinfo | None) -> int:
    """Return the offset of local time from UTC."""
    try:
        offset = moment(at_ms, zone).utcoffset()
    except (ValueError, OverflowError, OSError):
        return 0
    return 0 if offset is None else int(offset.total_seconds() * 1000)
