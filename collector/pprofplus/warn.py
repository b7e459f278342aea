"""Warnings to the host's `logging`: one line per kind of problem, limited in rate."""

from __future__ import annotations

from time import monotonic_ns

# a problem that ended and came back is logged again after this time at the earliest
THROTTLE_S = 3600
_MAX_LENGTH = 500

_warned: set[str] = set()
_warned_ns: dict[str, int] = {}


def warn_once(kind: str, text: str) -> None:
    """Log a warning, unless one of its kind was logged in this process or its parent.

    Do not hold a lock when you call it: the host's log handlers run inside.
    """
    if kind in _warned:
        return
    _warned.add(kind)
    if not _log(text):
        _warned.discard(kind)


def warn_throttled(kind: str, text: str) -> bool:
    """Log a warning about a new problem; False if the last one of its kind is too recent.

    Do not hold a lock when you call it, as above.
    """
    now_ns = monotonic_ns()
    warned_ns = _warned_ns.get(kind)
    if warned_ns is not None:
        if now_ns - warned_ns < THROTTLE_S * 1e9:
            return False
        _warned_ns.pop(kind, None)
    # One atomic step, because start() and the thread that it started may warn at the same time. A
    # lock would stay held in a forked child.
    if _warned_ns.setdefault(kind, now_ns) is not now_ns:
        return False
    if _log(text):
        return True
    _warned_ns.pop(kind, None)
    return False


def log_recovery(text: str) -> None:
    """Log, at level INFO, that a problem is over."""
    _log(text, over=True)


def describe(error: BaseException) -> str:
    """Return the `repr` of an error, or its class if `repr` raises."""
    try:
        return repr(error)
    except Exception:  # noqa: BLE001 - outer boundary: a class of the host may raise anything
        return type(error).__name__


def _log(text: str, *, over: bool = False) -> bool:
    """Log one printable line of limited length; False if `logging` cannot be loaded now."""
    line = "".join(letter if letter.isprintable() else "?" for letter in text[:_MAX_LENGTH])
    try:
        # imported only when needed: it costs 5 ms and 1 MB, and most services never log a warning
        import logging
    except Exception:  # noqa: BLE001 - no descriptor or memory to load it: try later
        return False
    try:
        logger = logging.getLogger("pprofplus")
        (logger.info if over else logger.warning)("%s", line)
    except Exception:  # noqa: BLE001, S110 - outer boundary: a log handler of the host failed
        pass
    return True
