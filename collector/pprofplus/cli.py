"""The command `pprofplus`: what can be asked of the collector from a shell."""

from __future__ import annotations

import os
import sys


def main(argv: list[str] | None = None) -> int:
    """Run the command; return the exit code: 0 fine, 2 usage."""
    # imported here: a service imports this package, and never its command line
    import argparse  # noqa: PLC0415

    from pprofplus import __version__  # noqa: PLC0415
    from pprofplus.home import default_home  # noqa: PLC0415

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> None:  # type: ignore[override]
            """End with one line that says what is wrong, and where to look."""
            self.exit(2, f"pprofplus: {message} (see pprofplus --help)\n")

    parser = Parser(
        prog="pprofplus",
        description="Records the memory of Python services. In the service: "
        'import pprofplus; pprofplus.start("api")',
    )
    parser.add_argument("--version", action="version", version=f"pprofplus {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    where = commands.add_parser("where", help="print the directory that logs are written to")
    where.add_argument("--dir", metavar="DIR", help="as start(directory=DIR) would take it")
    options = parser.parse_args(argv)
    home = os.path.abspath(os.path.expanduser(options.dir)) if options.dir else default_home()  # noqa: PTH100, PTH111 - as settings.py takes it
    sys.stdout.write(f"{home}\n")
    return 0
