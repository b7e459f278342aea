"""The file of settings: what may stand in it, declared once; read, checked, and printed."""

import difflib
import os
import re
import string
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pprofplus_tui.model.chart_options import ChartOptions
from pprofplus_tui.model.charts import CHARTS
from pprofplus_tui.model.keys import KEYS
from pprofplus_tui.model.text import clean
from pprofplus_tui.model.time_grammar import TimeSyntaxError, parse_span

THEMES = ("auto", "dark", "light")
TONES = ("background", "bar", "chosen", "text", "dim", "frame", "accent", "good", "warn", "bad")
_MOST_BYTES = 1 << 20
_LINES = 6  # colours of the palette
# the palette is what finds an action that has no key: its own stays
_REBINDABLE = tuple(key for key in KEYS if key.action != "command_palette")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_NAMED_KEYS = frozenset(
    {"up", "down", "left", "right", "home", "end", "pageup", "pagedown", "enter", "escape"}
    | {"space", "tab", "backspace", "delete", "insert"}
    | {f"f{number}" for number in range(1, 25)}
)
_MODIFIERS = ("ctrl+", "shift+", "alt+")
# Unicode's name of a character is Textual's name of its key, but for these
_RENAMED = {
    "solidus": "slash",
    "reverse_solidus": "backslash",
    "commercial_at": "at",
    "hyphen_minus": "minus",
    "plus_sign": "plus",
    "low_line": "underscore",
}


class ConfigError(Exception):
    """The file cannot be used; `lines` say why, each with the line and the key."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


@dataclass(frozen=True)
class Config:
    """The settings in effect.

    Attributes:
        theme: auto, dark or light.
        window: span of the first window as a person writes it, or "" for what suits the run.
        directories: where to look for logs if the command does not say; () for the usual places.
        no_mouse: leave the mouse to the terminal.
        low_bandwidth: write as little as can be.
        ascii: draw with ASCII only.
        charts: ids of the charts shown at first.
        log_charts: ids of those with a logarithmic axis.
        total_charts: ids of those that show counters as they are, not their growth per second.
        colours: colours by what they are for, as "#rrggbb"; what is missing is the theme's.
        lines: colours of the charts' lines, or () for the theme's.
        keys: keys by action; what is missing keeps its own.
    """

    theme: str = "auto"
    window: str = ""
    directories: tuple[str, ...] = ()
    no_mouse: bool = False
    low_bandwidth: bool = False
    ascii: bool = False
    charts: tuple[str, ...] = tuple(chart.id for chart in CHARTS)
    log_charts: tuple[str, ...] = ()
    total_charts: tuple[str, ...] = ()
    colours: Mapping[str, str] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def looks(self) -> ChartOptions:
        """How the charts are looked at to begin with."""
        hidden = {chart.id for chart in CHARTS} - set(self.charts)
        return ChartOptions(
            frozenset(hidden), frozenset(self.log_charts), frozenset(self.total_charts)
        )

    @property
    def window_ms(self) -> int | None:
        """The span of the first window in milliseconds, or None."""
        return parse_span(self.window) if self.window else None


@dataclass(frozen=True)
class _Setting:
    """One key of the file: `check` returns the value to keep, or raises ValueError."""

    name: str
    check: Callable[[Any], Any]
    told: str


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")  # noqa: TRY004 - one error for all that is wrong
    return value


def _theme(value: object) -> str:
    if value not in THEMES:
        raise ValueError(f"must be one of {_listed(THEMES)}")
    return str(value)


def _window(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError('must be a span of time in quotes, such as "15m"')  # noqa: TRY004
    if value:
        try:
            parse_span(value)
        except TimeSyntaxError as error:
            raise ValueError(str(error)) from error
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError("must be a list of texts")
    return tuple(value)


def _directories(value: object) -> tuple[str, ...]:
    found = tuple(str(Path(path).expanduser()) for path in _texts(value))
    for path in found:
        if "\0" in path or not os.path.isabs(path):  # noqa: PTH117 - a text is all it is yet
            raise ValueError(f"{path!r} must begin with / or ~")
    return found


def _charts(value: object) -> tuple[str, ...]:
    found = _some_charts(value)
    if not found:
        raise ValueError("must name one chart at least")
    return found


def _some_charts(value: object) -> tuple[str, ...]:
    ids = [chart.id for chart in CHARTS]
    found = _texts(value)
    for name in found:
        if name not in ids:
            raise ValueError(f"{name!r} is no chart{_meant(name, ids)}")
    return tuple(name for name in ids if name in found)


def _log_charts(value: object) -> tuple[str, ...]:
    found = _some_charts(value)
    for chart in CHARTS:
        if chart.total and chart.id in found:
            raise ValueError(f"{chart.id!r} is a stack, which has no logarithmic axis")
    return found


def _colour(value: object) -> str:
    if not isinstance(value, str) or not _COLOUR.fullmatch(value):
        raise ValueError('must be a colour such as "#56b4e9"')
    return value.lower()


def _line_colours(value: object) -> tuple[str, ...]:
    found = tuple(_colour(one) for one in _texts(value))
    if found and len(found) != _LINES:
        raise ValueError(f"must have {_LINES} colours, or none for the theme's")
    return found


def _name_of(char: str) -> str:
    name = unicodedata.name(char, "").lower().replace("-", "_").replace(" ", "_")
    return _RENAMED.get(name, name)


def key_name(text: str) -> str:
    """Return Textual's name of a key: `/` is slash, `ctrl+r` itself. Raises ValueError."""
    rest, modified = text, ""
    while (found := next((m for m in _MODIFIERS if rest.startswith(m)), "")) and rest != found:
        modified, rest = modified + found, rest[len(found) :]
    if rest in _NAMED_KEYS:
        return modified + rest
    if len(rest) == 1 and rest.isprintable() and not rest.isspace():
        return modified + (rest if rest.isalnum() else _name_of(rest))
    if rest in map(_name_of, string.punctuation):
        return modified + rest
    raise ValueError(f"{text!r} is no key; write  a  A  /  f5  ctrl+r  up  pageup  space")


def _keys(value: object) -> tuple[str, ...]:
    return tuple(dict.fromkeys(key_name(text) for text in _texts(value)))


_TOP = (
    _Setting("theme", _theme, "colours for a dark or a light background; auto asks COLORFGBG"),
    _Setting("window", _window, 'how long the first window is, such as "15m"; "" is what suits'),
    _Setting("directories", _directories, "where logs are; none: the usual places"),
    _Setting("charts", _charts, "the charts shown at first"),
    _Setting("log_charts", _log_charts, "those with a logarithmic axis"),
    _Setting("total_charts", _some_charts, "those with counters as they are, not per second"),
    _Setting("ascii", _flag, "draw with ASCII only"),
    _Setting("no_mouse", _flag, "leave the mouse to the terminal"),
    _Setting("low_bandwidth", _flag, "for a slow line: fewer frames and colours"),
)
_COLOURS = (
    *(_Setting(name, _colour, "") for name in TONES),
    _Setting("lines", _line_colours, ""),
)


_SECTIONS = {
    "colours": _COLOURS,
    "keys": tuple(_Setting(key.action, _keys, "") for key in _REBINDABLE),
}


def default_path(environment: Mapping[str, str]) -> Path | None:
    """Return where the file is looked for if none is named; None without a home."""
    base = environment.get("XDG_CONFIG_HOME", "")
    if not base.startswith("/"):  # the specification: a relative path is to be ignored
        home = environment.get("HOME", "")
        if not home.startswith("/"):
            return None
        base = f"{home}/.config"
    return Path(base, "pprofplus", "tui.toml")


def read_config(path: Path) -> Config:
    """Return what a file says. Raises ConfigError, and OSError if it cannot be read."""
    with path.open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise ConfigError([f"{path}: longer than a megabyte: this is no file of settings"])
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: not UTF-8 at byte {error.start}"]) from error
    return parse_config(text, str(path))


def parse_config(text: str, path: str) -> Config:
    """Return what a text of settings says; `path` is what its errors name it. See read_config."""
    table = _table(text, path)
    check = _Check(text, path)
    found: dict[str, Any] = {}
    for name, settings in _SECTIONS.items():
        inner = table.pop(name, {})
        if isinstance(inner, dict):
            found[name] = check.values(name, inner, settings)
        else:
            check.wrong("", name, f"must be a table: write  [{name}]  on a line of its own")
    check.clashes(found.get("keys", {}))
    found.update(check.values("", table, _TOP))
    if check.errors:
        raise ConfigError(check.errors)
    found["lines"] = found["colours"].pop("lines", ())
    return Config(**found)


def _table(text: str, path: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib  # noqa: PLC0415 - most have no such file
    else:
        import tomli as tomllib  # noqa: PLC0415
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError([clean(f"{path}: {error}")]) from error


class _Check:
    """Keeps what is right in a file, and a line for each thing that is wrong."""

    def __init__(self, text: str, path: str) -> None:
        self._text = text
        self._path = path
        self.errors: list[str] = []

    def wrong(self, section: str, key: str, told: str) -> None:
        line = _line_of(self._text, section, key)
        at = f":{line}" if line else ""
        name = f"{section}.{key}" if section else key
        self.errors.append(clean(f"{self._path}{at}: {name}: {told}"))

    def values(
        self, section: str, values: Mapping[str, object], settings: Iterable[_Setting]
    ) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        known = {setting.name: setting for setting in settings}
        for name, value in values.items():
            setting = known.get(name)
            if setting is None:
                self.wrong(section, name, f"there is no such setting{_meant(name, known)}")
                continue
            try:
                kept[name] = setting.check(value)
            except ValueError as error:
                self.wrong(section, name, str(error))
        return kept

    def clashes(self, keys: Mapping[str, tuple[str, ...]]) -> None:
        taken: dict[str, str] = {}
        for action, names in keys.items():
            for name in names:
                if name == "ctrl+c" and action != "quit":
                    self.wrong("keys", action, "ctrl+c always quits")
                elif name in taken:
                    self.wrong("keys", action, f"{name!r} is the key of {taken[name]} already")
                taken[name] = action


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names)


def _meant(name: str, known: Iterable[str]) -> str:
    """Return a guess at what was meant, as the end of a sentence."""
    close = difflib.get_close_matches(name, list(known), 1, 0.5)
    return f"; did you mean {close[0]}?" if close else ""


def _line_of(text: str, section: str, key: str) -> int:
    """Return the number of the line where a key stands, or 0."""
    here = ""
    heading = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]\s*(?:#.*)?$")
    entry = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*[.=]""")
    for number, line in enumerate(text.splitlines(), 1):
        if found := heading.match(line):
            here = found[1].strip("\"'")
            if not section and here == key:
                return number
        elif (found := entry.match(line)) and here == section:
            if key == next(filter(None, found.groups()), ""):
                return number
        elif found and section and not here and section in found.groups():
            return number  # written as  section.key = …
    return 0


def _toml(value: object) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    escaped = (f"\\u{ord(c):04x}" if ord(c) < 0x20 or ord(c) == 0x7F else c for c in text)  # noqa: PLR2004 - control characters
    return f'"{"".join(escaped)}"'


def template(config: Config, path: Path | None, tones: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines of a file that says what is in effect, with a comment on each setting.

    `tones` are the colours of the theme. Read again, the file gives the same settings.
    """
    yield "# Settings of pprofplus-tui. What is missing, or behind a #, is as shown here."
    if path is not None:
        yield clean(f"# Its place: {path}")
    yield ""
    default = Config()
    for setting in _TOP:
        value = getattr(config, setting.name)
        yield f"# {setting.told}"
        if setting.name == "charts":
            yield f"# (of {_listed(default.charts)})"
        mark = "# " if value == getattr(default, setting.name) else ""
        yield f"{mark}{setting.name} = {_toml(value)}"
        yield ""
    yield "[colours]"
    for name in TONES:
        own = config.colours.get(name)
        yield f"{'' if own else '# '}{name} = {_toml(own or tones.get(name, ''))}"
    yield "# of the charts' lines: six, or none for those that colour-blind readers tell apart"
    yield f"{'' if config.lines else '# '}lines = {_toml(config.lines)}"
    yield ""
    yield "[keys]"
    yield "# by action; a key given to one action is taken from the one that had it"
    for key in _REBINDABLE:
        names = config.keys.get(key.action)
        shown = _toml(tuple(key.keys.split(",")) if names is None else names)
        action = key.action if re.fullmatch(r"[A-Za-z0-9_-]+", key.action) else f'"{key.action}"'
        yield f"{'# ' if names is None else ''}{action} = {shown}  # {key.text}"
