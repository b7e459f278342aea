"""Requests from outside to a running collector, and the actions that they request.

This package imports only system, warn and errors; the module that implements an action registers
it.
"""
