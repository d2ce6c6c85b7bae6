"""The connection to the store: opened on demand, without session state, its errors translated."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import errors as pg
from psycopg.rows import dict_row

from sbpgmon.errors import SbpgmonError, SchemaGoneError, StoreError, StoreReadOnlyError, StoreRefusedError
from sbpgmon.sources.deadline import deadline
from sbpgmon.sources.session import connect_kwargs, connection_help, explain, parse_dsn
from sbpgmon.store.schema import SCHEMA

_LOCAL = {
    "statement_timeout": "60s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
    "search_path": "pg_catalog",
    "TimeZone": "UTC",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
}
# The last value of a SELECT: locks the schema itself until the transaction ends. Only DROP SCHEMA is at odds with that,
# and it begins there: it waits before it has locked a table that we may come to, and we wait before we have locked one.
_HELD = (
    f"CASE WHEN to_regnamespace('{SCHEMA}') IS NOT NULL "
    f"THEN pg_get_object_address('schema', '{{{SCHEMA}}}', '{{}}') IS NOT NULL END"
)
DEADLINE_SECONDS = 120.0  # of one transaction, on the client's side; a statement's own limit is shorter
GONE = f"The schema {SCHEMA} is not in the store."
GONE_WAY_OUT = "If it was removed on purpose, nothing is to be done; else run `sbpgmon init`."


class StoreConnection:
    """One connection to the store. Raises StoreError and its kin for whatever goes wrong."""

    def __init__(self, dsn: str, connect_timeout_seconds: float = 5.0) -> None:
        parse_dsn(dsn, "the store")
        self._dsn = dsn
        self._timeout = connect_timeout_seconds
        self._conn: psycopg.Connection[Any] | None = None

    @property
    def raw(self) -> psycopg.Connection[Any]:
        """The open connection, in autocommit; opened anew after it broke."""
        if self._conn is None or self._conn.closed or self._conn.broken:
            with translated():
                self._conn = psycopg.connect(self._dsn, **connect_kwargs(self._timeout))
        return self._conn

    def open(self) -> psycopg.Connection[Any]:
        """A connection of its own, not in autocommit; the caller closes it."""
        with translated():
            return psycopg.connect(self._dsn, **connect_kwargs(self._timeout) | {"autocommit": False})

    def close(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    def cancel(self) -> None:
        """Ends the statement in hand, if there is one; for another thread."""
        conn = self._conn
        if conn is not None and not conn.closed:
            with contextlib.suppress(psycopg.Error, OSError):
                conn.cancel_safe(timeout=2.0)

    @contextlib.contextmanager
    def transaction(self, **settings: str) -> Iterator[psycopg.Connection[Any]]:
        """A transaction with limits that end with it: all of it is there, or nothing."""
        conn = self.raw
        with self._translated(conn), conn.transaction():
            calls = ", ".join(f"set_config('{k}', '{v}', true)" for k, v in (_LOCAL | settings).items())
            conn.execute(f"SELECT {calls}, {_HELD}".encode())
            yield conn

    @contextlib.contextmanager
    def _translated(self, conn: psycopg.Connection[Any]) -> Iterator[None]:
        """translated(), and two things that only the connection knows: that it hung, that the schema is there."""
        with deadline(conn, DEADLINE_SECONDS) as expired:
            try:
                with translated():
                    try:
                        yield
                    except pg.UndefinedTable as error:
                        if conn.closed or not self._has_schema(conn):
                            raise
                        what = f"A table of {SCHEMA} is missing: {explain(error)}."
                        raise StoreError(what, "Run `sbpgmon init`.") from None
            except StoreError as error:
                if not expired.is_set():
                    raise
                raise StoreError(
                    f"The store: no answer within {DEADLINE_SECONDS:g} s.", "See whether the server hangs."
                ) from error

    def _has_schema(self, conn: psycopg.Connection[Any]) -> bool:
        return conn.execute("SELECT FROM pg_namespace WHERE nspname = %s", (SCHEMA,)).rowcount > 0

    def query(self, sql: str, params: Mapping[str, Any] | Sequence[Any] | None = None) -> list[dict[str, Any]]:
        """Rows as dictionaries, read in a read-only transaction."""
        with (
            self.transaction(transaction_read_only="on") as conn,
            conn.cursor(row_factory=dict_row) as cursor,
        ):
            return cursor.execute(sql.encode(), params).fetchall()


# What the store as a whole suffers from; anything else is the fault of one reading.
_OF_THE_STORE = (
    pg.AdminShutdown,
    pg.CannotConnectNow,
    pg.CrashShutdown,
    pg.DeadlockDetected,
    pg.DiskFull,
    pg.InsufficientPrivilege,
    pg.InvalidSchemaName,
    pg.LockNotAvailable,
    pg.OutOfMemory,
    pg.ReadOnlySqlTransaction,
    pg.SerializationFailure,
    pg.TooManyConnections,
    pg.UndefinedTable,
)


def concerns_store(error: psycopg.Error, conn: psycopg.Connection[Any]) -> bool:
    """Whether an error is the store's, so that everything has to wait, or one reading's."""
    return conn.closed or conn.broken or isinstance(error, _OF_THE_STORE)


@contextlib.contextmanager
def holding_schema(
    conn: psycopg.Connection[Any], *, lock_timeout: str | None = None
) -> Iterator[psycopg.Connection[Any]]:
    """A transaction that a DROP SCHEMA waits for, as for StoreConnection.transaction(): for whatever locks two tables.

    Else the two may come to wait for each other, and the server may give up the DROP.
    """
    with conn.transaction():
        limit = f"set_config('lock_timeout', '{lock_timeout}', true), " if lock_timeout else ""
        conn.execute(f"SELECT {limit}{_HELD}".encode())
        yield conn


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turns the driver's errors into ours."""
    try:
        yield
    except SbpgmonError:
        raise
    except (pg.InvalidSchemaName, pg.UndefinedTable) as error:
        raise SchemaGoneError(f"{GONE} ({explain(error)})", GONE_WAY_OUT) from None
    except pg.ReadOnlySqlTransaction as error:
        raise StoreReadOnlyError(
            f"The store is read-only: {explain(error)}.", "Use a primary, and a role that may write."
        ) from None
    except pg.DiskFull as error:
        raise StoreError(
            f"The store's disk is full: {explain(error)}.",
            "Make room; readings wait in the spool until then.",
        ) from None
    except pg.InsufficientPrivilege as error:
        raise StoreRefusedError(
            f"The store refuses: {explain(error)}.",
            f"Use the role that owns {SCHEMA}; `sbpgmon grants` prints it.",
        ) from None
    except psycopg.Error as error:
        raise StoreError(f"The store: {explain(error)}.", connection_help(error)) from None
