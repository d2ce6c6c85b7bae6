"""The coarse tiers of a metric: their tables, and the SQL that rolls one tier up into the next.

A coarse row stands for a bucket: `ts` is its start, aligned to 2000-01-01 UTC. A counter is the sum of the bucket's
differences (NULL means 0), a gauge x is x_sum, x_n, x_min and x_max: never an average alone. `quality` is UNKNOWN
where every reading of the bucket was, PARTIAL where some were (the sum is then a lower bound).
"""

from __future__ import annotations

from sbpgmon.model import GAP, LOST, PARTIAL, TIER_SECONDS, UNKNOWN, Column, Kind, Metric, Status
from sbpgmon.store.ddl import fact_columns, literal, names_of, quote, stored_width
from sbpgmon.store.schema import SCHEMA

EPOCH = "2000-01-01 00:00:00+00"
GAUGE_PARTS = ("sum", "n", "min", "max")
_POLLS = '"all polls"'  # not a name that a metric's column may have
# Rows of these are few and are kept for long: the index that finds one series pays from the first day on. With `ts`,
# which is three times as large: a month of fifty series out of a partition of three is then read in an eighth of the
# time, and the planner knows it.
INDEXED_BY_SERIES = ("1h", "1d")


def table(metric: Metric | str, tier: str) -> str:
    """The fact table of one tier, or another of the metric's, schema-qualified; of `coverage` as well."""
    name = metric if isinstance(metric, str) else metric.name
    return f"{SCHEMA}.{quote(f'{name}_{tier}')}"


def bucket(tier: str, ts: str) -> str:
    """Expression of the start of the bucket that holds `ts`."""
    return f"date_bin('{TIER_SECONDS[tier]} s', {ts}, '{EPOCH}')"


def coarse_columns(column: Column, tier: str) -> list[tuple[str, str]]:
    """The columns that stand for one fact column in a coarse tier: name, type."""
    if column.kind is Kind.COUNTER:
        # A float4 is right to one in ten million: enough where sums are short.
        times = "real" if tier in ("1m", "5m") else "double precision"
        wide = {"integer": "bigint", "double precision": times}
        return [(column.name, wide.get(column.type.name, column.type.name))]
    total = "numeric" if column.type.name == "numeric" else "double precision"
    types = (total, "integer", column.type.name, column.type.name)
    return [(f"{column.name}_{part}", type_) for part, type_ in zip(GAUGE_PARTS, types, strict=True)]


def create_tier(metric: Metric, tier: str) -> list[str]:
    """Statements that make the fact table of one tier, the finest or a coarse one."""
    name = table(metric, tier)
    pairs = fact_columns(metric) if tier == metric.tier else _by_width(metric, tier)
    columns = ", ".join(f"{quote(column)} {type_}" for column, type_ in pairs)
    return [
        f"CREATE TABLE {name} (ts timestamptz, series_id integer, target_id integer, quality smallint, {columns}) "
        "PARTITION BY RANGE (ts)",
        f"CREATE INDEX ON {name} (ts, target_id)",
        *([f"CREATE INDEX ON {name} (series_id, ts)"] if tier in INDEXED_BY_SERIES else []),
        f"COMMENT ON TABLE {name} IS "
        f"{literal(f'Facts of {metric.name} at {tier}; read them through the view {metric.name}')}",
        # A numeric column would give every partition a TOAST table.
        *(f"ALTER TABLE {name} ALTER COLUMN {quote(c)} SET STORAGE PLAIN" for c, t in pairs if t == "numeric"),
    ]


def _by_width(metric: Metric, tier: str) -> list[tuple[str, str]]:
    pairs = [pair for column in metric.facts for pair in coarse_columns(column, tier)]
    return sorted(pairs, key=lambda pair: stored_width(pair[1]))


def create_tiers(metric: Metric) -> list[str]:
    """Statements that make the fact tables of every tier."""
    return [statement for tier in metric.tiers for statement in create_tier(metric, tier)] if metric.facts else []


def add_columns(metric: Metric, added: tuple[Column, ...], coarse: list[str]) -> list[str]:
    """Statements that add columns to a metric's tables, and to those coarse tiers; the view is made anew after them."""
    names = names_of(metric)
    stored = dict(fact_columns(metric))
    statements = []
    for column in added:
        tables = [] if metric.is_derived else [(names.staging, column.name, column.type.name)]
        if column.kind in (Kind.COUNTER, Kind.RESET) and metric.has_last:
            tables.append((names.last, column.name, column.type.name))
        if column.kind is Kind.INFO:
            tables.append((names.attributes, column.name, column.type.name))
        if column.name in stored:
            tables.append((names.facts, column.name, stored[column.name]))
            tables += [(table(metric, tier), *pair) for tier in coarse for pair in coarse_columns(column, tier)]
        for name, column_name, type_ in tables:
            # In one statement: the partitions would have a TOAST table before a second one came.
            is_plain = type_ == "numeric" and name not in (names.staging, names.last, names.attributes)
            plain = f", ALTER COLUMN {quote(column_name)} SET STORAGE PLAIN" if is_plain else ""
            statements.append(f"ALTER TABLE {name} ADD COLUMN {quote(column_name)} {type_}{plain}")
    return statements


def roll_up_sql(
    metric: Metric, source: str, tier: str, where: str, *, rows: str | None = None, is_whole: bool = True
) -> str:
    """INSERT of the buckets of `tier` that the rows of `source` give; `where` chooses among these, as f.

    `source` may be the tier itself: several rows of one bucket then become one; `rows` is another relation that has
    its rows. Where an absent row means zero, the mean of a whole bucket is over every poll of its coverage, which has
    to be rolled up before. Parameters then: metric_id, first, end (of the buckets).
    """
    is_finest = source == metric.tier
    sums: list[tuple[str, str]] = []
    for column in metric.facts:
        names = [name for name, _ in coarse_columns(column, tier)]
        sums += zip(names, _aggregates(column, tier, is_finest=is_finest), strict=True)
    unknown = f"coalesce(f.quality & {UNKNOWN} <> 0, false)"
    quality = (
        f"nullif(CASE WHEN bool_and({unknown}) THEN {UNKNOWN} WHEN bool_or({unknown}) THEN {PARTIAL} ELSE 0 END "
        f"| coalesce(bit_or(f.quality & {PARTIAL | GAP}), 0), 0)::smallint"
    )
    start = bucket(tier, "f.ts")
    picked = "".join(f", {expression} AS {quote(name)}" for name, expression in sums)
    listed = "".join(f", {quote(name)}" for name, _ in sums)
    grouped = (
        f"SELECT {start} AS ts, f.series_id, f.target_id, {quality} AS quality{picked}\n"
        f"FROM {rows or table(metric, source)} AS f WHERE {where}\nGROUP BY 1, 2, 3"
    )
    values = listed
    if is_whole and metric.gauges and metric.missing == "zero":
        values = "".join(f", {_over_polls(metric, name)}" for name, _ in sums)
        grouped = (
            f"SELECT b.*, {_POLLS} FROM ({grouped}) AS b LEFT JOIN (\n"
            f"SELECT ts, target_id, sum(polls) AS {_POLLS} FROM {table('coverage', tier)}\n"
            "WHERE metric_id = %(metric_id)s AND ts >= %(first)s AND ts < %(end)s GROUP BY 1, 2\n"
            ") AS c ON c.ts = b.ts AND c.target_id = b.target_id"
        )
    return (
        f"INSERT INTO {table(metric, tier)} (ts, series_id, target_id, quality{listed})\n"
        f"SELECT ts, series_id, target_id, quality{values} FROM (\n{grouped}\n) AS buckets\n"
        "ORDER BY ts, target_id, series_id"
    )


def _aggregates(column: Column, tier: str, *, is_finest: bool) -> list[str]:
    """Expressions of the columns of coarse_columns(), over the rows f of one bucket."""
    types = [type_ for _, type_ in coarse_columns(column, tier)]
    if column.kind is Kind.COUNTER:
        value = f"f.{quote(column.name)}"
        wide = "::double precision" if column.type.name == "double precision" else ""
        return [f"nullif(sum({value}{wide}), 0)::{types[0]}"]
    if is_finest:
        value = f"f.{quote(column.name)}"
        parts = [f"sum({value}::{types[0]})", f"count({value})", f"min({value})", f"max({value})"]
    else:
        of = {part: f"f.{quote(f'{column.name}_{part}')}" for part in GAUGE_PARTS}
        parts = [f"sum({of['sum']})", f"sum({of['n']})", f"min({of['min']})", f"max({of['max']})"]
    return [f"{part}::{type_}" for part, type_ in zip(parts, types, strict=True)]


def _over_polls(metric: Metric, name: str) -> str:
    """A gauge's column where a poll without a row has seen 0."""
    for gauge in metric.gauges:
        n = quote(f"{gauge.name}_n")
        if name == f"{gauge.name}_n":
            return f"coalesce({_POLLS}, {n})::integer"
        if name in (f"{gauge.name}_min", f"{gauge.name}_max"):
            pick = "least" if name.endswith("_min") else "greatest"
            return f"CASE WHEN {n} < {_POLLS} THEN {pick}({quote(name)}, 0) ELSE {quote(name)} END"
    return quote(name)


def counted(log: str) -> str:
    """Condition of the snapshots in the log that the coverage counts: good ones and lost ones.

    One that failed on a server that was reached is neither.
    """
    return f"{log}.status IN ({', '.join(literal(status) for status in (Status.OK, *LOST))})"


def coverage_sql(source: str | None, tier: str, where: str, *, rows: str | None = None) -> str:
    """INSERT of the coverage of `tier`: out of the snapshots, of a finer tier's coverage, or of other `rows` of it.

    A bucket of which all polls were lost has a row too: with 0 polls and 0 covered seconds.
    """
    if source is None:
        found = (
            f"SELECT {bucket(tier, 'f.ts')}, f.target_id, f.metric_id, count(*) FILTER (WHERE f.status = 'ok'), "
            "sum(coalesce(f.interval_seconds, 0)::double precision), "
            "nullif(count(*) FILTER (WHERE f.status <> 'ok'), 0)\n"
            f"FROM {SCHEMA}.snapshot_log AS f WHERE f.metric_id = %(metric_id)s AND {counted('f')} AND {where}"
        )
    else:
        origin = rows or table("coverage", source)
        found = (
            f"SELECT {bucket(tier, 'f.ts')}, f.target_id, f.metric_id, sum(f.polls), sum(f.covered_seconds), "
            "sum(f.lost)\n"
            f"FROM {origin} AS f WHERE f.metric_id = %(metric_id)s AND {where}"
        )
    return (
        f"INSERT INTO {table('coverage', tier)} (ts, target_id, metric_id, polls, covered_seconds, lost)\n"
        f"{found}\nGROUP BY 1, 2, 3 ORDER BY 1, 2"
    )
