"""Grafana's dashboards, as classic (v1) JSON, out of the catalog's."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from typing import Any

from sbpgmon.panels import WIDTH, Dashboard, Panel, Variable
from sbpgmon.present.grafana.fields import field_config, overrides_of, panel_links
from sbpgmon.present.grafana.shapes import custom_of, format_of, options_of, plugin_of, query_of
from sbpgmon.present.macros import for_grafana

SCHEMA_VERSION = 41  # Grafana 12's; later ones migrate it when they load it
# Options are those of this version, and are migrated from it. Left out, stat and gauge are taken for Grafana 6.1's, and
# a ratio gets 0 and 1 for its ends (packages/grafana-ui/src/components/SingleStatShared/SingleStatBaseOptions.ts).
PLUGIN_VERSION = "11.6.0"
DATASOURCE_TYPE = "grafana-postgresql-datasource"
DATASOURCE_VARIABLE = "datasource"
TAG = "sbpgmon"
_DATASOURCE = {"type": DATASOURCE_TYPE, "uid": f"${{{DATASOURCE_VARIABLE}}}"}
_ON_LOAD, _ON_TIME_RANGE = 1, 2
_IDS = 1_000_000_007


def dashboard_json(dashboard: Dashboard, dashboards: dict[str, Dashboard], datasource_uid: str = "") -> dict[str, Any]:
    """One dashboard; `datasource_uid`: what its data source is at first, else Grafana's first of that type.

    `dashboards`: all of them, for links.
    """
    return {
        "uid": dashboard.uid,
        "title": f"sbpgmon / {dashboard.title}",
        "description": dashboard.description,
        "tags": [TAG, dashboard.level],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "fiscalYearStartMonth": 0,
        "liveNow": False,
        "preload": False,
        "timezone": "browser",
        "time": {"from": f"now-{dashboard.since}", "to": "now"},
        "timepicker": {},
        "refresh": dashboard.refresh,
        "weekStart": "",
        "annotations": {"list": [_annotations()]},
        "links": [_all_dashboards()],
        "templating": {"list": [_datasource(datasource_uid), *map(_variable, dashboard.variables)]},
        "panels": [
            _panel(panel, place, dashboards)
            for panel, place in zip(dashboard.panels, places(dashboard.panels), strict=True)
        ],
    }


def text_of(value: dict[str, Any]) -> str:
    """JSON as it is committed."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def places(panels: Iterable[Panel]) -> list[dict[str, int]]:
    """`gridPos` of each panel: from left to right, and on below the highest of a line that is full."""
    found = []
    x = y = height = 0
    for panel in panels:
        if x + panel.width > WIDTH:
            x, y, height = 0, y + height, 0
        found.append({"x": x, "y": y, "w": panel.width, "h": panel.height})
        x, height = x + panel.width, max(height, panel.height)
    return found


def panel_id(panel: Panel) -> int:
    """A number that stays when panels come and go: links to a panel, and alerts, name it."""
    return zlib.crc32(panel.name.encode()) % _IDS + 1


def _panel(panel: Panel, place: dict[str, int], dashboards: dict[str, Dashboard]) -> dict[str, Any]:
    target = {
        "refId": "A",
        "datasource": _DATASOURCE,
        "editorMode": "code",
        "format": format_of(panel),
        "rawQuery": True,
        "rawSql": query_of(panel),
    }
    return {
        "id": panel_id(panel),
        "type": plugin_of(panel),
        "pluginVersion": PLUGIN_VERSION,
        "title": panel.title,
        "description": panel.description,
        "gridPos": place,
        "datasource": _DATASOURCE,
        "targets": [target],
        "fieldConfig": field_config(panel, custom_of(panel), overrides_of(panel, dashboards)),
        "options": options_of(panel),
        "links": panel_links(panel, dashboards),
        "transparent": False,
    }


def _datasource(uid: str) -> dict[str, Any]:
    return {
        "name": DATASOURCE_VARIABLE,
        "type": "datasource",
        "label": "Data source",
        "query": DATASOURCE_TYPE,
        "regex": "",
        "refresh": _ON_LOAD,
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "options": [],
        "current": {"text": uid, "value": uid},
    }


def _variable(variable: Variable) -> dict[str, Any]:
    sql = for_grafana(variable.sql)
    return {
        "name": variable.name,
        "type": "query",
        "label": variable.title,
        "description": variable.description,
        "datasource": _DATASOURCE,
        "definition": sql,
        "query": sql,
        "regex": "",
        "refresh": _ON_TIME_RANGE if variable.is_of_range else _ON_LOAD,
        "sort": 0,
        "hide": 0,
        "includeAll": variable.is_multi,
        "multi": variable.is_multi,
        "options": [],
        "current": {"text": ["All"], "value": ["$__all"]} if variable.is_multi else {"text": "", "value": ""},
    }


def _annotations() -> dict[str, Any]:
    """Grafana's own, which a dashboard has at any rate."""
    return {
        "name": "Annotations & Alerts",
        "type": "dashboard",
        "builtIn": 1,
        "datasource": {"type": "grafana", "uid": "-- Grafana --"},
        "enable": True,
        "hide": True,
        "iconColor": "rgba(0, 211, 255, 1)",
    }


def _all_dashboards() -> dict[str, Any]:
    return {
        "type": "dashboards",
        "title": "sbpgmon",
        "tooltip": "The other dashboards, with the same time range and choices",
        "tags": [TAG],
        "asDropdown": True,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
        "icon": "external link",
        "url": "",
    }
