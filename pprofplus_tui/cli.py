"""The command `pprofplus-tui`: the monitor, and what it does without a screen."""

import argparse
import gc
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING, NoReturn

from pprofplus_tui.errors import NothingFoundError, UsageError
from pprofplus_tui.model.text import clean
from pprofplus_tui.words import add_choice, add_commands, add_config, add_setup

if TYPE_CHECKING:
    from pprofplus_tui.config import Config
    from pprofplus_tui.model.options import Options

FINE, FAILED, USAGE = 0, 1, 2
_EXTRA = ("textual", "plotext", "numpy")
_SCREENS = (None, "demo")  # the commands that open the application


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, as all errors here are."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where help is; exit with the code for wrong usage."""
        self.exit(USAGE, f"{self.prog}: {message}; see  {self.prog} --help\n")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all words of the command; help, completions and the page follow it."""
    parser = _Parser(
        prog="pprofplus-tui",
        description="Watch the memory of Python services that record with pprofplus: live, "
        "and back in time.",
        epilog="Times: 14:05, -2h, 'yesterday 9:00', 'monday 9:00', 2026-11-20 14:05, ISO 8601, "
        "@unix-seconds, now; --end also +10m, after --begin. "
        "Spans: 90s, 15m, 1h30m, 7d. "
        "Exit codes: 0 fine, 1 nothing found, failed or incomplete, 2 usage.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="show the version and exit")
    add_choice(parser)
    _add_look(parser)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    demo = commands.add_parser(
        "demo",
        help="start real small services that leak, saw-tooth, fragment and die, and watch them",
        allow_abbrev=False,
    )
    demo.add_argument("--history", action="store_true", help="with a week behind them")
    add_config(demo)
    _add_look(demo)
    add_commands(commands.add_parser)
    add_setup(commands.add_parser)
    return parser


def _add_look(parser: argparse.ArgumentParser) -> None:
    quiet = argparse.SUPPRESS
    parser.add_argument("--ascii", action="store_true", default=quiet, help="draw with ASCII only")
    parser.add_argument(
        "--light", action="store_true", default=quiet, help="colours for a light background"
    )
    parser.add_argument(
        "--no-mouse", action="store_true", default=quiet, help="leave the mouse to the terminal"
    )
    parser.add_argument(
        "--low-bandwidth",
        action="store_true",
        default=quiet,
        help="for a slow line: fewer frames and colours, no sparklines",
    )


def main(argv: Sequence[str] | None = None) -> int:  # noqa: PLR0911 - one a way to end
    """Run the command; return its exit code."""
    words = build_parser().parse_args(_with_past_times(sys.argv[1:] if argv is None else argv))
    if words.version or words.command in {"completion", "man"}:
        return _tell(words)
    missing = [name for name in _EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        return _complain(
            f"{', '.join(missing)} missing: install the monitor with  pip install 'pprofplus[tui]'",
            USAGE,
        )
    try:
        with _places(words) as places:
            code = _run(words, places)
        # now, not when the interpreter ends: there nobody could be told
        sys.stdout.flush()
    except UsageError as error:
        return _complain(str(error), USAGE)
    except NothingFoundError as error:
        return _complain(str(error), FAILED)
    except BrokenPipeError:
        # the reader of our output left: no error of ours, but nothing more may be written
        _write_no_more()
        return FAILED
    except OSError as error:
        _write_no_more()
        return _complain(f"{error.filename or 'output'}: {error.strerror}", FAILED)
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - a user has no use for a traceback on the screen
        from pprofplus_tui.terminal.crash_report import keep  # noqa: PLC0415 - seldom needed

        return _complain(keep(error), FAILED)
    return code


def _tell(words: argparse.Namespace) -> int:
    """Print something about the program itself, which needs nothing but the parser."""
    if words.version:
        from pprofplus import __version__  # noqa: PLC0415 - a quick answer loads nothing else

        print(f"pprofplus-tui {__version__}")  # noqa: T201 - it is what was asked for
        return FINE
    from pprofplus_tui.setup import print_completion, print_page  # noqa: PLC0415 - as above

    if words.command == "man":
        return print_page(words.page, build_parser())
    return print_completion(words.shell, build_parser())


def _with_past_times(argv: Sequence[str]) -> list[str]:
    """Return the words with `--begin -2h` as one: argparse would take the time for an option."""
    words: list[str] = []
    for word in argv:
        if words and words[-1] in {"--begin", "--end"} and word[:1] == "-" and word[1:2].isdigit():
            words[-1] += f"={word}"
        else:
            words.append(word)
    return words


def _write_no_more() -> None:
    """Lead what is left in the buffers of standard output nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(line: str, code: int) -> int:
    for one in line.split("\n"):  # several only for a file of settings: each names its line
        print(f"pprofplus-tui: {clean(one)}", file=sys.stderr)  # noqa: T201 - errors are lines there
    return code


@contextmanager
def _places(words: argparse.Namespace) -> Iterator[list[str]]:
    """Provide the directories named; bundles are unpacked, and gone afterwards.

    Raises UsageError, NothingFoundError.
    """
    named = [os.path.abspath(path) for path in getattr(words, "dirs", None) or ()]  # noqa: PTH100
    for path in named:
        if not os.path.isdir(path) and not os.path.isfile(path):  # noqa: PTH112, PTH113
            raise UsageError(f"--dir {path}: no such directory")
    if all(map(os.path.isdir, named)):
        yield named
        return
    from pprofplus_tui.signals import ended_by_signals  # noqa: PLC0415
    from pprofplus_tui.sources.local.bundle import BundleError, unpacked  # noqa: PLC0415 - as in _run

    with ended_by_signals() as ignore, ExitStack() as kept:
        try:
            places = [
                path if os.path.isdir(path) else str(kept.enter_context(unpacked(path)))  # noqa: PTH112
                for path in named
            ]
        except BundleError as error:
            raise NothingFoundError(str(error)) from error
        kept.callback(ignore)  # the monitor leaves the signals to their defaults
        yield places


def _run(words: argparse.Namespace, places: list[str]) -> int:
    from pprofplus_tui.setup import load_config, print_config  # noqa: PLC0415 - as below

    asked = getattr(words, "config", None)
    config, notice = load_config(asked)
    if words.command == "config":
        return print_config(config, asked)
    options = _options(words, places, config, notice)
    # what a command needs is imported by it: a list must not wait for Textual
    from pprofplus_tui.headless.dispatch import is_headless, run_headless  # noqa: PLC0415

    if is_headless(words.command):
        return run_headless(words, options)
    from pprofplus_tui.serving import end_with_server, is_page  # noqa: PLC0415

    if is_page():
        end_with_server()
    else:
        _need_terminal()
    # what is loaded now stays: collecting garbage meanwhile only delays the first paint
    gc.disable()
    # numpy's library for matrices, which nothing here uses, would start a thread a core
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Textual paints what has changed at the next of so many ticks: that is what a key waits for
    os.environ.setdefault("TEXTUAL_FPS", "250")
    if words.command == "demo":
        from pprofplus_tui.demo.command import run_demo  # noqa: PLC0415

        return run_demo(options, history=words.history)
    from pprofplus_tui.run import run_monitor  # noqa: PLC0415

    return run_monitor(options)


def _need_terminal() -> None:
    """Raise UsageError unless there is a terminal to draw on; Textual draws on stderr."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "the monitor needs a terminal; without one use  pprofplus-tui list  or  export"
        )
    if os.environ.get("TERM", "dumb") in {"", "dumb", "unknown"}:
        raise UsageError(
            "TERM is dumb or not set, so nothing can be drawn: set it, e.g.  TERM=xterm-256color"
        )


def _options(
    words: argparse.Namespace, places: list[str], config: "Config", notice: str
) -> "Options":
    """Return what was asked for; the command line wins over the settings.

    Raises UsageError with one line that says what is wrong.
    """
    from pprofplus.log.log_directory import valid_service  # noqa: PLC0415 - as in _run
    from pprofplus_tui.model.keys import rebound  # noqa: PLC0415
    from pprofplus_tui.model.options import Options  # noqa: PLC0415
    from pprofplus_tui.model.time_grammar import (  # noqa: PLC0415
        TimeSyntaxError,
        parse_span,
        parse_time,
    )
    from pprofplus_tui.setup import is_light, own_colours  # noqa: PLC0415
    from pprofplus_tui.sources.local.default_directories import homes_for  # noqa: PLC0415

    service = getattr(words, "service", None)
    if service is not None and not valid_service(service):
        raise UsageError(
            f"--service {service!r} cannot be a service: 1 to 64 of letters, digits, . _ -"
        )
    now = datetime.now(timezone.utc)
    begin, end, last = (getattr(words, name, None) for name in ("begin", "end", "last"))
    try:
        begin_ms = None if begin is None else parse_time(begin, now, None)
        end_ms = None if end is None else parse_time(end, now, None, begin_ms)
        last_ms = None if last is None else parse_span(last)
    except TimeSyntaxError as error:
        raise UsageError(str(error)) from error
    if begin_ms is None and end_ms is None and last_ms is None and words.command in _SCREENS:
        last_ms = config.window_ms
    if begin_ms is not None and end_ms is not None:
        if last_ms is not None:
            raise UsageError("--begin, --end and --last: two of them are enough")
        if end_ms <= begin_ms:
            raise UsageError("--end is not after --begin")
    pids = tuple(dict.fromkeys(getattr(words, "pids", None) or ()))
    if len(pids) > 1 and words.command in {None, "serve"}:
        raise UsageError("the monitor shows one --pid, or all of a --service")
    encoding = (getattr(sys.stderr, "encoding", None) or "ascii").lower().replace("-", "")
    return Options(
        directories=homes_for(
            places or config.directories, all_users=getattr(words, "all_users", False)
        ),
        service=service,
        pid=pids[0] if len(pids) == 1 else None,
        pids=pids,
        begin_ms=begin_ms,
        end_ms=end_ms,
        last_ms=last_ms,
        # braille on a terminal that is not UTF-8 would come out as \\u28xx
        plain=(getattr(words, "ascii", False) or config.ascii)
        or encoding not in {"utf8", "utf16", "utf32"},
        colourless=bool(os.environ.get("NO_COLOR")),
        light=getattr(words, "light", False) or is_light(config, os.environ),
        mouse=not (getattr(words, "no_mouse", False) or config.no_mouse),
        low_bandwidth=getattr(words, "low_bandwidth", False) or config.low_bandwidth,
        looks=config.looks,
        keys=rebound(config.keys),
        colours=own_colours(config),
        notice=notice,
    )
