"""Textual's bindings, made from a key table."""

from textual.binding import Binding

from pprofplus_tui.model.keys import Key


def bindings_of(keys: tuple[Key, ...]) -> list[Binding]:
    """Return Textual's bindings for a table of keys."""
    return [
        Binding(key.keys, key.action, key.text, show=False, priority=key.action == "quit")
        for key in keys
        if key.keys and key.action != "command_palette"  # Textual binds it
    ]
