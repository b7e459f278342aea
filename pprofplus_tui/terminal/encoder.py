"""What goes over the line: only the cells that changed, and no style said twice.

Textual 8 writes a changed span from the left edge of its widget on, and gives every run of cells
its full style and a reset. Over a slow SSH line these bytes are what a frame costs, so here an
update is taken apart into runs of one style, cut to the cells that changed. They are written by
place or by colour, whichever is shorter, with the shortest move of the cursor between them.

Only what every terminal since the VT100 knows is used: colours, and moves of the cursor. Erasing,
repeating and shifting cells would save more, but terminals differ in the colour they leave behind.
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
    """Return the SGR codes of a style's attributes, foreground and background."""

    def colour(which: str, default: str) -> str:
        found = style.color if which == "fore" else style.bgcolor
        if found is None:
            return default
        return ";".join(found.downgrade(system).get_ansi_codes(foreground=which == "fore"))

    attributes = style.without_color._make_ansi_codes(system)  # noqa: SLF001 - Rich's only way
    return attributes, colour("fore", "39"), colour("back", "49")


@lru_cache(4096)
def _shows_in_blanks(style: Style) -> bool:
    """Return whether a blank of this style differs from one of another colour or weight."""
    return bool(style.underline or style.underline2 or style.strike or style.overline) or bool(
        style.reverse
    )


class _Run(NamedTuple):
    """Cells of one style side by side; `linked` is the whole text of a link, else ""."""

    x: int
    y: int
    cells: int
    text: str
    parts: _Parts
    linked: str = ""


def _turn(now: _Parts | None, wanted: _Parts) -> str:
    """Return what makes a terminal write in the style wanted."""
    if now == wanted:
        return ""
    if now is None or now[0] != wanted[0]:
        codes = ["0", *(part for part in wanted if part and part not in {"39", "49"})]
    else:
        codes = [part for part, was in zip(wanted, now, strict=True) if part != was]
    return f"\x1b[{';'.join(codes)}m"


def _steps(count: int, way: str) -> str:
    return f"\x1b[{way}" if count == 1 else f"\x1b[{count}{way}"


def _is_sure(text: str) -> bool:
    """Return whether every terminal gives each of these characters one cell."""
    return text.isascii() or all(char < "\x7f" or "\u2800" <= char <= "\u28ff" for char in text)


def _move(here: tuple[int, int] | None, run: _Run) -> str:
    """Return the shortest way of the cursor to a run; `here` is None if it is not certain."""
    x, y = run.x, run.y
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


def _written(runs: Iterable[_Run], width: int) -> str:
    """Return the bytes that write runs in their order, and the plain style after them."""
    out: list[str] = []
    now: _Parts | None = None
    here: tuple[int, int] | None = None
    for run in runs:
        out.append(_move(here, run))
        if run.linked:
            out.append(_RESET + run.linked)
            now = None
        else:
            out.append(_turn(now, run.parts) + run.text)
            now = run.parts
        end = run.x + run.cells
        # at the right edge terminals differ in where the cursor is
        here = (end, run.y) if end < width and (run.linked == "" and _is_sure(run.text)) else None
    return "".join(out) + _RESET


def _runs(segments: Iterable[Segment], x: int, y: int, system: ColorSystem) -> Iterator[_Run]:
    """Yield the runs of a stretch of cells; a blank takes the colour of what is beside it."""
    kept: _Run | None = None
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
        run = _Run(x, y, cells, text, parts, linked)
        x += cells
        # bold, too, does not show in a blank; an underline does, in the one beside it as well
        joins = (
            kept is not None
            and not (linked or kept.linked)
            and (
                kept.parts == parts or ((blank or kept_is_blank) and kept.parts[::2] == parts[::2])
            )
        )
        if kept is not None and joins:
            wanted = kept.parts if blank else parts
            kept = _Run(kept.x, y, kept.cells + cells, kept.text + text, wanted)
            kept_is_blank = kept_is_blank and blank
            continue
        if kept is not None:
            yield kept
        kept, kept_is_blank = run, blank
    if kept is not None:
        yield kept


def _of_chops(update: ChopsUpdate, system: ColorSystem) -> Iterator[_Run]:
    chops, ends = update.chops, update.chop_ends
    for y, left, right in update.spans:
        for end, (x, strip) in zip(ends[y], chops[y].items(), strict=False):
            begin, stop = max(x, left), min(end, right)
            if strip is not None and begin < stop:
                yield from _runs(strip.crop(begin - x, stop - x), begin, y, system)


def _of_layout(update: LayoutUpdate, system: ColorSystem) -> Iterator[_Run]:
    for y, strips in enumerate(update.strips, update.region.y):
        segments = (segment for strip in strips for segment in strip)
        yield from _runs(segments, update.region.x, y, system)


class CellUpdate(CompositorUpdate):
    """An update of Textual's compositor that writes as little as it can."""

    def __init__(
        self, update: ChopsUpdate | LayoutUpdate, most: ColorSystem = ColorSystem.TRUECOLOR
    ) -> None:
        """Write `update` with the colours of the terminal, but no more than `most`."""
        self._update = update
        self._most = most

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render as Textual would."""
        yield from self._update.__rich_console__(console, options)

    def render_segments(self, console: Console) -> str:
        """Return the bytes for the terminal, as text."""
        system = console._color_system or ColorSystem.TRUECOLOR  # noqa: SLF001 - as Textual does
        system = min(system, self._most)
        update = self._update
        width = console.width
        if isinstance(update, LayoutUpdate):
            # much of it is new: by place, so that a slow line fills the screen from the top
            return _written(_of_layout(update, system), width)
        runs = list(_of_chops(update, system))
        order = {parts: i for i, parts in enumerate(dict.fromkeys(run.parts for run in runs))}
        by_ground = sorted(order, key=lambda parts: (parts[2], parts[0], order[parts]))
        rank = {parts: i for i, parts in enumerate(by_ground)}
        by_colour = sorted(runs, key=lambda run: rank[run.parts])
        return min(_written(runs, width), _written(by_colour, width), key=len)


def lean(update: object, most: ColorSystem = ColorSystem.TRUECOLOR) -> object:
    """Return the update to display: a lean one for one of Textual's that has cells."""
    if isinstance(update, ChopsUpdate | LayoutUpdate):
        return CellUpdate(update, most)
    return update
