"""SQL that makes rows of a tier out of nothing: set-based, a stretch of time in one statement.

Each statement runs after setseed(): the same stretch of the same fleet has the same rows. What a worker needs to
know of the fleet lies in three temporary tables of its own session: `polled`, `series` and `pool`.
"""

from __future__ import annotations

from datetime import datetime

from benchmarks.fleet import value_of
from sbpgmon.model import TIER_SECONDS, Column, Kind, Metric
from sbpgmon.store.ddl import fact_columns, quote
from sbpgmon.store.schema import SCHEMA
from sbpgmon.store.tiers import coarse_columns, table

TEMPORARY = """
CREATE TEMPORARY TABLE polled (metric_id integer, target_id integer, seconds integer, shift interval, series integer);
CREATE TEMPORARY TABLE series (metric_id integer, series_id integer, target_id integer, size float8, presence float8,
  seconds integer, shift interval)
"""

# A day's Zipf: `hot` statements run almost every minute, ever fewer of the rest of the core do, and a tenth of the
# tail, another one every day, runs about twice. Every other hot one of the second half rests at night.
POOL = f"""
CREATE TEMPORARY TABLE pool AS
SELECT target_id, series_id, rank, rank <= core AS is_core,
  CASE
    WHEN rank <= hot THEN 7.0 * hot / rank
    WHEN rank <= core THEN greatest(7.0 * (rank / hot) ^ (-14), 1.6 / 1440)
    ELSE 2.0 / 1440
  END::float8 AS rate,
  rank > hot / 2 AND rank %% 2 = 0 AS is_by_day,
  CASE WHEN rank <= core AND dice %% 10 < 4 THEN %(until)s - interval '365 days' * ((dice %% 1000) / 1000.0)
    ELSE '-infinity' END AS since,
  (0.05 * exp((dice %% 997) / 997.0 * 6))::float8 AS ms,
  CASE WHEN is_write THEN 1 ELSE dice %% 40 END::float8 AS rows_a_call,
  (3 + dice %% 211)::float8 AS hits_a_call,
  is_write, dice %% 17 = 0 AS is_reading, dice %% 61 = 0 AS is_sorting
FROM (
  SELECT s.target_id, s.series_id, %(hot)s::float8 AS hot, %(core)s AS core,
    row_number() OVER (PARTITION BY s.target_id ORDER BY s.series_id) AS rank,
    (hashint8extended(s.queryid, %(seed)s) & 1048575)::integer AS dice,
    q.query !~ '^SELECT' AS is_write
  FROM {SCHEMA}.stat_statements_series AS s
  JOIN {SCHEMA}.statement_text_of AS o USING (series_id)
  JOIN {SCHEMA}.statement_text AS q USING (text_id)
) AS ranked
ORDER BY target_id, series_id
"""
HOT_SHARE, CORE_SHARE = 0.082, 0.22  # of the statements


def load(ts: str, until: datetime) -> str:
    """Expression of how busy the fleet is: least at 7, most at 19 o'clock UTC, more at weekends, more each month."""
    hour = f"(extract(hour FROM {ts}) + extract(minute FROM {ts}) / 60)::float8"
    age = f"least(1, extract(epoch FROM '{until.isoformat()}'::timestamptz - {ts})::float8 / 31536000)"
    return (
        f"(0.6 + 0.4 * cos(2 * pi() * ({hour} - 19) / 24)) * CASE WHEN extract(isodow FROM {ts}) >= 6 THEN 1.25 "
        f"ELSE 1 END * (1 - 0.4 * {age})"
    )


def _buckets(seconds: float, until: datetime) -> str:
    return (
        f"(SELECT ts, {load('ts', until)} AS load FROM generate_series(%(first)s::timestamptz, "
        f"%(end)s::timestamptz - interval '1 us', interval '{seconds} s') AS ts OFFSET 0) AS b"
    )


def statements_sql(metric: Metric, tier: str, until: datetime) -> str:
    """Facts of stat_statements, for buckets of one day. Parameters: metric_id, first, end, day."""
    is_finest = tier == metric.tier
    seconds = metric.interval_seconds if is_finest else TIER_SECONDS[tier]
    time = "b.ts + p.shift" if is_finest else "b.ts"
    values = {
        "calls": "p.calls",
        "total_exec_time": "p.calls * p.ms * (0.6 + 0.8 * random())",
        "rows": "nullif(round(p.calls * p.rows_a_call), 0)",
        "shared_blks_hit": "round(p.calls * p.hits_a_call * (0.9 + 0.2 * random()))",
        "shared_blks_read": "nullif(floor(p.reads * (0.5 + random())), 0)",
        "shared_blk_read_time": "nullif(p.reads * 0.11 * (0.5 + random()), 0)",
        "shared_blks_dirtied": "CASE WHEN p.is_write THEN ceil(p.calls * random()) END",
        "wal_records": "CASE WHEN p.is_write THEN p.calls * 3 END",
        "wal_fpi": "CASE WHEN p.is_write THEN nullif(floor(p.calls * 0.02 + random()), 0) END",
        "wal_bytes": "CASE WHEN p.is_write THEN round(p.calls * 311 * (0.8 + 0.4 * random())) END",
        "temp_blks_read": "CASE WHEN p.is_sorting THEN p.calls * 12 END",
        "temp_blks_written": "CASE WHEN p.is_sorting THEN p.calls * 12 END",
    }
    types = dict(
        fact_columns(metric) if is_finest else [pair for c in metric.facts for pair in coarse_columns(c, tier)]
    )
    picked = ", ".join(f"({value})::{types[name]}" for name, value in values.items())
    return (
        f"INSERT INTO {table(metric, tier)} (ts, series_id, target_id, {', '.join(values)})\n"
        "WITH chosen AS MATERIALIZED (SELECT c.*, t.shift FROM pool AS c JOIN polled AS t ON t.target_id = c.target_id "
        "AND t.metric_id = %(metric_id)s WHERE (c.is_core OR (c.rank * 7919 + %(day)s) %% 10 = 0) "
        "AND c.since <= %(first)s ORDER BY c.target_id, c.series_id)\n"
        f"SELECT {time}, p.series_id, p.target_id, {picked}\n"
        f"FROM {_buckets(seconds, until)} CROSS JOIN LATERAL (\n"
        "SELECT *, calls * 0.2 * CASE WHEN is_reading THEN 1 ELSE 0 END AS reads FROM (\n"
        "SELECT *, greatest(1, round(expected * (0.7 + 0.6 * random()))) AS calls FROM (\n"
        f"SELECT c.*, c.rate * {seconds / 60.0} * CASE WHEN is_by_day THEN b.load ^ 4 ELSE b.load END AS expected\n"
        "FROM chosen AS c OFFSET 0) AS e WHERE random() < 1 - exp(-least(expected, 50)) OFFSET 0) AS e OFFSET 0) AS p"
        + ("\nWHERE b.ts + p.shift <= %(until)s" if is_finest else "")
    )


def facts_sql(metric: Metric, tier: str, until: datetime) -> str:
    """Facts of any other metric. Parameters: metric_id, first, end, until."""
    is_finest = tier == metric.tier
    seconds = metric.interval_seconds if is_finest else TIER_SECONDS[tier]
    names, values = [], []
    for column in metric.facts:
        pairs = dict(fact_columns(metric)) if is_finest else dict(coarse_columns(column, tier))
        columns = [column.name] if is_finest else list(pairs)
        names += columns
        values += [f"({_value(metric, column, name, is_finest=is_finest)})::{pairs[name]}" for name in columns]
    absent = "c.presence" if is_finest else f"1 - (1 - c.presence) ^ least(60, greatest(1, {seconds} / c.seconds))"
    # Quiet targets are read less often than the metric's grid has it.
    polled = (
        "AND extract(epoch FROM b.ts)::bigint %% c.seconds = 0 AND b.ts + c.shift <= %(until)s" if is_finest else ""
    )
    span = "c.seconds" if is_finest else f"{seconds}"
    return (
        f"INSERT INTO {table(metric, tier)} (ts, series_id, target_id, {', '.join(map(quote, names))})\n"
        f"SELECT {'b.ts + p.shift' if is_finest else 'b.ts'}, p.series_id, p.target_id, {', '.join(values)}\n"
        f"FROM {_buckets(seconds, until)} CROSS JOIN LATERAL (\n"
        f"SELECT c.*, {span} AS span, greatest(1, {seconds}::integer / c.seconds) AS polls, "
        f"0.8 + 0.4 * random() AS noise FROM series AS c\n"
        f"WHERE c.metric_id = %(metric_id)s AND random() < {absent} {polled}\n"
        "ORDER BY c.target_id, c.series_id OFFSET 0) AS p"
    )


def _value(metric: Metric, column: Column, name: str, *, is_finest: bool) -> str:
    amount, is_by_load = value_of(column.name, column.kind)
    is_whole = column.type.name not in ("double precision", "real", "numeric")
    if column.kind is Kind.COUNTER:
        grown = f"{amount} * p.size * b.load * p.span * (0.8 + 0.4 * random())"
        return f"nullif(floor({grown} + random()), 0)" if is_whole else f"nullif({grown}, 0)"
    level = f"{amount} * p.size * b.load * p.noise" if is_by_load else f"{amount}::float8"
    if column.name == "size_bytes":
        level = f"{amount} * p.size * (0.7 + 0.3 * extract(epoch FROM b.ts)::float8 / 1.8e9)"
    least = 1 if metric.missing == "zero" else 0
    if is_whole:
        level = f"greatest({least}, round({level}))"
    part = "" if is_finest else name.removeprefix(f"{column.name}_")
    is_zero = metric.missing == "zero"
    match part:
        case "n":
            return "p.polls"
        case "sum":
            return f"{level} * ceil(p.polls * {'p.presence' if is_zero else '1'})"
        case "min":
            lowest = f"floor(0.8 * {level})" if is_by_load else level
            return f"CASE WHEN p.presence < 1 THEN 0 ELSE {lowest} END" if is_zero else lowest
        case "max":
            return f"ceil(1.2 * {level})" if is_by_load else level
    return level


def coverage_direct_sql(tier: str) -> str:
    """Coverage of whole buckets, of which no finer one is left. Parameters: metric_id, first, end."""
    seconds = TIER_SECONDS[tier]
    return (
        f"INSERT INTO {table('coverage', tier)} (ts, target_id, metric_id, polls, covered_seconds)\n"
        f"SELECT ts, target_id, metric_id, {seconds} / seconds, {seconds}\n"
        "FROM generate_series(%(first)s::timestamptz, %(end)s::timestamptz - interval '1 us', "
        f"interval '{seconds} s') AS ts CROSS JOIN LATERAL (SELECT * FROM polled AS c "
        "WHERE c.metric_id = %(metric_id)s ORDER BY target_id OFFSET 0) AS p"
    )


def log_sql(metric: Metric) -> str:
    """The log of one metric's snapshots. Parameters: metric_id, first, end, until."""
    return (
        f"INSERT INTO {SCHEMA}.snapshot_log (ts, snapshot_id, slot, target_id, metric_id, interval_seconds, "
        "nominal_interval_seconds, skew_seconds, duration_seconds, rows, facts, bytes, quality, status)\n"
        f"SELECT b.ts + p.shift, nextval('{SCHEMA}.snapshot_snapshot_id_seq'), "
        "extract(epoch FROM b.ts)::bigint / p.seconds, p.target_id, p.metric_id, p.seconds, p.seconds, "
        "0.004 * random(), (0.002 + 0.000004 * p.series) * (0.8 + 0.4 * random()), p.series, p.series, "
        "60 + p.series * 90, 0, 'ok'\n"
        "FROM generate_series(%(first)s::timestamptz, %(end)s::timestamptz - interval '1 us', "
        f"interval '{metric.interval_seconds} s') AS b (ts) CROSS JOIN LATERAL (SELECT * FROM polled AS c\n"
        "WHERE c.metric_id = %(metric_id)s AND extract(epoch FROM b.ts)::bigint %% c.seconds = 0\n"
        "AND b.ts + c.shift <= %(until)s ORDER BY c.target_id OFFSET 0) AS p"
    )
