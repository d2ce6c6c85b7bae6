"""Frame -> what is drawn of it: an option of ECharts, the table behind it, figures of a stat.

An option is plain JSON. What needs a function, a colour of the theme or values of the table is a mark, `{"$": WHAT, …}`,
which `revive` of assets/charts.js replaces, in the page as in a picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sbpgmon.panels import Panel
from sbpgmon.present.report.frames import Cell, Frame
from sbpgmon.present.report.tables import (
    NO_NAME,
    Column,
    Table,
    as_it_is,
    column_of,
    figures_of,
    pivot,
    state_of,
    step_of,
)

SERIES = 10  # that a chart draws
ROWS = 200  # of a table
_LABELS = 50  # of a heatmap, of a timeline
_GAUGES = 8
_BARS = {6: 7, 8: 11, 12: 19}  # by the panel's height
_TILES = 60
Option = dict[str, Any]
# Templates of ECharts; bold where a day begins.
_DATES = {
    "year": "{bold|{yyyy}}",
    "month": "{bold|{MMM} {d}}",
    "day": "{bold|{MMM} {d}}",
    "hour": "{HH}:{mm}",
    "minute": "{HH}:{mm}",
    "second": "{HH}:{mm}:{ss}",
}


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


def chart_of(frame: Frame, start_ms: float, end_ms: float, least_step_ms: float = 0) -> Chart:
    """The chart of a frame with rows, over that range."""
    makers: dict[str, Callable[[Frame, float, float, float], Chart]] = {
        "timeseries": _timeseries,
        "stat": _stat,
        "gauge": _gauge,
        "table": _table,
        "bar": _bar,
        "heatmap": _heatmap,
        "state-timeline": _timeline,
    }
    return makers[frame.panel.kind](frame, start_ms, end_ms, least_step_ms)


def mark(what: str, **more: Any) -> Option:
    return {"$": what, **more}


def _colour(name: str) -> Option:
    return mark("theme", name=name)


def _unit(column: Column) -> Option:
    return mark("unit", unit=column.unit, decimals=column.decimals)


def _text(size: int = 11, colour: str = "muted") -> Option:
    return {"color": _colour(colour), "fontFamily": _colour("font"), "fontSize": size}


def _time_axis(start_ms: float, end_ms: float) -> Option:
    return {
        "type": "time",
        "min": start_ms,
        "max": end_ms,
        "axisLabel": {**_text(), "hideOverlap": True, "formatter": _DATES, "rich": {"bold": _text(11, "text") | {"fontWeight": 600}}},
        "axisLine": {"lineStyle": {"color": _colour("line")}},
        "axisTick": {"lineStyle": {"color": _colour("line")}},
        "axisPointer": {"label": {"formatter": mark("time")}},
    }


def _value_axis(panel: Panel, columns: Sequence[Column], data: Sequence[Sequence[Cell]]) -> Option:
    """Begins at 0 unless the values lie far from it and close together."""
    known = [value for values in data for value in values if isinstance(value, int | float)]
    low, high = (min(known), max(known)) if known else (0, 0)
    is_far = not panel.is_stacked and panel.minimum is None and low > 0.4 * high > 0
    axis = {
        "type": "value",
        "scale": is_far,
        "axisLabel": {**_text(), "formatter": mark("axis", unit=columns[0].unit)},
        "splitLine": {"lineStyle": {"color": _colour("grid")}},
        "splitNumber": 4,
    }
    if panel.minimum is not None:
        axis["min"] = panel.minimum
    if panel.maximum is not None:
        axis["max"] = max(panel.maximum, high)
    if (axis.get("min"), axis.get("max"), columns[0].unit) == (0, 1, "percentunit"):
        axis["interval"] = 0.25
    if columns[0].unit in ("bytes", "binBps") and "max" not in axis:
        axis |= _binary(high, low if is_far else 0)
    if all(isinstance(value, int) for value in known) and 0 < high < 8 and columns[0].unit in ("short", "none"):
        axis["minInterval"] = 1  # counts: no half of one
    return axis


def _binary(high: float, low: float) -> Option:
    """Lines of the grid at round numbers of KiB, MiB, GiB."""
    if low or high <= 0:
        return {}
    step = 1.0
    while high / step > 5:
        step *= 2
    lines = -(-high // step)
    return {"interval": step, "max": lines * step, "min": 0}


def _base() -> Option:
    return {
        "useUTC": True,
        "textStyle": {"fontFamily": _colour("font"), "color": _colour("text")},
        "grid": {"left": 8, "right": 14, "top": 14, "bottom": 8, "containLabel": True},
        "tooltip": {
            "confine": True,
            "backgroundColor": _colour("surface"),
            "borderColor": _colour("line"),
            "textStyle": _text(12, "text"),
        },
    }


def _legend() -> Option:
    return {
        "type": "scroll",
        "bottom": 0,
        "left": "center",
        "icon": "roundRect",
        "itemWidth": 14,
        "itemHeight": 6,
        "textStyle": {**_text(), "width": 180, "overflow": "truncate", "lineHeight": 18},
        "tooltip": {"show": True},
        "pageTextStyle": _text(),
        "pageIconColor": _colour("accent"),
        "pageIconInactiveColor": _colour("line"),
        "inactiveColor": _colour("line"),
    }


def _not_drawn(table: Table, what: str = "series") -> str:
    count = len(table.rest)
    return f"{count} more {what} {'is' if count == 1 else 'are'} in the table" if count else ""


def _timeseries(frame: Frame, start_ms: float, end_ms: float, least_step_ms: float) -> Chart:  # noqa: ARG001
    panel = frame.panel
    table = pivot(frame, SERIES)
    columns = table.columns[1:]
    units = list(dict.fromkeys(column.unit for column in columns))
    option = _base()
    option["xAxis"] = _time_axis(start_ms, end_ms)
    option["yAxis"] = [
        _value_axis(
            panel,
            [column for column in columns if column.unit == unit],
            [values for column, values in zip(columns, table.data[1:], strict=True) if column.unit == unit],
        )
        for unit in units[:2]
    ]
    if len(units) > 1:
        option["yAxis"][1]["splitLine"] = {"show": False}
    option["tooltip"] |= {"trigger": "axis", "order": "valueDesc"}
    option["series"] = [_line(panel, column, place, units) for place, column in enumerate(columns)]
    if len(columns) > 1 or panel.labels:
        option["legend"] = _legend()
        option["grid"]["bottom"] = 34
    if lines := _limits(panel, [value for values in table.data[1:] for value in values]):
        option["series"][0]["markLine"] = lines
    return Chart("timeseries", table, option, note=_not_drawn(table), extra={"zoom": True})


def _line(panel: Panel, column: Column, place: int, units: Sequence[str]) -> Option:
    colour = mark("theme", name="series", index=place)
    line: Option = {
        "type": "line",
        "name": column.title,
        "data": mark("zip", x=0, y=place + 1),
        "symbol": "none",
        "connectNulls": False,
        "yAxisIndex": min(units.index(column.unit), 1),
        "itemStyle": {"color": colour},
        "lineStyle": {"width": 1.6, "color": colour},
        "tooltip": {"valueFormatter": _unit(column)},
        "emphasis": {"focus": "series"},
        "animation": False,
    }
    if panel.is_stacked:
        line |= {"stack": "all", "areaStyle": {"opacity": 0.55, "color": colour}}
        line["lineStyle"]["width"] = 1
    return line


def _limits(panel: Panel, values: Sequence[Cell]) -> Option | None:
    """A dashed line where a state begins that is worse than the others, as far as the chart reaches there."""
    figures = figures_of(values)
    if not figures or not panel.thresholds:
        return None
    above = [each for each in panel.thresholds if each.value is not None]
    # `critical, 0.9 warning, 0.99 success`: what lies below a limit is worse, so it has the colour of that.
    worse = {id(after): before.state for before, after in zip(panel.thresholds, panel.thresholds[1:], strict=False)}
    is_falling = panel.thresholds[0].state in ("critical", "warning")
    data = [
        {
            "yAxis": each.value,
            "lineStyle": {"color": _colour(worse[id(each)] if is_falling else each.state), "type": "dashed", "width": 1.2},
        }
        for each in above
    ]
    return {"silent": True, "symbol": "none", "label": {"show": False}, "animation": False, "data": data}


def _stat(frame: Frame, start_ms: float, end_ms: float, least_step_ms: float) -> Chart:  # noqa: ARG001
    panel = frame.panel
    if any(column.kind == "time" for column in panel.columns):
        table = pivot(frame, _TILES)
        columns = list(enumerate(table.columns))[1:]
        tiles = [
            Tile(column.title if len(columns) > 1 else "", figures[3] if figures else None, place, place)
            for place, column in columns
            for figures in [figures_of(table.data[place])]
        ]
    else:
        table = as_it_is(frame, ROWS)
        labels = [place for place, column in enumerate(panel.columns) if column.kind == "label"]
        values = [place for place, column in enumerate(panel.columns) if column.kind == "value"]
        tiles = []
        for row in frame.rows[:ROWS]:
            name = " · ".join(str(row[place]) for place in labels if row[place] not in (None, ""))
            for place in values:
                title = table.columns[place].title if len(values) > 1 else ""
                tiles.append(Tile(" · ".join(filter(None, (name, title))), row[place], place))
    return Chart("stat", table, tiles=tuple(tiles[:_TILES]), note=_more(len(tiles), _TILES, "figures"))


def _more(count: int, drawn: int, what: str) -> str:
    return f"{drawn} of {count} {what}; all are in the table" if count > drawn else ""


def spark(start_ms: float, end_ms: float, series: int) -> Option:
    """The course of a stat's figure."""
    return {
        "useUTC": True,
        "grid": {"left": 0, "right": 0, "top": 3, "bottom": 1},
        "xAxis": {"type": "time", "min": start_ms, "max": end_ms, "show": False},
        "yAxis": {"type": "value", "scale": True, "show": False},
        "series": [
            {
                "type": "line",
                "data": mark("zip", x=0, y=series),
                "symbol": "none",
                "silent": True,
                "animation": False,
                "itemStyle": {"color": mark("theme", name="series", index=0)},
                "lineStyle": {"width": 1.3, "color": mark("theme", name="series", index=0)},
                "areaStyle": {"opacity": 0.18, "color": mark("theme", name="series", index=0)},
            }
        ],
    }


def _gauge(frame: Frame, start_ms: float, end_ms: float, least_step_ms: float) -> Chart:  # noqa: ARG001
    panel = frame.panel
    stat = _stat(frame, start_ms, end_ms, least_step_ms)
    tiles = stat.tiles[:_GAUGES]
    known = [tile.value for tile in stat.tiles if isinstance(tile.value, int | float)]
    top = 1.0 if all(stat.table.columns[tile.column].unit == "percentunit" for tile in tiles) else max(known, default=1)
    option = _base() | {
        "series": mark(
            "gauges",
            items=[{"name": tile.name, "column": tile.column, "value": tile.value} for tile in tiles],
            minimum=panel.minimum or 0,
            maximum=panel.maximum if panel.maximum is not None else max(top, *known, 0),
        )
    }
    del option["grid"]
    note = _more(len(stat.tiles), _GAUGES, "gauges") or stat.note
    return Chart("gauge", stat.table, option, rows=len(tiles), note=note)


def _table(frame: Frame, start_ms: float, end_ms: float, least_step_ms: float) -> Chart:  # noqa: ARG001
    note = f"The first {ROWS} of {len(frame.rows)} rows" if len(frame.rows) > ROWS else ""
    return Chart("table", as_it_is(frame, ROWS), note=note)


def _bar(frame: Frame, start_ms: float, end_ms: float, least_step_ms: float) -> Chart:  # noqa: ARG001
    panel = frame.panel
    table = as_it_is(frame, ROWS)
    label = next(place for place, column in enumerate(panel.columns) if column.kind == "label")
    values = [place for place, column in enumerate(panel.columns) if column.kind == "value"]
    lines = 1 if panel.is_stacked else len(values)
    most = max(3, _BARS.get(panel.height, 11) // lines)
    names = [str(name) if name not in (None, "") else NO_NAME for name in table.data[label]][:most]
    option = _base()
    option["tooltip"] |= {"trigger": "axis", "axisPointer": {"type": "shadow"}}
    option["xAxis"] = _value_axis(panel, [table.columns[values[0]]], [table.data[place] for place in values])
    option["xAxis"]["scale"] = False
    option["xAxis"]["axisLabel"]["hideOverlap"] = True
    option["yAxis"] = {
        "type": "category",
        "inverse": True,
        "data": names,
        "axisLabel": {**_text(11, "text"), "width": 150, "overflow": "truncate", "interval": 0},
        "axisLine": {"lineStyle": {"color": _colour("line")}},
        "axisTick": {"show": False},
        "triggerEvent": True,
    }
    option["series"] = []
    for index, place in enumerate(values):
        column = table.columns[place]
        has_states = bool(column.thresholds or column.states)
        bar: Option = {
            "type": "bar",
            "name": column.title,
            "data": list(table.data[place][:most]),
            "barMaxWidth": 22,
            "animation": False,
            "itemStyle": {"color": mark("theme", name="series", index=index)},
            "tooltip": {"valueFormatter": _unit(column)},
        }
        if has_states:
            bar["itemStyle"] = {"color": mark("state", column=place, index=index)}
        if panel.is_stacked:
            bar["stack"] = "all"
        elif len(values) == 1:
            bar["label"] = {"show": True, "position": "right", **_text(), "formatter": mark("label", column=place)}
            option["grid"]["right"] = 64
        option["series"].append(bar)
    if len(values) > 1:
        option["legend"] = _legend()
        option["grid"]["bottom"] = 34
    return Chart("bar", table, option, note=_more(len(frame.rows), most, "bars"))


def _heatmap(frame: Frame, start_ms: float, end_ms: float, least_step_ms: float) -> Chart:
    table = pivot(frame, _LABELS)
    columns = table.columns[1:]
    times = [time for time in table.data[0] if isinstance(time, int | float)]
    known = [value for values in table.data[1:] for value in values if isinstance(value, int | float)]
    low = frame.panel.minimum if frame.panel.minimum is not None else min(0.0, *known)
    high = frame.panel.maximum if frame.panel.maximum is not None else max(known)
    names = [column.title for column in columns]
    option = _base()
    option["grid"]["bottom"] = 40
    option["xAxis"] = _time_axis(start_ms, end_ms)
    option["yAxis"] = _names_axis(names)
    option["tooltip"] |= {"formatter": mark("said", column=1, labels=names)}
    option["visualMap"] = {
        "type": "continuous",
        "min": low,
        "max": high if high > low else low + 1,
        "dimension": 3,
        "orient": "horizontal",
        "left": "center",
        "bottom": 0,
        "itemWidth": 10,
        "itemHeight": 120,
        "text": [mark("written", column=1, value=high), mark("written", column=1, value=low)],
        "textStyle": _text(),
        "inRange": {"color": _colour("sequential")},
    }
    option["series"] = [
        {
            "type": "custom",
            "renderItem": mark("box"),
            "clip": True,
            "encode": {"x": [0, 1], "y": 2},
            "animation": False,
            "data": mark("cells", labels=list(range(1, len(columns) + 1)), step=step_of(times, least_step_ms)),
        }
    ]
    return Chart("heatmap", table, option, rows=len(names), note=_not_drawn(table, "rows"), extra={"zoom": True})


def _names_axis(names: Sequence[str]) -> Option:
    return {
        "type": "category",
        "inverse": True,
        "data": list(names),
        "axisLabel": {**_text(11, "text"), "width": 120, "overflow": "truncate"},
        "axisLine": {"lineStyle": {"color": _colour("line")}},
        "axisTick": {"show": False},
        "splitLine": {"show": False},
    }


def _timeline(frame: Frame, start_ms: float, end_ms: float, least_step_ms: float) -> Chart:
    """Stretches of one state each: columns from, to, label, value, the state's place, the row's place."""
    panel = frame.panel
    wide = pivot(frame, _LABELS)
    names = [column.title for column in wide.columns[1:]]
    about = column_of(panel, panel.values[0])
    times = [time for time in wide.data[0] if isinstance(time, int | float)]
    step = step_of(times, least_step_ms)
    kinds: dict[tuple[str, str], int] = {}
    rows: list[tuple[Cell, ...]] = []
    for place, name in enumerate(names):
        for first, last, value in _stretches(wide.data[place + 1]):
            found = state_of(about, value)
            if found is None:
                continue
            kind = kinds.setdefault((found[0], found[1] or str(value)), len(kinds))
            rows.append((times[first], min(times[last] + step, end_ms), name, value, kind, place))
    columns = (
        Column("From", "time", "dateTimeAsIso"),
        Column("To", "time", "dateTimeAsIso"),
        Column(panel.labels[0].title if panel.labels else "Of", "label"),
        replace(about, title=about.title or "State"),
        Column("", "value", is_hidden=True),
        Column("", "value", is_hidden=True),
    )
    data = tuple(tuple(row[place] for row in rows) for place in range(len(columns)))
    option = _base()
    option["grid"]["bottom"] = 34
    option["legend"] = _legend() | {"selectedMode": False}
    option["xAxis"] = _time_axis(start_ms, end_ms)
    option["yAxis"] = _names_axis(names)
    option["tooltip"] |= {"formatter": mark("said", column=3, labels=names)}
    option["series"] = [
        {
            "type": "custom",
            "name": text,
            "renderItem": mark("box", text=text),
            "clip": True,
            "encode": {"x": [0, 1], "y": 2},
            "animation": False,
            "itemStyle": {"color": _colour(state)},
            "data": mark("runs", state=kind),
        }
        for (state, text), kind in kinds.items()
    ]
    table = Table(columns, data, wide.rest)
    return Chart(
        "state-timeline", table, option, rows=len(names), note=_not_drawn(wide, "rows"), extra={"zoom": True}
    )


def _stretches(values: Sequence[Cell]) -> list[tuple[int, int, Cell]]:
    """(first, last, value) of each run of one value that is known."""
    found: list[tuple[int, int, Cell]] = []
    for place, value in enumerate(values):
        if value is None:
            continue
        if found and found[-1][1] == place - 1 and found[-1][2] == value:
            found[-1] = (found[-1][0], place, value)
        else:
            found.append((place, place, value))
    return found
