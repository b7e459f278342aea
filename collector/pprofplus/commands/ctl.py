"""`pprofplus ctl`: send a request to a running service, such as to pause.

Each action of the registry is a subcommand, with the name, help and arguments that it declares.
"""

from __future__ import annotations

# pathlib costs each command 5 ms
import argparse
import sys

from pprofplus.commands import ctl_profile, ctl_profiles
from pprofplus.commands.common_arguments import add_directory_option, checked
from pprofplus.recording.run_actions import ACTIONS
from pprofplus.settings import check_service
from pprofplus.system.printable import printable

# subcommands whose options and output are not those of the registry, by name
_OWN_MODULES = {"profile": ctl_profile, "profiles": ctl_profiles}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions with their arguments."""
    parser.description = (
        "Sends a request to the live runs of a service, and waits for their answers. "
        "Exit codes: 0 all have done it, 1 not all have, 2 wrong usage."
    )
    actions = parser.add_subparsers(dest="action", metavar="WHAT", required=True)
    for name, module in _OWN_MODULES.items():
        subparser = actions.add_parser(name, help=module.SUMMARY, allow_abbrev=False)
        module.add_arguments(subparser)
    for action in ACTIONS:
        if action.name in _OWN_MODULES:
            continue
        subparser = actions.add_parser(
            action.name, help=action.help, description=action.help, allow_abbrev=False
        )
        for argument in action.arguments:
            if argument.default is None:
                subparser.add_argument(
                    argument.name,
                    metavar=argument.metavar,
                    type=checked(argument.check),
                    help=argument.help or None,
                )
        subparser.add_argument(
            "--service", metavar="NAME", required=True, type=checked(check_service), help="exactly"
        )
        subparser.add_argument("--pid", metavar="PID", type=int, help="this process of it alone")
        add_directory_option(subparser)
        for argument in action.arguments:
            if argument.default is not None:
                subparser.add_argument(
                    f"--{argument.name.replace('_', '-')}",
                    dest=argument.name,
                    metavar=argument.metavar,
                    type=checked(argument.check),
                    default=argument.default,
                    help=argument.help or None,
                )


def run(options: argparse.Namespace) -> int:
    """Send the requests, wait, and print the answers; return the exit code."""
    if options.action in _OWN_MODULES:
        code: int = _OWN_MODULES[options.action].run(options)
        return code
    from pprofplus.commands.request_exchange import Exchange, find_live_runs
    from pprofplus.control.requests import Request

    action = ACTIONS.get(options.action)
    if action is None:
        raise ValueError(options.action)  # the parser accepts no other name
    arguments = {each.name: getattr(options, each.name) for each in action.arguments}
    runs, complete = find_live_runs(options)
    if not runs:
        return 1
    answers = Exchange(action, action.duration_s(arguments)).ask(
        runs, Request(action.name, arguments)
    )
    for answer in answers:
        line = f"{answer.location.service} {answer.location.pid}: {printable(answer.text)}\n"
        (sys.stdout if answer.done else sys.stderr).write(line)
    return 0 if complete and all(answer.done for answer in answers) else 1
