"""On a terminal without UTF-8, all output of Textual is ASCII of the same width."""

from hypothesis import given
from hypothesis import strategies as st
from rich.segment import Segment
from rich.style import Style
from textual.color import Color

from pprofplus_tui.model.text import cell_width, clean
from pprofplus_tui.terminal.ascii_filter import AsciiFilter, in_ascii


@given(st.text(max_size=40).map(clean))
def test_text_becomes_ascii_of_the_same_width(text):
    shown = in_ascii(text)
    assert shown.isascii()
    assert len(shown) == cell_width(text)


@given(st.text(st.characters(codec="ascii"), max_size=40))
def test_ascii_text_is_unchanged(text):
    assert in_ascii(text) == text


def test_frames_are_drawn_with_ascii_characters():
    assert in_ascii("╭─ help ─╮") == "+- help -+"
    assert in_ascii("│x│") == "|x|"


def test_a_segment_keeps_its_style():

    style = Style(color="red", bgcolor="black")
    (found,) = AsciiFilter().apply([Segment("│", style)], Color(0, 0, 0))
    assert found == Segment("|", style)
