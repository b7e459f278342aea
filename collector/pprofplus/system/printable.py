"""Untrusted text as printable ASCII."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return `text` as ASCII without control characters, which any terminal can show safely."""
    return "".join(
        char if " " <= char <= "~" else char.encode("unicode_escape").decode() for char in text
    )
