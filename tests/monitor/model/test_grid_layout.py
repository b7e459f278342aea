from hypothesis import given
from hypothesis import strategies as st

from pprofplus_tui.model.grid_layout import SMALL_HEIGHT, arrange

sizes = st.integers(1, 400)


@given(sizes, st.integers(1, 120), st.integers(1, 6))
def test_charts_fill_the_area_and_never_overlap(width, height, count):
    places = arrange(width, height, count)
    cells = [0] * (width * height)
    for place in places:
        for y in range(place.y, place.y + place.height):
            for x in range(place.x, place.x + place.width):
                cells[y * width + x] += 1
    assert set(cells) == {1}


@given(sizes, st.integers(12, 120), st.integers(1, 6))
def test_no_chart_is_lower_than_it_can_be_read(width, height, count):
    assert all(place.height >= SMALL_HEIGHT for place in arrange(width, height, count))


def test_a_large_screen_shows_all_six():
    assert len(arrange(170, 47, 6)) == 6
    assert len(arrange(90, 37, 6)) == 6


def test_a_small_screen_shows_the_most_important():
    assert len(arrange(50, 20, 6)) == 2


def test_the_first_chart_has_the_full_width():
    first, *others = arrange(170, 47, 6)
    assert first.width == 170
    assert all(place.width < 170 for place in others)


def test_charts_of_one_row_differ_in_width_by_a_cell_at_most():
    rows: dict[int, list[int]] = {}
    for place in arrange(171, 47, 6):
        rows.setdefault(place.y, []).append(place.width)
    assert all(max(widths) - min(widths) <= 1 for widths in rows.values())


def test_nothing_is_placed_in_no_space():
    assert arrange(0, 10, 3) == arrange(10, 0, 3) == arrange(10, 10, 0) == ()
