"""Rows that the agent makes itself, as the bytes of a binary COPY: what a metric with `source: agent` hands over.

The format is that of PostgreSQL's documentation of COPY, «Binary Format». The target is not asked to turn literals into
bytes: each text of a COPY is an entry of its own in its pg_stat_statements (seen on 15 and 18).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from sbpgmon.model import Metric

_HEAD = b"PGCOPY\n\xff\r\n\x00" + bytes(8)  # no flags, no extension
_END = struct.pack("!h", -1)
_NULL = struct.pack("!i", -1)
_NUMBERS = {"smallint": "!ih", "integer": "!ii", "bigint": "!iq", "double precision": "!id"}
_MAX = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}
Value = str | int | float | None


def binary_copy(metric: Metric, rows: Iterable[Sequence[Value]]) -> tuple[bytes, int]:
    """The bytes, and how many rows. `rows`: values in the order of the metric's columns, None for NULL.

    Raises OverflowError for a number that its column cannot hold, KeyError for a type that the agent never makes.
    """
    types = [column.type.name for column in metric.columns]
    data, count = bytearray(_HEAD), 0
    for row in rows:
        data += struct.pack("!h", len(types))
        for type_, value in zip(types, row, strict=True):
            data += _NULL if value is None else _field(type_, value)
        count += 1
    return bytes(data + _END), count


def columns_of(metric: Metric) -> tuple[tuple[str, str], ...]:
    """Name and type of its columns, in that order."""
    return tuple((column.name, column.type.name) for column in metric.columns)


def _field(type_: str, value: str | int | float) -> bytes:
    if type_ == "text":
        text = str(value).replace("\x00", "").encode()
        return struct.pack("!i", len(text)) + text
    if (limit := _MAX.get(type_)) is not None and abs(value) > limit:  # type: ignore[arg-type]
        raise OverflowError(f"{value} is too large for {type_}")
    form = _NUMBERS[type_]
    return struct.pack(form, struct.calcsize(form[0] + form[2]), value)
