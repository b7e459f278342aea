"""Values on the command line that argparse does not convert."""

from pprofplus_tui.commands.errors import UsageError
from pprofplus_tui.model.time_grammar import TimeSyntaxError, parse_span


def names_in(text: str, option: str) -> tuple[str, ...]:
    """Return the names in a comma-separated list, each once. Raises UsageError if it is empty."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise UsageError(f"{option} needs names, as in  {option} rss,heap_used")
    return names


def span_ms_in(text: str | None) -> int | None:
    """Return a span of time, or None without one. Raises UsageError."""
    try:
        return None if text is None else parse_span(text)
    except TimeSyntaxError as error:
        raise UsageError(str(error)) from error
