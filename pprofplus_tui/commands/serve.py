"""`pprofplus-tui serve`: the monitor in a browser."""

import argparse
import sys

from pprofplus_tui.commands.common_arguments import add_light_option, add_run_options
from pprofplus_tui.model.options import Options

_PORTS = 1 << 16
# passed to the monitor as typed: "-2h" is relative to the time when a page is opened
_PASSED_ON = ("config", "service", "begin", "end", "last")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what to show, and the address."""
    parser.epilog = (
        "Needs the extra [serve]. From another machine: ssh -L 8000:127.0.0.1:8000 THIS-MACHINE"
    )
    add_run_options(parser)
    add_light_option(parser)
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="listen on this address (default: 127.0.0.1, for this machine only)",
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=8000,
        metavar="PORT",
        help="listen on this port; 0 for any (default: 8000)",
    )


def run(arguments: argparse.Namespace, options: Options) -> int:
    """Serve until a signal ends it; return the exit code. Raises UsageError, NothingFoundError."""
    from pprofplus_tui.commands.browser_server import serve

    monitor = [f"--dir={path}" for path in options.directories]
    for name in _PASSED_ON:
        typed = getattr(arguments, name, None)
        monitor += [f"--{name}={typed}"] if typed is not None else []
    monitor += [f"--pid={pid}" for pid in options.all_pids]
    monitor += ["--light"] if options.light else []
    address = arguments.host, arguments.port
    return serve(address, monitor, sys.stdout, sys.stderr, light=options.light)


def _port(text: str) -> int:
    """Return the number of a port. Raises ArgumentTypeError."""
    number = int(text) if text.isascii() and text.isdigit() else -1
    if number not in range(_PORTS):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: 0 to {_PORTS - 1}")
    return number
