"""Panels as Grafana would run them: what is chosen above a dashboard, the query, and what its answer must be like."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
import sqlglot
from sqlglot import exp

from sbpgmon.catalog.catalog import Catalog
from sbpgmon.panels import Dashboard, Panel, PanelColumn, Variable
from sbpgmon.present.macros import Scope, expand, interval_ms

POINTS = 1000  # about as wide as a panel is in pixels
MINIMUM_MS = 15000  # the data source's `timeInterval`
RANGES = {
    "1h": timedelta(hours=1),
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "1y": timedelta(days=365),
}
# Of the variables with several values, how many are taken; of the others, which one.
CHOICES = ("one", "several", "all")
SERIES = ("timeseries", "heatmap", "state-timeline")
_TIME = {1184}  # timestamptz
_LABEL = {25, 1043, 16}  # text, varchar, boolean
_VALUE = {20, 21, 23, 700, 701, 1700}
_FIXED = {"target", "schema_version"}  # of the schema itself, neither metric nor view of the catalog

Values = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True)
class Answer:
    """What a panel's query returned."""

    names: list[str]
    types: list[int]
    rows: list[tuple[Any, ...]]


def panels_of(catalog: Catalog) -> dict[str, tuple[Dashboard, Panel]]:
    """`overview/10_health` -> the panel and its dashboard."""
    return {f"{d.name}/{p.number:02d}_{p.name}": (d, p) for d in catalog.dashboards.values() for p in d.panels}


def variables_of(catalog: Catalog) -> dict[str, tuple[Dashboard, Variable]]:
    return {f"{d.name}/{v.name}": (d, v) for d in catalog.dashboards.values() for v in d.variables}


def scope(start: datetime, end: datetime, values: Values) -> Scope:
    """As a dashboard over the whole width would ask."""
    return Scope(start, end, interval_ms((end - start).total_seconds(), POINTS, MINIMUM_MS), values)


def ask(conn: psycopg.Connection[Any], sql: str, dashboard: Dashboard, at: Scope) -> Answer:
    """The query with its macros expanded; nothing in it is a parameter. Raises psycopg.Error, PanelError."""
    cursor = conn.execute(expand(sql, dashboard.variables, at).encode())
    assert cursor.description is not None
    return Answer([c.name for c in cursor.description], [c.type_code for c in cursor.description], cursor.fetchall())


def choose(
    conn: psycopg.Connection[Any],
    dashboard: Dashboard,
    choice: str,
    start: datetime,
    end: datetime,
    given: Values | None = None,
) -> dict[str, str | Sequence[str]]:
    """The values of a dashboard's variables, each out of its own query; `given` ones are not asked for."""
    values: dict[str, str | Sequence[str]] = dict(given or {})
    for variable in dashboard.variables:
        if variable.name in values:
            continue
        found = [row[0] for row in ask(conn, variable.sql, dashboard, scope(start, end, values)).rows]
        if variable.is_multi:
            values[variable.name] = {"one": found[:1], "several": found[:2], "all": found}[choice]
        else:
            place = {"one": 0, "several": len(found) // 2, "all": -1}[choice]
            values[variable.name] = found[place] if found else ""
    return values


def faults(panel: Panel, answer: Answer, at: Scope) -> Iterator[str]:
    """What is wrong with an answer, by the panel's header and kind."""
    if answer.names != [column.name for column in panel.columns]:
        yield f"columns {answer.names}, the header has {[column.name for column in panel.columns]}"
        return
    types = {"time": _TIME, "label": _LABEL, "value": _VALUE}
    if wrong := [(c, t) for c, t in zip(panel.columns, answer.types, strict=True) if t not in types[c.kind]]:
        yield from (f"{column.name} is a {column.kind}, and of type {type_}" for column, type_ in wrong)
        return
    places = {column.name: place for place, column in enumerate(panel.columns)}
    for row in answer.rows:
        for column in panel.columns:
            value = row[places[column.name]]
            if column.kind == "value" and value is not None and not math.isfinite(value):
                yield f"{column.name} is {value}"
            if problem := _state_problem(panel, column, value):
                yield problem
    has_time = panel.columns[0].kind == "time"
    if panel.kind in SERIES and not has_time:
        yield f"the first column of a {panel.kind} is its time"
    if has_time and panel.kind != "table":
        yield from _series_faults(panel, answer, at)
    elif panel.kind in ("stat", "gauge", "bar"):
        labels = [tuple(row[places[column.name]] for column in panel.labels) for row in answer.rows]
        if len(set(labels)) < len(labels):
            yield f"{len(labels)} rows of {len(set(labels))} labels"
    elif len(answer.rows) > 500:
        yield f"a table of {len(answer.rows)} rows"


def _state_problem(panel: Panel, column: PanelColumn, value: Any) -> str:
    """A value that has no state, where all should have one."""
    if panel.kind != "state-timeline" or column.kind != "value" or value is None:
        return ""
    states = {float(state.value) for state in (column.states or panel.states)}
    return f"{column.name} is {value}, which is none of the states" if float(value) not in states else ""


def _series_faults(panel: Panel, answer: Answer, at: Scope) -> Iterator[str]:
    times = [row[0] for row in answer.rows]
    if None in times:
        yield "a time is NULL"
        return
    if times != sorted(times):
        yield "not in order of time"
    step = timedelta(milliseconds=at.interval_ms)
    if times and not at.start - max(step, timedelta(days=1)) < times[0] <= times[-1] <= at.end:
        yield f"{times[0]} to {times[-1]}, and asked for was {at.start} to {at.end}"
    labels = [place for place, column in enumerate(panel.columns) if column.kind == "label"]
    keys = [(row[0], *(row[place] for place in labels)) for row in answer.rows]
    if len(set(keys)) < len(keys):
        yield f"{len(keys) - len(set(keys))} rows with the time and the labels of another"
    if any(part is None for key in keys for part in key):
        yield "a label is NULL"
    if panel.kind in ("timeseries", "stat") and (lines := len({key[1:] for key in keys})) > 25:
        yield f"{lines} lines"


def says_something(panel: Panel, answer: Answer) -> bool:
    """Whether a person sees anything: a row with a value, or with a label where there are no values."""
    shown = [i for i, column in enumerate(panel.columns) if column.kind == "value"] or range(len(panel.columns))
    return any(row[place] is not None for row in answer.rows for place in shown)


def relations(sql: str, dashboard: Dashboard) -> tuple[set[tuple[str, str]], set[str]]:
    """(schema, name) of what a query reads, and the functions of schemas that it calls as `schema.name`."""
    values: Values = {v.name: ["a"] if v.is_multi else "a" for v in dashboard.variables}
    moment = datetime.fromisoformat("2026-11-20T12:00:00+00:00")
    tree = sqlglot.parse_one(expand(sql, dashboard.variables, scope(moment, moment, values)), dialect="postgres")
    named = {cte.alias for cte in tree.find_all(exp.CTE)}
    tables = {(t.db, t.name) for t in tree.find_all(exp.Table) if t.name and (t.db or t.name not in named)}
    functions = set(re.findall(r"\b([a-z_]+\.[a-z_]+)\s*\(", sql))
    return tables, functions


def strays(panel: Panel | Variable, dashboard: Dashboard, catalog: Catalog) -> Iterator[str]:
    """What a query reads or calls that it should not, or does not say."""
    tables, functions = relations(panel.sql, dashboard)
    for schema, name in sorted(tables):
        if schema != "monitoring":
            yield f"reads {schema or '(no schema)'}.{name}"
        elif name not in catalog.metrics and name not in catalog.views:
            yield f"reads monitoring.{name}, which is no view of the catalog"
        elif name not in panel.needs:
            yield f"reads monitoring.{name}, and `needs:` does not say so"
    for name in sorted(functions - {"monitoring.tier", "monitoring.top_statements"}):
        if not name.startswith("pg_catalog."):
            yield f"calls {name}()"
    if re.search(r"\btime\s*::|\bcast\s*\(\s*(\w+\.)?time\b", panel.sql, re.IGNORECASE):
        yield "casts time"
    if re.search(r"--|/\*|;", panel.sql):
        yield "has a comment or a semicolon"
