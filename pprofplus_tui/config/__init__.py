"""The settings file of the monitor: its table, reading and printing it. It imports only `model`."""
