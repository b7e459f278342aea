"""`python -m pprofplus` is `pprofplus`."""

from pprofplus.cli import main

raise SystemExit(main())
