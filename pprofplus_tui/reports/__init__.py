"""A window of runs as one HTML page. May import charts, analysis, sources and model."""
