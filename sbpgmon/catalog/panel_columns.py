"""The columns of a panel's header, and its thresholds and states.

`NAME KIND TITLE [UNIT]  OPTION; OPTION…`, where an option is `thresholds: …`, `states: …`, `link: DASHBOARD`,
`width: PIXELS`, `hidden` or `bar`.
"""

from __future__ import annotations

import math
import re

from sbpgmon.catalog.header import Header
from sbpgmon.errors import QueryFileError
from sbpgmon.panels import STATES, UNITS, PanelColumn, StateOf, Threshold

_MAX_DECIMALS = 15  # more a double does not have
KINDS = ("time", "label", "value")
_COLUMN = re.compile(r"([a-z_][a-z0-9_]*)\s+(\w+)(?:\s+(.*))?\Z")
_UNIT = re.compile(r"\s*\[([^\]]*)\]\Z")
_WAY_OUT = "See CONTRIBUTING.md, «Add a panel»."


def parse_column(header: Header, line: int, text: str) -> PanelColumn:
    """One line below `columns:`; raises QueryFileError."""
    # The first two words may be set apart by as many blanks as they look good with.
    match = _COLUMN.match(text)
    if not match or match[2] not in KINDS:
        raise header.fail(line, f"{text!r} is not `NAME KIND TITLE`: kinds are {', '.join(KINDS)}", _WAY_OUT)
    title, *rest = re.split(r"\s{2,}", (match[3] or "").strip(), maxsplit=1)
    unit = ""
    if bracket := _UNIT.search(title):
        unit, title = bracket[1], title[: bracket.start()]
        if unit not in UNITS:
            raise header.fail(line, f"[{unit}] is not one of {', '.join(UNITS)}", _WAY_OUT)
    options: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in "".join(rest).split(";"))):
        key, _, value = part.partition(":")
        if key not in ("thresholds", "states", "link", "width", "hidden", "bar") or key in options:
            raise header.fail(line, f"{part!r} is not an option of a column", _WAY_OUT)
        options[key] = value.strip()
    width = options.get("width", "0")
    if not width.isdecimal():
        raise header.fail(line, f"`width: {width}` is not a number of pixels", _WAY_OUT)
    return PanelColumn(
        name=match[1],
        kind=match[2],
        title=title or match[1].replace("_", " "),
        unit=unit,
        thresholds=thresholds_of(header, line, options.get("thresholds", "")),
        states=states_of(header, line, options.get("states", "")),
        link=options.get("link", ""),
        is_hidden="hidden" in options,
        is_bar="bar" in options,
        width=int(width),
    )


def thresholds_of(header: Header, line: int, text: str) -> tuple[Threshold, ...]:
    """`success, 0.8 warning, 0.95 critical`: the first state holds below all numbers; raises QueryFileError."""
    found: list[Threshold] = []
    for words in filter(None, (part.split() for part in text.split(","))):
        *before, state = words
        try:
            value = _finite(before[0]) if found and len(before) == 1 else None
        except ValueError:
            raise _wrong(header, line, "thresholds", text) from None
        last = found[-1].value if found else None
        if state not in STATES or len(before) != (1 if found else 0) or (last is not None and (value or 0.0) <= last):
            raise _wrong(header, line, "thresholds", text)
        found.append(Threshold(value, state))
    return tuple(found)


def states_of(header: Header, line: int, text: str) -> tuple[StateOf, ...]:
    """`0 critical Down, 1 success Up`: value, state, what is written (the value where nothing is); QueryFileError."""
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        words = part.split(None, 2)
        if len(words) < 2 or words[1] not in STATES:
            raise _wrong(header, line, "states", text)
        found.append(StateOf(words[0], words[1], words[2] if len(words) > 2 else words[0]))
    return tuple(found)


def numbers(header: Header, key: str) -> float | None:
    """A number, or None where the key is absent; raises QueryFileError."""
    line, text = header.value(key, "")
    try:
        return _finite(text) if text else None
    except ValueError:
        raise header.fail(line, f"`{key}: {text}` is not a number", _WAY_OUT) from None


def decimals_of(header: Header) -> int | None:
    """The `decimals:` of a header, or None where the unit decides; raises QueryFileError."""
    line, text = header.value("decimals", "")
    if text and not (text.isascii() and text.isdecimal() and int(text) <= _MAX_DECIMALS):
        raise header.fail(line, f"`decimals: {text}` is not a number from 0 to {_MAX_DECIMALS}", _WAY_OUT)
    return int(text) if text else None


def _finite(text: str) -> float:
    """A number that JSON has, too; raises ValueError."""
    if not math.isfinite(value := float(text)):
        raise ValueError(text)
    return value


def _wrong(header: Header, line: int, key: str, text: str) -> QueryFileError:
    good = "success, 0.8 warning, 0.95 critical" if key == "thresholds" else "0 critical Down, 1 success Up"
    return header.fail(line, f"`{key}: {text}` is not like `{good}` ({', '.join(STATES)})", _WAY_OUT)
