"""The table of subcommands: what a row and its module must have, and which modules are loaded."""

import subprocess
import sys
from pathlib import Path

import pytest

import pprofplus_tui.commands
from pprofplus_tui.commands.table import MONITOR, SUBCOMMANDS, build_parser, subcommand

PACKAGE = Path(pprofplus_tui.commands.__file__).parent


@pytest.mark.parametrize("row", SUBCOMMANDS, ids=lambda row: row.name)
def test_the_module_of_each_row_adds_arguments_and_runs(row):
    module = row.load()
    assert callable(module.add_arguments)
    assert callable(module.run)
    assert row.help


def test_each_module_with_add_arguments_has_a_row():
    named = {row.module or row.name for row in SUBCOMMANDS}
    found = {
        path.stem for path in PACKAGE.glob("*.py") if "\ndef add_arguments(" in path.read_text()
    }
    assert found == named


def test_without_a_subcommand_the_monitor_opens():
    assert subcommand(None) is MONITOR


def loaded_by(code):
    """Return the names of all modules that are imported after the code."""
    code += "; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_parser_of_a_command_line_imports_only_the_subcommand_in_it():
    code = "from pprofplus_tui.commands.table import build_parser; build_parser(['pack', 'a/1'])"
    loaded = loaded_by(code)
    assert "pprofplus_tui.commands.pack" in loaded
    assert "pprofplus_tui.commands.export" not in loaded


def test_the_whole_parser_needs_no_package_of_the_extra():
    loaded = loaded_by("from pprofplus_tui.commands.table import build_parser; build_parser()")
    assert "pprofplus_tui.commands.plot" in loaded
    assert not {"numpy", "textual", "plotext", "rich"} & loaded


@pytest.mark.parametrize("row", SUBCOMMANDS, ids=lambda row: row.name)
def test_the_parser_of_a_command_line_has_all_arguments_of_its_subcommand(row):
    def help_of(parser):
        (action,) = (each for each in parser._actions if each.dest == "command")
        return action.choices[row.name].format_help()

    assert help_of(build_parser([row.name])) == help_of(build_parser())
