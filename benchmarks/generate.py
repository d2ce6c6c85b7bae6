"""SQL that makes rows of a tier out of nothing: set-based, a stretch of time in one statement.

Each statement runs after setseed(): the same stretch of the same fleet has the same rows. What a worker needs to
know of the fleet lies in temporary tables of its own session: `polled`, `series`, `special`, `outage`, and what is
made of these: `gap` (the first snapshot after an outage) and `pool` (the statements).
"""

from __future__ import annotations

from datetime import datetime

from benchmarks.fleet import GROWING, SKEWED, value_of
from benchmarks.incidents import LONGEST_SECONDS
from sbpgmon.model import GAP as GAP_BIT
from sbpgmon.model import TIER_SECONDS, Column, Kind, Metric
from sbpgmon.store.ddl import fact_columns, quote
from sbpgmon.store.schema import SCHEMA
from sbpgmon.store.tiers import coarse_columns, table

TEMPORARY = """
CREATE TEMPORARY TABLE polled (metric_id integer, target_id integer, seconds integer, shift interval, series integer);
CREATE TEMPORARY TABLE series (metric_id integer, series_id integer, target_id integer, size float8, presence float8,
  skew float8, since timestamptz, surge tstzmultirange, seconds integer, shift interval);
CREATE TEMPORARY TABLE special (series_id integer, rate float8, ms float8, is_steady boolean, only_at tstzmultirange,
  slow tstzmultirange);
CREATE TEMPORARY TABLE outage (target_id integer, metric_id integer, first timestamptz, until timestamptz,
  status text, error text)
"""
GAP = """
CREATE TEMPORARY TABLE gap AS
SELECT metric_id, target_id, to_timestamp(back * seconds) AS at, (back - gone) * seconds AS seconds FROM (
  SELECT p.*, ceil(extract(epoch FROM o.first) / p.seconds)::bigint AS gone,
    ceil(extract(epoch FROM o.until) / p.seconds)::bigint AS back
  FROM outage AS o JOIN polled AS p ON p.target_id = o.target_id AND p.metric_id = coalesce(o.metric_id, p.metric_id)
) AS o WHERE back > gone
"""

# A day's Zipf: `hot` statements run almost every minute, ever fewer of the rest of the core do, and a tenth of the
# tail, another one every day, runs about twice. Every other hot one of the second half rests at night.
POOL = f"""
CREATE TEMPORARY TABLE pool AS
SELECT target_id, series_id, rank, rank <= core OR rate IS NOT NULL AS is_core,
  CASE
    WHEN rate IS NOT NULL THEN rate
    WHEN rank <= hot THEN 7.0 * hot / rank
    WHEN rank <= core THEN greatest(7.0 * (rank / hot) ^ (-14), 1.6 / 1440)
    ELSE 2.0 / 1440
  END::float8 AS rate,
  rate IS NULL AND rank > hot / 2 AND rank %% 2 = 0 AS is_by_day, is_steady, only_at, slow,
  CASE WHEN rate IS NULL AND slow IS NULL AND rank <= core AND dice %% 10 < 4
    THEN %(until)s - interval '365 days' * ((dice %% 1000) / 1000.0)
    ELSE '-infinity' END AS since,
  coalesce(own_ms, 0.05 * exp((dice %% 997) / 997.0 * 6))::float8 AS ms,
  CASE WHEN is_write THEN 1 ELSE dice %% 40 END::float8 AS rows_a_call,
  (3 + dice %% 211)::float8 AS hits_a_call,
  is_write, dice %% 17 = 0 AS is_reading, dice %% 61 = 0 AS is_sorting
FROM (
  SELECT s.target_id, s.series_id, %(hot)s::float8 AS hot, %(core)s AS core,
    row_number() OVER (PARTITION BY s.target_id, x.rate IS NULL ORDER BY s.series_id) AS rank,
    x.rate, x.ms AS own_ms, coalesce(x.is_steady, false) AS is_steady, x.only_at, x.slow,
    (hashint8extended(s.queryid, %(seed)s) & 1048575)::integer AS dice,
    q.query ~ '^(INSERT|UPDATE|DELETE)' AS is_write
  FROM {SCHEMA}.stat_statements_series AS s
  JOIN {SCHEMA}.statement_text_of AS o USING (series_id)
  JOIN {SCHEMA}.statement_text AS q USING (text_id)
  LEFT JOIN special AS x USING (series_id)
) AS ranked
ORDER BY target_id, series_id
"""
HOT_SHARE, CORE_SHARE = 0.08, 0.22  # of the statements


def load(ts: str, until: datetime) -> str:
    """Expression of how busy the fleet is: least at 7, most at 19 o'clock UTC, more at weekends, more each month."""
    hour = f"(extract(hour FROM {ts}) + extract(minute FROM {ts}) / 60)::float8"
    return (
        f"(0.6 + 0.4 * cos(2 * pi() * ({hour} - 19) / 24)) * CASE WHEN extract(isodow FROM {ts}) >= 6 THEN 1.25 "
        f"ELSE 1 END * (1 - 0.4 * {_age(ts, until)})"
    )


def buckets(metric: Metric, tier: str, until: datetime) -> str:
    """A row for each slot of the finest tier, or bucket of a coarse one: b.ts, b.load, b.age (1: a year ago).

    b.down: targets of which there is nothing. b.back: those that come back, with b.gaps, the seconds that are watched
    more than usual (less, where the outage goes on), b.lost, those without a poll, and b.mended, whether it is a gap.
    """
    seconds = metric.interval_seconds if tier == metric.tier else TIER_SECONDS[tier]
    which = "coalesce(o.metric_id, %(metric_id)s) = %(metric_id)s"
    near = f"o.first > ts - interval '{LONGEST_SECONDS} s'"
    if tier == metric.tier:
        told = (
            f"(SELECT array_agg(o.target_id) AS down FROM outage AS o WHERE {which} AND {near} AND o.first <= ts "
            "AND o.until > ts"
            ") AS o CROSS JOIN (SELECT NULL::float8[] AS lost) AS l CROSS JOIN LATERAL ("
            "SELECT array_agg(g.target_id ORDER BY g.target_id) AS back, array_agg(g.seconds ORDER BY g.target_id) "
            "AS gaps, array_agg(g.seconds >= 3 * p.seconds ORDER BY g.target_id) AS mended FROM gap AS g JOIN polled "
            "AS p USING (metric_id, target_id) WHERE g.metric_id = %(metric_id)s AND g.at = ts) AS g"
        )
    else:
        end = f"ts + interval '{seconds} s'"
        order = "ORDER BY o.target_id, o.first"
        some = f"FILTER (WHERE o.first > ts OR o.until < {end})"
        more = "CASE WHEN o.first < ts THEN extract(epoch FROM ts - o.first) ELSE 0 END::float8"
        less = f"CASE WHEN o.until >= {end} THEN extract(epoch FROM {end} - o.first) ELSE 0 END::float8"
        told = (
            f"(SELECT array_agg(o.target_id) FILTER (WHERE o.first <= ts AND o.until >= {end}) AS down, "
            f"array_agg(o.target_id {order}) {some} AS back, array_agg({more} - {less} {order}) {some} AS gaps, "
            f"array_agg(extract(epoch FROM least(o.until, {end}) - greatest(o.first, ts))::float8 {order}) {some} "
            f"AS lost, array_agg(o.until < {end} AND o.until - o.first >= interval '3 min' {order}) {some} AS mended "
            # What comes as seldom as the outage is long may not have noticed.
            f"FROM outage AS o WHERE {which} AND {near} AND o.first < {end} AND o.until >= ts "
            f"AND o.until - o.first >= interval '{metric.interval_seconds} s') AS o"
        )
    return (
        f"(SELECT ts, {load('ts', until)} AS load, {_age('ts', until)} AS age, down, back, gaps, lost, mended "
        "FROM generate_series(%(first)s::timestamptz, %(end)s::timestamptz - interval '1 us', "
        f"interval '{seconds} s') AS ts CROSS JOIN LATERAL {told} OFFSET 0) AS b"
    )


def _age(ts: str, until: datetime) -> str:
    return f"least(1, extract(epoch FROM '{until.isoformat()}'::timestamptz - {ts})::float8 / 31536000)"


def of_target(what: str, target_id: str, otherwise: str = "0") -> str:
    """Expression of gaps, lost or mended of a target in a bucket b."""
    return (
        f"CASE WHEN b.back IS NULL THEN {otherwise} "
        f"ELSE coalesce(b.{what}[array_position(b.back, {target_id})], {otherwise}) END"
    )


def is_up(target_id: str) -> str:
    return f"(b.down IS NULL OR {target_id} <> ALL (b.down))"


def quality(target_id: str) -> str:
    return f"CASE WHEN {of_target('mended', target_id, 'false')} THEN {GAP_BIT}::smallint END"


def statements_sql(metric: Metric, tier: str, until: datetime) -> str:
    """Facts of stat_statements, for buckets of one day. Parameters: metric_id, first, end, day."""
    is_finest = tier == metric.tier
    seconds = metric.interval_seconds if is_finest else TIER_SECONDS[tier]
    time = "b.ts + p.shift" if is_finest else "b.ts"
    values = {
        "calls": "p.calls",
        "total_exec_time": "p.calls * p.ms * (0.6 + 0.8 * random()) * CASE WHEN p.slow @> b.ts THEN 7 ELSE 1 END",
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
        f"INSERT INTO {table(metric, tier)} (ts, series_id, target_id, quality, {', '.join(values)})\n"
        "WITH chosen AS MATERIALIZED (SELECT c.*, t.shift FROM pool AS c JOIN polled AS t ON t.target_id = c.target_id "
        "AND t.metric_id = %(metric_id)s WHERE (c.is_core OR (c.rank * 7919 + %(day)s) %% 10 = 0) "
        "AND c.since <= %(first)s ORDER BY c.target_id, c.series_id)\n"
        f"SELECT {time}, p.series_id, p.target_id, {quality('p.target_id')}, {picked}\n"
        f"FROM {buckets(metric, tier, until)} CROSS JOIN LATERAL (\n"
        "SELECT *, calls * 0.2 * CASE WHEN is_reading THEN 1 ELSE 0 END AS reads FROM (\n"
        "SELECT *, greatest(1, round(expected * CASE WHEN is_steady THEN 1 ELSE 0.7 + 0.6 * random() END)) AS calls\n"
        "FROM (\n"
        f"SELECT c.*, c.rate * ({seconds} + {of_target('gaps', 'c.target_id')}) / 60 "
        "* CASE WHEN is_by_day THEN b.load ^ 4 WHEN is_steady THEN 1 ELSE b.load END AS expected\n"
        f"FROM chosen AS c WHERE (c.only_at IS NULL OR c.only_at @> b.ts) AND {is_up('c.target_id')} OFFSET 0) AS e "
        "WHERE random() < CASE WHEN is_steady THEN expected ELSE 1 - exp(-least(expected, 50)) END "
        "OFFSET 0) AS e OFFSET 0) AS p" + ("\nWHERE b.ts + p.shift <= %(until)s" if is_finest else "")
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
    span = f"{'c.seconds' if is_finest else seconds} + {of_target('gaps', 'c.target_id')}"
    polls = f"greatest(1, (({seconds} - {of_target('lost', 'c.target_id')}) / c.seconds)::integer)"
    return (
        f"INSERT INTO {table(metric, tier)} (ts, series_id, target_id, quality, {', '.join(map(quote, names))})\n"
        f"SELECT {'b.ts + p.shift' if is_finest else 'b.ts'}, p.series_id, p.target_id, {quality('p.target_id')}, "
        f"{', '.join(values)}\n"
        f"FROM {buckets(metric, tier, until)} CROSS JOIN LATERAL (\n"
        f"SELECT c.*, {span} AS span, {polls} AS polls, 0.8 + 0.4 * random() AS noise, "
        "CASE WHEN c.surge @> b.ts THEN 6.0 ELSE 1.0 END AS boost FROM series AS c\n"
        f"WHERE c.metric_id = %(metric_id)s AND (c.since IS NULL OR c.since <= b.ts) AND {is_up('c.target_id')} "
        f"AND random() < {absent} {polled}\n"
        "ORDER BY c.target_id, c.series_id OFFSET 0) AS p"
    )


def _value(metric: Metric, column: Column, name: str, *, is_finest: bool) -> str:
    amount, is_by_load = value_of(column.name, column.kind)
    is_whole = column.type.name not in ("double precision", "real", "numeric")
    if column.kind is Kind.COUNTER:
        skewed = " * p.skew" if column.name in SKEWED else ""
        grown = f"{amount} * p.size * b.load * p.boost * p.span{skewed} * (0.8 + 0.4 * random())"
        return f"nullif(floor({grown} + random()), 0)" if is_whole else f"nullif({grown}, 0)"
    level = f"{amount} * p.size * b.load * p.boost * p.noise" if is_by_load else f"{amount}::float8"
    if column.name in GROWING:
        least = 65536 if column.unit == "bytes" else 0
        level = f"{least} + {amount} * p.size * (1 - (0.1 + 0.05 * (p.series_id %% 9)) * b.age)"
    lowest_level = 1 if metric.missing == "zero" else 0
    if is_whole:
        level = f"greatest({lowest_level}, round({level}))"
    part = "" if is_finest else name.removeprefix(f"{column.name}_")
    is_zero = metric.missing == "zero"
    match part:
        case "n":
            return "p.polls"
        case "sum":
            return f"{level} * ceil(p.polls * {'p.presence' if is_zero else '1'})"
        case "min":
            lowest = f"{'floor' if is_whole else ''}(0.8 * {level})" if is_by_load else level
            return f"CASE WHEN p.presence < 1 THEN 0 ELSE {lowest} END" if is_zero else lowest
        case "max":
            return f"{'ceil' if is_whole else ''}(1.2 * {level})" if is_by_load else level
    return level


def coverage_direct_sql(metric: Metric, tier: str, until: datetime) -> str:
    """Coverage of whole buckets, of which no finer one is left. Parameters: metric_id, first, end."""
    seconds = TIER_SECONDS[tier]
    start = f"date_bin('{seconds} s', greatest(o.first, %(first)s), '2000-01-01 00:00+00')"
    step = f"interval '{seconds} s'"
    return (
        f"INSERT INTO {table('coverage', tier)} (ts, target_id, metric_id, polls, covered_seconds, lost)\n"
        "WITH watched AS (SELECT ts, target_id, "
        f"greatest(1, floor(({seconds} - {of_target('lost', 'p.target_id')}) / seconds)) AS polls, "
        f"{seconds} + {of_target('gaps', 'p.target_id')} AS covered_seconds\n"
        f"FROM {buckets(metric, tier, until)} CROSS JOIN LATERAL (SELECT * FROM polled AS c "
        f"WHERE c.metric_id = %(metric_id)s AND {is_up('c.target_id')} OFFSET 0) AS p),\n"
        # A poll comes on each slot: those of an outage that lie in a bucket.
        f"missed AS (SELECT b.ts, o.target_id, sum(ceil(extract(epoch FROM least(o.until, b.ts + {step})) / p.seconds) "
        "- ceil(extract(epoch FROM greatest(o.first, b.ts)) / p.seconds)) AS lost\n"
        "FROM outage AS o JOIN polled AS p ON p.target_id = o.target_id AND p.metric_id = %(metric_id)s "
        f"CROSS JOIN LATERAL generate_series({start}, least(o.until, %(end)s) - interval '1 us', {step}) AS b (ts)\n"
        "WHERE o.status IN ('unreachable', 'refused') AND coalesce(o.metric_id, p.metric_id) = p.metric_id "
        f"AND o.until - o.first >= interval '{metric.interval_seconds} s' GROUP BY 1, 2)\n"
        "SELECT ts, target_id, %(metric_id)s, coalesce(w.polls, 0), coalesce(w.covered_seconds, 0), "
        "nullif(m.lost, 0)\n"
        "FROM watched AS w FULL JOIN missed AS m USING (ts, target_id) WHERE w.polls > 0 OR m.lost > 0 ORDER BY 1, 2"
    )


def log_sql(metric: Metric, until: datetime) -> str:
    """The log of one metric's snapshots. Parameters: metric_id, first, end, until."""
    gap = of_target("gaps", "p.target_id")
    return (
        f"INSERT INTO {SCHEMA}.snapshot_log (ts, snapshot_id, slot, target_id, metric_id, interval_seconds, "
        "nominal_interval_seconds, skew_seconds, duration_seconds, rows, facts, bytes, quality, status, error)\n"
        f"SELECT b.ts + p.shift, nextval('{SCHEMA}.snapshot_snapshot_id_seq'), "
        "extract(epoch FROM b.ts)::bigint / p.seconds, p.target_id, p.metric_id, "
        f"CASE WHEN o.status IS NULL THEN p.seconds + {gap} END, p.seconds, 0.004 * random(), "
        "CASE o.status WHEN 'unreachable' THEN 3.0 WHEN 'skipped' THEN 0 ELSE "
        "(0.002 + 0.000004 * p.series) * (0.8 + 0.4 * random()) END, "
        "CASE WHEN o.status IS NULL THEN p.series END, CASE WHEN o.status IS NULL THEN p.series END, "
        "CASE WHEN o.status IS NULL THEN 60 + p.series * 90 END, "
        f"CASE WHEN o.status IS NULL THEN coalesce({quality('p.target_id')}, 0) END, "
        "coalesce(o.status, 'ok'), nullif(o.error, '')\n"
        f"FROM {buckets(metric, metric.tier, until)} CROSS JOIN LATERAL (SELECT * FROM polled AS c\n"
        "WHERE c.metric_id = %(metric_id)s AND extract(epoch FROM b.ts)::bigint %% c.seconds = 0\n"
        "AND b.ts + c.shift <= %(until)s ORDER BY c.target_id OFFSET 0) AS p\n"
        "LEFT JOIN LATERAL (SELECT o.status, o.error FROM outage AS o WHERE p.target_id = ANY (b.down) "
        "AND o.target_id = p.target_id AND coalesce(o.metric_id, p.metric_id) = p.metric_id AND o.first <= b.ts "
        "AND o.until > b.ts LIMIT 1) AS o ON true\n"
        "WHERE o.status IS DISTINCT FROM ''"
    )
