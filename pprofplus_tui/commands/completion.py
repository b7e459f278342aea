"""`pprofplus-tui completion`: the script that completes both commands in a shell."""

import argparse
import sys

SHELLS = ("bash", "zsh", "fish")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the shell."""
    parser.description = (
        "Prints a script. bash: put  source <(pprofplus-tui completion bash)  into ~/.bashrc. "
        "zsh: put the same with zsh into ~/.zshrc, after compinit. fish: write it to "
        "~/.config/fish/completions/pprofplus-tui.fish."
    )
    parser.add_argument("shell", choices=SHELLS, help="the shell that reads the script")


def run(arguments: argparse.Namespace, _: object) -> int:
    """Print the script; return the exit code."""
    from pprofplus.cli import build_parser as build_collector_parser
    from pprofplus_tui.commands.completion_scripts import completion_script
    from pprofplus_tui.commands.parser_spec import spec_of
    from pprofplus_tui.commands.table import build_parser

    commands = (spec_of(build_parser()), spec_of(build_collector_parser()))
    sys.stdout.write(completion_script(arguments.shell, commands))
    return 0
