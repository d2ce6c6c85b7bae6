"""What dashboards' panels answer: their queries on the store, with macros expanded."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from sbpgmon.errors import ConfigError, PanelError, SchemaGoneError, StoreError, StoreRefusedError
from sbpgmon.panels import Dashboard, Panel, PanelColumn, Variable
from sbpgmon.present.macros import Scope, expand, interval_ms
from sbpgmon.store.connection import GONE, GONE_WAY_OUT, StoreConnection
from sbpgmon.store.preflight import own_schema
from sbpgmon.store.schema import SCHEMA
from sbpgmon.store.version import check

POINTS = 200  # of a chart over the range
MAX_ROWS = 20_000  # of a panel; more is a mistake in its query
_LEAST_INTERVAL_MS = 15_000  # as the data source of the dashboards says
_TIMEOUT = "30s"
_NAMED = 20  # values that a message lists
TARGET = "target"
# By its dearest statement, which is quicker to find than a sum, and nearly as good a guess.
_BUSIEST = "SELECT s.target FROM monitoring.top_statements(NULL, %(since)s, %(until)s, 'total_exec_time', 1) AS s"
# Of the role: may it see the revision, and a view?
_RIGHTS = """
SELECT current_user, bool_or(c.relname = 'alembic_version' AND r.may), bool_or(c.relname = 'targets' AND r.may)
FROM pg_namespace AS n
  JOIN pg_class AS c ON c.relnamespace = n.oid
  CROSS JOIN LATERAL (
    SELECT has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AS may
  ) AS r
WHERE n.nspname = %(schema)s AND c.relname IN ('alembic_version', 'targets')
"""

Cell = float | int | str | None  # times are milliseconds since 1970


@dataclass(frozen=True, slots=True)
class Frame:
    """A panel and its rows, in the order of its columns; `error`: one sentence that says why there are none."""

    panel: Panel
    rows: tuple[tuple[Cell, ...], ...] = ()
    error: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show: no row, or no value in any."""
        places = [place for place, column in enumerate(self.panel.columns) if column.kind == "value"]
        if self.panel.kind == "table" or not places:
            return not self.rows
        return all(row[place] is None for row in self.rows for place in places)


@dataclass(frozen=True, slots=True)
class Shown:
    """A dashboard as it was read: what was chosen for its variables, and its panels."""

    dashboard: Dashboard
    values: Mapping[str, str | tuple[str, ...]]
    frames: tuple[Frame, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: a time range, targets (none: all of them) and values of other variables."""

    start: datetime
    end: datetime
    targets: tuple[str, ...] = ()
    values: Mapping[str, Sequence[str]] = field(default_factory=dict)
    points: int = POINTS

    @property
    def interval_ms(self) -> int:
        return interval_ms((self.end - self.start).total_seconds(), self.points, _LEAST_INTERVAL_MS)


@dataclass(frozen=True, slots=True)
class Report:
    """Dashboards of one store over one range."""

    dashboards: tuple[Shown, ...]
    question: Question
    targets: tuple[str, ...]  # all that were looked at
    known: int  # targets that there are
    generated: datetime

    @property
    def frames(self) -> tuple[Frame, ...]:
        return tuple(frame for shown in self.dashboards for frame in shown.frames)


def choose(dashboards: Mapping[str, Dashboard], name: str, panel: str | None = None) -> list[Dashboard]:
    """The dashboard of that name, or `all`; with one panel only where it is named. Raises ConfigError."""
    if not dashboards:
        raise ConfigError("There is no dashboard in the catalog.", "Reinstall sbpgmon, or look into queries/panels.")
    if name == "all":
        found = list(dashboards.values())
    elif name in dashboards:
        found = [dashboards[name]]
    else:
        raise ConfigError(f"There is no dashboard named {name}.", f"There are: all, {', '.join(dashboards)}.")
    if panel is None:
        return found
    holding = [replace(each, panels=kept) for each in found if (kept := _named(each.panels, panel))]
    if not holding:
        where = f"The dashboard {name} has" if name != "all" else "The dashboards have"
        names = sorted({each.name for dashboard in found for each in dashboard.panels})
        raise ConfigError(f"{where} no panel named {panel}.", f"There are: {', '.join(names)}.")
    return holding


def read(
    store: StoreConnection,
    dashboards: Sequence[Dashboard],
    question: Question,
    tell: Callable[[str], None] = lambda _: None,
) -> Report:
    """Runs every panel; `tell` hears each one's title before it is run.

    A panel whose query fails says so in its frame, and the others are read. Raises ConfigError for a target or a
    variable that is not there, StoreError and its kin when the store is none of ours or cannot be reached.
    """
    _check_store(store)
    known = [row["target"] for row in store.query("SELECT t.target FROM monitoring.targets AS t ORDER BY 1")]
    _check_names(dashboards, question, known)
    generated = datetime.now(UTC)
    shown = []
    for dashboard in dashboards:
        values = _values(store, dashboard, question)
        frames = []
        for panel in dashboard.panels:
            tell(f"{dashboard.title}: {panel.title}")
            frames.append(_frame(store, panel, dashboard.variables, _scope(question, values)))
        shown.append(Shown(dashboard, values, tuple(frames)))
    return Report(tuple(shown), question, question.targets or tuple(known), len(known), generated)


def _check_store(store: StoreConnection) -> None:
    """Raises StoreError's kin where there is nothing to read.

    Whoever may read the views can have a report, such as Grafana's role. It cannot see the schema's revision: what an
    older store lacks, the panels then say.
    """
    with store.transaction(transaction_read_only="on") as conn:
        if own_schema(conn) is None:
            raise SchemaGoneError(GONE, GONE_WAY_OUT)
        row = conn.execute(_RIGHTS.encode(), {"schema": SCHEMA}).fetchone()
        assert row is not None
        role, may_see_revision, may_read = row
        if may_see_revision:
            check(conn)
    if not may_read:
        raise StoreRefusedError(
            f"The role {role} may not read the views of {SCHEMA}.",
            f"Use grafana_reader or the role that owns {SCHEMA}; `sbpgmon grants` prints both.",
        )


def _named(panels: Iterable[Panel], name: str) -> tuple[Panel, ...]:
    return tuple(panel for panel in panels if panel.name == name)


def _scope(question: Question, values: Mapping[str, str | Sequence[str]]) -> Scope:
    return Scope(question.start, question.end, question.interval_ms, values)


def _check_names(dashboards: Sequence[Dashboard], question: Question, known: Sequence[str]) -> None:
    for target in question.targets:
        if target not in known:
            there = _some(known) or "none: nothing has been polled yet"
            raise ConfigError(f"The store has no target named {target}.", f"There are: {there}.")
    variables = {each.name for dashboard in dashboards for each in dashboard.variables}
    for name in question.values:
        if name not in variables:
            there = ", ".join(sorted(variables - {TARGET})) or "none"
            raise ConfigError(f"No dashboard that is asked for has a variable named {name}.", f"There are: {there}.")


def _some(names: Sequence[str]) -> str:
    """The names, or of many the first."""
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _values(store: StoreConnection, dashboard: Dashboard, question: Question) -> dict[str, str | tuple[str, ...]]:
    """What each variable of a dashboard stands for: what was asked for, or all, or the first, or the busiest target."""
    chosen: dict[str, str | tuple[str, ...]] = {}
    for variable in dashboard.variables:
        there = _listed(store, variable, dashboard.variables, _scope(question, chosen))
        asked = question.targets if variable.name == TARGET else tuple(question.values.get(variable.name, ()))
        if asked and (variable.is_multi or variable.name == TARGET):
            # Of targets only those that this dashboard knows; other values have to be there.
            missing = [value for value in asked if value not in there]
            if missing and variable.name != TARGET:
                listed = _some(there) or "none"
                raise ConfigError(f"{variable.title} has no value {missing[0]}.", f"There are: {listed}.")
            asked = tuple(value for value in asked if value in there)
            chosen[variable.name] = asked if variable.is_multi else (asked or ("",))[0]
        elif asked:
            if len(asked) > 1:
                raise ConfigError(f"{variable.title} takes one value.", f"Write --var {variable.name}=VALUE once.")
            chosen[variable.name] = asked[0]
        elif variable.is_multi:
            chosen[variable.name] = tuple(there)
        else:
            chosen[variable.name] = _first(store, variable, there, question)
    return chosen


def _first(store: StoreConnection, variable: Variable, there: Sequence[str], question: Question) -> str:
    """The one value that nobody has chosen: of targets the busiest, by the time of its statements."""
    if variable.name == TARGET and len(there) > 1:
        try:
            busiest = [row["target"] for row in store.query(_BUSIEST, {"since": question.start, "until": question.end})]
        except StoreError as error:
            _raise_if_away(store, error)
            busiest = []
        there = [target for target in busiest if target in there] or there
    return there[0] if there else ""


def _listed(store: StoreConnection, variable: Variable, variables: Sequence[Variable], scope: Scope) -> list[str]:
    """The values of a variable; none where its query fails: its panels then have no data."""
    try:
        rows = store.query(expand(variable.sql, variables, scope))
    except (PanelError, StoreError) as error:
        _raise_if_away(store, error)
        return []
    return [str(value) for row in rows for value in list(row.values())[:1] if value is not None]


def _frame(store: StoreConnection, panel: Panel, variables: Sequence[Variable], scope: Scope) -> Frame:
    try:
        sql = expand(panel.sql, variables, scope)
        with store.transaction(transaction_read_only="on", statement_timeout=_TIMEOUT) as conn:
            cursor = conn.execute(sql.encode())
            names = [column.name for column in cursor.description or ()]
            rows = cursor.fetchmany(MAX_ROWS + 1)
    except (PanelError, StoreError) as error:
        _raise_if_away(store, error)
        return Frame(panel, error=f"This panel could not be read: {error}")
    if names != (wanted := [column.name for column in panel.columns]):
        return Frame(panel, error=f"This panel's query returns {', '.join(names)}, and not {', '.join(wanted)}.")
    if len(rows) > MAX_ROWS:
        return Frame(panel, error=f"This panel's query returns more than {MAX_ROWS:,} rows.")
    return Frame(panel, tuple(tuple(map(_cell, panel.columns, row)) for row in rows))


def _raise_if_away(store: StoreConnection, error: Exception) -> None:
    """Raises when it is the store that fails, and not one query."""
    if isinstance(error, SchemaGoneError):
        raise error
    if isinstance(error, StoreError):
        store.query("SELECT 1")


def _cell(column: PanelColumn, value: Any) -> Cell:
    """A value as JSON has it: what is no number (NaN, infinity) is not known."""
    if value is None:
        return None
    if isinstance(value, datetime):
        return round(value.timestamp() * 1000)
    if column.kind != "value":
        return str(value).replace("\0", "")
    if isinstance(value, int):
        return int(value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    return number if math.isfinite(number) else None
