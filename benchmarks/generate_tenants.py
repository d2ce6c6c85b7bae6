"""SQL that makes the rows of what is counted of tenants, and of what is made of the statements' facts."""

from __future__ import annotations

from datetime import datetime

from benchmarks.generate import buckets, is_up, of_target, quality
from sbpgmon.model import TIER_SECONDS, Metric
from sbpgmon.store.ddl import fact_columns, names_of, quote
from sbpgmon.store.schema import SCHEMA
from sbpgmon.store.tiers import coarse_columns, table

# What each statement counts for in tenant_queries, and when.
STANDS = f"""
CREATE TEMPORARY TABLE stands AS
SELECT v.series_id AS statement_id, q.series_id, v.valid_from, v.valid_to
FROM {SCHEMA}.statement_standing AS v
JOIN {SCHEMA}.stat_statements_series AS s USING (series_id)
JOIN {SCHEMA}.tenant_queries_series AS q
  ON q.target_id = s.target_id AND q.dbid = s.dbid AND q.userid = s.userid AND q.verdict = v.verdict
"""


def events_sql(metric: Metric, tier: str, until: datetime) -> str:
    """Facts of tenant_events, with the row of no tenant in each window. Parameters: metric_id, first, end, until."""
    is_finest = tier == metric.tier
    types = dict(
        fact_columns(metric) if is_finest else [pair for c in metric.facts for pair in coarse_columns(c, tier)]
    )
    polled = "AND extract(epoch FROM b.ts)::bigint %% c.seconds = 0 AND b.ts + c.shift <= %(until)s"
    span = f"{'c.seconds' if is_finest else TIER_SECONDS[tier]} + {of_target('gaps', 'c.target_id')}"
    values = {
        "count": "nullif(p.happened, 0)",
        "attempts": "nullif(p.happened * (p.skew > 0)::integer + p.passed, 0)",
        "window_seconds": "CASE WHEN p.tenant = '' THEN p.span END",
    }
    return (
        f"INSERT INTO {table(metric, tier)} (ts, series_id, target_id, quality, {', '.join(map(quote, values))})\n"
        f"SELECT {'b.ts + p.shift' if is_finest else 'b.ts'}, p.series_id, p.target_id, {quality('p.target_id')}, "
        + ", ".join(f"({value})::{types[name]}" for name, value in values.items())
        + f"\nFROM {buckets(metric, tier, until)} CROSS JOIN LATERAL (\n"
        "SELECT *, floor(size * skew * b.load * span * (0.8 + 0.4 * random()) + random()) AS passed, "
        "floor(size * b.load * span * CASE WHEN surge @> b.ts THEN 40 ELSE 1 END * (0.7 + 0.6 * random()) + random()) "
        f"AS happened\nFROM (SELECT c.*, k.tenant, {span} AS span FROM series AS c "
        f"JOIN {names_of(metric).series} AS k USING (series_id)\n"
        f"WHERE c.metric_id = %(metric_id)s AND (c.since IS NULL OR c.since <= b.ts) AND {is_up('c.target_id')} "
        f"{polled if is_finest else ''}\nORDER BY c.target_id, c.series_id OFFSET 0) AS c OFFSET 0) AS p\n"
        "WHERE p.tenant = '' OR p.happened > 0 OR p.passed > 0"
    )


def queries_sql(metric: Metric, statements: Metric, tier: str) -> str:
    """Facts of tenant_queries, out of those of the statements at the same tier. Parameters: first, end."""
    types = dict(
        fact_columns(metric)
        if tier == metric.tier
        else [pair for c in metric.facts for pair in coarse_columns(c, tier)]
    )
    names = [column.name for column in metric.facts]
    sums = ", ".join(f"sum(f.{quote(name)})::{types[name]}" for name in names)
    return (
        f"INSERT INTO {table(metric, tier)} (ts, series_id, target_id, quality, {', '.join(map(quote, names))})\n"
        f"SELECT f.ts, w.series_id, f.target_id, bit_or(f.quality), {sums}\n"
        f"FROM {table(statements, tier)} AS f JOIN stands AS w ON w.statement_id = f.series_id "
        "AND f.ts >= w.valid_from AND f.ts < w.valid_to\n"
        "WHERE f.ts >= %(first)s AND f.ts < %(end)s GROUP BY 1, 2, 3 ORDER BY 1, 3, 2"
    )


def totals_sql(metric: Metric, statements: Metric, tier: str) -> str:
    """Facts of statement_totals, out of those of the statements at the same tier. Parameters: first, end."""
    types = dict(
        fact_columns(metric)
        if tier == metric.tier
        else [pair for c in metric.facts for pair in coarse_columns(c, tier)]
    )
    sums = ", ".join(f"{_summed(column.name, types[column.name])} AS {quote(column.name)}" for column in metric.facts)
    return (
        f"INSERT INTO {table(metric, tier)} (ts, series_id, target_id, quality, "
        f"{', '.join(quote(column.name) for column in metric.facts)})\n"
        f"SELECT f.ts, t.series_id, f.target_id, bit_or(f.quality), {sums}\n"
        f"FROM {table(statements, tier)} AS f JOIN {names_of(statements).series} AS s USING (series_id) "
        f"JOIN {names_of(metric).series} AS t ON t.target_id = s.target_id AND t.dbid = s.dbid\n"
        "WHERE s.toplevel AND f.ts >= %(first)s AND f.ts < %(end)s GROUP BY 1, 2, 3 ORDER BY 1, 3, 2"
    )


def _summed(name: str, type_: str) -> str:
    """Sum of a counter of the statements; of what has a name of its own, of the three that it is made of."""
    verb = name.removeprefix("blk_").removesuffix("_time")
    parts = [name]
    if name == f"blk_{verb}_time":
        parts = [f"{kind}_blk_{verb}_time" for kind in ("shared", "local", "temp")]
    wide = "double precision" if type_ == "real" else type_
    added = " + ".join(f"coalesce(f.{quote(part)}, 0)::{wide}" for part in parts)
    return f"nullif(sum({added}), 0)::{type_}"
