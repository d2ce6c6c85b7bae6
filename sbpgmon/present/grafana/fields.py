"""How Grafana is told what a panel's values mean: units, thresholds, states, names of series, links."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sbpgmon.panels import COLOURS, Dashboard, Panel, PanelColumn, StateOf, Threshold

NO_DATA = "No data"
_WIDE = 300  # pixels: texts in a column of this width are worth a look at their full length


def field_config(panel: Panel, custom: dict[str, Any], overrides: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """A panel's `fieldConfig`: what holds for all values, and for single columns."""
    defaults: dict[str, Any] = {
        "unit": panel.unit,
        "color": _colour(panel),
        "thresholds": thresholds_of(panel.thresholds),
        "mappings": mappings_of(panel.states),
        "noValue": NO_DATA,
        "custom": custom,
    }
    named = {"min": panel.minimum, "max": panel.maximum, "decimals": panel.decimals}
    defaults |= {key: value for key, value in named.items() if value is not None}
    if len(panel.values) == 1 and panel.labels and panel.kind not in ("table", "bar", "gauge"):
        defaults["displayName"] = series_name(panel.labels)
    return {"defaults": defaults, "overrides": list(overrides)}


def _colour(panel: Panel) -> dict[str, Any]:
    if panel.kind in ("timeseries", "bar", "heatmap"):
        return {"mode": "palette-classic"}
    if panel.thresholds or panel.states:
        return {"mode": "thresholds"}
    # Behind a figure that stands for no state lies the panel's own background, not the grey of a colour left out.
    return {"mode": "fixed"} | ({"fixedColor": "panel-bg"} if panel.kind == "stat" else {})


def thresholds_of(thresholds: Sequence[Threshold]) -> dict[str, Any]:
    """Steps from the lowest on; without any, one step of no colour that means anything."""
    steps: list[dict[str, Any]] = [{"color": COLOURS[t.state], "value": t.value} for t in thresholds]
    return {"mode": "absolute", "steps": steps or [{"color": "text", "value": None}]}


def mappings_of(states: Sequence[StateOf]) -> list[dict[str, Any]]:
    """Values to texts and colours; what is not known is said, and coloured."""
    nothing = {"text": NO_DATA, "color": COLOURS["info"], "index": len(states)}
    mappings: list[dict[str, Any]] = []
    if states:
        options = {s.value: {"text": s.text, "color": COLOURS[s.state], "index": i} for i, s in enumerate(states)}
        mappings.append({"type": "value", "options": options})
    return [*mappings, {"type": "special", "options": {"match": "null+nan", "result": nothing}}]


def series_name(labels: Sequence[PanelColumn], last: str = "") -> str:
    """What a series is called: its labels, and what it shows where that differs."""
    return " ".join([*(f"${{__field.labels.{label.name}}}" for label in labels), *filter(None, [last])])


def overrides_of(panel: Panel, dashboards: dict[str, Dashboard]) -> list[dict[str, Any]]:
    """What differs from the panel's own settings, by column."""
    found = []
    for column in panel.columns:
        properties = _properties(panel, column, dashboards)
        if properties:
            listed = [{"id": key, "value": value} for key, value in properties.items()]
            found.append({"matcher": {"id": "byName", "options": column.name}, "properties": listed})
    return found


def _properties(panel: Panel, column: PanelColumn, dashboards: dict[str, Dashboard]) -> dict[str, Any]:
    is_table = panel.kind == "table"
    found: dict[str, Any] = {}
    if is_table or panel.kind in ("bar", "gauge") or (column.kind == "value" and not panel.labels):
        found["displayName"] = column.title
    elif column.kind == "value" and len(panel.values) > 1:
        found["displayName"] = series_name(panel.labels, column.title)
    if column.unit or (is_table and column.kind != "value"):
        found["unit"] = column.unit or ("dateTimeAsIso" if column.kind == "time" else "string")
    if column.thresholds:
        found |= {"thresholds": thresholds_of(column.thresholds), "color": {"mode": "thresholds"}}
    if column.states:
        found |= {"mappings": mappings_of(column.states), "color": {"mode": "thresholds"}}
    if is_table:
        found |= _cell(column)
    if column.link:
        found["links"] = [_link(panel, dashboards[panel.dashboard], dashboards[column.link])]
    return found


def _cell(column: PanelColumn) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if column.is_bar:
        found["custom.cellOptions"] = {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}
    elif column.thresholds or column.states:
        found["custom.cellOptions"] = {"type": "color-background", "mode": "basic"}
    if column.is_hidden:
        # The first is what tables up to Grafana 12.1 know, the second what those after it do.
        found |= {"custom.hidden": True, "custom.hideFrom": {"viz": True, "legend": True, "tooltip": True}}
    if column.width:
        found["custom.width"] = column.width
        if column.width >= _WIDE and column.kind == "label":
            found["custom.inspect"] = True
    return found


def _link(panel: Panel, here: Dashboard, there: Dashboard) -> dict[str, Any]:
    """From a cell to a dashboard: the row's columns that are its variables, and what is chosen here otherwise."""
    columns = {column.name for column in panel.columns}
    chosen = {variable.name for variable in here.variables}
    parts = ["${__url_time_range}", "${datasource:queryparam}"]
    for variable in there.variables:
        if variable.name in columns:
            parts.append(f"var-{variable.name}=${{__data.fields.{variable.name}:percentencode}}")
        elif variable.name in chosen:
            parts.append(f"${{{variable.name}:queryparam}}")
    return {"title": there.title, "url": f"/d/{there.uid}?{'&'.join(parts)}", "targetBlank": False}


def panel_links(panel: Panel, dashboards: dict[str, Dashboard]) -> list[dict[str, Any]]:
    """Links of a panel's title: with the time range, and with all that is chosen."""
    return [
        {
            "title": dashboards[name].title,
            "url": f"/d/{dashboards[name].uid}?${{__url_time_range}}&${{__all_variables}}",
            "targetBlank": False,
        }
        for name in panel.links
    ]
