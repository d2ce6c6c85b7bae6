"""Frame -> Chart: what is drawn of each kind of panel."""

from __future__ import annotations

from collections.abc import Callable

from sbpgmon.present.report.courses import heatmap, timeline, timeseries
from sbpgmon.present.report.drawn import Chart, Tile
from sbpgmon.present.report.frames import Frame
from sbpgmon.present.report.options import Option, base, colour, legend, mark, text_of, unit_of, value_axis
from sbpgmon.present.report.tables import NO_NAME, as_it_is, figures_of, pivot

ROWS = 200  # of a table
_GAUGES = 8
_BARS = {6: 7, 8: 11, 12: 19}  # by the panel's height
_TILES = 60


def chart_of(frame: Frame, start_ms: float, end_ms: float, least_step_ms: float = 0) -> Chart:
    """The chart of a frame with rows, over that range."""
    makers: dict[str, Callable[[Frame, float, float, float], Chart]] = {
        "timeseries": timeseries,
        "stat": _stat,
        "gauge": _gauge,
        "table": _table,
        "bar": _bar,
        "heatmap": heatmap,
        "state-timeline": timeline,
    }
    return makers[frame.panel.kind](frame, start_ms, end_ms, least_step_ms)


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


def _gauge(frame: Frame, start_ms: float, end_ms: float, least_step_ms: float) -> Chart:
    panel = frame.panel
    stat = _stat(frame, start_ms, end_ms, least_step_ms)
    tiles = stat.tiles[:_GAUGES]
    known = [tile.value for tile in stat.tiles if isinstance(tile.value, int | float)]
    top = 1.0 if all(stat.table.columns[tile.column].unit == "percentunit" for tile in tiles) else max(known, default=1)
    option = base() | {
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
    option = base()
    option["tooltip"] |= {"trigger": "axis", "axisPointer": {"type": "shadow"}}
    option["xAxis"] = value_axis(panel, [table.columns[values[0]]], [table.data[place] for place in values])
    option["xAxis"]["scale"] = False
    option["xAxis"]["axisLabel"]["hideOverlap"] = True
    option["yAxis"] = {
        "type": "category",
        "inverse": True,
        "data": names,
        "axisLabel": {**text_of(11, "text"), "width": mark("names"), "overflow": "truncate", "interval": 0},
        "axisLine": {"lineStyle": {"color": colour("line")}},
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
            "tooltip": {"valueFormatter": unit_of(column)},
        }
        if has_states:
            bar["itemStyle"] = {"color": mark("state", column=place, index=index)}
        if panel.is_stacked:
            bar["stack"] = "all"
        elif len(values) == 1:
            bar["label"] = {"show": True, "position": "right", **text_of(), "formatter": mark("label", column=place)}
            option["grid"]["right"] = 64
        option["series"].append(bar)
    if len(values) > 1:
        option["legend"] = legend()
        option["grid"]["bottom"] = 34
    return Chart("bar", table, option, note=_more(len(frame.rows), most, "bars"))
