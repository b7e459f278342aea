"""What the keys do in the views of several runs: those of time as everywhere, and their own."""

from pprofplus_tui.model.keys import KEYS, Key

_OWN = "Several runs"
_SHARED = frozenset({"pan", "zoom", "start", "live", "fit", "freeze", "cursor"})

STUDY_KEYS: tuple[Key, ...] = (
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
    *(key for key in KEYS if key.action.partition("(")[0] in _SHARED),
    *(key for key in KEYS if key.action in {"help", "quit"}),
)
