"""The words of the commands that need no screen, and those that choose runs: declared once."""

import argparse
from collections.abc import Callable

AddParser = Callable[..., argparse.ArgumentParser]  # `add_parser` of a parser's subparsers

_RUN = "SERVICE/PID, or SERVICE/PID-START"
_LIGHT = "colours for a light background"
_PORTS = 1 << 16
_OUTPUT = "a new file; default: standard output"


def add_place(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where logs are, and settings."""
    add_config(parser)
    parser.add_argument(
        "--dir",
        dest="dirs",
        action="append",
        metavar="DIR",
        default=argparse.SUPPRESS,
        help="look for logs here only, or in a file of pack; may be given several times",
    )
    parser.add_argument(
        "--all-users",
        action="store_true",
        default=argparse.SUPPRESS,
        help="in other users' directories, too: /var/tmp/pprofplus-UID; root's default",
    )


def add_choice(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose runs and a window; a subcommand's win over the command's."""
    quiet = argparse.SUPPRESS
    add_place(parser)
    parser.add_argument("--service", metavar="NAME", default=quiet, help="this service, exactly")
    parser.add_argument(
        "--pid",
        dest="pids",
        type=int,
        action="append",
        metavar="PID",
        default=quiet,
        help="this process id; several, where several runs can be taken",
    )
    parser.add_argument("--begin", metavar="TIME", default=quiet, help="from this time on")
    parser.add_argument("--end", metavar="TIME", default=quiet, help="up to this time")
    parser.add_argument("--last", metavar="SPAN", default=quiet, help="this long up to the end")


def add_commands(add_parser: AddParser) -> None:
    """Add the commands that need no screen."""
    _add_list(add_parser)
    _add_export(add_parser)
    _add_plot(add_parser)
    _add_report(add_parser)
    _add_pack(add_parser)
    _add_serve(add_parser)
    for word, told in (
        ("pin", "have retention leave a run alone, however old it is"),
        ("unpin", "let retention have a run again"),
    ):
        pin = add_parser(word, help=told, allow_abbrev=False)
        add_place(pin)
        pin.add_argument("run", metavar="RUN", help=_RUN)


def _add_list(add_parser: AddParser) -> None:
    listing = add_parser("list", help="print the runs found", allow_abbrev=False)
    add_choice(listing)
    listing.add_argument("--json", action="store_true", help="as a JSON array")


def _add_export(add_parser: AddParser) -> None:
    export = add_parser(
        "export",
        help="write samples, or steps of them, as CSV or JSON lines",
        epilog="Without RUN, --service and --pid it is the newest run; with them, all that match.",
        allow_abbrev=False,
    )
    export.add_argument("runs", nargs="*", metavar="RUN", help=_RUN)
    add_choice(export)
    export.add_argument(
        "--format",
        choices=("csv", "json", "jsonl"),
        default="csv",
        help="json and jsonl are both an object a line; default: csv",
    )
    export.add_argument(
        "--metrics", metavar="NAME,...", help="only these metrics, by their exact names"
    )
    export.add_argument(
        "--every", metavar="SPAN", help="min, max and last of each metric in steps this long"
    )
    export.add_argument("-o", "--output", metavar="FILE", help=_OUTPUT)


def _add_plot(add_parser: AddParser) -> None:
    plot = add_parser(
        "plot",
        help="draw one chart, or some, on standard output",
        epilog="Colours only on a terminal, and not under NO_COLOR.",
        allow_abbrev=False,
    )
    plot.add_argument("run", nargs="?", metavar="RUN", help=f"{_RUN}; default: the newest")
    add_choice(plot)
    what = plot.add_mutually_exclusive_group()
    what.add_argument(
        "--chart",
        metavar="NAME",
        default="memory",
        help="memory, virtual, python_heap, c_heap, gc, cpu, layers, or own1 for the first of the "
        "service's own; default: memory",
    )
    what.add_argument(
        "--metric",
        dest="metrics",
        action="append",
        metavar="NAME,...",
        default=[],
        help="these metrics instead; those of one unit share a chart",
    )
    plot.add_argument("--width", type=int, metavar="CELLS", help="default: the terminal's, or 80")
    plot.add_argument("--height", type=int, metavar="ROWS", help="default: what suits the terminal")
    quiet = argparse.SUPPRESS
    plot.add_argument("--ascii", action="store_true", default=quiet, help="draw with ASCII only")
    plot.add_argument("--light", action="store_true", default=quiet, help=_LIGHT)


def _add_report(add_parser: AddParser) -> None:
    report = add_parser(
        "report",
        help="write one page of HTML with charts, verdicts, facts and events",
        epilog="Without RUN, --service and --pid it is of the newest run; with them, of all that "
        "match.",
        allow_abbrev=False,
    )
    report.add_argument("runs", nargs="*", metavar="RUN", help=_RUN)
    add_choice(report)
    report.add_argument("-o", "--output", metavar="FILE", help=_OUTPUT)


def _add_pack(add_parser: AddParser) -> None:
    packing = add_parser(
        "pack",
        help="put runs into one file for a colleague, who looks with --dir FILE",
        allow_abbrev=False,
    )
    packing.add_argument("runs", nargs="+", metavar="RUN", help=_RUN)
    add_place(packing)
    packing.add_argument(
        "-o", "--output", metavar="FILE", required=True, help="a new file, as run.pplogs"
    )


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the file of settings."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="settings from here, not from ~/.config/pprofplus/tui.toml; see  config",
    )


def add_setup(add_parser: AddParser) -> None:
    """Add the commands that set the monitor up, and need no logs."""
    add_config(
        add_parser(
            "config",
            help="print the settings in effect, as a file to begin with",
            allow_abbrev=False,
        )
    )
    completing = add_parser(
        "completion",
        help="print what makes a shell complete pprofplus and pprofplus-tui",
        description="Prints a script. bash: put  source <(pprofplus-tui completion bash)  into "
        "~/.bashrc. zsh: the same, with zsh, into ~/.zshrc after compinit. fish: write it to "
        "~/.config/fish/completions/pprofplus-tui.fish.",
        allow_abbrev=False,
    )
    completing.add_argument("shell", choices=("bash", "zsh", "fish"), help="which shell")
    page = add_parser(
        "man",
        help="print a manual page",
        description="Prints a manual page in roff. To read it: pprofplus-tui man > page.1; man -l "
        "page.1",
        allow_abbrev=False,
    )
    page.add_argument(
        "page",
        nargs="?",
        choices=("pprofplus-tui", "pprofplus"),
        default="pprofplus-tui",
        help="of which command; default: pprofplus-tui",
    )


def _add_serve(add_parser: AddParser) -> None:
    serve = add_parser(
        "serve",
        help="show the monitor in a browser, at an address with a secret",
        epilog="Needs the extra [serve]. From another machine: "
        "ssh -L 8000:127.0.0.1:8000 THIS-MACHINE",
        allow_abbrev=False,
    )
    add_choice(serve)
    serve.add_argument("--light", action="store_true", default=argparse.SUPPRESS, help=_LIGHT)
    serve.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="default: 127.0.0.1, this machine"
    )
    serve.add_argument(
        "--port", type=_port, default=8000, metavar="PORT", help="0 for any; default: 8000"
    )


def _port(text: str) -> int:
    """Return the number of a port. Raises ArgumentTypeError."""
    number = int(text) if text.isascii() and text.isdigit() else -1
    if number not in range(_PORTS):
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 0 to {_PORTS - 1}")
    return number
