"""Units of size and time."""

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30

SECOND_NS = 10**9
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
