"""Statement texts and names: whose, which, and what never reaches the store."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.conftest import Database
from tests.integration.support import Site

pytestmark = pytest.mark.matrix


def _names(site: Site, pattern: str) -> set[tuple[Any, ...]]:
    return set(site.ask("SELECT datname, usename FROM monitoring.statements WHERE query LIKE %s", pattern))


def _everything(site: Site) -> str:
    """All that the store and the state folder hold, as text."""
    rows = site.ask(
        "SELECT format('SELECT coalesce(string_agg(t::text, chr(10)), '''') FROM %s t', oid::regclass) FROM pg_class "
        "WHERE relnamespace = 'monitoring'::regnamespace AND relkind IN ('r', 'v')"
    )
    stored = [str(site.value(query)) for (query,) in rows]
    files = [path.read_bytes().decode("utf-8", "replace") for path in site.state_dir.rglob("*") if path.is_file()]
    return "\n".join(stored + files)


def test_names_outlive_the_role_and_the_database(monitored: Site, make_role: Callable[..., str]) -> None:
    role, gone = make_role("brief"), f"brief_{secrets.token_hex(4)}"
    marker = secrets.token_hex(4)
    with monitored.database.connect() as connection:
        connection.execute(f"CREATE DATABASE {gone}".encode())
    monitored.polled()
    server = monitored.database.server
    with psycopg.connect(server.dsn(gone, role), autocommit=True) as connection:
        connection.execute(f"SELECT 1 AS brief_{marker}".encode())
    monitored.polled()
    monitored.polled()
    pattern = f"%brief_{marker}%"
    assert _names(monitored, pattern) == {(gone, role)}
    with monitored.database.connect() as connection:
        connection.execute(f"DROP DATABASE {gone}".encode())
        connection.execute(f"DROP ROLE {role}".encode())
    monitored.polled()
    monitored.polled()
    assert _names(monitored, pattern) == {(gone, role)}
    top = json.loads(monitored.run("top", "--limit", "10000", "--format", "json").stdout)
    [row] = [row for row in top if f"brief_{marker}" in (row["query"] or "")]
    assert (row["calls"], row["usename"]) == (1, role)


def test_a_new_name_is_followed(monitored: Site, make_role: Callable[..., str]) -> None:
    role, renamed = make_role("before"), make_role("after", create=False)
    marker = secrets.token_hex(4)
    monitored.polled()
    with monitored.database.connect(role) as connection:
        connection.execute(f"SELECT 1 AS follow_{marker}".encode())
    monitored.polled()
    with monitored.database.connect() as connection:
        connection.execute(f"ALTER ROLE {role} RENAME TO {renamed}".encode())
    monitored.polled()
    monitored.polled()
    assert _names(monitored, f"%follow_{marker}%") == {(monitored.database.name, renamed)}


def test_literals_of_utility_statements_never_leave_the_target(monitored: Site, make_role: Callable[..., str]) -> None:
    role, secret = make_role("scrubbed"), f"hush{secrets.token_hex(8)}"
    monitored.polled()
    with monitored.database.connect() as connection:
        for statement in (
            f"ALTER ROLE {role} PASSWORD '{secret}'",
            f"DO $$BEGIN PERFORM '{secret}'; END$$",
            f"/* why */ SET application_name = E'{secret}\\'s'",
            f"COMMENT ON ROLE {role} IS $tag${secret}$tag$",
        ):
            connection.execute(statement.encode())
        seen = connection.execute(
            "SELECT count(*) FROM pg_stat_statements WHERE query LIKE %s", (f"%{secret}%",)
        ).fetchone()
    # The target has it, or the test would prove nothing.
    assert seen is not None
    assert seen[0] >= 3
    monitored.polled()
    monitored.polled()
    assert monitored.value(
        "SELECT count(*) FROM monitoring.statements WHERE query = %s AND calls = 1", f"ALTER ROLE {role} PASSWORD ?"
    )
    assert secret not in _everything(monitored)


def test_texts_off_stores_none(monitored: Site) -> None:
    monitored.configure(texts="off")
    for _ in range(3):
        monitored.polled()
    assert monitored.value("SELECT count(*) FROM monitoring.statement_text") == 0
    assert monitored.value("SELECT count(*) FROM monitoring.statements") > 0


def test_texts_are_fetched_at_most_once_in_a_while(monitored: Site) -> None:
    monitored.configure(agent={"texts_every": "1h"})
    for _ in range(2):
        monitored.polled()
    first = monitored.value("SELECT count(*) FROM monitoring.statement_text")
    marker = secrets.token_hex(4)
    with monitored.database.connect() as connection:
        connection.execute(f"SELECT 1 AS later_{marker}".encode())
    for _ in range(2):
        monitored.polled()
    assert first > 0
    assert monitored.value("SELECT count(*) FROM monitoring.statement_text") == first
    # And the statement is there without its text.
    monitored.configure()
    for _ in range(2):
        monitored.polled()
    assert monitored.value("SELECT sum(calls) FROM monitoring.statements WHERE query LIKE %s", f"%later_{marker}%") == 1


def test_a_text_in_two_databases_is_stored_once(monitored: Site, database: Database) -> None:
    marker = secrets.token_hex(4)
    monitored.polled()
    for each in (monitored.database, database):
        with each.connect() as connection:
            connection.execute(f"SELECT 1 AS twice_{marker}".encode())
    monitored.polled()
    monitored.polled()
    pattern = f"%twice_{marker}%"
    assert monitored.value("SELECT count(*) FROM monitoring.statement_text WHERE query LIKE %s", pattern) == 1
    assert {name for name, _ in _names(monitored, pattern)} == {monitored.database.name, database.name}
