"""Prints the settings in effect as a settings file."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from pprofplus_tui.config.config_value import Config
from pprofplus_tui.config.settings_table import REBINDABLE, TONES, TOP
from pprofplus_tui.model.text import clean


def config_template(config: Config, path: Path | None, tones: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines of a file with the settings in effect and a comment on each.

    `tones` are the colours of the theme. To read this file gives the same settings.
    """
    yield "# Settings of pprofplus-tui. A setting after a # is not set: it shows the default."
    if path is not None:
        yield clean(f"# Path of this file: {path}")
    yield ""
    default = Config()
    for setting in TOP:
        value = getattr(config, setting.name)
        yield f"# {setting.help}"
        if setting.name == "charts":
            yield f"# (any of {', '.join(default.charts)})"
        mark = "# " if value == getattr(default, setting.name) else ""
        yield f"{mark}{setting.name} = {_toml(value)}"
        yield ""
    yield "[colours]"
    for name in TONES:
        own = config.colours.get(name)
        yield f"{'' if own else '# '}{name} = {_toml(own or tones.get(name, ''))}"
    yield "# colours of the charts' lines: six, or none for the default, safe for colour blindness"
    yield f"{'' if config.lines else '# '}lines = {_toml(config.lines)}"
    yield ""
    yield "[keys]"
    yield "# keys by action; a key given to one action is removed from the action that had it"
    for key in REBINDABLE:
        names = config.keys.get(key.action)
        shown = _toml(tuple(key.keys.split(",")) if names is None else names)
        action = key.action if re.fullmatch(r"[A-Za-z0-9_-]+", key.action) else f'"{key.action}"'
        yield f"{'# ' if names is None else ''}{action} = {shown}  # {key.text}"


def _toml(value: object) -> str:
    """Return a value in TOML syntax."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    # control characters
    escaped = (f"\\u{ord(c):04x}" if ord(c) < 0x20 or ord(c) == 0x7F else c for c in text)
    return f'"{"".join(escaped)}"'
