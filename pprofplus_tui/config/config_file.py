"""Reads and checks the settings file."""

import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pprofplus_tui.config.config_value import Config
from pprofplus_tui.config.setting_checks import did_you_mean
from pprofplus_tui.config.settings_table import SECTIONS, TOP, Setting
from pprofplus_tui.model.text import clean

_MAX_BYTES = 1 << 20


class ConfigError(Exception):
    """The file has errors; each of `lines` names one, with its line and key."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


def default_path(environment: Mapping[str, str]) -> Path | None:
    """Return the default path of the file; None without a home directory."""
    base = environment.get("XDG_CONFIG_HOME", "")
    if not base.startswith("/"):  # the XDG specification: ignore a relative path
        home = environment.get("HOME", "")
        if not home.startswith("/"):
            return None
        base = f"{home}/.config"
    return Path(base, "pprofplus", "tui.toml")


def read_config(path: Path) -> Config:
    """Return the settings in a file. Raises ConfigError, and OSError if it cannot be read."""
    with path.open("rb") as file:
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise ConfigError([f"{path}: longer than a megabyte: this is not a settings file"])
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: not UTF-8 at byte {error.start}"]) from error
    return parse_config(text, str(path))


def parse_config(text: str, path: str) -> Config:
    """Return the settings in a text; `path` is its name in errors. Raises ConfigError."""
    table = _table(text, path)
    check = _Check(text, path)
    found: dict[str, Any] = {}
    for name, settings in SECTIONS.items():
        inner = table.pop(name, {})
        if isinstance(inner, dict):
            found[name] = check.values(name, inner, settings)
        else:
            check.wrong("", name, f"must be a table: write  [{name}]  on a separate line")
    check.clashes(found.get("keys", {}))
    found.update(check.values("", table, TOP))
    if check.errors:
        raise ConfigError(check.errors)
    found["lines"] = found["colours"].pop("lines", ())
    return Config(**found)


def _table(text: str, path: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib  # noqa: PLC0415 - most users have no settings file
    else:
        import tomli as tomllib  # noqa: PLC0415
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError([clean(f"{path}: {error}")]) from error


class _Check:
    """Collects the valid settings of a file, and a line for each error."""

    def __init__(self, text: str, path: str) -> None:
        self._text = text
        self._path = path
        self.errors: list[str] = []

    def wrong(self, section: str, key: str, reason: str) -> None:
        line = _line_of(self._text, section, key)
        at = f":{line}" if line else ""
        name = f"{section}.{key}" if section else key
        self.errors.append(clean(f"{self._path}{at}: {name}: {reason}"))

    def values(
        self, section: str, values: Mapping[str, object], settings: Iterable[Setting]
    ) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        known = {setting.name: setting for setting in settings}
        for name, value in values.items():
            setting = known.get(name)
            if setting is None:
                self.wrong(section, name, f"unknown setting{did_you_mean(name, known)}")
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
                    self.wrong("keys", action, f"{name!r} is already the key of {taken[name]}")
                taken[name] = action


def _line_of(text: str, section: str, key: str) -> int:
    """Return the number of the line that has a key, or 0."""
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
