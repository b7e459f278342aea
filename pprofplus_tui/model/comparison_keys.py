"""The key table of a comparison: its own keys, and those of time from the main table."""

from pprofplus_tui.model.keys import KEYS, Key

_OWN = "Comparison"
_SHARED = frozenset({"pan", "zoom", "start", "live", "fit", "freeze", "cursor"})
_LAST = frozenset({"picture", "help", "command_palette", "quit"})

_OWN_KEYS: tuple[Key, ...] = (
    Key("a", "align", "a", "a", "Align the runs to their starts, or to the clock", _OWN, "a align"),
    Key(
        "o", "rank", "o", "o", "Highlight the fastest-growing runs, or the largest", _OWN, "o rank"
    ),
    Key("tab", "metric(1)", "Tab", "Tab", "Show the next metric", _OWN, "Tab metric"),
    Key("shift+tab", "metric(-1)", "⇧Tab", "S-Tab", "Show the previous metric", _OWN),
    Key(
        "escape",
        "leave",
        "Esc",
        "Esc",
        "Remove the time cursor; without one, close the comparison",
        _OWN,
        "Esc back",
    ),
)


def comparison_keys(keys: tuple[Key, ...] = KEYS) -> tuple[Key, ...]:
    """Return the keys of a comparison, where `keys` are those of the main screen."""
    taken = {name for key in _OWN_KEYS for name in key.keys.split(",")}
    shared = [key for key in keys if key.action.partition("(")[0] in _SHARED]
    last = [key for key in keys if key.action in _LAST]
    free = [key for key in (*shared, *last) if not taken & set(key.keys.split(","))]
    return (*_OWN_KEYS, *free)
