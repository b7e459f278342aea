"""`pprofplus-tui man`: the manual page of a command."""

import argparse
import sys

_SETTINGS_FILE = (
    "~/.config/pprofplus/tui.toml",
    "Settings. pprofplus-tui config prints a file to start from.",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the name of the page."""
    parser.description = (
        "Prints a manual page in roff. To read it: pprofplus-tui man > page.1; man -l page.1"
    )
    parser.add_argument(
        "page",
        nargs="?",
        choices=("pprofplus-tui", "pprofplus"),
        default="pprofplus-tui",
        help="the command that the page is about (default: pprofplus-tui)",
    )


def run(arguments: argparse.Namespace, _: object) -> int:
    """Print the page; return the exit code."""
    from pprofplus import __version__
    from pprofplus.cli import build_parser as build_collector_parser
    from pprofplus_tui.commands.man_page import man_page
    from pprofplus_tui.commands.parser_spec import spec_of
    from pprofplus_tui.commands.table import build_parser

    if arguments.page == "pprofplus":
        page = man_page(spec_of(build_collector_parser()), __version__)
    else:
        page = man_page(spec_of(build_parser()), __version__, (_SETTINGS_FILE,))
    sys.stdout.write(page)
    return 0
