"""What lies in the schema and how much room it takes, out of the catalogs: no table is read, however large it is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from sbpgmon.store.partitions import LOG, Partition, partitions
from sbpgmon.store.preflight import set_local
from sbpgmon.store.schema import SCHEMA

COVERAGE, FIXED, STATEMENTS = "coverage", "(fixed)", "stat_statements"
_PART = re.compile(r"(?P<metric>.+?(?:_v\d+)?)_(?P<part>raw|1m|5m|1h|1d|series|last|staging|attributes)")
_SCANNED_BYTES = 16 * 1024 * 1024  # a table without an index on `ts` is read up to here


@dataclass(frozen=True, slots=True)
class StoredTable:
    """One table or partition, or a sequence. `rows` is an estimate; None where nothing is known."""

    name: str
    table_bytes: int  # with TOAST and the maps
    index_bytes: int
    rows: int | None
    has_time_index: bool
    partition: Partition | None
    is_empty: bool

    @property
    def total_bytes(self) -> int:
        return self.table_bytes + self.index_bytes

    @property
    def owner(self) -> tuple[str, str]:
        """Whose it is: metric (or what else it is part of), and tier or part."""
        base = self.partition.parent if self.partition else self.name
        if base == LOG:
            return LOG, "log"
        if base.startswith("statement_text"):
            return STATEMENTS, "texts"
        match = _PART.fullmatch(base)
        return (match["metric"], match["part"]) if match else (FIXED, base)


# Live rows count what came since the last ANALYZE too; a crash of the server forgets them, and its estimate stays.
_TABLES = f"""
SELECT c.relname, %(sizes)s,
  CASE WHEN c.relkind = 'S' THEN 0
       WHEN pg_stat_get_live_tuples(c.oid) > 0 THEN pg_stat_get_live_tuples(c.oid)
       WHEN c.reltuples > 0 OR %(heap)s = 0 THEN greatest(c.reltuples, 0)::bigint END,
  EXISTS (SELECT FROM pg_index AS x JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = x.indkey[0]
          WHERE x.indrelid = c.oid AND x.indisvalid AND a.attname = 'ts'),
  %(heap)s = 0
FROM pg_class AS c WHERE c.relnamespace = '{SCHEMA}'::regnamespace AND c.relkind IN ('r', 'm', 'S')
ORDER BY c.relname
"""
_BLOCK = "current_setting('block_size')::bigint"
_EXACT = {
    "sizes": "coalesce(pg_table_size(c.oid), 0), coalesce(pg_indexes_size(c.oid), 0)",
    "heap": "coalesce(pg_relation_size(c.oid), 0)",
}
# As of the last VACUUM or ANALYZE; opens no table.
_ESTIMATE = {
    "sizes": f"(c.relpages + coalesce((SELECT t.relpages FROM pg_class AS t WHERE t.oid = c.reltoastrelid), 0))::bigint"
    f" * {_BLOCK}, coalesce((SELECT sum(i.relpages) FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid"
    f" WHERE x.indrelid = c.oid), 0)::bigint * {_BLOCK}",
    "heap": "c.relpages::bigint",
}

# The server reads a partition's bounds under a lock; its comment has them too.
_COMMENTS = rf"""
SELECT c.relname, d.parts[1], d.parts[2]::timestamptz, d.parts[3]::timestamptz
FROM pg_class AS c,
  regexp_match(obj_description(c.oid, 'pg_class'), '^Partition of (\S+) from (.+) to (.+)$') AS d (parts)
WHERE c.relnamespace = '{SCHEMA}'::regnamespace AND c.relkind = 'r' AND d.parts IS NOT NULL
"""


def inventory(conn: psycopg.Connection[Any]) -> tuple[list[StoredTable], bool]:
    """All tables of the schema, and whether their sizes are exact; waits for nobody who has locked one."""
    exact = True
    try:
        with conn.transaction():
            set_local(conn, lock_timeout="500ms", statement_timeout="60s")
            there = {partition.name: partition for partition in partitions(conn)}
            rows = conn.execute((_TABLES % _EXACT).encode()).fetchall()
    except psycopg.errors.LockNotAvailable:
        exact = False
        with conn.transaction():
            there = {name: Partition(name, *rest) for name, *rest in conn.execute(_COMMENTS.encode())}
            rows = conn.execute((_TABLES % _ESTIMATE).encode()).fetchall()
    found = [
        StoredTable(name, table, index, count, is_indexed, there.get(name), is_empty)
        for name, table, index, count, is_indexed, is_empty in rows
    ]
    return found, exact


def stretch(conn: psycopg.Connection[Any], tables: Iterable[StoredTable]) -> tuple[datetime, datetime] | None:
    """From when to when there are rows in the partitions of one table; their bounds where reading would take long."""
    full = sorted(
        (t for t in tables if t.partition and not t.is_empty), key=lambda t: t.partition.start if t.partition else 0
    )
    oldest = next((found for t in full if (found := _edge(conn, t, "min")) is not None), None)
    newest = next((found for t in reversed(full) if (found := _edge(conn, t, "max")) is not None), None)
    return (oldest, newest) if oldest is not None and newest is not None else None


def _edge(conn: psycopg.Connection[Any], table: StoredTable, function: str) -> datetime | None:
    assert table.partition is not None
    bounds = {"min": table.partition.start, "max": table.partition.end}
    if not (table.has_time_index or table.table_bytes <= _SCANNED_BYTES):
        return bounds[function]
    query = sql.SQL("SELECT {}(ts) FROM {}").format(sql.SQL(function), sql.Identifier(SCHEMA, table.name))
    try:
        with conn.transaction():
            set_local(conn, lock_timeout="100ms")
            row = conn.execute(query).fetchone()
    except psycopg.errors.LockNotAvailable:
        return bounds[function]
    except psycopg.errors.UndefinedTable:
        return None  # it has just been dropped
    return row[0] if row else None
