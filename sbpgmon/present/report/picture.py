"""One panel as PNG: the page's own charts, drawn without a page, and figures and tables as SVG; then a raster of it.

mini-racer runs ECharts, resvg paints; both come with the extra `png`.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from sbpgmon.errors import ConfigError
from sbpgmon.present.report.charts import chart_of, spark
from sbpgmon.present.report.drawn import Chart
from sbpgmon.present.report.frames import TARGET, Frame, Report
from sbpgmon.present.report.options import NAME
from sbpgmon.present.report.page import asset, described, height_of, range_in_words, targets_in_words
from sbpgmon.present.report.svg import cut, figures_svg, table_svg, text_svg, width_of
from sbpgmon.present.report.tables import packed
from sbpgmon.present.report.themes import LIGHT
from sbpgmon.present.report.units import NO_DATA

_COLUMN_PIXELS = 50  # of the dashboard's grid
_HEAD_PIXELS = 62
_FOOT_PIXELS = 22
_MARGIN = 16
_SECONDS = 60.0  # that a drawing may take
_SCALE = 2.0  # pixels of the file for each of the picture
# Fonts that are found on servers and desktops: file, family.
_FONTS = (
    ("DejaVuSans.ttf", "DejaVu Sans"), ("NotoSans-Regular.ttf", "Noto Sans"),
    ("LiberationSans-Regular.ttf", "Liberation Sans"), ("Roboto-Regular.ttf", "Roboto"),
    ("OpenSans-Regular.ttf", "Open Sans"), ("Ubuntu-R.ttf", "Ubuntu"), ("FreeSans.ttf", "FreeSans"),
    ("arial.ttf", "Arial"), ("Arial.ttf", "Arial"),
)  # fmt: skip
_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts", "/Library/Fonts",
            "/System/Library/Fonts/Supplemental", "C:/Windows/Fonts")  # fmt: skip


def require() -> None:
    """Raises ConfigError where a picture cannot be made here."""
    missing = [name for name in ("py_mini_racer", "resvg_py") if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"A picture needs mini-racer and resvg-py; {' and '.join(missing)} cannot be imported.",
            "pip install 'sbpgmon[png]', or leave out --format png: the HTML file needs nothing.",
        )
    find_font()


def find_font(folders: Iterable[str] = _FOLDERS) -> tuple[Path, str]:
    """A font's file and its family; raises ConfigError where there is none of those that are known."""
    there = [Path(folder).expanduser() for folder in folders]
    files = {path.name: path for folder in there if folder.is_dir() for path in folder.rglob("*.[to]tf")}
    for name, family in _FONTS:
        if name in files:
            return files[name], family
    raise ConfigError(
        "A picture needs a font, and none is installed here.",
        "apt-get install fonts-dejavu-core (dnf install dejavu-sans-fonts), or leave out --format png.",
    )


def picture_of(report: Report, width: int | None = None, height: int | None = None) -> bytes:
    """The first panel of the report as PNG; sizes are pixels of the file. Raises ConfigError."""
    require()
    frame = report.frames[0]
    font, family = find_font()
    theme = {**LIGHT, "font": family}
    wide = round(width / _SCALE) if width else max(480, frame.panel.width * _COLUMN_PIXELS)
    with _Engine() as engine:
        svg = _svg(engine, frame, report, theme, wide, round(height / _SCALE) if height else None)
    import resvg_py

    bold = [str(path) for path in font.parent.glob(f"{font.stem.removesuffix('-Regular')}-Bold.ttf")]
    return bytes(
        resvg_py.svg_to_bytes(
            svg_string=svg,
            zoom=_SCALE,
            background=str(theme["surface"]),
            font_files=[str(font), *bold],
            skip_system_fonts=True,
            font_family=family,
            sans_serif_family=family,
        )
    )


def _svg(engine: _Engine, frame: Frame, report: Report, theme: dict[str, Any], width: int, height: int | None) -> str:
    """Title, targets and range above, the chart, its remark below."""
    question = report.question
    inner = width - 2 * _MARGIN
    start, end = question.start.timestamp() * 1000, question.end.timestamp() * 1000
    tall: float
    chart = None if frame.error or frame.is_empty else chart_of(frame, start, end, question.interval_ms)
    if chart is None:
        tall = height - _HEAD_PIXELS - _FOOT_PIXELS if height else 120
        said = cut(frame.error or NO_DATA, inner, 14)
        drawn = text_svg(said, inner / 2, tall / 2, 14, theme["muted"], anchor="middle")
    elif chart.kind == "table":
        room = height - _HEAD_PIXELS - _FOOT_PIXELS if height else None
        drawn, tall = table_svg(chart, theme, inner, room, report.generated.timestamp() * 1000)
    elif chart.kind == "stat":
        drawn, tall, places = figures_svg(chart, theme, inner, report.generated.timestamp() * 1000)
        for place in places:
            course = _drawn(
                engine, replace(chart, option=spark(start, end, place.series)), theme, place.width, place.height
            )
            drawn += f'<g transform="translate({place.x:.1f} {place.y:.1f})">{course}</g>'
    else:
        tall = height - _HEAD_PIXELS - _FOOT_PIXELS if height else max(180, height_of(frame.panel, chart))
        drawn = _drawn(engine, chart, theme, inner, tall)
    whole = height or round(tall + _HEAD_PIXELS + _FOOT_PIXELS)
    choices = [
        str(value)
        for name, value in report.dashboards[0].values.items()
        if name != TARGET and isinstance(value, str) and value
    ]
    about = " · ".join([range_in_words(question.start, question.end), targets_in_words(report), *choices])
    note = f"sbpgmon · {report.dashboards[0].dashboard.title}" + (f" · {chart.note}" if chart and chart.note else "")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{whole}" viewBox="0 0 {width} {whole}">'
        f'<rect width="{width}" height="{whole}" fill="{theme["surface"]}"/>'
        + text_svg(cut(frame.panel.title, inner, 17), _MARGIN, 28, 17, theme["text"], weight=600)
        + text_svg(cut(about, inner, 12), _MARGIN, 47, 12, theme["muted"])
        + f'<g transform="translate({_MARGIN} {_HEAD_PIXELS})">{drawn}</g>'
        + text_svg(cut(note, inner, 11), _MARGIN, whole - 8, 11, theme["muted"])
        + "</svg>"
    )


def _drawn(engine: _Engine, chart: Chart, theme: dict[str, Any], width: float, height: float) -> str:
    """The SVG of a chart as ECharts draws it."""
    told = {
        "columns": [described(column) for column in chart.table.columns],
        "data": [packed(column, values) for column, values in zip(chart.table.columns, chart.table.data, strict=True)],
        "option": _with_whole_legend(chart, width),
    }
    return engine.draw(told, theme, width, height)


def _with_whole_legend(chart: Chart, width: float) -> dict[str, Any]:
    """The option with all of its legend in view: in a picture nobody turns its pages."""
    option = dict(chart.option or {})
    if "legend" not in option:
        return option
    names = [str(series["name"]) for series in option["series"]]
    lines, used = 1, 0.0
    for name in names:
        wide = width_of(name[:NAME], 11) + 40
        lines, used = (lines + 1, wide) if used + wide > width - 20 else (lines, used + wide)
    option["legend"] = option["legend"] | {"type": "plain"}
    option["grid"] = option["grid"] | {"bottom": 14 + 28 * lines}
    return option


class _Engine:
    """A JavaScript engine with the library and our own code; closed, or the program may not end."""

    def __init__(self) -> None:
        self._racer: Any = None

    def __enter__(self) -> _Engine:
        return self

    def __exit__(self, *_: object) -> None:
        if self._racer is not None:
            self._racer.close()

    def draw(self, told: dict[str, Any], theme: dict[str, Any], width: float, height: float) -> str:
        """The SVG of a chart as ECharts draws it."""
        if self._racer is None:
            from py_mini_racer import MiniRacer

            self._racer = MiniRacer()
            self._racer.eval(asset("echarts.min.js"))
            self._racer.eval(asset("charts.js"))
        given = ", ".join(json.dumps(json.dumps(each)) for each in (told, theme))
        svg = self._racer.eval(
            f"(([chart, theme]) => {{ chart.data = chart.data.map(sbpgmon.unpack); "
            f"return sbpgmon.picture(chart, theme, {width}, {height}); }})([{given}].map((text) => JSON.parse(text)))",
            timeout_sec=_SECONDS,
        )
        return str(svg)
