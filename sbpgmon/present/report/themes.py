"""Colours of the report. Those of a state are the dashboards' own; where they are text they are darker on white."""

from __future__ import annotations

from sbpgmon.panels import COLOURS

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', 'Liberation Sans', sans-serif"

# The series' colours are told apart with the usual colour blindnesses, and are 3:1 against their ground.
LIGHT: dict[str, str | list[str]] = {
    **COLOURS,
    "successText": "#2b7030",
    "warningText": "#7a5b00",
    "criticalText": "#c01430",
    "infoText": "#1f5cbf",
    "page": "#f4f5f7",
    "surface": "#ffffff",
    "text": "#1c2330",
    "muted": "#566072",
    "grid": "#e3e6ea",
    "line": "#c9ced6",
    "track": "#e6e8ec",
    "accent": "#1f5cbf",
    "font": FONT,
    "series": [
        "#0072b2",
        "#d55e00",
        "#00805c",
        "#9a4e97",
        "#8a6d00",
        "#3a8fc8",
        "#a83a6b",
        "#5f6773",
        "#7d4a1c",
        "#5b57c8",
    ],
    "sequential": ["#e6f0f9", "#a9cce6", "#5a9fcf", "#1f6fae", "#0b3f73"],
}
DARK: dict[str, str | list[str]] = {
    **COLOURS,
    "successText": COLOURS["success"],
    "warningText": COLOURS["warning"],
    "criticalText": "#ff7383",
    "infoText": "#7fb0f8",
    "page": "#0f1216",
    "surface": "#181c22",
    "text": "#e4e8ee",
    "muted": "#a3adbb",
    "grid": "#2a303a",
    "line": "#4a5361",
    "track": "#2b323c",
    "accent": "#7fb0f8",
    "font": FONT,
    "series": [
        "#56b4e9",
        "#f28e3c",
        "#2fc08f",
        "#d28fce",
        "#e3c64b",
        "#9cc9ff",
        "#f07ca8",
        "#b4bcc8",
        "#cfa274",
        "#a7a3ff",
    ],
    "sequential": ["#1b2b3d", "#1d4a73", "#2a73ae", "#5ca6da", "#c4e3fb"],
}
THEMES = {"light": LIGHT, "dark": DARK}
