"""Detects that the files of this library were replaced while the process runs.

Modules that few services need are loaded when they are needed, which may be weeks after the start.
Those of another release must not be mixed with the ones that are loaded.
"""

from __future__ import annotations

import os
import re

from pprofplus import version

_VERSION = re.compile(rb"""^__version__ = ["']([^"']{1,80})["']""", re.MULTILINE)


def check_release() -> None:
    """Raise ValueError if the files on disk are those of another release, or cannot be read."""
    spec = version.__spec__
    try:
        # the loader also reads archives
        raw = spec.loader.get_data(version.__file__)  # type: ignore[union-attr]
    except PermissionError as error:
        raise ValueError(
            f"this process may not read the files of pprofplus, as uid {os.geteuid()}: install it"
            " where that user may read"
        ) from error
    except (OSError, AttributeError) as error:
        raise ValueError(
            f"the files of pprofplus cannot be read: {error}; restart the service"
        ) from error
    found = _VERSION.search(raw)
    release = found[1].decode("ascii", "replace") if found else "unknown"
    if release != version.__version__:
        raise ValueError(
            f"pprofplus {version.__version__} was replaced by release {release} after this process"
            " had started: restart the service"
        )
