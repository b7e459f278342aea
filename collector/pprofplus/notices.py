"""What the collector has to say to the host: one warning per kind of trouble."""

from __future__ import annotations

_said: set[str] = set()


def say_once(kind: str, text: str) -> None:
    """Log a warning, unless one of its kind was logged in this process or its parent.

    Call it without holding a lock: the host's log handlers run in here.
    """
    if kind in _said:
        return
    _said.add(kind)
    try:
        # imported here: 5 ms and 1 MB, for a service that has nothing to be told
        import logging  # noqa: PLC0415

        logging.getLogger("pprofplus").warning(text)
    except Exception:  # noqa: BLE001, S110 - the outer edge: a log handler of the host's failed
        pass
