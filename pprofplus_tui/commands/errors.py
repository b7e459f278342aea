"""The errors that end the command with one line on stderr."""


class UsageError(Exception):
    """The command line is wrong; the text is for the user. Exit code 2."""


class NothingFoundError(Exception):
    """Nothing was found, or the command failed; the text is one line for the user. Exit code 1."""
