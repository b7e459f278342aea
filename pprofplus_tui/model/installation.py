"""The pip commands that install this project, the same in messages and documents."""

SOURCE = "."
"""What pip installs the project from.

"." is a clone of the repository. When the project is on a package index, write "pprofplus" here:
messages change with it, and tests/documents/test_install.py names the documents to change.
"""
_CLONE = "in a clone of pprofplus"


def install_command(extra: str = "") -> str:
    """Return the shell command that installs the project, with an extra if one is given."""
    return f"pip install '{SOURCE}[{extra}]'" if extra else f"pip install {SOURCE}"


def install_line(extra: str = "") -> str:
    """Return the command, with a shell comment on where to run it if that matters."""
    return f"{install_command(extra)}  # {_CLONE}" if SOURCE == "." else install_command(extra)


def how_to_install(extra: str) -> str:
    """Return the command as the end of a message, with where to run it if that matters."""
    return f"{install_command(extra)}  {_CLONE}" if SOURCE == "." else install_command(extra)
