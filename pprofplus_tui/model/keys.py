"""The key table, declared once: bindings, footer, help, palette and README are made from it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pprofplus_tui.model.charts import CHARTS, OWN_KEYS


@dataclass(frozen=True)
class Key:
    """One action and its keys.

    Attributes:
        keys: their names in Textual, separated by commas; the footer shows the first.
        action: the screen's action, with its argument if it has one.
        shown: the keys as help and README show them.
        plain: the same in ASCII.
        text: what the action does, a sentence without its full stop.
        group: the heading in help.
        footer: the text of the bottom line, or "" to omit the key there.
    """

    keys: str
    action: str
    shown: str
    plain: str
    text: str
    group: str
    footer: str = ""


KEYS: tuple[Key, ...] = (
    Key("up,k", "run(-1)", "↑ k", "Up k", "Show the run above in the list", "Runs", "↑↓ run"),
    Key("down,j", "run(1)", "↓ j", "Down j", "Show the run below in the list", "Runs"),
    Key(
        "left_square_bracket",
        "sibling(-1)",
        "[",
        "[",
        "Show the previous pid of the same service",
        "Runs",
        "[] pid",
    ),
    Key(
        "right_square_bracket",
        "sibling(1)",
        "]",
        "]",
        "Show the next pid of the same service",
        "Runs",
    ),
    Key("slash", "filter", "/", "/", "Filter the list of runs; Esc clears it", "Runs", "/ find"),
    Key("o", "order", "o", "o", "Order the list: newest, RSS, growth, age, name", "Runs"),
    Key("c", "mark", "c", "c", "Mark the run for a comparison, or unmark it", "Runs"),
    Key("C", "compare", "C", "C", "Compare the marked runs in one chart", "Runs"),
    Key("v", "service", "v", "v", "Show all pids of the service in one chart", "Runs"),
    Key("left,h", "pan(-0.25)", "← h", "Left h", "Go back by a quarter window", "Time", "←→ pan"),
    Key("right,l", "pan(0.25)", "→ l", "Right l", "Go forward by a quarter window", "Time"),
    Key("pageup", "pan(-1)", "PgUp", "PgUp", "Go back by one window", "Time"),
    Key("pagedown", "pan(1)", "PgDn", "PgDn", "Go forward by one window", "Time"),
    Key("home", "start", "Home", "Home", "Go to the start of the run", "Time"),
    Key("end,G", "live", "End G", "End G", "Go to now and follow", "Time", "End live"),
    Key("plus,equals_sign", "zoom(-1)", "+ =", "+ =", "Zoom in", "Time", "+- zoom"),
    Key("minus", "zoom(1)", "−", "-", "Zoom out", "Time"),
    Key("comma", "cursor(-1)", ",", ",", "Move the time cursor left", "Time", ",. cursor"),
    Key("full_stop", "cursor(1)", ".", ".", "Move the time cursor right", "Time"),
    Key(
        "b",
        "goto",
        "b",
        "b",
        "Go to a time, such as 14:05, -2h or yesterday 9:00",
        "Time",
    ),
    Key("m", "events", "m", "m", "List the events of the run, and go to one", "Time"),
    Key("0", "fit", "0", "0", "Fit the whole run", "Time", "0 all"),
    Key(
        "space",
        "freeze",
        "Space",
        "Space",
        "Freeze the display, or resume it; recording continues",
        "Time",
        "Space freeze",
    ),
    *(
        Key(
            chart.key,
            f"chart('{chart.id}')",
            chart.key,
            chart.key,
            f"Show or hide the chart: {chart.title}",
            "Charts",
            "1-7 charts" if chart.key == "1" else "",
        )
        for chart in CHARTS
    ),
    *(
        Key(
            digit,
            f"chart('{chart}')",
            digit,
            digit,
            f"Show or hide the {nth} chart of the service's own metrics, if there is one",
            "Charts",
        )
        for (chart, digit), nth in zip(OWN_KEYS, ("first", "second"), strict=True)
    ),
    Key("tab", "select_chart(1)", "Tab", "Tab", "Choose the next chart", "Charts"),
    Key("shift+tab", "select_chart(-1)", "⇧Tab", "S-Tab", "Choose the previous chart", "Charts"),
    Key(
        "enter",
        "maximise",
        "Enter",
        "Enter",
        "Show the chosen chart alone, or all again",
        "Charts",
        "Enter enlarge",
    ),
    Key(
        "y", "log", "y", "y", "Give the chosen chart a logarithmic scale, or a linear one", "Charts"
    ),
    Key(
        "r", "levels", "r", "r", "Show the chosen chart's counters as totals, or as rates", "Charts"
    ),
    Key(
        "escape",
        "back",
        "Esc",
        "Esc",
        "Remove the time cursor; leave the enlarged chart or a dialog",
        "Charts",
    ),
    Key("e", "export", "e", "e", "Export the visible window to CSV", "Files", "e export"),
    Key("s", "picture", "s", "s", "Save a screenshot", "Files"),
    Key(
        "p",
        "pin",
        "p",
        "p",
        "Pin the run, which retention then keeps, or unpin it",
        "Files",
        "p pin",
    ),
    Key(
        "ctrl+p",
        "command_palette",
        "Ctrl-P",
        "Ctrl-P",
        "Find a command by its name",
        "Program",
    ),
    Key(
        "i",
        "explain",
        "i",
        "i",
        "Explain the chart's metrics and the shape of its curves",
        "Program",
        "i explain",
    ),
    Key("question_mark,f1", "help", "? F1", "? F1", "Show the help", "Program", "? help"),
    Key(
        "ctrl+z",
        "suspend_process",
        "Ctrl-Z",
        "Ctrl-Z",
        "Suspend the monitor and return to the shell; fg resumes it",
        "Program",
    ),
    Key("q,ctrl+c", "quit", "q Ctrl-C", "q Ctrl-C", "Quit", "Program", "q quit"),
)


_SIGNS = {
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "question_mark": "?",
    "slash": "/",
    "backslash": "\\",
    "minus": "-",
    "plus": "+",
    "comma": ",",
    "full_stop": ".",
    "equals_sign": "=",
    "underscore": "_",
    "at": "@",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "escape": "Esc",
}


def _shown(name: str, *, plain: bool) -> str:
    """Return the name of a key for a reader."""
    *modifiers, last = name.split("+")
    sign = _SIGNS.get(last, last)
    if plain and not sign.isascii():
        sign = last.capitalize()
    elif len(sign) > 1 and sign == last:
        sign = sign.capitalize()
    return "-".join([*(word.capitalize() for word in modifiers), sign])


def rebound(
    changes: Mapping[str, tuple[str, ...]], table: tuple[Key, ...] = KEYS
) -> tuple[Key, ...]:
    """Return the table with other keys; `changes` has the new keys of some actions.

    A key that gets a new action loses its old one, so an action may be left without a key.
    Ctrl-C always quits.
    """
    if not changes:
        return table
    given = {name for names in changes.values() for name in names}
    found = []
    for key in table:
        names = changes.get(key.action)
        if names is None:
            names = tuple(name for name in key.keys.split(",") if name not in given)
        if key.action == "quit" and "ctrl+c" not in names:
            names = (*names, "ctrl+c")
        if ",".join(names) == key.keys:
            found.append(key)
            continue
        shown = " ".join(_shown(name, plain=False) for name in names)
        plain = " ".join(_shown(name, plain=True) for name in names)
        label = key.footer.partition(" ")[2]
        first = _shown(names[0], plain=False) if names else ""
        footer = f"{first} {label}" if key.footer and first else ""
        found.append(replace(key, keys=",".join(names), shown=shown, plain=plain, footer=footer))
    return tuple(found)
