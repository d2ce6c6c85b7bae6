"""Synthetic readings for the real writer: rows that the server itself turns into binary COPY."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from sbpgmon.catalog.catalog import Catalog
from sbpgmon.model import Metric, Reading, Server, Status, TargetPoll, WriteResult
from sbpgmon.store.connection import StoreConnection
from sbpgmon.store.spool import Spool
from sbpgmon.store.writer import Writer
from tests.conftest import Database
from tests.conftest import Server as TestServer
from tests.unit.catalog_files import server

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)

Row = Sequence[object]


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@contextlib.contextmanager
def scratch(cluster: TestServer, template: str = "template1") -> Iterator[Database]:
    """A database with a random name, for as many tests as the caller likes."""
    database = Database(cluster, f"test_{secrets.token_hex(6)}")
    names = sql.Identifier(database.name), sql.Identifier(template)
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*names))
    try:
        yield database
    finally:
        with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(names[0]))


def binary(conn: psycopg.Connection[Any], columns: Sequence[tuple[str, str]], rows: Sequence[Row]) -> bytes:
    """The rows as a target would send them."""
    picked = ", ".join(f'v."{name}"::{type_} AS "{name}"' for name, type_ in columns)
    names = ", ".join(f'"{name}"' for name, _ in columns)
    # The first row gives VALUES its types, and is left out.
    typed = ", ".join(f"NULL::{type_}" for _, type_ in columns)
    listed = "".join(
        f", ({', '.join(sql.Literal(value).as_string(conn) for value in row)}, {number})"
        for number, row in enumerate(rows, start=1)
    )
    query = (
        f"COPY (SELECT {picked} FROM (VALUES ({typed}, 0){listed}) AS v ({names}, number) WHERE number > 0 "
        "ORDER BY number) TO STDOUT (FORMAT binary)"
    )
    with conn.cursor().copy(query.encode()) as copy:
        return b"".join(bytes(chunk) for chunk in copy)


@dataclass
class Lab:
    """A store with a catalog of the test's own; each test takes a target of its own."""

    database: Database
    catalog: Catalog = field(repr=False)
    folder: Path
    role: str = "postgres"
    store: StoreConnection = field(init=False)
    writer: Writer = field(init=False)
    target: str = "app"

    def __post_init__(self) -> None:
        self.store = StoreConnection(self.database.dsn(self.role))
        self.writer = Writer(self.store, self.catalog, Spool(self.folder, 10**8), "lab")

    def another(self) -> Lab:
        """The same store with a fresh target."""
        lab = Lab(self.database, self.catalog, self.folder)
        lab.target = f"t{secrets.token_hex(4)}"
        return lab

    def reading(
        self,
        metric: str,
        rows: Sequence[Row] | None,
        seconds: float,
        *,
        columns: Sequence[str] | None = None,
        lacks: Sequence[str] = (),
        skew: float | None = 0.0,
        failed: Status = Status.ERROR,
    ) -> Reading:
        """A reading at so many seconds after noon; no rows at all: one that failed, in that way."""
        taken = self.catalog.metrics[metric]
        types = [(c.name, c.type.name) for c in taken.columns]
        if columns is not None:
            types = [(name, dict(types)[name]) for name in columns]
        interval = taken.interval_seconds
        return Reading(
            metric=metric,
            slot=int(seconds // interval),
            target_time=None if skew is None else at(seconds + skew),
            agent_time=at(seconds),
            interval_seconds=interval,
            duration_seconds=0.01,
            status=failed if rows is None else Status.OK,
            error="boom" if rows is None else "",
            rows=len(rows or ()),
            data=b"" if rows is None else binary(self.store.raw, types, rows),
            columns=tuple(types),
            lacks=tuple(lacks),
        )

    def write(
        self,
        metric: str,
        rows: Sequence[Row] | None,
        seconds: float,
        *,
        marks: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> WriteResult:
        """One poll with one reading. `marks` are what the server says of itself."""
        reading = self.reading(metric, rows, seconds, **more)
        polled: Server = server(**dict(marks or {}))
        return self.writer.write(TargetPoll(self.target, polled, (reading,)))

    def rows(self, view: str, columns: str = "*") -> list[dict[str, Any]]:
        """The rows of our target in a view, oldest first, `time` in seconds after noon."""
        with self.store.raw.cursor(row_factory=dict_row) as cursor:
            query = (
                f"SELECT extract(epoch FROM time - '{NOON.isoformat()}'::timestamptz)::float8 AS at, {columns} "
                f'FROM monitoring."{view}" WHERE target = %s ORDER BY time, series_id'
            )
            return cursor.execute(query.encode(), (self.target,)).fetchall()

    def snapshots(self, metric: str) -> list[dict[str, Any]]:
        """What the log says, oldest first."""
        with self.store.raw.cursor(row_factory=dict_row) as cursor:
            query = "SELECT * FROM monitoring.snapshot WHERE target = %s AND metric = %s ORDER BY time"
            return cursor.execute(query, (self.target, metric)).fetchall()

    def rows_of_coverage(self, metric: str) -> dict[str, dict[float, tuple[int, float]]]:
        """Tier -> seconds after noon -> polls, covered seconds: of our target."""
        query = (
            f"SELECT tier, extract(epoch FROM time - '{NOON.isoformat()}'::timestamptz)::float8, polls, "
            "covered_seconds FROM monitoring.coverage WHERE target = %s AND metric = %s"
        )
        found: dict[str, dict[float, tuple[int, float]]] = {}
        for tier, seconds, polls, covered in self.store.raw.execute(query.encode(), (self.target, metric)):
            assert seconds not in found.setdefault(tier, {}), "two rows of one bucket"
            found[tier][seconds] = polls, covered
        return found

    def lost_polls(self, metric: str) -> dict[str, dict[float, int | None]]:
        """Tier -> seconds after noon -> polls that did not reach our target."""
        query = (
            f"SELECT tier, extract(epoch FROM time - '{NOON.isoformat()}'::timestamptz)::float8, lost "
            "FROM monitoring.coverage WHERE target = %s AND metric = %s"
        )
        found: dict[str, dict[float, int | None]] = {}
        for tier, seconds, lost in self.store.raw.execute(query.encode(), (self.target, metric)):
            before = found.setdefault(tier, {}).get(seconds, 0)
            found[tier][seconds] = None if lost is None or before is None else before + lost
        return found

    def metric(self, name: str) -> Metric:
        return self.catalog.metrics[name]
