"""Makes the tables of the documents from tables in the code.

python tests/documents/document_tables.py    # writes them into the documents
"""

import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from pathlib import Path

from pprofplus.cli import SUBCOMMANDS as COLLECTOR_SUBCOMMANDS
from pprofplus.metrics import CATALOGUE
from pprofplus_tui.commands.table import SUBCOMMANDS as MONITOR_SUBCOMMANDS
from pprofplus_tui.config.config_value import Config
from pprofplus_tui.config.settings_table import TOP
from pprofplus_tui.model.comparison_keys import comparison_keys
from pprofplus_tui.model.events import KINDS
from pprofplus_tui.model.explanations import SIGNPOSTS
from pprofplus_tui.model.keys import KEYS, Key
from pprofplus_tui.model.runs import (
    MEANINGS,
    PIN_SIGN,
    PINNED_MEANING,
    PLAIN_PIN_SIGN,
    PLAIN_SIGNS,
    SIGNS,
    state_label,
)
from pprofplus_tui.model.verdict import LAYER_BY_ID

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
# the actions that the main README shows
FIRST_ACTIONS = (
    *("run(-1)", "run(1)", "pan(-0.25)", "pan(0.25)", "zoom(-1)", "zoom(1)", "fit", "live"),
    *("cursor(-1)", "cursor(1)", "maximise", "events", "explain", "export", "help", "quit"),
)
# the help names the metrics of a layer; the main README names the charts
SYMPTOMS = {
    "objects": "*python heap*: `used` grows",
    "fragmentation": "*python heap*: `used` falls, `sys` stays up",
    "c_heap": "*C heap*: `used` grows, the Python heap does not",
    "c_free": "*C heap*: `free` is large",
    "other": "RSS grows and none of those",
}


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown, with a newline at its end."""
    lines = [_line(headings), "|" + "---|" * len(headings), *map(_line, rows)]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _keys(keys: Iterable[Key]) -> str:
    shown = (" ".join(f"`{name}`" for name in key.shown.split(" ")) for key in keys)
    return table(("key", "does"), zip(shown, (key.text for key in keys), strict=True))


def _all_keys() -> str:
    return _keys([key for _, keys in groupby(KEYS, lambda key: key.group) for key in keys])


def _first_keys() -> str:
    by_action = {key.action: key for key in KEYS}
    return _keys([by_action[action] for action in FIRST_ACTIONS])


def _comparison_keys() -> str:
    everywhere = {key.action for key in KEYS}
    return _keys([key for key in comparison_keys() if key.action not in everywhere])


def _layers() -> str:
    layers = [LAYER_BY_ID[layer] for _, layer in SIGNPOSTS]
    rows = ((SYMPTOMS[layer.id], layer.meaning, layer.action) for layer in layers)
    return table(("what you see", "what it means", "what to do next"), rows)


def _states() -> str:
    rows = [
        (f"`{sign}`", f"`{PLAIN_SIGNS[state]}`", state_label(state), MEANINGS[state])
        for state, sign in SIGNS.items()
    ]
    rows.append((f"`{PIN_SIGN}`", f"`{PLAIN_PIN_SIGN}`", "pinned", PINNED_MEANING))
    return table(("sign", "in ASCII", "state", "meaning"), rows)


def _events() -> str:
    return table(("event", "meaning"), ((kind.word, kind.meaning) for kind in KINDS.values()))


def _metrics() -> str:
    return table(
        ("metric", "unit", "kind", "meaning", "in Go"),
        (
            (f"`{one.name}`", one.unit, one.kind, one.meaning, f"`{one.go}`" if one.go else "")
            for one in CATALOGUE
        ),
    )


def _commands(rows: Iterable[tuple[str, str]]) -> str:
    return table(("command", "does"), ((f"`{name}`", text) for name, text in rows))


def _settings() -> str:
    default = Config()
    rows = (
        (f"`{one.name}`", one.help, f"`{json.dumps(getattr(default, one.name))}`") for one in TOP
    )
    return table(("setting", "meaning", "default"), rows)


def _layers_of(package: str) -> str:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = (
        contract["layers"]
        for contract in contracts["contracts"]
        if contract["type"] == "layers" and contract["containers"] == [package]
    )
    rows = ([str(number), _modules(layer)] for number, layer in enumerate(layers, start=1))
    return table(("layer", "modules"), rows)


def _modules(layer: str) -> str:
    return ", ".join(f"`{name}`" for name in layer.split(" | "))


TABLES: dict[tuple[str, str], Callable[[], str]] = {
    ("README.md", "layers"): _layers,
    ("README.md", "first keys"): _first_keys,
    ("pprofplus_tui/README.md", "keys"): _all_keys,
    ("pprofplus_tui/README.md", "comparison keys"): _comparison_keys,
    ("pprofplus_tui/README.md", "states"): _states,
    ("pprofplus_tui/README.md", "events"): _events,
    ("pprofplus_tui/README.md", "settings"): _settings,
    ("pprofplus_tui/README.md", "monitor commands"): lambda: _commands(
        (one.name, one.help) for one in MONITOR_SUBCOMMANDS
    ),
    ("collector/README.md", "metrics"): _metrics,
    ("collector/README.md", "collector commands"): lambda: _commands(COLLECTOR_SUBCOMMANDS),
    (".github/CONTRIBUTING.md", "collector layers"): lambda: _layers_of("pprofplus"),
    (".github/CONTRIBUTING.md", "monitor layers"): lambda: _layers_of("pprofplus_tui"),
}
"""The functions by (document, name in the marker)."""


def table_in(text: str, name: str) -> re.Match[str]:
    """Return the match of a table after its marker: group 1 is the table."""
    found = re.search(rf"<!-- made from code: {re.escape(name)} -->\n((?:\|.*\n)*)", text)
    if found is None:
        raise LookupError(f"no marker <!-- made from code: {name} -->")
    return found


def main() -> int:
    """Write all tables into the documents; return the exit code."""
    for (document, name), make in TABLES.items():
        path = ROOT / document
        text = path.read_text()
        begin, end = table_in(text, name).span(1)
        path.write_text(text[:begin] + make() + text[end:])
    return 0


if __name__ == "__main__":
    sys.exit(main())
