"""`pprofplus run --wait`: the parent that stays, waits for the command, and notes how it ended."""
