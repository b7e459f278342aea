"""Completion scripts for bash, zsh and fish, made from the parser."""

import re
from collections.abc import Iterator

from pprofplus_tui.commands.parser_spec import DIRECTORY, FILE, CommandSpec, ParameterSpec


def completion_script(shell: str, commands: tuple[CommandSpec, ...]) -> str:
    """Return the script that completes these commands in bash, zsh or fish."""
    writers = {"bash": _bash, "zsh": _zsh, "fish": _fish}
    return "\n".join(line for command in commands for line in writers[shell](command)) + "\n"


def _paths(
    command: CommandSpec, parents: tuple[str, ...] = ()
) -> Iterator[tuple[str, CommandSpec]]:
    """Yield (the words after the command's name, the command) for it and all its subcommands."""
    yield " ".join(parents), command
    for one in command.commands:
        yield from _paths(one, (*parents, one.name))


def _function(name: str) -> str:
    return "_" + re.sub(r"\W", "_", name)


def _single(text: str) -> str:
    """Return text in single quotes for bash and zsh."""
    return "'" + text.replace("'", "'\\''") + "'"


def _bash_values(parameter: ParameterSpec) -> str:
    if parameter.choices:
        return f'COMPREPLY=($(compgen -W {_single(" ".join(parameter.choices))} -- "$cur"))'
    if parameter.kind == DIRECTORY:
        return 'compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- "$cur"))'
    if parameter.kind == FILE:
        return 'compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur"))'
    return "COMPREPLY=()"


def _bash(command: CommandSpec) -> Iterator[str]:
    function = _function(command.name)
    paths = list(_paths(command))
    yield f"# bash completion of {command.name}"
    yield f"{function}() {{"
    yield "  local cur=${COMP_WORDS[COMP_CWORD]} prev= path= word= i IFS=$' \\t\\n'"
    yield "  ((COMP_CWORD)) && prev=${COMP_WORDS[COMP_CWORD-1]}"
    yield "  COMPREPLY=()"
    # the words before the cursor select the subcommand
    yield "  for ((i = 1; i < COMP_CWORD; i++)); do"
    yield "    word=${COMP_WORDS[i]}"
    yield '    case "$path|$word" in'
    for path, one in paths:
        flags = [flag for parameter in one.options if parameter.value for flag in parameter.flags]
        if flags:
            yield f"      {' | '.join(_single(f'{path}|{flag}') for flag in flags)}) ((i++)) ;;"
        for below in one.commands:
            here, there = _single(f"{path}|{below.name}"), _single(f"{path} {below.name}".strip())
            yield f"      {here}) path={there} ;;"
    yield "    esac"
    yield "  done"
    yield '  case "$path|$prev" in'
    for path, one in paths:
        for parameter in one.options:
            if parameter.value:
                places = " | ".join(_single(f"{path}|{flag}") for flag in parameter.flags)
                yield f"    {places}) {_bash_values(parameter)}; return ;;"
    yield "  esac"
    yield '  case "$path" in'
    for path, one in paths:
        dashed = " ".join(flag for parameter in one.options for flag in parameter.flags)
        names = [below.name for below in one.commands]
        names += [choice for parameter in one.arguments for choice in parameter.choices]
        yield f"    {_single(path)})"
        yield "      if [[ $cur == -* ]]; then"
        yield f'        COMPREPLY=($(compgen -W {_single(dashed)} -- "$cur"))'
        argument = next((parameter for parameter in one.arguments if parameter.kind), None)
        if names:
            yield f'      else COMPREPLY=($(compgen -W {_single(" ".join(names))} -- "$cur"))'
        elif argument is not None:
            yield f"      else {_bash_values(argument)}"
        yield "      fi ;;"
    yield "  esac"
    yield "}"
    yield f"complete -F {function} {command.name}"


def _zsh_text(text: str) -> str:
    return text.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")


def _zsh_action(parameter: ParameterSpec) -> str:
    if parameter.choices:
        return f"({' '.join(parameter.choices)})"
    return {DIRECTORY: "_files -/", FILE: "_files"}.get(parameter.kind, " ")


def _zsh_specs(command: CommandSpec) -> Iterator[str]:
    for parameter in command.options:
        text = _zsh_text(parameter.help)
        value = f":{_zsh_text(parameter.value)}:{_zsh_action(parameter)}" if parameter.value else ""
        # `*`: zsh offers each option again, as argparse allows some of them several times
        for flag in parameter.flags:
            yield _single(f"*{flag}[{text}]{value}")
    for at, parameter in enumerate(command.arguments, 1):
        yield _single(f"{at}:{_zsh_text(parameter.value)}:{_zsh_action(parameter)}")


def _zsh(command: CommandSpec) -> Iterator[str]:
    yield f"#compdef {command.name}"
    yield from _zsh_function(command, _function(command.name))
    yield f"compdef {_function(command.name)} {command.name}"


def _zsh_function(command: CommandSpec, function: str) -> Iterator[str]:
    for below in command.commands:
        yield from _zsh_function(below, f"{function}_{_function(below.name)[1:]}")
    yield f"{function}() {{"
    yield "  local context state state_descr line"
    yield "  typeset -A opt_args"
    specs = list(_zsh_specs(command))
    if command.commands:
        specs += ["'1: :->command'", "'*:: :->rest'"]
    yield "  _arguments -C " + " \\\n    ".join(specs)
    if command.commands:
        yield "  case $state in"
        yield "    command)"
        yield "      local -a commands=("
        for below in command.commands:
            name = below.name.replace(":", "\\:")
            yield f"        {_single(f'{name}:{below.help}')}"
        yield "      )"
        yield "      _describe command commands ;;"
        yield "    rest)"
        yield "      case $line[1] in"
        for below in command.commands:
            yield f"        {below.name}) {function}_{_function(below.name)[1:]} ;;"
        yield "      esac ;;"
        yield "  esac"
    yield "}"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _fish(command: CommandSpec) -> Iterator[str]:
    name = command.name
    yield f"# fish completion of {name}"
    yield f"complete -c {name} -f"
    tops = " ".join(below.name for below in command.commands)
    for below in command.commands:
        condition = _fish_quoted(f"not __fish_seen_subcommand_from {tops}")
        yield f"complete -c {name} -n {condition} -a {below.name} -d {_fish_quoted(below.help)}"
    for path, one in _paths(command):
        tests = [f"__fish_seen_subcommand_from {part}" for part in path.split()]
        if not tests and tops:
            tests = [f"not __fish_seen_subcommand_from {tops}"]
        where = f" -n {_fish_quoted('; and '.join(tests))}" if tests else ""
        if path:
            for below in one.commands:
                yield (f"complete -c {name}{where} -a {below.name} -d {_fish_quoted(below.help)}")
        for parameter in one.options:
            yield f"complete -c {name}{where}{_fish_parameter(parameter)}"
        for parameter in one.arguments:
            if parameter.choices:
                yield f"complete -c {name}{where} -a {_fish_quoted(' '.join(parameter.choices))}"
            elif parameter.kind:
                yield f"complete -c {name}{where} -F"


def _fish_parameter(parameter: ParameterSpec) -> str:
    parts = []
    for flag in parameter.flags:
        if flag.startswith("--"):
            parts.append(f"-l {flag[2:]}")
        else:
            # a dash and a letter
            parts.append(f"-s {flag[1:]}" if len(flag) == 2 else f"-o {flag[1:]}")
    if parameter.value:
        parts.append("-r")
        if parameter.choices:
            parts.append(f"-f -a {_fish_quoted(' '.join(parameter.choices))}")
        elif parameter.kind == DIRECTORY:
            parts.append("-f -a '(__fish_complete_directories)'")
        elif parameter.kind == FILE:
            parts.append("-F")
        else:
            parts.append("-f")
    if parameter.help:
        parts.append(f"-d {_fish_quoted(parameter.help)}")
    return " " + " ".join(parts)
