"""Completion scripts and man pages, made from the parser: real shells and `man` read them."""

import argparse
import shutil
import subprocess
import sys

import pytest

from pprofplus.cli import build_parser as collector_parser
from pprofplus_tui.commands.completion import SHELLS
from pprofplus_tui.commands.completion_scripts import completion_script
from pprofplus_tui.commands.man_page import man_page
from pprofplus_tui.commands.parser_spec import CommandSpec, spec_of
from pprofplus_tui.commands.table import build_parser

COMMANDS = (spec_of(build_parser()), spec_of(collector_parser()))


def needs(*programs):
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def bash_completes(tmp_path, *words):
    """Return what bash offers for the last word."""
    script = tmp_path / "completion.bash"
    script.write_text(completion_script("bash", COMMANDS))
    line = " ".join(words)
    code = f"""
source {script}
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE={line!r}; COMP_POINT=${{#COMP_LINE}}
spec=$(complete -p "$1") && function=${{spec#*-F }} && ${{function%% *}}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(
        ["bash", "--norc", "-c", code, "bash", *words],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert done.stderr == ""
    return set(done.stdout.split("\n")) - {""}


@needs("bash")
def test_bash_completes_commands(tmp_path):
    names = {command.name for command in COMMANDS[0].commands}
    assert bash_completes(tmp_path, "pprofplus-tui", "") == names
    assert bash_completes(tmp_path, "pprofplus-tui", "ex") == {"export"}
    assert "watch" in bash_completes(tmp_path, "pprofplus", "w")


@needs("bash")
def test_bash_completes_options_of_the_command_before_the_cursor(tmp_path):
    assert "--format" in bash_completes(tmp_path, "pprofplus-tui", "export", "--f")
    assert "--format" not in bash_completes(tmp_path, "pprofplus-tui", "list", "--")
    assert "--json" in bash_completes(tmp_path, "pprofplus-tui", "list", "--")


@needs("bash")
def test_bash_completes_the_value_of_an_option(tmp_path):
    assert {"csv", "json"} <= bash_completes(tmp_path, "pprofplus-tui", "export", "--format", "")
    (tmp_path / "logs").mkdir()
    (tmp_path / "file").touch()
    assert bash_completes(tmp_path, "pprofplus-tui", "--dir", "") == {"logs"}
    assert bash_completes(tmp_path, "pprofplus-tui", "--config", "fi") == {"file"}
    assert bash_completes(tmp_path, "pprofplus-tui", "--service", "") == set()


@needs("bash")
def test_bash_does_not_take_the_value_of_an_option_for_a_command(tmp_path):
    assert "demo" in bash_completes(tmp_path, "pprofplus-tui", "--service", "export", "de")


@needs("bash")
def test_bash_completes_the_choices_of_an_argument(tmp_path):
    assert bash_completes(tmp_path, "pprofplus-tui", "completion", "") == set(SHELLS)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_accepts_the_syntax_of_its_script(shell, tmp_path):
    if shutil.which(shell) is None:
        pytest.skip(f"not installed: {shell}")
    script = tmp_path / "script"
    script.write_text(completion_script(shell, COMMANDS))
    done = subprocess.run([shell, "-n", str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@needs("fish")
def test_fish_completes_commands_options_and_choices(tmp_path):
    script = tmp_path / "completion.fish"
    script.write_text(completion_script("fish", COMMANDS))

    def offers(line):
        done = subprocess.run(
            ["fish", "--no-config", "-c", f"source {script}; complete -C '{line}'"],
            capture_output=True,
            text=True,
            check=True,
            env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        )
        return {offer.partition("\t")[0] for offer in done.stdout.splitlines()}

    assert {command.name for command in COMMANDS[0].commands} <= offers("pprofplus-tui ")
    assert "--json" in offers("pprofplus-tui list --")
    assert "--json" not in offers("pprofplus-tui export --")
    assert {"csv", "json"} <= offers("pprofplus-tui export --format ")
    assert set(SHELLS) <= offers("pprofplus-tui completion ")


@needs("zsh")
def test_zsh_registers_the_functions(tmp_path):
    script = tmp_path / "completion.zsh"
    script.write_text(completion_script("zsh", COMMANDS))
    code = f"autoload -Uz compinit && compinit -u -d {tmp_path}/dump && source {script} && "
    code += "print $_comps[pprofplus-tui] $_comps[pprofplus]"
    done = subprocess.run(
        ["zsh", "-f", "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["_pprofplus_tui", "_pprofplus"]


def all_of(command: CommandSpec):
    yield command
    for below in command.commands:
        yield from all_of(below)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_the_page_names_every_command_and_option(command):
    page = man_page(command, "1.0").replace("\\-", "-").replace("\\fB", "").replace("\\fR", "")
    for one in all_of(command):
        assert one.name in page
        for word in one.options:
            assert all(flag in page for flag in word.flags)


@needs("mandoc")
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_mandoc_accepts_the_page(command):
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning"],
        input=man_page(command, "1.0"),
        capture_output=True,
        text=True,
        check=False,
    )
    faults = [line for line in done.stdout.splitlines() if "STYLE" not in line]
    # the page has no date: it has the version of the program
    assert [line for line in faults if "missing date" not in line] == []


@needs("man", "groff")
def test_man_shows_the_page(tmp_path):
    page = tmp_path / "pprofplus-tui.1"
    page.write_text(man_page(COMMANDS[0], "1.0"))
    done = subprocess.run(
        ["man", "-l", str(page)],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "MANWIDTH": "80", "LC_ALL": "C.UTF-8"},
    )
    assert "NAME pprofplus-tui - watch the memory" in " ".join(done.stdout.split())


def test_no_text_of_the_parser_is_a_roff_request():
    parser = argparse.ArgumentParser(prog="x", description=".so /etc/passwd\n'br \\fB-x")
    parser.add_argument("--y", help=".ex 100 % of é", default=1)
    parser._actions[-1].help = ".ex é"
    page = man_page(spec_of(parser), "1.0")
    assert all(
        line.split()[0] in {".TH", ".SH", ".SS", ".TP", ".br", ".I"}
        for line in page.splitlines()
        if line[:1] in {".", "'"}
    )
    assert page.isascii()


@pytest.mark.parametrize("words", [("man",), ("man", "pprofplus"), ("completion", "bash")])
def test_they_are_printed_without_importing_textual_or_numpy(words):
    code = "import sys, pprofplus_tui.cli as cli; code = cli.main(sys.argv[1:]);"
    code += "sys.exit(code or any(name in sys.modules for name in ('textual', 'numpy')))"
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) > 40
