"""Screens: they own the state and hand values to widgets."""
