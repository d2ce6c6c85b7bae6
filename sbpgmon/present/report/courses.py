"""Charts over time: lines, a heatmap, a timeline of states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from sbpgmon.panels import Panel
from sbpgmon.present.report.drawn import Chart
from sbpgmon.present.report.frames import Cell, Frame
from sbpgmon.present.report.options import (
    Option,
    base,
    colour,
    legend,
    mark,
    names_axis,
    text_of,
    time_axis,
    unit_of,
    value_axis,
)
from sbpgmon.present.report.tables import Column, Table, column_of, figures_of, pivot, state_of, step_of

SERIES = 10  # that a chart draws
_LABELS = 50  # of a heatmap, of a timeline


def timeseries(frame: Frame, start_ms: float, end_ms: float, least_step_ms: float) -> Chart:  # noqa: ARG001
    panel = frame.panel
    table = pivot(frame, SERIES)
    columns = table.columns[1:]
    units = list(dict.fromkeys(column.unit for column in columns))
    option = base()
    option["xAxis"] = time_axis(start_ms, end_ms)
    option["yAxis"] = [
        value_axis(
            panel,
            [column for column in columns if column.unit == unit],
            [values for column, values in zip(columns, table.data[1:], strict=True) if column.unit == unit],
        )
        for unit in units[:2]
    ]
    if len(units) > 1:
        option["yAxis"][1]["splitLine"] = {"show": False}
        del option["xAxis"]["name"]  # the second axis stands there
    option["tooltip"] |= {"trigger": "axis", "order": "valueDesc"}
    option["series"] = [_line(panel, column, place, units) for place, column in enumerate(columns)]
    if len(columns) > 1 or panel.labels:
        option["legend"] = legend()
        option["grid"]["bottom"] = 34
    if lines := _limits(panel, [value for values in table.data[1:] for value in values]):
        option["series"][0]["markLine"] = lines
    return Chart("timeseries", table, option, note=not_drawn(table), extra={"zoom": True})


def _line(panel: Panel, column: Column, place: int, units: Sequence[str]) -> Option:
    own = mark("theme", name="series", index=place)
    line: Option = {
        "type": "line",
        "name": column.title,
        "data": mark("zip", x=0, y=place + 1),
        "symbol": "none",
        "connectNulls": False,
        "yAxisIndex": min(units.index(column.unit), 1),
        "itemStyle": {"color": own},
        "lineStyle": {"width": 1.6, "color": own},
        "tooltip": {"valueFormatter": unit_of(column)},
        "emphasis": {"focus": "series"},
        "animation": False,
    }
    if panel.is_stacked:
        line |= {"stack": "all", "areaStyle": {"opacity": 0.55, "color": own}}
        line["lineStyle"]["width"] = 1
    return line


def _limits(panel: Panel, values: Sequence[Cell]) -> Option | None:
    """A dashed line where a state begins that is worse than the others, as far as the chart reaches there."""
    figures = figures_of(values)
    if not figures or not panel.thresholds:
        return None
    above = [each for each in panel.thresholds if each.value is not None]
    # `critical, 0.9 warning, 0.99 success`: what lies below a limit is worse, so it has the colour of that.
    worse = {id(after): before.state for before, after in pairwise(panel.thresholds)}
    is_falling = panel.thresholds[0].state in ("critical", "warning")
    data = [
        {
            "yAxis": each.value,
            "lineStyle": {
                "color": colour(worse[id(each)] if is_falling else each.state),
                "type": "dashed",
                "width": 1.2,
            },
        }
        for each in above
    ]
    return {"silent": True, "symbol": "none", "label": {"show": False}, "animation": False, "data": data}


def heatmap(frame: Frame, start_ms: float, end_ms: float, least_step_ms: float) -> Chart:
    table = pivot(frame, _LABELS)
    columns = table.columns[1:]
    times = [time for time in table.data[0] if isinstance(time, int | float)]
    known = [value for values in table.data[1:] for value in values if isinstance(value, int | float)]
    low = frame.panel.minimum if frame.panel.minimum is not None else min(0.0, *known)
    high = frame.panel.maximum if frame.panel.maximum is not None else max(known)
    names = [column.title for column in columns]
    option = base()
    option["grid"]["bottom"] = 40
    option["xAxis"] = time_axis(start_ms, end_ms)
    option["yAxis"] = names_axis(names)
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
        "textStyle": text_of(),
        "inRange": {"color": colour("sequential")},
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
    return Chart("heatmap", table, option, rows=len(names), note=not_drawn(table, "rows"), extra={"zoom": True})


def timeline(frame: Frame, start_ms: float, end_ms: float, least_step_ms: float) -> Chart:
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
    option = base()
    option["grid"]["bottom"] = 34
    option["legend"] = legend() | {"selectedMode": False}
    option["xAxis"] = time_axis(start_ms, end_ms)
    option["yAxis"] = names_axis(names)
    option["tooltip"] |= {"formatter": mark("said", column=3, labels=names)}
    option["series"] = [
        {
            "type": "custom",
            "name": text,
            "renderItem": mark("box", text=text),
            "clip": True,
            "encode": {"x": [0, 1], "y": 2},
            "animation": False,
            "itemStyle": {"color": colour(state)},
            "data": mark("runs", state=kind),
        }
        for (state, text), kind in kinds.items()
    ]
    table = Table(columns, data, wide.rest)
    return Chart("state-timeline", table, option, rows=len(names), note=not_drawn(wide, "rows"), extra={"zoom": True})


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


def not_drawn(table: Table, what: str = "series") -> str:
    count = len(table.rest)
    return f"{count} more {what} {'is' if count == 1 else 'are'} in the table" if count else ""
