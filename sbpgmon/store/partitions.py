"""Partitions of the facts: made ahead of time with CREATE … LIKE and ATTACH, which block no reader."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from sbpgmon.model import Metric
from sbpgmon.store.ddl import quote
from sbpgmon.store.preflight import revoke_default_privileges
from sbpgmon.store.schema import SCHEMA

# How long one partition of a tier is, in days; a multiple of days, so that bounds never overlap.
PERIOD_DAYS = {"raw": 1, "1m": 2, "5m": 10, "1h": 90, "1d": 360}
LOG = "snapshot_log"
_LOG_PERIOD_DAYS = 10
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def period(ts: datetime, days: int) -> tuple[datetime, datetime]:
    """The partition's bounds that hold `ts`: aligned to 2000-01-01 UTC, upper bound excluded."""
    start = _EPOCH + timedelta(days=(ts - _EPOCH).days // days * days)
    return start, start + timedelta(days=days)


def wanted(metrics: Iterable[Metric], times: Iterable[datetime]) -> dict[str, tuple[str, datetime, datetime]]:
    """Partition name -> parent, from, to: for each fact table and the log, at each of the times."""
    found = {}
    parents = [(LOG, _LOG_PERIOD_DAYS)]
    parents += [(f"{m.name}_{m.tier}", PERIOD_DAYS[m.tier]) for m in metrics if m.facts]
    for parent, days in parents:
        for time in times:
            start, end = period(time, days)
            found[f"{parent}_p{start:%Y%m%d}"] = parent, start, end
    return found


def wanted_ahead(metrics: Iterable[Metric], times: Iterable[datetime]) -> dict[str, tuple[str, datetime, datetime]]:
    """The same, and the partitions after them where those end within a day."""
    metrics, times = list(metrics), list(times)
    found = wanted(metrics, times)
    return found | wanted(metrics, [end for _, _, end in found.values() if end - max(times) < timedelta(days=1)])


def ensure_partitions(conn: psycopg.Connection[Any], metrics: Iterable[Metric], times: Iterable[datetime]) -> int:
    """Makes what is missing of the partitions that hold `times` and those after them; returns how many it made.

    The caller's transaction is used: a table that lives only with the rows that need it is never left behind.
    """
    ahead = wanted_ahead(metrics, times)
    names = list(ahead)
    there = _there(conn, names)
    missing = [name for name in names if name not in there]
    if not missing:
        return 0
    # Two agents may come to it at once: the second one waits, and finds them made.
    conn.execute(f"LOCK TABLE {SCHEMA}.control IN SHARE ROW EXCLUSIVE MODE".encode())
    missing = [name for name in missing if name not in _there(conn, missing)]
    for name in missing:
        conn.execute(";\n".join(partition_sql(name, *ahead[name])).encode())
    if missing:
        revoke_default_privileges(conn, only=missing)
    return len(missing)


def _there(conn: psycopg.Connection[Any], names: list[str]) -> set[str]:
    rows = conn.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relname = ANY(%s)", (SCHEMA, names)
    )
    return {name for (name,) in rows}


def partition_sql(name: str, parent: str, start: datetime, end: datetime) -> list[str]:
    """Statements that make one partition."""
    table = f"{SCHEMA}.{quote(name)}"
    return [
        f"CREATE TABLE {table} (LIKE {SCHEMA}.{quote(parent)} INCLUDING STORAGE)",
        f"ALTER TABLE {SCHEMA}.{quote(parent)} ATTACH PARTITION {table} "
        f"FOR VALUES FROM ('{start.isoformat()}') TO ('{end.isoformat()}')",
        f"COMMENT ON TABLE {table} IS 'Partition of {parent} from {start:%Y-%m-%d}'",
    ]
