"""What the agent weighs on a target, as the history tells it, and what the guard last did about it."""

from __future__ import annotations

from typing import Any

import psycopg

from sbpgmon.model import Weight
from sbpgmon.store.schema import SCHEMA

GUARD_EVENT = "guard"

# Intervals in which something is not known are left out, with their seconds.
_COSTS = f"""
WITH found AS MATERIALIZED (
  SELECT c.time, c.part, c.metric, c.calls, c.total_exec_time + c.total_plan_time AS own_time, c.all_time,
    c.covered_seconds
  FROM {SCHEMA}.self_cost AS c
  WHERE c.target = %(target)s AND c.tier = %(tier)s AND c.time > now() - make_interval(secs => %(seconds)s)
), good AS (
  SELECT f.time, max(f.all_time) AS all_time, max(f.covered_seconds) AS covered_seconds
  FROM found AS f
  GROUP BY f.time
  HAVING bool_and(f.own_time IS NOT NULL AND f.all_time IS NOT NULL AND f.covered_seconds IS NOT NULL)
)
SELECT f.part, f.metric, sum(f.calls)::bigint, sum(f.own_time),
  (SELECT sum(g.all_time) FROM good AS g), (SELECT sum(g.covered_seconds) FROM good AS g)
FROM found AS f
JOIN good AS g USING (time)
GROUP BY f.part, f.metric
"""

_WAITED = f"""
SELECT m.name, count(*), sum(l.duration_seconds)::double precision * 1000
FROM {SCHEMA}.snapshot_log AS l
JOIN {SCHEMA}.metric AS m USING (metric_id)
JOIN {SCHEMA}.target AS t USING (target_id)
WHERE t.name = %(target)s AND l.status = 'ok' AND l.ts > now() - make_interval(secs => %(seconds)s)
GROUP BY m.name
"""

_LAST_WORDS = f"""
SELECT e.detail FROM {SCHEMA}.event AS e JOIN {SCHEMA}.target AS t USING (target_id)
WHERE t.name = %s AND e.kind = %s ORDER BY e.event_id DESC LIMIT 1
"""


def read_weight(conn: psycopg.Connection[Any], target: str, tier: str, seconds: float) -> Weight | None:
    """The weight over the last seconds; `tier` is the finest of stat_statements. None: nothing is known."""
    params = {"target": target, "tier": tier, "seconds": seconds}
    rows = conn.execute(_COSTS.encode(), params).fetchall()
    if not rows:
        return None
    readings = {metric: (calls, ms) for part, metric, calls, ms, _, _ in rows if part == "poll" and metric}
    waited = {} if readings else {name: (count, ms) for name, count, ms in conn.execute(_WAITED.encode(), params)}
    return Weight(
        seconds=rows[0][5],
        all_ms=rows[0][4],
        own_ms=sum(row[3] for row in rows),
        store_ms=sum(row[3] for row in rows if row[0] == "store"),
        own_calls=sum(row[2] for row in rows),
        readings=readings,
        waited=waited,
    )


def last_words(conn: psycopg.Connection[Any], target: str) -> str:
    """What the guard last said of a target; '' when it never did."""
    row = conn.execute(_LAST_WORDS.encode(), (target, GUARD_EVENT)).fetchone()
    return str(row[0]) if row is not None else ""


def note_words(conn: psycopg.Connection[Any], target: str, words: str) -> str:
    """Enters what the guard says of a target as an event, and returns it; '' where there is no such target."""
    query = f"INSERT INTO {SCHEMA}.event (target_id, kind, detail) SELECT target_id, %s, %s FROM {SCHEMA}.target"
    is_noted = conn.execute(f"{query} WHERE name = %s".encode(), (GUARD_EVENT, words, target)).rowcount > 0
    return words if is_noted else ""
