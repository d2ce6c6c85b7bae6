"""Values as Grafana's units write them. assets/charts.js does the same in the browser; a test holds the two together.

The facts: grafana/grafana packages/grafana-data/src/valueFormats (valueFormats.ts, dateTimeFormatters.ts). Two things
differ: a negative number has as many digits as the same positive one, and a duration without `decimals` has two parts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal

NO_DATA = "No data"
_HALF_UP = Context(prec=400, rounding=ROUND_HALF_UP)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHORT = ("", " K", " Mil", " Bil", " Tri", " Quadr", " Quint", " Sext", " Sept")
_COUNT = ("", "K", "M", "B", "T")
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi")
_PER_SECOND = {"ops": "ops/s", "reqps": "req/s", "cpm": "c/m"}
# Below the first it is the second, divided by the third.
_MS = ((1e3, "ms", 1), (6e4, "s", 1e3), (3.6e6, "min", 6e4), (8.64e7, "hour", 3.6e6), (3.1536e10, "day", 8.64e7),
       (math.inf, "year", 3.1536e10))  # fmt: skip
_S = ((1e-6, "ns", 1e-9), (1e-3, "µs", 1e-6), (1, "ms", 1e-3), (60, "s", 1), (3600, "min", 60), (86400, "hour", 3600),
      (604800, "day", 86400), (31536000, "week", 604800), (math.inf, "year", 3.15569e7))  # fmt: skip
_PARTS = (("year", 31536000), ("month", 2592000), ("week", 604800), ("day", 86400), ("hour", 3600), ("minute", 60),
          ("second", 1))  # fmt: skip
_AGO = ((45, "", 1), (2700, "minute", 60), (79200, "hour", 3600), (2246400, "day", 86400), (27648000, "month", 2592000),
        (math.inf, "year", 31536000))  # fmt: skip


def show(value: float | None, unit: str, decimals: int | None = None, now: float = 0.0) -> str:
    """A number in its unit; `No data` for None. Dates are milliseconds since 1970, as is `now`, and shown in UTC."""
    if value is None:
        return NO_DATA
    match unit:
        case "percentunit":
            return fixed(value * 100, decimals) + "%"
        case "short":
            return _scaled(value, 1000, _SHORT, decimals)
        case "bytes":
            return _scaled(value, 1024, [f" {prefix}B" for prefix in _BINARY], decimals)
        case "binBps":
            return _scaled(value, 1024, [f" {prefix}B/s" for prefix in _BINARY], decimals)
        case "ops" | "reqps" | "cpm":
            return f"{_scaled(value, 1000, _COUNT, decimals)} {_PER_SECOND[unit]}"
        case "ms" | "s":
            steps = _MS if unit == "ms" else _S
            _, name, size = (
                steps[3] if unit == "s" and value == 0 else next(step for step in steps if abs(value) < step[0])
            )
            return f"{fixed(value / size, decimals)} {name}"
        case "dtdurations":
            return _duration(value, 1 if decimals is None else decimals)
        case "dateTimeAsIso":
            return moment(value)
        case "dateTimeFromNow":
            return _ago((now - value) / 1000)
    return fixed(value, decimals)


def fixed(value: float, decimals: int | None = None) -> str:
    """A number with so many decimals; without `decimals` with three digits that count, and integers whole."""
    if decimals is None:
        decimals = _decimals_of(value)
    factor = 10.0**decimals
    rounded = _round(value * factor) / factor
    if rounded == 0:
        rounded = 0.0  # and not -0
    # As JavaScript does it: a tie goes away from zero.
    return f"{_HALF_UP.quantize(Decimal(rounded), Decimal(1).scaleb(-decimals)):f}"


def moment(milliseconds: float) -> str:
    """`2026-11-22 07:53:18`, in UTC."""
    try:
        return f"{_EPOCH + timedelta(seconds=math.floor(milliseconds / 1000)):%Y-%m-%d %H:%M:%S}"
    except OverflowError:
        return NO_DATA


def _decimals_of(value: float) -> int:
    size = abs(value)
    if size == math.floor(size):
        return 0
    # Compared with powers of ten rather than by a logarithm, whose last digit differs between machines.
    return next((2 - power for power in range(2, -12, -1) if size >= float(f"1e{power}")), 14)


def _round(value: float) -> float:
    """To the next integer, halves upwards."""
    floor = math.floor(value)
    return float(floor + 1 if value - floor >= 0.5 else floor)


def _scaled(value: float, factor: int, suffixes: Sequence[str], decimals: int | None) -> str:
    index = 0
    size = abs(value)
    while size >= factor and index < len(suffixes) - 1:
        size /= factor
        index += 1
    return fixed(-size if value < 0 else size, decimals) + suffixes[index]


def _duration(seconds: float, decimals: int) -> str:
    if seconds < 0:
        return f"{_duration(-seconds, decimals)} ago"
    left = math.floor(seconds)
    if left == 0:
        return "0 seconds" if seconds == 0 else f"{fixed(seconds * 1000, 0)} milliseconds"
    first = next(place for place, (_, size) in enumerate(_PARTS) if left >= size)
    words = []
    for name, size in _PARTS[first : first + 1 + decimals]:
        count, left = divmod(left, size)
        words.append(f"{count} {name}{'' if count == 1 else 's'}")
    return ", ".join(words)


def _ago(seconds: float) -> str:
    _, name, size = next(step for step in _AGO if abs(seconds) < step[0])
    if not name:
        text = "a few seconds"
    else:
        count = max(1, int(_round(abs(seconds) / size)))
        text = f"{count} {name}{'' if count == 1 else 's'}"
    return f"{text} ago" if seconds >= 0 else f"in {text}"
