"""Requests and answers as files in a run directory: their names and their JSON.

    ctl-<id>.request   {"do": name of an action, and its arguments}
    ctl-<id>.progress  {"share": 0 to 1, "text": line}, while a long action runs
    ctl-<id>.cancel    any content: cancel the long action
    ctl-<id>.answer    {"done": true or false, "text": what was done, or why not}
    ctl-<id>.bad       a request that was refused because of its form or its owner

A file gets its name when it is complete. The collector removes a request before it carries it out,
so that it does so at most once, and then writes the answer. The file must belong to the service's
user or to root, otherwise the request is refused.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat

from pprofplus.system.descriptor import EXISTING, close_descriptor

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from typing import Any

    from pprofplus.control.actions import Action, ActionRegistry

FILE_PATTERN = re.compile(r"\.?(ctl-[0-9a-f]{1,32})\.(request|cancel|answer|bad|new|progress)")
MAX_REQUEST_BYTES = 4096  # also of an answer


class Request:
    """A request to carry out an action.

    Attributes:
        action: the action's name.
        arguments: JSON values by name.
    """

    __slots__ = ("action", "arguments")

    def __init__(self, action: str, arguments: dict[str, Any] | None = None) -> None:
        self.action = action
        self.arguments = arguments or {}

    def pack(self) -> bytes:
        """Return the content of its file."""
        return json.dumps({"do": self.action, **self.arguments}).encode("ascii")


def parse_request(raw: bytes, actions: ActionRegistry) -> tuple[Action, dict[str, Any]]:
    """Return the action that a file requests, and its arguments. Raises ValueError."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        found = None
    action = actions.get(found.get("do")) if isinstance(found, dict) else None
    if action is None:
        raise ValueError("no request that this release knows")
    return action, action.read(found)


def check_owner(found: os.stat_result, what: str) -> None:
    """Raise PermissionError unless a file belongs to this user or to root."""
    if found.st_uid not in {0, os.geteuid()}:
        raise PermissionError(f"{what} of uid {found.st_uid}: only its own user and root may")


def read_request(name: str, run_fd: int) -> bytes:
    """Return the content of a request's file. Raises PermissionError, ValueError, OSError."""
    try:
        fd = os.open(name, EXISTING, dir_fd=run_fd)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:
            raise ValueError("a request that is no regular file") from error
        if error.errno == errno.EACCES:
            raise PermissionError("a request that this user may not read") from error
        raise
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("a request that is no regular file")
        check_owner(found, "a request")
        if found.st_size > MAX_REQUEST_BYTES:
            raise ValueError("a request that is too long")
        return os.read(fd, MAX_REQUEST_BYTES)
    finally:
        close_descriptor(fd)
