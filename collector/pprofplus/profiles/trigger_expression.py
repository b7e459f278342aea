"""The expressions of `profile_when`: conditions on metrics, at which profiles are taken.

    rss > 800MiB
    limit_used > 60% or (threads > 500 and growing over 1h)

A condition compares a metric with a quantity, or is `growing`; `and` binds tighter than `or`. A
percentage is a share of the cgroup's limit. Nothing in an expression is evaluated as Python.
"""

from __future__ import annotations

import re
from itertools import pairwise

from pprofplus.metrics import BY_NAME, BYTES, COUNT, COUNTER, MICROSECONDS

TYPE_CHECKING = False  # typing costs each service 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    # the current value of a metric, None while it has none
    Values = Callable[[str], "int | None"]

# what the triggers at the limit use: memory charged to the cgroup that has the limit, without the
# page cache, which the kernel can reclaim
LIMIT_USED = "limit_used"
_NEVER = {"never", "off", "no", "0", "false"}

_MAX_LENGTH = 500
_MAX_DEPTH = 20
_EXAMPLE = "as in 'rss > 800MiB', 'growing', 'limit_used > 60% and threads > 500'"
_TOKEN = re.compile(
    r"\s*(?:(?P<word>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<number>[0-9]{1,18}(?:\.[0-9]{1,9})?)"
    r"(?P<unit>\s?%|\s?(?!(?:and|or)\b)[A-Za-z]+)?(?![A-Za-z0-9_.])"
    r"|(?P<sign>>=|<=|>|<|\(|\)))"
)
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
}
_BYTES = {"b": 1}
for _power, _letter in enumerate("kmgt", 1):
    _BYTES[f"{_letter}b"] = 1000**_power
    _BYTES[f"{_letter}ib"] = 1024**_power
_COUNTS = {"": 1, "k": 1000, "m": 1_000_000, "g": 1_000_000_000}
_MICROSECONDS = {"us": 1, "ms": 1000, "s": 1_000_000}
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_UNIT_NAMES = {
    BYTES: "MiB, GiB, MB, GB or %",
    COUNT: "no unit, or k or M",
    MICROSECONDS: "us, ms or s",
}

# `growing`: the lowest rss of each sixth of this time is higher than that of the one before, and
# the last is so much above the first
GROWING_OVER_S = 1800.0
_LEAST_OVER_S, _MOST_OVER_S = 6.0, 7 * 86_400.0
_PARTS = 6
_LEAST_GROWTH = 0.1
_LEAST_GROWTH_BYTES = 16 << 20


class TriggerExpression:
    """A parsed expression.

    Attributes:
        text: the expression.
        metrics: names of the metrics that it reads.
    """

    __slots__ = ("_condition", "metrics", "text")

    def __init__(self, text: str) -> None:
        """Parse it. Raises ValueError, with a line that says what is wrong and what is right."""
        self.text = " ".join(text.split())
        self._condition = _Parser(text).parse()
        self.metrics = frozenset(self._condition.metrics())

    def fresh(self) -> TriggerExpression:
        """Return the same expression without the values of earlier calls."""
        return TriggerExpression(self.text)

    def holds(self, values: Values, now_s: float) -> bool:
        """Return whether it holds; a comparison with a metric that has no value does not.

        Call it regularly: `growing` compares with the values of earlier calls. `now_s` is
        monotonic.
        """
        return self._condition.holds(values, now_s)


class _Condition:
    """A part of an expression that holds or does not."""

    __slots__ = ()

    def holds(self, values: Values, now_s: float) -> bool:
        raise NotImplementedError

    def metrics(self) -> Iterator[str]:
        raise NotImplementedError


class _Combined(_Condition):
    """Conditions joined by `and` (all) or `or` (any)."""

    __slots__ = ("_join", "_parts")

    def __init__(self, join: Callable[[list[bool]], bool], parts: list[_Condition]) -> None:
        self._join = join
        self._parts = parts

    def holds(self, values: Values, now_s: float) -> bool:
        # all of them, because some need every value
        return self._join([part.holds(values, now_s) for part in self._parts])

    def metrics(self) -> Iterator[str]:
        for part in self._parts:
            yield from part.metrics()


class _Comparison(_Condition):
    """A metric compared with a quantity, or with a share of the cgroup's limit."""

    __slots__ = ("_compare", "_metric", "_of_limit", "_quantity")

    def __init__(self, metric: str, sign: str, quantity: float, *, of_limit: bool) -> None:
        self._metric = metric
        self._compare = _COMPARISONS[sign]
        self._quantity = quantity
        self._of_limit = of_limit

    def holds(self, values: Values, now_s: float) -> bool:  # noqa: ARG002 - as in all conditions
        value, whole = values(self._metric), 1
        if self._of_limit:
            whole = values("cgroup_limit") or 0
        return value is not None and whole > 0 and self._compare(value, self._quantity * whole)

    def metrics(self) -> Iterator[str]:
        yield self._metric
        if self._of_limit:
            yield "cgroup_limit"


class _Growing(_Condition):
    """Resident memory that grows, also at the lowest points of a saw-tooth."""

    __slots__ = ("_begin_s", "_lowest", "_part_s")

    def __init__(self, over_s: float) -> None:
        self._part_s = over_s / _PARTS
        self._begin_s: float | None = None  # of the current part
        self._lowest: list[int] = []  # of the parts, the last one is the current one

    def holds(self, values: Values, now_s: float) -> bool:
        rss = values("rss")
        if rss is None:
            return False
        if self._begin_s is None or now_s - self._begin_s >= 2 * self._part_s:
            # the first value, or nothing was read for a long time
            self._begin_s, self._lowest = now_s, []
        elif now_s - self._begin_s >= self._part_s:
            self._begin_s += self._part_s
            self._lowest = [*self._lowest[-_PARTS:], rss]
        if not self._lowest:
            self._lowest = [rss]
        self._lowest[-1] = min(self._lowest[-1], rss)
        complete = self._lowest[:-1]
        if len(complete) < _PARTS:
            return False
        first, last = complete[0], complete[-1]
        rises = all(a < b for a, b in pairwise(complete))
        return rises and last - first >= max(_LEAST_GROWTH * first, _LEAST_GROWTH_BYTES)

    def metrics(self) -> Iterator[str]:
        yield "rss"


class _Parser:
    """Parses one expression by recursive descent."""

    __slots__ = ("_at", "_tokens")

    def __init__(self, text: str) -> None:
        if len(text) > _MAX_LENGTH:
            raise ValueError(f"it is longer than {_MAX_LENGTH} characters")
        self._tokens = list(_tokens(text))
        self._at = 0

    def parse(self) -> _Condition:
        """Return the condition. Raises ValueError."""
        found = self._either(0)
        if self._at < len(self._tokens):
            raise ValueError(f"'and' or 'or' is missing before {self._shown()}")
        return found

    def _either(self, depth: int) -> _Condition:
        return self._joined("or", any, self._both, depth)

    def _both(self, depth: int) -> _Condition:
        return self._joined("and", all, self._single, depth)

    def _joined(
        self,
        word: str,
        join: Callable[[list[bool]], bool],
        part: Callable[[int], _Condition],
        depth: int,
    ) -> _Condition:
        parts = [part(depth)]
        while self._take("word", word):
            parts.append(part(depth))
        return parts[0] if len(parts) == 1 else _Combined(join, parts)

    def _single(self, depth: int) -> _Condition:
        if self._take("sign", "("):
            if depth >= _MAX_DEPTH:
                raise ValueError(f"it has more than {_MAX_DEPTH} parentheses inside each other")
            found = self._either(depth + 1)
            if not self._take("sign", ")"):
                raise ValueError(f"')' is missing before {self._shown()}")
            return found
        name = self._next("word", f"a metric or 'growing', {_EXAMPLE}")[0]
        if name == "growing":
            return self._growing()
        unit = _unit_of(name)
        sign = self._next("sign", f"> < >= or <= after {name}, {_EXAMPLE}")[0]
        if sign not in _COMPARISONS:
            raise ValueError(f"after {name}, use > < >= or <=, not {sign!r}")
        number, suffix = self._next("number", f"a quantity after '{name} {sign}', {_EXAMPLE}")
        if suffix == "%":
            if unit != BYTES:
                raise ValueError(f"{name} is not in bytes: it cannot be a share of the limit")
            return _Comparison(name, sign, float(number) / 100, of_limit=True)
        factors = {BYTES: _BYTES, MICROSECONDS: _MICROSECONDS}.get(unit, _COUNTS)
        if suffix.lower() not in factors:
            given = f"{number}{suffix}"
            raise ValueError(f"{given!r} is no quantity of {name}: use {_UNIT_NAMES[unit]}")
        quantity = float(number) * factors[suffix.lower()]
        return _Comparison(name, sign, quantity, of_limit=False)

    def _growing(self) -> _Condition:
        if not self._take("word", "over"):
            return _Growing(GROWING_OVER_S)
        number, suffix = self._next("number", "a time after 'growing over', as in '30min'")
        over_s = float(number) * _SECONDS.get(suffix.lower(), 0)
        if not _LEAST_OVER_S <= over_s <= _MOST_OVER_S:
            raise ValueError(f"growing over {number}{suffix}: use 6s to 7d, as in '30min'")
        return _Growing(over_s)

    def _take(self, kind: str, text: str) -> bool:
        """Skip a token if it is the next one; return whether it was."""
        if self._at < len(self._tokens) and self._tokens[self._at][:2] == (kind, text):
            self._at += 1
            return True
        return False

    def _next(self, kind: str, wanted: str) -> tuple[str, str]:
        """Return text and unit of the next token, and skip it. Raises ValueError."""
        if self._at >= len(self._tokens) or self._tokens[self._at][0] != kind:
            raise ValueError(f"{self._shown()} where there should be {wanted}")
        _, text, unit = self._tokens[self._at]
        self._at += 1
        return text, unit

    def _shown(self) -> str:
        if self._at >= len(self._tokens):
            return "the end"
        return repr("".join(self._tokens[self._at][1:]))


def parse_profile_when(text: object) -> TriggerExpression | None:
    """Return the expression of the setting `profile_when`; None if it is "never".

    Raises ValueError for anything else.
    """
    if not isinstance(text, str):
        raise ValueError(f"profile_when of type {type(text).__name__}: use text, {_EXAMPLE}")
    if text.strip().lower() in _NEVER:
        return None
    shown = text if len(text) <= 80 else f"{text[:80]}..."  # a terminal's line
    try:
        return TriggerExpression(text)
    except ValueError as error:
        raise ValueError(f"profile_when {shown!r}: {error}") from None


def _tokens(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield (kind, text, unit) of each token. Raises ValueError."""
    at, end = 0, len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at, end)
        if found is None:
            raise ValueError(f"{text[at:end].lstrip()[:20]!r} cannot be read: write it {_EXAMPLE}")
        kind = found.lastgroup if found.lastgroup != "unit" else "number"
        token = found[kind or ""]
        word = token.lower() if token.lower() in {"and", "or", "over", "growing"} else token
        yield str(kind), word, (found["unit"] or "").strip()
        at = found.end()


def _unit_of(name: str) -> str:
    """Return the unit of a metric. Raises ValueError if there is no such gauge."""
    if name == LIMIT_USED:
        return BYTES
    metric = BY_NAME.get(name)
    if metric is None:
        known = ", ".join(each.name for each in BY_NAME.values() if each.kind != COUNTER)
        raise ValueError(f"{name!r:.40} is no metric: use growing, {LIMIT_USED}, {known}")
    if metric.kind == COUNTER:
        raise ValueError(f"{name} only grows: use a metric that is a level")
    return metric.unit
