"""`pprofplus-tui serve`: the monitor in a browser, for whoever has the address with its token.

textual-serve starts the monitor once a page and carries keys and screen through a websocket; it
lets anybody in. So a middleware of our own stands before its page, its files and its websocket. It
asks for the token, which the address printed at the start carries and a cookie keeps from then on.
"""

import errno
import hmac
import ipaddress
import logging
import os
import secrets
import shlex
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from pprofplus_tui.errors import NothingFoundError, UsageError
from pprofplus_tui.model.installation import how_to_install
from pprofplus_tui.model.text import clean

if TYPE_CHECKING:
    from aiohttp import web

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

EXTRA = "textual_serve"
MISSING = f"textual-serve is missing: install it with  {how_to_install('serve')}"
_TOKEN_BYTES = 24
_MOST_SESSIONS = 16  # each is a process
_SHUTDOWN_S = 2.0
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; font-src 'self'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}
# textual-serve's own page asks a font company for a font; this one asks nobody.
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<link rel="stylesheet" href="/static/css/xterm.css">
<script src="/static/js/textual.js"></script>
<style>
html, body {{ margin: 0; height: 100%; background: {ground}; color: #8d98a5; overflow: hidden;
  font: 15px/1.5 system-ui, sans-serif; }}
.textual-terminal {{ width: 100vw; height: 100vh; opacity: 0; }}
.-first-byte .textual-terminal {{ opacity: 1; }}
.told {{ position: absolute; inset: 0; display: grid; place-content: center; }}
.ended, .-first-byte .begins {{ display: none; }}
.-closed .ended {{ display: grid; background: {ground}; }}
.-closed .textual-terminal {{ opacity: .2; }}
a {{ color: #56b4e9; }}
</style>
</head>
<body>
<div class="told begins">starting</div>
<div class="textual-terminal" data-session-websocket-url="{socket}" data-font-size="{size}"></div>
<div class="told ended"><p>The monitor has ended. <a href="/">Start it again</a></p></div>
</body>
</html>
"""
_GROUNDS = ("#11151a", "#fbfaf7")  # of the themes, dark and light


def serve(  # noqa: PLR0913 - where, what, and who is told
    host: str, port: int, monitor: Sequence[str], out: TextIO, told: TextIO, *, light: bool
) -> int:
    """Serve `pprofplus-tui` with the words `monitor` until a signal ends it; return the exit code.

    Raises UsageError if textual-serve is missing, NothingFoundError if the address is not to be
    had.
    """
    if find_spec(EXTRA) is None:
        raise UsageError(MISSING)
    if not host:
        raise UsageError("--host needs an address, as 127.0.0.1; 0.0.0.0 is every network")
    from aiohttp import web  # noqa: PLC0415 - the extra is there only now

    listening = _listen(host, port)
    bound, port = listening.getsockname()[:2]
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    shown = f"[{bound}]" if ":" in bound else bound
    if not ipaddress.ip_address(bound).is_loopback:
        told.write(_warning(bound))

    async def announce(_: "web.Application") -> None:
        # not before a signal would be heard
        out.write(f"http://{shown}:{port}/?token={token}\n")
        out.flush()

    # a browser always takes UTF-8, whatever the terminal here does
    os.environ["PYTHONUTF8"] = "1"
    command = shlex.join([sys.executable, "-m", "pprofplus_tui", *monitor])
    app = make_app(f"exec {command}", token, port, light=light)
    app.on_startup.append(announce)
    # any client may send what is no HTTP: the answer is 400, and no traceback appears here
    logging.getLogger("aiohttp.server").addFilter(_is_ours)
    web.run_app(
        app,
        sock=listening,
        print=None,
        access_log=None,
        shutdown_timeout=_SHUTDOWN_S,
    )
    return 0


def _is_ours(record: logging.LogRecord) -> bool:
    """Tell whether a record of aiohttp's is about a fault of ours, not of a request."""
    from aiohttp.http_exceptions import HttpProcessingError  # noqa: PLC0415 - as in `serve`

    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def _listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises NothingFoundError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, ValueError) as error:  # a name may be too long, or no name at all
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise NothingFoundError(
            clean(f"--host {host!r}: {reason}; give an address of this machine, as 127.0.0.1")
        ) from error
    family, _, _, _, address = found[0]
    try:
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        other = "--host" if error.errno == errno.EADDRNOTAVAIL else "--port"
        raise NothingFoundError(
            clean(
                f"cannot listen on {host} port {port}: {os.strerror(error.errno or 0)}; "
                f"choose another with {other}"
            )
        ) from error


def _warning(bound: str) -> str:
    everywhere = ipaddress.ip_address(bound).is_unspecified
    where = "every network of this machine" if everywhere else f"the network, as {bound}"
    return (
        "pprofplus-tui: WARNING: this listens on "
        f"{where}, without encryption.\n"
        "pprofplus-tui: WARNING: whoever reads the traffic or gets the address below sees all "
        "logs that you see,\n"
        "pprofplus-tui: WARNING: and may write exports as you. Safer: --host 127.0.0.1, and\n"
        "pprofplus-tui: WARNING:   ssh -L 8000:127.0.0.1:8000 THIS-MACHINE\n"
    )


def make_app(command: str, token: str, port: int, *, light: bool = False) -> "web.Application":
    """Return the aiohttp application that starts `command` for each page."""
    from aiohttp import web  # noqa: PLC0415 - as in `serve`
    from textual_serve.server import Server  # noqa: PLC0415

    cookie = f"pprofplus-{port}"  # a browser has one jar for all ports of a host
    server = Server(command, title="pprofplus")
    sessions: list[web.Request] = []

    def knows(found: str | None) -> bool:
        # whatever bytes the header has: those that are no text come as lone surrogates
        return found is not None and hmac.compare_digest(
            found.encode("utf-8", "surrogatepass"), token.encode()
        )

    async def guard(request: web.Request, handler: "Handler") -> web.StreamResponse:
        """Let nobody pass without the token, wherever to."""
        if request.path == "/" and knows(request.query.get("token")):
            # the token leaves the address bar, and so the history and the screen
            answer: web.StreamResponse = web.HTTPSeeOther("/")
            answer.set_cookie(cookie, token, httponly=True, samesite="Lax", path="/")
            answer.headers.update(_HEADERS)
            return answer
        known = knows(request.cookies.get(cookie))
        if not known or not _same_origin(request) or not request.host.isascii():
            return web.Response(
                status=403,
                text="Open the whole address that pprofplus-tui serve has printed.\n",
                headers=_HEADERS,
            )
        answer = await handler(request)
        if not answer.prepared:
            answer.headers.update(_HEADERS)
        return answer

    async def page(request: web.Request) -> web.StreamResponse:
        """Answer with the page; the address is the one that the browser used."""
        scheme = "wss" if request.scheme == "https" else "ws"
        text = _PAGE.format(
            title="pprofplus",
            ground=_GROUNDS[light],
            socket=escape(f"{scheme}://{request.host}/ws"),
            size=_font_size(request.query.get("fontsize", "")),
        )
        return web.Response(text=text, content_type="text/html")

    async def websocket(request: web.Request) -> web.StreamResponse:
        """Run a monitor for a page."""
        if len(sessions) >= _MOST_SESSIONS:
            return web.Response(status=503, text="too many pages are open\n")
        sessions.append(request)
        try:
            return await server.handle_websocket(request)
        finally:
            sessions.pop()  # only their number matters

    app = web.Application(middlewares=[web.middleware(guard)])
    statics = Path(sys.modules[Server.__module__].__file__ or "").parent / "static"
    app.add_routes(
        [
            web.get("/", page, name="index"),
            web.get("/ws", websocket, name="websocket"),
            web.get("/download/{key}", server.handle_download, name="download"),
            web.static("/static", statics, name="static"),
        ]
    )
    return app


def _same_origin(request: "web.Request") -> bool:
    """Tell whether a page of ours asks: a websocket may be opened from any page there is."""
    origin = request.headers.get("Origin")
    return origin is None or origin.partition("://")[2] == request.host


def _font_size(text: str) -> int:
    return min(max(int(text), 6), 64) if text.isascii() and text.isdigit() and len(text) < 4 else 15  # noqa: PLR2004


def is_page() -> bool:
    """Tell whether this process is the monitor of a page, not of a terminal."""
    return os.environ.get("TEXTUAL_DRIVER") == "textual.drivers.web_driver:WebDriver"


def end_with_server() -> None:
    """End this process when the server that started it does, however that ends; Linux only."""
    import ctypes  # noqa: PLC0415 - of a page's monitor alone
    import signal  # noqa: PLC0415

    parent = os.getppid()
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
    except (OSError, AttributeError):
        return
    if os.getppid() != parent:
        sys.exit(0)
