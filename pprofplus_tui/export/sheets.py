"""The rows of one run in an export: one for each sample, or one for each step of time."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Protocol

import numpy as np

from pprofplus_tui.export.columns import MetricKey, keys
from pprofplus_tui.export.timestamps import iso_times, moment
from pprofplus_tui.model.points import Ints
from pprofplus_tui.model.time_buckets import first_of_each
from pprofplus_tui.model.units import true_unit
from pprofplus_tui.sources.port import MetricRow, RunReader, SampleBlock

_STATISTICS = ("min", "max", "last")
StepValues = tuple[int, int, int]  # smallest, largest, last


class Sheet(Protocol):
    """The rows of one run."""

    def add(self, block: SampleBlock, begin_ms: int, end_ms: int) -> tuple[str, int]:
        """Return (text, rows in it) of the block's samples in [begin_ms, end_ms)."""

    def end(self) -> tuple[str, int]:
        """Return the remaining text to write, and the number of rows in it."""


def in_units(thousandths: int) -> str:
    """Return a number of thousandths as an exact decimal without trailing zeros."""
    whole, rest = divmod(abs(thousandths), 1000)
    text = f"{whole}.{rest:03d}".rstrip("0").rstrip(".")
    return f"-{text}" if thousandths < 0 else text


@dataclass(frozen=True)
class _Columns:
    """The columns that an export uses of the blocks of one schema, always in the same order.

    Attributes:
        keys: of the metrics.
        order: their rows in a block's values.
        fine: which of them are in thousandths.
    """

    keys: tuple[MetricKey, ...]
    order: tuple[int, ...]
    fine: tuple[bool, ...]


class _Schemas:
    """The columns of each schema of a run; the last is cached, because blocks are in order."""

    def __init__(self, labels: dict[MetricKey, str]) -> None:
        self._places = {key: place for place, key in enumerate(labels)}
        self._cached: tuple[tuple[MetricRow, ...], _Columns] | None = None

    def columns(self, schema: tuple[MetricRow, ...]) -> _Columns:
        """Return the columns of this schema."""
        if self._cached is None or self._cached[0] != schema:
            found = keys(schema)
            having = sorted(found.keys() & self._places.keys(), key=self._places.__getitem__)
            order = tuple(found[key] for key in having)
            units = [unit for _, unit, _ in schema]
            fine = tuple(true_unit(units[column])[1] != 1 for column in order)
            self._cached = schema, _Columns(tuple(having), order, fine)
        return self._cached[1]


class Samples:
    """One row for each sample."""

    def __init__(
        self, run: RunReader, labels: dict[MetricKey, str], zone: tzinfo | None, *, as_json: bool
    ) -> None:
        self._run = run
        self._labels = labels
        self._zone = zone
        self._json = as_json
        self._schemas = _Schemas(labels)
        self._cached: tuple[_Columns, str] | None = None

    def add(self, block: SampleBlock, begin_ms: int, end_ms: int) -> tuple[str, int]:
        """Return (text, samples in it) of the block's samples in [begin_ms, end_ms)."""
        taken = self._schemas.columns(block.metrics)
        template = self._template(taken)
        inside = (block.t_ms >= begin_ms) & (block.t_ms < end_ms)
        times = block.t_ms[inside].tolist()
        texts = iso_times(times, self._zone)
        found = block.values[:, inside].tolist()
        values = [
            list(map(in_units, found[row])) if is_fine else found[row]
            for row, is_fine in zip(taken.order, taken.fine, strict=True)
        ]
        cells = zip(texts, times, *values, strict=True)
        return "".join(map(template.__mod__, cells)), len(times)

    def _template(self, taken: _Columns) -> str:
        """Return the %-format of a row; it has all columns of the export."""
        if self._cached is None or self._cached[0] is not taken:
            pairs = zip(taken.keys, taken.fine, strict=True)
            formats = {key: "%s" if fine else "%d" for key, fine in pairs}
            template = _template(self._run, formats, self._labels, as_json=self._json)
            self._cached = taken, template
        return self._cached[1]

    def end(self) -> tuple[str, int]:
        """Return nothing: every sample is written with its block."""
        return "", 0


def _service(run: RunReader) -> str:
    # the name of a service may begin with "-", which a spreadsheet reads as a formula
    return f"'{run.service}" if run.service.startswith("-") else run.service


def _template(
    run: RunReader, formats: dict[MetricKey, str], labels: dict[MetricKey, str], *, as_json: bool
) -> str:
    """Return the %-format of a row of a run's blocks; `formats` are those of the metrics there."""
    if as_json:
        cells = [f', "{label}": {formats.get(key, "null")}' for key, label in labels.items()]
        return f'{{"time": "%s", "unix_ms": %d, {_identity(run)}{"".join(cells)}}}\n'
    given = [formats.get(key, "") for key in labels]
    return ",".join(("%s", "%d", _service(run), str(run.pid), *given)) + "\n"


def _identity(run: RunReader) -> str:
    return f'"service": {json.dumps(run.service)}, "pid": {run.pid}'


def step_headings(labels: Sequence[str]) -> list[str]:
    """Return the headings that follow the fixed ones in an export of steps."""
    return ["samples", *(f"{label}_{what}" for label in labels for what in _STATISTICS)]


class Steps:
    """One row for each step of time that has samples: min, max and last of each metric.

    Steps are counted from a local midnight, so that they begin at round times; `time` and
    `unix_ms` are those of the beginning of the step.
    """

    def __init__(
        self,
        run: RunReader,
        labels: dict[MetricKey, str],
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
        self._schemas = _Schemas(labels)
        self._step: int | None = None
        self._samples = 0
        self._cells: dict[MetricKey, tuple[StepValues, bool]] = {}

    def add(self, block: SampleBlock, begin_ms: int, end_ms: int) -> tuple[str, int]:
        """Return (text, steps in it) of the steps that the block's samples end."""
        taken = self._schemas.columns(block.metrics)
        inside = (block.t_ms >= begin_ms) & (block.t_ms < end_ms)
        return self._take(block.t_ms[inside], block.values[:, inside], taken)

    def _take(self, t_ms: Ints, columns: Ints, taken: _Columns) -> tuple[str, int]:
        """Take in the samples of a block; return the steps that they end."""
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
            for key, is_fine, row in zip(taken.keys, taken.fine, taken.order, strict=True):
                lo, hi, last = lows[i][row], highs[i][row], lasts[i][row]
                was = self._cells.get(key)
                if was is not None and was[1] == is_fine:
                    lo, hi = min(lo, was[0][0]), max(hi, was[0][1])
                elif was is not None:
                    lo, hi, last = _alike(was, (lo, hi, last), is_fine=is_fine)
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
            identity = f'{_identity(self._run)}, "samples": {self._samples}'
            text = f'{{"time": "{time}", "unix_ms": {at_ms}, {identity}{cells}}}\n'
        else:
            fixed = (time, str(at_ms), _service(self._run), str(self._run.pid), str(self._samples))
            text = ",".join((*fixed, *values)) + "\n"
        self._step, self._samples = None, 0
        self._cells.clear()
        return text, 1


def _alike(was: tuple[StepValues, bool], now: StepValues, *, is_fine: bool) -> StepValues:
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
