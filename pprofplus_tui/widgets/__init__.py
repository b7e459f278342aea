"""Widgets: they draw values and post messages. May import charts, terminal and model."""
