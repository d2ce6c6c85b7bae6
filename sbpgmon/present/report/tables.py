"""Frames as columns of values: what stands in the table behind a chart, and what the chart is drawn of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from sbpgmon.panels import Panel, PanelColumn, StateOf, Threshold
from sbpgmon.present.report.frames import Cell, Frame

NO_NAME = "(none)"
_DIGITS = 6  # that count, of a number that is not whole


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; thresholds and states are the panel's where the column has none."""

    title: str
    kind: str  # time, label or value
    unit: str = ""
    decimals: int | None = None
    thresholds: tuple[Threshold, ...] = ()
    states: tuple[StateOf, ...] = ()
    is_bar: bool = False
    is_hidden: bool = False
    is_code: bool = False  # SQL, in monospace
    width: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """Columns and their values; `rest`: series that are not drawn, each with its (lowest, mean, highest, last)."""

    columns: tuple[Column, ...]
    data: tuple[tuple[Cell, ...], ...]
    rest: tuple[tuple[str, tuple[float, float, float, float]], ...] = field(default=())

    def __len__(self) -> int:
        return len(self.data[0]) if self.data else 0


def column_of(panel: Panel, column: PanelColumn, title: str = "") -> Column:
    """A panel's column as the table has it."""
    is_value = column.kind == "value"
    is_table = panel.kind == "table"
    return Column(
        title=title or column.title or column.name,
        kind=column.kind,
        unit=(column.unit or panel.unit) if is_value else column.unit,
        decimals=panel.decimals if is_value else None,
        thresholds=column.thresholds or (() if is_table or not is_value else panel.thresholds),
        states=column.states or (() if is_table or not is_value else panel.states),
        is_bar=column.is_bar,
        is_hidden=column.is_hidden,
        is_code=column.name in ("query", "statement", "remedy", "sql"),
        width=column.width,
    )


def as_it_is(frame: Frame, rows: int) -> Table:
    """The frame's first rows, column by column."""
    panel = frame.panel
    columns = tuple(column_of(panel, column) for column in panel.columns)
    kept = frame.rows[:rows]
    return Table(columns, tuple(tuple(short(row[place]) for row in kept) for place in range(len(columns))))


def pivot(frame: Frame, most: int) -> Table:
    """Time, then a column a series: those with the highest means, in the order in which they first appear."""
    panel = frame.panel
    labels = [place for place, column in enumerate(panel.columns) if column.kind == "label"]
    values = [place for place, column in enumerate(panel.columns) if column.kind == "value"]
    times = sorted({row[0] for row in frame.rows if isinstance(row[0], int | float)})
    places = {time: place for place, time in enumerate(times)}
    found: dict[tuple[str, int], list[Cell]] = {}
    for row in frame.rows:
        if not isinstance(row[0], int | float):
            continue
        name = " · ".join(str(row[place]) for place in labels if row[place] not in (None, ""))
        for place in values:
            series = found.setdefault((name, place), [None] * len(times))
            series[places[row[0]]] = row[place]
    drawn = _highest(found, most)
    columns = [Column("Time", "time", "dateTimeAsIso")]
    columns += [
        column_of(panel, panel.columns[key[1]], _title(panel, key, has_several=len(values) > 1)) for key in drawn
    ]
    rest = tuple(
        (_title(panel, key, has_several=len(values) > 1), figures)
        for key, series in found.items()
        if key not in drawn and (figures := figures_of(series))
    )
    gaps = _gaps(times)
    data = [with_gaps(times, gaps)]
    data += [_with_unknown(found[key], gaps) for key in drawn]
    return Table(tuple(columns), tuple(map(tuple, data)), rest)


def figures_of(values: Iterable[Cell]) -> tuple[float, float, float, float] | None:
    """Lowest, mean, highest and last of what is known; None where nothing is."""
    known = [value for value in values if isinstance(value, int | float)]
    if not known:
        return None
    return min(known), math.fsum(known) / len(known), max(known), known[-1]


def step_of(times: Sequence[float], least: float) -> float:
    """The usual step from one time to the next, in milliseconds: the median; `least` where there is none."""
    steps = sorted(after - before for before, after in pairwise(times))
    return steps[len(steps) // 2] if steps else least


def short(value: Cell) -> Cell:
    """A number with the digits that count; whole ones and texts as they are."""
    if isinstance(value, float):
        rounded = float(f"{value:.{_DIGITS}g}")
        return int(rounded) if rounded.is_integer() and abs(rounded) < 2**53 else rounded
    return value


def state_of(column: Column, value: Cell) -> tuple[str, str | None] | None:
    """The state that a value stands for, and the text for it where there is one. As in assets/charts.js."""
    if value is None:
        return None
    written = str(short(value))
    for state in column.states:
        if state.value == written:
            return state.state, state.text
    if isinstance(value, str):
        return None
    reached = [each for each in column.thresholds if each.value is None or value >= each.value]
    return (reached[-1].state, None) if reached else None


def packed(column: Column, values: Sequence[Cell]) -> Any:
    """The values as the page has them: times as the first and the steps from each to the next, in seconds."""
    times = [value for value in values if isinstance(value, int | float)]
    is_whole = column.kind == "time" and len(times) == len(values) > 1 and all(time % 1000 == 0 for time in times)
    if not is_whole:
        return [short(value) for value in values]
    steps = [int(after - before) // 1000 for before, after in pairwise(times)]
    first = int(times[0]) // 1000
    if len(set(steps)) == 1:
        return {"first": first, "step": steps[0], "count": len(times)}
    return {"first": first, "steps": steps}


def _highest(found: dict[tuple[str, int], list[Cell]], most: int) -> list[tuple[str, int]]:
    means = {key: figures[1] for key, series in found.items() if (figures := figures_of(series))}
    kept = set(sorted(means, key=lambda key: -means[key])[:most])
    return [key for key in found if key in kept]


def _title(panel: Panel, key: tuple[str, int], *, has_several: bool) -> str:
    name, place = key
    title = panel.columns[place].title or panel.columns[place].name
    if not name:
        return NO_NAME if panel.labels and not has_several else title
    return f"{name} · {title}" if has_several else name


def _gaps(times: Sequence[float]) -> list[int]:
    """Before which times nothing was read for more than twice the usual step."""
    step = step_of(times, 0)
    return [place for place in range(1, len(times)) if times[place] - times[place - 1] > 2.5 * step]


def with_gaps(times: Sequence[float], gaps: Sequence[int]) -> list[Cell]:
    step = step_of(times, 0)
    made: list[Cell] = []
    for place, time in enumerate(times):
        if place in gaps:
            made.append(times[place - 1] + step)
        made.append(time)
    return made


def _with_unknown(series: Sequence[Cell], gaps: Sequence[int]) -> list[Cell]:
    made: list[Cell] = []
    for place, value in enumerate(series):
        if place in gaps:
            made.append(None)
        made.append(value)
    return made
