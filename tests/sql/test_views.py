"""The interface: every view, its columns and comments, and the figures that the derived views give."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from sbpgmon.catalog.catalog import Catalog, load_catalog
from sbpgmon.catalog.metrics import parse_metric
from sbpgmon.model import Kind, StatementText, Status, TargetPoll
from sbpgmon.store.ddl import names_of
from sbpgmon.store.policy import production
from sbpgmon.store.sync import sync
from tests.sql.lab import Lab, at
from tests.unit.catalog_files import server

pytestmark = pytest.mark.matrix

CATALOG = load_catalog()
VIEWS = sorted([*CATALOG.metrics, *CATALOG.views])

# Section 6 of the design: what people and dashboards rely on.
PROMISED = {
    "cache_hit_rate": ["time", "tier", "target", "datname", "blks_hit", "blks_read", "cache_hit_ratio", "quality"],
    "connection_utilisation": ["time", "tier", "target", "client_backends", "available", "utilisation_ratio"],
    "deadlocks": ["time", "tier", "target", "datname", "deadlocks", "quality"],
    "tps": ["time", "tier", "target", "datname", "tps", "rollback_ratio", "quality"],
}
STATEMENTS = ["time", "tier", "target", "datname", "usename", "queryid", "toplevel", "query", "calls",
              "total_exec_time", "rows"]  # fmt: skip


def columns_of(lab: Lab, view: str) -> list[tuple[str, str, str | None]]:
    """Name, type and comment of each column."""
    return lab.store.raw.execute(
        "SELECT attname, format_type(atttypid, atttypmod), col_description(attrelid, attnum) FROM pg_attribute "
        "WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum",
        (f'monitoring."{view}"',),
    ).fetchall()


# What is there


@pytest.mark.parametrize("view", VIEWS)
def test_grafanas_role_can_read_every_view_and_no_table(shipped: Lab, grafana: str, view: str) -> None:
    with shipped.database.connect(grafana) as connection:
        connection.execute(f'SELECT * FROM monitoring."{view}"'.encode())
        if view in CATALOG.metrics:
            table = names_of(CATALOG.metrics[view]).series
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SELECT * FROM {table}".encode())


def test_grafanas_role_cannot_write(shipped: Lab, grafana: str) -> None:
    with shipped.database.connect(grafana) as connection:
        granted = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'monitoring'::regnamespace "
            "AND relkind IN ('r', 'p', 'm', 'f') "
            "AND has_table_privilege(oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')"
        ).fetchall()
        assert granted == []
        writable = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'monitoring'::regnamespace AND relkind = 'v' "
            "AND has_table_privilege(oid, 'INSERT, UPDATE, DELETE, TRUNCATE')"
        ).fetchall()
        assert writable == []
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE TABLE monitoring.x ()")


@pytest.mark.parametrize("view", VIEWS)
def test_every_column_has_a_comment(shipped: Lab, view: str) -> None:
    assert [name for name, _, comment in columns_of(shipped, view) if not comment] == []


@pytest.mark.parametrize(("view", "columns"), PROMISED.items())
def test_the_promised_columns(shipped: Lab, view: str, columns: list[str]) -> None:
    assert [name for name, _, _ in columns_of(shipped, view)] == columns


def test_the_promised_columns_of_statements(shipped: Lab) -> None:
    names = [name for name, _, _ in columns_of(shipped, "statements")]
    assert names[: len(STATEMENTS)] == STATEMENTS
    counters = {column.name for column in CATALOG.metrics["stat_statements"].counters}
    assert counters <= set(names)


@pytest.mark.parametrize("view", sorted(CATALOG.views))
def test_a_derived_view_returns_what_its_header_declares(shipped: Lab, view: str) -> None:
    declared = [name for name, _ in CATALOG.views[view].columns]
    assert [name for name, _, _ in columns_of(shipped, view)] == declared


@pytest.mark.parametrize("view", sorted(CATALOG.metrics))
def test_a_metrics_view_begins_alike_and_has_the_types_of_the_header(shipped: Lab, view: str) -> None:
    metric = CATALOG.metrics[view]
    columns = columns_of(shipped, view)
    assert [name for name, _, _ in columns[:3]] == ["time", "tier", "target"]
    types = {name: type_.replace("timestamp with time zone", "timestamptz") for name, type_, _ in columns}
    for column in metric.columns:
        if column.kind is Kind.GAUGE:
            # A mean, in coarser tiers.
            assert types[column.name] == ("numeric" if column.type.name == "numeric" else "double precision")
            assert types[f"{column.name}_min"] == types[f"{column.name}_max"] == column.type.name
        elif column.kind not in (Kind.RESET, Kind.LOSS):
            assert types[column.name] == column.type.name


def test_every_relation_has_a_comment(shipped: Lab) -> None:
    silent = shipped.store.raw.execute(
        "SELECT c.relkind, c.relname FROM pg_class AS c WHERE c.relnamespace = 'monitoring'::regnamespace "
        "AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND obj_description(c.oid, 'pg_class') IS NULL"
    ).fetchall()
    assert silent == []
    assert shipped.store.raw.execute(
        "SELECT obj_description('monitoring'::regnamespace, 'pg_namespace') LIKE 'sbpgmon%'"
    ).fetchone() == (True,)


def test_no_fact_has_a_toast_table_a_constraint_or_a_needless_gap(shipped: Lab) -> None:
    facts = [names_of(metric).facts for metric in CATALOG.metrics.values() if metric.facts]
    rows = shipped.store.raw.execute(
        "SELECT i.inhparent::regclass::text, c.relname, c.reltoastrelid, c.relchecks, "
        "(SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND a.attnotnull), "
        "(SELECT string_agg(a.attlen::text, ' ' ORDER BY a.attnum) FROM pg_attribute a "
        " WHERE a.attrelid = c.oid AND a.attnum > 4) "
        "FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid "
        "WHERE i.inhparent = ANY (%s::regclass[])",
        (facts,),
    ).fetchall()
    assert len({parent for parent, *_ in rows}) == len(facts)
    for _, name, toast, checks, not_null, _ in rows:
        assert (toast, checks, not_null) == (0, 0, 0), name
    for _, name, _, _, _, lengths in rows:
        fixed = [int(length) for length in lengths.split() if length not in ("-1", "2")]
        assert fixed == sorted(fixed), name


def test_a_numeric_column_that_comes_later_brings_no_toast_table(shipped: Lab) -> None:
    path = shipped.folder / "growing.sql"
    text = "-- It grows.\n-- interval: 60s\n-- columns:\n--   a  counter  bigint  something\n"
    for more in ("", "--   b  counter  numeric  more\n"):
        path.write_text(text + more + "select 1\n")
        catalog = Catalog({"growing": parse_metric([path])}, {})
        with shipped.store.transaction() as conn:
            sync(conn, catalog, [], [], production)
    toasts = shipped.store.raw.execute(
        "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'monitoring'::regnamespace "
        "AND c.relname LIKE 'growing\\_1m%' AND c.relkind = 'r'"
    ).fetchall()
    assert toasts
    assert (
        shipped.store.raw.execute(
            "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'monitoring'::regnamespace "
            "AND c.relname LIKE 'growing\\_1m%' AND c.reltoastrelid <> 0"
        ).fetchall()
        == []
    )


# What the figures are


def row(metric: str, **values: Any) -> tuple[Any, ...]:
    """A row of a shipped metric: what is not given is 0, '' or NULL by its type."""
    nothing = {"text": "", "boolean": False, "timestamptz": None}
    return tuple(
        values.get(column.name, nothing.get(column.type.name, 0)) for column in CATALOG.metrics[metric].columns
    )


@pytest.fixture
def lab(shipped: Lab) -> Iterator[Lab]:
    fresh = shipped.another()
    yield fresh
    fresh.store.close()


def database(**values: Any) -> tuple[Any, ...]:
    return row("stat_database", **{"datid": 16384, "datname": "app"} | values)


def test_cache_hit_rate(lab: Lab) -> None:
    for number, (hit, read) in enumerate([(1000, 1000), (1090, 1010), (1090, 1010), (1090, 1015)]):
        lab.write("stat_database", [database(blks_hit=hit, blks_read=read)], 15 * number)
    assert select(lab, "cache_hit_rate", "datname, blks_hit, blks_read, cache_hit_ratio") == [
        (0, "app", None, None, None),
        (15, "app", 90, 10, 0.9),
        (30, "app", 0, 0, None),
        (45, "app", 0, 5, 0.0),
    ]


def test_tps_is_over_the_true_interval(lab: Lab) -> None:
    for seconds, commits, rollbacks in [(0, 100, 0), (15, 145, 15), (35, 145, 15), (45, 155, 15)]:
        lab.write("stat_database", [database(xact_commit=commits, xact_rollback=rollbacks)], seconds)
    assert select(lab, "tps", "datname, tps, rollback_ratio") == [
        (0, "app", None, None),
        (15, "app", 4.0, 0.25),
        (35, "app", 0.0, None),
        (45, "app", 1.0, 0.0),
    ]


def test_deadlocks(lab: Lab) -> None:
    for number, count in enumerate([7, 7, 9]):
        lab.write("stat_database", [database(deadlocks=count)], 15 * number)
    assert select(lab, "deadlocks", "datname, deadlocks") == [(0, "app", None), (15, "app", 0), (30, "app", 2)]


def test_an_unknown_stretch_is_shown_as_null(lab: Lab) -> None:
    lab.write("stat_database", [database(blks_hit=100)], 0)
    lab.write("stat_database", [database(blks_hit=150, temp_files=None)], 15)
    assert select(lab, "cache_hit_rate", "blks_hit, cache_hit_ratio") == [(0, None, None), (15, None, None)]
    assert select(lab, "tps", "tps, rollback_ratio") == [(0, None, None), (15, None, None)]


def test_connection_utilisation(lab: Lab) -> None:
    slots = {"max_connections": 100, "superuser_reserved_connections": 3, "reserved_connections": 17}
    lab.write("connection_slots", [row("connection_slots", client_backends=20, **slots)], 0)
    lab.write("connection_slots", [row("connection_slots", client_backends=90, **slots)], 15)
    columns = "client_backends, available, utilisation_ratio"
    assert select(lab, "connection_utilisation", columns) == [(0, 20, 80, 0.25), (15, 90, 80, 1.125)]


def test_statements_have_text_user_and_database(lab: Lab) -> None:
    statement = {"dbid": 16384, "userid": 10, "queryid": -5, "toplevel": True}
    lab.write("stat_database", [database()], 0)
    lab.write("roles", [row("roles", userid=10, usename="bob")], 0)
    lab.write("stat_statements", [row("stat_statements", **statement, calls=1)], 0)
    reading = lab.reading("stat_statements", [row("stat_statements", **statement, calls=4, total_exec_time=1.5)], 60)
    text = StatementText(16384, 10, -5, True, "select $1")
    lab.writer.write(TargetPoll(lab.target, server(), (reading,), (text,), texts_read=True))
    columns = "datname, usename, queryid, toplevel, query, calls, total_exec_time, rows, shared_blks_hit, quality"
    assert select(lab, "statements", columns) == [
        (60, "app", "bob", -5, True, "select $1", 3, 1.5, 0, 0, 0),
    ]
    # The database is gone, the role has another name: the rows stay, and bear the last names.
    lab.write("roles", [row("roles", userid=10, usename="robert")], 300)
    assert [r[1:3] for r in select(lab, "statements", columns)] == [("app", "robert")]


def test_statements_without_names_or_text_stay(lab: Lab) -> None:
    statement = {"dbid": 99, "userid": 98, "queryid": 7, "toplevel": False}
    lab.write("stat_statements", [row("stat_statements", **statement, calls=1)], 0)
    lab.write("stat_statements", [row("stat_statements", **statement, calls=2)], 60)
    columns = "datname, usename, query, dbid, userid, calls"
    assert select(lab, "statements", columns) == [(60, None, None, None, 99, 98, 1)]


def test_up_shows_what_could_not_be_reached(lab: Lab) -> None:
    lab.write("server", [row("server", up=1, version="18.1")], 0)
    reading = lab.reading("server", None, 15)
    lost = dataclasses.replace(reading, status=Status.UNREACHABLE)
    lab.writer.write(TargetPoll(lab.target, None, (lost,), error="gone"))
    lab.write("server", [row("server", up=1, version="18.1")], 30)
    assert select(lab, "up", "tier, up") == [(0, "raw", 1), (15, "raw", 0), (30, "raw", 1)]


def select(lab: Lab, view: str, columns: str) -> list[tuple[Any, ...]]:
    """Rows of our target, `time` in seconds after noon."""
    return lab.store.raw.execute(
        f"SELECT extract(epoch FROM time - %s)::float8, {columns} FROM monitoring.{view} "
        "WHERE target = %s ORDER BY time".encode(),
        (at(0), lab.target),
    ).fetchall()
