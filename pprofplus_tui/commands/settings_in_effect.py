"""The settings in effect, and what follows from them and the environment."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from pprofplus_tui.commands.errors import UsageError
from pprofplus_tui.config.config_file import ConfigError, default_path, read_config
from pprofplus_tui.config.config_value import Config
from pprofplus_tui.model.text import clean

_LIGHT_COLOURS = {7, 9, 10, 11, 12, 13, 14, 15}  # the bright ones of the sixteen


def load_config(named: str | None) -> tuple[Config, str]:
    """Return the settings, and a warning to show in the monitor or "".

    An error in the `named` file raises UsageError, with a line for each error. An error in the
    default file is a warning on stderr, and the default settings are used.
    """
    path = config_path(named)
    if path is None:
        return Config(), ""
    try:
        return read_config(path), ""
    except ConfigError as error:
        lines = error.lines
    except FileNotFoundError:
        if named is None:
            return Config(), ""
        lines = [f"{path}: no such file"]
    except OSError as error:
        lines = [f"{path}: {error.strerror}"]
    if named is not None:
        raise UsageError("\n".join(map(clean, lines)))
    for line in lines:
        warning = clean(f"pprofplus-tui: {line}; the settings in this file are ignored")
        print(warning, file=sys.stderr)
    more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    return Config(), clean(f"{lines[0]}{more}: the settings in this file are ignored")


def config_path(named: str | None) -> Path | None:
    """Return the path of the settings file, or None if there is no default place for it."""
    return Path(named) if named is not None else default_path(os.environ)


def is_light(config: Config, environment: Mapping[str, str]) -> bool:
    """Return whether the background is light, as far as it is known.

    Some terminals set COLORFGBG: the foreground and the background as two of sixteen colours.
    """
    if config.theme != "auto":
        return config.theme == "light"
    background = environment.get("COLORFGBG", "").rpartition(";")[2]
    return background.isdecimal() and int(background) in _LIGHT_COLOURS


def own_colours(config: Config) -> tuple[tuple[str, str], ...]:
    """Return the user's own colours, as `Options.colours`."""
    lines = ((f"line{i}", colour) for i, colour in enumerate(config.lines))
    return (*config.colours.items(), *lines)
