"""A SQL_ASCII database, which checks nothing: bytes that are no UTF-8 in names and texts, in target and store."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.conftest import Database, Server
from tests.integration.support import READER, SNAPSHOTS, TARGET, Site, create_schema, make_roles

pytestmark = pytest.mark.matrix
LATIN_1 = b"caf\xe9"


@pytest.fixture
def ascii_database(cluster: Server) -> Iterator[Database]:
    database = Database(cluster, f"ascii_{secrets.token_hex(4)}")
    name = sql.Identifier(database.name)
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0").format(name)
        )
    make_roles(database)
    with database.connect(client_encoding="SQL_ASCII") as connection:
        connection.execute("CREATE EXTENSION pg_stat_statements")
    yield database
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def _work(database: Database) -> None:
    with database.connect(client_encoding="SQL_ASCII") as connection:
        connection.execute(b'SELECT 1 AS "' + LATIN_1 + b"\", '" + LATIN_1 + b"'")
        connection.execute(b"SET application_name = '" + LATIN_1 + b"'")
        connection.execute(b"COMMENT ON SCHEMA public IS '" + LATIN_1 + b"'")


SHOPS = (
    "-- Shops.\n--\n-- interval: 15s\n-- columns:\n--   shop  key    text     name\n--   n     gauge  integer  number\n"
    "select name as shop, 1 as n from public.shop\n"
)


def test_a_target_in_sql_ascii(monitored: Site, ascii_database: Database) -> None:
    with ascii_database.connect(client_encoding="SQL_ASCII") as connection:
        connection.execute("CREATE TABLE public.shop (name text); GRANT SELECT ON public.shop TO pg_monitor")
        connection.execute(b"INSERT INTO public.shop VALUES ('" + LATIN_1 + b"'), ('plain')")
    monitored.add_file("metrics/shops.sql", SHOPS)
    monitored.targets = {TARGET: ascii_database.dsn(READER)}
    monitored.configure(queries_dir="queries", metrics={"shops": {"interval": "100ms"}})
    for _ in range(3):
        _work(ascii_database)
        assert monitored.polled().snapshots == len(SNAPSHOTS) + 1
    # One byte that nobody can read, one mark.
    assert monitored.ask("SELECT DISTINCT shop FROM monitoring.shops ORDER BY 1") == [("caf?",), ("plain",)]
    texts = monitored.ask("SELECT DISTINCT query, calls FROM monitoring.statements WHERE query LIKE 'SELECT $1 AS%'")
    assert texts == [('SELECT $1 AS "caf\N{REPLACEMENT CHARACTER}", $2', 1)]
    monitored.run("top")
    monitored.run("status")
    doctor = " ".join(monitored.run("doctor").stdout.split())
    assert f"warn {TARGET}: encoding: the database is SQL_ASCII" in doctor
    assert monitored.is_consistent()


def test_a_store_in_sql_ascii(ascii_database: Database, monitored: Site, tmp_path: Path) -> None:
    create_schema(ascii_database)
    site = Site(ascii_database, tmp_path / "ascii", dict(monitored.targets))
    with monitored.database.connect() as connection:
        connection.execute('CREATE TABLE public."café" (id int)')
    for _ in range(3):
        with monitored.database.connect() as connection:
            connection.execute('SELECT 1 AS "café ☕"')
        site.polled()
    with ascii_database.connect(client_encoding="UTF8") as connection:
        found = connection.execute("SELECT query FROM monitoring.statements WHERE query LIKE '%caf%'").fetchone()
    assert found == ('SELECT $1 AS "café ☕"',)
    assert "warn store: encoding:" in " ".join(site.run("doctor").stdout.split())
    assert "café" in site.run("top", "--limit", "10000", "--format", "csv").stdout


@pytest.mark.parametrize("encoding", ["LATIN1", "EUC_JP"])
def test_other_encodings_are_converted(cluster: Server, monitored: Site, encoding: str) -> None:
    database = Database(cluster, f"enc_{secrets.token_hex(4)}")
    name = sql.Identifier(database.name)
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        query = sql.SQL("CREATE DATABASE {} ENCODING {} LOCALE 'C' TEMPLATE template0")
        connection.execute(query.format(name, sql.Literal(encoding)))
    try:
        make_roles(database)
        word = "café" if encoding == "LATIN1" else "日本"
        monitored.targets = {TARGET: database.dsn(READER)}
        monitored.configure()
        with database.connect() as connection:
            connection.execute("CREATE EXTENSION pg_stat_statements")
        monitored.polled()
        for _ in range(2):
            with database.connect(client_encoding="UTF8") as connection:
                connection.execute(f'SELECT 1 AS "{word}"'.encode())
            monitored.polled()
        query_text = "SELECT DISTINCT query FROM monitoring.statements WHERE query LIKE %s"
        assert monitored.ask(query_text, "SELECT $1 AS%") == [(f'SELECT $1 AS "{word}"',)]
    finally:
        with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
