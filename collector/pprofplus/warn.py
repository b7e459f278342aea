"""What the collector has to say to the host: one line per kind of trouble, and never too often."""

from __future__ import annotations

from time import monotonic_ns

# a trouble that ended and came back is told of again, no sooner than this
AGAIN_S = 3600
_LONGEST = 500

_said: set[str] = set()
_said_ns: dict[str, int] = {}


def say_once(kind: str, text: str) -> None:
    """Log a warning, unless one of its kind was logged in this process or its parent.

    Call it without holding a lock: the host's log handlers run in here.
    """
    if kind in _said:
        return
    _said.add(kind)
    if not _log(text):
        _said.discard(kind)


def say_again(kind: str, text: str) -> bool:
    """Log a warning of a trouble that began; False if it is too soon after the last of its kind.

    Call it without holding a lock, as above.
    """
    now_ns = monotonic_ns()
    said_ns = _said_ns.get(kind)
    if said_ns is not None:
        if now_ns - said_ns < AGAIN_S * 1e9:
            return False
        _said_ns.pop(kind, None)
    # one step, for start() and the thread that it started speak at the same time; no lock, for a
    # fork would leave it held
    if _said_ns.setdefault(kind, now_ns) is not now_ns:
        return False
    if _log(text):
        return True
    _said_ns.pop(kind, None)
    return False


def say_over(text: str) -> None:
    """Log, for information, that a trouble is over."""
    _log(text, over=True)


def describe(error: BaseException) -> str:
    """Return what an error says of itself, whatever its own code does."""
    try:
        return repr(error)
    except Exception:  # noqa: BLE001 - the outer edge: it may be of the host's own class
        return type(error).__name__


def _log(text: str, *, over: bool = False) -> bool:
    """Log one printable line of bounded length; False if logging cannot be had now."""
    line = "".join(letter if letter.isprintable() else "?" for letter in text[:_LONGEST])
    try:
        # imported here: 5 ms and 1 MB, for a service that has nothing to be told
        import logging  # noqa: PLC0415
    except Exception:  # noqa: BLE001 - no descriptor or no memory to load it: later, perhaps
        return False
    try:
        logger = logging.getLogger("pprofplus")
        (logger.info if over else logger.warning)("%s", line)
    except Exception:  # noqa: BLE001, S110 - the outer edge: a log handler of the host's failed
        pass
    return True
