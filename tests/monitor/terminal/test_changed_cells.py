from hypothesis import given
from hypothesis import strategies as st

from pprofplus_tui.model.cell_rows import Cellrun
from pprofplus_tui.terminal.changed_cells import changed_spans


def row(*runs):
    return tuple(Cellrun(text, style) for text, style in runs)


def cells(rows):
    return [[(char, run.style) for run in line for char in run.text] for line in rows]


def test_without_old_rows_all_rows_changed():
    assert changed_spans(None, (row(("abc", "a")), row(("de", "a")))) == [(0, 0, 3), (1, 0, 2)]


def test_equal_rows_have_no_changed_spans():
    rows = (row(("abc", "a")), row(("abc", "a")))
    assert changed_spans(rows, rows) == []


def test_equal_cells_split_into_other_parts_are_unchanged():
    assert changed_spans((row(("ab", "a"), ("c", "a")),), (row(("abc", "a")),)) == []


def test_a_change_of_only_the_style_is_found():
    assert changed_spans((row(("abc", "a")),), (row(("a", "a"), ("bc", "b")),)) == [(0, 1, 2)]


def test_a_changed_number_of_rows_changes_all_rows():
    assert changed_spans((row(("abc", "a")),) * 2, (row(("abc", "a")),)) == [(0, 0, 3)]


def test_a_changed_width_changes_the_whole_row():
    assert changed_spans((row(("abc", "a")),), (row(("abcd", "a")),)) == [(0, 0, 4)]


screens = st.integers(0, 4).flatmap(
    lambda width: st.lists(
        st.lists(
            st.tuples(st.sampled_from("ab"), st.sampled_from(["x", "y"])),
            min_size=width,
            max_size=width,
        ).map(lambda cells: row(*cells)),
        min_size=3,
        max_size=3,
    ).map(tuple)
)


@given(screens, screens)
def test_the_spans_produce_the_new_rows_and_each_span_is_minimal(old, new):
    before, after = cells(old), cells(new)
    spans = changed_spans(old, new)
    for y, x, width in spans:
        if len(before[y]) == len(after[y]):
            assert before[y][x] != after[y][x]
            assert before[y][x + width - 1] != after[y][x + width - 1]
            before[y][x : x + width] = after[y][x : x + width]
        else:
            assert (x, width) == (0, len(after[y]))
            before[y] = after[y]
    for y, line in enumerate(after):
        assert before[y] == line or not line


def test_only_the_cells_between_unchanged_parts_are_compared():
    old = row(("rss ", "title"), ("901 MiB", "a"), (" ──", "frame"))
    new = row(("rss ", "title"), ("902 MiB", "a"), (" ──", "frame"))
    assert changed_spans((old,), (new,)) == [(0, 6, 1)]
    longer = row(("rss ", "title"), ("902 Mi", "a"), ("B", "b"), (" ──", "frame"))
    assert changed_spans((new,), (longer,)) == [(0, 10, 1)]
