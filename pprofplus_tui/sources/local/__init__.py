"""Disk to numpy: the catalogue of runs, vectorised decode, window queries, the live tail."""
