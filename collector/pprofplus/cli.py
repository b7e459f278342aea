"""The command `pprofplus`: the table of its subcommands."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

# (name and module in `commands`, one line of help)
SUBCOMMANDS = (
    ("run", "run a program, and record each Python process in it"),
    ("watch", "record other processes, in any language, from outside"),
    ("ctl", "ask a running service to pause, resume, change its interval, or add a mark"),
    ("doctor", "check whether a service started here would be recorded"),
    ("autostart", "print the directory to put into PYTHONPATH for PPROFPLUS_AUTOSTART"),
    ("where", "print the log directory"),
    ("outcome", "record how systemd saw a service end (ExecStopPost=)"),
)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command with all its subcommands."""
    # imported here: a service imports this package, but never its command line
    import argparse
    from importlib import import_module

    from pprofplus import __version__

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> None:  # type: ignore[override]
            """Exit with one line that says what is wrong, and where the help is."""
            self.exit(2, f"pprofplus: {message} (see {self.prog} --help)\n")

    parser = Parser(
        prog="pprofplus",
        description="Records the memory of Python services. In the service: "
        'import pprofplus; pprofplus.start("api")',
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"pprofplus {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in SUBCOMMANDS:
        module = import_module(f"pprofplus.commands.{name}")
        subparser = subparsers.add_parser(name, help=summary, allow_abbrev=False)
        module.add_arguments(subparser)
        subparser.set_defaults(run=module.run)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; return the exit code: 0 success, 1 failed, 2 wrong usage."""
    options = build_parser().parse_args(argv)
    code: int = options.run(options)
    return code
