"""Actions that a running collector can carry out on request, one object each.

An action declares its name, its arguments and its handler. `pprofplus ctl` builds its command line
from them and checks what it sends; the service checks what it receives with the same objects.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

_RESERVED = frozenset({"do"})  # the key that names the action in a request


class Argument:
    """One argument of an action.

    Attributes:
        name: its key in a request.
        metavar: its name in the help of `ctl`.
        help: one line of help.
        types: the types that its JSON value may have.
        default: its value if a request has none; None if the argument is required. On the command
            line, a required argument is positional, and an optional one is the option `--name`.
    """

    __slots__ = ("_check", "default", "help", "metavar", "name", "types")

    def __init__(
        self,
        name: str,
        metavar: str,
        types: tuple[type, ...],
        *,
        check: Callable[[Any], object] | None = None,
        default: object = None,
        help: str = "",
    ) -> None:
        """Declare it; `check` converts text or a JSON value, or raises ValueError."""
        self.name = name
        self.metavar = metavar
        self.types = types
        self.default = default
        self.help = help
        self._check = check

    def check(self, value: object) -> object:
        """Return the value, converted if it is the text of a command line. Raises ValueError."""
        return value if self._check is None else self._check(value)


class Action:
    """One action.

    A short action runs on the collector's thread, between two samples, while the lock is held that
    a fork waits for: `handler(recorder, arguments)` returns within milliseconds, with one line
    about what was done. A long action runs on its own thread without that lock, as
    `handler(recorder, arguments, task)`, where `task` is its LongAction. A handler raises
    ValueError to refuse; its text is the answer to the sender.

    Attributes:
        name: its name in a request and on the command line.
        help: one line of help.
        handler: see above.
        arguments: in the order of the command line.
        long: it runs on its own thread.
        own_process_only: it inspects the process in which it runs, so that a recorder of another
            process refuses it.
    """

    __slots__ = ("_duration_s", "arguments", "handler", "help", "long", "name", "own_process_only")

    def __init__(
        self,
        name: str,
        handler: Callable[..., str],
        *arguments: Argument,
        help: str = "",
        long: bool = False,
        duration_s: Callable[[dict[str, Any]], float] | None = None,
        own_process_only: bool = False,
    ) -> None:
        """Declare it; `duration_s` returns the expected duration for given arguments."""
        self.name = name
        self.handler = handler
        self.arguments = arguments
        self.help = help
        self.long = long
        self.own_process_only = own_process_only
        self._duration_s = duration_s

    def read(self, found: dict[str, object]) -> dict[str, Any]:
        """Return the arguments in the JSON of a request. Raises ValueError if one is malformed.

        Ranges are not checked. Unknown keys, as of a later release, are ignored.
        """
        arguments = {}
        for argument in self.arguments:
            value = found.get(argument.name, argument.default)
            if value is None:
                raise ValueError(f"a request without {argument.name}")
            if type(value) not in argument.types:  # a bool is an int, too
                raise ValueError("a request with an argument of the wrong type")
            arguments[argument.name] = value
        return arguments

    def check(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments, converted if they are text. Raises ValueError if one is invalid."""
        return {each.name: each.check(arguments[each.name]) for each in self.arguments}

    def duration_s(self, arguments: dict[str, Any]) -> float:
        """Return the expected duration in seconds."""
        return 0.0 if self._duration_s is None else self._duration_s(arguments)


class ActionRegistry:
    """Actions by name, in the order of their registration."""

    __slots__ = ("_actions",)

    def __init__(self) -> None:
        self._actions: dict[str, Action] = {}

    def register(self, action: Action) -> Action:
        """Add an action and return it. Raises ValueError for a name that is invalid or taken."""
        names = [action.name, *(argument.name for argument in action.arguments)]
        for name in names:
            is_name = name.isascii() and name.islower() and name.replace("-", "_").isidentifier()
            if not is_name or name in _RESERVED:
                raise ValueError(f"{name!r} cannot name an action or an argument")
        if len(set(names[1:])) < len(names[1:]):
            raise ValueError(f"{action.name} has two arguments of one name")
        if action.name in self._actions:
            raise ValueError(f"{action.name} is registered already")
        self._actions[action.name] = action
        return action

    def get(self, name: object) -> Action | None:
        """Return the action with this name; None if this release has none."""
        return self._actions.get(name) if isinstance(name, str) else None

    def __iter__(self) -> Iterator[Action]:
        """Iterate over the actions."""
        return iter(self._actions.values())
