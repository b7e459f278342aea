"""Over a real sshd with 150 ms delay each way: no key is lost, and no frames are queued."""

import getpass
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from kit.delayed_proxy import DelayedProxy
from kit.page_writer import write_short_run
from kit.processes import IMPORT_PATH
from kit.waiting import wait_at_most, wait_until

pytestmark = [pytest.mark.slow]

DELAY_S = 0.15


def _sshd():
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@pytest.fixture
def remote(tmp_path):
    """Return (ssh command of a shell with 150 ms delay, the proxy that delays it)."""
    sshd = _sshd()
    if sshd is None or shutil.which("ssh") is None or shutil.which("ssh-keygen") is None:
        pytest.skip("sshd and ssh are not installed")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    for name in ("host", "user"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)],
            check=True,
        )
    shutil.copy(tmp_path / "user.pub", tmp_path / "authorized")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = tmp_path / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/host\n"
        f"AuthorizedKeysFile {tmp_path}/authorized\nStrictModes no\nUsePAM no\n"
        f"PidFile {tmp_path}/pid\nPermitRootLogin yes\nPasswordAuthentication no\n"
    )
    with ExitStack() as kept:
        log = kept.enter_context((tmp_path / "sshd.log").open("w"))
        server = kept.enter_context(
            subprocess.Popen([sshd, "-D", "-e", "-f", str(config)], stderr=log)
        )
        kept.callback(server.terminate)
        proxy = DelayedProxy(port, DELAY_S)
        kept.callback(proxy.close)
        command = [
            *["ssh", "-tt", "-F", os.devnull, "-p", str(proxy.port), "-i", str(tmp_path / "user")],
            *["-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={tmp_path}/known"],
            *["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "LogLevel=ERROR"],
            f"{getpass.getuser()}@127.0.0.1",
        ]
        if (
            not wait_at_most(
                lambda: server.poll() is not None or _accepts(command), 20, pause_s=0.2
            )
            or server.poll() is not None
        ):
            reason = (tmp_path / "sshd.log").read_text()[-300:]
            pytest.skip(f"sshd refuses the login: {reason}")
        yield command, proxy


def _accepts(command):
    done = subprocess.run(
        [*command, "true"], stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False
    )
    return done.returncode == 0


def remote_command(*words):
    monitor = [sys.executable, "-m", "pprofplus_tui", *words]
    return f"env PYTHONPATH={shlex.quote(IMPORT_PATH)} LC_ALL=C.UTF-8 {shlex.join(monitor)}"


def test_no_key_is_lost_and_no_frames_are_queued_on_a_slow_line(remote, terminal, tmp_path):
    command, proxy = remote
    for n in range(40):
        write_short_run(tmp_path / "logs", pid=5000 + n, start_ms=1_795_169_333_907 + 1000 * n)
    words = [*command, remote_command("--dir", str(tmp_path / "logs"))]
    screen = terminal(command=words, columns=200, rows=50)
    screen.until(lambda text: "python heap" in text and re.search(r"RSS \d", text), 40)
    screen.read(1)
    first = int(re.search(r"api (\d+)", screen.text.split("\n")[0])[1])
    before = proxy.passed[1]
    for _ in range(30):
        screen.send("down")
        screen.read(1 / 30)
    last = first - 30 if first > 5030 else first + 30
    screen.until(lambda text: f"api {last}" in text.split("\n")[0], 40)
    screen.read(2)
    assert screen.read(1) == 0
    # a repaint of all charts for each key would be ten times as much
    assert proxy.passed[1] - before < 30 * 10_000
    screen.send("?")
    screen.until("Esc closes", 40)
    screen.send("ctrl-c")
    assert screen.end(40) == 0


def test_a_dropped_line_ends_the_remote_monitor(remote, terminal, tmp_path):
    command, proxy = remote
    write_short_run(tmp_path / "logs")
    mark = f"--dir={tmp_path}/logs"
    screen = terminal(command=[*command, remote_command(mark)], columns=120, rows=40)
    screen.until("python heap", 40)
    proxy.close()
    wait_until(lambda: not _running(mark), 40, pause_s=0.2)


def _running(mark):
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if mark.encode() in words and b"pprofplus_tui" in words:
            found.append(path)
    return found
