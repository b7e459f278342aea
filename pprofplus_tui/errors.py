"""What ends the command with one line on stderr."""


class UsageError(Exception):
    """The command line asks for what cannot be; its text is one line for the user. Exit code 2."""


class NothingFoundError(Exception):
    """Nothing is there, or it failed; its text is one line for the user. Exit code 1."""
