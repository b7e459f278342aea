"""The placeholder without runs: it explains what to do next."""

import ast

from hypothesis import given
from hypothesis import strategies as st

from pprofplus.log.log_directory import default_log_directory
from pprofplus_tui.model.cell_rows import Cellrun
from pprofplus_tui.model.installation import install_line
from pprofplus_tui.widgets.placeholder import empty_rows, paste, placed
from pprofplus_tui.widgets.row_text import width_of


def text_of(rows):
    return "\n".join("".join(run.text for run in row) for row in rows)


def test_the_three_lines_to_paste_are_shown_whole():
    text = text_of(empty_rows([default_log_directory()], None, None))
    assert "No service has written a log here yet." in text
    assert default_log_directory() in text
    assert "pprofplus-tui demo" in text
    for line in (install_line(), "import pprofplus", 'pprofplus.start("my-service")'):
        assert f"    {line}" in text.split("\n")


@given(st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=40))
def test_the_lines_to_paste_are_python_with_the_searched_directory(directory):
    _, _, call = paste([directory])
    (keyword,) = ast.parse(call, mode="eval").body.keywords
    assert (keyword.arg, keyword.value.value) == ("directory", directory)
    assert call.isascii()


def test_the_default_directory_is_not_named():
    assert paste([default_log_directory()])[-1] == 'pprofplus.start("my-service")'


def test_every_directory_has_its_own_line():
    text = text_of(empty_rows(["/one", "/two"], None, None))
    first, second = (line for line in text.split("\n") if line.endswith(("/one", "/two")))
    assert first.split() == ["looked", "in", "/one"]
    assert second.split() == ["/two"]


def test_the_requested_service_and_the_existing_ones_are_named():
    text = text_of(empty_rows(["/one"], "apo", 7, others=["api", "worker"]))
    assert "No run of service apo pid 7 here yet." in text
    assert "services   api, worker" in text


def test_a_hostile_directory_name_sends_no_control_code():
    text = text_of(empty_rows(["/a\x1b[31m\nb"], None, None))
    assert "\x1b" not in text
    assert "/a\\x1b[31m\\x0ab" in text


def test_lines_have_no_wide_characters():
    text = text_of(empty_rows(["/日志"], None, None))
    assert all(ord(char) < 0x2E80 for char in text)


def test_ascii_only_is_ascii_for_any_directory_name():
    text = text_of(empty_rows(["/tmp/é/日志"], None, None, plain=True))
    assert text.isascii()


@given(
    st.lists(
        st.text(st.sampled_from("ab "), max_size=30).map(lambda t: (Cellrun(t, "text"),)),
        max_size=8,
    ),
    st.integers(0, 60),
    st.integers(0, 20),
)
def test_lines_are_placed_within_the_area(lines, width, height):
    rows = placed(lines, width, height)
    assert len(rows) == height
    assert all(width_of(row) == width for row in rows)


def test_lines_that_fit_are_shown_whole_with_a_margin():
    rows = placed([(Cellrun("hello", "text"),)], 40, 9)
    (line,) = [row for row in text_of(rows).split("\n") if "hello" in row]
    assert line.startswith("        hello")
    assert text_of(rows).split("\n").index(line) == 2
