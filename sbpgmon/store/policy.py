"""Which tiers each metric has and how long they are kept, as the store knows it: the table `rollup`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import psycopg

from sbpgmon.environment import PROFILES
from sbpgmon.model import TIER_SECONDS, TYPES, Column, Kind, Metric
from sbpgmon.store.ddl import literal
from sbpgmon.store.schema import SCHEMA

# Metric -> tier -> seconds that its rows are kept, None for ever. The name '' asks for what no metric overrides.
RetentionOf = Callable[[str], Mapping[str, float | None]]


def production(_metric: str) -> Mapping[str, float | None]:
    """What is kept where nothing else was configured."""
    return PROFILES["production"].retention


_KEEP = f"""
INSERT INTO {SCHEMA}.rollup AS r (metric_id, tier, retention_seconds)
SELECT coalesce(m.metric_id, 0), w.tier, w.seconds
FROM unnest(%(names)s::text[], %(tiers)s::text[], %(seconds)s::double precision[]) AS w (name, tier, seconds)
LEFT JOIN {SCHEMA}.metric AS m USING (name)
WHERE w.name = '' OR to_regclass('{SCHEMA}.' || quote_ident(m.name || '_' || w.tier)) IS NOT NULL
ON CONFLICT (metric_id, tier) DO UPDATE SET retention_seconds = excluded.retention_seconds
WHERE r.retention_seconds IS DISTINCT FROM excluded.retention_seconds
"""


def rows_of(metrics: Iterable[Metric], retention_of: RetentionOf) -> list[tuple[str, str, float | None]]:
    """Metric, tier, seconds; the metric '' stands for the log and the coverage."""
    rows = [("", tier, retention_of("")[tier]) for tier in TIER_SECONDS]
    return rows + [(m.name, tier, retention_of(m.name)[tier]) for m in metrics if m.facts for tier in m.tiers]


def keep_policy(conn: psycopg.Connection[Any], metrics: Iterable[Metric], retention_of: RetentionOf) -> int:
    """Enters retentions, of tiers that have tables; returns how many were not as they should be."""
    names, tiers, seconds = zip(*rows_of(metrics, retention_of), strict=True)
    values = {"names": list(names), "tiers": list(tiers), "seconds": list(seconds)}
    return conn.execute(_KEEP.encode(), values).rowcount


def policy_sql(metrics: Iterable[Metric], retention_of: RetentionOf) -> list[str]:
    """The same as a script, for a new schema."""
    rows = ", ".join(
        f"({literal(name)}, {literal(tier)}, {'NULL' if seconds is None else seconds}::double precision)"
        for name, tier, seconds in rows_of(metrics, retention_of)
    )
    return [
        f"INSERT INTO {SCHEMA}.rollup (metric_id, tier, retention_seconds) "
        f"SELECT coalesce(m.metric_id, 0), w.tier, w.seconds FROM (VALUES {rows}) AS w (name, tier, seconds) "
        f"LEFT JOIN {SCHEMA}.metric AS m USING (name)"
    ]


def stored_metrics(conn: psycopg.Connection[Any]) -> dict[int, Metric]:
    """The metrics that have facts, by number, as the store describes them."""
    found = {}
    for metric_id, name, missing, interval, signature, tiers in conn.execute(
        f"SELECT m.metric_id, m.name, m.missing, m.interval_seconds, m.signature, array_agg(r.tier) "
        f"FROM {SCHEMA}.metric AS m JOIN {SCHEMA}.rollup AS r USING (metric_id) GROUP BY m.metric_id".encode()
    ):
        found[metric_id] = Metric(
            name=name,
            title="",
            description="",
            interval_seconds=interval,
            scope="",
            role="",
            requires=(),
            missing=missing,
            nulls="",
            timeout_seconds=0.0,
            columns=tuple(Column(c["name"], Kind(c["kind"]), TYPES[c["type"]], "") for c in signature),
            variants=(),
            chosen_tiers=tuple(tier for tier in TIER_SECONDS if tier in tiers),
        )
    return found
