"""Numbers to terminal rows; the only package that imports plotext."""
