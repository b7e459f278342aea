"""Each benchmark runs and returns figures; tables show ratios and missed targets."""

import math
import sys
from pathlib import Path

import pytest

from kit.scripts import load_script

_HERE = Path(__file__).parent

_QUICK = {
    "collector": False,
    "heap": False,
    "latency": False,
    "day": False,
    "decode": True,
    "size": True,
    "month": False,
    "runs": False,
    "soak": False,
    "terminal": False,
    "verdict": True,
}


def _runner():
    return load_script(_HERE / "run.py")


@pytest.mark.parametrize(
    "name",
    [name if fast else pytest.param(name, marks=pytest.mark.slow) for name, fast in _QUICK.items()],
)
def test_a_benchmark_returns_finite_figures(name):
    runner = _runner()
    tables = runner.BENCHMARKS[name](runner.Effort(touch=True))
    assert tables
    for table in tables:
        first = table.rows[0]
        assert first.figures, f"{table.title}: {first.note}"
        for row in table.rows:
            assert row.note or len(row.figures) == len(table.columns)
            assert all(math.isfinite(figure) for figure in row.figures if figure is not None)


def test_every_benchmark_has_a_test():
    assert set(_runner().BENCHMARKS) == set(_QUICK)


def test_a_table_shows_ratios_to_our_row_and_lists_missed_targets():
    runner = _runner()
    tables = sys.modules["tables"]
    table = runner.Table(
        "Speed",
        (tables.Column("time", "ms", at_most=10),),
        (tables.Row("ours", (20.0,)), tables.Row("theirs", (50.0,)), tables.Row("gone", note="no")),
    )
    assert [line.split() for line in runner.render(table, markdown=True).splitlines()[4:]] == [
        ["|", "ours", "|", "20.0", "ms", "(<=", "10.0:", "MISSED)", "|"],
        ["|", "theirs", "|", "50.0", "ms", "(2.50x)", "|"],
        ["|", "gone", "|", "no", "|"],
    ]
    assert table.missed() == ["Speed, ours: time 20.0 ms > 10.0"]


def test_a_row_can_have_its_own_limit():
    _runner()
    tables = sys.modules["tables"]
    rows = [
        tables.Row("at rest", (1.0, 1.0), at_most={"written": 0}),
        tables.Row("following", (20.0, 1.0)),
    ]
    columns = tables.Column("written", "B/s", at_most=1000), tables.Column("CPU", "%", at_most=2)
    table = tables.Table("Terminal", columns, tuple(rows), ours=2)
    assert table.missed() == ["Terminal, at rest: written 1.00 B/s > 0"]
    assert "0: MISSED" in tables.render(table)
