"""Durations as people write them: `500ms`, `15s`, `5m`, `1h`, `7d`, `1y`, or `forever`."""

from __future__ import annotations

import math
import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

_DAY = 86400.0
_UNITS = {
    "": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": _DAY, "w": 7 * _DAY, "y": 365 * _DAY,
}  # fmt: skip
FOREVER = "forever"


def parse_seconds(value: object) -> float:
    """Seconds from `15s`, `2m`, `1h`, `500ms`, `1y` (365 days) or a plain number; raises ValueError otherwise."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|min|m|h|d|w|y)?", str(value).strip())
    if match is None:
        raise ValueError(f"{value!r} is not a duration: write 500ms, 15s, 5m, 1h, 7d or 1y")
    return float(match[1]) * _UNITS[match[2] or ""]


def parse_age(value: object) -> float | None:
    """The same, or None for `forever`, which is what None means too."""
    return None if value is None or value == FOREVER else parse_seconds(value)


def in_words(seconds: float | None) -> str:
    """`15 s`, `5 min`, `6 h`, `7 d`, or `forever` for None."""
    if seconds is None:
        return FOREVER
    for size, unit in ((_DAY, "d"), (3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:g} s"


def _positive(value: float) -> float:
    if not 0 < value < math.inf:
        raise ValueError("a duration must be more than 0, and end")
    return value


def _positive_or_forever(value: float | None) -> float | None:
    return None if value is None else _positive(value)


Seconds = Annotated[float, BeforeValidator(parse_seconds), AfterValidator(_positive)]
Age = Annotated[float | None, BeforeValidator(parse_age), AfterValidator(_positive_or_forever)]
