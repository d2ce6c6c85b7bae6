"""Which schema this program works with, without loading Alembic: a poll must not pay for it."""

from __future__ import annotations

from typing import Any

import psycopg

from sbpgmon.errors import SchemaGoneError, SchemaMismatchError
from sbpgmon.store.connection import GONE, GONE_WAY_OUT
from sbpgmon.store.preflight import own_schema
from sbpgmon.store.schema import REVISION, SCHEMA


def check(conn: psycopg.Connection[Any]) -> None:
    """Raises SchemaGoneError when there is no schema, SchemaMismatchError when it is not for this program."""
    if own_schema(conn) is None:
        raise SchemaGoneError(GONE, GONE_WAY_OUT)
    row = conn.execute(f"SELECT version_num FROM {SCHEMA}.alembic_version".encode()).fetchone()
    revision = row[0] if row else ""
    if revision == REVISION:
        return
    if revision < REVISION:
        raise SchemaMismatchError(
            f"The schema {SCHEMA} has revision {revision}; this program works with {REVISION}.",
            "Run `sbpgmon init`, which upgrades it.",
        )
    raise SchemaMismatchError(
        f"The schema {SCHEMA} has revision {revision}, made by a newer sbpgmon; this program works with {REVISION}.",
        "Upgrade sbpgmon here.",
    )
