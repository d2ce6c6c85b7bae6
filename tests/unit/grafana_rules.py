"""What holds for a dashboard that Grafana is to load from a file: rules of our own, after its classic (v1) model.

The words are those of `@grafana/schema` 13 (dashboard.gen.ts and the panels' types), the identifiers of units those of
`@grafana/data` (valueFormats/categories.ts).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

from sbpgmon.panels import COLOURS, UNITS

# Options that Grafana 11.6, 12.4 and 13.2 have alike (raw/composable/*/panelcfg of their `@grafana/schema`), less what
# is of no use to us. 12.4 has no footer in a table's options any more; 13 drops a gauge's `sizing` and its kin.
_REDUCED = {"reduceOptions", "orientation"}
OPTIONS = {
    "timeseries": {"legend", "tooltip"},
    "stat": _REDUCED | {"textMode", "colorMode", "graphMode", "justifyMode", "wideLayout", "showPercentChange",
                        "percentChangeColorMode"},
    "gauge": _REDUCED | {"showThresholdLabels", "showThresholdMarkers", "sizing", "minVizHeight", "minVizWidth"},
    "table": {"frameIndex", "cellHeight", "showHeader", "sortBy"},
    "barchart": {"orientation", "xField", "showValue", "stacking", "barWidth", "groupWidth", "barRadius",
                 "fullHighlight", "xTickLabelMaxLength", "xTickLabelRotation", "xTickLabelSpacing", "legend",
                 "tooltip"},
    "heatmap": {"calculate", "cellGap", "cellValues", "color", "exemplars", "filterValues", "legend", "rowsFrame",
                "showValue", "tooltip", "yAxis"},
    "state-timeline": {"mergeValues", "rowHeight", "showValue", "alignValue", "legend", "tooltip"},
}  # fmt: skip
# What an override may set: the standard properties, and those of a table's columns (`custom.hidden` until 12.1).
PROPERTIES = {"displayName", "unit", "thresholds", "color", "mappings", "links", "custom.cellOptions", "custom.hidden",
              "custom.hideFrom", "custom.width", "custom.inspect"}  # fmt: skip
DATASOURCE = {"type": "grafana-postgresql-datasource", "uid": "${datasource}"}
_LINK = re.compile(r"/d/([a-z0-9-]+)\?(.*)\Z")
_NAMED = re.compile(r"\$(?:\{(\w+)(?::\w+)?\}|(\w+))")
# What Grafana itself puts into a query, and into a link.
_OWN = re.compile(r"__\w+")


def problems_of(dashboard: dict[str, Any], uids: set[str]) -> Iterator[str]:
    """What is wrong with one dashboard; `uids`: of all that there are."""
    for key, kind in (("uid", str), ("title", str), ("description", str), ("tags", list), ("panels", list),
                      ("templating", dict), ("time", dict), ("refresh", str), ("links", list)):  # fmt: skip
        if not isinstance(dashboard.get(key), kind):
            yield f"{key} is {dashboard.get(key)!r}"
    if dashboard["schemaVersion"] not in (41, 42):
        yield f"schemaVersion {dashboard['schemaVersion']}"
    if not re.fullmatch(r"sbpgmon-[a-z0-9-]{1,32}", dashboard["uid"]):
        yield f"uid {dashboard['uid']}"
    if "__inputs" in dashboard or "id" in dashboard:
        yield "__inputs or id, which a file must not have"
    variables = [v["name"] for v in dashboard["templating"]["list"]]
    if variables[0] != "datasource" or len(set(variables)) < len(variables):
        yield f"variables {variables}"
    for variable in dashboard["templating"]["list"]:
        yield from _variable_problems(variable, variables)
    ids = [panel["id"] for panel in dashboard["panels"]]
    if len(set(ids)) < len(ids) or not all(0 < number < 2**31 for number in ids):
        yield f"ids {ids}"
    for one, other in itertools.combinations(dashboard["panels"], 2):
        if _overlap(one["gridPos"], other["gridPos"]):
            yield f"{one['title']} lies over {other['title']}"
    for panel in dashboard["panels"]:
        yield from (f"{panel['title']}: {what}" for what in _panel_problems(panel, variables, uids))
    yield from (f"colour {colour}" for colour in _colours(dashboard) if colour not in COLOURS.values())


def _variable_problems(variable: dict[str, Any], variables: list[str]) -> Iterator[str]:
    name = variable["name"]
    if not variable["current"].keys() >= {"text", "value"}:
        yield f"{name} is {variable['current']} at first"
    if variable["type"] == "datasource":
        if variable["query"] != DATASOURCE["type"]:
            yield f"{name} is of {variable['query']}"
        return
    if variable["datasource"] != DATASOURCE or variable["query"] != variable["definition"]:
        yield f"{name} asks another source than it says"
    if variable["includeAll"] != variable["multi"] or "allValue" in variable:
        yield f"{name} has an All of its own"
    uses_range = "$__time" in variable["query"]
    if variable["refresh"] != (2 if uses_range else 1):
        yield f"{name} is not asked again when the time range changes"
    earlier = variables[: variables.index(name)]
    yield from (f"{name} uses {used}" for used in _used(variable["query"]) if used not in earlier)


def _panel_problems(panel: dict[str, Any], variables: list[str], uids: set[str]) -> Iterator[str]:
    place = panel["gridPos"]
    if place["h"] not in (6, 8, 12) or place["x"] + place["w"] > 24 or min(place.values()) < 0:
        yield f"lies at {place}"
    if panel["type"] not in OPTIONS or panel["options"].keys() != OPTIONS[panel["type"]]:
        yield f"is a {panel['type']} with the options {', '.join(panel['options'])}"
    if not re.fullmatch(r"1[1-3]\.\d+\.\d+", panel.get("pluginVersion", "")):
        yield "is migrated from the oldest version that there was"
    if len(panel["title"]) > 60 or not panel["description"].strip():
        yield "has no description, or a long title"
    defaults = panel["fieldConfig"]["defaults"]
    if defaults["unit"] not in UNITS or defaults["noValue"] != "No data":
        yield f"unit {defaults['unit']}"
    nulls = [m["options"] for m in defaults["mappings"] if m["type"] == "special"]
    if [null["result"]["text"] for null in nulls] != ["No data"] or nulls[0]["match"] != "null+nan":
        yield "null is not said"
    for override in panel["fieldConfig"]["overrides"]:
        yield from (f"{p['id']} is set" for p in override["properties"] if p["id"] not in PROPERTIES)
    states = [defaults["thresholds"]["steps"][1:], *_properties(panel, "thresholds"), *_properties(panel, "mappings")]
    if panel["type"] == "stat" and any(states) != (panel["options"]["colorMode"] != "none"):
        yield "a state is not seen, or a colour says nothing"
    [target] = panel["targets"]
    for key, value in {"rawQuery": True, "editorMode": "code", "refId": "A", "datasource": DATASOURCE}.items():
        if target[key] != value:
            yield f"{key} is {target[key]!r}"
    sql = target["rawSql"]
    if target["format"] not in ("time_series", "table") or panel["datasource"] != DATASOURCE:
        yield f"format {target['format']}"
    if "--" in sql or "/*" in sql or ";" in sql:
        yield "a comment, or a second statement"
    if panel["type"] == "heatmap" and "c.time + coalesce(" not in sql:
        yield "its cells end where they should begin"
    if re.search(r"\btime::", sql) or "$__timeGroup" in sql:
        yield "the time is cast"
    yield from (f"uses {name}" for name in _used(sql) if name not in variables)
    for steps in [defaults["thresholds"], *_properties(panel, "thresholds")]:
        values = [step["value"] for step in steps["steps"]]
        if values[0] is not None or values[1:] != sorted(set(values[1:])):
            yield f"thresholds {values}"
    links = [*panel["links"], *itertools.chain(*_properties(panel, "links"))]
    for link in links:
        match = _LINK.match(link["url"])
        if not match or match[1] not in uids or "${__url_time_range}" not in match[2]:
            yield f"leads to {link['url']}"


def _properties(panel: dict[str, Any], key: str) -> list[Any]:
    overrides = panel["fieldConfig"]["overrides"]
    return [p["value"] for override in overrides for p in override["properties"] if p["id"] == key]


def _used(sql: str) -> list[str]:
    names = [match[1] or match[2] for match in _NAMED.finditer(sql)]
    return [name for name in names if not _OWN.fullmatch(name) and not name.isdecimal()]


def _overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return (
        one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    )


def _colours(value: Any) -> Iterator[str]:
    """Every colour that is named by its number."""
    if isinstance(value, dict):
        for part in value.values():
            yield from _colours(part)
    elif isinstance(value, list):
        for part in value:
            yield from _colours(part)
    elif isinstance(value, str) and re.fullmatch(r"#[0-9A-Fa-f]{6}", value):
        yield value
