"""What `top` shows: statements over any stretch of history, by whatever they cost most of."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sbpgmon.errors import ConfigError
from sbpgmon.model import Metric
from sbpgmon.store.connection import StoreConnection

_TOP = """
SELECT target, datname, usename, queryid, toplevel, query, share, mean_exec_time, {counters}, is_partial
FROM monitoring.top_statements(%(target)s, %(since)s, %(until)s, %(by)s, %(limit)s)
"""


def top(
    store: StoreConnection,
    metric: Metric,
    *,
    since: datetime,
    until: datetime,
    by: str,
    limit: int,
    target: str | None,
) -> list[dict[str, Any]]:
    """The first `limit` statements by the sum of `by` over [since, until), dearest first.

    Each row: target, datname, usename, queryid, toplevel, query, share (of `by`, among top-level statements: what runs
    inside functions would count twice), mean_exec_time (ms), the sum of every counter, and is_partial (a reset or an
    unknown stretch lies within). Raises ConfigError for an unknown column or target, StoreError.
    """
    counters = [column.name for column in metric.counters]
    if by not in counters:
        raise ConfigError(f"There is no counter {by!r}.", f"One of: {', '.join(counters)}.")
    if target is not None and not store.query("SELECT FROM monitoring.target WHERE name = %s", (target,)):
        known = [row["name"] for row in store.query("SELECT name FROM monitoring.target ORDER BY 1")]
        raise ConfigError(f"There is no target {target!r} in the store.", f"There are: {', '.join(known) or 'none'}.")
    query = _TOP.format(counters=", ".join(f'"{name}"' for name in counters))
    return store.query(query, {"target": target, "since": since, "until": until, "by": by, "limit": limit})
