"""The operating system: descriptors, locks, threads, /proc, users. Imports nothing from here."""
