"""What snapshots leave behind in the store, in bytes on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import psycopg

SNAPSHOTS_A_DAY = 1440

# Partitions with their indexes and forks; what has no rows yet counts too, and falls out of the difference.
_FACTS = """
SELECT coalesce(sum(pg_relation_size(relid)), 0), coalesce(sum(pg_total_relation_size(relid)), 0)
FROM pg_partition_tree('monitoring.stat_statements_1m') WHERE isleaf
"""
# Not growing with time: they stay as large as there are statements.
_FIXED = """
SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)
FROM pg_class AS c
WHERE c.relnamespace = 'monitoring'::regnamespace AND c.relkind = 'r' AND NOT c.relispartition
"""
_MOVED = """
SELECT coalesce(avg(num_nonnulls({counters})), 0) FROM monitoring.stat_statements_1m WHERE quality IS NULL
"""
_COUNTERS = """
SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
WHERE attrelid = 'monitoring.stat_statements_1m'::regclass AND attnum > 0
AND attname NOT IN ('ts', 'series_id', 'target_id', 'quality')
"""
_LOG_COLUMNS = """
SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
WHERE attrelid = 'monitoring.snapshot_log'::regclass AND attnum > 0 AND NOT attisdropped AND attname <> 'ts'
"""


@dataclass(frozen=True, slots=True)
class Storage:
    """Sizes in bytes, counts of rows; a difference of two says what was added in between."""

    facts: int  # rows
    heap_bytes: int  # of the facts, without indexes
    facts_bytes: int  # indexes and forks included
    fixed_bytes: int  # series, last counters, texts and the like: not a difference
    log_bytes_a_day: int  # snapshot_log with its index, at one snapshot a minute: not a difference
    counters_moved: float  # mean of a fact's counters that are not zero: not a difference

    def __sub__(self, before: Self) -> Storage:
        return Storage(
            self.facts - before.facts,
            self.heap_bytes - before.heap_bytes,
            self.facts_bytes - before.facts_bytes,
            self.fixed_bytes,
            self.log_bytes_a_day,
            self.counters_moved,
        )


def measure_storage(conn: psycopg.Connection[Any]) -> Storage:
    """Reads the sizes in the store as they are now."""
    heap, total = _row(conn, _FACTS)
    (facts,) = _row(conn, "SELECT count(*) FROM monitoring.stat_statements_1m")
    (fixed,) = _row(conn, _FIXED)
    (counters,) = _row(conn, _COUNTERS)
    (moved,) = _row(conn, _MOVED.format(counters=counters))
    return Storage(int(facts), int(heap), int(total), int(fixed), _log_bytes_a_day(conn), float(moved))


def _log_bytes_a_day(conn: psycopg.Connection[Any]) -> int:
    """Size of a day of one metric's snapshot_log: the last row, minute after minute, in a table like it.

    A run's own rows fill less than a page, so that its size says nothing.
    """
    (others,) = _row(conn, _LOG_COLUMNS)
    conn.execute(b"CREATE TEMPORARY TABLE log_day (LIKE monitoring.snapshot_log INCLUDING ALL)")
    conn.execute(
        f"INSERT INTO log_day (ts, {others}) SELECT ts + minute * interval '1 minute', {others} "
        f"FROM (SELECT * FROM monitoring.snapshot_log ORDER BY ts DESC LIMIT 1) AS l, "
        f"generate_series(1, {SNAPSHOTS_A_DAY}) AS minute".encode()
    )
    (size,) = _row(conn, "SELECT pg_total_relation_size('log_day')")
    conn.execute(b"DROP TABLE log_day")
    return int(size)


def _row(conn: psycopg.Connection[Any], sql: str) -> tuple[Any, ...]:
    row = conn.execute(sql.encode()).fetchone()
    assert row is not None
    return tuple(row)
