"""The cell grid: bars, owners and colours of cells."""

import pytest

from pprofplus_tui.charts.cell_grid import FREE, CellGrid


def grid(cols=2, rows=3):
    made = CellGrid()
    made.set_size(cols, rows)
    made.set_matrices()
    return made


def test_a_new_grid_is_free():
    assert grid().chars == [[" ", " "]] * 3
    assert grid().owners == [bytearray([FREE, FREE])] * 3


@pytest.mark.parametrize(
    ("bar", "column"),
    [
        ((0.0, 0.0, 1.0), "⡇⡇⡇"),
        ((0.0, 0.0, 0.0), "⡀  "),
        ((0.0, 1.0, 1.0), "  ⠁"),
        ((0.0, 1 / 11, 4 / 11), "⠇⡀ "),
        ((1 / 3, 5 / 11, 6 / 11), " ⠰ "),
    ],
)
def test_a_bar_fills_the_dots_from_its_low_to_its_high(bar, column):
    made = grid()
    made.fill_bars([bar], "braille", 0)
    assert "".join(row[0] for row in made.chars) == column


def test_a_bar_of_characters_fills_whole_cells():
    made = grid()
    made.fill_bars([(1.0, 0.0, 0.5)], "*", 0)
    assert [row[1] for row in made.chars] == ["*", "*", " "]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_later_line_owns_the_cell_in_any_order(order):
    made = grid()
    for line in order:
        made.insert_element(0, 0, "⡀" if line else "⠁", line)
    assert (made.chars[0][0], made.owners[0][0]) == ("⡁", 2)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_character_of_the_later_line_stays(order):
    made = grid()
    for line in order:
        made.insert_element(0, 0, "+*"[line], line)
    assert made.chars[0][0] == "*"


def test_painting_turns_lines_into_their_colours():
    made = grid()
    made.insert_element(0, 0, "⡀", 0)
    made.insert_element(1, 0, "⡀", 1)
    made.paint([5, 3])
    assert made.owners[0] == bytes([6, 4])
    assert made.owners[1] == bytes([FREE, FREE])
