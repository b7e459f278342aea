"""Requests from outside to a running collector, and the actions that carry them out.

Imports `system` and `warn` only; what an action does is registered by the module that does it.
"""
