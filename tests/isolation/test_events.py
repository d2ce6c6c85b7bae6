"""The SQL of an event on a target: what it may not read, what is too dear, and what row level security would hide."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sbpgmon.cli.main import cli
from sbpgmon.collect.events import Count, Counted, count_event
from sbpgmon.errors import SbpgmonError, TargetError
from sbpgmon.sources.session import Session
from sbpgmon.tenancy import Event
from tests.isolation.world import World

LOGINS = """
    CREATE SCHEMA auth;
    CREATE TABLE auth.login (id bigserial PRIMARY KEY, at timestamptz NOT NULL, tenant_id text, ok boolean);
    CREATE INDEX login_at ON auth.login (at);
    INSERT INTO auth.login (at, tenant_id, ok)
    SELECT now() - make_interval(secs => g), 't' || g % 3, g % 4 > 0 FROM generate_series(1, 60) AS g;
"""
GRANT = "GRANT USAGE ON SCHEMA auth TO {reader}; GRANT SELECT ON auth.login TO {reader};"
SQL = (
    "select tenant_id as tenant, count(*) filter (where not ok) as count, count(*) as attempts "
    "from auth.login where at > :from and at <= :to group by 1"
)


def event(sql: str = SQL, **more: Any) -> Event:
    return Event(**{"name": "logins", "sql": sql, "interval": "1m", "lag": "1ms"} | more)


def count(world: World, counted: Event) -> Counted:
    with Session(world.target, 5.0) as session:
        _, found = count_event(session, counted, None)
    assert found is not None
    return found


def test_rows_of_the_last_interval(pool: World) -> None:
    pool.run(LOGINS + GRANT)
    found = count(pool, event(interval="5m"))
    assert found.counts == (Count("t0", 5, 20), Count("t1", 5, 20), Count("t2", 5, 20))
    assert found.has_attempts
    # `:from` is outside, `:to` inside.
    with pool.database.connect() as admin:
        query = "SELECT count(*) FROM auth.login WHERE at > %s AND at <= %s"
        assert admin.execute(query, (found.window.since, found.window.until)).fetchall() == [(60,)]
    assert found.window.until - found.window.since == timedelta(minutes=5)


def test_no_rows_are_no_error(pool: World) -> None:
    pool.run(LOGINS + GRANT + "DELETE FROM auth.login;")
    assert count(pool, event()).counts == ()


@pytest.mark.parametrize(
    ("grants", "way_out"),
    [
        ("", "GRANT USAGE ON SCHEMA auth TO {reader};"),
        ("GRANT USAGE ON SCHEMA auth TO {reader}", "GRANT SELECT ON auth.login TO {reader};"),
    ],
)
def test_a_privilege_that_lacks_is_named(pool: World, grants: str, way_out: str) -> None:
    pool.run(LOGINS + grants)
    with pytest.raises(TargetError, match="permission denied") as raised:
        count(pool, event())
    assert pool.text(way_out) in raised.value.way_out
    pool.run(raised.value.way_out.partition(";")[0])


def test_a_big_table_without_an_index(pool: World) -> None:
    pool.run(LOGINS + GRANT)
    pool.run("""
        DROP INDEX auth.login_at;
        INSERT INTO auth.login (at, tenant_id) SELECT now() - interval '1 day', repeat('x', 200)
        FROM generate_series(1, 80000);
        ANALYZE auth.login;
    """)
    with pytest.raises(TargetError, match=r"would read all of auth\.login"):
        count(pool, event(max_cost=1e9))
    pool.run("CREATE INDEX ON auth.login (at); ANALYZE auth.login;")
    assert sum(item.attempts for item in count(pool, event()).counts) > 0
    with pytest.raises(TargetError, match="and 1 is the limit"):
        count(pool, event(max_cost=1))


def test_rows_that_row_level_security_hides(pool: World) -> None:
    """They would look as if nothing happened."""
    pool.run(LOGINS + GRANT)
    pool.run("ALTER TABLE auth.login ENABLE ROW LEVEL SECURITY")
    with pytest.raises(TargetError, match="row level security hides rows") as raised:
        count(pool, event())
    assert "BYPASSRLS" in raised.value.way_out
    pool.run("CREATE POLICY read ON auth.login FOR SELECT TO {reader} USING (true)")
    assert len(count(pool, event()).counts) == 3


def test_a_view_of_the_owner_is_enough(pool: World) -> None:
    pool.run(LOGINS)
    pool.run("""
        ALTER TABLE auth.login ENABLE ROW LEVEL SECURITY;
        CREATE VIEW auth.login_counts AS SELECT at, tenant_id, ok FROM auth.login;
        GRANT USAGE ON SCHEMA auth TO {reader};
        GRANT SELECT ON auth.login_counts TO {reader};
    """)
    assert len(count(pool, event(SQL.replace("auth.login", "auth.login_counts"))).counts) == 3


def test_partitions(pool: World) -> None:
    pool.run(
        """
        CREATE SCHEMA auth;
        CREATE TABLE auth.login (at timestamptz, tenant_id text, ok boolean) PARTITION BY RANGE (at);
        CREATE TABLE auth.login_all PARTITION OF auth.login DEFAULT;
        CREATE INDEX ON auth.login (at);
        INSERT INTO auth.login VALUES (now() - interval '1 s', 'a', false);
    """
        + GRANT
    )
    assert count(pool, event()).counts == (Count("a", 1, 1),)
    pool.run("ALTER TABLE auth.login ENABLE ROW LEVEL SECURITY")
    with pytest.raises(TargetError, match="row level security hides rows"):
        count(pool, event())


@pytest.mark.parametrize(
    "sql",
    [
        "update auth.login set ok = true where at > :from and at <= :to returning tenant_id as tenant, 1 as count",
        "select 1 as tenant, 2 as count from auth.login where at > :from and at <= :to) x; delete from auth.login; --",
        "select tenant_id as tenant, 1 as count, pg_sleep(60) from auth.login where at > :from and at <= :to",
    ],
)
def test_nothing_but_a_quick_select_is_run(pool: World, sql: str) -> None:
    pool.run(LOGINS + GRANT + "GRANT DELETE, UPDATE ON auth.login TO {reader};")
    with pytest.raises(SbpgmonError):
        count(pool, event(sql, timeout="200ms"))
    with pool.database.connect() as admin:
        assert admin.execute("SELECT count(*) FROM auth.login").fetchall() == [(60,)]


@pytest.mark.parametrize("form", ["table", "json"])
def test_the_command(pool: World, tmp_path: Path, form: str) -> None:
    pool.run(LOGINS + GRANT)
    config = tmp_path / "sbpgmon.toml"
    config.write_text(
        f"[[targets]]\nname = 'app'\ndsn = '''{pool.target.dsn}'''\n"
        f"[[tenancy.events]]\nname = 'logins'\ninterval = '5m'\nsql = '''{SQL}'''\n"
    )
    run = CliRunner().invoke
    done = run(cli, ["--config", str(config), "tenants", "events", "test", "logins", "--format", form])
    assert done.exit_code == 0, done.output
    if form == "json":
        assert json.loads(done.output)["rows"][0]["count"] >= 4
    else:
        assert "of 3 tenants" in done.output
    wrong = run(cli, ["--config", str(config), "tenants", "events", "test", "logouts"])
    assert "There is no event 'logouts'" in str(wrong.exception or wrong.output)
