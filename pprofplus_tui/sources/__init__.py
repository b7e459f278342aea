"""Sources of runs: the port that each offers, and each of them. May import terminal, model."""
