"""The roles' SQL, run through psql twice, and what the roles can do then; and their removal."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Callable, Iterator

import psycopg
import pytest

from sbpgmon.demo.binaries import wheel_bin_dir
from sbpgmon.errors import ConfigError
from sbpgmon.present.grants import grants_sql
from sbpgmon.store.removal import drop_roles
from tests.conftest import Database, Server

pytestmark = pytest.mark.matrix


def _psql(dsn: str, script: str) -> subprocess.CompletedProcess[str]:
    command = [str(wheel_bin_dir() / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-", "-d", dsn]
    environment = {**os.environ, "PGOPTIONS": "-c client_min_messages=warning"}
    return subprocess.run(command, input=script, capture_output=True, text=True, env=environment, check=False)


@pytest.fixture
def roles(make_role: Callable[..., str]) -> dict[str, str]:
    """Names for the three roles, not made yet; dropped at the end."""
    # A name that needs quoting everywhere: identifiers, literals and the dollar quotes of the script.
    return {
        "reader": make_role('the $sbpgmon$ "reader"\'s\\', create=False),
        "owner": make_role("Owner", create=False),
        "grafana": make_role("grafana", create=False),
    }


def _can(connection: psycopg.Connection[tuple[object, ...]], predicate: str, *arguments: object) -> object:
    row = connection.execute(f"SELECT {predicate}".encode(), arguments).fetchone()
    assert row is not None
    return row[0]


def test_runs_twice_and_gives_what_is_needed_and_no_more(database: Database, roles: dict[str, str]) -> None:
    script = grants_sql(database.name, **roles)
    for _ in range(2):
        done = _psql(database.dsn(), script)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with database.connect(roles["reader"]) as connection:
        assert _can(connection, "pg_has_role(current_user, 'pg_monitor', 'USAGE')")
        assert not _can(connection, "has_database_privilege(current_database(), 'CREATE')")
        assert not _can(connection, "(SELECT rolsuper FROM pg_roles WHERE rolname = current_user)")
    with database.connect(roles["owner"]) as connection:
        connection.execute("CREATE SCHEMA monitoring")
        assert not _can(connection, "pg_has_role(current_user, 'pg_monitor', 'USAGE')")
    with database.connect(roles["grafana"]) as connection:
        assert _can(connection, "current_setting('statement_timeout')") == "30s"
        assert _can(connection, "current_setting('idle_in_transaction_session_timeout')") == "1min"
        assert not _can(connection, "has_schema_privilege('monitoring', 'USAGE')")
    with database.connect() as connection:
        comments = connection.execute(
            "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = ANY (%s)",
            (list(roles.values()),),
        ).fetchall()
    assert len(comments) == 3
    assert all(str(comment).startswith("sbpgmon: ") for (comment,) in comments)


def test_a_role_that_is_there_is_left_as_it_is(
    database: Database, roles: dict[str, str], make_role: Callable[..., str]
) -> None:
    roles["grafana"] = make_role("grafana")
    assert _psql(database.dsn(), grants_sql(database.name, **roles)).returncode == 0
    with database.connect() as connection:
        found = connection.execute(
            "SELECT shobj_description(oid, 'pg_authid'), rolconfig FROM pg_roles WHERE rolname = %s",
            (roles["grafana"],),
        ).fetchone()
        assert found == (None, None)
        # ... so the rollback does not take it for ours.
        dropped = dict(drop_roles(connection, lambda _: None))
    assert roles["grafana"] not in dropped
    assert dropped[roles["reader"]] == "dropped"


def test_a_role_with_createrole_gets_the_most_of_it(
    database: Database, roles: dict[str, str], make_role: Callable[..., str]
) -> None:
    admin = make_role("admin", "LOGIN CREATEROLE")
    with database.connect() as connection:
        connection.execute(f"ALTER DATABASE {database.name} OWNER TO {admin}".encode())
        if connection.info.server_version >= 160000:
            connection.execute(f"GRANT pg_monitor TO {admin} WITH ADMIN OPTION".encode())
    done = _psql(database.dsn(admin), grants_sql(database.name, **roles))
    assert (done.returncode, done.stderr) == (0, "")
    with database.connect(roles["reader"]) as connection:
        assert _can(connection, "pg_has_role(current_user, 'pg_monitor', 'USAGE')")
    with database.connect(admin) as connection:
        dropped = dict(drop_roles(connection, lambda _: None))
        assert {dropped[name] for name in roles.values()} == {"dropped"}
    with database.connect() as connection:
        connection.execute(f"ALTER DATABASE {database.name} OWNER TO CURRENT_USER".encode())


@pytest.fixture
def odd_database(cluster: Server, roles: dict[str, str]) -> Iterator[Database]:
    name = f'Odd "one" 100%s {secrets.token_hex(4)}'
    quoted = name.replace('"', '""')
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{quoted}"'.encode())
    yield Database(cluster, name)
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{quoted}" WITH (FORCE)'.encode())


def test_target_and_store_may_be_two_databases(
    database: Database, odd_database: Database, roles: dict[str, str]
) -> None:
    for each in (database, odd_database):
        with each.connect() as connection:
            connection.execute(f"REVOKE CONNECT ON DATABASE {_quoted(each.name)} FROM PUBLIC".encode())
    script = grants_sql(database.name, store_database=odd_database.name, **roles)
    done = _psql(odd_database.dsn(), script)
    assert (done.returncode, done.stderr) == (0, "")
    with database.connect() as connection:
        for role, target, store in (("reader", 1, 0), ("owner", 0, 1), ("grafana", 0, 1)):
            for name, expected in ((database.name, target), (odd_database.name, store)):
                can = _can(connection, "has_database_privilege(%s, %s, 'CONNECT')", roles[role], name)
                assert can is bool(expected), (role, name)


def test_dropping_roles_keeps_what_hangs_on_something_else(
    database: Database, odd_database: Database, roles: dict[str, str]
) -> None:
    assert _psql(database.dsn(), grants_sql(database.name, **roles)).returncode == 0
    with odd_database.connect() as connection:
        connection.execute("CREATE TABLE public.kept (id int)")
        connection.execute(f'ALTER TABLE public.kept OWNER TO "{roles["owner"]}"'.encode())
        connection.execute(f"GRANT SELECT ON public.kept TO {roles['grafana']}".encode())
    said: list[str] = []
    with database.connect() as connection:
        happened = dict(drop_roles(connection, said.append))
        left = connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY (%s)", (list(roles.values()),))
        assert {name for (name,) in left} == {roles["owner"], roles["grafana"]}
        # What could not be dropped is as it was.
        assert _can(connection, "has_database_privilege(%s, %s, 'CREATE')", roles["owner"], database.name)
    assert happened[roles["reader"]] == "dropped"
    assert odd_database.name in happened[roles["owner"]]
    assert odd_database.name in happened[roles["grafana"]]
    assert any(roles["owner"] in line and "kept" in line for line in said)


def test_the_role_of_the_connection_is_kept(database: Database, roles: dict[str, str]) -> None:
    assert _psql(database.dsn(), grants_sql(database.name, **roles)).returncode == 0
    with database.connect(roles["owner"]) as connection:
        happened = dict(drop_roles(connection, lambda _: None))
    assert happened[roles["owner"]].startswith("kept: you are connected as it")
    # Not a superuser: says so, with the statement to run.
    assert happened[roles["reader"]].startswith("kept: ")
    assert "DROP ROLE" in happened[roles["reader"]]


@pytest.mark.parametrize("name", ["", "x" * 64, "two\nlines", "nul\0"])
def test_names_that_cannot_be_are_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        grants_sql(name)
    with pytest.raises(ConfigError):
        grants_sql("db", owner=name)


def test_no_password_is_in_the_script() -> None:
    script = grants_sql("db")
    assert "PASSWORD '" not in script
    assert "\\password" in script


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
