"""The binary log on disk and what lies next to it in a run's directory.

Imports `system`, `metrics` and `warn` only.
"""
