"""The heaviest entries of a profile as a few lines of text, for a terminal."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pprofplus.profiles.pprof_decoder import DecodedProfile, Frame

    # values, and how the stack continues from the leaf
    Entry = tuple[tuple[int, ...], list[str]]

TOP_LINES = 10
_CHAIN = 6  # frames of a stack that are shown
_NAME = 60  # characters of a name
# kinds whose leaf says nothing without the rest of the stack: types and their holders, dumps
_WHOLE_STACKS = frozenset({"heap", "threads", "maps"})
_STATE = "state"
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB")
_SECONDS = ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us"))


def top_lines(kind: str, profile: DecodedProfile, count: int = TOP_LINES) -> list[str]:
    """Return a line of totals and the `count` heaviest entries; the text is untrusted.

    An entry is a function with its heaviest stack or, where the stack is what the kind is about,
    such as a type and its holders, a stack.
    """
    types = profile.sample_types
    totals = tuple(map(sum, zip(*(values for _, values, _ in profile.samples), strict=True)))
    if not totals:
        return [f"{kind}: nothing was found"]
    entries = _by_stack(profile) if kind in _WHOLE_STACKS else _by_function(profile)
    weight = types.index(next((t for t in types if t[0] == profile.default_type), types[-1]))
    entries.sort(key=lambda entry: entry[0][weight], reverse=True)
    shown = [_quantities(values, profile) for values, _ in entries[:count]]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    head = ", ".join(
        f"{quantity(total, unit)} {name}"
        for total, (name, unit) in reversed(list(zip(totals, types, strict=True)))
    )
    # values may be negative, where something shrank
    whole = sum(abs(values[weight]) for values, _ in entries) or 1
    lines = [f"{kind}: {head}"]
    for quantities, (values, chain) in zip(shown, entries, strict=False):
        columns = [text.rjust(width) for text, width in zip(quantities, widths, strict=True)]
        lines.append(f"  {'  '.join(columns)}  {values[weight] / whole:6.1%}  {' <- '.join(chain)}")
    if len(entries) > count:
        lines.append(f"  and {len(entries) - count} more")
    return lines


def _quantities(values: tuple[int, ...], profile: DecodedProfile) -> list[str]:
    """Return the values of a sample, the most important one first."""
    pairs = zip(values, profile.sample_types, strict=True)
    return [quantity(value, unit) for value, (_, unit) in reversed(list(pairs))]


def quantity(value: int, unit: str) -> str:
    """Return a value with its unit, as a person reads it."""
    if unit == "bytes":
        size, number = float(value), 0
        while abs(size) >= 1024 and number < len(_BYTES) - 1:
            size /= 1024
            number += 1
        return f"{size:.{1 if number else 0}f} {_BYTES[number]}"
    if unit == "nanoseconds":
        for scale, name in _SECONDS:
            if abs(value) >= scale:
                return f"{value / scale:.2f} {name}"
        return f"{value} ns"
    return f"{value:,}"


def _by_stack(profile: DecodedProfile) -> list[Entry]:
    """Return an entry for each stack, with its labels that are texts."""
    sums: dict[tuple[tuple[int, ...], tuple[str, ...]], list[int]] = {}
    for stack, values, labels in profile.samples:
        marks = tuple(f"{key}={text}" for key, text in labels if isinstance(text, str))
        _add(sums.setdefault((stack, marks), [0] * len(values)), values)
    return [
        (tuple(values), [*_chain(stack, profile.frames), *_marks(marks)])
        for (stack, marks), values in sums.items()
    ]


def _marks(marks: tuple[str, ...]) -> list[str]:
    return [f"[{', '.join(mark[:_NAME] for mark in marks)}]"] if marks else []


def _by_function(profile: DecodedProfile) -> list[Entry]:
    """Return an entry for each function at a leaf, with the stack that is heaviest for it.

    What a function waits for, where the profile says it, distinguishes entries.
    """
    sums: dict[tuple[Frame | None, str], list[int]] = {}
    heaviest: dict[tuple[Frame | None, str], tuple[int, tuple[int, ...]]] = {}
    for stack, values, labels in profile.samples:
        leaf = _function_of(profile.frames[stack[0]]) if stack else None
        state = next((text for key, text in labels if key == _STATE and isinstance(text, str)), "")
        key = leaf, state
        _add(sums.setdefault(key, [0] * len(values)), values)
        if key not in heaviest or values[-1] > heaviest[key][0]:
            heaviest[key] = values[-1], stack
    return [
        (
            tuple(values),
            _with_state(_chain(heaviest[leaf, state][1], profile.frames), state),
        )
        for (leaf, state), values in sums.items()
    ]


def _with_state(chain: list[str], state: str) -> list[str]:
    return [f"{chain[0]} [{state[:_NAME]}]", *chain[1:]] if state else chain


def _function_of(frame: Frame) -> Frame:
    name, filename, _, first_line = frame
    return name, filename, 0, first_line


def _chain(stack: tuple[int, ...], frames: list[Frame]) -> list[str]:
    """Return the names of the first frames; of the leaf, also where it is."""
    if not stack:
        return ["[no stack]"]
    names = [_cut(frames[index][0]) or "?" for index in stack[:_CHAIN]]
    _, filename, line, _ = frames[stack[0]]
    if filename and line:
        names[0] += f" ({filename.rpartition('/')[2][-_NAME:]}:{line})"
    if len(stack) > _CHAIN:
        names.append(f"... ({len(stack) - _CHAIN} more)")
    return names


def _cut(name: str) -> str:
    """Return a name that is short enough: of a path, its end."""
    if len(name) <= _NAME:
        return name
    return f"...{name[-_NAME:]}" if name.startswith("/") else f"{name[:_NAME]}..."


def _add(sums: list[int], values: tuple[int, ...]) -> None:
    for index, value in enumerate(values):
        sums[index] += value
