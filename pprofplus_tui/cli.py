"""The command `pprofplus-tui`: parses the command line and turns errors into exit codes."""

import argparse
import importlib.util
import os
import sys
from collections.abc import Sequence

from pprofplus_tui.commands.errors import NothingFoundError, UsageError
from pprofplus_tui.commands.table import (
    NOTHING,
    OPTIONS,
    USAGE,
    build_parser,
    subcommand,
)
from pprofplus_tui.model.installation import how_to_install
from pprofplus_tui.model.text import clean

SUCCESS, FAILED, INTERRUPTED = 0, 1, 130
_EXTRA = ("textual", "plotext", "numpy")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    words = _join_past_times(sys.argv[1:] if argv is None else argv)
    arguments = build_parser(words).parse_args(words)
    try:
        code = _print_version() if arguments.version else _run(arguments)
        # an error when the interpreter exits could not be reported any more
        sys.stdout.flush()
    except UsageError as error:
        code = _print_error(str(error), USAGE)
    except NothingFoundError as error:
        code = _print_error(str(error), FAILED)
    except BrokenPipeError:
        # the reader of our output has closed it: that is not an error to report
        _discard_output()
        code = FAILED
    except OSError as error:
        _discard_output()
        code = _print_error(f"{error.filename or 'output'}: {error.strerror}", FAILED)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:  # noqa: BLE001 - a traceback on the terminal does not help the user
        from pprofplus_tui.terminal.crash_report import keep  # rarely needed

        code = _print_error(keep(error), FAILED)
    return code


def _run(arguments: argparse.Namespace) -> int:
    """Run the subcommand with what it needs; return its exit code."""
    row = subcommand(arguments.command)
    command = row.load()
    if row.needs == NOTHING:
        return command.run(arguments, None)
    missing = [name for name in _EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"{', '.join(missing)} missing: install the monitor with  {how_to_install('tui')}"
        )
    if row.needs != OPTIONS:
        return command.run(arguments, None)
    # --version and --help do not wait for these
    from pprofplus_tui.commands.named_directories import named_directories
    from pprofplus_tui.commands.options_in_effect import options_in_effect
    from pprofplus_tui.commands.settings_in_effect import load_config

    with named_directories(getattr(arguments, "dirs", None) or ()) as directories:
        config, warning = load_config(getattr(arguments, "config", None))
        options = options_in_effect(arguments, row, directories, config, warning)
        return command.run(arguments, options)


def _print_version() -> int:
    from pprofplus import __version__  # it loads the collector

    print(f"pprofplus-tui {__version__}")
    return SUCCESS


def _join_past_times(argv: Sequence[str]) -> list[str]:
    """Return `--begin -2h` as one word: argparse would take the time for an option."""
    words: list[str] = []
    for word in argv:
        if words and words[-1] in {"--begin", "--end"} and word[:1] == "-" and word[1:2].isdigit():
            words[-1] += f"={word}"
        else:
            words.append(word)
    return words


def _discard_output() -> None:
    """Discard what is still in the buffer of standard output."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_error(text: str, code: int) -> int:
    for line in text.split("\n"):  # a settings file may have several errors, a line each
        print(f"pprofplus-tui: {clean(line)}", file=sys.stderr)
    return code
