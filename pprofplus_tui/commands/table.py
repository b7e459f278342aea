"""The table of subcommands, and the parser that is built from it."""

import argparse
from collections.abc import Collection
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, NoReturn, Protocol, cast

from pprofplus_tui.commands.common_arguments import add_display_options, add_run_options

if TYPE_CHECKING:
    from pprofplus_tui.model.options import Options

USAGE = 2  # the exit code for a wrong command line
NOTHING, EXTRA, OPTIONS = "nothing", "extra", "options"


class CommandModule(Protocol):
    """What the module of a subcommand offers."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the options and arguments to the subcommand's parser, with its long help."""

    def run(self, arguments: argparse.Namespace, options: "Options | None") -> int:
        """Run the subcommand; return the exit code. Raises UsageError, NothingFoundError."""


class Subcommand(NamedTuple):
    """One row of the table.

    Attributes:
        name: the word on the command line.
        help: one line for --help, completions and the man page.
        module: the module in this package; "" if it has the name of the subcommand.
        needs: NOTHING: the collector is enough; EXTRA: the packages of [tui] too; OPTIONS: these,
            and `run` gets the options, which are None otherwise.
        opens_monitor: the first window of the settings applies.
        one_pid: it shows one --pid at most.
    """

    name: str
    help: str
    module: str = ""
    needs: str = OPTIONS
    opens_monitor: bool = False
    one_pid: bool = False

    def load(self) -> CommandModule:
        """Import the module that implements it."""
        return cast("CommandModule", import_module(f"{__package__}.{self.module or self.name}"))


MONITOR = Subcommand("", "", module="open_monitor", opens_monitor=True, one_pid=True)
SUBCOMMANDS = (
    Subcommand(
        "demo",
        "start small demo services that leak, saw-tooth, fragment and die, and monitor them",
        opens_monitor=True,
    ),
    Subcommand("list", "print a table of the runs"),
    Subcommand("export", "write samples, or their min, max and last per step, as CSV or JSON"),
    Subcommand("plot", "draw one or more charts as text on standard output"),
    Subcommand("report", "write an HTML page with charts, verdicts, facts and events"),
    Subcommand("pack", "write runs to one bundle file, which --dir FILE opens elsewhere"),
    Subcommand("serve", "show the monitor in a browser, at a secret address", one_pid=True),
    Subcommand("pin", "protect a run from retention: it is never removed"),
    Subcommand("unpin", "allow retention to remove a run again", module="pin"),
    Subcommand("config", "print the settings in effect, as a settings file", needs=EXTRA),
    Subcommand(
        "completion",
        "print the script that completes pprofplus and pprofplus-tui in a shell",
        needs=NOTHING,
    ),
    Subcommand("man", "print a manual page", needs=NOTHING),
)


def subcommand(name: str | None) -> Subcommand:
    """Return the row of a subcommand; without a name, that of the monitor."""
    return next((row for row in SUBCOMMANDS if row.name == name), MONITOR)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, as all errors of the command are."""

    def error(self, message: str) -> NoReturn:
        """Print the error and the command for help; exit with the code for wrong usage."""
        self.exit(USAGE, f"{self.prog}: {message}; see  {self.prog} --help\n")


def build_parser(words: Collection[str] | None = None) -> argparse.ArgumentParser:
    """Return the parser of the command; completions and the man page are made from it, too.

    With `words`, the command line to parse, only the subcommands that occur in it get their
    arguments: the modules of the others are not imported.
    """
    parser = _Parser(
        prog="pprofplus-tui",
        description="Watch the memory of Python services that record with pprofplus: live, "
        "or at any time in the past.",
        epilog="Times: 14:05, -2h, 'yesterday 9:00', 'monday 9:00', 2026-11-20 14:05, ISO 8601, "
        "@unix-seconds, now; --end also takes +10m, counted from --begin. "
        "Spans: 90s, 15m, 1h30m, 7d. "
        "Exit codes: 0 success, 1 nothing found, failed or incomplete, 2 wrong usage.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    add_run_options(parser)
    add_display_options(parser)
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    for row in SUBCOMMANDS:
        subparser = subparsers.add_parser(row.name, help=row.help, allow_abbrev=False)
        if words is None or row.name in words:
            row.load().add_arguments(subparser)
    return parser
