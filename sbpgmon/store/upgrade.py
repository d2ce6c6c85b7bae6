"""Creates and upgrades the schema: Alembic for the fixed part, the catalog for the metrics, in one transaction."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import sqlalchemy
import sqlalchemy.exc
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.pool import NullPool

from sbpgmon.catalog.catalog import Catalog
from sbpgmon.errors import QueryFileError, SchemaMismatchError
from sbpgmon.resources import resource_dir
from sbpgmon.store import ddl
from sbpgmon.store.connection import StoreConnection, translated
from sbpgmon.store.functions import create_functions
from sbpgmon.store.partitions import fixed_parents, metric_parents, partition_sql, wanted
from sbpgmon.store.policy import RetentionOf, policy_sql, production
from sbpgmon.store.preflight import (
    own_schema,
    refuse_unsuitable,
    revoke_default_privileges,
    revoke_default_privileges_sql,
)
from sbpgmon.store.schema import MARK, REVISION, SCHEMA
from sbpgmon.store.sync import grant_readers, sync
from sbpgmon.store.sync_views import by_need
from sbpgmon.store.tiers import create_tiers
from sbpgmon.store.views import derived_view, insert_metric, metric_view

_VERSION_COMMENT = f"COMMENT ON TABLE {SCHEMA}.alembic_version IS 'Revision of the fixed part'"


def init(
    store: StoreConnection,
    catalog: Catalog,
    readers: list[str],
    problems: list[QueryFileError] | None = None,
    retention_of: RetentionOf = production,
) -> list[str]:
    """Creates or upgrades the schema; returns what was done, a line each (empty: it was up to date).

    All or nothing, but for derived views that the store refuses: they are added to `problems`. Raises
    StoreRefusedError, SchemaMismatchError.
    """
    with translated():
        refuse_unsuitable(store.raw)
    done: list[str] = []
    with _transaction(store) as (connection, conn):
        is_new = own_schema(conn) is None
        if is_new:
            conn.execute(f"CREATE SCHEMA {SCHEMA}".encode())
            conn.execute(f"COMMENT ON SCHEMA {SCHEMA} IS {ddl.literal(MARK)}".encode())
            done.append(f"schema {SCHEMA}")
        before = _revision(conn)
        _refuse_newer(before)
        if before != REVISION:
            _migrate(connection)
            conn.execute(_VERSION_COMMENT.encode())
            done.append(f"fixed part: revision {REVISION}")
        # Only where there is something to do: who makes partitions locks this table after others, we before them.
        if conn.execute(f"SELECT FROM {SCHEMA}.control WHERE stop_requested_at IS NOT NULL".encode()).rowcount:
            conn.execute(f"UPDATE {SCHEMA}.control SET stop_requested_at = NULL, stop_reason = NULL".encode())
        if is_new:
            revoke_default_privileges(conn)
        done += sync(conn, catalog, readers, [] if problems is None else problems, retention_of)
        grant_readers(conn, readers)
    return done


def init_sql(catalog: Catalog, readers: list[str], retention_of: RetentionOf = production) -> str:
    """The DDL of a new schema as one script for psql, in one transaction."""
    out = io.StringIO()
    config = _config()
    config.output_buffer = out
    command.upgrade(config, "head", sql=True)
    fixed = out.getvalue().replace("BEGIN;\n", "").replace("COMMIT;\n", "").strip()
    statements = [_VERSION_COMMENT]
    for metric in catalog.metrics.values():
        statements += [*ddl.create_metric(metric), *create_tiers(metric), insert_metric(metric), *metric_view(metric)]
    for name in by_need(catalog):
        statements += derived_view(catalog.views[name])
    statements += policy_sql(catalog.metrics.values(), retention_of)
    for function in create_functions(catalog, retention_of).values():
        statements += function
    parents = fixed_parents(retention_of(""))
    for metric in catalog.metrics.values():
        parents |= metric_parents(metric, retention_of(metric.name))
    for partition in wanted(parents, [datetime.now(UTC)]):
        statements += partition_sql(partition)
    statements.append(revoke_default_privileges_sql())
    views = ", ".join(f"{SCHEMA}.{ddl.quote(name)}" for name in (*catalog.metrics, *catalog.views))
    for reader in readers:
        role = ddl.quote(reader)
        statements.append(
            f"DO $do$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = {ddl.literal(reader)}) THEN\n"
            f"  GRANT USAGE ON SCHEMA {SCHEMA} TO {role};\n  GRANT SELECT ON {views} TO {role};\n"
            f"  GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {SCHEMA} TO {role};\nEND IF; END $do$"
        )
    begin = ["BEGIN", f"CREATE SCHEMA {SCHEMA}", f"COMMENT ON SCHEMA {SCHEMA} IS {ddl.literal(MARK)}"]
    return ";\n".join([*begin, fixed.rstrip(";"), *statements, "COMMIT"]) + ";\n"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(resource_dir("migrations")))
    config.set_main_option("path_separator", "os")
    return config


@contextlib.contextmanager
def _transaction(store: StoreConnection) -> Iterator[tuple[sqlalchemy.Connection, psycopg.Connection[Any]]]:
    """One transaction for both: Alembic's SQLAlchemy connection, and the driver's connection below it."""
    engine = sqlalchemy.create_engine("postgresql+psycopg://", creator=store.open, poolclass=NullPool)
    with translated(), engine.begin() as connection:
        conn = connection.connection.driver_connection
        assert isinstance(conn, psycopg.Connection)
        conn.execute("SET LOCAL statement_timeout = '10min'; SET LOCAL lock_timeout = '10s'")
        conn.execute("SET LOCAL search_path = pg_catalog; SET LOCAL TimeZone = 'UTC'")
        try:
            yield connection, conn
        except sqlalchemy.exc.DBAPIError as error:
            raise (error.orig or error) from None


def _migrate(connection: sqlalchemy.Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _revision(conn: psycopg.Connection[Any]) -> str | None:
    there = conn.execute("SELECT to_regclass(%s)", (f"{SCHEMA}.alembic_version",)).fetchone()
    if there is None or there[0] is None:
        return None
    row = conn.execute(f"SELECT version_num FROM {SCHEMA}.alembic_version".encode()).fetchone()
    return row[0] if row else None


def _refuse_newer(revision: str | None) -> None:
    if revision is None:
        return
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if revision not in known:
        raise SchemaMismatchError(
            f"The schema {SCHEMA} has revision {revision}; this program knows none beyond {REVISION}.",
            "Upgrade sbpgmon here: a newer one made or upgraded the schema.",
        )
