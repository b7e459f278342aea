"""Encodes screen updates in few bytes: only the changed cells, and each style only once.

Textual 8 writes a changed span from the left edge of its widget, and writes the full style and a
reset for every sequence of cells of one style. On a slow SSH connection these bytes are the cost of
a frame. This module splits an update into spans of one style, cropped to the cells that changed. It
writes them in order of position or of colour, whichever is shorter, and moves the cursor between
them with the shortest sequence.

It uses only colours and cursor moves, which every terminal since the VT100 supports. Erasing,
repeating and shifting cells would save more bytes, but terminals differ in the colour that these
operations leave in the cells.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from rich.color import ColorSystem
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.strip import Strip

_RESET = "\x1b[0m"
_Parts = tuple[str, str, str]


@lru_cache(4096)
def _parts(style: Style, system: ColorSystem) -> _Parts:
    """Return the SGR codes of a style: attributes, foreground, background."""

    def colour(which: str, default: str) -> str:
        found = style.color if which == "fore" else style.bgcolor
        if found is None:
            return default
        return ";".join(found.downgrade(system).get_ansi_codes(foreground=which == "fore"))

    attributes = style.without_color._make_ansi_codes(system)  # noqa: SLF001 - Rich's only way
    return attributes, colour("fore", "39"), colour("back", "49")


@lru_cache(4096)
def _shows_in_blanks(style: Style) -> bool:
    """Return whether a blank in this style shows its foreground colour or weight."""
    return bool(style.underline or style.underline2 or style.strike or style.overline) or bool(
        style.reverse
    )


class _StyledSpan(NamedTuple):
    """Adjacent cells of one style; `linked` is the whole text of a link, else ""."""

    x: int
    y: int
    cells: int
    text: str
    parts: _Parts
    linked: str = ""


def _style_change(now: _Parts | None, wanted: _Parts) -> str:
    """Return the escape sequence that changes the style `now` to `wanted`."""
    if now == wanted:
        return ""
    if now is None or now[0] != wanted[0]:
        codes = ["0", *(part for part in wanted if part and part not in {"39", "49"})]
    else:
        codes = [part for part, was in zip(wanted, now, strict=True) if part != was]
    return f"\x1b[{';'.join(codes)}m"


def _steps(count: int, direction: str) -> str:
    return f"\x1b[{direction}" if count == 1 else f"\x1b[{count}{direction}"


def _has_certain_width(text: str) -> bool:
    """Return whether each of these characters takes one cell on every terminal."""
    return text.isascii() or all(char < "\x7f" or "\u2800" <= char <= "\u28ff" for char in text)


def _move(here: tuple[int, int] | None, span: _StyledSpan) -> str:
    """Return the shortest cursor move to a span; `here` is None if the position is uncertain."""
    x, y = span.x, span.y
    if here == (x, y):
        return ""
    ways = ["\x1b[" + (f"{y + 1};{x + 1}" if x else f"{y + 1}" if y else "") + "H"]
    if here is not None and here[1] == y:
        ways.append(_steps(x - here[0], "C") if x > here[0] else _steps(here[0] - x, "D"))
        if not x:
            ways.append("\r")
    elif here is not None and here[0] == x:
        ways.append(_steps(y - here[1], "B") if y > here[1] else _steps(here[1] - y, "A"))
    return min(ways, key=len)


def _encode(spans: Iterable[_StyledSpan], width: int) -> str:
    """Return the bytes that write the spans in this order, followed by a reset of the style."""
    out: list[str] = []
    now: _Parts | None = None
    here: tuple[int, int] | None = None
    for span in spans:
        out.append(_move(here, span))
        if span.linked:
            out.append(_RESET + span.linked)
            now = None
        else:
            out.append(_style_change(now, span.parts) + span.text)
            now = span.parts
        end = span.x + span.cells
        # after the last column, terminals differ in the position of the cursor
        here = (
            (end, span.y)
            if end < width and (span.linked == "" and _has_certain_width(span.text))
            else None
        )
    return "".join(out) + _RESET


def _spans(
    segments: Iterable[Segment], x: int, y: int, system: ColorSystem
) -> Iterator[_StyledSpan]:
    """Yield the spans of adjacent cells; a blank joins the span next to it, whatever its colour."""
    kept: _StyledSpan | None = None
    kept_is_blank = False
    for segment in segments:
        text, style, _ = segment
        style = style or Style.null()
        cells = segment.cell_length
        if not cells:
            continue
        parts = _parts(style, system)
        linked = Strip.render_style(style, text, system) if style.link else ""
        blank = text.isspace() and not linked and not _shows_in_blanks(style)
        span = _StyledSpan(x, y, cells, text, parts, linked)
        x += cells
        # attributes must be equal too: an underline shows in a blank and must not spread to it
        joins = (
            kept is not None
            and not (linked or kept.linked)
            and (
                kept.parts == parts or ((blank or kept_is_blank) and kept.parts[::2] == parts[::2])
            )
        )
        if kept is not None and joins:
            wanted = kept.parts if blank else parts
            kept = _StyledSpan(kept.x, y, kept.cells + cells, kept.text + text, wanted)
            kept_is_blank = kept_is_blank and blank
            continue
        if kept is not None:
            yield kept
        kept, kept_is_blank = span, blank
    if kept is not None:
        yield kept


def _of_chops(update: ChopsUpdate, system: ColorSystem) -> Iterator[_StyledSpan]:
    chops, ends = update.chops, update.chop_ends
    for y, left, right in update.spans:
        for end, (x, strip) in zip(ends[y], chops[y].items(), strict=False):
            begin, stop = max(x, left), min(end, right)
            if strip is not None and begin < stop:
                yield from _spans(strip.crop(begin - x, stop - x), begin, y, system)


def _of_layout(update: LayoutUpdate, system: ColorSystem) -> Iterator[_StyledSpan]:
    for y, strips in enumerate(update.strips, update.region.y):
        segments = (segment for strip in strips for segment in strip)
        yield from _spans(segments, update.region.x, y, system)


class CellUpdate(CompositorUpdate):
    """An update of Textual's compositor in few bytes."""

    def __init__(
        self, update: ChopsUpdate | LayoutUpdate, most: ColorSystem = ColorSystem.TRUECOLOR
    ) -> None:
        """Encode `update` in the colours of the terminal, limited to those of `most`."""
        self._update = update
        self._most = most

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render as Textual does."""
        yield from self._update.__rich_console__(console, options)

    def render_segments(self, console: Console) -> str:
        """Return the bytes for the terminal, as text."""
        system = console._color_system or ColorSystem.TRUECOLOR  # noqa: SLF001 - as Textual does
        system = min(system, self._most)
        update = self._update
        width = console.width
        if isinstance(update, LayoutUpdate):
            # mostly new: in order of position, a slow connection fills the screen from the top
            return _encode(_of_layout(update, system), width)
        spans = list(_of_chops(update, system))
        order = {parts: i for i, parts in enumerate(dict.fromkeys(span.parts for span in spans))}
        by_background = sorted(order, key=lambda parts: (parts[2], parts[0], order[parts]))
        rank = {parts: i for i, parts in enumerate(by_background)}
        by_colour = sorted(spans, key=lambda span: rank[span.parts])
        return min(_encode(spans, width), _encode(by_colour, width), key=len)


def lean(update: object, most: ColorSystem = ColorSystem.TRUECOLOR) -> object:
    """Return the update to display: a `CellUpdate` in place of an update that writes cells."""
    if isinstance(update, ChopsUpdate | LayoutUpdate):
        return CellUpdate(update, most)
    return update
