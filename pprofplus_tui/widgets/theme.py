"""Style tokens to colours: one table for a dark background, one for a light one."""

from dataclasses import dataclass, replace
from functools import cache

from rich.style import Style
from textual.theme import Theme

from pprofplus_tui.charts.palette import COLOURS, DARK, FAINT, LIGHT, Palette
from pprofplus_tui.model.runs import STATES


@dataclass(frozen=True)
class Tones:
    """All colours except those of lines, as "#rrggbb"."""

    background: str
    bar: str
    chosen: str
    text: str
    dim: str
    frame: str
    accent: str
    good: str
    warn: str
    bad: str


NIGHT = Tones(
    background="#11151a",
    bar="#1b222b",
    chosen="#2a3644",
    text="#d7dce2",
    dim="#7d8896",
    frame="#3a4452",
    accent="#56b4e9",
    good="#3fc28e",
    warn="#e69f00",
    bad="#ff7a5c",
)
DAY = Tones(
    background="#fbfaf7",
    bar="#ecebe6",
    chosen="#d8e3ec",
    text="#1f252b",
    dim="#66707b",
    frame="#b9bec4",
    accent="#0072b2",
    good="#00724f",
    warn="#8a5a00",
    bad="#b02e0c",
)


def toned(tones: Tones, own: tuple[tuple[str, str], ...]) -> Tones:
    """Return the tones with the user's own colours that are not of lines."""
    return replace(tones, **{name: colour for name, colour in own if name[:4] != "line"})


def lined(palette: Palette, own: tuple[tuple[str, str], ...]) -> Palette:
    """Return the palette with custom colours of lines: "line0" and so on."""
    custom = dict(own)
    lines = (custom.get(f"line{i}", colour) for i, colour in enumerate(palette.lines))
    return replace(palette, lines=tuple(lines))


def themes(own: tuple[tuple[str, str], ...] = ()) -> tuple[Theme, ...]:
    """Return Textual's themes for a dark and a light background."""
    return tuple(_theme(name, toned(tones, own), dark=dark) for name, tones, dark in _BASES)


_BASES = (("night", NIGHT, True), ("day", DAY, False))


def _theme(name: str, tones: Tones, *, dark: bool) -> Theme:
    return Theme(
        name=name,
        primary=tones.accent,
        secondary=tones.dim,
        accent=tones.accent,
        foreground=tones.text,
        background=tones.background,
        surface=tones.background,
        panel=tones.bar,
        success=tones.good,
        warning=tones.warn,
        error=tones.bad,
        dark=dark,
    )


THEMES: tuple[Theme, ...] = themes()


class TokenColours:
    """Looks up the style of a token; an unknown token is drawn as plain text.

    Every style carries its background: Textual crashes under NO_COLOR on a segment without one.
    """

    def __init__(self, tones: Tones, palette: Palette) -> None:
        ground = tones.background

        def style(colour: str, back: str = ground, *, bold: bool = False) -> Style:
            return Style(color=colour, bgcolor=back, bold=bold or None)

        table = {
            "": style(tones.text),
            "text": style(tones.text),
            "dim": style(tones.dim),
            "title": style(tones.text, bold=True),
            "note": style(tones.dim),
            "frame": style(tones.frame),
            "tick": style(tones.dim),
            "mark": style(tones.warn),
            "event": style(tones.dim),
            "lost": style(tones.bad),
            "cursor": style(tones.text),
            "empty": style(tones.dim),
            "error": style(tones.bad),
            "accent": style(tones.accent),
            "service": style(tones.text, bold=True),
            "spark": style(tones.accent),
            "grow": style(tones.warn),
            "live": style(tones.good),
            "paused": style(tones.accent),
            "stalled": style(tones.warn),
            "exited": style(tones.dim),
            "died": style(tones.bad),
            "unrecorded": style(tones.dim),
            "packed": style(tones.good),
            "bar": style(tones.dim, tones.bar),
            "brand": style(tones.accent, tones.bar, bold=True),
            "key": style(tones.text, tones.bar, bold=True),
            "frame_selected": style(tones.accent),
            "title_selected": style(tones.accent, bold=True),
        }
        for name in ("text", "dim", *STATES, "spark"):
            plain = table[name]
            table.setdefault(
                f"{name}_selected", plain + Style(bgcolor=tones.chosen, bold=name == "text" or None)
            )
        for name in ("live", "paused", "stalled", "died", "accent", "title"):
            table[f"{name}_bar"] = table[name] + Style(bgcolor=tones.bar, bold=True)
        for index in range(COLOURS):
            for kind in ("line", "legend"):
                token = f"{kind}{index}"
                table[token] = style(palette.colour(token) or tones.text)
        table[f"line{FAINT}"], table[f"legend{FAINT}"] = style(tones.frame), style(tones.dim)
        self._table = table
        self._other = table["text"]

    def __getitem__(self, token: str) -> Style:
        """Return the style of a token."""
        return self._table.get(token, self._other)

    @staticmethod
    @cache
    def standard(*, dark: bool = True, own: tuple[tuple[str, str], ...] = ()) -> "TokenColours":
        """Return the colours for a dark or a light background, some of them the user's own."""
        tones, palette = (NIGHT, DARK) if dark else (DAY, LIGHT)
        return TokenColours(toned(tones, own), lined(palette, own))
