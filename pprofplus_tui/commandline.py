"""What a parser accepts, as plain values: completions and manual pages are made from them."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

DIRECTORY, FILE = "directory", "file"
_KINDS = {"DIR": DIRECTORY, "DIRECTORY": DIRECTORY, "FILE": FILE, "PATH": FILE, "OUTPUT": FILE}


@dataclass(frozen=True)
class Word:
    """An option or an argument.

    Attributes:
        flags: how the option is written, short first; () for an argument that has a place.
        value: the name of what follows the option or stands at the place, or "".
        choices: all that may stand there, or () if it is free.
        kind: DIRECTORY, FILE, or "".
        told: what it is for, in one line.
        required: it has to be given.
    """

    flags: tuple[str, ...]
    value: str
    choices: tuple[str, ...]
    kind: str
    told: str
    required: bool = False


@dataclass(frozen=True)
class Command:
    """A command with its options, arguments and subcommands; `name` is without its parents."""

    name: str
    told: str
    description: str
    epilog: str
    words: tuple[Word, ...]
    commands: tuple["Command", ...]

    @property
    def options(self) -> tuple[Word, ...]:
        """What begins with a dash."""
        return tuple(word for word in self.words if word.flags)

    @property
    def arguments(self) -> tuple[Word, ...]:
        """What stands at a place."""
        return tuple(word for word in self.words if not word.flags)


def command_of(parser: argparse.ArgumentParser, name: str = "", told: str = "") -> Command:
    """Return what a parser accepts."""
    words: list[Word] = []
    commands: list[Command] = []
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to be asked
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - ditto
            commands.extend(_subcommands(action))
        elif action.help != argparse.SUPPRESS:
            words.append(_word(parser, action))
    return Command(
        name or parser.prog,
        told,
        parser.description or "",
        parser.epilog or "",
        tuple(words),
        tuple(commands),
    )


def _subcommands(
    action: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> Iterator[Command]:
    tellings = {choice.dest: choice.help or "" for choice in action._get_subactions()}  # noqa: SLF001 - ditto
    for name, parser in action.choices.items():
        if name in tellings:  # those without a help are not for everyone
            yield command_of(parser, name, tellings[name])


def _word(parser: argparse.ArgumentParser, action: argparse.Action) -> Word:
    takes_value = action.nargs != 0
    metavar = action.metavar if isinstance(action.metavar, str) else ""
    choices = tuple(map(str, action.choices)) if action.choices is not None else ()
    value = ""
    if takes_value:
        value = metavar or ("|".join(choices) if choices else action.dest.upper())
    formatter = parser._get_formatter()  # noqa: SLF001 - it knows %(default)s
    told = formatter._expand_help(action) if action.help else ""  # noqa: SLF001 - ditto
    return Word(
        tuple(action.option_strings),
        value,
        choices,
        _KINDS.get(value, "") if takes_value else "",
        " ".join(told.split()),
        required=action.required,
    )
