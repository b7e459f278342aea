"""Profiles of other formats, as pprof profiles. May import sources and model, and the collector."""
