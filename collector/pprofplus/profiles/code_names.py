"""Names for code and frames, as profiles show them; no code of the host is called for them."""

from __future__ import annotations

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from types import CodeType, FrameType


def module_of(frame: FrameType) -> str:
    """Return the name of the module in which a frame's code was defined, or ""."""
    # f_globals may be a subclass of dict with methods of the host
    name = dict.get(frame.f_globals, "__name__")
    return name if type(name) is str else ""


def function_name(code: CodeType, module: str) -> str:
    """Return "module.qualname"; before Python 3.11 the name without its class."""
    name: str = getattr(code, "co_qualname", code.co_name)
    return f"{module}.{name}" if module else name


def line_of(code: CodeType, instruction: int) -> int:
    """Return the line of an instruction, an offset in bytes as in `f_lasti`.

    It is the function's first line if the instruction has none.
    """
    for begin, end, line in code.co_lines():
        if begin <= instruction < end and line is not None:
            return line
    return code.co_firstlineno
