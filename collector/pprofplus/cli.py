"""The command `pprofplus`: the table of its commands."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all words of the command."""
    # imported here: a service imports this package, and never its command line
    import argparse

    from pprofplus import __version__
    from pprofplus.commands import autostart, ctl, doctor, outcome, run, watch, where

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> None:  # type: ignore[override]
            """End with one line that says what is wrong, and where to look."""
            self.exit(2, f"pprofplus: {message} (see {self.prog} --help)\n")

    parser = Parser(
        prog="pprofplus",
        description="Records the memory of Python services. In the service: "
        'import pprofplus; pprofplus.start("api")',
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"pprofplus {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in (run, watch, ctl, doctor, autostart, where, outcome):
        command.add(subparsers)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; return the exit code: 0 fine, 1 failed, 2 usage."""
    options = build_parser().parse_args(argv)
    code: int = options.run(options)
    return code
