"""What terminals need: less output, ASCII, screenshots, crash reports. May import model."""
