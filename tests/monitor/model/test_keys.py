"""The key table: it has no conflicts, and bindings, help and palette are made from it."""

import re
from itertools import chain, pairwise

import pytest

from pprofplus_tui.app import MonitorApp
from pprofplus_tui.commands.open_monitor import local_backend
from pprofplus_tui.model.charts import CHARTS, charts_for
from pprofplus_tui.model.keys import KEYS
from pprofplus_tui.model.options import Options
from pprofplus_tui.screens.help_page import key_table
from pprofplus_tui.screens.monitor import MonitorScreen

# tmux and screen intercept the first two; some terminals do not send the others
FORBIDDEN = re.compile(r"ctrl\+[ab]|(shift|ctrl|alt)\+.*(up|down|left|right|home|end)")


def names_of(key):
    return key.keys.split(",")


def name_and_argument(action):
    name, _, argument = action.partition("(")
    return name, argument.rstrip(")")


@pytest.fixture
def app(tmp_path):
    return MonitorApp(Options(directories=(str(tmp_path),)), local_backend([str(tmp_path)]))


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.action)
def test_every_action_is_defined_by_the_screen_or_the_application(key, app):
    name = f"action_{name_and_argument(key.action)[0]}"
    assert callable(getattr(app.monitor, name, None) or getattr(app, name, None))


def test_every_action_of_the_screen_has_a_key():
    inherited = {name for base in MonitorScreen.__mro__[1:] for name in vars(base)}
    own = {
        name.removeprefix("action_")
        for name in vars(MonitorScreen)
        if name.startswith("action_") and name not in inherited
    }
    assert own <= {name_and_argument(key.action)[0] for key in KEYS}


def test_no_key_has_two_actions():
    names = list(chain.from_iterable(map(names_of, KEYS)))
    assert sorted(names) == sorted(set(names))


def test_no_two_rows_have_the_same_action():
    assert len({key.action for key in KEYS}) == len(KEYS)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.action)
def test_every_action_has_a_key_that_terminals_pass_on(key):
    assert [name for name in names_of(key) if not FORBIDDEN.fullmatch(name)]


def test_the_screen_binds_every_key_of_the_table(app):
    bound = {
        (name, binding.action)
        for name, bindings in app.monitor._bindings.key_to_bindings.items()
        for binding in bindings
    }
    for key in KEYS:
        if key.action != "command_palette":
            for name in names_of(key):
                assert (name, key.action) in bound


def test_the_palette_opens_with_the_key_of_the_table():
    (key,) = [key for key in KEYS if key.action == "command_palette"]
    assert key.keys == MonitorApp.COMMAND_PALETTE_BINDING


def test_the_palette_offers_every_row_and_both_backgrounds(app):
    titles = [command.title for command in app.get_system_commands(app.monitor)]
    assert titles[: len(KEYS) - 1] == [key.text for key in KEYS if key.action != "command_palette"]
    assert titles[len(KEYS) - 1 :] == ["Use the dark background", "Use the light background"]


@pytest.mark.parametrize("plain", [False, True], ids=["drawn", "plain"])
def test_the_help_lists_every_row_under_its_group(plain):
    first, second = (list(column.cells) for column in key_table(plain=plain).columns)
    groups = list(dict.fromkeys(key.group for key in KEYS))
    assert [str(cell) for cell in first if str(cell) in groups] == groups
    lines = {(str(keys), str(text)) for keys, text in zip(first, second, strict=True)}
    assert {(key.plain if plain else key.shown, key.text) for key in KEYS} <= lines


def test_rows_of_one_group_are_adjacent():
    groups = [key.group for key in KEYS]
    assert sum(one != other for one, other in pairwise(groups)) + 1 == len(set(groups))


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.action)
def test_every_row_has_ascii_keys_and_a_capitalized_text(key):
    assert key.plain.isascii()
    assert key.text[0].isupper()
    assert not key.text.endswith(".")


def test_every_chart_has_a_digit_key():
    digits = {key.keys: key.action for key in KEYS if key.action.startswith("chart(")}
    own = charts_for(tuple((f"g{i}", f"u{i}", "gauge") for i in range(2))).own
    assert digits == {chart.key: f"chart('{chart.id}')" for chart in (*CHARTS, *own)}


@pytest.mark.parametrize("group", ["Time", "Charts", "Runs"])
async def test_without_a_run_every_key_leaves_the_monitor_open(tmp_path, group):
    app = MonitorApp(Options(directories=(str(tmp_path),)), local_backend([str(tmp_path)]))
    async with app.run_test(size=(100, 30)) as pilot:
        for key in KEYS:
            if key.group == group:
                await pilot.press(*names_of(key))
        await pilot.pause()
        assert app.screen is app.monitor
        assert app.monitor.run is None
