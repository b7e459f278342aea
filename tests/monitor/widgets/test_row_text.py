"""Rows are cut, padded and spread to an exact width."""

from hypothesis import given
from hypothesis import strategies as st

from kit.cells import row_text
from pprofplus_tui.model.cell_rows import Cellrun
from pprofplus_tui.widgets.row_text import fit, joined, spread, width_of

texts = st.text(st.sampled_from("ab ·⣿"), max_size=12)
rows = st.lists(st.builds(Cellrun, texts, st.sampled_from(["text", "dim"])), max_size=6).map(tuple)
widths = st.integers(0, 60)


@given(rows, widths)
def test_a_fitted_row_has_the_width_and_begins_as_the_row(row, width):
    fitted = fit(row, width)
    assert width_of(fitted) == width
    assert row_text(fitted) == row_text(row)[:width].ljust(width)
    assert all(run.text for run in fitted)


@given(rows, widths)
def test_fitting_twice_changes_nothing(row, width):
    assert fit(fit(row, width), width) == fit(row, width)


@given(rows, rows, widths)
def test_a_spread_row_has_the_width_and_ends_with_its_right_part_if_that_fits(left, right, width):
    row = spread(left, right, width)
    assert width_of(row) == width
    if width_of(right) < width:
        assert row_text(row).endswith(row_text(right))


@given(st.lists(rows.filter(width_of), max_size=6), widths)
def test_joined_parts_are_whole_and_in_order(parts, width):
    between = Cellrun("|", "dim")
    row = joined(parts, between, width)
    assert width_of(row) <= width
    shown = row_text(row)
    candidates = ["|".join(map(row_text, parts[:count])) for count in range(len(parts) + 1)]
    assert shown in candidates
    longer = candidates[candidates.index(shown) + 1 :]
    assert not longer or len(longer[0]) > width


def test_padding_has_the_requested_style():
    assert fit((), 3, "bar") == (Cellrun("   ", "bar"),)
