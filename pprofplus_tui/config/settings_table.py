"""The table of settings: what the file may contain, declared once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pprofplus_tui.config.setting_checks import (
    check_charts,
    check_colour,
    check_directories,
    check_flag,
    check_keys,
    check_line_colours,
    check_log_charts,
    check_shown_charts,
    check_theme,
    check_window,
)
from pprofplus_tui.model.keys import KEYS

TONES = ("background", "bar", "chosen", "text", "dim", "frame", "accent", "good", "warn", "bad")


@dataclass(frozen=True)
class Setting:
    """One key of the file.

    Attributes:
        name: the key.
        check: returns the value to keep, or raises ValueError.
        help: one line for the printed file, or "".
    """

    name: str
    check: Callable[[Any], Any]
    help: str


# the palette must stay reachable: it is the way to actions that have no key
REBINDABLE = tuple(key for key in KEYS if key.action != "command_palette")
TOP = (
    Setting("theme", check_theme, "dark or light; auto takes the background from COLORFGBG"),
    Setting("window", check_window, 'length of the first time window, e.g. "15m"; "": automatic'),
    Setting("directories", check_directories, "log directories; none: the default ones"),
    Setting("charts", check_shown_charts, "the charts shown at first"),
    Setting("log_charts", check_log_charts, "charts with a logarithmic axis"),
    Setting("total_charts", check_charts, "charts that show totals of counters, not rates"),
    Setting("ascii", check_flag, "draw with ASCII characters only"),
    Setting("no_mouse", check_flag, "do not use the mouse: the terminal handles it"),
    Setting("low_bandwidth", check_flag, "for slow connections: fewer updates and colours"),
)
COLOURS = (
    *(Setting(name, check_colour, "") for name in TONES),
    Setting("lines", check_line_colours, ""),
)
SECTIONS = {
    "colours": COLOURS,
    "keys": tuple(Setting(key.action, check_keys, "") for key in REBINDABLE),
}
