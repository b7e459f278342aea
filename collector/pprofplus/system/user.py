"""The user that the process runs as, and detection of a permanent change of user."""

from __future__ import annotations

import os
from time import monotonic_ns

# between two attempts to begin a run as the new user
_AGAIN_NS = 60_000_000_000


class User:
    """The user whose run is recorded.

    A server that starts as root drops its rights after `start()`. What it then opens belongs to
    another user, and segments of that user cannot continue the run of the first.

    Attributes:
        recorded: the real and the effective user whose run is recorded.
    """

    __slots__ = ("_again_ns", "_seen", "recorded")

    def __init__(self) -> None:
        self.recorded = self._seen = current_ids()
        self._again_ns = 0

    def accept(self) -> None:
        """Accept the current user as the one whose run is recorded."""
        self.recorded = self._seen = current_ids()

    def changed_uid(self) -> int | None:
        """Return the new effective user after a change of user, else None; call once a sample.

        A change of the effective user alone may be temporary: it must be seen twice. A change that
        is not followed by `accept` is reported again after a minute.
        """
        user, recorded = current_ids(), self.recorded
        if user == recorded:
            self._seen = user
            return None
        settled, self._seen = user == self._seen or user[0] != recorded[0], user
        if user[1] == recorded[1] or not settled or monotonic_ns() < self._again_ns:
            return None  # a change of the real user alone does not change write permissions
        self._again_ns = monotonic_ns() + _AGAIN_NS
        return user[1]


def current_ids() -> tuple[int, int]:
    """Return the real and the effective user of the process; zeros on platforms without users."""
    return (os.getuid(), os.geteuid()) if hasattr(os, "geteuid") else (0, 0)
