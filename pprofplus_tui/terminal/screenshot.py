"""A picture of the screen as a file: SVG always, PNG where a Chromium is there to draw it.

Other converters (rsvg, cairosvg) set the letters of a terminal out of line, so none is asked.
"""

import os
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pprofplus_tui.atomic_file import OutputError, new_file

SVG, PNG = ".svg", ".png"
FONT = "'DejaVu Sans Mono', monospace"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_SPARE_ROWS = 200  # a window has less room than its size says, and how much less is not told
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {2: 3, 6: 4}  # by the code of the kind of colour
_PATIENCE_S = 60.0
_GLANCE_S = 0.05
# What is in the picture is text of logs: nothing of it may be loaded or run.
_PAGE = (
    "<!DOCTYPE html><meta charset='utf-8'>"
    "<meta http-equiv='Content-Security-Policy' "
    "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    "<style>body{margin:0}</style>"
)


class ScreenshotCancelledError(OutputError):
    """The picture was cancelled, and left nothing behind."""


def find_browser() -> str | None:
    """Return the path of a browser that draws PNGs, None if there is none."""
    return next(filter(None, map(shutil.which, _BROWSERS)), None)


def tidy(svg: str) -> str:
    """Return Textual's SVG with a font that every machine has instead of one from the network."""
    svg = re.sub(r"@font-face\s*{[^}]*}", "", svg)
    return re.sub(r"font-family:\s*[^;]+;", f"font-family: {FONT};", svg)


def save(svg: str, path: str | Path, cancelled: Callable[[], bool] | None = None) -> Path:
    """Write a picture to a new file at `path`, whose suffix says which kind; return the path.

    Raises FileExistsError if `path` exists, ScreenshotCancelledError, and OutputError if the
    suffix is another, nothing draws PNGs here, or the disk will not have it.
    """
    target = Path(path)
    kind = target.suffix.lower()
    if kind not in {SVG, PNG}:
        raise OutputError(f"{target}: a picture's name ends in .svg or .png")
    browser = find_browser()
    if kind == PNG and browser is None:
        raise OutputError(f"{target}: a PNG needs chromium here; save it as .svg")
    with new_file(target) as out:
        if kind == SVG or browser is None:
            out.write(svg.encode())
        else:
            out.write(png_of(svg, browser, cancelled))
    return target


def png_of(svg: str, browser: str, cancelled: Callable[[], bool] | None = None) -> bytes:
    """Return an SVG drawn in its own size. Raises OutputError, ScreenshotCancelledError."""
    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    if found is None:
        raise OutputError("the picture has no size")
    width, height = (round(float(part)) for part in found.groups())
    # what it starts may still be writing when it is ended
    with tempfile.TemporaryDirectory(
        prefix="pprofplus-picture-", ignore_cleanup_errors=True
    ) as place:
        page, png = Path(place, "page.html"), Path(place, "page.png")
        page.write_text(_PAGE + svg, encoding="utf-8")
        flags = [
            *("--headless", "--disable-gpu", "--hide-scrollbars", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            f"--user-data-dir={place}/profile",
            f"--window-size={width},{height + _SPARE_ROWS}",
            f"--screenshot={png}",
        ]
        if os.geteuid() == 0:
            flags.append("--no-sandbox")  # Chromium does not start as root with it
        _run([browser, *flags, page.as_uri()], place, cancelled or bool)
        try:
            return _cut(png.read_bytes(), height)
        except (FileNotFoundError, ValueError, KeyError, struct.error, zlib.error):
            raise OutputError(f"{browser} drew nothing; save it as .svg") from None


def _cut(png: bytes, height: int) -> bytes:
    """Return a PNG's first rows. Raises ValueError, KeyError, struct.error, zlib.error.

    A row is coded by the rows above it, so those below can be left out as they are.
    """
    parts: dict[bytes, bytes] = {}
    at = len(_PNG_MAGIC)
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        parts[kind] = parts.get(kind, b"") + png[at + 8 : at + 8 + length]
        at += 12 + length
    width, _, depth, colour, *rest = struct.unpack(">2I5B", parts[b"IHDR"])
    row = 1 + width * _CHANNELS[colour] * depth // 8
    data = zlib.decompress(parts[b"IDAT"])[: row * height]
    if len(data) < row * height or rest[-1]:
        raise ValueError("not as high as asked for, or not row by row")
    head = struct.pack(">2I5B", width, height, depth, colour, *rest)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(data, 9)), (b"IEND", b""))
    return _PNG_MAGIC + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def _run(command: list[str], place: str, cancelled: Callable[[], bool]) -> None:
    """Run a program to its end, or end it and all that it started."""
    with subprocess.Popen(  # noqa: S603 - a browser of this machine
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "TMPDIR": place},
    ) as process:
        try:
            for _ in range(int(_PATIENCE_S / _GLANCE_S)):
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_GLANCE_S)
                    return
                if cancelled():
                    raise ScreenshotCancelledError("cancelled, nothing was written")
            raise OutputError(f"{command[0]} took too long; save it as .svg")
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
