"""Run a command that opens the monitor in a terminal, see its charts, press q, be left with 0.

in_terminal.py COMMAND
"""

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

COLUMNS, ROWS, PATIENCE_S = 120, 40, 300


def main(command: str) -> int:
    """Return 0 if the command drew charts and left in order on the key q."""
    pid, terminal = pty.fork()
    if pid == 0:
        time.sleep(0.05)  # the size is set first
        os.environ["TERM"] = "xterm-256color"
        os.execvp("bash", ["bash", "-euc", command])  # noqa: S606, S607 - the shell of this machine
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    deadline, seen = time.monotonic() + PATIENCE_S, False
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.5)[0]:
            try:
                data = os.read(terminal, 1 << 16)
            except OSError:
                break
            if not data:
                break
            stream.feed(data)
        text = "\n".join(screen.display)
        if not seen and "python heap" in text and "api" in text and "RSS" in text:
            seen = True
            sys.stdout.write(text + "\n")
            os.write(terminal, b"q")
    if time.monotonic() >= deadline:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return 0 if seen and os.waitstatus_to_exitcode(status) == 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
