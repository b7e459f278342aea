"""What goes over the line: only the cells that changed, and no style said twice.

Textual 8 writes a changed span from the left edge of its widget on, and gives every run of cells
its full style and a reset. Over a slow SSH line these bytes are what a frame costs, so here a
partial update is written span by span, cut at both ends, with the style of the run before carried
on.
"""

from collections.abc import Iterable
from functools import lru_cache

from rich.color import ColorSystem
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate
from textual.strip import Strip

_RESET = "\x1b[0m"


@lru_cache(4096)
def _parts(style: Style, system: ColorSystem) -> tuple[str, str, str]:
    """Return the SGR codes of a style's attributes, foreground and background."""

    def colour(which: str, default: str) -> str:
        found = style.color if which == "fore" else style.bgcolor
        if found is None:
            return default
        return ";".join(found.downgrade(system).get_ansi_codes(foreground=which == "fore"))

    attributes = style.without_color._make_ansi_codes(system)  # noqa: SLF001 - Rich's only way
    return attributes, colour("fore", "39"), colour("back", "49")


class _Pen:
    """Writes runs, remembering the style that the terminal is left in."""

    def __init__(self, system: ColorSystem) -> None:
        self._system = system
        self._now: tuple[str, str, str] | None = None
        self.out: list[str] = []

    def move(self, x: int, y: int) -> None:
        self.out.append(f"\x1b[{y + 1};{x + 1}H")

    def write(self, segments: Iterable[Segment]) -> None:
        for text, style, _ in segments:
            if style is not None and style.link:
                self.out.append(_RESET + Strip.render_style(style, text, self._system))
                self._now = None
                continue
            self._turn(_parts(style or Style.null(), self._system))
            self.out.append(text)

    def _turn(self, wanted: tuple[str, str, str]) -> None:
        now = self._now
        if now == wanted:
            return
        if now is None or now[0] != wanted[0]:
            codes = ["0", *(part for part in wanted if part)]
        else:
            codes = [part for part, was in zip(wanted, now, strict=True) if part != was]
        self.out.append(f"\x1b[{';'.join(codes)}m")
        self._now = wanted

    def finish(self) -> str:
        self.out.append(_RESET)
        return "".join(self.out)


class LeanUpdate(CompositorUpdate):
    """A partial update of Textual's compositor that writes as little as it can."""

    def __init__(self, update: ChopsUpdate) -> None:
        self._update = update

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render as Textual would."""
        yield from self._update.__rich_console__(console, options)

    def render_segments(self, console: Console) -> str:
        """Return the bytes for the terminal, as text."""
        pen = _Pen(console._color_system or ColorSystem.TRUECOLOR)  # noqa: SLF001 - as Textual does
        chops, ends = self._update.chops, self._update.chop_ends
        for y, left, right in self._update.spans:
            here = -1
            for end, (x, strip) in zip(ends[y], chops[y].items(), strict=False):
                begin, stop = max(x, left), min(end, right)
                if strip is None or begin >= stop:
                    continue
                if here != begin:
                    pen.move(begin, y)
                pen.write(strip.crop(begin - x, stop - x))
                here = stop
        return pen.finish()


def lean(update: object) -> object:
    """Return the update to display: a lean one for a partial one of Textual's, else itself."""
    return LeanUpdate(update) if type(update) is ChopsUpdate else update
