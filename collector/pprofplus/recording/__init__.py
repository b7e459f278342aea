"""The recording of processes: thread, schedule, runs. May import all below it but commands."""
