"""Every metric on a real server, as a role with pg_monitor alone: what it returns is what its header says."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql

from sbpgmon.catalog.catalog import load_catalog, pick_variant
from sbpgmon.cli.docs_metrics import SHIPPED
from sbpgmon.collect.texts import read_texts
from sbpgmon.errors import QueryFileError, TargetError
from sbpgmon.model import Metric, Variant
from sbpgmon.model import Server as Probed
from sbpgmon.present.trial import try_metric
from sbpgmon.sources.probe import probe, refuse_unsafe
from sbpgmon.sources.reader import describe, read
from sbpgmon.sources.session import Session
from tests.conftest import Server
from tests.sql.conftest import EXTENSION_SCHEMA, Site

pytestmark = pytest.mark.matrix

# Those that ask about tenants have tests of their own.
METRICS = {name: m for name, m in load_catalog().metrics.items() if not (m.source or m.uses)}
SIGNATURE = b"PGCOPY\n\xff\r\n\x00"


def run(session: Session, metric: Metric, variant: Variant, server: Probed) -> int:
    """Describes and reads a variant as a poll does; returns the rows."""
    description = describe(session, metric, variant, server)
    assert dict(description.columns) == {c.name: c.type.name for c in metric.columns}
    data, rows, _, seconds = read(
        session, metric, variant, server, description.columns, timeout_seconds=metric.timeout_seconds, max_bytes=10**8
    )
    assert data.startswith(SIGNATURE)
    assert seconds < metric.timeout_seconds
    return rows


def is_meant_for(metric: Metric, site: Site) -> bool:
    return metric.role in ("any", "standby" if site.standby else "primary")


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_keeps_its_contract(contended: Site, name: str) -> None:
    """The path of `metrics test`: columns and types, no NULL key, no key twice, no NULL counter, no warning."""
    metric = METRICS[name]
    if not is_meant_for(metric, contended):
        with pytest.raises(TargetError, match=f"is not a {metric.role}"):
            try_metric(metric, contended.target, contended.settings)
        return
    trial = try_metric(metric, contended.target, contended.settings)
    assert trial.warnings == []
    assert trial.rows > 0
    assert trial.duration_seconds < metric.timeout_seconds


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if len(metric.variants) > 1])
def test_every_variant_that_this_server_can_run(either: Site, name: str) -> None:
    """With the extension in each version that the server has."""
    metric = METRICS[name]
    with either.database.connect() as admin:
        query = "SELECT version FROM pg_available_extension_versions WHERE name = 'pg_stat_statements'"
        available = {version for (version,) in admin.execute(query)}
    is_by_version = any(variant.extension_version for variant in metric.variants)
    seen = set()
    try:
        for version in sorted(available) if is_by_version else [""]:
            either.install(version)
            with Session(either.target, 5) as session:
                server = probe(session)
                picked, why = pick_variant(metric, server)
                seen.add(picked)
                if picked is None:
                    assert "is needed" in why
                    continue
                # Those below serve the servers that have less, and read what this one has as well.
                for variant in [picked] if is_by_version else metric.variants[: metric.variants.index(picked) + 1]:
                    assert run(session, metric, variant, server) > 0
    finally:
        either.install()
    if is_by_version:
        newest = SHIPPED["pg_stat_statements"][server.major]
        assert seen - {None} == {variant for variant in metric.variants if variant.extension_version <= newest}


def test_a_column_that_only_older_servers_lack_is_never_null(site: Site, tmp_path: Path) -> None:
    header = "-- T.\n--\n-- interval: 15s\n-- columns:\n--   a  counter  bigint  a\n--   b  counter  bigint  b\n"
    for name, text in {
        "queries.sql": header + "select 1::bigint as a, null::bigint as b\n",
        "queries.pg14.sql": "-- T.\nselect 1::bigint as a, nullif(1, 1)::bigint as b\n",
    }.items():
        (tmp_path / "metrics").mkdir(exist_ok=True)
        (tmp_path / "metrics" / name).write_text(text)
    metric = load_catalog(tmp_path).metrics["queries"]
    assert [variant.lacks for variant in metric.variants] == [{"b"}, set()]
    with pytest.raises(QueryFileError, match="the counter b is NULL in 1 rows"):
        try_metric(metric, site.target, site.settings)


def test_an_extension_that_is_updated_changes_the_variant(site: Site) -> None:
    metric = METRICS["stat_statements"]
    with site.database.connect() as admin:
        admin.execute("DROP EXTENSION pg_stat_statements")
        admin.execute("CREATE EXTENSION pg_stat_statements VERSION '1.9'")
        with Session(site.target, 5) as session:
            first, _ = pick_variant(metric, probe(session))
        admin.execute("ALTER EXTENSION pg_stat_statements UPDATE")
        with Session(site.target, 5) as session:
            server = probe(session)
            second, _ = pick_variant(metric, server)
            assert first is not None
            assert second is not None
            run(session, metric, second, server)
    assert first.extension_version == ()
    newest = SHIPPED["pg_stat_statements"][server.major]
    assert second.extension_version == (newest if newest > (1, 9) else ())


def test_an_extension_that_is_too_old_is_said(site: Site) -> None:
    with site.database.connect() as admin:
        admin.execute("DROP EXTENSION pg_stat_statements")
        admin.execute("CREATE EXTENSION pg_stat_statements VERSION '1.8'")
    with pytest.raises(TargetError, match=r"extension pg_stat_statements 1\.9 is needed, 1\.8 is there"):
        try_metric(METRICS["stat_statements"], site.target, site.settings)


def test_the_role_is_let_through_and_cannot_write(either: Site) -> None:
    with either.database.connect() as admin:
        query = "SELECT roleid::regrole::text FROM pg_auth_members WHERE member = %s::regrole"
        assert admin.execute(query, (either.role,)).fetchall() == [("pg_monitor",)]
    with Session(either.target, 5) as session:
        server = probe(session)
        refuse_unsafe("app", server, allow_superuser=False)
        assert server.writable == ()
        assert server.has_pg_monitor
        assert not server.pooled
        assert server.is_standby is (either.standby is not None)
        with session.transaction(1) as (cursor, _):
            assert cursor.execute("SHOW transaction_read_only").fetchone() == ("on",)
        refused = "cannot execute CREATE TABLE"
        with pytest.raises(TargetError, match=refused), session.transaction(1) as (cursor, _):
            cursor.execute("CREATE TEMP TABLE x ()")


def test_no_setting_outlives_a_transaction(site: Site) -> None:
    names = ("statement_timeout", "lock_timeout", "search_path", "jit", "TimeZone", "transaction_read_only")
    query = "SELECT " + ", ".join(f"current_setting('{name}')" for name in names)
    with Session(site.target, 5) as session:
        before = session._conn.execute(query.encode()).fetchone()
        with session.transaction(1) as (cursor, _):
            within = cursor.execute(query.encode()).fetchone()
        with pytest.raises(TargetError), session.transaction(1) as (cursor, _):
            cursor.execute("SELECT 1 / 0")
        assert session._conn.execute(query.encode()).fetchone() == before
    assert within == ("1s", "500ms", "pg_catalog", "off", "UTC", "on")


def test_a_query_that_takes_too_long_is_cancelled(site: Site) -> None:
    with Session(site.target, 5) as session:
        with pytest.raises(TargetError, match="statement timeout"), session.transaction(0.1) as (cursor, _):
            cursor.execute("SELECT pg_sleep(5)")
        assert not session.is_broken


# What single metrics see


def rows_of(site: Site, name: str) -> list[dict[str, Any]]:
    """All rows of a metric, as `metrics test` shows the first ten."""
    metric = METRICS[name]
    with Session(site.target, 5) as session:
        variant, why = pick_variant(metric, probe(session))
        assert variant is not None, why
        with session.transaction(5) as (cursor, _):
            cursor.execute(variant.sql.encode())
            names = [column.name for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def test_who_blocks_whom(site: Site) -> None:
    with site.database.connect() as admin, site.database.connect() as holder, site.database.connect() as waiter:
        admin.execute("CREATE TABLE t (a int)")
        holder.execute("SET application_name = 'the blocker'; BEGIN; LOCK TABLE t")
        waiter.execute("SET lock_timeout = '20s'")
        waiter.pgconn.send_query(b"SELECT * FROM t")
        for _ in range(100):
            rows = [row for row in rows_of(site, "blocked_sessions") if row["datname"] == site.database.name]
            if rows:
                break
            time.sleep(0.05)
        holder.execute("ROLLBACK")
        while waiter.pgconn.get_result() is not None:
            pass
        [row] = rows
        assert (row["blocked_sessions"], row["blocking_state"]) == (1, "idle in transaction")
        assert (row["blocked_pid"], row["blocking_pid"]) == (waiter.info.backend_pid, holder.info.backend_pid)
        assert row["blocking_application_name"] == "the blocker"
        assert row["longest_wait_seconds"] >= 0
    assert [row for row in rows_of(site, "blocked_sessions") if row["datname"] == site.database.name] == []


def test_connections_and_their_ages(site: Site) -> None:
    with site.database.connect() as idle:
        idle.execute("BEGIN")
        time.sleep(0.2)
        rows = [row for row in rows_of(site, "connections") if row["datname"] == site.database.name]
    [waiting] = [row for row in rows if row["state"] == "idle in transaction"]
    assert waiting["connections"] == 1
    assert waiting["oldest_transaction_seconds"] >= waiting["oldest_idle_in_transaction_seconds"] >= 0.2
    assert waiting["oldest_query_seconds"] == 0
    [own] = [row for row in rows if row["usename"] == site.role]
    assert own["state"] == "active"
    assert own["oldest_idle_in_transaction_seconds"] == 0


def test_slots(site: Site) -> None:
    [row] = rows_of(site, "connection_slots")
    assert 0 < row["client_backends"] <= row["max_connections"]
    assert row["superuser_reserved_connections"] == 3
    assert row["reserved_connections"] == 0


def test_the_server(site: Site, cluster: Server) -> None:
    [row] = rows_of(site, "server")
    with site.database.connect() as admin:
        assert row["server_version_num"] == admin.info.server_version
        assert row["pg_stat_statements_max"] == "5000"
    assert (row["up"], row["in_recovery"]) == (1, False)


def test_locks_leave_the_agents_own_out(site: Site) -> None:
    with site.database.connect() as holder:
        holder.execute("CREATE TABLE t (a int)")
        holder.execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        rows = rows_of(site, "locks")
    mine = {(row["mode"], row["granted"]): row["locks"] for row in rows if row["datname"] == site.database.name}
    assert mine == {("AccessExclusiveLock", True): 1}


def test_texts_of_utility_statements_lose_their_literals(site: Site) -> None:
    """As the server itself keeps them: SELECT INTO is a utility statement, too."""
    statements = (
        "SELECT 'first-secret' AS a INTO TEMP x1",
        "CREATE TEMP TABLE x2 AS SELECT 'second-secret' AS a",
        "DO $$BEGIN PERFORM 'third-secret'; END$$",
        "SELECT 'kept-apart' || 'fourth-secret'",
        "SET application_name = 'fifth-secret'",
    )
    with site.database.connect() as admin:
        for statement in statements:
            admin.execute(statement.encode())
        schema = sql.Identifier(EXTENSION_SCHEMA)
        queryids = [
            queryid
            for (queryid,) in admin.execute(
                sql.SQL(
                    "SELECT s.queryid FROM {}.pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid "
                    "WHERE d.datname = current_database() AND s.toplevel"
                ).format(schema)
            )
        ]
    with Session(site.target, 5) as session:
        texts = [text.query for text in read_texts(session, probe(session), queryids)[0]]
    assert not [text for text in texts if "secret" in text]
    assert "SELECT ? AS a INTO TEMP x1" in [text.replace("$1", "?") for text in texts]
    assert any(text.startswith("SELECT $1 || $2") for text in texts)
