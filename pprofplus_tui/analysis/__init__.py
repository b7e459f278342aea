"""What curves mean: growth, saw-tooth, verdicts, several runs. May import sources, model."""
