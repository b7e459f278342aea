"""The check of each kind of setting: it returns the value, or raises ValueError with the reason."""

import difflib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from pprofplus_tui.config.key_names import key_name
from pprofplus_tui.model.charts import CHARTS
from pprofplus_tui.model.time_grammar import TimeSyntaxError, parse_span

_THEMES = ("auto", "dark", "light")
_LINES = 6  # colours of the palette
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint at the most similar known name, as the end of a sentence, or ""."""
    close = difflib.get_close_matches(name, list(known), 1, 0.5)
    return f"; did you mean {close[0]}?" if close else ""


def check_flag(value: object) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def check_theme(value: object) -> str:
    """Return the name of a theme."""
    if value not in _THEMES:
        raise ValueError(f"must be one of {', '.join(_THEMES)}")
    return str(value)


def check_window(value: object) -> str:
    """Return a span of time as written, or ""."""
    if not isinstance(value, str):
        raise ValueError('must be a span of time in quotes, such as "15m"')
    if value:
        try:
            parse_span(value)
        except TimeSyntaxError as error:
            raise ValueError(str(error)) from error
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError("must be a list of strings")
    return tuple(value)


def check_directories(value: object) -> tuple[str, ...]:
    """Return absolute paths."""
    found = tuple(str(Path(path).expanduser()) for path in _texts(value))
    for path in found:
        if "\0" in path or not os.path.isabs(path):
            raise ValueError(f"{path!r} must begin with / or ~")
    return found


def check_shown_charts(value: object) -> tuple[str, ...]:
    """Return ids of charts, at least one."""
    found = check_charts(value)
    if not found:
        raise ValueError("must name at least one chart")
    return found


def check_charts(value: object) -> tuple[str, ...]:
    """Return ids of charts in their standard order."""
    ids = [chart.id for chart in CHARTS]
    found = _texts(value)
    for name in found:
        if name not in ids:
            raise ValueError(f"{name!r} is not a chart{did_you_mean(name, ids)}")
    return tuple(name for name in ids if name in found)


def check_log_charts(value: object) -> tuple[str, ...]:
    """Return ids of charts that can have a logarithmic axis."""
    found = check_charts(value)
    for chart in CHARTS:
        if chart.total and chart.id in found:
            raise ValueError(f"{chart.id!r} is a stack, which has no logarithmic axis")
    return found


def check_colour(value: object) -> str:
    """Return a colour as "#rrggbb" in lower case."""
    if not isinstance(value, str) or not _COLOUR.fullmatch(value):
        raise ValueError('must be a colour such as "#56b4e9"')
    return value.lower()


def check_line_colours(value: object) -> tuple[str, ...]:
    """Return the colours of all lines, or ()."""
    found = tuple(check_colour(one) for one in _texts(value))
    if found and len(found) != _LINES:
        raise ValueError(f"must have {_LINES} colours, or be empty for those of the theme")
    return found


def check_keys(value: object) -> tuple[str, ...]:
    """Return Textual's names of the keys, each once."""
    return tuple(dict.fromkeys(key_name(text) for text in _texts(value)))
