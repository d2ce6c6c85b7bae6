"""What Grafana's role can and cannot do, as `sbpgmon grants` and `init` leave it, tried by one who knows SQL."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import errors, sql

from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.present.grants import grants_sql
from sbpgmon.store.connection import StoreConnection
from sbpgmon.store.upgrade import init
from tests.conftest import Database, Server
from tests.sql.lab import Lab, scratch

STATEMENTS = ("userid", "dbid", "queryid", "toplevel", "calls", "total_exec_time")


@dataclass(frozen=True)
class Walls:
    """A store beside an application's tables in one database."""

    database: Database
    owner: str
    reader: str


@pytest.fixture(scope="module")
def walls(cluster: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walls]:
    """The roles by the script, the schema made by its owner, a reading of statements in it."""
    suffix = secrets.token_hex(4)
    roles = {name: f"{name}_{suffix}" for name in ("reader", "owner", "grafana")}
    with scratch(cluster) as database:
        with database.connect() as admin:
            admin.execute(grants_sql(database.name, **roles).encode())
            admin.execute(
                "CREATE SCHEMA app; CREATE TABLE app.secret AS SELECT 'swordfish' AS word;"
                "CREATE TABLE public.secret AS SELECT 'swordfish' AS word; ANALYZE"
            )
        lab = Lab(database, load_catalog(has_dashboards=False), tmp_path_factory.mktemp("walls"), roles["owner"])
        with contextlib.closing(StoreConnection(database.dsn(roles["owner"]))) as store:
            init(store, lab.catalog, [roles["grafana"]])
        for seconds, calls in ((0, 1), (60, 8)):
            lab.write("stat_statements", [(10, 5, 42, True, calls, calls * 2.0)], seconds, columns=STATEMENTS)
        lab.store.close()
        yield Walls(database, roles["owner"], roles["grafana"])
    with psycopg.connect(cluster.dsn(), autocommit=True) as admin:
        for role in roles.values():
            admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


@pytest.fixture
def conn(walls: Walls) -> Iterator[psycopg.Connection[Any]]:
    """The reader's session, without the settings that only stop what it does not mean."""
    with walls.database.connect(walls.reader) as connection:
        connection.execute("SET default_transaction_read_only = off")
        yield connection


def one(conn: psycopg.Connection[Any], query: str, *params: object) -> Any:
    row = conn.execute(query.encode(), params or None).fetchone()
    assert row is not None
    return row[0]


def test_it_reads_the_views(conn: psycopg.Connection[Any]) -> None:
    names = [
        name
        for (name,) in conn.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'monitoring'::regnamespace AND relkind = 'v'"
        )
    ]
    assert len(names) > 10
    for name in names:
        conn.execute(f'SELECT * FROM monitoring."{name}" LIMIT 1'.encode())
    assert one(conn, "SELECT calls FROM monitoring.top_statements(NULL, '2026-11-20', '2026-11-21')") == 7


def test_it_reads_nothing_else_of_the_schema(conn: psycopg.Connection[Any], walls: Walls) -> None:
    with walls.database.connect() as admin:
        private = [
            name
            for (name,) in admin.execute(
                "SELECT relname FROM pg_class WHERE relnamespace = 'monitoring'::regnamespace "
                "AND relkind IN ('r', 'p', 'S', 'm', 'f')"
            )
        ]
        assert {"target", "statement_text", "stat_statements_1m", "stat_statements_last"} <= set(private)
    for name in private:
        with pytest.raises(errors.InsufficientPrivilege):
            conn.execute(f'SELECT * FROM monitoring."{name}" LIMIT 0'.encode())


def test_columns_are_granted_to_nobody_either(walls: Walls) -> None:
    with walls.database.connect() as admin:
        found = admin.execute(
            "SELECT attrelid::regclass, attname FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid "
            "WHERE c.relnamespace = 'monitoring'::regnamespace AND attacl IS NOT NULL"
        ).fetchall()
    assert found == []


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO monitoring.targets (target) VALUES ('x')",
        "UPDATE monitoring.targets SET database = 'x'",
        "DELETE FROM monitoring.events",
        "DELETE FROM monitoring.up",
        "TRUNCATE monitoring.target",
        "INSERT INTO monitoring.target (name) VALUES ('x')",
        "UPDATE monitoring.target SET name = 'x'",
        "SELECT * FROM monitoring.targets FOR UPDATE",
        "BEGIN; LOCK TABLE monitoring.target IN ACCESS EXCLUSIVE MODE",
        "BEGIN; LOCK TABLE monitoring.targets IN ACCESS EXCLUSIVE MODE",
        "SELECT nextval('monitoring.target_target_id_seq')",
        "MERGE INTO monitoring.target USING (SELECT 1) AS x ON false WHEN NOT MATCHED THEN INSERT (name) VALUES ('x')",
        "CREATE TABLE monitoring.mine (i integer)",
        "CREATE VIEW monitoring.mine AS SELECT 1 AS i",
        "CREATE FUNCTION monitoring.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE OR REPLACE VIEW monitoring.up AS SELECT 1 AS i",
        "DROP VIEW monitoring.up",
        "COMMENT ON VIEW monitoring.up IS 'x'",
        "ALTER VIEW monitoring.up OWNER TO CURRENT_USER",
        "GRANT SELECT ON monitoring.target TO CURRENT_USER",
        "DROP SCHEMA monitoring CASCADE",
        "CREATE SCHEMA mine",
        "CREATE EXTENSION dblink",
        "CREATE EXTENSION file_fdw",
        "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE c AS 'libc', 'system'",
        "CREATE ROLE mine SUPERUSER",
        "ALTER ROLE CURRENT_USER SUPERUSER",
        "ALTER ROLE CURRENT_USER CONNECTION LIMIT -1",
        "SELECT * FROM app.secret",
        "SELECT * FROM public.secret",
        "COPY public.secret TO STDOUT",
        "SELECT * FROM pg_authid",
        "SELECT * FROM pg_statistic",
        "SELECT * FROM pg_largeobject",
        "SELECT * FROM pg_hba_file_rules",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT pg_read_binary_file('PG_VERSION')",
        "SELECT pg_stat_file('PG_VERSION')",
        "SELECT pg_ls_dir('.')",
        "SELECT lo_import('/etc/passwd')",
        "COPY monitoring.targets TO '/tmp/targets'",
        "COPY (SELECT 1) TO PROGRAM 'id'",
        "SELECT pg_reload_conf()",
        "SELECT pg_switch_wal()",
        "SELECT pg_stat_reset()",
        "SELECT pg_promote()",
        "ALTER SYSTEM SET work_mem = '1GB'",
        "SET temp_file_limit = -1",
        "SET session_replication_role = replica",
        "SET log_statement = 'none'",
        "SELECT set_config('session_preload_libraries', 'x', false)",
    ],
)
def test_refused(conn: psycopg.Connection[Any], statement: str) -> None:
    if statement.startswith("MERGE") and conn.info.server_version < 150000:
        pytest.skip("MERGE came with 15")
    with pytest.raises((errors.InsufficientPrivilege, errors.WrongObjectType, errors.ObjectNotInPrerequisiteState)):
        conn.execute(statement.encode())


def test_it_becomes_nobody_else(conn: psycopg.Connection[Any], walls: Walls) -> None:
    for role in (walls.owner, "postgres", "pg_read_all_data", "pg_execute_server_program"):
        quoted = sql.Identifier(role)
        for statement in (sql.SQL("SET ROLE {}"), sql.SQL("SET SESSION AUTHORIZATION {}"), sql.SQL("GRANT {0} TO {0}")):
            with pytest.raises((errors.InsufficientPrivilege, errors.InvalidGrantOperation)):
                conn.execute(statement.format(quoted))
        with pytest.raises(errors.InsufficientPrivilege):
            conn.execute("SELECT set_config('role', %s, false)", (role,))


def test_it_ends_and_watches_no_session_of_others(conn: psycopg.Connection[Any], walls: Walls) -> None:
    with walls.database.connect() as other:
        other.execute("SELECT 'swordfish'")
        for function in ("pg_terminate_backend", "pg_cancel_backend"):
            with pytest.raises(errors.InsufficientPrivilege):
                conn.execute(f"SELECT {function}(%s)".encode(), (other.info.backend_pid,))
        seen = one(conn, "SELECT query FROM pg_stat_activity WHERE pid = %s", other.info.backend_pid)
        assert seen == "<insufficient privilege>"
    assert conn.execute("SELECT FROM pg_stats WHERE most_common_vals::text LIKE '%swordfish%'").fetchall() == []


@pytest.mark.parametrize(
    "column",
    ["calls; DROP SCHEMA monitoring CASCADE", 'calls" FROM monitoring.target --', "(SELECT 1)", "series_id", "", None],
)
def test_no_sql_goes_into_the_function(conn: psycopg.Connection[Any], column: str | None) -> None:
    with pytest.raises(errors.UndefinedColumn):
        conn.execute(
            "SELECT * FROM monitoring.top_statements(NULL, '2026-11-20', '2026-11-21', %s)", (column,)
        ).fetchall()


def test_names_are_values_to_the_function(conn: psycopg.Connection[Any]) -> None:
    for name in ("x' OR true --", "$1", "%s", "'; DROP SCHEMA monitoring CASCADE; --"):
        query = "SELECT * FROM monitoring.top_statements(%s, '2026-11-20', '2026-11-21')"
        assert conn.execute(query, (name,)).fetchall() == []


def test_two_functions_run_as_their_owner_and_look_nowhere_else(walls: Walls) -> None:
    with walls.database.connect() as admin:
        found = admin.execute(
            "SELECT proname, proconfig, rolsuper, proacl::text NOT LIKE '%%{=X%%' AND proacl::text NOT LIKE '%%,=X%%' "
            "FROM pg_proc AS p JOIN pg_roles AS r ON r.oid = proowner "
            "WHERE pronamespace = 'monitoring'::regnamespace AND prosecdef ORDER BY 1".replace("%%", "%")
        ).fetchall()
    assert found == [
        ("tier", ["search_path=pg_catalog, pg_temp"], False, True),
        ("top_statements", ["search_path=pg_catalog, pg_temp", "jit=off"], False, True),
    ]


def test_what_lies_in_the_readers_own_schema_is_not_run_as_the_owner(conn: psycopg.Connection[Any]) -> None:
    """Functions, an operator and relations of the names that top_statements() uses."""
    trap = "LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'ran as %', current_user; END $$"
    for function in (
        "format(text, text, text) RETURNS text", "date_bin(interval, timestamptz, timestamptz) RETURNS timestamptz",
        "cardinality(text[]) RETURNS int", "array_append(text[], text) RETURNS text[]",
        "less(timestamptz, timestamptz) RETURNS boolean",
    ):  # fmt: skip
        conn.execute(f"CREATE FUNCTION pg_temp.{function} {trap}".encode())
    conn.execute("CREATE OPERATOR pg_temp.< (FUNCTION = pg_temp.less, LEFTARG = timestamptz, RIGHTARG = timestamptz)")
    conn.execute("CREATE TEMP TABLE target AS SELECT 1 AS target_id, 'x' AS name")
    conn.execute("CREATE TEMP TABLE metric AS SELECT 1 AS metric_id, 'stat_statements' AS name")
    conn.execute("SET search_path = pg_temp, pg_catalog, monitoring")
    query = "SELECT calls FROM monitoring.top_statements(NULL, '2026-11-20', '2026-11-21')"
    assert [row[0] for row in conn.execute(query.encode())] == [7]


def test_without_texts_there_is_none_to_be_read(conn: psycopg.Connection[Any], walls: Walls) -> None:
    """As with `texts = "off"`: what was never stored is in no view."""
    with walls.database.connect() as admin:
        assert one(admin, "SELECT count(*) FROM monitoring.statement_text") == 0
    assert conn.execute("SELECT DISTINCT query FROM monitoring.statements").fetchall() == [(None,)]
    query = "SELECT query FROM monitoring.top_statements(NULL, '2026-11-20', '2026-11-21')"
    assert conn.execute(query.encode()).fetchall() == [(None,)]


# -- what its settings guarantee: nothing against somebody who means it ------------------------------------------


def test_settings_hold_what_was_not_meant(walls: Walls) -> None:
    with walls.database.connect(walls.reader) as conn:
        assert one(conn, "SHOW statement_timeout") == "30s"
        assert one(conn, "SHOW idle_in_transaction_session_timeout") == "1min"
        assert one(conn, "SHOW default_transaction_read_only") == "on"
        with pytest.raises(errors.ReadOnlySqlTransaction):
            conn.execute("CREATE TEMP TABLE mine (i integer)")
        assert one(conn, "SELECT calls FROM monitoring.top_statements(NULL, '2026-11-20', '2026-11-21')") == 7


def test_settings_are_the_roles_own_to_change(walls: Walls) -> None:
    with walls.database.connect(walls.reader) as conn:
        conn.execute("SET statement_timeout = 0")
        assert one(conn, "SELECT set_config('statement_timeout', '0', false)") == "0"
        conn.execute("SET default_transaction_read_only = off")
        # For its later sessions as well.
        conn.execute("ALTER ROLE CURRENT_USER SET statement_timeout = 0")
        try:
            with walls.database.connect(walls.reader) as later:
                assert one(later, "SHOW statement_timeout") == "0"
        finally:
            conn.execute("ALTER ROLE CURRENT_USER SET statement_timeout = '30s'")


def test_what_every_role_may_do_where_nobody_revoked_it(conn: psycopg.Connection[Any], walls: Walls) -> None:
    """Temporary tables and large objects are PUBLIC's, and fill a disk; README says how to take them away."""
    conn.execute("CREATE TEMP TABLE mine AS SELECT generate_series(1, 10)")
    assert one(conn, "SELECT lo_unlink(lo_from_bytea(0, 'x'))") == 1
    with walls.database.connect() as admin:
        admin.execute(
            sql.SQL("REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC").format(sql.Identifier(walls.database.name))
        )
        revoke = "lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea)"
        admin.execute(f"REVOKE EXECUTE ON FUNCTION {revoke} FROM PUBLIC".encode())
        try:
            with walls.database.connect(walls.reader) as later:
                later.execute("SET default_transaction_read_only = off")
                for statement in ("CREATE TEMP TABLE other (i integer)", "SELECT lo_from_bytea(0, 'x')"):
                    with pytest.raises(errors.InsufficientPrivilege):
                        later.execute(statement.encode())
        finally:
            name = sql.Identifier(walls.database.name)
            admin.execute(sql.SQL("GRANT TEMPORARY ON DATABASE {} TO PUBLIC").format(name))
            admin.execute(f"GRANT EXECUTE ON FUNCTION {revoke} TO PUBLIC".encode())


def test_limits_that_a_role_cannot_lift(walls: Walls) -> None:
    """Set by a superuser: the number of its sessions, and the temporary files of one."""
    name = sql.Identifier(walls.reader)
    with walls.database.connect() as admin:
        admin.execute(sql.SQL("ALTER ROLE {} CONNECTION LIMIT 1").format(name))
        admin.execute(sql.SQL("ALTER ROLE {} SET temp_file_limit = '1MB'").format(name))
        try:
            with walls.database.connect(walls.reader) as conn:
                with pytest.raises(psycopg.OperationalError, match="too many connections"):
                    walls.database.connect(walls.reader).__enter__()
                conn.execute("SET default_transaction_read_only = off")
                for statement in (
                    "ALTER ROLE CURRENT_USER CONNECTION LIMIT 9",
                    "SET temp_file_limit = -1",
                    "ALTER ROLE CURRENT_USER SET temp_file_limit = -1",
                ):
                    with pytest.raises(errors.InsufficientPrivilege):
                        conn.execute(statement.encode())
                with pytest.raises(errors.ConfigurationLimitExceeded):
                    conn.execute("SET work_mem = '64kB'; SELECT i FROM generate_series(1, 300000) AS i ORDER BY -i")
        finally:
            admin.execute(sql.SQL("ALTER ROLE {} CONNECTION LIMIT -1").format(name))
            admin.execute(sql.SQL("ALTER ROLE {} RESET temp_file_limit").format(name))
