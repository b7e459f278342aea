"""Somebody else's text, made fit for a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return `text` in plain ASCII that no terminal obeys and every terminal can show."""
    return "".join(
        char if " " <= char <= "~" else char.encode("unicode_escape").decode() for char in text
    )
