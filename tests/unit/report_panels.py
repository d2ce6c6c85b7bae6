"""Panels and reports as the tests of the report want them: one of each kind, and a generous one of all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sbpgmon.panels import Dashboard, Panel, PanelColumn, StateOf, Threshold, Variable
from sbpgmon.present.report.frames import Cell, Frame, Question, Report, Shown

END = datetime(2026, 11, 22, 8, tzinfo=UTC)
START = END - timedelta(hours=24)
START_MS, END_MS = START.timestamp() * 1000, END.timestamp() * 1000
TIME = PanelColumn("time", "time", "Time")
TARGET = PanelColumn("target", "label", "Target")
WORSE = (Threshold(None, "critical"), Threshold(0.9, "warning"), Threshold(0.99, "success"))
UP = (StateOf("0", "critical", "Down"), StateOf("1", "success", "Up"))


def panel(kind: str, columns: Sequence[PanelColumn], **more: Any) -> Panel:
    chosen: dict[str, Any] = {
        "name": kind.replace("-", "_"),
        "title": f"A {kind}",
        "description": f"What a {kind} shows.",
        "number": 1,
    }
    return Panel(dashboard="test", kind=kind, columns=tuple(columns), sql="", path=Path("x.sql"), **(chosen | more))


def value(name: str = "value", title: str = "Value", **more: Any) -> PanelColumn:
    return PanelColumn(name, "value", title, **more)


def times(count: int = 96) -> list[float]:
    step = (END_MS - START_MS) / count
    return [START_MS + place * step for place in range(count)]


def series(names: Sequence[str], count: int = 96) -> tuple[tuple[Cell, ...], ...]:
    """Rows of (time, name, value), ordered by time."""
    return tuple(
        (time, name, (place + 1) * (1.2 + math.sin(step / 9 + place)))
        for step, time in enumerate(times(count))
        for place, name in enumerate(names)
    )


def frames(targets: int = 4, rows: int = 30, points: int = 96) -> tuple[Frame, ...]:
    """A frame of each kind, full of data."""
    names = [f"target-{place}" for place in range(targets)]
    query = "SELECT *\nFROM bets WHERE tenant_id = $1 AND note = '</script><b>' " + "AND x = $2 " * 20
    return (
        Frame(panel("timeseries", [TIME, TARGET, value()], unit="bytes"), series(names, points)),
        Frame(
            panel("timeseries", [TIME, TARGET, value()], name="stacked", is_stacked=True, unit="ops"),
            series(names, points),
        ),
        Frame(
            panel("stat", [TARGET, value()], states=UP, thresholds=WORSE, width=8, height=6),
            tuple((name, None if place == 2 else place % 2) for place, name in enumerate(names)),
        ),
        Frame(panel("stat", [TIME, value()], name="spark", width=6, height=6, unit="s"),
              tuple((time, time % 977 / 10) for time in times(points))),
        Frame(
            panel("gauge", [TARGET, value()], thresholds=WORSE, unit="percentunit", width=8),
            tuple((name, 0.85 + 0.04 * place) for place, name in enumerate(names)),
        ),
        Frame(
            panel("bar", [PanelColumn("name", "label", "Name"), value()], unit="ms"),
            tuple((f"a rather long name of a category, number {place}", 10.0 * place) for place in range(12, 0, -1)),
        ),
        Frame(panel("heatmap", [TIME, TARGET, value()], unit="short"), series(names, points)),
        Frame(
            panel("state-timeline", [TIME, TARGET, value("up", "State")], states=UP, width=24),
            tuple((time, name, int((step + place) % 30 > 3)) for step, time in enumerate(times(points))
                  for place, name in enumerate(names)),
        ),
        Frame(
            panel(
                "table",
                [
                    PanelColumn("query", "label", "Statement", link="detail", width=400),
                    value("share", "Share", unit="percentunit", is_bar=True),
                    value("state", "State", states=UP),
                    PanelColumn("at", "time", "Last seen"),
                    PanelColumn("target", "label", "Target", is_hidden=True),
                ],
                width=24, links=("detail",),
            ),
            tuple((f"{query}{place}", place / rows, place % 2, END_MS - 1000 * place, "target-1")
                  for place in range(rows)),
        ),
        Frame(panel("timeseries", [TIME, value()], name="nothing")),
        Frame(panel("timeseries", [TIME, value()], name="broken"), error="This panel could not be read: <b>no</b>."),
    )  # fmt: skip


def dashboard(name: str, panels: Sequence[Panel]) -> Dashboard:
    target = Variable("target", "Target", "Databases.", "SELECT 1", Path("target.sql"), is_multi=True)
    return Dashboard(
        name, name.title(), f"What {name} is about.", "service", 1, "24h", "1m", tuple(panels), (target,), Path(name)
    )


def report(names: Sequence[str] = ("overview", "detail"), found: Sequence[Frame] | None = None) -> Report:
    given = frames() if found is None else found
    shown = [
        Shown(
            dashboard(name, [frame.panel for frame in given]),
            {"target": ("target-1",)},
            tuple(replace(frame, panel=replace(frame.panel, dashboard=name)) for frame in given),
        )
        for name in names
    ]
    return Report(tuple(shown), Question(START, END), ("target-1",), 1, END)
