"""An HTTP server that shows the monitor in a browser, protected by a token.

textual-serve starts one monitor for each page and transports keys and screen over a websocket, but
it has no authentication. Our middleware protects its page, its files and its websocket: a request
needs the token, which is in the address printed at the start, and in a cookie after that.
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

from pprofplus_tui.commands.errors import NothingFoundError, UsageError
from pprofplus_tui.model.installation import how_to_install
from pprofplus_tui.model.text import clean

if TYPE_CHECKING:
    from aiohttp import web

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

EXTRA = "textual_serve"
MISSING = f"textual-serve is missing: install it with  {how_to_install('serve')}"
_TOKEN_BYTES = 24
_MAX_SESSIONS = 16  # each is a process
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
# textual-serve's own page loads a font from a third party; this one loads nothing from outside
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<link rel="stylesheet" href="/static/css/xterm.css">
<script src="/static/js/textual.js"></script>
<style>
html, body {{ margin: 0; height: 100%; background: {background}; color: #8d98a5; overflow: hidden;
  font: 15px/1.5 system-ui, sans-serif; }}
.textual-terminal {{ width: 100vw; height: 100vh; opacity: 0; }}
.-first-byte .textual-terminal {{ opacity: 1; }}
.message {{ position: absolute; inset: 0; display: grid; place-content: center; }}
.ended, .-first-byte .starting {{ display: none; }}
.-closed .ended {{ display: grid; background: {background}; }}
.-closed .textual-terminal {{ opacity: .2; }}
a {{ color: #56b4e9; }}
</style>
</head>
<body>
<div class="message starting">starting</div>
<div class="textual-terminal" data-session-websocket-url="{socket}" data-font-size="{size}"></div>
<div class="message ended"><p>The monitor has ended. <a href="/">Start it again</a></p></div>
</body>
</html>
"""
_BACKGROUNDS = ("#11151a", "#fbfaf7")  # of the dark and the light theme


def serve(
    address: tuple[str, int], monitor: Sequence[str], out: TextIO, err: TextIO, *, light: bool
) -> int:
    """Serve `pprofplus-tui` with the arguments `monitor` until a signal; return the exit code.

    `address` is the host and the port, or 0 for any. Raises UsageError if textual-serve is
    missing, NothingFoundError if it cannot listen on the address.
    """
    host, port = address
    if find_spec(EXTRA) is None:
        raise UsageError(MISSING)
    if not host:
        raise UsageError("--host needs an address, e.g. 127.0.0.1; 0.0.0.0 is all networks")
    from aiohttp import web

    listening = _listen(host, port)
    bound, port = listening.getsockname()[:2]
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    shown = f"[{bound}]" if ":" in bound else bound
    if not ipaddress.ip_address(bound).is_loopback:
        err.write(_warning(bound))

    async def announce(_: "web.Application") -> None:
        # not earlier: now a signal ends the server
        out.write(f"http://{shown}:{port}/?token={token}\n")
        out.flush()

    # a browser takes UTF-8, even if the terminal here does not
    os.environ["PYTHONUTF8"] = "1"
    command = shlex.join([sys.executable, "-m", "pprofplus_tui", *monitor])
    app = make_app(f"exec {command}", token, port, light=light)
    app.on_startup.append(announce)
    # a client may send bytes that are not HTTP: it gets status 400, and nothing is logged here
    logging.getLogger("aiohttp.server").addFilter(_is_own_error)
    web.run_app(
        app,
        sock=listening,
        print=None,
        access_log=None,
        shutdown_timeout=_SHUTDOWN_S,
    )
    return 0


def _is_own_error(record: logging.LogRecord) -> bool:
    """Return whether a record of aiohttp is about an error of ours, not a bad request."""
    from aiohttp.http_exceptions import HttpProcessingError

    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def _listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises NothingFoundError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, ValueError) as error:  # ValueError: the name is too long or invalid
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise NothingFoundError(
            clean(f"--host {host!r}: {reason}; give an address of this machine, e.g. 127.0.0.1")
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
    on_all = ipaddress.ip_address(bound).is_unspecified
    where = "all networks of this machine" if on_all else f"the network, at {bound}"
    return (
        "pprofplus-tui: WARNING: this listens on "
        f"{where}, without encryption.\n"
        "pprofplus-tui: WARNING: anyone who can read the traffic or has the address below can see "
        "all logs that you can see,\n"
        "pprofplus-tui: WARNING: and can write exports as you. Safer: --host 127.0.0.1, and\n"
        "pprofplus-tui: WARNING:   ssh -L 8000:127.0.0.1:8000 THIS-MACHINE\n"
    )


def make_app(command: str, token: str, port: int, *, light: bool = False) -> "web.Application":
    """Return the aiohttp application that starts `command` for each page."""
    from aiohttp import web
    from textual_serve.server import Server

    cookie = f"pprofplus-{port}"  # a browser shares cookies between the ports of a host
    server = Server(command, title="pprofplus")
    sessions: list[web.Request] = []

    def is_token(found: str | None) -> bool:
        # bytes of the header that are not text are lone surrogates here
        return found is not None and hmac.compare_digest(
            found.encode("utf-8", "surrogatepass"), token.encode()
        )

    async def guard(request: web.Request, handler: "Handler") -> web.StreamResponse:
        """Refuse every request without the token."""
        if request.path == "/" and is_token(request.query.get("token")):
            # redirect, so that the token is neither in the address bar nor in the history
            answer: web.StreamResponse = web.HTTPSeeOther("/")
            answer.set_cookie(cookie, token, httponly=True, samesite="Lax", path="/")
            answer.headers.update(_HEADERS)
            return answer
        known = is_token(request.cookies.get(cookie))
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
        """Return the page; its websocket has the host that the browser used."""
        scheme = "wss" if request.scheme == "https" else "ws"
        text = _PAGE.format(
            title="pprofplus",
            background=_BACKGROUNDS[light],
            socket=escape(f"{scheme}://{request.host}/ws"),
            size=_font_size(request.query.get("fontsize", "")),
        )
        return web.Response(text=text, content_type="text/html")

    async def websocket(request: web.Request) -> web.StreamResponse:
        """Run a monitor for a page."""
        if len(sessions) >= _MAX_SESSIONS:
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
    """Return whether our own page sent it: any web page can open a websocket to any host."""
    origin = request.headers.get("Origin")
    return origin is None or origin.partition("://")[2] == request.host


def _font_size(text: str) -> int:
    return min(max(int(text), 6), 64) if text.isascii() and text.isdigit() and len(text) < 4 else 15  # noqa: PLR2004
