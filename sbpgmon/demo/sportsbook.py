"""Loads the sample sportsbook, and the roles of sbpgmon, into a server."""

from __future__ import annotations

from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sbpgmon.present.grants import grants_sql

DATABASE = "sportsbook"
TENANTS = 8
USERS_PER_TENANT = 250


def load(superuser_dsn: str, *, database: str = DATABASE) -> str:
    """Creates the database with tables, policies and data (about 2 s); returns the superuser's DSN of it.

    Raises psycopg.errors.DuplicateDatabase when it is already there. Roles that are there are kept.
    """
    with psycopg.connect(superuser_dsn, autocommit=True) as connection:
        create = sql.SQL("create database {} encoding 'UTF8' template template0")
        connection.execute(create.format(sql.Identifier(database)))
    dsn = make_conninfo(superuser_dsn, dbname=database)
    _run(dsn, _read("sportsbook.sql"))
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("vacuum (analyze)")
    return dsn


def create_roles(superuser_dsn: str) -> None:
    """Creates sbpgmon_reader, sbpgmon_owner and grafana_reader as `sbpgmon grants` says.

    They are for the database of the DSN, and get no passwords: the demo's server trusts its socket, which
    only we can reach.
    """
    database = str(conninfo_to_dict(superuser_dsn)["dbname"])
    _run(superuser_dsn, grants_sql(database).encode())


def _read(name: str) -> bytes:
    return Path(__file__).with_name(name).read_bytes()


def _run(dsn: str, script: bytes) -> None:
    """Runs a script in one transaction."""
    with psycopg.connect(dsn, client_encoding="UTF8") as connection:
        connection.execute(script)
