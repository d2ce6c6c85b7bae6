"""Parts of ECharts' options: axes, legends, marks.

An option is plain JSON. What needs a function, a colour or values of the table is a mark, `{"$": WHAT, …}`,
which `revive` of assets/charts.js replaces, in the page as in a picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sbpgmon.panels import Panel
from sbpgmon.present.report.frames import Cell
from sbpgmon.present.report.tables import Column

Option = dict[str, Any]
NAME = 28  # signs of a name in a legend
_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
# Templates of ECharts; bold where a day begins.
_DATES = {
    "year": "{bold|{yyyy}}",
    "month": "{bold|{MMM} {d}}",
    "day": "{bold|{MMM} {d}}",
    "hour": "{HH}:{mm}",
    "minute": "{HH}:{mm}",
    "second": "{HH}:{mm}:{ss}",
}


def mark(what: str, **more: Any) -> Option:
    return {"$": what, **more}


def colour(name: str) -> Option:
    return mark("theme", name=name)


def unit_of(column: Column) -> Option:
    return mark("unit", unit=column.unit, decimals=column.decimals)


def text_of(size: int = 11, name: str = "muted") -> Option:
    return {"color": colour(name), "fontFamily": colour("font"), "fontSize": size}


def time_axis(start_ms: float, end_ms: float) -> Option:
    return {
        "type": "time",
        "name": "UTC",
        "nameGap": 6,
        "nameTextStyle": text_of(10),
        "min": start_ms,
        "max": end_ms,
        "axisLabel": {
            **text_of(),
            "hideOverlap": True,
            "formatter": _DATES,
            "rich": {"bold": text_of(11, "text") | {"fontWeight": 600}},
        },
        "axisLine": {"lineStyle": {"color": colour("line")}},
        "axisTick": {"lineStyle": {"color": colour("line")}},
        "axisPointer": {"label": {"formatter": mark("time")}},
    }


def value_axis(panel: Panel, columns: Sequence[Column], data: Sequence[Sequence[Cell]]) -> Option:
    """Begins at 0 unless the values lie far from it and close together."""
    known = [value for values in data for value in values if isinstance(value, int | float)]
    low, high = (min(known), max(known)) if known else (0, 0)
    is_far = not panel.is_stacked and panel.minimum is None and low > 0.4 * high > 0
    axis = {
        "type": "value",
        "scale": is_far,
        "axisLabel": {**text_of(), "formatter": mark("axis", unit=columns[0].unit)},
        "splitLine": {"lineStyle": {"color": colour("grid")}},
        "splitNumber": 4,
    }
    if panel.minimum is not None:
        axis["min"] = panel.minimum
    if panel.maximum is not None:
        axis["max"] = max(panel.maximum, high)
    if (axis.get("min"), axis.get("max"), columns[0].unit) == (0, 1, "percentunit"):
        axis["interval"] = 0.25
    if "max" not in axis and not is_far and low >= 0:
        axis |= _lines(columns[0].unit, high)
    if all(isinstance(value, int) for value in known) and 0 < high < 8 and columns[0].unit in ("short", "none"):
        axis["minInterval"] = 1  # counts: no half of one
    return axis


def _lines(unit: str, high: float) -> Option:
    """Lines of the grid at round numbers of KiB and MiB, of seconds and minutes; else as ECharts likes."""
    if high <= 0:
        return {}
    if unit in ("bytes", "binBps"):
        step = 1.0
        while high / step > 5:
            step *= 2
    elif unit in ("s", "ms"):
        one = 1.0 if unit == "s" else 1000.0
        fitting = [each * one for each in _SECONDS if high / (each * one) <= 5]
        if high <= 3 * one or not fitting:
            return {}
        step = fitting[0]
    else:
        return {}
    return {"interval": step, "max": -(-high // step) * step, "min": 0}


def names_axis(names: Sequence[str]) -> Option:
    return {
        "type": "category",
        "inverse": True,
        "data": list(names),
        "axisLabel": {**text_of(11, "text"), "width": mark("names"), "overflow": "truncate"},
        "axisLine": {"lineStyle": {"color": colour("line")}},
        "axisTick": {"show": False},
        "splitLine": {"show": False},
    }


def base() -> Option:
    return {
        "useUTC": True,
        "textStyle": {"fontFamily": colour("font"), "color": colour("text")},
        "grid": {"left": 8, "right": 34, "top": 14, "bottom": 8, "containLabel": True},
        "tooltip": {
            "confine": True,
            "backgroundColor": colour("surface"),
            "borderColor": colour("line"),
            "textStyle": text_of(12, "text"),
        },
    }


def legend() -> Option:
    return {
        "type": "scroll",
        "bottom": 0,
        "left": "center",
        "icon": "roundRect",
        "itemWidth": 14,
        "itemHeight": 6,
        "itemGap": 16,
        "formatter": mark("cut", count=NAME),
        "textStyle": {**text_of(), "lineHeight": 18},
        "tooltip": {"show": True},
        "pageTextStyle": text_of(),
        "pageIconColor": colour("accent"),
        "pageIconInactiveColor": colour("line"),
        "inactiveColor": colour("line"),
    }
