"""Metrics that are made of another metric's snapshots, in the store: their SQL, and the facts that come of it.

The SQL of such a metric reads the relation `reading`, which holds the facts of its source: ts, series_id, target_id,
quality and the counters. It returns a row for each of them, or for some: ts, quality, the metric's keys and its
counters. Here they are added up by time and keys, so that a snapshot can be made anew at any time, as long as the facts
of its source are there: what was counted under one key may turn out to belong under another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import psycopg

from sbpgmon.model import GAP, PARTIAL, TIER_SECONDS, UNKNOWN, Metric
from sbpgmon.store.ddl import key_hash, listed, names_of, quote
from sbpgmon.store.partitions import ensure_partitions, period, stored_parents
from sbpgmon.store.rollup import Watermarks
from sbpgmon.store.schema import SCHEMA
from sbpgmon.store.snapshot import Snapshot
from sbpgmon.store.tiers import bucket, coarse_columns, table

_TARGET = "%(target_id)s::integer"


@dataclass(frozen=True, slots=True)
class Derived:
    """A metric with `source:`, with the metric that this is."""

    metric: Metric
    source: Metric


def is_wanted(conn: psycopg.Connection[Any], metric: Metric, target_id: int) -> bool:
    """Whether the metric is for this target at all."""
    if not metric.only_with:
        return True
    query = f"SELECT FROM {SCHEMA}.{quote(metric.only_with)} WHERE target_id = %s LIMIT 1"
    return conn.execute(query.encode(), (target_id,)).rowcount > 0


def derive(snapshot: Snapshot, derived: Derived) -> int:
    """Stores the facts of one snapshot; returns how many there are. Raises psycopg's errors for SQL that is wrong."""
    # The writer has switched nested loops off, for staging; a few hundred rows are looked up here.
    snapshot.conn.execute(b"SELECT set_config('enable_nestloop', 'on', true)")
    params = {"target_id": snapshot.target_id, "times": [snapshot.ts]}
    return _one(snapshot.conn, _sql(derived.metric, derived.source, is_again=False), params)


def derive_again(
    conn: psycopg.Connection[Any],
    derived: Derived,
    metric_id: int,
    target_id: int,
    times: Sequence[datetime],
    watermarks: Watermarks,
) -> int:
    """Makes the facts of these snapshots anew, and mends the tiers that were rolled up beyond them.

    In the caller's transaction, which has locked the table `rollup`. Returns how many facts were made.
    """
    if not times:
        return 0
    metric = derived.metric
    conn.execute(b"SELECT set_config('enable_nestloop', 'on', true)")
    late = {tier: mark for (number, tier), mark in watermarks.items() if number == metric_id and min(times) < mark}
    starts = {
        tier: sorted({period(time, TIER_SECONDS[tier])[0] for time in times if time < mark})
        for tier, mark in late.items()
    }
    parents = stored_parents(conn)
    for tier, needed in {metric.tier: list(times), **starts}.items():
        name = f"{metric.name}_{tier}"
        ensure_partitions(conn, {name: parents[name]}, needed)
    params = {"target_id": target_id, "times": list(times)} | {f"mark_{tier}": mark for tier, mark in late.items()}
    made = _one(conn, _sql(metric, derived.source, tuple(late), is_again=True), params)
    for tier in late:
        conn.execute(
            f"INSERT INTO {SCHEMA}.late_bucket (metric_id, tier, target_id, ts) "
            f"SELECT %s, '{tier}', %s, t FROM unnest(%s::timestamptz[]) AS t ON CONFLICT DO NOTHING".encode(),
            (metric_id, target_id, starts[tier]),
        )
    return made


@cache
def _sql(metric: Metric, source: Metric, late: tuple[str, ...] = (), *, is_again: bool) -> str:
    """The statement that stores the facts of the snapshots at %(times)s; returns how many.

    Again: those that are there give way, and their differences from the new ones are added to the tiers of `late`, up
    to %(mark_TIER)s.
    """
    names = names_of(metric)
    counters = listed(metric.counters)
    text = metric.variants[0].sql.replace("%", "%%")
    # Those that it names: dozens of others would take as long to plan as the rest takes to run.
    picked = "".join(
        f", CASE WHEN coalesce(quality, 0) & {UNKNOWN} = 0 THEN coalesce({quote(c.name)}, 0) END AS {quote(c.name)}"
        for c in source.counters
        if re.search(rf"\b{c.name}\b", text)
    )
    keys = "".join(f"{quote(k.name)}::{k.type.name}, " for k in metric.keys)
    # The finest tier has times as float4: added up as such, they would lose what is small.
    typed = ", ".join(f"{quote(c.name)}::{c.type.name}" for c in metric.counters)
    grouped = "".join(f"{quote(k.name)}, " for k in metric.keys)
    sums = ", ".join(f"nullif(sum({quote(c.name)}), 0)::{c.type.name} AS {quote(c.name)}" for c in metric.counters)
    unknown = f"quality & {UNKNOWN} <> 0"
    quality = (
        f"CASE WHEN bool_and({unknown}) THEN {UNKNOWN} WHEN bool_or({unknown}) THEN {PARTIAL} ELSE 0 END "
        f"| bit_or(quality & {PARTIAL | GAP})"
    )
    parts = [
        f"reading AS (SELECT ts, series_id, target_id, coalesce(quality, 0)::integer AS quality{picked}\n"
        f"FROM {table(source, source.tier)} WHERE target_id = {_TARGET} AND ts = ANY (%(times)s::timestamptz[]))",
        # A row that says nothing, neither a number nor that it is not known, is left out. OFFSET 0: the planner would
        # have all sums once more in a HAVING.
        f"found AS MATERIALIZED (SELECT *, {key_hash(metric, '', _TARGET)} AS key_hash FROM (\n"
        f"SELECT ts, {grouped}{quality} AS quality, {sums}\n"
        f"FROM (SELECT ts, {keys}quality::integer AS quality, {typed} FROM (\n{text}\n) AS told)"
        f" AS typed\nGROUP BY {grouped}ts OFFSET 0) AS summed\n"
        f"WHERE num_nonnulls({counters}) > 0 OR quality & {UNKNOWN} <> 0)",
        f"fresh AS (INSERT INTO {names.series} (target_id, {grouped}first_seen)\n"
        f"SELECT {_TARGET}, {grouped}min(ts) FROM found AS f\n"
        f"WHERE NOT EXISTS (SELECT FROM {names.series} AS x WHERE x.key_hash = f.key_hash)\n"
        f"GROUP BY {grouped.rstrip(', ')} RETURNING series_id, key_hash)",
        f"known AS (SELECT series_id, key_hash FROM {names.series} "
        "WHERE key_hash IN (SELECT key_hash FROM found) UNION ALL SELECT series_id, key_hash FROM fresh)",
        f"made AS (INSERT INTO {table(metric, metric.tier)} (ts, series_id, target_id, quality, {counters})\n"
        f"SELECT f.ts, k.series_id, {_TARGET}, nullif(f.quality, 0)::smallint, {listed(metric.counters, 'f.')}\n"
        "FROM found AS f JOIN known AS k USING (key_hash) ORDER BY f.ts, k.series_id RETURNING *)",
    ]
    if is_again:
        parts.append(
            f"gone AS (DELETE FROM {table(metric, metric.tier)} "
            f"WHERE target_id = {_TARGET} AND ts = ANY (%(times)s::timestamptz[]) RETURNING *)"
        )
        parts += [_moved(metric, tier) for tier in late]
    return "WITH " + ",\n".join(parts) + "\nSELECT count(*) FROM made"


def _moved(metric: Metric, tier: str) -> str:
    """What a tier that was rolled up already has to be told: the new rows less the old."""
    types = {c.name: coarse_columns(c, tier)[0][1] for c in metric.counters}
    counters = listed(metric.counters)
    plus = ", ".join(f"{quote(c.name)}::{c.type.name}" for c in metric.counters)
    minus = ", ".join(f"-{quote(c.name)}::{c.type.name}" for c in metric.counters)
    sums = ", ".join(f"nullif(sum({quote(name)}), 0)::{type_} AS {quote(name)}" for name, type_ in types.items())
    return (
        f'"moved {tier}" AS (INSERT INTO {table(metric, tier)} (ts, series_id, target_id, quality, {counters})\n'
        f"SELECT * FROM (SELECT {bucket(tier, 'ts')} AS ts, series_id, target_id,\n"
        f"nullif(bit_or(quality & {PARTIAL | GAP}) "
        f"| max(CASE WHEN quality & {UNKNOWN} <> 0 THEN {PARTIAL} ELSE 0 END), 0)::smallint AS quality, {sums}\n"
        f"FROM (SELECT ts, series_id, target_id, coalesce(quality, 0)::integer AS quality, {plus} FROM made\n"
        f"UNION ALL SELECT ts, series_id, target_id, 0, {minus} FROM gone) AS moves\n"
        f"WHERE ts < %(mark_{tier})s GROUP BY 1, 2, 3) AS summed WHERE num_nonnulls({counters}) > 0\n"
        "ORDER BY ts, series_id)"
    )


def _one(conn: psycopg.Connection[Any], sql: str, params: Mapping[str, Any]) -> int:
    row = conn.execute(sql.encode(), params).fetchone()
    assert row is not None
    return int(row[0])
