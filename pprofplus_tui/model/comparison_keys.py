"""The keys in views of several runs: those for time as in the main screen, and their own."""

from pprofplus_tui.model.keys import KEYS, Key

_OWN = "Several runs"
_SHARED = frozenset({"pan", "zoom", "start", "live", "fit", "freeze", "cursor"})
_LAST = frozenset({"picture", "help", "command_palette", "quit"})

_OWN_KEYS: tuple[Key, ...] = (
    Key(
        "a", "align", "a", "a", "Align the runs to their starts, or show real time", _OWN, "a align"
    ),
    Key("o", "rank", "o", "o", "Tell apart what grows most, or what is largest", _OWN, "o rank"),
    Key("tab", "metric(1)", "Tab", "Tab", "Draw the next metric", _OWN, "Tab metric"),
    Key("shift+tab", "metric(-1)", "⇧Tab", "S-Tab", "Draw the previous metric", _OWN),
    Key(
        "escape",
        "leave",
        "Esc",
        "Esc",
        "Drop the time cursor, else leave the view",
        _OWN,
        "Esc back",
    ),
)


def study_keys(keys: tuple[Key, ...] = KEYS) -> tuple[Key, ...]:
    """Return the keys of a view of several runs where these are the main screen's."""
    taken = {name for key in _OWN_KEYS for name in key.keys.split(",")}
    shared = [key for key in keys if key.action.partition("(")[0] in _SHARED]
    last = [key for key in keys if key.action in _LAST]
    free = [key for key in (*shared, *last) if not taken & set(key.keys.split(","))]
    return (*_OWN_KEYS, *free)
