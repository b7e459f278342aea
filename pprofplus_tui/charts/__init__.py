"""Turns numbers into rows of cells, with plotext. May import analysis and model."""
