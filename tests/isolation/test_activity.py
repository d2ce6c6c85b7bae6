"""What each tenant does: by its schemas, roles, tags and the user's own SQL."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from pydantic import ValidationError

from sbpgmon.catalog.tenancy import shipped_parts
from sbpgmon.collect.activity import tell
from sbpgmon.collect.tenancy import know
from sbpgmon.errors import TargetError
from sbpgmon.sources.probe import probe
from sbpgmon.sources.reader import describe
from sbpgmon.sources.session import Session
from sbpgmon.tenancy import Activity
from tests.isolation.world import CATALOG, World

METRIC = CATALOG.metrics["tenant_activity"]


def read(world: World, **activity: Any) -> dict[str, dict[str, Any]]:
    """Tenant -> its row; the columns are those of the header."""
    tenancy = world.tenancy({"activity": activity})
    with Session(world.target, 5.0) as session:
        server = probe(session)
        known = know(session, server, tenancy)
        [variant] = METRIC.variants
        variant = tell(session, METRIC, variant, known, tenancy, shipped_parts(), 5.0)
        described = describe(session, METRIC, variant, server)
        assert dict(described.columns) == {c.name: c.type.name for c in METRIC.columns}
        with session.transaction(5.0) as (cursor, _):
            cursor.execute(variant.sql.encode())
            names = [column.name for column in cursor.description or ()]
            rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    assert len({row["tenant"] for row in rows}) == len(rows)
    return {row["tenant"]: row for row in rows}


@contextlib.contextmanager
def session_of(world: World, role: str, name: str = "") -> Iterator[psycopg.Connection[Any]]:
    with world.database.connect(world.text(role), application_name=name) as connection:
        yield connection


def flush_statistics(connection: psycopg.Connection[Any]) -> None:
    """Tells the server what this session did."""
    if connection.info.server_version >= 150000:
        connection.execute("SELECT pg_stat_force_next_flush()")
        connection.execute("SELECT 1")
    else:
        time.sleep(1.5)


def truth(world: World, schema: str) -> tuple[Any, ...]:
    """The same by PostgreSQL's own views."""
    with world.database.connect() as admin:
        flush_statistics(admin)
        query = (
            "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), sum(n_tup_ins + n_tup_upd + n_tup_del), "
            "sum(seq_scan + coalesce(idx_scan, 0)), count(*) FROM pg_stat_user_tables WHERE schemaname = %s"
        )
        return tuple(map(int, admin.execute(query, (schema,)).fetchone() or ()))


def test_schemas_of_one_tenant_each(schemas: World) -> None:
    with session_of(schemas, "{t_acme_app}") as app:
        app.execute("INSERT INTO t_acme.employees (name) SELECT 'e' || g FROM generate_series(1, 500) AS g")
        app.execute("UPDATE t_acme.employees SET name = 'x' WHERE id <= 10")
        app.execute("SELECT * FROM t_acme.employees WHERE id = 7")
        app.execute("SELECT count(*) FROM t_acme.employees")
        flush_statistics(app)
    schemas.run("VACUUM ANALYZE t_acme.employees")
    schemas.run("VACUUM ANALYZE t_acme.payslips")
    rows = read(schemas)
    assert rows.keys() == {"acme", "beta", "gamma"}
    acme = rows["acme"]
    written = truth(schemas, "t_acme")
    assert (acme["tup_read"], acme["tup_written"], acme["scans"], acme["tables"]) == written
    assert acme["tup_written"] >= 512
    with schemas.database.connect() as admin:
        sizes = "SELECT sum(pg_total_relation_size(c.oid)), count(*) FROM pg_class c WHERE relkind = 'r' AND "
        sizes += "relnamespace = 't_acme'::regnamespace"
        [(size, tables)] = admin.execute(sizes.encode()).fetchall()
    # Free space maps and the like are not counted.
    assert 0 < acme["size_bytes"] <= size
    assert acme["size_bytes"] >= size - tables * 64 * 1024
    assert acme["row_count"] is None
    assert acme["sessions"] == 0


def test_sessions_by_role(schemas: World) -> None:
    with session_of(schemas, "{t_beta_app}"), session_of(schemas, "{t_beta_app}"):
        rows = read(schemas)
        assert [(rows[t]["sessions"], rows[t]["active_sessions"]) for t in ("acme", "beta")] == [(0, 0), (2, 0)]


def test_sessions_by_tag(pool: World) -> None:
    assert read(pool) == {}
    tagged = {"application_name": r"tenant=(?P<tenant>[^ ;]+)"}
    with (
        session_of(pool, "{app}", "web tenant=acme;pid=1"),
        session_of(pool, "{app}", "tenant=acme"),
        session_of(pool, "{app}", "tenant=beta x"),
        session_of(pool, "{app}", "batch"),
    ):
        rows = read(pool, **tagged)
    assert {name: row["sessions"] for name, row in rows.items()} == {"acme": 2, "beta": 1}
    # What nothing tells is no 0.
    assert {row["tup_read"] for row in rows.values()} == {None}
    assert {row["size_bytes"] for row in rows.values()} == {None}


def test_the_users_own_sql(pool: World) -> None:
    pool.run("GRANT USAGE ON SCHEMA app TO {reader}; GRANT SELECT ON app.tenants TO {reader}")
    pool.run("ALTER ROLE {reader} BYPASSRLS")
    sql = "select t.id as tenant, 3 as rows, 4096::numeric as bytes, 7 as reads, 5 as writes from app.tenants as t;"
    rows = read(pool, sql=sql)
    assert len(rows) >= 2
    row = next(iter(rows.values()))
    picked = ("row_count", "size_bytes", "tup_read", "tup_written", "sessions", "tables")
    assert tuple(row[name] for name in picked) == (3, 4096, 7, 5, None, None)
    for wrong, message in (
        ("select 1 as rows", "does not return tenant"),
        ("select 1 as tenant, 2 as size", "returns size"),
        ("select id as tenant from app.nothing", "does not exist"),
    ):
        with pytest.raises(TargetError, match=message):
            read(pool, sql=wrong)


def test_more_tenants_than_are_told_apart(pool: World) -> None:
    sql = "select 't' || g as tenant, 2 as rows, 10 as reads, 1 as writes from generate_series(1, 2100) as g"
    rows = read(pool, sql=sql)
    assert len(rows) == 2001
    assert (rows["other"]["row_count"], rows["other"]["tup_read"]) == (200, 1000)
    assert sum(row["row_count"] for row in rows.values()) == 4200


def test_another_set_of_tables_is_marked(schemas: World) -> None:
    before = read(schemas)
    assert {row["counted_since"].year for row in before.values()} <= set(range(1970, 1980))
    assert read(schemas)["acme"]["counted_since"] == before["acme"]["counted_since"]
    schemas.run("CREATE TABLE t_acme.more (id bigint)")
    after = read(schemas)
    assert after["acme"]["counted_since"] != before["acme"]["counted_since"]
    assert after["beta"]["counted_since"] == before["beta"]["counted_since"]


@pytest.mark.parametrize("pattern", ["tenant=.*", "(a)=(?P<tenant>.*)", "(?P<tenant>"])
def test_a_tag_has_one_group(pattern: str) -> None:
    with pytest.raises(ValidationError):
        Activity(application_name=pattern)


def test_a_database_of_one_tenant(databases: World) -> None:
    rows = read(databases)
    assert rows.keys() == {"acme"}
    assert rows["acme"]["tables"] > 0
