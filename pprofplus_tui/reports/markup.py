"""Escapes untrusted text for HTML: it is shown, and never interpreted."""

from html import escape

from pprofplus_tui.model.text import clean


def shown(text: str, limit: int | None = None) -> str:
    """Return untrusted text for an element or an attribute in double quotes.

    Control characters, bidi overrides and the like become visible escapes, and HTML markup is
    escaped. `limit` is in cells.
    """
    return escape(clean(text, limit), quote=True)
