"""The operating system: descriptors, locks, threads, /proc. Imports no other package here."""
