"""Real small services that leak, fragment and die. May import model and signals."""
