"""Runs a program in a pseudo-terminal and measures when and how much it writes, and its CPU."""

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Sequence

import psutil

COLUMNS, ROWS = 200, 50
_PAINTED_BYTES = 1500  # fewer bytes are set-up, not a picture
_DEADLINE_S = 5.0


class Terminal:
    """Runs a command until the `with` block ends.

    Attributes:
        size_bytes: number of bytes written so far.
        started: monotonic seconds of the start.
    """

    def __init__(self, command: Sequence[str]) -> None:
        began, opened = os.pipe()
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.read(began, 1)  # the parent sets the size first
            for name in ("COLUMNS", "LINES", "NO_COLOR"):
                os.environ.pop(name, None)
            os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")
            try:
                # os.environ: readline may have set COLUMNS and LINES only in C's environment
                os.execvpe(command[0], list(command), os.environ)
            finally:
                os._exit(127)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.process = psutil.Process(self._pid)
        self.size_bytes = 0
        self.ended = False
        self.started = time.monotonic()
        os.write(opened, b"x")
        os.close(began)
        os.close(opened)

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self._signal(signal.SIGTERM)
        if not self._reaped(_DEADLINE_S):
            self._signal(signal.SIGKILL)
            os.waitpid(self._pid, 0)
        os.close(self._fd)

    def _signal(self, number: int) -> None:
        try:
            os.kill(self._pid, number)
        except ProcessLookupError:
            self.ended = True

    def _reaped(self, deadline_s: float) -> bool:
        until = time.monotonic() + deadline_s
        while time.monotonic() < until:
            self.read(0.05)  # a program that restores the terminal must not block on a full pipe
            if os.waitpid(self._pid, os.WNOHANG)[0]:
                return True
        return False

    def read(self, timeout_s: float) -> bytes:
        """Return the next output, b"" if there is none in time."""
        if self.ended:
            time.sleep(timeout_s)
            return b""
        if not select.select([self._fd], [], [], max(0.0, timeout_s))[0]:
            return b""
        try:
            data = os.read(self._fd, 1 << 16)
        except OSError:  # EIO: the program has closed the terminal
            data = b""
        self.ended = not data
        self.size_bytes += len(data)
        return data

    def first_paint_ms(self, deadline_s: float = 15.0) -> float | None:
        """Return milliseconds from the start to the first picture, None if there is none."""
        until = self.started + deadline_s
        while self.size_bytes <= _PAINTED_BYTES:
            if not self.read(until - time.monotonic()) and time.monotonic() >= until - 0.01:
                return None
            if self.ended:
                return None
        return (time.monotonic() - self.started) * 1000

    def settle(self, quiet_s: float, deadline_s: float = _DEADLINE_S) -> tuple[float, int]:
        """Read until no output comes for `quiet_s`; return (time of the last, bytes)."""
        last = begin = time.monotonic()
        before = self.size_bytes
        while time.monotonic() - begin < deadline_s and not self.ended:
            if self.read(quiet_s):
                last = time.monotonic()
            elif time.monotonic() - last >= quiet_s:
                break
        return last, self.size_bytes - before

    def press(self, key: bytes, quiet_s: float) -> tuple[float, int]:
        """Press a key; return (milliseconds to the last byte of the reaction, bytes)."""
        pressed = time.monotonic()
        os.write(self._fd, key)
        last, size_bytes = self.settle(quiet_s)
        return (last - pressed) * 1000, size_bytes

    def cpu_s(self) -> float:
        """Return the CPU time of the program and its living children."""
        total = 0.0
        for process in [self.process, *self.process.children(recursive=True)]:
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            total += times.user + times.system
        return total

    def watch(self, seconds: float) -> tuple[float, float]:
        """Return (bytes per second, percent of a core) over the next `seconds`."""
        begin, size_bytes, cpu_s = time.monotonic(), self.size_bytes, self.cpu_s()
        while time.monotonic() - begin < seconds and not self.ended:
            self.read(min(0.25, seconds - (time.monotonic() - begin)))
        if self.ended:
            raise RuntimeError("the program ended during the measurement")
        lasted = time.monotonic() - begin
        return (self.size_bytes - size_bytes) / lasted, 100 * (self.cpu_s() - cpu_s) / lasted
