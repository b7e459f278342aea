"""Screens, pages and dialogs: they own the state. May import widgets, backend.port, model."""
