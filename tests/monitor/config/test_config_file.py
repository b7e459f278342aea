"""The settings file: valid settings take effect, and each error is reported with its line."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from pprofplus_tui.app import MonitorApp
from pprofplus_tui.cli import main
from pprofplus_tui.commands.open_monitor import local_backend
from pprofplus_tui.commands.settings_in_effect import is_light
from pprofplus_tui.config.config_file import ConfigError, default_path, parse_config
from pprofplus_tui.config.config_template import config_template
from pprofplus_tui.config.config_value import Config
from pprofplus_tui.config.key_names import key_name
from pprofplus_tui.config.settings_table import TONES
from pprofplus_tui.model.keys import KEYS, rebound
from pprofplus_tui.model.options import Options
from pprofplus_tui.screens.help_page import key_table
from pprofplus_tui.widgets.theme import NIGHT, TokenColours

FULL = """\
theme = "light"
window = "1h30m"
directories = ["/srv/logs", "~/logs"]
no_mouse = true
low_bandwidth = true
ascii = true
charts = ["memory", "gc"]
log_charts = ["memory"]
total_charts = ["cpu"]

[colours]
background = "#000000"
lines = ["#000001", "#000002", "#000003", "#000004", "#000005", "#000006"]

[keys]
freeze = ["f", "/", "ctrl+f"]
"pan(-0.25)" = ["a"]
"""


def run_main(capfd, *words):
    try:
        code = main([str(word) for word in words])
    except SystemExit as end:
        code = end.code
    written = capfd.readouterr()
    return code, written.out, written.err


def test_every_setting_is_read():
    config = parse_config(FULL, "tui.toml")
    assert config == Config(
        theme="light",
        window="1h30m",
        directories=("/srv/logs", str(Path("~/logs").expanduser())),
        no_mouse=True,
        low_bandwidth=True,
        ascii=True,
        charts=("memory", "gc"),
        log_charts=("memory",),
        total_charts=("cpu",),
        colours={"background": "#000000"},
        lines=tuple(f"#00000{i}" for i in range(1, 7)),
        keys={"freeze": ("f", "slash", "ctrl+f"), "pan(-0.25)": ("a",)},
    )
    assert config.window_ms == 90 * 60_000


def test_an_empty_file_changes_nothing():
    assert parse_config("", "tui.toml") == Config()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('theme = "blue"', "tui.toml:1: theme: must be one of auto, dark, light"),
        ('\nwindow = "15"', "tui.toml:2: window: '15' is not a time span"),
        ("window = 15", "tui.toml:1: window: must be a span of time in quotes"),
        ('# so\n\nno_mouse = "yes"', "tui.toml:3: no_mouse: must be true or false"),
        ("ascii = 1", "tui.toml:1: ascii: must be true or false"),
        ('directories = ["logs"]', "tui.toml:1: directories: 'logs' must begin with / or ~"),
        ("directories = 5", "tui.toml:1: directories: must be a list of strings"),
        (
            'charts = ["memroy"]',
            "tui.toml:1: charts: 'memroy' is not a chart; did you mean memory?",
        ),
        ("log_charts = ['layers']", "'layers' is a stack, which has no logarithmic axis"),
        ("charts = []", "tui.toml:1: charts: must name at least one chart"),
        ("thme = 1", "tui.toml:1: thme: unknown setting; did you mean theme?"),
        ("[colours]\nbar = 'red'", "tui.toml:2: colours.bar: must be a colour such as"),
        ("[colours]\nbra = '#000000'", "tui.toml:2: colours.bra: unknown setting"),
        ("[colours]\nlines = ['#000000']", "tui.toml:2: colours.lines: must have 6 colours"),
        ("[keys]\nfrezee = ['f']", "did you mean freeze?"),
        ("[keys]\n\nfreeze = ['nokey']", "tui.toml:3: keys.freeze: 'nokey' is not a key"),
        ("[keys]\nfreeze = 'f'", "tui.toml:2: keys.freeze: must be a list of strings"),
        ("[keys]\nfreeze = ['ctrl+c']", "tui.toml:2: keys.freeze: ctrl+c always quits"),
        (
            "[keys]\nfreeze = ['f']\nexport = ['f']",
            "tui.toml:3: keys.export: 'f' is already the key of freeze",
        ),
        ("keys = 5", "tui.toml:1: keys: must be a table"),
        ("keys.freeze = 5", "tui.toml:1: keys.freeze: must be a list of strings"),
        ("theme = \n", "line 1"),
        ("\n\n= 3", "line 3"),
        ("a = " + "[" * 5000, "tui.toml: "),
        ('"\\u001b]0;x\\u0007" = 1', r"\x1b]0;x\x07: unknown setting"),
    ],
    ids=lambda value: value[:25] if isinstance(value, str) else "",
)
def test_each_error_is_reported_with_its_line(text, message):
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "tui.toml")
    (line,) = caught.value.lines
    assert message in line
    assert line.isprintable()


def test_all_errors_are_reported_together():
    with pytest.raises(ConfigError) as caught:
        parse_config("theme = 1\nwindow = 2\n[keys]\nx = 3", "tui.toml")
    assert len(caught.value.lines) == 3


def test_the_printed_file_gives_the_same_settings_when_read():
    for config in (Config(), parse_config(FULL, "tui.toml")):
        lines = list(config_template(config, None, vars(NIGHT)))
        assert parse_config("\n".join(lines), "tui.toml") == config


def test_the_printed_file_has_every_setting_as_a_comment():
    """Without the # each setting has the value that is in effect."""
    lines = [
        line.removeprefix("# ") if " = " in line or line == "[keys]" else line
        for line in config_template(Config(), None, vars(NIGHT))
    ]
    found = parse_config("\n".join(lines), "tui.toml")
    assert set(found.keys) == {key.action for key in KEYS if key.action != "command_palette"}
    assert rebound(found.keys) == KEYS
    assert set(found.colours) == set(TONES)


def test_the_tones_are_those_of_the_theme():
    assert tuple(vars(NIGHT)) == TONES


def test_the_default_path_follows_the_xdg_specification():
    assert default_path({"HOME": "/h"}) == Path("/h/.config/pprofplus/tui.toml")
    assert default_path({"HOME": "/h", "XDG_CONFIG_HOME": "/x"}) == Path("/x/pprofplus/tui.toml")
    assert default_path({"HOME": "/h", "XDG_CONFIG_HOME": "x"}) == Path(
        "/h/.config/pprofplus/tui.toml"
    )
    assert default_path({}) is None


def test_errors_in_a_named_file_end_the_command_with_a_line_each(capfd, tmp_path):
    path = tmp_path / "tui.toml"
    path.write_text("theme = 1\nwindow = 2\n")
    code, out, err = run_main(capfd, "--config", path, "list")
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        f"pprofplus-tui: {path}:1: theme: must be one of auto, dark, light",
        f'pprofplus-tui: {path}:2: window: must be a span of time in quotes, such as "15m"',
    ]


def test_a_missing_named_file_ends_the_command(capfd, tmp_path):
    code, _, err = run_main(capfd, "config", "--config", tmp_path / "none")
    assert code == 2
    assert err == f"pprofplus-tui: {tmp_path}/none: no such file\n"


def test_an_invalid_default_file_is_reported_and_ignored(capfd, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "pprofplus").mkdir()
    (tmp_path / "pprofplus" / "tui.toml").write_text("theme = 1\n")
    code, out, err = run_main(capfd, "config")
    assert code == 0
    assert err.count("\n") == 1
    assert "tui.toml:1: theme: must be one of" in err
    assert '# theme = "auto"' in out


@pytest.mark.parametrize("data", [b"\xff", b"#" * ((1 << 20) + 1)], ids=["bytes", "long"])
def test_a_file_that_is_not_text_is_reported(capfd, tmp_path, data):
    path = tmp_path / "tui.toml"
    path.write_bytes(data)
    code, _, err = run_main(capfd, "--config", path, "list")
    assert code == 2
    assert err.count("\n") == 1


def test_settings_apply_where_the_command_line_has_no_option(capfd, tmp_path):
    home = tmp_path / "logs"
    home.mkdir()
    path = tmp_path / "tui.toml"
    path.write_text(f'directories = ["{home}"]\n')
    code, _, err = run_main(capfd, "--config", path, "list")
    assert code == 1
    assert str(home) in err


def test_the_background_comes_from_the_file_or_from_the_terminal():
    assert not is_light(Config(), {})
    assert is_light(Config(), {"COLORFGBG": "0;15"})
    assert not is_light(Config(), {"COLORFGBG": "15;0"})
    assert is_light(Config(), {"COLORFGBG": "0;default;15"})
    assert not is_light(Config(theme="dark"), {"COLORFGBG": "0;15"})
    assert is_light(Config(theme="light"), {})


@pytest.mark.parametrize(
    ("text", "name"),
    [
        *[("a", "a"), ("A", "A"), ("/", "slash"), ("-", "minus"), ("[", "left_square_bracket")],
        *[("ctrl+r", "ctrl+r"), ("f5", "f5"), ("shift+tab", "shift+tab"), ("ctrl++", "ctrl+plus")],
        *[("?", "question_mark"), ("full_stop", "full_stop"), ("slash", "slash")],
    ],
)
def test_keys_are_named_as_textual_names_them(text, name):
    assert key_name(text) == name


@pytest.mark.parametrize("text", ["", "ctrl+", "nokey", "\x1b", "ab", " "])
def test_an_unknown_key_name_is_rejected(text):
    with pytest.raises(ValueError, match="is not a key"):
        key_name(text)


def test_a_key_given_to_an_action_is_removed_from_the_other():
    keys = {key.action: key for key in rebound({"freeze": ("e",)})}
    assert keys["freeze"].keys == "e"
    assert keys["freeze"].shown == "e"
    assert keys["freeze"].footer == "e freeze"
    assert keys["export"].keys == ""
    assert keys["pan(-1)"] in KEYS


def test_ctrl_c_always_quits():
    keys = {key.action: key for key in rebound({"quit": ("x",)})}
    assert keys["quit"].keys == "x,ctrl+c"


def test_the_help_shows_the_rebound_keys():
    console = Console(width=80, file=io.StringIO())
    console.print(key_table(plain=False, keys=rebound({"help": ("f4", "X")})))
    (line,) = [line for line in console.file.getvalue().splitlines() if "Show the help" in line]
    assert line.split("Show")[0].split() == ["F4", "X"]


async def test_the_keys_of_the_file_run_their_actions(tmp_path):
    keys = rebound({"help": ("x",), "quit": ("z",)})
    app = MonitorApp(
        Options(directories=(str(tmp_path),), keys=keys, colours=()),
        local_backend([str(tmp_path)]),
    )
    async with app.run_test() as pilot:
        await pilot.press("question_mark")
        assert len(app.screen_stack) == 1
        await pilot.press("x")
        assert len(app.screen_stack) == 2
        await pilot.press("escape")
        await pilot.press("z")
    assert app.return_code == 0


async def test_the_charts_of_the_file_are_shown_first(tmp_path):
    looks = parse_config(FULL, "tui.toml").chart_options
    app = MonitorApp(
        Options(directories=(str(tmp_path),), chart_options=looks), local_backend([str(tmp_path)])
    )
    async with app.run_test():
        assert app.monitor.view.shown == ("memory", "gc")
        assert app.monitor.view.log == {"memory"}
        assert app.monitor.view.levels == {"cpu"}


def test_the_colours_of_the_file_are_used():
    paint = TokenColours.standard(dark=True, own=(("background", "#000001"), ("line0", "#000002")))
    assert paint["text"].bgcolor.name == "#000001"
    assert paint["line0"].color.name == "#000002"


async def test_a_warning_is_shown_on_the_screen(tmp_path):
    notice = "x.toml:1: [bold]theme[/]"
    app = MonitorApp(
        Options(directories=(str(tmp_path),), notice=notice), local_backend([str(tmp_path)])
    )
    async with app.run_test(notifications=True) as pilot:
        await pilot.pause()
        assert [note.message for note in app._notifications] == [notice]


def test_the_settings_do_not_import_textual():
    code = "import sys, pprofplus_tui.config.config_file, pprofplus_tui.config.config_template; "
    code += "print([m for m in sys.modules if m == 'textual'])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout == "[]\n"
