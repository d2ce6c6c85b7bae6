"""What grew old goes, a partition at a time: DETACH … CONCURRENTLY, then DROP; no reader and no writer waits.

All functions take a connection in autocommit, since a concurrent detach cannot be part of a transaction; a
transaction of theirs is short. What was interrupted is found and finished by the next pass.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from sbpgmon.logs import LOGGER
from sbpgmon.model import TIER_SECONDS
from sbpgmon.sources.deadline import deadline
from sbpgmon.sources.session import explain
from sbpgmon.store.connection import holding_schema
from sbpgmon.store.ddl import quote
from sbpgmon.store.partitions import LOG, LOG_TIER, Partition, attach, partitions
from sbpgmon.store.schema import SCHEMA
from sbpgmon.store.tiers import table

WAIT_SECONDS = 90.0  # for the readers of a partition; the next pass goes on where this one stopped
_REPAIR_SECONDS = 20.0
_INDEX_SECONDS = 300.0  # for an index, which waits for every older transaction of the database
_MIN_INDEXED_BYTES = 8 * 1024 * 1024  # below it a scan is as quick as an index
_NAME = re.compile(r"(?P<metric>.+?)(?P<version>_v\d+)?_(?P<tier>raw|1m|5m|1h|1d)")


@dataclass(frozen=True, slots=True)
class Policy:
    """How old the rows of each partitioned table may become; `now` is the time up to which there are rows."""

    now: datetime
    retention: Mapping[tuple[str, str], float | None]  # metric ('' for the fixed tables), tier
    watermarks: Mapping[tuple[str, str], datetime | None]  # metric, tier: of metrics alone
    failed: frozenset[str] = frozenset()  # metrics whose rows could not be rolled up

    def cutoff(self, parent: str) -> datetime | None:
        """Rows before it may go; None: none may. Never above what the next tier has taken over."""
        if parent == LOG:
            return self._least("", LOG_TIER, [self._next(m, t) for m, t in self.watermarks if self._is_finest(m, t)])
        match = _NAME.fullmatch(parent)
        if match is None:
            return None
        metric, tier = match["metric"], match["tier"]
        if metric == "coverage":
            return self._least("", tier, [self._next(m, t) for m, t in self.watermarks if t == tier])
        if match["version"]:
            # Tables that were replaced: nothing takes over from them any more.
            return self._least(metric if (metric, tier) in self.retention else "", tier, [])
        return self._least(metric, tier, [self._next(metric, tier)])

    def _is_finest(self, metric: str, tier: str) -> bool:
        tiers = [t for t in TIER_SECONDS if (metric, t) in self.watermarks]
        return tier == tiers[0]

    def _next(self, metric: str, tier: str) -> datetime | None:
        """The watermark of the next coarser tier; None where there is none to wait for."""
        tiers = [t for t in TIER_SECONDS if (metric, t) in self.watermarks]
        rest = tiers[tiers.index(tier) + 1 :] if tier in tiers else []
        if not rest:
            return None
        mark = self.watermarks[metric, rest[0]]
        return datetime.min.replace(tzinfo=UTC) if mark is None and metric in self.failed else mark

    def _least(self, metric: str, tier: str, limits: list[datetime | None]) -> datetime | None:
        seconds = self.retention.get((metric, tier))
        if seconds is None:
            return None
        # A tier without a watermark has had no row to take over: nothing waits for it.
        found = [limit for limit in limits if limit is not None]
        return min([self.now - timedelta(seconds=seconds), *found])


def read_policy(conn: psycopg.Connection[Any], now: datetime, failed: frozenset[str] = frozenset()) -> Policy:
    with holding_schema(conn):
        rows = conn.execute(
            f"SELECT coalesce(m.name, ''), r.tier, r.retention_seconds, r.watermark FROM {SCHEMA}.rollup AS r "
            f"LEFT JOIN {SCHEMA}.metric AS m USING (metric_id)".encode()
        ).fetchall()
    return Policy(now, {(m, t): s for m, t, s, _ in rows}, {(m, t): w for m, t, _, w in rows if m}, failed)


@dataclass(slots=True)
class Retained:
    """What one pass did."""

    dropped: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)  # readers have held them for too long


def repair(conn: psycopg.Connection[Any], policy: Policy, go_on: Callable[[], bool] = lambda: True) -> Retained:
    """Attaches what somebody detached, or an interruption, where it is not old."""
    done = Retained()
    for partition in partitions(conn):
        if partition.is_usable or _is_old(partition, policy):
            continue
        if not go_on():
            break
        try:
            # What is finished first waits for all older transactions, as a detach does.
            with deadline(conn, _REPAIR_SECONDS), holding_schema(conn):
                attach(conn, partition)
            done.repaired.append(partition.name)
        except psycopg.errors.QueryCanceled:
            done.waiting.append(partition.name)
        except psycopg.Error as error:
            LOGGER.error(
                "store: the partition %s was detached, and cannot be attached again: %s. Its rows are kept, and not "
                "shown. Attach it by hand, or drop it.",
                partition.name,
                explain(error),
            )
    return done


def drop_old(conn: psycopg.Connection[Any], policy: Policy, go_on: Callable[[], bool] = lambda: True) -> Retained:
    """Drops the partitions whose rows are all too old, and those of them whose detach was interrupted."""
    done = Retained()
    for partition in partitions(conn):
        if not _is_old(partition, policy):
            continue
        if not go_on():
            break
        # First told, then done: a total never looks for rows that are about to go.
        _note_gone(conn, partition)
        if not (_detach(conn, partition) and _drop(conn, partition, done)):
            done.waiting.append(partition.name)
            break
    return done


def _is_old(partition: Partition, policy: Policy) -> bool:
    cutoff = policy.cutoff(partition.parent)
    return cutoff is not None and partition.end <= cutoff


def _note_gone(conn: psycopg.Connection[Any], partition: Partition) -> None:
    metric, _, tier = partition.parent.rpartition("_")
    with holding_schema(conn):
        conn.execute(
            f"UPDATE {SCHEMA}.rollup SET dropped_until = greatest(dropped_until, %s) WHERE tier = %s "
            f"AND metric_id = (SELECT metric_id FROM {SCHEMA}.metric WHERE name = %s)".encode(),
            (partition.end, tier, metric),
        )


def _detach(conn: psycopg.Connection[Any], partition: Partition) -> bool:
    """Whether it is detached now; not where somebody has read it for too long."""
    if not partition.is_attached:
        return True
    how = "FINALIZE" if partition.is_pending else "CONCURRENTLY"
    parent = f"{SCHEMA}.{quote(partition.parent)}"
    try:
        with deadline(conn, WAIT_SECONDS):
            conn.execute(f"ALTER TABLE {parent} DETACH PARTITION {partition.table} {how}".encode())
    except (psycopg.errors.QueryCanceled, psycopg.errors.ObjectNotInPrerequisiteState) as error:
        # The second: another partition of this table is about to be detached.
        LOGGER.debug("store: %s is not detached yet: %s", partition.name, explain(error))
        return False
    return True


def _drop(conn: psycopg.Connection[Any], partition: Partition, done: Retained) -> bool:
    """Whether the detached partition is gone; not while somebody reads it, such as pg_dump."""
    try:
        with holding_schema(conn, lock_timeout="2s"):
            conn.execute(f"DROP TABLE IF EXISTS {partition.table}".encode())
    except psycopg.errors.LockNotAvailable:
        return False
    done.dropped.append(partition.name)
    return True


def drop_replaced(conn: psycopg.Connection[Any]) -> list[str]:
    """Drops the tables and the view of a metric's old version once its last row is gone; returns the versions.

    What is being read stays until the next pass, and what somebody has built a view on until that has gone.
    """
    views = conn.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind = 'v' "
        r"AND relname ~ '_v\d+$'",
        (SCHEMA,),
    ).fetchall()
    gone = []
    for (name,) in views:
        tables = conn.execute(
            "SELECT c.relname, c.relkind = 'p' FROM pg_class AS c "
            "WHERE c.relnamespace = %s::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition "
            "AND c.relname ~ ('^' || %s || '_(series|staging|last|attributes|raw|1m|5m|1h|1d)$')",
            (SCHEMA, name),
        ).fetchall()
        if not tables or any(has_facts and not _is_empty(conn, relation) for relation, has_facts in tables):
            continue
        try:
            # Short: who comes to read it waits behind us.
            with holding_schema(conn, lock_timeout="50ms"):
                conn.execute(f"DROP VIEW {SCHEMA}.{quote(name)}".encode())
                for relation, _ in tables:
                    conn.execute(f"DROP TABLE {SCHEMA}.{quote(relation)}".encode())
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DependentObjectsStillExist) as error:
            LOGGER.debug("store: %s is empty, and stays: %s", name, explain(error))
            continue
        gone.append(name)
    return gone


def index_closed(conn: psycopg.Connection[Any], policy: Policy, go_on: Callable[[], bool] = lambda: True) -> list[str]:
    """Gives partitions that are written no more the index that finds one series; returns their names.

    On a live one it would cost more WAL than the rows themselves. It is made CONCURRENTLY: nobody waits.
    """
    done = []
    for partition in partitions(conn):
        metric, _, tier = partition.parent.rpartition("_")
        is_live = partition.end > policy.now - timedelta(seconds=3600)
        if (metric, tier) not in policy.watermarks or is_live or not partition.is_attached:
            continue
        row = conn.execute(
            "SELECT pg_relation_size(c.oid), bool_or(i.indisvalid), min(i.indexrelid::regclass::text) "
            "FILTER (WHERE NOT i.indisvalid) FROM pg_class AS c LEFT JOIN pg_index AS i ON i.indrelid = c.oid "
            "AND i.indkey[0] = (SELECT attnum FROM pg_attribute WHERE attrelid = c.oid AND attname = 'series_id') "
            "WHERE c.oid = to_regclass(%s) GROUP BY c.oid",
            (partition.table,),
        ).fetchone()
        if row is None or row[0] < _MIN_INDEXED_BYTES or row[1]:
            continue
        if not go_on():
            break
        try:
            with deadline(conn, _INDEX_SECONDS):
                if row[2] is not None:  # left by an interruption
                    conn.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {row[2]}".encode())
                conn.execute(f"CREATE INDEX CONCURRENTLY ON {partition.table} (series_id)".encode())
        except psycopg.errors.QueryCanceled:
            LOGGER.debug("store: %s gets its index later: a transaction has been open for too long", partition.name)
            break
        done.append(partition.name)
    return done


def drop_series(conn: psycopg.Connection[Any], metric: str, has_last: bool) -> int:
    """Deletes the series of a metric that have no row left in any tier; returns how many.

    Only while the last counters of every target are there: a series without them would count from the beginning.
    """
    with holding_schema(conn):
        rows = conn.execute(
            f"SELECT r.tier, r.watermark, r.dropped_until FROM {SCHEMA}.rollup AS r JOIN {SCHEMA}.metric AS m "
            "USING (metric_id) WHERE m.name = %s".encode(),
            (metric,),
        ).fetchall()
    tiers = sorted(rows, key=lambda row: list(TIER_SECONDS).index(row[0]))
    if not tiers or tiers[-1][2] is None:
        return 0
    coarsest, watermark, cutoff = tiers[-1]
    no_row = [f"NOT EXISTS (SELECT FROM {table(metric, coarsest)} AS f WHERE f.series_id = s.series_id)"]
    no_row += [
        f"NOT EXISTS (SELECT FROM {table(metric, tier)} AS f WHERE f.series_id = s.series_id AND f.ts >= %(mark)s)"
        for tier, _, _ in tiers[:-1]
    ]
    if has_last and _exists(conn, f"{metric}_last"):
        no_row.append(f"NOT EXISTS (SELECT FROM {table(metric, 'last')} AS l WHERE l.series_id = s.series_id)")
        no_row.append(
            f"NOT EXISTS (SELECT FROM {SCHEMA}.metric_state AS a JOIN {SCHEMA}.metric AS m USING (metric_id) "
            f"LEFT JOIN {SCHEMA}.last_state AS b USING (target_id, metric_id) "
            "WHERE m.name = %(metric)s AND a.snapshot_id IS NOT NULL AND b.snapshot_id IS DISTINCT FROM a.snapshot_id)"
        )
    with holding_schema(conn):
        conn.execute(f"LOCK TABLE {SCHEMA}.rollup IN EXCLUSIVE MODE".encode())
        gone = [
            series
            for (series,) in conn.execute(
                f"DELETE FROM {table(metric, 'series')} AS s WHERE s.first_seen < %(cutoff)s AND "
                f"{' AND '.join(no_row)} RETURNING s.series_id".encode(),
                {"mark": watermark or cutoff, "cutoff": cutoff, "metric": metric},
            )
        ]
        if gone and _exists(conn, f"{metric}_attributes"):
            conn.execute(f"DELETE FROM {table(metric, 'attributes')} WHERE series_id = ANY(%s)".encode(), (gone,))
        if gone and metric == "stat_statements":
            for name in ("statement_text_of", "statement_standing"):
                conn.execute(f"DELETE FROM {SCHEMA}.{name} WHERE series_id = ANY(%s)".encode(), (gone,))
            for name in ("statement_text", "statement_judgement"):
                conn.execute(
                    f"DELETE FROM {SCHEMA}.{name} AS t WHERE NOT EXISTS "
                    f"(SELECT FROM {SCHEMA}.statement_text_of AS o WHERE o.text_id = t.text_id)".encode()
                )
    LOGGER.debug("store: %s: %d series are gone", f"{SCHEMA}.{quote(metric)}", len(gone))
    return len(gone)


def _is_empty(conn: psycopg.Connection[Any], relation: str) -> bool:
    with holding_schema(conn):
        return conn.execute(f"SELECT FROM {SCHEMA}.{quote(relation)} LIMIT 1".encode()).rowcount == 0


def _exists(conn: psycopg.Connection[Any], name: str) -> bool:
    return conn.execute("SELECT to_regclass(%s) IS NOT NULL", (f"{SCHEMA}.{quote(name)}",)).fetchone() == (True,)
