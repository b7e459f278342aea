"""The parent of `pprofplus run --wait`, which notes how it ended. May import log, system."""
