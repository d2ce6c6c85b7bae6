"""What `top` shows: statements over any stretch of history, by whatever they cost most of."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sbpgmon.errors import ConfigError
from sbpgmon.model import PARTIAL, UNKNOWN, Metric
from sbpgmon.store.connection import StoreConnection


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
    """The first `limit` statements by the sum of `by` over (since, until], dearest first.

    Each row: target, datname, usename, queryid, toplevel, query, the sum of every counter, mean_exec_time (ms),
    share (of `by`, among top-level statements: what runs inside functions would count twice) and is_partial
    (a reset or an unknown stretch lies within). Raises ConfigError for an unknown column or target, StoreError.
    """
    counters = [column.name for column in metric.counters]
    if by not in counters:
        raise ConfigError(f"There is no counter {by!r}.", f"One of: {', '.join(counters)}.")
    if target is not None and not store.query("SELECT FROM monitoring.target WHERE name = %s", (target,)):
        known = [row["name"] for row in store.query("SELECT name FROM monitoring.target ORDER BY 1")]
        raise ConfigError(f"There is no target {target!r} in the store.", f"There are: {', '.join(known) or 'none'}.")
    facts = f'monitoring."{metric.name}_{metric.tier}"'
    sums = ", ".join(f'coalesce({_sum(metric, name)}, 0)::{_type(metric, name)} AS "{name}"' for name in counters)
    # Rank on one sum, then fetch the rest for the winners alone.
    sql = f"""
WITH chosen AS (
  SELECT target_id, name FROM monitoring.target WHERE %(target)s::text IS NULL OR name = %(target)s
), ranked AS (
  SELECT f.series_id, {_sum(metric, by)} AS ranking
  FROM {facts} AS f JOIN chosen USING (target_id)
  WHERE f.ts > %(since)s AND f.ts <= %(until)s
  GROUP BY 1
), total AS (
  SELECT s.target_id, sum(r.ranking) AS total
  FROM ranked AS r JOIN monitoring."{metric.name}_series" AS s USING (series_id)
  WHERE s.toplevel GROUP BY 1
), winners AS (
  SELECT series_id, ranking FROM ranked WHERE ranking > 0 ORDER BY ranking DESC, series_id LIMIT %(limit)s
), summed AS (
  SELECT f.series_id, {sums}, coalesce(bool_or(f.quality & {UNKNOWN | PARTIAL} <> 0), false) AS is_partial
  FROM {facts} AS f
  WHERE f.ts > %(since)s AND f.ts <= %(until)s AND f.series_id IN (SELECT series_id FROM winners)
  GROUP BY 1
)
SELECT
  c.name AS target, d.datname, r.usename, s.queryid, s.toplevel, x.query,
  (w.ranking / nullif(total.total, 0))::double precision AS share,
  summed.total_exec_time / nullif(summed.calls, 0) AS mean_exec_time,
  {", ".join(f'summed."{name}"' for name in counters)},
  summed.is_partial
FROM winners AS w
JOIN summed USING (series_id)
JOIN monitoring."{metric.name}_series" AS s USING (series_id)
JOIN chosen AS c ON c.target_id = s.target_id
LEFT JOIN total ON total.target_id = s.target_id
LEFT JOIN monitoring.statement_text_of AS o USING (series_id)
LEFT JOIN monitoring.statement_text AS x USING (text_id)
LEFT JOIN monitoring.stat_database_series AS ds ON ds.target_id = s.target_id AND ds.datid = s.dbid
LEFT JOIN monitoring.stat_database_attributes AS d ON d.series_id = ds.series_id AND d.valid_to = 'infinity'
LEFT JOIN monitoring.roles_series AS rs ON rs.target_id = s.target_id AND rs.userid = s.userid
LEFT JOIN monitoring.roles_attributes AS r ON r.series_id = rs.series_id AND r.valid_to = 'infinity'
ORDER BY w.ranking DESC, w.series_id
"""
    return store.query(sql, {"target": target, "since": since, "until": until, "limit": limit})


def _sum(metric: Metric, name: str) -> str:
    """The sum of a counter: times are stored as float4, and added up as float8."""
    wide = "::double precision" if _type(metric, name) == "double precision" else ""
    return f'sum(f."{name}"{wide})'


def _type(metric: Metric, name: str) -> str:
    type_ = next(column.type.name for column in metric.counters if column.name == name)
    return "double precision" if type_ == "double precision" else "bigint"
