"""The monitor: read the logs that pprofplus writes and draw them in a terminal."""
