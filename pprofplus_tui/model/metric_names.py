"""Names of metrics that somebody typed: which are there, and which were meant."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from pprofplus_tui.model.text import clean

_NEAR = 3
_NAMED = 12  # of all there are, where none is near
_CELLS = 40  # of a name that a log made up


def unknown(wanted: Iterable[str], known: Sequence[str]) -> str:
    """Return one line about the first name that is not known, with those near it, or ""."""
    for name in wanted:
        if name in known:
            continue
        shown = [clean(other, _CELLS) for other in known]
        near = get_close_matches(name.lower(), shown, _NEAR, 0.5)
        near += [other for other in shown if name and name in other and other not in near]
        if near:
            hint = f"near it: {', '.join(near[:_NAMED])}"
        else:
            rest = ", …" if len(shown) > _NAMED else ""
            hint = f"there are {', '.join(shown[:_NAMED])}{rest}" if shown else "there are none"
        return f"no metric '{clean(name, _CELLS)}' in this log; {hint}"
    return ""
