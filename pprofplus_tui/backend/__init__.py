"""Answers the screens' requests in a thread. May import reports, charts, analysis, sources."""
