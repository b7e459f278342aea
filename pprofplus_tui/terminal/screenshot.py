"""Screenshots as files: SVG always, PNG if a Chromium is installed to render it.

Other converters (rsvg, cairosvg) do not align the characters of a terminal, so none is used.
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
_EXTRA_ROWS = 200  # the page is smaller than the window, and the difference is not documented
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {2: 3, 6: 4}  # bytes per pixel by the colour type of a PNG
_TIMEOUT_S = 60.0
_POLL_S = 0.05
# The screenshot contains untrusted text of logs: the browser may load and execute nothing.
_PAGE = (
    "<!DOCTYPE html><meta charset='utf-8'>"
    "<meta http-equiv='Content-Security-Policy' "
    "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    "<style>body{margin:0}</style>"
)


class ScreenshotCancelledError(OutputError):
    """The screenshot was cancelled; no file remains."""


def find_browser() -> str | None:
    """Return the path of a browser that can render PNGs, None if there is none."""
    return next(filter(None, map(shutil.which, _BROWSERS)), None)


def tidy(svg: str) -> str:
    """Return Textual's SVG with a font that is installed everywhere, not one from the network."""
    svg = re.sub(r"@font-face\s*{[^}]*}", "", svg)
    return re.sub(r"font-family:\s*[^;]+;", f"font-family: {FONT};", svg)


def save(svg: str, path: str | Path, cancelled: Callable[[], bool] | None = None) -> Path:
    """Write a screenshot to a new file at `path`, in the format of its suffix; return the path.

    Raises FileExistsError if `path` exists, ScreenshotCancelledError, and OutputError if the
    suffix is unknown, no browser can render a PNG, or the file cannot be written.
    """
    target = Path(path)
    kind = target.suffix.lower()
    if kind not in {SVG, PNG}:
        raise OutputError(f"{target}: the file name must end in .svg or .png")
    browser = find_browser()
    if kind == PNG and browser is None:
        raise OutputError(
            f"{target}: a PNG needs Chromium, which is not installed; save it as .svg"
        )
    with new_file(target) as out:
        if kind == SVG or browser is None:
            out.write(svg.encode())
        else:
            out.write(png_of(svg, browser, cancelled))
    return target


def png_of(svg: str, browser: str, cancelled: Callable[[], bool] | None = None) -> bytes:
    """Return an SVG rendered in its own size. Raises OutputError, ScreenshotCancelledError."""
    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    if found is None:
        raise OutputError("the screenshot has no size")
    width, height = (round(float(part)) for part in found.groups())
    # processes that the browser started may still write while the directory is removed
    with tempfile.TemporaryDirectory(
        prefix="pprofplus-picture-", ignore_cleanup_errors=True
    ) as directory:
        page, png = Path(directory, "page.html"), Path(directory, "page.png")
        page.write_text(_PAGE + svg, encoding="utf-8")
        flags = [
            *("--headless", "--disable-gpu", "--hide-scrollbars", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            f"--user-data-dir={directory}/profile",
            f"--window-size={width},{height + _EXTRA_ROWS}",
            f"--screenshot={png}",
        ]
        if os.geteuid() == 0:
            flags.append("--no-sandbox")  # Chromium as root does not start with a sandbox
        _run([browser, *flags, page.as_uri()], directory, cancelled or bool)
        try:
            return _crop(png.read_bytes(), height)
        except (FileNotFoundError, ValueError, KeyError, struct.error, zlib.error):
            raise OutputError(f"{browser} produced no image; save it as .svg") from None


def _crop(png: bytes, height: int) -> bytes:
    """Return a PNG's first rows. Raises ValueError, KeyError, struct.error, zlib.error.

    Each row is encoded relative to the row above it, so the rows below can be dropped.
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
        raise ValueError("too few rows, or interlaced")
    head = struct.pack(">2I5B", width, height, depth, colour, *rest)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(data, 9)), (b"IEND", b""))
    return _PNG_MAGIC + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def _run(command: list[str], directory: str, cancelled: Callable[[], bool]) -> None:
    """Run a program until it exits; on a timeout or cancellation kill its process group."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "TMPDIR": directory},
    ) as process:
        try:
            for _ in range(int(_TIMEOUT_S / _POLL_S)):
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_POLL_S)
                    return
                if cancelled():
                    raise ScreenshotCancelledError("cancelled, nothing was written")
            raise OutputError(f"{command[0]} took too long; save it as .svg")
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
