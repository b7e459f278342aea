"""A manual page in roff, made of what the parser knows: nothing in it can differ from --help."""

import re
from collections.abc import Iterator

from pprofplus_tui.commandline import Command, Word


def manual_page(command: Command, version: str, files: tuple[tuple[str, str], ...] = ()) -> str:
    """Return the page of section 1; `files` are (path, what it is)."""
    return "\n".join(_lines(command, version, files)) + "\n"


def _lines(command: Command, version: str, files: tuple[tuple[str, str], ...]) -> Iterator[str]:
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
        for path, told in files:
            yield ".TP"
            yield f".I {_text(path)}"
            yield _text(told)


def _command(command: Command, name: str) -> Iterator[str]:
    yield f'.SS "{_text(name)}"'
    told = command.description or command.told
    yield _text(told[:1].upper() + told[1:].rstrip(".") + ".")
    yield from _entries(command)
    for one in command.commands:
        yield from _command(one, f"{name} {one.name}")


def _entries(command: Command) -> Iterator[str]:
    for word in (*command.arguments, *command.options):
        yield ".TP"
        yield _written(word)
        yield _text(word.told)


def _written(word: Word) -> str:
    """Return an option or argument as it is typed."""
    value = f"\\fI{_text(word.value)}\\fR" if word.value else ""
    if not word.flags:
        return value
    return ", ".join(f"\\fB{_text(flag)}\\fR" for flag in word.flags) + (f" {value}" * bool(value))


def _synopsis(command: Command, name: str) -> str:
    parts = [f"\\fB{_text(name)}\\fR"]
    if command.options:
        parts.append("[\\fIOPTION\\fR]...")
    for word in command.arguments:
        shown = f"\\fI{_text(word.value)}\\fR"
        parts.append(shown if word.required else f"[{shown}]")
    if command.commands:
        parts.append("[\\fICOMMAND\\fR]")
    return " ".join(parts)


def _text(text: str) -> str:
    """Return text that roff prints as it is."""
    text = re.sub(r"\s+", " ", text).replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    text = "".join(char if char.isascii() else f"\\[u{ord(char):04X}]" for char in text)
    return "\\&" + text if text[:1] in {".", "'"} else text
