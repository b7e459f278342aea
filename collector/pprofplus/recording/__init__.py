"""Records processes: thread, schedule, runs. May import settings, probes, control and log."""
