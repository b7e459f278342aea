"""Reads the log directory: catalogue of runs, vectorised decode, window queries, live tail."""
