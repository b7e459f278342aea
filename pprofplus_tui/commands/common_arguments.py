"""Options that several subcommands share, declared once."""

import argparse

RUN = "SERVICE/PID, or SERVICE/PID-START"
OUTPUT = "write to this new file (default: standard output)"
# the default of a subcommand's option must not replace a value given before the subcommand
_UNSET = argparse.SUPPRESS


def add_config_option(parser: argparse.ArgumentParser) -> None:
    """Add --config."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        default=_UNSET,
        help="read the settings from this file, not from ~/.config/pprofplus/tui.toml; see config",
    )


def add_directory_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose the log directories and the settings file."""
    add_config_option(parser)
    parser.add_argument(
        "--dir",
        dest="dirs",
        action="append",
        metavar="DIR",
        default=_UNSET,
        help="read only this log directory, or this bundle from pack; can be repeated",
    )
    parser.add_argument(
        "--all-users",
        action="store_true",
        default=_UNSET,
        help="also read the logs of other users, in /var/tmp/pprofplus-UID; the default for root",
    )


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose runs and a time window.

    Given after the subcommand, they replace the same options given before it.
    """
    add_directory_options(parser)
    parser.add_argument(
        "--service", metavar="NAME", default=_UNSET, help="only this service; the exact name"
    )
    parser.add_argument(
        "--pid",
        dest="pids",
        type=int,
        action="append",
        metavar="PID",
        default=_UNSET,
        help="only this process; can be repeated where a command takes several runs",
    )
    parser.add_argument("--begin", metavar="TIME", default=_UNSET, help="start of the time window")
    parser.add_argument("--end", metavar="TIME", default=_UNSET, help="end of the time window")
    parser.add_argument("--last", metavar="SPAN", default=_UNSET, help="length of the time window")


def add_display_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the monitor's display."""
    add_ascii_option(parser)
    add_light_option(parser)
    parser.add_argument(
        "--no-mouse",
        action="store_true",
        default=_UNSET,
        help="do not use the mouse: the terminal handles it",
    )
    parser.add_argument(
        "--low-bandwidth",
        action="store_true",
        default=_UNSET,
        help="for slow connections: fewer updates and colours, no sparklines",
    )


def add_ascii_option(parser: argparse.ArgumentParser) -> None:
    """Add --ascii."""
    parser.add_argument(
        "--ascii", action="store_true", default=_UNSET, help="draw with ASCII characters only"
    )


def add_light_option(parser: argparse.ArgumentParser) -> None:
    """Add --light."""
    parser.add_argument(
        "--light", action="store_true", default=_UNSET, help="use colours for a light background"
    )
