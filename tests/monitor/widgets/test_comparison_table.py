"""The table of a comparison: values, reasons for missing values, and totals."""

import pytest

from kit.cells import row_text
from kit.units import MIB
from pprofplus_tui.model.comparison_request import COMPARE, SERVICE
from pprofplus_tui.model.findings import Findings, Member, Rest
from pprofplus_tui.model.verdict import GROWING, SAW_TOOTH, TOO_LITTLE, Verdict
from pprofplus_tui.model.verdict_text import growth_text
from pprofplus_tui.widgets.comparison_table import difference_row, figure_rows, totals_row


def member(pid, value=None, missing_reason="", verdict=None, state="live"):
    return Member(
        f"/api/{pid}", "api", pid, state, 0, "A", 0, value, missing_reason, verdict or Verdict()
    )


def service(*members, **known):
    return Findings(SERVICE, "rss", "B", members=members, moment_ms=1000, **known)


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (Verdict(GROWING, 3.0 * MIB), "+3 MiB/h"),
        (Verdict(SAW_TOOTH, change=9.0 * MIB), "saw-tooth"),
        (Verdict(TOO_LITTLE), "too little data"),
    ],
)
def test_the_growth_of_a_run_is_its_verdict(verdict, words):
    assert growth_text(verdict, "B") == words
    rows = figure_rows(service(member(1, 5.0 * MIB, verdict=verdict)), 80)
    assert row_text(rows[1]).rstrip().endswith(words)


@pytest.mark.parametrize("why", ["ended", "not yet", "no sample"])
def test_a_run_without_a_value_shows_why(why):
    rows = figure_rows(service(member(1, 5.0 * MIB), member(2, None, why)), 80)
    assert "5 MiB" in row_text(rows[1])
    assert why in row_text(rows[2])


def test_the_others_with_a_value_are_summed_except_by_age():
    found = service(member(1, 5.0), rest=Rest(9, 2, 1.0 * MIB, 3.0 * MIB, 4.0 * MIB))
    line = row_text(figure_rows(found, 100)[-1])
    assert "9 others" in line
    assert "2 with a value then: 1 MiB – 3 MiB; total 4 MiB" in line  # noqa: RUF001 - a dash
    by_age = service(member(1, 5.0), rest=Rest(9, 9, 1.0 * MIB, 3.0 * MIB), aligned=True)
    assert "total" not in row_text(figure_rows(by_age, 100)[-1])


def test_the_totals_name_excluded_runs_and_are_absent_by_age():
    known = {"rss_bytes": 169 * MIB, "uss_bytes": 92 * MIB, "running": 9, "count": 9}
    now = row_text(totals_row(service(**known, silent=1), 80))
    assert "running now 9 (1 without samples)   rss total 169 MiB" in now
    by_age = row_text(totals_row(service(**known, aligned=True), 80))
    assert "no total by age: runs at different times" in by_age


def test_growths_are_compared_only_if_both_have_a_verdict():
    grows, short = Verdict(GROWING, 5.0 * MIB), Verdict(TOO_LITTLE)
    for verdict, words in ((Verdict(SAW_TOOTH), "growth +5 MiB/h"), (short, "")):
        pair = (member(1, 5.0, verdict=verdict), member(2, 6.0, verdict=grows))
        line = row_text(difference_row(Findings(COMPARE, "rss", "B", members=pair), 80))
        assert words in line
        assert ("growth" in line) == bool(words)
