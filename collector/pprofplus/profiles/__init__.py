"""Profiles of this process: kinds, samplers, censuses, and the pprof encoder.

May import log, probes, control and system. A service loads it when it takes its first profile.
"""
