"""What a parser accepts, as values: completions and man pages are made from them."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

DIRECTORY, FILE = "directory", "file"
_KINDS = {"DIR": DIRECTORY, "DIRECTORY": DIRECTORY, "FILE": FILE, "PATH": FILE, "OUTPUT": FILE}


@dataclass(frozen=True)
class ParameterSpec:
    """An option or a positional argument.

    Attributes:
        flags: the names of the option, short first; () for a positional argument.
        value: the name of its value in the help, or "" for an option without one.
        choices: the possible values, or () if any text is possible.
        kind: DIRECTORY, FILE, or "".
        help: what it is for, in one line.
        required: it must be given.
    """

    flags: tuple[str, ...]
    value: str
    choices: tuple[str, ...]
    kind: str
    help: str
    required: bool = False


@dataclass(frozen=True)
class CommandSpec:
    """A command with its options, arguments and subcommands.

    Attributes:
        name: without the names of its parents.
        help: what it does, in one line; "" for the program itself.
        description: the text above the options, or "".
        epilog: the text below the options, or "".
        parameters: options and positional arguments, in the order of the help.
        commands: its subcommands.
    """

    name: str
    help: str
    description: str
    epilog: str
    parameters: tuple[ParameterSpec, ...]
    commands: tuple["CommandSpec", ...]

    @property
    def options(self) -> tuple[ParameterSpec, ...]:
        """The parameters that begin with a dash."""
        return tuple(each for each in self.parameters if each.flags)

    @property
    def arguments(self) -> tuple[ParameterSpec, ...]:
        """The positional parameters."""
        return tuple(each for each in self.parameters if not each.flags)


def spec_of(parser: argparse.ArgumentParser, name: str = "", summary: str = "") -> CommandSpec:
    """Return what a parser accepts; for a subcommand, `name` and `summary` are from its parent."""
    parameters: list[ParameterSpec] = []
    commands: list[CommandSpec] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            commands.extend(_subcommands(action))
        elif action.help != argparse.SUPPRESS:
            parameters.append(_parameter(parser, action))
    return CommandSpec(
        name or parser.prog,
        summary,
        parser.description or "",
        parser.epilog or "",
        tuple(parameters),
        tuple(commands),
    )


def _subcommands(
    action: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> Iterator[CommandSpec]:
    summaries = {choice.dest: choice.help or "" for choice in action._get_subactions()}
    for name, parser in action.choices.items():
        if name in summaries:  # a subcommand without help is internal
            yield spec_of(parser, name, summaries[name])


def _parameter(parser: argparse.ArgumentParser, action: argparse.Action) -> ParameterSpec:
    takes_value = action.nargs != 0
    metavar = action.metavar if isinstance(action.metavar, str) else ""
    choices = tuple(map(str, action.choices)) if action.choices is not None else ()
    value = ""
    if takes_value:
        value = metavar or ("|".join(choices) if choices else action.dest.upper())
    formatter = parser._get_formatter()
    text = formatter._expand_help(action) if action.help else ""
    return ParameterSpec(
        tuple(action.option_strings),
        value,
        choices,
        _KINDS.get(value, "") if takes_value else "",
        " ".join(text.split()),
        required=action.required,
    )
