"""Run a command that opens the monitor in a terminal, wait for its charts, and quit by q.

python .ci/in_terminal.py COMMAND
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from kit.terminal import Terminal

DEADLINE_S = 300  # the command installs packages first


def main(command: str) -> int:
    """Return the command's exit code. Raises AssertionError if it draws no charts."""
    terminal = Terminal(["bash", "-euc", command], 120, 40, env=dict(os.environ, TERM="xterm"))
    try:
        shown = terminal.until(
            lambda text: "python heap" in text and "api" in text and "RSS" in text, DEADLINE_S
        )
        sys.stdout.write(shown + "\n")
        terminal.send("q")
        return terminal.end(60)
    finally:
        terminal.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
