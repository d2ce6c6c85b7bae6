"""Dashboards as the catalog has them: frozen, typed, without behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

KINDS = ("timeseries", "stat", "gauge", "table", "bar", "heatmap", "state-timeline")
STATES = ("success", "warning", "critical", "info")
COLOURS = {"success": "#73BF69", "warning": "#FADE2A", "critical": "#F2495C", "info": "#5794F2"}  # used for state only
LEVELS = ("overview", "service", "component", "raw")
WIDTH = 24  # columns of a dashboard
HEIGHTS = (6, 8, 12)  # of a panel, in rows of the grid
# Units are Grafana's own identifiers; a report writes them in the same way.
UNITS = (
    "none", "short", "percentunit", "ms", "s", "dtdurations", "bytes", "binBps", "ops", "reqps", "cpm", "string",
    "dateTimeAsIso", "dateTimeFromNow",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Threshold:
    """From this value on, a state; `value` is None for the first one, which holds below all others."""

    value: float | None
    state: str


@dataclass(frozen=True, slots=True)
class StateOf:
    """A value that stands for a state, and what is written for it."""

    value: str
    state: str
    text: str


@dataclass(frozen=True, slots=True)
class PanelColumn:
    """A column of a panel's query.

    `kind` is time (timestamptz; of a series, or in a table), label (text that tells series apart; a text in a table) or
    value (a number). `link` names the dashboard that a cell leads to, with the row's columns that are its variables.
    """

    name: str
    kind: str
    title: str
    unit: str = ""
    thresholds: tuple[Threshold, ...] = ()
    states: tuple[StateOf, ...] = ()
    link: str = ""
    is_hidden: bool = False
    is_bar: bool = False  # a bar in a table's cell
    width: int = 0  # of a table's column, in pixels; 0: as it comes


@dataclass(frozen=True, slots=True)
class Panel:
    """One SQL file of queries/panels/DASHBOARD/: one query on the store, with Grafana's macros, and how it is shown."""

    name: str  # of the file, without its number
    number: int  # its place
    dashboard: str
    title: str
    description: str
    kind: str
    columns: tuple[PanelColumn, ...]
    sql: str
    path: Path
    needs: tuple[str, ...] = ()  # metrics and views; without them the panel is left out
    unit: str = "short"
    thresholds: tuple[Threshold, ...] = ()
    states: tuple[StateOf, ...] = ()
    width: int = 12
    height: int = 8
    minimum: float | None = None
    maximum: float | None = None
    decimals: int | None = None
    is_stacked: bool = False
    is_instant: bool = False  # it says how things are now, whatever range is looked at
    links: tuple[str, ...] = ()  # dashboards

    @property
    def labels(self) -> tuple[PanelColumn, ...]:
        return tuple(column for column in self.columns if column.kind == "label")

    @property
    def values(self) -> tuple[PanelColumn, ...]:
        return tuple(column for column in self.columns if column.kind == "value")


@dataclass(frozen=True, slots=True)
class Variable:
    """One SQL file of queries/panels/variables/: what can be chosen above a dashboard.

    The query returns one text column. `is_of_range`: it depends on the time range.
    """

    name: str
    title: str
    description: str
    sql: str
    path: Path
    needs: tuple[str, ...] = ()
    is_multi: bool = False  # several, and all
    is_of_range: bool = False


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A folder of queries/panels/: its dashboard.toml, and the panels that the catalog can serve."""

    name: str
    title: str
    description: str
    level: str
    order: int
    since: str  # `24h`: what is shown at first
    refresh: str  # `1m`
    panels: tuple[Panel, ...]
    variables: tuple[Variable, ...]  # those that the panels use, each after those that it uses itself
    path: Path

    @property
    def uid(self) -> str:
        return f"sbpgmon-{self.name.replace('_', '-')}"
