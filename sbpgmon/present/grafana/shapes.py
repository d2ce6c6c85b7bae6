"""What a panel of each kind looks like: Grafana's plugin, the format of its query, its options."""

from __future__ import annotations

from typing import Any

from sbpgmon.panels import Panel
from sbpgmon.present.macros import for_grafana

PLUGINS = {"bar": "barchart"}  # the others bear the names of their kinds
# Two words of Grafana's for what stands above and below a chart.
_ALL_AT_A_TIME = {"mode": "multi", "sort": "desc"}
_ONE = {"mode": "single", "sort": "none"}


def plugin_of(panel: Panel) -> str:
    return PLUGINS.get(panel.kind, panel.kind)


def is_series(panel: Panel) -> bool:
    """Whether the query returns series over time; a table's time is a column as any other."""
    return panel.kind != "table" and any(column.kind == "time" for column in panel.columns)


def format_of(panel: Panel) -> str:
    return "time_series" if is_series(panel) else "table"


def query_of(panel: Panel) -> str:
    """The SQL of such a panel, as Grafana is to have it."""
    sql = for_grafana(panel.sql)
    return _at_the_end(panel, sql) if panel.kind == "heatmap" else sql


def _at_the_end(panel: Panel, sql: str) -> str:
    """The query with the end of each cell as its time.

    Grafana takes the time of a heatmap's rows for the end of a cell, and the first step for the width of all (11 to 13:
    public/app/features/transformers/calculateHeatmap/heatmap.ts, rowsToCellsHeatmap: `xMax`); ours is the beginning.
    """
    others = ", ".join(f"c.{column.name}" for column in panel.columns if column.kind != "time")
    return f"""with cells as materialized (
{sql}
)
select
  c.time + coalesce(
    (
      select min(s.step)
      from (
        select t.time - lag(t.time) over (order by t.time) as step
        from (select distinct x.time from cells as x) as t
      ) as s
    ),
    interval '$__interval_ms ms'
  ) as time,
  {others}
from cells as c
order by 1, 2"""


def custom_of(panel: Panel) -> dict[str, Any]:
    """`fieldConfig.defaults.custom` of such a panel."""
    if panel.kind == "timeseries":
        return {
            "drawStyle": "line",
            "lineInterpolation": "linear",
            "lineWidth": 1,
            "fillOpacity": 40 if panel.is_stacked else 8,
            "gradientMode": "none",
            "showPoints": "auto",
            "pointSize": 4,
            "spanNulls": False,
            "insertNulls": False,
            "stacking": {"mode": "normal" if panel.is_stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "dashed" if panel.thresholds else "off"},
            "axisPlacement": "auto",
            "axisLabel": "",
            "axisSoftMin": 0,
            "scaleDistribution": {"type": "linear"},
            "hideFrom": {"legend": False, "tooltip": False, "viz": False},
        }
    if panel.kind == "table":
        return {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": True, "inspect": False}
    if panel.kind == "bar":
        return {
            "lineWidth": 1,
            "fillOpacity": 80,
            "gradientMode": "none",
            "axisPlacement": "auto",
            "hideFrom": {"legend": False, "tooltip": False, "viz": False},
        }
    if panel.kind == "state-timeline":
        return {"lineWidth": 0, "fillOpacity": 80, "hideFrom": {"legend": False, "tooltip": False, "viz": False}}
    return {}


def options_of(panel: Panel) -> dict[str, Any]:
    """`options` of such a panel."""
    return {
        "timeseries": _timeseries,
        "stat": _stat,
        "gauge": _gauge,
        "table": _table,
        "bar": _bar,
        "heatmap": _heatmap,
        "state-timeline": _state_timeline,
    }[panel.kind](panel)


def _legend(panel: Panel, *, is_shown: bool) -> dict[str, Any]:
    mode = "table" if panel.labels and panel.height >= 12 else "list"
    calcs = ["mean", "max"] if mode == "table" else []
    return {"displayMode": mode, "placement": "bottom", "showLegend": is_shown, "calcs": calcs}


def _timeseries(panel: Panel) -> dict[str, Any]:
    is_named = bool(panel.labels) or len(panel.values) > 1
    return {"legend": _legend(panel, is_shown=is_named), "tooltip": _ALL_AT_A_TIME}


def _reduced(panel: Panel) -> dict[str, Any]:
    # Of a series the last reading; of rows each as it is, also where it is not known.
    return {"calcs": ["lastNotNull"], "fields": "", "values": not is_series(panel)}


def has_states(panel: Panel) -> bool:
    """Whether a value of it, or of one of its columns, stands for a state."""
    return bool(panel.thresholds or panel.states or any(column.thresholds or column.states for column in panel.columns))


def _stat(panel: Panel) -> dict[str, Any]:
    has_names = bool(panel.labels) or len(panel.values) > 1
    return {
        "reduceOptions": _reduced(panel),
        "orientation": "auto",
        "textMode": "value_and_name" if has_names else "value",
        "colorMode": "background_solid" if has_states(panel) else "none",
        "graphMode": "area" if is_series(panel) else "none",
        "justifyMode": "auto",
        "wideLayout": True,
        "showPercentChange": False,
        "percentChangeColorMode": "standard",
    }


def _gauge(panel: Panel) -> dict[str, Any]:
    return {
        "reduceOptions": _reduced(panel),
        "orientation": "auto",
        "showThresholdLabels": False,
        "showThresholdMarkers": True,
        "sizing": "auto",
        "minVizHeight": 75,
        "minVizWidth": 75,
    }


def _table(_: Panel) -> dict[str, Any]:
    return {"frameIndex": 0, "cellHeight": "sm", "showHeader": True, "sortBy": []}


def _bar(panel: Panel) -> dict[str, Any]:
    return {
        "orientation": "horizontal",
        "xField": panel.labels[0].name,
        "showValue": "auto",
        "stacking": "normal" if panel.is_stacked else "none",
        "barWidth": 0.8,
        "groupWidth": 0.8,
        "barRadius": 0,
        "fullHighlight": False,
        "xTickLabelMaxLength": 40,
        "xTickLabelRotation": 0,
        "xTickLabelSpacing": 0,
        "legend": _legend(panel, is_shown=len(panel.values) > 1),
        "tooltip": _ALL_AT_A_TIME,
    }


def _heatmap(panel: Panel) -> dict[str, Any]:
    ends = {"min": panel.minimum, "max": panel.maximum}
    return {
        "calculate": False,
        "cellGap": 1,
        "cellValues": {"unit": panel.unit},
        "color": {
            "mode": "scheme",
            "scheme": "Blues",
            "steps": 64,
            "exponent": 0.5,
            "fill": "dark-orange",
            "scale": "exponential",
            "reverse": False,
            **{key: value for key, value in ends.items() if value is not None},
        },
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "tooltip": {"mode": "single", "showColorScale": False, "yHistogram": False},
        "yAxis": {"axisPlacement": "left", "reverse": True},
    }


def _state_timeline(panel: Panel) -> dict[str, Any]:
    return {
        "mergeValues": True,
        "rowHeight": 0.85,
        "showValue": "never",
        "alignValue": "left",
        "legend": _legend(panel, is_shown=True) | {"displayMode": "list", "calcs": []},
        "tooltip": _ONE,
    }
