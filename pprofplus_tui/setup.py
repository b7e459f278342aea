"""What sets the monitor up: its settings in effect, and what shells and `man` want to know."""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from pprofplus_tui.config import Config, ConfigError, default_path, read_config, template
from pprofplus_tui.errors import UsageError
from pprofplus_tui.model.text import clean

_LIGHT_COLOURS = {7, 9, 10, 11, 12, 13, 14, 15}  # of the sixteen, those that are bright


def load_config(asked: str | None) -> tuple[Config, str]:
    """Return the settings, and a line to tell the user or "".

    A file that was asked for has to be right: UsageError says what is wrong in it, a line each.
    One in the default place that is wrong is told of and left aside.
    """
    path = Path(asked) if asked is not None else default_path(os.environ)
    if path is None:
        return Config(), ""
    try:
        return read_config(path), ""
    except ConfigError as error:
        lines = error.lines
    except FileNotFoundError:
        if asked is None:
            return Config(), ""
        lines = [f"{path}: no such file"]
    except OSError as error:
        lines = [f"{path}: {error.strerror}"]
    if asked is not None:
        raise UsageError("\n".join(map(clean, lines)))
    for line in lines:
        told = clean(f"pprofplus-tui: {line}; the settings there are left aside")
        print(told, file=sys.stderr)  # noqa: T201 - warnings are lines there
    more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    return Config(), clean(f"{lines[0]}{more}: the settings there are left aside")


def is_light(config: Config, environment: Mapping[str, str]) -> bool:
    """Return whether the background is light, as far as one can know.

    Some terminals say it in COLORFGBG: the foreground and the background among sixteen colours.
    """
    if config.theme != "auto":
        return config.theme == "light"
    ground = environment.get("COLORFGBG", "").rpartition(";")[2]
    return ground.isdecimal() and int(ground) in _LIGHT_COLOURS


def own_colours(config: Config) -> tuple[tuple[str, str], ...]:
    """Return the user's own colours as the screen takes them."""
    lines = ((f"line{i}", colour) for i, colour in enumerate(config.lines))
    return (*config.colours.items(), *lines)


def print_config(config: Config, asked: str | None) -> int:
    """Print the settings in effect as a file; return the exit code."""
    from pprofplus_tui.widgets.theme import DAY, NIGHT  # noqa: PLC0415 - Textual is slow to load

    path = Path(asked) if asked is not None else default_path(os.environ)
    tones = vars(DAY if is_light(config, os.environ) else NIGHT)
    sys.stdout.writelines(line + "\n" for line in template(config, path, tones))
    return 0


def print_completion(shell: str, parser: argparse.ArgumentParser) -> int:
    """Print the script that completes both commands; return the exit code."""
    from pprofplus.cli import build_parser  # noqa: PLC0415 - all of the collector's commands
    from pprofplus_tui.commandline import command_of  # noqa: PLC0415
    from pprofplus_tui.shell import completion  # noqa: PLC0415

    commands = (command_of(parser), command_of(build_parser()))
    sys.stdout.write(completion(shell, commands))
    return 0


def print_page(name: str, parser: argparse.ArgumentParser) -> int:
    """Print the manual page of a command; return the exit code."""
    from pprofplus import __version__  # noqa: PLC0415
    from pprofplus.cli import build_parser  # noqa: PLC0415
    from pprofplus_tui.commandline import command_of  # noqa: PLC0415
    from pprofplus_tui.manual import manual_page  # noqa: PLC0415

    files: tuple[tuple[str, str], ...] = ()
    if name == "pprofplus":
        parser = build_parser()
    else:
        files = (
            (
                "~/.config/pprofplus/tui.toml",
                "Settings. pprofplus-tui config prints some to begin with.",
            ),
        )
    sys.stdout.write(manual_page(command_of(parser), __version__, files))
    return 0
