"""Rolls each metric up, tier by tier, and adds what comes late to the buckets that were rolled up before.

A watermark for each metric and tier says up to where the tier is complete. Whoever writes rows locks the table
`rollup` in ROW SHARE mode and reads the watermarks; a roll-up locks it in EXCLUSIVE mode: so a row is either seen by
the roll-up or known by its writer to be late, never neither and never both. Readers are not concerned.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from sbpgmon.errors import StoreError
from sbpgmon.model import LOST, TIER_SECONDS, Metric
from sbpgmon.sources.session import explain
from sbpgmon.store.connection import StoreConnection, concerns_store
from sbpgmon.store.partitions import ensure_partitions, period, stored_parents
from sbpgmon.store.schema import SCHEMA
from sbpgmon.store.snapshot import Snapshot
from sbpgmon.store.tiers import bucket, counted, coverage_sql, roll_up_sql, table

LAG_SECONDS = 60.0  # a poll takes its time: what comes later is late, which is right but dearer
# What one transaction rolls up: writers wait for it.
_CHUNK_SECONDS = {"1m": 1800, "5m": 3600, "1h": 6 * 3600, "1d": 86400}

Watermarks = Mapping[tuple[int, str], datetime]  # metric, tier -> up to here it is rolled up


@dataclass(frozen=True, slots=True)
class Rolled:
    """What one roll-up did."""

    metric: str
    tier: str
    rows: int
    seconds: float


class RollUpError(StoreError):
    """The rows of one metric cannot be rolled up; the store is well, and so are the other metrics."""


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Whole buckets that can be rolled up now: [start, end)."""

    start: datetime
    end: datetime
    is_first: bool  # the tier has no watermark yet
    is_empty: bool  # neither rows nor polls


def horizon(conn: psycopg.Connection[Any]) -> datetime | None:
    """The time up to which there can be data: the store's clock or the last snapshot, whichever is earlier.

    A store whose clock runs ahead must not age what has just come. None: no snapshot yet.
    """
    row = conn.execute(f"SELECT least(now(), max(last_ts)) FROM {SCHEMA}.metric_state HAVING count(*) > 0".encode())
    found = row.fetchone()
    return found[0] if found else None


def read_watermarks(conn: psycopg.Connection[Any]) -> Watermarks:
    """Locks out roll-ups until the transaction ends, and says how far they got."""
    conn.execute(f"LOCK TABLE {SCHEMA}.rollup IN ROW SHARE MODE".encode())
    rows = conn.execute(f"SELECT metric_id, tier, watermark FROM {SCHEMA}.rollup WHERE watermark IS NOT NULL".encode())
    return {(metric_id, tier): watermark for metric_id, tier, watermark in rows}


def add_late(snapshot: Snapshot, interval_seconds: float | None, watermarks: Watermarks) -> None:
    """Adds a snapshot, good or lost, that has just been stored to the tiers that were rolled up beyond it."""
    metric, metric_id, target_id, ts, conn = (
        snapshot.metric, snapshot.metric_id, snapshot.target_id, snapshot.ts, snapshot.conn
    )  # fmt: skip
    # By what the store has: the tiers of the file may be others by now, and what it left out still feeds the next.
    late = [tier for (number, tier), mark in watermarks.items() if number == metric_id and ts < mark]
    if not late:
        return
    parents = stored_parents(conn)
    made = ("coverage",) if snapshot.is_lost else (metric.name, "coverage")
    tables = [f"{name}_{tier}" for tier in late for name in made]
    ensure_partitions(conn, {name: parents[name] for name in tables}, [_start(ts, tier) for tier in late])
    params = {"metric_id": metric_id, "target_id": target_id, "ts": ts, "seconds": interval_seconds or 0.0}
    params |= {"polls": 0, "lost": 1} if snapshot.is_lost else {"polls": 1, "lost": None}
    for tier in late:
        start = bucket(tier, "%(ts)s::timestamptz")
        conn.execute(
            f"INSERT INTO {table('coverage', tier)} (ts, target_id, metric_id, polls, covered_seconds, lost) "
            f"VALUES ({start}, %(target_id)s, %(metric_id)s, %(polls)s, %(seconds)s, %(lost)s)".encode(),
            params,
        )
        if snapshot.is_ok:
            where = "f.ts = %(ts)s AND f.target_id = %(target_id)s"
            conn.execute(roll_up_sql(metric, metric.tier, tier, where, is_whole=False).encode(), params)
        conn.execute(
            f"INSERT INTO {SCHEMA}.late_bucket (metric_id, tier, target_id, ts) "
            f"VALUES (%(metric_id)s, '{tier}', %(target_id)s, {start}) ON CONFLICT DO NOTHING".encode(),
            params,
        )


def roll_up(store: StoreConnection, metric: Metric, metric_id: int, tier: str) -> Rolled | None:
    """One step of one tier, in a transaction of its own; None when there is nothing to do (yet).

    Raises RollUpError where it is the metric's fault, else StoreError and its kin; what was interrupted is done again.
    """
    with store.transaction() as conn:
        try:
            return _roll_up(conn, metric, metric_id, tier)
        except (psycopg.DataError, psycopg.ProgrammingError, psycopg.IntegrityError) as error:
            if concerns_store(error, conn):
                raise
            what = f"{metric.name} cannot be rolled up into {tier}: {explain(error)}."
            raise RollUpError(what, "Nothing of it is dropped until it can be; see the values that it reads.") from None


def _roll_up(conn: psycopg.Connection[Any], metric: Metric, metric_id: int, tier: str) -> Rolled | None:
    started = time.monotonic()
    source = metric.tiers[metric.tiers.index(tier) - 1]
    conn.execute(f"LOCK TABLE {SCHEMA}.rollup IN EXCLUSIVE MODE".encode())
    merged = _merge_late(conn, metric, metric_id, tier)
    stretch = _stretch(conn, metric, metric_id, source, tier)
    if stretch is None:
        return Rolled(metric.name, tier, merged, time.monotonic() - started) if merged else None
    rows = merged
    if stretch.is_first:
        # Tables that this metric had before have ended in the midst of a bucket: it is counted anew.
        conn.execute(
            f"DELETE FROM {table('coverage', tier)} WHERE metric_id = %s AND ts >= %s AND ts < %s".encode(),
            (metric_id, stretch.start, stretch.end),
        )
    if not stretch.is_empty:
        rows += _roll(conn, metric, metric_id, source, tier, stretch.start, stretch.end)
    seconds = time.monotonic() - started
    conn.execute(
        f"UPDATE {SCHEMA}.rollup SET watermark = %s, rolled_at = now(), rows = %s, seconds = %s "
        "WHERE metric_id = %s AND tier = %s".encode(),
        (stretch.end, rows, seconds, metric_id, tier),
    )
    return Rolled(metric.name, tier, rows, seconds)


def finish(conn: psycopg.Connection[Any], metric: Metric, metric_id: int) -> None:
    """Rolls all rows up, the last bucket of each tier too, in the caller's transaction: no more rows will come."""
    conn.execute(f"LOCK TABLE {SCHEMA}.rollup IN EXCLUSIVE MODE".encode())
    for source, tier in itertools.pairwise(metric.tiers):
        _merge_late(conn, metric, metric_id, tier)
        row = conn.execute(
            f"SELECT coalesce((SELECT watermark FROM {SCHEMA}.rollup WHERE metric_id = %s AND tier = %s), min(ts)), "
            f"max(ts) FROM {table(metric, source)}".encode(),
            (metric_id, tier),
        ).fetchone()
        if row is None or row[1] is None:
            return
        start, end = _start(row[0], tier), _start(row[1], tier) + timedelta(seconds=TIER_SECONDS[tier])
        if start < end:
            _roll(conn, metric, metric_id, source, tier, start, end)


def _stretch(conn: psycopg.Connection[Any], metric: Metric, metric_id: int, source: str, tier: str) -> _Stretch | None:
    """From where to where the tier can be rolled up now."""
    until = horizon(conn)
    if until is None:
        return None
    until -= timedelta(seconds=LAG_SECONDS)
    marks: dict[str, datetime | None] = dict(
        conn.execute(
            f"SELECT tier, watermark FROM {SCHEMA}.rollup WHERE metric_id = %s".encode(), (metric_id,)
        ).fetchall()
    )
    if tier not in marks:
        return None
    if source != metric.tier:
        mark = marks.get(source)
        if mark is None:
            return None
        until = min(until, mark)
    start = marks[tier]
    is_first = start is None
    if start is None:
        first = _first(conn, metric, metric_id, source, tier, None)
        if first is None:
            return None
        start = _start(first, tier)
    last = _start(until, tier)
    end = min(last, start + timedelta(seconds=_CHUNK_SECONDS[tier]))
    if start >= end:
        return None
    is_empty = _is_empty(conn, metric, metric_id, source, start, end)
    if is_empty:
        # Where nobody polled for months, there is nothing to make partitions for.
        following = _first(conn, metric, metric_id, source, tier, start)
        end = last if following is None else max(end, min(last, _start(following, tier)))
    return _Stretch(start, end, is_first, is_empty)


def _polls(metric: Metric, source: str) -> str:
    """What the coverage is made of: the condition takes the metric's number."""
    if source == metric.tier:
        return f"{SCHEMA}.snapshot_log AS p WHERE {counted('p')} AND p.metric_id = %(metric_id)s"
    return f"{table('coverage', source)} AS p WHERE p.metric_id = %(metric_id)s"


def _is_empty(
    conn: psycopg.Connection[Any], metric: Metric, metric_id: int, source: str, start: datetime, end: datetime
) -> bool:
    values = {"metric_id": metric_id, "start": start, "end": end}
    return (
        conn.execute(
            f"SELECT WHERE EXISTS (SELECT FROM {table(metric, source)} WHERE ts >= %(start)s AND ts < %(end)s) "
            f"OR EXISTS (SELECT FROM {_polls(metric, source)} AND p.ts >= %(start)s AND p.ts < %(end)s)".encode(),
            values,
        ).rowcount
        == 0
    )


def _first(
    conn: psycopg.Connection[Any], metric: Metric, metric_id: int, source: str, tier: str, since: datetime | None
) -> datetime | None:
    """The time of the first row or poll from `since` on; without it, of those that are in no bucket of the tier yet.

    A poll that saw nothing counts as well: the mean of what is seen later in its bucket is over all polls. So does one
    that was lost.
    """
    if (
        since is None
        and not conn.execute(
            f"SELECT FROM {SCHEMA}.metric_state WHERE metric_id = %s "
            "AND (snapshot_ts IS NOT NULL OR last_status = ANY(%s)) LIMIT 1".encode(),
            (metric_id, list(LOST)),
        ).rowcount
    ):
        return None
    after = (
        "%(since)s::timestamptz"
        if since is not None
        else f"(SELECT coalesce(max(c.ts) + interval '{TIER_SECONDS[tier]} s', '-infinity') "
        f"FROM {table('coverage', tier)} AS c WHERE c.metric_id = %(metric_id)s)"
    )
    fresh = " WHERE f.ts >= %(since)s" if since is not None else ""
    row = conn.execute(
        f"SELECT least((SELECT min(f.ts) FROM {table(metric, source)} AS f{fresh}), "
        f"(SELECT min(p.ts) FROM {_polls(metric, source)} AND p.ts >= {after}))".encode(),
        {"metric_id": metric_id, "since": since},
    ).fetchone()
    return row[0] if row else None


def _roll(
    conn: psycopg.Connection[Any],
    metric: Metric,
    metric_id: int,
    source: str,
    tier: str,
    start: datetime,
    end: datetime,
) -> int:
    parents = stored_parents(conn)
    for name in (f"{metric.name}_{tier}", f"coverage_{tier}"):
        steps = range(int((end - start).total_seconds() // parents[name]) + 1)
        times = [start + timedelta(seconds=parents[name] * step) for step in steps]
        ensure_partitions(conn, {name: parents[name]}, [*times, end - timedelta(microseconds=1)])
    params = {"metric_id": metric_id, "first": start, "end": end}
    where = "f.ts >= %(first)s AND f.ts < %(end)s"
    conn.execute(coverage_sql(None if source == metric.tier else source, tier, where).encode(), params)
    return conn.execute(roll_up_sql(metric, source, tier, where).encode(), params).rowcount


def _merge_late(conn: psycopg.Connection[Any], metric: Metric, metric_id: int, tier: str) -> int:
    """Makes one row a series again of the buckets that late rows were added to."""
    buckets = conn.execute(
        f"DELETE FROM {SCHEMA}.late_bucket WHERE metric_id = %s AND tier = %s RETURNING target_id, ts".encode(),
        (metric_id, tier),
    ).fetchall()
    if not buckets:
        return 0
    targets, starts = [target for target, _ in buckets], [ts for _, ts in buckets]
    params = {
        "metric_id": metric_id,
        "targets": targets,
        "starts": starts,
        "first": min(starts),
        "end": max(starts) + timedelta(seconds=TIER_SECONDS[tier]),
    }
    chosen = (
        "(f.target_id, f.ts) IN (SELECT * FROM unnest(%(targets)s::integer[], %(starts)s::timestamptz[])) "
        "AND f.ts >= %(first)s AND f.ts < %(end)s"
    )
    coverage = table("coverage", tier)
    conn.execute(
        f"WITH gone AS (DELETE FROM {coverage} AS f WHERE f.metric_id = %(metric_id)s AND {chosen} RETURNING f.*)\n"
        f"{coverage_sql(tier, tier, 'true', rows='gone')}".encode(),
        params,
    )
    return conn.execute(
        f"WITH gone AS (DELETE FROM {table(metric, tier)} AS f WHERE {chosen} RETURNING f.*)\n"
        f"{roll_up_sql(metric, tier, tier, 'true', rows='gone')}".encode(),
        params,
    ).rowcount


def _start(ts: datetime, tier: str) -> datetime:
    """The start of the bucket that holds `ts`, as date_bin() has it."""
    return period(ts, TIER_SECONDS[tier])[0]
