"""What is drawn of a frame."""

from __future__ import annotations

from dataclasses import dataclass, field

from sbpgmon.present.report.frames import Cell
from sbpgmon.present.report.options import Option
from sbpgmon.present.report.tables import Table


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure of a stat; `series` is the place of its column where it has a course over time."""

    name: str
    value: Cell
    column: int
    series: int | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn of a frame, which is not empty."""

    kind: str
    table: Table
    option: Option | None = None
    tiles: tuple[Tile, ...] = ()
    rows: int = 0  # lines that have to find room
    note: str = ""  # what is not drawn
    extra: Option = field(default_factory=dict)
