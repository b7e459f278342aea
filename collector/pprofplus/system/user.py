"""Whom the process runs as, and when it has become another user for good."""

from __future__ import annotations

import os
from time import monotonic_ns

# between two attempts to begin a run as the new user
_AGAIN_NS = 60_000_000_000


class User:
    """The user whose run is recorded.

    A server that begins as root gives up its rights after `start()`: what it opens from then on
    belongs to another user, and segments of that user cannot follow those of the first.

    Attributes:
        recorded: the real and the effective user whose run is recorded.
    """

    __slots__ = ("_again_ns", "_seen", "recorded")

    def __init__(self) -> None:
        self.recorded = self._seen = now()
        self._again_ns = 0

    def settle(self) -> None:
        """Take the user of now for the one whose run is recorded."""
        self.recorded = self._seen = now()

    def became(self) -> int | None:
        """Return the effective user that the process has become, else None; ask at each sample.

        A change of the effective user alone may be for a moment: it has to be seen twice. A change
        that is not followed by `settle` is reported again after a minute.
        """
        user, recorded = now(), self.recorded
        if user == recorded:
            self._seen = user
            return None
        settled, self._seen = user == self._seen or user[0] != recorded[0], user
        if user[1] == recorded[1] or not settled or monotonic_ns() < self._again_ns:
            return None  # the real user alone does not decide who may write
        self._again_ns = monotonic_ns() + _AGAIN_NS
        return user[1]


def now() -> tuple[int, int]:
    """Return the real and the effective user of the process; zeros where there are none."""
    return (os.getuid(), os.geteuid()) if hasattr(os, "geteuid") else (0, 0)
