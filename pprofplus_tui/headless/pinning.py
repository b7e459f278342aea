"""`pprofplus-tui pin` and `unpin`."""

from typing import TextIO

from pprofplus_tui.errors import NothingFoundError
from pprofplus_tui.headless.choice import named_run
from pprofplus_tui.model.options import Options
from pprofplus_tui.model.text import clean
from pprofplus_tui.sources.local.pins import PinError, set_pin


def pin_run(options: Options, name: str, *, pinned: bool, out: TextIO) -> int:
    """Pin or unpin the run called `name`: SERVICE/PID or SERVICE/PID-START; return the exit code.

    Raises UsageError if several are called so, NothingFoundError if none is or it may not be done.
    """
    path = named_run(options, name).path
    try:
        set_pin(path, pinned=pinned)
    except PinError as error:
        raise NothingFoundError(clean(str(error))) from error
    out.write(clean(f"{path}: {'pinned' if pinned else 'not pinned'}") + "\n")
    return 0
