"""A connection to one target: opened with limits, used only in read-only transactions, without session state."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import conninfo, errors, pq
from psycopg.abc import PQGen
from psycopg.waiting import Wait

from sbpgmon.config import Target
from sbpgmon.errors import ConfigError, TargetError
from sbpgmon.sources.deadline import deadline

OLDEST_MAJOR = 14
APPLICATION_NAME = "sbpgmon"
LOCK_TIMEOUT_SECONDS = 0.5
# The driver reads times in this form alone, whatever the server's setting. libpq sends it as it does client_encoding,
# which poolers know and keep for each of their clients.
os.environ["PGDATESTYLE"] = "ISO, MDY"


def parse_dsn(dsn: str, where: str) -> dict[str, Any]:
    """A DSN's parts; raises ConfigError without showing the DSN, which may hold a password."""
    try:
        parts = conninfo.conninfo_to_dict(dsn)
    except psycopg.ProgrammingError as error:
        # libpq quotes the part that it does not understand, which may be half of a password.
        may_tell = "password" not in dsn and "@" not in dsn
        reason = str(error).strip().splitlines()[0] if may_tell else "libpq does not understand it"
        raise ConfigError(
            f"The DSN of {where} does not parse: {reason}.",
            'Write it as "host=… port=… dbname=… user=…" or postgresql://user@host:port/dbname.',
        ) from None
    hosts = str(parts.get("host") or "")
    is_split_wrongly = "@" in hosts.replace("@", "", 1) if hosts.startswith("@") else "@" in hosts
    if "://" in dsn:
        _, _, path = dsn.partition("://")[2].partition("?")[0].partition("/")
        is_split_wrongly |= "@" in path
    if is_split_wrongly or not re.fullmatch(r"[\d,]*", str(parts.get("port") or "")):
        # A password with '@', '/' or ':' in it: what is taken for host, port or database is a piece of it.
        raise ConfigError(
            f"The DSN of {where} does not parse: its host, port or database is none.",
            "Percent-encode special characters of a password in a URL (@ is %40, / is %2F), or take it to ~/.pgpass.",
        )
    return parts


def safe_dsn(dsn: str, where: str = "the connection") -> str:
    """The DSN without its password, for people to read."""
    parts = {k: v for k, v in parse_dsn(dsn, where).items() if k not in ("password", "sslpassword")}
    return conninfo.make_conninfo("", **parts)


def connect_kwargs(connect_timeout_seconds: float) -> dict[str, Any]:
    """What every connection of ours is opened with; nothing that would stay on a pooled server connection."""
    return {
        "autocommit": True,
        "prepare_threshold": None,
        "connect_timeout": max(2, round(connect_timeout_seconds)),
        "application_name": APPLICATION_NAME,
        "client_encoding": "UTF8",
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,
    }


class _TooLargeError(Exception):
    pass


def _drain(pgconn: pq.abc.PGconn, max_bytes: int) -> PQGen[tuple[bytes, int]]:
    """Reads a COPY that has begun to its end: the bytes, and how many rows; _TooLargeError past `max_bytes`.

    psycopg's own loop goes through four Python calls and a wait for each row: 10 ms for 5,000 rows, of which
    this one, that waits only when nothing has arrived, takes 2.
    """
    data = bytearray()
    while True:
        size, row = pgconn.get_copy_data(1)
        if size < 0:
            break
        if size > 0:
            data += row
            if len(data) > max_bytes:
                raise _TooLargeError
        else:
            yield Wait.R
            pgconn.consume_input()
    results: list[pq.abc.PGresult] = []
    try:
        while True:
            while pgconn.is_busy():
                yield Wait.R
                pgconn.consume_input()
            if (result := pgconn.get_result()) is None:
                break
            results.append(result)
    except psycopg.OperationalError:
        # The connection is gone; the server may have said why before.
        if not results:
            raise
    if (last := results[0]).status != pq.ExecStatus.COMMAND_OK:
        raise psycopg.errors.error_from_result(last)
    return bytes(data), last.command_tuples or 0


def transport_of(conn: psycopg.Connection[Any]) -> tuple[str, str]:
    """Host (or socket folder) and sslmode of a connection: from the DSN, a service file or the environment."""
    options = {o.keyword.decode(): (o.val or b"").decode() for o in conn.pgconn.info}
    return conn.info.hostaddr or conn.info.host, options.get("sslmode", "")


class Session:
    """One target's connection. Use `transaction()` for everything; `close()` or a `with` block ends it."""

    def __init__(self, target: Target, connect_timeout_seconds: float) -> None:
        """Connects. Raises ConfigError for a DSN that does not parse, TargetError when the server says no."""
        self.target = target
        self._limit: tuple[threading.Event, float] | None = None  # of the deadline in force: expired, seconds
        parse_dsn(target.dsn, f"target {target.name}")
        try:
            self._conn = psycopg.connect(target.dsn, **connect_kwargs(connect_timeout_seconds))
        except psycopg.Error as error:
            raise TargetError(f"Target {target.name}: {explain(error)}.", connection_help(error)) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._conn.close()

    @property
    def is_broken(self) -> bool:
        return self._conn.closed or self._conn.broken

    @property
    def is_late(self) -> bool:
        """Whether the deadline in force has passed: what has not been read by then is not to be read."""
        return self._limit is not None and self._limit[0].is_set()

    @property
    def server_version_num(self) -> int:
        return self._conn.info.server_version

    @property
    def transport(self) -> tuple[str, str]:
        """Host (or socket folder) and sslmode as they are in force, wherever they come from."""
        return transport_of(self._conn)

    @property
    def backend_pid(self) -> int:
        """As the protocol told it; a pooler tells another one than pg_backend_pid()."""
        return self._conn.info.backend_pid

    @contextlib.contextmanager
    def transaction(self, timeout_seconds: float) -> Iterator[tuple[psycopg.Cursor[Any], datetime]]:
        """A read-only transaction with limits that end with it; yields a cursor and the target's clock.

        Raises TargetError for whatever the server says; the transaction is over in any case.
        """
        settings = {
            "statement_timeout": f"{round(timeout_seconds * 1000)}ms",
            "lock_timeout": f"{round(LOCK_TIMEOUT_SECONDS * 1000)}ms",
            "idle_in_transaction_session_timeout": f"{round(timeout_seconds * 1000) + 10_000}ms",
            "search_path": "pg_catalog",
            "jit": "off",
            "TimeZone": "UTC",
        }
        calls = ", ".join(f"pg_catalog.set_config('{name}', '{value}', true)" for name, value in settings.items())
        try:
            with self._conn.cursor() as cursor:
                # One round trip: a simple query of two statements.
                cursor.execute(
                    f"BEGIN READ ONLY; SELECT /* sbpgmon:begin */ pg_catalog.clock_timestamp(), {calls}".encode()
                )
                cursor.nextset()
                row = cursor.fetchone()
                assert row is not None
                yield cursor, row[0].astimezone(UTC)
                cursor.execute("COMMIT")
        except psycopg.Error as error:
            if self._limit is not None and self.is_late:
                raise TargetError(
                    f"Target {self.target.name}: no answer within {self._limit[1]:g} s.",
                    "See whether the server hangs; [agent] deadline is the limit.",
                ) from None
            way_out = _query_help(error) or connection_help(error)
            problem = TargetError(f"Target {self.target.name}: {explain(error)}.", way_out)
            problem.sqlstate = error.sqlstate or ""
            raise problem from None
        finally:
            if not self.is_broken and self._conn.info.transaction_status != pq.TransactionStatus.IDLE:
                with contextlib.suppress(psycopg.Error):
                    self._conn.execute("ROLLBACK")

    def copy_out(self, cursor: psycopg.Cursor[Any], query: str, max_bytes: int) -> tuple[bytes, int]:
        """Binary COPY of a query into memory: the bytes, and how many rows. Raises TargetError past `max_bytes`."""
        try:
            with cursor.copy(query.encode()):
                return self._conn.wait(_drain(self._conn.pgconn, max_bytes))
        except _TooLargeError:
            raise TargetError(
                f"Target {self.target.name}: the snapshot is larger than {max_bytes} bytes.",
                "Let the query return less, or raise [agent] max_snapshot_bytes.",
            ) from None

    @contextlib.contextmanager
    def deadline(self, seconds: float) -> Iterator[None]:
        """Whatever happens in the block ends after `seconds`, also when the server hangs, with a TargetError."""
        with deadline(self._conn, seconds) as expired:
            self._limit = expired, seconds
            try:
                yield
            finally:
                self._limit = None


def explain(error: psycopg.Error) -> str:
    """One line out of a driver's error: the server's words, without the place in our SQL."""
    text = error.diag.message_primary or str(error)
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    # libpq's remarks below the reason.
    remarks = ("Is the server running", "Multiple connection", "password retrieved from file")
    lines = [line for line in lines if not line.startswith(remarks)]
    if error.diag.message_primary is None:
        # libpq tells of every address that it tried; the last one stands for all.
        lines.reverse()
    line = lines[0] if lines else type(error).__name__
    detail = error.diag.message_detail
    state = f" (SQLSTATE {error.sqlstate})" if error.sqlstate else ""
    return (line.rstrip(".") + (f": {detail.rstrip('.')}" if detail else "") + state)[:500]


def _query_help(error: psycopg.Error) -> str:
    """What to do about a query that the server does not understand."""
    if isinstance(error, errors.UndefinedTable | errors.UndefinedFunction | errors.InvalidSchemaName):
        return "Mend the query: search_path is pg_catalog alone, so everything else is written as schema.name."
    if isinstance(error, errors.InsufficientPrivilege):
        return ""
    if isinstance(error, psycopg.ProgrammingError | psycopg.DataError):
        return "Mend the query."
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return "A metric only reads: take what writes out of the query."
    return ""


def connection_help(error: psycopg.Error) -> str:
    """What to do next, by what went wrong."""
    text = str(error)
    for sign, help_ in (
        (
            "password authentication failed",
            "Check the role and its password (~/.pgpass, PGPASSWORD, a service file).",
        ),
        ("no password supplied", "Give the password in ~/.pgpass, PGPASSWORD or a service file."),
        ("does not exist", "Check the name; `sbpgmon grants` prints the SQL for the roles."),
        ("no pg_hba.conf entry", "Let this host and role in by pg_hba.conf."),
        ("permission denied", "Run the SQL that `sbpgmon grants` prints."),
        ("statement timeout", "The query took too long; [metrics.NAME] timeout is its limit."),
        ("too many connections", "The server has no free slot for the agent."),
        ("remaining connection slots", "The server has no free slot for the agent."),
        ("starting up", "The server is starting or recovering; try again in a moment."),
        ("shutting down", "The server is shutting down; the next poll tries again."),
    ):
        if sign in text:
            return help_
    if isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
        return "Check that the server runs and that host and port are right."
    return ""
