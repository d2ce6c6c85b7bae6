"""What `status` shows: targets, the figures that people ask for first, and every metric's last snapshot."""

from __future__ import annotations

from typing import Any

from sbpgmon.store.connection import StoreConnection

ISOLATION = ("isolation_ratio", "unknown_ratio", "isolation_fails", "isolation_unknowns", "cross_tenant_queries")
_TARGETS = """
SELECT
  t.name AS target,
  t.database,
  t.server_version,
  t.refused_identifier,
  u.up,
  u.time AS last_poll,
  extract(epoch FROM now() - u.time)::double precision AS last_poll_age_seconds,
  s.is_standby,
  s.postmaster_start_time
FROM monitoring.target AS t
LEFT JOIN LATERAL (
  SELECT max(s.last_ts) AS time, bool_or(s.last_status NOT IN ('unreachable', 'refused')) AS up
  FROM monitoring.metric_state AS s
  WHERE s.target_id = t.target_id
    AND s.last_ts >= (
      SELECT max(x.last_ts) - interval '1 minute' FROM monitoring.metric_state AS x WHERE x.target_id = t.target_id
    )
) AS u ON true
LEFT JOIN LATERAL (
  SELECT s.is_standby, s.postmaster_start_time FROM monitoring.metric_state AS s
  WHERE s.target_id = t.target_id AND s.snapshot_ts IS NOT NULL ORDER BY s.snapshot_ts DESC LIMIT 1
) AS s ON true
ORDER BY 1
"""

# now() and not clock_timestamp(), which no partition is left out by.
# Each figure over the true seconds of its snapshots, never as a mean of ratios.
_FIGURES = """
WITH watched AS (
  SELECT c.target, sum(c.covered_seconds) AS seconds
  FROM monitoring.coverage AS c
  WHERE c.metric = 'stat_database' AND c.time > now() - %(window)s::interval
    AND c.tier = monitoring.tier('stat_database', 0, now() - %(window)s::interval)
  GROUP BY 1
), counted AS (
  SELECT d.target_id,
    sum(d.blks_hit) AS blks_hit, sum(d.blks_read) AS blks_read, sum(d.deadlocks) AS deadlocks,
    sum(d.xact_commit + d.xact_rollback) AS transactions, sum(d.xact_rollback) AS rollbacks,
    sum(d.temp_bytes) AS temp_bytes
  FROM monitoring.stat_database AS d
  WHERE d.time > now() - %(window)s::interval
    AND d.tier = monitoring.tier('stat_database', 0, now() - %(window)s::interval)
  GROUP BY 1
), slots AS (
  SELECT DISTINCT ON (c.target) c.target, c.client_backends, c.available, c.utilisation_ratio
  FROM monitoring.connection_utilisation AS c
  WHERE c.time > now() - %(window)s::interval
    AND c.tier = monitoring.tier('connection_slots', 0, now() - %(window)s::interval)
  ORDER BY c.target, c.time DESC
)
SELECT
  t.name AS target,
  (c.blks_hit / nullif(c.blks_hit + c.blks_read, 0))::double precision AS cache_hit_ratio,
  s.client_backends,
  s.available,
  s.utilisation_ratio,
  c.deadlocks::bigint AS deadlocks,
  (c.transactions / nullif(w.seconds, 0))::double precision AS tps,
  (c.rollbacks / nullif(c.transactions, 0))::double precision AS rollback_ratio,
  c.temp_bytes::bigint AS temp_bytes
FROM monitoring.target AS t
LEFT JOIN watched AS w ON w.target = t.name
LEFT JOIN counted AS c ON c.target_id = t.target_id
LEFT JOIN slots AS s ON s.target = t.name
ORDER BY 1
"""

# Intervals in which something is not known are left out, with their seconds.
_SELF_COST = """
WITH found AS MATERIALIZED (
  SELECT c.time, c.target, sum(c.calls) AS calls, sum(c.total_exec_time + c.total_plan_time) AS own_time,
    max(c.all_time) AS all_time, max(c.covered_seconds) AS seconds
  FROM monitoring.self_cost AS c
  WHERE c.tier = (SELECT m.tier FROM monitoring.metric AS m WHERE m.name = 'stat_statements')
    AND c.time > now() - %(window)s::interval
  GROUP BY c.time, c.target
  HAVING bool_and(
    c.total_exec_time + c.total_plan_time IS NOT NULL AND c.all_time IS NOT NULL AND c.covered_seconds IS NOT NULL
  )
)
SELECT
  t.name AS target,
  (sum(f.calls) * 60 / nullif(sum(f.seconds), 0))::double precision AS self_calls_per_minute,
  sum(f.own_time) * 60 / nullif(sum(f.seconds), 0) AS self_time_per_minute,
  sum(f.own_time) / nullif(sum(f.all_time), 0) AS self_share_ratio,
  (
    SELECT CASE WHEN e.detail LIKE 'intervals are stretched%%' THEN e.detail END
    FROM monitoring.event AS e
    WHERE e.target_id = t.target_id AND e.kind = 'guard' ORDER BY e.event_id DESC LIMIT 1
  ) AS stretched
FROM monitoring.target AS t
LEFT JOIN found AS f ON f.target = t.name
GROUP BY t.target_id, t.name
"""

# None where no check has run, and where the statements are not judged.
_ISOLATION = """
SELECT
  i.target,
  i.isolation_ratio,
  i.unknown_ratio,
  i.fails AS isolation_fails,
  i.unknowns AS isolation_unknowns,
  (
    SELECT sum(q.cross_tenant_queries)::bigint FROM monitoring.cross_tenant_queries AS q
    WHERE q.target = i.target AND q.time > now() - %(window)s::interval
      AND q.tier = monitoring.tier('tenant_queries', 0, now() - %(window)s::interval)
  ) AS cross_tenant_queries
FROM monitoring.isolation AS i
"""

_SNAPSHOTS = """
SELECT
  t.name AS target,
  m.name AS metric,
  s.last_status AS status,
  s.last_ts AS time,
  extract(epoch FROM now() - s.last_ts)::double precision AS age_seconds,
  CASE WHEN s.last_status = 'ok' THEN s.snapshot_rows END AS rows,
  CASE WHEN s.last_status = 'ok' THEN s.snapshot_duration_seconds::double precision END AS duration_seconds,
  s.last_error AS error
FROM monitoring.metric_state AS s
JOIN monitoring.target AS t USING (target_id)
JOIN monitoring.metric AS m USING (metric_id)
ORDER BY 1, 2
"""


def status(store: StoreConnection, window_seconds: float) -> dict[str, Any]:
    """`{"window_seconds", "targets": [{…}], "snapshots": [{…}]}`; figures are None where nothing is known.

    Raises StoreError and its kin.
    """
    targets = {row["target"]: row for row in store.query(_TARGETS)}
    for target in targets.values():
        target |= dict.fromkeys(ISOLATION)
    for query in (_FIGURES, _SELF_COST, _ISOLATION):
        for row in store.query(query, {"window": f"{window_seconds} seconds"}):
            targets[row["target"]] |= row
    return {
        "window_seconds": window_seconds,
        "targets": list(targets.values()),
        "snapshots": store.query(_SNAPSHOTS),
    }
