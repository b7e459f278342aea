"""Screens and dialogs: they own the state. May import widgets, backend.interface, model."""
