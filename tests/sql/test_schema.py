"""The schema as a whole: migrations there and back, init twice, init as a script, and no trace after the rollback."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from alembic import command

from sbpgmon.catalog.catalog import Catalog, load_catalog
from sbpgmon.catalog.metrics import parse_metric
from sbpgmon.demo.binaries import clean_environment, wheel_bin_dir
from sbpgmon.errors import StoreError
from sbpgmon.model import Type
from sbpgmon.store.connection import StoreConnection
from sbpgmon.store.partitions import ensure_partitions, stored_parents
from sbpgmon.store.policy import production
from sbpgmon.store.removal import remove
from sbpgmon.store.sync import sync
from sbpgmon.store.upgrade import _config, _transaction, init, init_sql
from tests.conftest import Database
from tests.sql.lab import Lab

pytestmark = pytest.mark.matrix

CATALOG = load_catalog()

# What may stand around us: none of it may change.
SURROUNDINGS = """
CREATE SCHEMA app;
CREATE EXTENSION pg_stat_statements SCHEMA app;
CREATE TABLE app.bets (bet_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, stake numeric NOT NULL, at timestamptz);
CREATE INDEX ON app.bets (at);
CREATE VIEW app.stakes AS SELECT sum(stake) FROM app.bets;
CREATE FUNCTION app.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
ALTER TABLE app.bets ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON app.bets USING (stake > 0);
CREATE PUBLICATION sales FOR TABLE app.bets;
GRANT SELECT ON app.bets TO "{other}";
GRANT USAGE ON SCHEMA app TO PUBLIC;
COMMENT ON SCHEMA app IS 'the application';
ALTER ROLE "{owner}" IN DATABASE "{database}" SET work_mem = '5MB';
ALTER ROLE "{other}" SET statement_timeout = '5s';
ALTER DEFAULT PRIVILEGES FOR ROLE "{owner}" GRANT SELECT, INSERT ON TABLES TO "{other}", PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE "{owner}" GRANT USAGE, CREATE ON SCHEMAS TO "{other}", PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE "{owner}" GRANT USAGE ON SEQUENCES TO "{other}";
GRANT CREATE ON DATABASE "{database}" TO "{owner}";
"""
TRACES = """
SELECT 'role ' || row(r.*)::text FROM pg_roles r WHERE rolname IN (%(owner)s, %(other)s)
UNION ALL SELECT 'setting ' || row(s.*)::text FROM pg_db_role_setting s
UNION ALL SELECT 'member ' || m.roleid::regrole || m.member::regrole FROM pg_auth_members m
UNION ALL SELECT 'database ' || datacl::text FROM pg_database WHERE datname = current_database()
UNION ALL SELECT 'default ' || row(d.*)::text FROM pg_default_acl d
UNION ALL SELECT 'schema ' || row(n.*)::text FROM pg_namespace n WHERE nspname !~ '^pg_(toast_)?temp'
UNION ALL SELECT 'relation ' || oid || relname || coalesce(relacl::text, '') FROM pg_class
UNION ALL SELECT 'function ' || oid || proname || coalesce(proacl::text, '') FROM pg_proc
UNION ALL SELECT 'type ' || oid || typname FROM pg_type
UNION ALL SELECT 'extension ' || row(e.*)::text FROM pg_extension e
UNION ALL SELECT 'publication ' || row(p.*)::text FROM pg_publication p
UNION ALL SELECT 'published ' || row(p.*)::text FROM pg_publication_rel p
UNION ALL SELECT 'comment ' || row(d.*)::text FROM pg_description d
UNION ALL SELECT 'comment ' || row(d.*)::text FROM pg_shdescription d
UNION ALL SELECT 'trigger ' || row(t.*)::text FROM pg_trigger t
UNION ALL SELECT 'event trigger ' || row(t.*)::text FROM pg_event_trigger t
UNION ALL SELECT 'dependency ' || row(s.*)::text FROM pg_shdepend s
  WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY 1
"""


def dump(database: Database, *arguments: str) -> str:
    """The schema as pg_dump says it; the wheel's dumps older servers as well."""
    bin_dir = wheel_bin_dir()
    done = subprocess.run(
        [str(bin_dir / "pg_dump"), "-d", database.dsn(), "--restrict-key=x", *arguments],
        capture_output=True,
        text=True,
        env=clean_environment(bin_dir),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def owner(database: Database, make_role: Callable[..., str]) -> str:
    """A role that may create a schema, in a database with a life of its own."""
    names = {"owner": make_role("owner"), "other": make_role("other"), "database": database.name}
    with database.connect() as admin:
        admin.execute(SURROUNDINGS.format(**names).encode())
    return names["owner"]


def traces(database: Database, owner: str) -> list[str]:
    with database.connect() as admin:
        other = admin.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'other%'").fetchone()
        assert other is not None
        found = admin.execute(TRACES.encode(), {"owner": owner, "other": other[0]}).fetchall()
    return [line for (line,) in found]


def make(database: Database, owner: str, readers: list[str] | None = None, catalog: Catalog = CATALOG) -> list[str]:
    store = StoreConnection(database.dsn(owner))
    try:
        return init(store, catalog, readers or [])
    finally:
        store.close()


# Migrations


def test_migrations_there_and_back(database: Database) -> None:
    store = StoreConnection(database.dsn())
    dumps = []
    with database.connect() as admin:
        admin.execute("CREATE SCHEMA monitoring")
        empty = dump(database, "--schema=monitoring", "--schema-only")
    for target in ("head", "base", "head"):
        with _transaction(store) as (connection, _):
            config = _config()
            config.attributes["connection"] = connection
            (command.downgrade if target == "base" else command.upgrade)(config, target)
        dumps.append(dump(database, "--schema=monitoring", "--schema-only"))
    store.close()
    assert dumps[0] == dumps[2]
    assert "CREATE TABLE monitoring.target" in dumps[0]
    with database.connect() as admin:
        admin.execute("DELETE FROM monitoring.alembic_version")
    left = {line for line in dumps[1].splitlines() if line.startswith("CREATE ")}
    assert left - set(empty.splitlines()) == {"CREATE TABLE monitoring.alembic_version ("}


def test_the_migrations_arrive_at_the_tables_of_the_program(database: Database) -> None:
    """`alembic check`: nothing would be generated."""
    store = StoreConnection(database.dsn())
    init(store, CATALOG, [])
    with _transaction(store) as (connection, _):
        config = _config()
        config.attributes["connection"] = connection
        command.check(config)
    store.close()


# init


def test_init_a_second_time_does_nothing(database: Database, owner: str) -> None:
    done = make(database, owner)
    assert done[0] == "schema monitoring"
    assert {f"metric {name}" for name in CATALOG.metrics} | {f"view {name}" for name in CATALOG.views} <= set(done)
    before = dump(database), traces(database, owner)
    assert make(database, owner) == []
    assert (dump(database), traces(database, owner)) == before


def test_init_is_one_transaction(database: Database, owner: str) -> None:
    """A metric that cannot be created takes everything with it."""
    last = [metric for metric in CATALOG.metrics.values() if not metric.source][-1]
    column = dataclasses.replace(last.columns[-1], type=Type("no_such_type", 1))
    broken = dataclasses.replace(last, name="broken", columns=(*last.columns[:-1], column))
    twice = Catalog(CATALOG.metrics | {"broken": broken}, CATALOG.views)
    before = dump(database), traces(database, owner)
    with pytest.raises(StoreError, match="no_such_type"):
        make(database, owner, catalog=twice)
    assert (dump(database), traces(database, owner)) == before


def test_the_script_of_init_makes_the_same_schema(
    database: Database, owner: str, make_role: Callable[..., str]
) -> None:
    reader = make_role("grafana")
    readers = [reader, "nobody_of_this_name"]
    options = ("--schema=monitoring", "--schema-only")
    make(database, owner, readers)
    made = dump(database, *options)
    with database.connect(owner) as connection:
        connection.execute("DROP SCHEMA monitoring CASCADE")
        connection.execute(init_sql(CATALOG, readers).encode())
    assert dump(database, *options) == made
    # The program takes it for its own, and up to date.
    assert make(database, owner, readers) == []


def test_the_script_of_init_changes_nothing_when_it_fails(database: Database, owner: str) -> None:
    before = dump(database), traces(database, owner)
    script = init_sql(CATALOG, []).replace("COMMIT;", "SELECT 1 / 0;\nCOMMIT;")
    with database.connect(owner) as connection, pytest.raises(psycopg.errors.DivisionByZero):
        connection.execute(script.encode())
    assert (dump(database), traces(database, owner)) == before


# Privileges


GRANTED = """
SELECT kind, name, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END, privilege_type FROM (
  SELECT 'schema' AS kind, nspname::text AS name, nspowner AS owner, (aclexplode(nspacl)).* FROM pg_namespace
  WHERE nspname = 'monitoring'
  UNION ALL
  SELECT relkind::text, relname, relowner, (aclexplode(relacl)).* FROM pg_class
  WHERE relnamespace = 'monitoring'::regnamespace
) AS acl WHERE grantee <> owner ORDER BY 1, 2, 3, 4
"""


def test_default_privileges_let_nobody_in(database: Database, owner: str, make_role: Callable[..., str]) -> None:
    reader = make_role("grafana")
    expected = {("schema", "monitoring", reader, "USAGE")} | {
        ("v", view, reader, "SELECT") for view in [*CATALOG.metrics, *CATALOG.views]
    }
    make(database, owner, [reader])
    with database.connect() as admin:
        assert set(admin.execute(GRANTED).fetchall()) == expected
        admin.execute("DROP SCHEMA monitoring CASCADE")
    with database.connect(owner) as connection:
        connection.execute(init_sql(CATALOG, [reader]).encode())
        assert set(connection.execute(GRANTED).fetchall()) == expected


def test_what_comes_later_lets_nobody_in_and_keeps_what_was_granted_by_hand(
    database: Database, owner: str, make_role: Callable[..., str], tmp_path: Path
) -> None:
    reader, friend = make_role("grafana"), make_role("friend")
    make(database, owner, [reader])
    path = tmp_path / "later.sql"
    path.write_text("-- Later.\n-- interval: 60s\n-- columns:\n--   a  gauge  bigint  something\nselect 1\n")
    catalog = Catalog(CATALOG.metrics | {"later": parse_metric([path])}, CATALOG.views)
    with database.connect() as admin:
        admin.execute(f"GRANT SELECT ON monitoring.tps TO {friend}".encode())
        before = set(admin.execute(GRANTED).fetchall())
    store = StoreConnection(database.dsn(owner))
    with store.transaction() as conn:
        sync(conn, catalog, [reader], [], production)
        assert ensure_partitions(conn, stored_parents(conn), [datetime.now(UTC) + timedelta(days=400)])
    store.close()
    with database.connect() as admin:
        assert set(admin.execute(GRANTED).fetchall()) - before == {("v", "later", reader, "SELECT")}
        assert ("v", "tps", friend, "SELECT") in before


# Removal


def fill(database: Database, owner: str, folder: Path) -> None:
    """Some history, so that there is more than empty tables."""
    lab = Lab(database, CATALOG, folder, owner)
    counters = len(CATALOG.metrics["stat_statements"].counters)
    for number in range(3):
        lab.write("stat_statements", [(16384, 10, 1, True, *([number] * counters), None, None, None)], 60.0 * number)
    lab.store.close()


@pytest.mark.parametrize("how", ["rollback", "drop"])
def test_nothing_is_left(
    database: Database, owner: str, tmp_path: Path, how: str, make_role: Callable[..., str]
) -> None:
    reader = make_role("grafana")
    before = dump(database), traces(database, owner)
    make(database, owner, [reader])
    fill(database, owner, tmp_path)
    with database.connect() as admin:
        [(facts,)] = admin.execute("SELECT count(*) FROM monitoring.stat_statements").fetchall()
        assert facts == 2
    with database.connect(owner) as connection:
        if how == "drop":
            connection.execute("DROP SCHEMA monitoring CASCADE")
        else:
            remove(connection, cascade_outside=False, wait_seconds=1, attempts=3, progress=lambda _: None)
    assert dump(database) == before[0]
    assert traces(database, owner) == before[1]


def test_it_can_come_back(database: Database, owner: str, tmp_path: Path) -> None:
    make(database, owner)
    first = dump(database, "--schema=monitoring", "--schema-only")
    with database.connect(owner) as connection:
        remove(connection, cascade_outside=False, wait_seconds=1, attempts=3, progress=lambda _: None)
    make(database, owner)
    assert dump(database, "--schema=monitoring", "--schema-only") == first
