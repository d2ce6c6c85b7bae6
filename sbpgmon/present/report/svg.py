"""Figures and tables of a picture: what the page writes as HTML, as SVG."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sbpgmon.panels import COLOURS
from sbpgmon.present.report.drawn import Chart
from sbpgmon.present.report.tables import Column, state_of
from sbpgmon.present.report.units import NO_DATA, moment, show

Theme = dict[str, Any]
_NARROW, _WIDE = frozenset("iljtfrI.,:;|!'()[] "), frozenset("mwMW@%")
_ROW = 25.0
_TEXT = 12.0
_MOST_ROWS = 25


@dataclass(frozen=True, slots=True)
class Place:
    """Where the course of a figure is drawn."""

    series: int
    x: float
    y: float
    width: float
    height: float


def written(column: Column, value: Any, now: float = 0.0) -> str:
    """A value as the page shows it."""
    found = state_of(column, value)
    if found and found[1] is not None:
        return found[1]
    if value is None:
        return NO_DATA if column.kind == "value" else ""
    if column.kind == "label" or isinstance(value, str):
        return str(value)
    return moment(value) if column.kind == "time" else show(value, column.unit, column.decimals, now)


def width_of(text: str, size: float, *, weight: int = 400) -> float:
    """Pixels of a line, by the widths of a common sans-serif, rather too wide; as `measured` of assets/charts.js."""
    signs = sum(
        0.37 if sign in _NARROW else 0.95 if sign in _WIDE else 0.71 if "A" <= sign <= "Z" else 0.63 for sign in text
    )
    return signs * size * (1.08 if weight >= 600 else 1.0)


def cut(text: str, width: float, size: float, *, weight: int = 400) -> str:
    """The text on one line, as far as it fits into so many pixels."""
    flat = " ".join(text.split())
    if width_of(flat, size, weight=weight) <= width:
        return flat
    kept = next(
        (
            count
            for count in range(min(len(flat), 400), 0, -1)
            if width_of(f"{flat[:count]}…", size, weight=weight) <= width
        ),
        1,
    )
    return f"{flat[:kept].rstrip()}…"


def text_svg(
    text: str, x: float, y: float, size: float, colour: str, *, weight: int = 400, anchor: str = "start"
) -> str:
    """One line; `y` is its base."""
    # What XML cannot hold is left out.
    clean = "".join(sign for sign in text if sign >= " " and not "\ud800" <= sign <= "\udfff" and sign < "\ufffe")
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" font-weight="{weight}" '
        f'font-family="sans-serif" text-anchor="{anchor}">{html.escape(clean)}</text>'
    )


def _rect(x: float, y: float, width: float, height: float, colour: str, round_by: int = 0) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{round_by}" fill="{colour}"/>'


def figures_svg(chart: Chart, theme: Theme, width: float, now: float) -> tuple[str, float, list[Place]]:
    """The figures of a stat, their height, and where their courses go."""
    has_course = any(tile.series is not None for tile in chart.tiles)
    columns = max(1, min(len(chart.tiles), int(width // 150)))
    size = 34 if len(chart.tiles) == 1 else 22
    wide, tall = width / columns, (size + 30) + (44 if has_course else 0)
    parts: list[str] = []
    places: list[Place] = []
    for index, tile in enumerate(chart.tiles):
        x, y = (index % columns) * wide, (index // columns) * (tall + 8)
        column = chart.table.columns[tile.column]
        state = state_of(column, tile.value)
        parts.append(_rect(x, y, 4, tall, theme[state[0] if state else "grid"]))
        if tile.name:
            parts.append(text_svg(cut(tile.name, wide - 24, 12), x + 14, y + 15, 12, theme["muted"]))
        colour = theme[f"{state[0]}Text"] if state else theme["text" if tile.value is not None else "muted"]
        text = cut(written(column, tile.value, now), wide - 20, size, weight=600)
        parts.append(text_svg(text, x + 14, y + 22 + size * 0.75, size, colour, weight=600))
        if tile.series is not None:
            places.append(Place(tile.series, x + 14, y + size + 28, wide - 28, 40))
    lines = -(-len(chart.tiles) // columns)
    return "".join(parts), lines * (tall + 8), places


def table_svg(chart: Chart, theme: Theme, width: float, height: float | None, now: float) -> tuple[str, float]:
    """A table and its height; the rows that there is room for, and how many there are."""
    table = chart.table
    shown = [place for place, column in enumerate(table.columns) if not column.is_hidden]
    most = _MOST_ROWS if height is None else max(1, int(height // _ROW) - 2)
    rows = min(len(table), most)
    cells = [[written(table.columns[place], table.data[place][row], now) for place in shown] for row in range(rows)]
    widths = _widths([table.columns[place].title for place in shown], cells, width)
    parts = []
    x = 0.0
    for index, place in enumerate(shown):
        column = table.columns[place]
        is_right = column.kind == "value"
        edge, anchor = (x + widths[index] - 10, "end") if is_right else (x, "start")
        room = widths[index] - 12
        title = cut(column.title, room, _TEXT, weight=600)
        parts.append(text_svg(title, edge, 16, _TEXT, theme["muted"], weight=600, anchor=anchor))
        for row in range(rows):
            y = (row + 1) * _ROW
            text = cut(cells[row][index], room, _TEXT)
            state = state_of(column, table.data[place][row])
            if state:
                wide = min(width_of(text, _TEXT, weight=600) + 12, widths[index] - 4)
                left = x + widths[index] - 4 - wide if is_right else x - 2
                parts.append(_rect(left, y + 3, wide, 19, COLOURS[state[0]], round_by=9))
                edge_of, side = left + wide / 2, "middle"
            else:
                edge_of, side = edge, anchor
            colour = "#14181f" if state else theme["muted" if table.data[place][row] is None else "text"]
            parts.append(text_svg(text, edge_of, y + 17, _TEXT, colour, weight=600 if state else 400, anchor=side))
        x += widths[index]
    for row in range(rows + 1):
        y = (row + 1) * _ROW
        parts.append(f'<path d="M0 {y:.1f}H{width:.1f}" stroke="{theme["grid"]}"/>')
    tall = (rows + 1) * _ROW + 6
    if len(table) > rows:
        parts.append(text_svg(f"{len(table) - rows} more rows", 0, tall + 14, 11, theme["muted"]))
        tall += 20
    return "".join(parts), tall


def _widths(titles: Sequence[str], cells: Sequence[Sequence[str]], width: float) -> list[float]:
    """Of the columns: as wide as what is in them; where that is too much the widest give way."""
    wanted = [
        max([width_of(title, _TEXT, weight=600), *(width_of(row[place][:200], _TEXT) for row in cells)]) + 26
        for place, title in enumerate(titles)
    ]
    while sum(wanted) > width and max(wanted) > 60:
        over = sum(wanted) - width
        widest = max(wanted)
        second = max([each for each in wanted if each < widest], default=60.0)
        at_once = [place for place, each in enumerate(wanted) if each == widest]
        by = min(over / len(at_once), widest - max(second, 60.0))
        for place in at_once:
            wanted[place] -= max(by, 0.5)
    spare = (width - sum(wanted)) / len(wanted)
    return [each + max(0.0, spare) for each in wanted]
