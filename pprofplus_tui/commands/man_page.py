"""A manual page in roff, made from the parser, so that it agrees with --help."""

import re
from collections.abc import Iterator

from pprofplus_tui.commands.parser_spec import CommandSpec, ParameterSpec


def man_page(command: CommandSpec, version: str, files: tuple[tuple[str, str], ...] = ()) -> str:
    """Return the page of section 1; `files` are (path, what the file is)."""
    return "\n".join(_lines(command, version, files)) + "\n"


def _lines(command: CommandSpec, version: str, files: tuple[tuple[str, str], ...]) -> Iterator[str]:
    yield f'.TH "{_text(command.name.upper())}" "1" "" "pprofplus {_text(version)}" ""'
    yield ".SH NAME"
    first = command.description.split(". ")[0].rstrip(".")
    yield f"{_text(command.name)} \\- {_text(first[:1].lower() + first[1:])}"
    yield ".SH SYNOPSIS"
    yield _synopsis(command, command.name)
    for one in command.commands:
        yield ".br"
        yield _synopsis(one, f"{command.name} {one.name}")
    yield ".SH DESCRIPTION"
    yield _text(command.description)
    if command.options or command.arguments:
        yield ".SH OPTIONS"
        yield from _entries(command)
    if command.commands:
        yield ".SH COMMANDS"
        for one in command.commands:
            yield from _command(one, one.name)
    if command.epilog:
        yield ".SH NOTES"
        yield _text(command.epilog)
    if files:
        yield ".SH FILES"
        for path, text in files:
            yield ".TP"
            yield f".I {_text(path)}"
            yield _text(text)


def _command(command: CommandSpec, name: str) -> Iterator[str]:
    yield f'.SS "{_text(name)}"'
    text = command.description or command.help
    yield _text(text[:1].upper() + text[1:].rstrip(".") + ".")
    yield from _entries(command)
    for one in command.commands:
        yield from _command(one, f"{name} {one.name}")


def _entries(command: CommandSpec) -> Iterator[str]:
    for parameter in (*command.arguments, *command.options):
        yield ".TP"
        yield _synopsis_of(parameter)
        yield _text(parameter.help)


def _synopsis_of(parameter: ParameterSpec) -> str:
    """Return an option or argument as the user types it."""
    value = f"\\fI{_text(parameter.value)}\\fR" if parameter.value else ""
    if not parameter.flags:
        return value
    return ", ".join(f"\\fB{_text(flag)}\\fR" for flag in parameter.flags) + (
        f" {value}" * bool(value)
    )


def _synopsis(command: CommandSpec, name: str) -> str:
    parts = [f"\\fB{_text(name)}\\fR"]
    if command.options:
        parts.append("[\\fIOPTION\\fR]...")
    for parameter in command.arguments:
        shown = f"\\fI{_text(parameter.value)}\\fR"
        parts.append(shown if parameter.required else f"[{shown}]")
    if command.commands:
        parts.append("[\\fICOMMAND\\fR]")
    return " ".join(parts)


def _text(text: str) -> str:
    """Return text that roff prints as it is."""
    text = re.sub(r"\s+", " ", text).replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    text = "".join(char if char.isascii() else f"\\[u{ord(char):04X}]" for char in text)
    return "\\&" + text if text[:1] in {".", "'"} else text
