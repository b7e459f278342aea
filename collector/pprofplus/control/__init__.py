"""Requests from outside to a running collector, and the actions that carry them out.

Imports system, warn and errors only; an action is registered by the module that implements it.
"""
