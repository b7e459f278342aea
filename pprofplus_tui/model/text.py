"""Untrusted text from log files, made safe and single-lined for a terminal."""

import unicodedata

# Cf holds the bidi overrides and isolates and most zero-width characters; Zl and Zp would break
# the line; Cs is a lone surrogate, which no terminal can be sent; Co has no agreed width.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_COMBINING = frozenset({"Mn", "Me"})
# Invisible, although their category is letter or symbol.
_INVISIBLE = frozenset("\u115f\u1160\u3164\uffa0\u2800")
_MAX_COMPOSED = 4  # code points that NFC makes one of, at most
_ELLIPSIS = "…"
_ASCII_ELLIPSIS = "~"
_BYTE = 0xFF
_BMP = 0xFFFF


def _escape(char: str) -> str:
    code = ord(char)
    if code <= _BYTE:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= _BMP else f"\\U{code:08x}"


def _visible(char: str, *, ascii_only: bool) -> str:
    if " " <= char <= "~":
        return char
    if ascii_only or char in _INVISIBLE:
        return _escape(char)
    category = unicodedata.category(char)
    # A combining mark is escaped too: stacked by the hundred, they draw over other lines.
    if category in _UNSAFE or category in _COMBINING:
        return _escape(char)
    if category == "Zs":
        return " "
    return char


def cell_width(text: str) -> int:
    """Return how many terminal cells a cleaned text takes; wide characters take two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def clean(text: str, limit: int | None = None, *, ascii_only: bool = False) -> str:
    r"""Return text on one line that a terminal shows and never interprets.

    Control characters, escape sequences, bidi overrides, zero-width characters, combining marks
    and surrogates become visible escapes such as `\x1b`; other spaces become a space. Brackets
    are not changed: a caller must pass the result on as text, not as markup.

    Args:
        text: untrusted, as read from a log.
        limit: most terminal cells of the result, None for no limit; an ellipsis shows the cut.
        ascii_only: escape everything beyond ASCII too.
    """
    if limit is not None and limit <= 0:
        return ""
    if limit is not None:
        # Each character takes a cell or more: the rest of a long text can be ignored.
        text = text[: _MAX_COMPOSED * (limit + 1)]
    # Normalised, so that a letter and its accent are one character where one exists.
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    if limit is not None:
        text = text[: limit + 1]
    shown = [_visible(char, ascii_only=ascii_only) for char in text]
    whole = "".join(shown)
    if limit is None or cell_width(whole) <= limit:
        return whole
    room = limit - 1
    kept: list[str] = []
    for piece in shown:
        width = cell_width(piece)
        if width > room:
            break
        kept.append(piece)
        room -= width
    return "".join(kept) + (_ASCII_ELLIPSIS if ascii_only else _ELLIPSIS)


def narrow(text: str, *, ascii_only: bool = False, limit: int | None = None) -> str:
    """Return cleaned text of which every character is exactly one cell wide."""
    cleaned = clean(text, limit, ascii_only=ascii_only)
    if cell_width(cleaned) == len(cleaned):
        return cleaned
    return "".join("?" if unicodedata.east_asian_width(c) in "WF" else c for c in cleaned)
