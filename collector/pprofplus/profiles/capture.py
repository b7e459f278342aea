"""What passes between the code that requests profiles and the code that takes them.

A module that takes profiles has two functions: `check(request)` raises ProfileRefusedError if the
request cannot be met or would cost the service too much, and `take(request, task)` yields a
ProfilePart as soon as it is made. Both are called on a thread of their own. A module whose profile
stops the interpreter for more than a millisecond also has `expected_hold_ms(request)`, which
returns the longest time for which it will hold the GIL.
"""

from __future__ import annotations

from time import time_ns

from pprofplus.errors import ProfileRefusedError

__all__ = [
    "DEFAULT_HZ",
    "MAX_HZ",
    "MAX_WINDOW_S",
    "CaptureRequest",
    "ProfilePart",
    "ProfileRefusedError",
]

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from typing import Protocol

    from pprofplus.profiles.pprof_encoder import ProfileBuilder

    class Task(Protocol):
        """The action that a profile belongs to; a LongAction is one."""

        def check(self) -> None:
            """Raise ActionCancelledError if it must end."""

        def wait(self, timeout_s: float) -> None:
            """Sleep for `timeout_s`, or until the window is over.

            Raises ActionCancelledError as soon as it must end.
            """

        @property
        def window_over(self) -> bool:
            """Whether the window ends now, before its time: the profile of it is wanted."""

        def report(self, share: float, text: str = "") -> None:
            """Report progress: the share that is done, 0 to 1, and one line of text."""


DEFAULT_HZ = 100
MAX_HZ = 1000
MAX_WINDOW_S = 3600


class CaptureRequest:
    """A request to one module that takes profiles.

    Attributes:
        kinds: names of the kinds to take, all of that module.
        window_s: length of the window in seconds; of no meaning for a kind without a window.
        hz: ticks a second, for kinds that sample.
        force: take it even if it costs more than is allowed without being forced.
        why: what requested it: "" for a person or the program, else a trigger, such as "limit-75".
    """

    __slots__ = ("force", "hz", "kinds", "why", "window_s")

    def __init__(
        self,
        kinds: tuple[str, ...],
        window_s: float,
        *,
        hz: int = DEFAULT_HZ,
        force: bool = False,
        why: str = "",
    ) -> None:
        self.kinds = kinds
        self.window_s = window_s
        self.hz = hz
        self.force = force
        self.why = why


class ProfilePart:
    """One profile that is ready to be stored.

    Attributes:
        kind: name of its kind.
        profile: a pprof profile; None if `data` is another format.
        data: the complete file of another format, such as a trace.
        suffix: of the artefact's name, see `log.artefacts`; "" for a pprof profile.
        unix_ms: when the capture began.
        note: one line for the person who requested it, such as what was lost; or "".
        hold_ms: the longest time for which the GIL was held, as measured; 0 if that is unknown.
    """

    __slots__ = ("data", "hold_ms", "kind", "note", "profile", "suffix", "unix_ms")

    def __init__(
        self,
        kind: str,
        profile: ProfileBuilder | None = None,
        *,
        data: bytes = b"",
        suffix: str = "",
        unix_ms: int = 0,
        note: str = "",
        hold_ms: float = 0.0,
    ) -> None:
        self.kind = kind
        self.profile = profile
        self.data = data
        self.suffix = suffix
        self.unix_ms = unix_ms or time_ns() // 1_000_000
        self.note = note
        self.hold_ms = hold_ms
