"""Lengths of time in milliseconds, and the round ones that time axes step by."""

SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS = 1000, 60_000, 3_600_000, 86_400_000
WEEK_MS, YEAR_MS = 7 * DAY_MS, 365 * DAY_MS
# Below a day; the steps of whole days differ between dates and ages.
ROUND_STEPS_MS: tuple[int, ...] = (
    *(seconds * SECOND_MS for seconds in (1, 2, 5, 10, 15, 30)),
    *(minutes * MINUTE_MS for minutes in (1, 2, 5, 10, 15, 30)),
    *(hours * HOUR_MS for hours in (1, 2, 3, 6, 12)),
)
