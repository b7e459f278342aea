"""`python -m pprofplus_tui` is `pprofplus-tui`."""

import sys

from pprofplus_tui.cli import main

if __name__ == "__main__":
    sys.exit(main())
