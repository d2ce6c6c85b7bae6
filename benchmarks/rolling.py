"""What a roll-up costs: the last step of every tier is taken back and done again, by the product's own code."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg

from benchmarks.figures import MB, Figure
from sbpgmon.model import TIER_SECONDS
from sbpgmon.store.connection import StoreConnection
from sbpgmon.store.policy import stored_metrics
from sbpgmon.store.rollup import roll_up
from sbpgmon.store.schema import SCHEMA
from sbpgmon.store.tiers import table

# Tier -> how much of it one pass of five minutes does (of 1h and 1d, what the pass does that comes to their end).
_STEP_SECONDS = {"1m": 300, "5m": 300, "1h": 3600, "1d": 86400}


def measure(conn: psycopg.Connection[Any], dsn: str) -> Iterator[Figure]:
    """Time and WAL of one step, by tier. `conn` in autocommit."""
    metrics = stored_metrics(conn)
    with contextlib.closing(StoreConnection(dsn)) as store:
        store.query("SELECT")
        for tier, seconds in _STEP_SECONDS.items():
            # The metrics that have this tier, apart from their finest.
            deep = {metric_id: metric for metric_id, metric in metrics.items() if tier in metric.tiers[1:]}
            for metric_id, metric in deep.items():
                _take_back(conn, metric_id, metric.name, tier, max(seconds, TIER_SECONDS[tier]))
            before, began = _wal_bytes(conn), time.perf_counter()
            rows = 0
            for metric_id, metric in deep.items():
                while rolled := roll_up(store, metric, metric_id, tier):
                    rows += rolled.rows
            elapsed = time.perf_counter() - began
            name = f"roll-up of {seconds // 60} min into {tier}" if seconds < 86400 else f"roll-up of a day into {tier}"
            yield Figure(f"{name}, {rows:,} rows", "ms", elapsed * 1e3)
            yield Figure("  its WAL", "MB", (_wal_bytes(conn) - before) / MB)


def _take_back(conn: psycopg.Connection[Any], metric_id: int, name: str, tier: str, seconds: float) -> None:
    with conn.transaction():
        row = conn.execute(
            f"SELECT watermark FROM {SCHEMA}.rollup WHERE metric_id = %s AND tier = %s".encode(), (metric_id, tier)
        ).fetchone()
        if row is None or row[0] is None:
            return
        first = row[0] - timedelta(seconds=seconds)
        conn.execute(f"DELETE FROM {table(name, tier)} WHERE ts >= %s".encode(), (first,))
        conn.execute(
            f"DELETE FROM {table('coverage', tier)} WHERE ts >= %s AND metric_id = %s".encode(),
            (first, metric_id),
        )
        conn.execute(
            f"UPDATE {SCHEMA}.rollup SET watermark = %s WHERE metric_id = %s AND tier = %s".encode(),
            (first, metric_id, tier),
        )


def _wal_bytes(conn: psycopg.Connection[Any]) -> int:
    row = conn.execute("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint").fetchone()
    assert row is not None
    return int(row[0])
