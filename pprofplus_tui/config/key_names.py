"""The names that Textual gives to keys, from what a user writes."""

import string
import unicodedata

_NAMED_KEYS = frozenset(
    {"up", "down", "left", "right", "home", "end", "pageup", "pagedown", "enter", "escape"}
    | {"space", "tab", "backspace", "delete", "insert"}
    | {f"f{number}" for number in range(1, 25)}
)
_MODIFIERS = ("ctrl+", "shift+", "alt+")
# Textual calls a key by the Unicode name of its character, except for these
_RENAMED = {
    "solidus": "slash",
    "reverse_solidus": "backslash",
    "commercial_at": "at",
    "hyphen_minus": "minus",
    "plus_sign": "plus",
    "low_line": "underscore",
}


def _name_of(char: str) -> str:
    name = unicodedata.name(char, "").lower().replace("-", "_").replace(" ", "_")
    return _RENAMED.get(name, name)


def key_name(text: str) -> str:
    """Return Textual's name of a key: `/` is slash, `ctrl+r` itself. Raises ValueError."""
    rest, modified = text, ""
    while (found := next((m for m in _MODIFIERS if rest.startswith(m)), "")) and rest != found:
        modified, rest = modified + found, rest[len(found) :]
    if rest in _NAMED_KEYS:
        return modified + rest
    if len(rest) == 1 and rest.isprintable() and not rest.isspace():
        return modified + (rest if rest.isalnum() else _name_of(rest))
    if rest in map(_name_of, string.punctuation):
        return modified + rest
    raise ValueError(f"{text!r} is not a key; write e.g.  a  A  /  f5  ctrl+r  up  pageup  space")
