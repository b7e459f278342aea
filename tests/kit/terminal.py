"""A terminal: a command in a pty, whose output pyte draws. It needs pyte."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

import pyte

from kit.processes import IMPORT_PATH
from kit.waiting import wait_at_most

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
    """Runs a command in a pty and keeps the screen that a user would see."""

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
            "PYTHONPATH": IMPORT_PATH,
            **(env or {}),
        }
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)  # nohup or a shell's & may ignore them
            time.sleep(0.05)  # the parent sets the size first
            os.execvpe(command[0], command, environment)
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
        """Wait until the screen contains `found` (a text, or a predicate of it)."""
        matches = found if callable(found) else lambda text: found in text
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.read(0.1)
            if matches(self.text):
                return self.text
        raise AssertionError(f"not within {seconds} s: {found}\n{self.text}")

    def until_drawn(self, title="python heap", seconds=20):
        """Wait until the chart with this title and the size of RSS are shown."""
        return self.until(lambda text: title in text and re.search(r"RSS \d", text), seconds)

    def leave(self):
        """Quit the monitor by its key; check that it ends normally."""
        self.send("q")
        assert self.end() == 0
        assert b"Traceback" not in self.output

    def end(self, seconds=10):
        """Wait for the command to end; return its exit code, negative for a signal."""

        def has_ended():
            self.read(0.05)
            return self._reap()

        wait_at_most(has_ended, seconds)
        self.read(0.05)
        assert self.status is not None, f"still running after {seconds} s\n{self.text}"
        return self.status

    def wait(self, seconds):
        """Wait for the command to end without reading its output."""
        assert wait_at_most(self._reap, seconds), f"still running after {seconds} s\n{self.text}"
        return self.status

    def _reap(self):
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def close(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            _, self.status = os.waitpid(self.pid, 0)
        os.close(self.fd)
