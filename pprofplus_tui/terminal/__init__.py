"""Terminal output: encoder, changed cells, ASCII, screenshots, crash reports. May import model."""
