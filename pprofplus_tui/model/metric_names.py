"""Checks names of metrics that the user typed, and suggests similar ones."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from pprofplus_tui.model.text import clean

_NEAR = 3
_NAMED = 12  # of all names, if none is similar
_CELLS = 40  # of a name from a log, which may be long


def unknown(wanted: Iterable[str], known: Sequence[str]) -> str:
    """Return one line about the first unknown name, with similar names, or ""."""
    for name in wanted:
        if name in known:
            continue
        shown = [clean(other, _CELLS) for other in known]
        near = get_close_matches(name.lower(), shown, _NEAR, 0.5)
        near += [other for other in shown if name and name in other and other not in near]
        if near:
            hint = f"similar names: {', '.join(near[:_NAMED])}"
        else:
            rest = ", …" if len(shown) > _NAMED else ""
            hint = f"it has {', '.join(shown[:_NAMED])}{rest}" if shown else "it has none"
        return f"no metric '{clean(name, _CELLS)}' in this log; {hint}"
    return ""
