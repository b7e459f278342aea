"""Sources of runs: the port that each one offers, and each. May import terminal and model."""
