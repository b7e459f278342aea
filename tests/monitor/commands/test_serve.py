"""`serve`: no access without the token; with it the monitor is in the browser."""

import asyncio
import base64
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import asynccontextmanager, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import psutil
import pytest

from kit.pilot import wait_until_async

EVERYWHERE = "0.0.0.0"


def test_without_textual_serve_one_line_names_the_install_command(home):
    home.run(count=5)
    program = (
        "import sys; sys.modules['textual_serve'] = None\n"
        "import importlib.util as util; found = util.find_spec\n"
        "util.find_spec = lambda name, *a: None if name == 'textual_serve' else found(name, *a)\n"
        "from pprofplus_tui.commands import browser_server\n"
        "browser_server.find_spec = util.find_spec\n"
        "from pprofplus_tui.cli import main\n"
        f"sys.exit(main(['serve', '--dir', {str(home.path)!r}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "pip install '.[serve]'  in a clone of pprofplus" in done.stderr


class Served:
    """A server in a separate process."""

    def __init__(self, process, address):
        self.process = process
        self.address = address
        found = re.fullmatch(r"http://(\[?[0-9a-f.:]+\]?):(\d+)/\?token=([\w-]{32})\n", address)
        assert found, address
        self.host, self.port, self.token = found[1].strip("[]"), int(found[2]), found[3]

    def get(self, path, **headers):
        """Return (status, headers, body)."""
        connection = HTTPConnection(self.host, self.port, timeout=60)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    @property
    def cookie(self):
        return f"pprofplus-{self.port}={self.token}"

    def children(self):
        return psutil.Process(self.process.pid).children(recursive=True)


@contextmanager
def served(home, *words):
    """Serve a log directory on any free port."""
    pytest.importorskip("textual_serve")
    command = [sys.executable, "-m", "pprofplus_tui", "serve", "--port", "0"]
    with subprocess.Popen(
        [*command, "--dir", str(home.path), *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Served(process, process.stdout.readline())
        finally:
            process.kill()


@pytest.fixture
def server(home):
    home.run(count=600)
    with served(home) as found:
        yield found


PATHS = ["/", "/ws", "/static/js/textual.js", "/download/x", "/nothing", "/?token=", "/?token=x"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("cookie", ["", "pprofplus-{port}=", "pprofplus-{port}=x", "token={token}"])
def test_without_the_token_nothing_is_served(server, path, cookie):
    value = cookie.format(port=server.port, token=server.token)
    status, headers, body = server.get(path, **({"Cookie": value} if value else {}))
    assert status == 403
    assert b"pprofplus-tui serve has printed" in body
    assert "Set-Cookie" not in headers


RAW = [
    b"Cookie: pprofplus-{port}=\xff\xfe",
    b"Cookie: pprofplus-{port}=caf\xc3\xa9",
    b"Cookie: pprofplus-{port}={token}\xe9",
    b"Cookie: \xff=\xff; pprofplus-{port}=x",
    b'Cookie: pprofplus-{port}="\\351\\377"',
    b"Cookie: pprofplus-{port}={token}\r\nOrigin: http://\xff",
    b"Cookie: pprofplus-{port}={token}\r\nHost: \xff\xe9",
]


def raw_status(server, request):
    """Send bytes as they are; return the status of the answer."""
    for name, value in (("port", server.port), ("token", server.token)):
        request = request.replace(b"{%s}" % name.encode(), str(value).encode())
    with socket.create_connection((server.host, server.port), 60) as connection:
        connection.sendall(request)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return int(answer.split(None, 2)[1])


@pytest.mark.parametrize("header", RAW)
def test_a_header_that_is_not_text_is_refused_without_a_traceback(server, header):
    host = b"" if b"Host:" in header else b"Host: 127.0.0.1\r\n"
    request = b"GET / HTTP/1.1\r\n" + host + b"Connection: close\r\n" + header + b"\r\n\r\n"
    assert raw_status(server, request) == 403
    server.process.send_signal(signal.SIGTERM)
    _, err = server.process.communicate(timeout=60)
    assert (server.process.returncode, err) == (0, "")


@pytest.mark.parametrize("request_line", [b"GET /?token=\xff\xe9 HTTP/1.1", b"\x16\x03\x01\x02"])
def test_an_invalid_request_leaves_no_traceback(server, request_line):
    request = request_line + b"\r\nHost: a\r\nConnection: close\r\n\r\n"
    assert raw_status(server, request) == 400
    server.process.send_signal(signal.SIGTERM)
    _, err = server.process.communicate(timeout=60)
    assert (server.process.returncode, err) == (0, "")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--port", "99999"], 2, "'99999' is not a port: 0 to 65535"),
        (["--port", "65536"], 2, "'65536' is not a port: 0 to 65535"),
        (["--port", "http"], 2, "'http' is not a port: 0 to 65535"),
        (["--port", "0", "--host", "nonsense.invalid"], 1, "--host 'nonsense.invalid': "),
        (["--port", "0", "--host", "x" * 80 + ".y"], 1, f"--host '{'x' * 80}.y': "),
        (["--port", "0", "--host", ""], 2, "--host needs an address"),
        (["--port", "0", "--host", "192.0.2.1"], 1, "choose another with --host"),
    ],
)
def test_an_invalid_address_is_a_one_line_error_that_names_it(home, words, code, message):
    pytest.importorskip("textual_serve")
    done = subprocess.run(
        [sys.executable, "-m", "pprofplus_tui", "serve", *words, "--dir", str(home.path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


def test_the_token_opens_the_page_and_is_removed_from_the_address(server):
    status, headers, _ = server.get(f"/?token={server.token}")
    assert (status, headers["Location"]) == (303, "/")
    assert headers["Set-Cookie"].startswith(f"{server.cookie};")
    assert "HttpOnly" in headers["Set-Cookie"]
    assert "SameSite=Lax" in headers["Set-Cookie"]
    status, headers, body = server.get("/", Cookie=server.cookie)
    assert status == 200
    assert server.token.encode() not in body
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Frame-Options"] == "DENY"
    status, _, body = server.get("/static/js/textual.js", Cookie=server.cookie)
    assert status == 200
    assert len(body) > 100_000


def test_the_page_loads_nothing_from_other_hosts(server):
    _, headers, body = server.get("/", Cookie=server.cookie)
    page = body.decode()
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert set(re.findall(r'\w+://[^/"]+', page)) == {f"ws://127.0.0.1:{server.port}"}


def test_values_sent_by_the_browser_are_escaped(server):
    _, _, body = server.get("/", Cookie=server.cookie, Host='x"><script>alert(1)</script>')
    assert b"<script>alert" not in body


def test_a_page_of_another_site_opens_no_websocket(server):
    wanted = {"Cookie": server.cookie, "Upgrade": "websocket", "Connection": "Upgrade"}
    key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13"}
    status, *_ = server.get("/ws", **wanted, **key, Origin="http://evil.example")
    assert status == 403
    assert server.children() == []


def test_the_directory_of_files_is_not_listed(server):
    status, *_ = server.get("/static/", Cookie=server.cookie)
    assert status == 403
    status, *_ = server.get("/static/../server.py", Cookie=server.cookie)
    assert status in {403, 404}


def test_on_loopback_there_is_no_warning(server):
    assert server.host == "127.0.0.1"
    server.process.send_signal(signal.SIGTERM)
    _, err = server.process.communicate(timeout=60)
    assert (server.process.returncode, err) == (0, "")


def test_bound_to_other_addresses_it_warns_and_names_a_safer_way(home):
    home.run(count=5)
    with served(home, "--host", EVERYWHERE) as server:
        server.process.send_signal(signal.SIGINT)
        _, err = server.process.communicate(timeout=60)
    assert server.host == EVERYWHERE
    assert err.count("WARNING") >= 3
    assert "without encryption" in err
    assert "ssh -L" in err


def test_each_server_has_its_own_token(home):
    home.run(count=5)
    with served(home) as one, served(home) as other:
        assert one.token != other.token


def test_a_port_in_use_is_a_one_line_error(server, home):
    words = ["serve", "--port", str(server.port), "--dir", str(home.path)]
    done = subprocess.run(
        [sys.executable, "-m", "pprofplus_tui", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "choose another with --port" in done.stderr


# -- the monitor itself


@asynccontextmanager
async def opened(server):
    """Open a websocket as the page does."""
    aiohttp = pytest.importorskip("aiohttp")
    address = f"http://127.0.0.1:{server.port}/ws?width=100&height=30"
    async with (
        aiohttp.ClientSession(headers={"Cookie": server.cookie}) as session,
        session.ws_connect(address) as socket,
    ):
        yield socket


async def read(socket, wanted):
    """Return the bytes sent to the screen, up to those with `wanted` in them."""
    received = b""
    while wanted not in received:
        message = await socket.receive(timeout=60)
        assert isinstance(message.data, bytes), message
        received += message.data
    return received


async def test_a_page_shows_the_monitor_and_sends_it_keys(server):
    async with opened(server) as socket:
        await read(socket, b"4711")
        await socket.send_str(json.dumps(["stdin", "?"]))
        await read(socket, b"help")


async def test_a_page_that_is_closed_ends_its_monitor(server):
    async with opened(server) as socket:
        await read(socket, b"4711")
        assert len(server.children()) == 1
    await wait_until_async(lambda: not server.children())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_a_server_that_ends_leaves_no_monitor(server, number):
    async with opened(server) as socket:
        await read(socket, b"4711")
        (monitor,) = server.children()
        os.kill(server.process.pid, number)
        await asyncio.to_thread(server.process.wait, 60)
        await wait_until_async(lambda: not monitor.is_running() or monitor.status() == "zombie")


# -- in a browser


class Browser:
    """Chromium without a window, controlled through its debugging port."""

    def __init__(self, socket):
        self._socket = socket
        self._count = 0

    async def call(self, method, **params):
        self._count += 1
        await self._socket.send_json({"id": self._count, "method": method, "params": params})
        while True:
            answer = await self._socket.receive_json(timeout=60)
            if answer.get("id") == self._count:
                assert "error" not in answer, answer
                return answer["result"]

    async def value(self, expression):
        found = await self.call("Runtime.evaluate", expression=expression)
        return found["result"].get("value")


# How many pixels of the terminal have the colour of the resident set's line.
COLOURED = """[...document.querySelectorAll('canvas')].map(canvas => {
  const context = canvas.getContext('2d');
  if (!context || !canvas.width) return 0;
  const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
  let count = 0;
  for (let i = 0; i < data.length; i += 4)
    if (data[i] === 0x56 && data[i + 1] === 0xb4 && data[i + 2] === 0xe9) count++;
  return count;
}).reduce((a, b) => a + b, 0)"""


@asynccontextmanager
async def browser(tmp_path, width, height):
    aiohttp = pytest.importorskip("aiohttp")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium here")
    profile = tmp_path / "profile"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    flags += ["--remote-debugging-port=0", f"--user-data-dir={profile}"]
    flags += [f"--window-size={width},{height}", "--hide-scrollbars"]
    process = await asyncio.create_subprocess_exec(
        *(chromium, *flags, "about:blank"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        port_file = profile / "DevToolsActivePort"
        await wait_until_async(lambda: port_file.exists() and "\n" in port_file.read_text())
        port = port_file.read_text().split()[0]
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                pages = [page for page in await answer.json() if page["type"] == "page"]
            async with session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as talk:
                yield Browser(talk)
    finally:
        process.kill()
        await process.wait()


@pytest.mark.slow
async def test_the_monitor_is_in_the_browser(home, tmp_path):
    home.run(count=3000)
    picture = Path(os.environ.get("PPROFPLUS_TEST_PICTURES") or tmp_path) / "serve.png"
    with served(home) as server:
        async with browser(tmp_path, 1280, 800) as page:
            await page.call("Page.enable")
            await page.call("Page.navigate", url=server.address.strip())
            end = time.monotonic() + 60
            while not await page.value("document.body.classList.contains('-first-byte')"):
                assert time.monotonic() < end, "the monitor never came"
                await asyncio.sleep(0.2)
            assert await page.value("location.search") == ""
            coloured = 0
            while coloured < 500:
                assert time.monotonic() < end, f"{coloured} cells in the colour of a line"
                await asyncio.sleep(0.2)
                shot = await page.call("Page.captureScreenshot", format="png")
                picture.write_bytes(base64.b64decode(shot["data"]))
                coloured = int(await page.value(COLOURED) or 0)
