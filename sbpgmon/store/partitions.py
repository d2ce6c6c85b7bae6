"""Partitions of what has a time: made ahead with CREATE … LIKE and ATTACH, which block no reader."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from sbpgmon.logs import LOGGER
from sbpgmon.model import TIER_SECONDS, Metric
from sbpgmon.store.ddl import literal, quote
from sbpgmon.store.preflight import revoke_default_privileges
from sbpgmon.store.schema import SCHEMA

LOG = "snapshot_log"
LOG_TIER = "1m"  # the log is kept as long as this tier
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_HOURS = (1, 2, 3, 4, 6, 8, 12, 24, 48, 96, 120, 240, 480, 720, 1440, 2160, 4320, 8640)
_LIVE = 3  # full partitions within a retention: with the live one and the next about five, each of which costs locks

Parents = Mapping[str, float]  # partitioned table -> seconds of one partition


@dataclass(frozen=True, slots=True)
class Partition:
    """One stretch of a partitioned table: [start, end). Not attached: somebody, or an interruption, detached it."""

    name: str
    parent: str
    start: datetime
    end: datetime
    is_attached: bool = True
    is_pending: bool = False  # a DETACH CONCURRENTLY was interrupted

    @property
    def table(self) -> str:
        return f"{SCHEMA}.{quote(self.name)}"

    @property
    def is_usable(self) -> bool:
        """Whether rows of its stretch go there."""
        return self.is_attached and not self.is_pending

    def holds(self, parent: str, time: datetime) -> bool:
        """Whether it is the place of a row."""
        return self.parent == parent and self.start <= time < self.end


def period_seconds(retention_seconds: float | None) -> float:
    """How long one partition is, for rows that are kept so long (None: forever)."""
    hours = [h for h in _HOURS if retention_seconds is None or h * 3600 * _LIVE <= retention_seconds]
    return (hours or _HOURS[:1])[-1] * 3600.0


def period(ts: datetime, seconds: float) -> tuple[datetime, datetime]:
    """The stretch that holds `ts`: aligned to 2000-01-01 UTC, upper bound excluded."""
    step = timedelta(seconds=seconds)
    start = _EPOCH + (ts - _EPOCH) // step * step
    return start, start + step


def fixed_parents(retention: Mapping[str, float | None]) -> dict[str, float]:
    """The log and the coverage, for retentions by tier."""
    tiers = {f"coverage_{tier}": tier for tier in TIER_SECONDS if tier != "raw"} | {LOG: LOG_TIER}
    return {name: period_seconds(retention[tier]) for name, tier in tiers.items()}


def metric_parents(metric: Metric, retention: Mapping[str, float | None]) -> dict[str, float]:
    """The fact tables of a metric, for its retentions by tier."""
    return {f"{metric.name}_{t}": period_seconds(retention[t]) for t in metric.tiers} if metric.facts else {}


def stored_parents(conn: psycopg.Connection[Any]) -> dict[str, float]:
    """All partitioned tables, with the retentions that the store holds."""
    retention: dict[str | None, dict[str, float | None]] = {}
    for name, tier, seconds in conn.execute(
        f"SELECT m.name, r.tier, r.retention_seconds FROM {SCHEMA}.rollup AS r "
        f"LEFT JOIN {SCHEMA}.metric AS m USING (metric_id)".encode()
    ):
        retention.setdefault(name, {})[tier] = seconds
    found = fixed_parents(retention.pop(None))
    return found | {f"{n}_{t}": period_seconds(s) for n, tiers in retention.items() for t, s in tiers.items()}


_PARTITIONS = rf"""
SELECT c.relname, p.relname, (x.bounds)[1]::timestamptz, (x.bounds)[2]::timestamptz, i.inhparent IS NOT NULL,
  coalesce(i.inhdetachpending, false)
FROM pg_catalog.pg_class AS c
LEFT JOIN pg_catalog.pg_inherits AS i ON i.inhrelid = c.oid
CROSS JOIN LATERAL (SELECT pg_catalog.obj_description(c.oid, 'pg_class') AS text) AS d
JOIN pg_catalog.pg_class AS p ON p.oid = i.inhparent OR i.inhparent IS NULL AND p.relnamespace = c.relnamespace
  AND p.relkind = 'p' AND p.relname = substring(d.text FROM '^Partition of (\S+) ')
CROSS JOIN LATERAL (SELECT CASE
  WHEN i.inhparent IS NULL THEN coalesce(regexp_match(d.text, '^Partition of \S+ from (.+) to (.+)$'), (
    -- Those of the first release were a day long.
    SELECT ARRAY[m.day[1] || ' 00:00+00', to_char(m.day[1]::date + 1, 'YYYY-MM-DD') || ' 00:00+00']
    FROM regexp_match(d.text, '^Partition of \S+ from (\d{{4}}-\d\d-\d\d)$') AS m (day) WHERE m.day IS NOT NULL))
  ELSE regexp_match(pg_catalog.pg_get_expr(c.relpartbound, c.oid), $$FROM \('(.+)'\) TO \('(.+)'\)$$) END AS bounds
) AS x
WHERE c.relnamespace = '{SCHEMA}'::regnamespace AND c.relkind = 'r' AND x.bounds IS NOT NULL
  AND (p.relname = ANY(%(parents)s) OR %(parents)s::text[] IS NULL)
ORDER BY p.relname, 3
"""


def partitions(conn: psycopg.Connection[Any], parents: Collection[str] | None = None) -> list[Partition]:
    """The partitions of these tables (None: of all), also detached ones, by parent and start."""
    rows = conn.execute(_PARTITIONS.encode(), {"parents": None if parents is None else list(parents)})
    return [Partition(*row) for row in rows]


def ensure_partitions(conn: psycopg.Connection[Any], parents: Parents, times: Iterable[datetime]) -> list[Partition]:
    """Sees to it that each of the tables has a place for each of the times; returns the places of these tables.

    What somebody detached is attached again. The caller's transaction is used: a table that lives only with the rows
    that need it is never left behind.
    """
    times = list(times)
    there = partitions(conn, parents)
    if _missing(there, parents, times):
        # Two agents may come to it at once: the second one waits, and finds them made.
        conn.execute(f"LOCK TABLE {SCHEMA}.control IN SHARE ROW EXCLUSIVE MODE".encode())
        there = partitions(conn, parents)
        made = []
        for parent, time in _missing(there, parents, times):
            if not _missing(there, {parent: parents[parent]}, [time]):
                continue  # the one before was made for this as well
            partition = next((p for p in there if p.holds(parent, time)), None)
            if partition is not None:
                attach(conn, partition)
                there.remove(partition)
            else:
                partition = _new(there, parent, parents[parent], time)
                conn.execute(";\n".join(partition_sql(partition)).encode())
                made.append(partition.name)
            there.append(Partition(partition.name, parent, partition.start, partition.end))
        if made:
            revoke_default_privileges(conn, only=made)
    return [p for p in there if p.is_usable]


def make_ahead(conn: psycopg.Connection[Any], now: datetime) -> None:
    """Sees to it that every table has a place for now and for what follows."""
    parents = stored_parents(conn)
    there = partitions(conn)
    for parent, seconds in parents.items():
        times = [now, now + timedelta(seconds=seconds)]
        if _missing(there, {parent: seconds}, times):
            ensure_partitions(conn, {parent: seconds}, times)


def _missing(there: list[Partition], parents: Parents, times: list[datetime]) -> list[tuple[str, datetime]]:
    """The tables and times that no place is there for."""
    places = [p for p in there if p.is_usable]
    return [(parent, time) for parent in parents for time in times if not is_covered(places, parent, time)]


def _new(there: list[Partition], parent: str, seconds: float, time: datetime) -> Partition:
    """The place for `time`, cut where it would overlap one of another length."""
    start, end = period(time, seconds)
    for partition in (p for p in there if p.parent == parent):
        if partition.end <= time:
            start = max(start, partition.end)
        elif partition.start > time:
            end = min(end, partition.start)
    # Bounds that were read come in the session's time zone; names are by UTC, or two would be the same.
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    stamp = f"{start:%Y%m%d}" if start == period(start, 86400)[0] else f"{start:%Y%m%d%H%M}"
    return Partition(f"{parent}_p{stamp}", parent, start, end)


def attach(conn: psycopg.Connection[Any], partition: Partition) -> None:
    """Attaches a partition that was detached, or was about to be; nothing of it is lost."""
    if partition.is_pending:
        conn.execute(
            f"ALTER TABLE {SCHEMA}.{quote(partition.parent)} DETACH PARTITION {partition.table} FINALIZE".encode()
        )
    conn.execute(_attach_sql(partition).encode())
    LOGGER.warning("store: the partition %s was detached; it is attached again", partition.name)


def partition_sql(partition: Partition) -> list[str]:
    """Statements that make one partition. Its comment holds its bounds, for when it is detached."""
    return [
        f"CREATE TABLE {partition.table} (LIKE {SCHEMA}.{quote(partition.parent)} INCLUDING STORAGE)",
        _attach_sql(partition),
        comment_sql(partition),
    ]


def comment_sql(partition: Partition) -> str:
    """The statement that says on a partition whose it is, and its bounds."""
    bounds = f"from {partition.start.isoformat()} to {partition.end.isoformat()}"
    return f"COMMENT ON TABLE {partition.table} IS {literal(f'Partition of {partition.parent} {bounds}')}"


def _attach_sql(partition: Partition) -> str:
    return (
        f"ALTER TABLE {SCHEMA}.{quote(partition.parent)} ATTACH PARTITION {partition.table} "
        f"FOR VALUES FROM ('{partition.start.isoformat()}') TO ('{partition.end.isoformat()}')"
    )


def is_covered(places: Iterable[Partition], parent: str, time: datetime) -> bool:
    return any(place.holds(parent, time) for place in places)


def wanted(parents: Parents, times: Iterable[datetime]) -> list[Partition]:
    """The partitions that a new schema needs for these times, and those after them."""
    found: dict[str, Partition] = {}
    for parent, seconds in parents.items():
        for time in times:
            for moment in (time, time + timedelta(seconds=seconds)):
                partition = _new([], parent, seconds, moment)
                found[partition.name] = partition
    return list(found.values())
