"""Every panel and every variable, as Grafana would ask: no error, and an answer that can be drawn.

The store is filled by the benchmarks' generator: few targets, but more than a year.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from benchmarks.filling import Filled, Filling
from benchmarks.fleet import Shape
from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.panels import Dashboard, Panel, PanelColumn, Variable
from sbpgmon.present.macros import Scope, expand, for_grafana
from sbpgmon.store.connection import StoreConnection
from sbpgmon.store.upgrade import init
from tests.conftest import Database, Server
from tests.sql.lab import scratch
from tests.sql.panels import (
    CHOICES,
    RANGES,
    Answer,
    Values,
    ask,
    choose,
    faults,
    panels_of,
    says_something,
    scope,
    strays,
    variables_of,
)

CATALOG = load_catalog()
PANELS = panels_of(CATALOG)
VARIABLES = variables_of(CATALOG)
SHAPE = Shape(targets=3, busy=1, statements=100, seed=7)
DAYS = 400.0
# Kept shorter than in production, so that the store is soon made; the hours go beyond 30 days, the days all the way.
AGES = {"raw": 2 * 3600.0, "1m": 86400.0, "5m": 4 * 86400.0, "1h": 100 * 86400.0, "1d": None}
START = datetime(2026, 11, 20, 12, tzinfo=UTC)
# What a name can hold that something might trip over.
ODD = "o'brien \\ $1 $$ ${x} (a, b) $__time(é"
# Panels that show the state of now beside figures of the range: these columns are of the range.
OF_THE_RANGE = {"overview/05_targets": {"cache_hit_ratio", "tps", "rollback_ratio", "deadlocks", "connections_ratio"}}
# It is known that nobody watched.
ZERO_AT_MOST = {"watched_ratio"}
every_panel = pytest.mark.parametrize(("dashboard", "panel"), PANELS.values(), ids=PANELS.keys())
every_variable = pytest.mark.parametrize(("dashboard", "variable"), VARIABLES.values(), ids=VARIABLES.keys())


def kept(metric: str) -> dict[str, float | None]:
    """Retention by tier; the log of the snapshots, in which failures are looked for, is kept as in production."""
    return AGES if metric else AGES | {"1m": 7 * 86400.0}


@pytest.fixture(scope="module")
def empty(cluster: Server, grafana: str) -> Iterator[Database]:
    """A store that has just been made."""
    with scratch(cluster) as database:
        with contextlib.closing(StoreConnection(database.dsn())) as store:
            init(store, CATALOG, [grafana])
        yield database


@pytest.fixture(scope="module")
def store(cluster: Server, grafana: str) -> Iterator[tuple[Database, Filled]]:
    """A store with more than a year; one of its targets has an odd name."""
    with scratch(cluster) as database:
        with contextlib.closing(StoreConnection(database.dsn())) as store:
            init(store, CATALOG, [grafana], retention_of=kept)
        filled = Filling(database.dsn(), SHAPE, DAYS).fill(lambda *_: None)
        with database.connect() as connection:
            connection.execute("UPDATE monitoring.target SET name = %s WHERE target_id = 3", (ODD,))
        yield database, filled


@pytest.fixture(scope="module")
def filled(store: tuple[Database, Filled]) -> Filled:
    return store[1]


@pytest.fixture(scope="module")
def conn(store: tuple[Database, Filled], grafana: str) -> Iterator[psycopg.Connection[Any]]:
    with store[0].connect(grafana, options="-c statement_timeout=10s -c timezone=Asia/Kolkata") as connection:
        yield connection


@pytest.fixture(scope="module")
def chosen(conn: psycopg.Connection[Any], filled: Filled) -> Callable[..., Values]:
    """The values of a dashboard's variables over the time up to now, asked for once."""
    known: dict[tuple[str, str, timedelta], Values] = {}

    def values(dashboard: Dashboard, choice: str, stretch: timedelta = timedelta(days=1)) -> Values:
        key = (dashboard.name, choice, stretch)
        if key not in known:
            known[key] = choose(conn, dashboard, choice, filled.until - stretch, filled.until)
        return known[key]

    return values


@pytest.fixture(scope="module")
def conn_of_empty(empty: Database, grafana: str) -> Iterator[psycopg.Connection[Any]]:
    with empty.connect(grafana) as connection:
        yield connection


def test_the_catalog_has_no_problems() -> None:
    assert [str(problem) for problem in CATALOG.problems] == []
    assert PANELS


@every_panel
def test_a_panel_reads_what_it_says(dashboard: Dashboard, panel: Panel) -> None:
    assert list(strays(panel, dashboard, CATALOG)) == []


@every_variable
def test_a_variable_reads_what_it_says(dashboard: Dashboard, variable: Variable) -> None:
    assert list(strays(variable, dashboard, CATALOG)) == []


@every_panel
def test_a_panel_answers(
    conn: psycopg.Connection[Any], filled: Filled, chosen: Callable[..., Values], dashboard: Dashboard, panel: Panel
) -> None:
    """At every range, with one, several and all values; and not always with nothing."""
    said = False
    for stretch in RANGES.values():
        start = filled.until - stretch
        for choice in CHOICES:
            values = chosen(dashboard, choice, stretch)
            at = scope(start, filled.until, values)
            answer = ask(conn, panel.sql, dashboard, at)
            assert list(faults(panel, answer, at)) == [], f"{choice}: {values}, {stretch}"
            # Its one value is of statements that fail a check; those that are chosen here may all pass.
            said = said or says_something(panel, answer) or (panel.name == "verdict" and bool(answer.rows))
    assert said, "no rows at any range"


@every_variable
def test_a_variable_lists_texts_in_order(
    conn: psycopg.Connection[Any],
    filled: Filled,
    chosen: Callable[..., Values],
    dashboard: Dashboard,
    variable: Variable,
) -> None:
    start = filled.until - timedelta(days=1)
    found = []
    for choice in CHOICES:
        values = chosen(dashboard, choice)
        answer = ask(conn, variable.sql, dashboard, scope(start, filled.until, values))
        assert answer.types == [25]
        listed = [row[0] for row in answer.rows]
        assert None not in listed
        assert len(set(listed)) == len(listed)
        found += listed
    assert found


@every_panel
def test_where_nothing_was_stored_nothing_is_shown(
    conn: psycopg.Connection[Any], filled: Filled, chosen: Callable[..., Values], dashboard: Dashboard, panel: Panel
) -> None:
    """In the future and before the first poll there is no row; a figure is unknown, not 0."""
    values = chosen(dashboard, "all")
    for start in (filled.until + timedelta(days=10), filled.start - timedelta(days=100)):
        for stretch in (timedelta(hours=1), timedelta(days=30)):
            at = scope(start, start + stretch, values)
            answer = ask(conn, panel.sql, dashboard, at)
            assert list(faults(panel, answer, at)) == []
            if panel.is_instant:
                continue
            mixed = OF_THE_RANGE.get(f"{dashboard.name}/{panel.number:02d}_{panel.name}")
            shown = mixed or {column.name for column in panel.columns if column.kind == "value"}
            for row in answer.rows:
                values_of = dict(zip(answer.names, row, strict=True))
                said = {name for name in shown if values_of[name] is not None}
                assert {name for name in said if values_of[name] != 0 or name not in ZERO_AT_MOST} == set(), row
            assert mixed or panel.kind in ("stat", "gauge", "bar") or not answer.rows, answer.rows[:3]


@every_panel
def test_values_that_nobody_would_choose(
    conn: psycopg.Connection[Any], filled: Filled, dashboard: Dashboard, panel: Panel
) -> None:
    """Names that are not there, or full of quotes; and a list of none."""
    start = filled.until - timedelta(days=1)
    for text in ("nobody", "it's", 'a"b', "\\", "'; drop table x; --", ODD + "x", ""):
        for listed in ([text], [text, "b'"], []):
            odd = {v.name: listed if v.is_multi else text for v in dashboard.variables}
            at = scope(start, filled.until, odd)
            answer = ask(conn, panel.sql, dashboard, at)
            assert list(faults(panel, answer, at)) == []
            if dashboard.variables and panel.kind in ("timeseries", "table") and "$" in _without_macros(panel.sql):
                assert not answer.rows, (text, answer.rows[:3])


@every_panel
def test_a_name_full_of_quotes_is_found(
    conn: psycopg.Connection[Any], filled: Filled, dashboard: Dashboard, panel: Panel
) -> None:
    variable = next((v for v in dashboard.variables if v.name == "target"), None)
    if variable is None:
        pytest.skip("has no target")
    start = filled.until - timedelta(days=1)
    given = {"target": [ODD] if variable.is_multi else ODD}
    values = choose(conn, dashboard, "one", start, filled.until, given)
    at = scope(start, filled.until, values)
    answer = ask(conn, panel.sql, dashboard, at)
    assert list(faults(panel, answer, at)) == []
    places = [place for place, column in enumerate(panel.columns) if column.name == "target"]
    assert {row[place] for row in answer.rows for place in places} <= {ODD}


@every_panel
def test_an_empty_store(conn_of_empty: psycopg.Connection[Any], dashboard: Dashboard, panel: Panel) -> None:
    end = datetime.now(UTC)
    for stretch in RANGES.values():
        values = choose(conn_of_empty, dashboard, "all", end - stretch, end)
        at = scope(end - stretch, end, values)
        answer = ask(conn_of_empty, panel.sql, dashboard, at)
        assert list(faults(panel, answer, at)) == []
        assert panel.is_instant or panel.kind in ("stat", "gauge", "bar") or not answer.rows, answer.rows[:3]
    # Grafana itself leaves nothing where a variable has no values.
    bare = expand(for_grafana(panel.sql), dashboard.variables, at).replace("array[NULL]::text[]", "array[]::text[]")
    cursor = conn_of_empty.execute(bare.encode())
    assert [column.name for column in cursor.description or ()] == [column.name for column in panel.columns]


@every_panel
def test_a_dashboards_form_of_a_query_says_the_same(
    conn: psycopg.Connection[Any], filled: Filled, chosen: Callable[..., Values], dashboard: Dashboard, panel: Panel
) -> None:
    if panel.is_instant or for_grafana(panel.sql) == panel.sql:
        pytest.skip("has no list of values, or another answer at each moment")
    at = scope(filled.until - timedelta(days=7), filled.until, chosen(dashboard, "several"))
    plain, written = (ask(conn, sql, dashboard, at) for sql in (panel.sql, for_grafana(panel.sql)))
    moving = {place for place, name in enumerate(plain.names) if name.endswith("age_seconds")}
    for one, other in zip(plain.rows, written.rows, strict=True):
        for place, (value, same) in enumerate(zip(one, other, strict=True)):
            # Sums of floats depend on the order.
            assert place in moving or (pytest.approx(value) if isinstance(value, float) else value) == same


def _without_macros(sql: str) -> str:
    return sql.replace("$__", "")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1, max_size=3))
@example(["$__time(", ")", " union select 1 --"])
@example(["\\", "'", "''", "\\'", "$1", "$$", "${one}", "[[several]]", "--", "/*", "$__timeFrom()"])
def test_values_come_back_from_the_server_as_they_were(
    conn_of_empty: psycopg.Connection[Any], values: list[str]
) -> None:
    variables = [
        Variable("several", "", "", "", Path("several.sql"), is_multi=True),
        Variable("one", "", "", "", Path("one.sql")),
    ]
    text = expand(
        "select array[$several]::text[], '$one'::text, ${one:sqlstring}::text, $__timeFrom()::timestamptz",
        variables,
        Scope(START, START, 60000, {"several": values, "one": values[0]}),
    )
    # Between sqlstring's quotes a double quote gets a backslash: Grafana means another database.
    expected = (values, values[0], values[0].replace('"', '\\"'), START)
    assert conn_of_empty.execute(text.encode()).fetchone() == expected


# -- the harness itself ----------------------------------------------------------------------------------------


BOARD = Dashboard("board", "Board", "", "overview", 1, "24h", "", (), (), Path("board"))
GOOD = Panel(
    name="calls", number=1, dashboard="board", title="Calls", description="", kind="timeseries",
    columns=(
        PanelColumn("time", "time", "time"), PanelColumn("target", "label", "Target"), PanelColumn("n", "value", "N"),
    ),
    sql="select time, target, n from (values $__timeTo()) as v (time, target, n)", path=Path("01_calls.sql"),
)  # fmt: skip
NOW = "timestamptz '2026-11-20 12:00+00'"


@pytest.mark.parametrize(
    ("rows", "kind", "fault"),
    [
        (f"({NOW}, 'a', 1)", "timeseries", ""),
        (f"({NOW}::timestamp, 'a', 1)", "timeseries", "time is a time, and of type 1114"),
        (f"({NOW}, 'a', '1')", "timeseries", "n is a value, and of type 25"),
        (f"({NOW}, 'a', interval '1s')", "timeseries", "n is a value, and of type 1186"),
        (f"({NOW}, 7, 1)", "timeseries", "target is a label, and of type 23"),
        (f"({NOW}, 'a', 'nan'::float8)", "timeseries", "n is nan"),
        (f"(null::timestamptz, 'a', 1), ({NOW}, 'a', 1)", "timeseries", "a time is NULL"),
        (f"({NOW}, null, 1), ({NOW}, 'a', 1)", "timeseries", "a label is NULL"),
        (f"({NOW}, 'a', 1), ({NOW} - interval '1h', 'a', 1)", "timeseries", "not in order of time"),
        (f"({NOW}, 'a', 1), ({NOW}, 'a', 2)", "timeseries", "1 rows with the time and the labels of another"),
        (f"({NOW} + interval '1d', 'a', 1)", "timeseries", "and asked for was"),
        (f"({NOW}, 'a', 1)", "state-timeline", "n is 1, which is none of the states"),
    ],
)
def test_the_harness_sees(conn_of_empty: psycopg.Connection[Any], rows: str, kind: str, fault: str) -> None:
    panel = replace(GOOD, kind=kind, sql=f"select * from (values {rows}) as v (time, target, n)")
    end = datetime(2026, 11, 20, 12, tzinfo=UTC)
    at = scope(end - timedelta(hours=6), end, {})
    found = list(faults(panel, ask(conn_of_empty, panel.sql, BOARD, at), at))
    assert found == [] if not fault else any(fault in one for one in found), found


@pytest.mark.parametrize(
    ("sql", "stray"),
    [
        ("select time from monitoring.up", "needs"),
        ("select time from monitoring.up_v0", "no view of the catalog"),
        ("select time from monitoring.target", "no view of the catalog"),
        ("select 1 from pg_catalog.pg_class", "reads pg_catalog.pg_class"),
        ("with a as (select 1) select * from a, b", r"(no schema).b"),
        ("select public.f(1)", r"calls public.f()"),
        ("select 1 from monitoring.tps as t where t.time::date = 'today'", "casts time"),
        ("select 1 -- one", "comment"),
    ],
)
def test_the_harness_sees_what_is_read(sql: str, stray: str) -> None:
    assert any(stray in one for one in strays(replace(GOOD, sql=sql, needs=("tps",)), BOARD, CATALOG))


def test_the_harness_takes_columns_as_the_header_has_them() -> None:
    at = scope(datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC), {})
    assert any("the header has" in one for one in faults(GOOD, Answer(["time", "n", "target"], [1184, 23, 25], []), at))
