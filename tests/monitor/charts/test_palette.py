"""The palette of the lines: contrast and distinct colours."""

import pytest

from kit.colours import contrast
from pprofplus_tui.charts.palette import COLOURS, DARK, LIGHT


@pytest.mark.parametrize("index", range(COLOURS))
def test_every_colour_can_be_read_on_its_background(index):
    assert contrast(DARK.lines[index], "#121212") >= 4.5
    assert contrast(LIGHT.lines[index], "#ffffff") >= 4


@pytest.mark.parametrize("palette", [DARK, LIGHT])
def test_no_two_lines_share_a_colour(palette):
    assert len(set(palette.lines)) == len(set(palette.ansi)) == COLOURS


def test_a_line_and_its_legend_have_one_colour():
    assert DARK.colour("line2") == DARK.colour("legend2") == DARK.lines[2]
    assert LIGHT.colour("line1", ansi=True) == LIGHT.ansi[1]


@pytest.mark.parametrize("token", ["", "frame", "tick", "line", "linear"])
def test_other_styles_have_no_colour_here(token):
    assert DARK.colour(token) is None
