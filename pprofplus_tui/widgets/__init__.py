"""Widgets: they draw values and post messages."""
