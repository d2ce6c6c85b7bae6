"""The report as one HTML file, which loads nothing from anywhere."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from sbpgmon import __version__
from sbpgmon.panels import Dashboard, Panel, PanelColumn
from sbpgmon.present.report.charts import chart_of, spark
from sbpgmon.present.report.drawn import Chart
from sbpgmon.present.report.frames import Frame, Report, Shown
from sbpgmon.present.report.tables import Column, packed
from sbpgmon.present.report.themes import THEMES
from sbpgmon.present.report.units import NO_DATA

_ROW_PIXELS = 30  # of the grid, without a panel's head
_LINE_PIXELS = 18  # of a row of a heatmap or a timeline
_PLAIN_BYTES = 1_000_000  # of data
_TEXT = 4_000  # characters of a cell
_NAMED = 4  # targets in the head


def assets() -> Path:
    """The folder of what the page is made of."""
    return Path(__file__).parent / "assets"


@cache
def asset(name: str) -> str:
    return (assets() / name).read_text(encoding="utf-8")


def in_script(value: object) -> str:
    """JSON that may stand in a script element: nothing in it ends the element, or begins a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    # A lone surrogate cannot be written as UTF-8.
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def page_of(report: Report) -> str:
    """The page: HTML of some 600 kB and the data."""
    question = report.question
    start, end = question.start.timestamp() * 1000, question.end.timestamp() * 1000
    panels: dict[str, Any] = {}
    sections = []
    for shown in report.dashboards:
        figures = []
        for frame in shown.frames:
            chart = None if frame.error or frame.is_empty else chart_of(frame, start, end, question.interval_ms)
            name = panel_id(shown.dashboard, frame.panel)
            if chart:
                panels[name] = _data_of(chart, frame, shown, report, (start, end))
            figures.append(_figure(name, frame, chart, report))
        sections.append(_section(shown, figures))
    data = {"generated": report.generated.timestamp() * 1000, "themes": THEMES, "panels": panels}
    scripts = [asset("charts.js"), asset("report.js")]
    title = f"sbpgmon report: {targets_in_words(report)}"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{html.escape(_policy(scripts))}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="sbpgmon {html.escape(__version__)}">
<title>{html.escape(title)}</title>
<style>{_variables()}{asset("report.css")}</style>
</head>
<body>
<a class="skip" href="#content">To the content</a>
<header class="top">
<h1>Database report</h1>
<dl>{_facts(report)}</dl>
</header>
<div class="bar-top"><div>
<nav class="dashboards" aria-label="Dashboards">{"".join(_anchor(shown.dashboard) for shown in report.dashboards)}</nav>
<button id="theme" type="button" hidden>Dark</button>
</div></div>
<main id="content">
<noscript><p class="message">Charts and tables are drawn by JavaScript, which is switched off here.</p></noscript>
<p class="message" id="without-charts" hidden>This browser cannot draw the charts; their tables are shown.</p>
{"".join(sections)}
</main>
<footer>Made by sbpgmon {html.escape(__version__)}. Charts: Apache ECharts, Apache License 2.0.</footer>
{_data(in_script(data))}
<script type="text/plain" id="library" data-packed>{_library()}</script>
<script>{scripts[0]}</script>
<script>{scripts[1]}</script>
</body>
</html>
"""


def panel_id(dashboard: Dashboard, panel: Panel) -> str:
    return f"{dashboard.name}.{panel.name}"


def range_in_words(start: datetime, end: datetime) -> str:
    """`2026-11-21 07:53 to 2026-11-22 07:53 UTC`; the second date only where it differs."""
    first, last = start.astimezone(UTC), end.astimezone(UTC)
    until = f"{last:%H:%M}" if first.date() == last.date() else f"{last:%Y-%m-%d %H:%M}"
    return f"{first:%Y-%m-%d %H:%M} to {until} UTC"


def targets_in_words(report: Report) -> str:
    """`app`, `a, b, c`, `50 targets`."""
    if not report.targets:
        return "no targets yet"
    if len(report.targets) <= _NAMED:
        return ", ".join(report.targets)
    return f"{len(report.targets)} targets" if report.question.targets else f"all {len(report.targets)} targets"


def _policy(scripts: Sequence[str]) -> str:
    """Nothing is loaded, and no script runs but these: not even one that were smuggled into the data."""
    texts = [*scripts, asset("echarts.min.js")]
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
    allowed = " ".join(f"'sha256-{each}'" for each in hashes)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def _data(text: str) -> str:
    """The element that holds the data: as it is, so that any browser shows the tables, or packed where it is much."""
    if len(text.encode()) <= _PLAIN_BYTES:
        return f'<script type="application/json" id="data">{text}</script>'
    return f'<script type="text/plain" id="data" data-packed>{_packed(text)}</script>'


def _packed(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


@cache
def _library() -> str:
    return _packed(asset("echarts.min.js"))


def _variables() -> str:
    def block(theme: str) -> str:
        colours = {**THEMES[theme], "series": THEMES[theme]["series"][0]}
        return "".join(f"--{name}:{value};" for name, value in colours.items() if isinstance(value, str))

    light, dark = block("light"), block("dark")
    return (
        f":root{{{light}}}"
        f"@media screen and (prefers-color-scheme:dark){{:root:not([data-theme]){{color-scheme:dark;{dark}}}}}"
        f'@media screen{{:root[data-theme="dark"]{{{dark}}}}}'
    )


def _facts(report: Report) -> str:
    facts = [
        ("Targets" if len(report.targets) != 1 else "Target", targets_in_words(report)),
        ("Range", range_in_words(report.question.start, report.question.end)),
        ("Generated", f"{report.generated:%Y-%m-%d %H:%M:%S} UTC"),
        ("Version", f"sbpgmon {__version__}"),
    ]
    return "".join(f"<div><dt>{name}</dt><dd>{html.escape(text)}</dd></div>" for name, text in facts)


def _anchor(dashboard: Dashboard) -> str:
    return f'<a href="#{dashboard.name}">{html.escape(dashboard.title)}</a>'


def _section(shown: Shown, figures: Sequence[str]) -> str:
    dashboard = shown.dashboard
    chosen = [
        f"{html.escape(variable.title)}: <strong>{html.escape(str(value) or NO_DATA)}</strong>"
        for variable in dashboard.variables
        if isinstance(value := shown.values.get(variable.name), str)
    ]
    line = f'<p class="chosen">{" · ".join(chosen)}</p>' if chosen else ""
    return (
        f'<section class="dashboard" id="{dashboard.name}" aria-labelledby="{dashboard.name}.title">'
        f'<h2 id="{dashboard.name}.title">{html.escape(dashboard.title)}</h2>'
        f"<p>{html.escape(dashboard.description)}</p>{line}"
        f'<div class="grid">{"".join(figures)}</div></section>\n'
    )


def _figure(name: str, frame: Frame, chart: Chart | None, report: Report) -> str:
    panel = frame.panel
    title, description = html.escape(panel.title), html.escape(panel.description)
    there = {shown.dashboard.name: shown.dashboard for shown in report.dashboards}
    links = ", ".join(_anchor(there[to]) for to in panel.links if to in there)
    more = f"<p>See also: {links}</p>" if links else ""
    tag = '<span class="tag">now</span>' if panel.is_instant else ""
    state = ' data-drawn="error"' if frame.error else ' data-drawn="empty"' if chart is None else ""
    behind = ""
    if frame.error:
        body = f'<p class="failed">{html.escape(frame.error)}</p>'
    elif chart is None:
        body = f'<p class="empty">{NO_DATA}</p>'
    else:
        role = f' role="img" aria-label="{title}. {description}"' if chart.option else ""
        body = f'<div class="body" style="--h:{height_of(panel, chart)}px"{role}></div>'
        body += f'<p class="note">{html.escape(chart.note)}</p>' if chart.note else ""
        if chart.kind != "table":
            behind = '<details class="behind"><summary>Table</summary></details>'
    return (
        f'<figure class="panel{" narrow" if panel.width <= 8 else ""}" id="{name}" data-panel="{name}" '
        f'data-kind="{panel.kind}"{state} style="--w:{panel.width}" aria-labelledby="{name}.t" '
        f'aria-describedby="{name}.d">'
        f'<figcaption><h3 id="{name}.t">{title}</h3>{tag}<details class="about"><summary aria-label="About {title}">?'
        f'</summary><p id="{name}.d">{description}</p>{more}</details></figcaption>{body}{behind}</figure>\n'
    )


def height_of(panel: Panel, chart: Chart) -> int:
    """Pixels of what is drawn: as the dashboard's grid says, and more where lines would lie too close."""
    least = panel.height * _ROW_PIXELS - 20
    if chart.kind == "stat":
        lines = -(-len(chart.tiles) // max(1, panel.width // 2))
        return min(least, lines * (110 if any(tile.series is not None for tile in chart.tiles) else 64))
    if chart.kind in ("heatmap", "state-timeline"):
        return max(min(least, chart.rows * 30 + 90), chart.rows * _LINE_PIXELS + 70)
    return least


def _data_of(chart: Chart, frame: Frame, shown: Shown, report: Report, bounds: tuple[float, float]) -> dict[str, Any]:
    table = chart.table
    data = {
        "kind": chart.kind,
        "columns": [described(column) for column in table.columns],
        "data": [
            packed(column, [_cut(value) for value in values])
            for column, values in zip(table.columns, table.data, strict=True)
        ],
        "rest": table.rest,
        **chart.extra,
    }
    if chart.option:
        data["option"] = chart.option
    if chart.kind == "stat":
        data["tiles"] = [
            {"name": tile.name, "value": tile.value, "column": tile.column, "series": tile.series}
            for tile in chart.tiles
        ]
        data["sparks"] = {tile.series: spark(*bounds, tile.series) for tile in chart.tiles if tile.series is not None}
    if chart.kind == "table" and (links := _links(frame, shown, report, len(table))):
        data["links"] = links
    return data


def described(column: Column) -> dict[str, Any]:
    """A column as assets/charts.js knows it."""
    told: dict[str, Any] = {"title": column.title, "kind": column.kind, "unit": column.unit}
    if column.decimals is not None:
        told["decimals"] = column.decimals
    if column.thresholds:
        told["thresholds"] = [[each.value, each.state] for each in column.thresholds]
    if column.states:
        told["states"] = [[each.value, each.state, each.text] for each in column.states]
    flags = {"bar": column.is_bar, "hidden": column.is_hidden, "code": column.is_code, "width": column.width}
    return told | {name: value for name, value in flags.items() if value}


def _cut(value: Any) -> Any:
    return f"{value[:_TEXT]}…" if isinstance(value, str) and len(value) > _TEXT else value


def _links(frame: Frame, shown: Shown, report: Report, rows: int) -> dict[int, Any]:
    """Which cells lead to a dashboard of this report: those whose row is what that dashboard shows."""
    there = {each.dashboard.name: each for each in report.dashboards if each is not shown}
    found: dict[int, Any] = {}
    for place, column in enumerate(frame.panel.columns):
        if to := there.get(column.link):
            led = [_is_shown(frame.panel.columns, row, to) for row in frame.rows[:rows]]
            if any(led):
                found[place] = {"to": column.link, "rows": [int(each) for each in led]}
    return found


def _is_shown(columns: Sequence[PanelColumn], row: Sequence[object], to: Shown) -> bool:
    for column, value in zip(columns, row, strict=True):
        chosen = to.values.get(column.name)
        if isinstance(chosen, str) and chosen != str(value):
            return False
        if isinstance(chosen, tuple) and str(value) not in chosen:
            return False
    return True
