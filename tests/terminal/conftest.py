"""A real terminal for the monitor: a pty on one side, pyte's screen on the other."""

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

import pyte
import pytest

KEYS = {
    "up": "\x1b[A",
    "down": "\x1b[B",
    "right": "\x1b[C",
    "left": "\x1b[D",
    "enter": "\r",
    "escape": "\x1b",
    "home": "\x1b[H",
    "end": "\x1b[F",
    "space": " ",
    "ctrl-c": "\x03",
}


class Terminal:
    """Runs a command in a pty and keeps the screen that a person would see."""

    def __init__(self, command, columns=100, rows=30, env=None):
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.output = bytearray()
        self.status = None
        environment = {
            "TERM": "xterm-256color",
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "LANG": "C.UTF-8",
            **(env or {}),
        }
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)  # what nohup or a shell's & had ignored
            time.sleep(0.05)  # the size is set first
            os.execvpe(command[0], command, environment)  # noqa: S606 - it is what is tested
        self.resize(columns, rows)

    def resize(self, columns, rows):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def send(self, *keys):
        for key in keys:
            os.write(self.fd, KEYS.get(key, key).encode())

    def read(self, seconds):
        """Take in what is written within so many seconds; return the number of bytes."""
        deadline, taken = time.monotonic() + seconds, 0
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([self.fd], [], [], left)[0]:
                break
            try:
                data = os.read(self.fd, 1 << 16)
            except OSError:
                break
            if not data:
                break
            self.output += data
            self._stream.feed(data)
            taken += len(data)
        return taken

    @property
    def text(self):
        return "\n".join(line.rstrip() for line in self.screen.display)

    def until(self, found, seconds=20):
        """Wait until `found` (a text, or a function of the screen's text) is so."""
        look = found if callable(found) else lambda text: found in text
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.read(0.1)
            if look(self.text):
                return self.text
        raise AssertionError(f"not within {seconds} s: {found}\n{self.text}")

    def end(self, seconds=10):
        """Wait for the command to end; return its exit code, negative for a signal."""
        deadline = time.monotonic() + seconds
        while self.status is None and time.monotonic() < deadline:
            self.read(0.05)
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                self.status = os.waitstatus_to_exitcode(status)
        self.read(0.05)
        assert self.status is not None, f"still running after {seconds} s\n{self.text}"
        return self.status

    def close(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            _, self.status = os.waitpid(self.pid, 0)
        os.close(self.fd)


@pytest.fixture
def terminal():
    """Start commands in terminals of their own."""
    opened = []

    def open_one(*arguments, columns=100, rows=30, env=None, command=None):
        words = command or [sys.executable, "-m", "pprofplus_tui"]
        opened.append(Terminal([*words, *arguments], columns, rows, env))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()
