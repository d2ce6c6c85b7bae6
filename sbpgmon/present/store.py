"""What `store` shows: size by metric and tier, what comes a day, a forecast, and what a rollback would need."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sbpgmon.model import TIER_SECONDS
from sbpgmon.present.forecast import Growth, forecast
from sbpgmon.store.connection import StoreConnection, translated
from sbpgmon.store.dependents import survey
from sbpgmon.store.inventory import COVERAGE, FIXED, StoredTable, inventory, stretch
from sbpgmon.store.partitions import LOG, LOG_TIER

_DAY = 86400.0
_RECENT = 3  # partitions that say what comes a day
_LEAST_SECONDS = 600.0  # below it nothing can be said of a day

# Where the metrics are: a roll-up can be no further than the readings, whatever the clock says.
_METRICS = """
SELECT coalesce(m.name, '') AS metric, r.tier, r.retention_seconds, r.watermark, now() AS now,
  (SELECT least(now(), max(s.last_ts)) FROM monitoring.metric_state AS s WHERE s.metric_id = r.metric_id) AS read_until
FROM monitoring.rollup AS r LEFT JOIN monitoring.metric AS m USING (metric_id)
"""


@dataclass(frozen=True, slots=True)
class Part:
    """One tier of one metric, or its other tables; None where nothing is known, or does not apply."""

    metric: str
    part: str  # a tier, `log`, `other`, or the name of a fixed table
    tables: int
    rows: int | None
    table_bytes: int
    index_bytes: int
    total_bytes: int
    oldest: datetime | None = None
    newest: datetime | None = None
    retention_seconds: float | None = None  # None: forever
    watermark: datetime | None = None
    behind_seconds: float | None = None  # what is complete and has not been rolled up
    rows_per_day: float | None = None
    bytes_per_day: float | None = None
    is_estimated: bool = False  # of a tier that has no row yet, by the finer one
    full_bytes: float | None = None  # when as much goes as comes; None: it grows forever, or nothing is known


def measure(store: StoreConnection) -> dict[str, Any]:
    """`{"total_bytes", "is_exact", "rows", "metrics": [Part…], "tiers": […], "forecast", "relations", "locks"}`.

    Raises StoreError and its kin.
    """
    known = {(row["metric"], row["tier"]): row for row in store.query(_METRICS)}
    now = next(iter(known.values()))["now"] if known else datetime.now(UTC)
    with translated():
        conn = store.raw
        found, is_exact = inventory(conn)
        whole = survey(conn)
        groups: dict[tuple[str, str], list[StoredTable]] = {}
        for table in found:
            groups.setdefault(_group(table), []).append(table)
        spans = {
            key: stretch(conn, tables) for key, tables in groups.items() if key[1] in TIER_SECONDS or key[1] == "log"
        }
    parts = [_part(key, tables, spans, known, now) for key, tables in groups.items()]
    parts += _missing_tiers(parts, known)
    parts = _estimated(parts, groups)
    growths = {(p.metric, p.part): _growth(p, groups.get((p.metric, p.part), []), now) for p in parts if _is_aged(p)}
    parts = [
        dataclasses.replace(p, full_bytes=growths[p.metric, p.part].full_bytes) if p.bytes_per_day else p for p in parts
    ]
    total = sum(part.total_bytes for part in parts)
    coming = forecast(growths.values(), sum(p.total_bytes for p in parts if not _is_aged(p)))
    ages = [(now - p.oldest).total_seconds() for p in parts if p.oldest and p.part in ("log", "raw", "1m")]
    return {
        "total_bytes": total,
        "is_exact": is_exact,
        "rows": sum(part.rows or 0 for part in parts),
        "tiers": _totals(parts, known),
        "metrics": [dataclasses.asdict(part) for part in sorted(parts, key=_order(parts))],
        "forecast": dataclasses.asdict(coming) | {"from_seconds": max(ages, default=0.0)},
        "relations": dict(whole.relations),
        "locks": {"needed": whole.locks_needed, "available": whole.locks_available},
        "outside": [dependent.description for dependent in whole.outside],
    }


def _group(table: StoredTable) -> tuple[str, str]:
    metric, part = table.owner
    if metric == FIXED:
        return FIXED, "other"
    return metric, part if part in TIER_SECONDS or part == "log" else "other"


def _is_aged(part: Part) -> bool:
    return part.part in TIER_SECONDS or part.part == "log"


def _policy(key: tuple[str, str], known: Mapping[tuple[str, str], Mapping[str, Any]]) -> Mapping[str, Any]:
    metric, part = key
    if metric == LOG:
        key = "", LOG_TIER
    elif metric == COVERAGE:
        key = "", part
    elif key not in known:
        # Tables that were replaced are kept as long as those that took their place.
        key = re.sub(r"_v\d+$", "", metric), part
    return known.get(key, {})


def _part(
    key: tuple[str, str],
    tables: Sequence[StoredTable],
    spans: Mapping[tuple[str, str], tuple[datetime, datetime] | None],
    known: Mapping[tuple[str, str], Mapping[str, Any]],
    now: datetime,
) -> Part:
    span = spans.get(key)
    policy = _policy(key, known)
    finest = next((tier for tier in TIER_SECONDS if (key[0], tier) in known), None)
    part = Part(
        *key,
        tables=len(tables),
        rows=_rows(tables),
        table_bytes=sum(t.table_bytes for t in tables),
        index_bytes=sum(t.index_bytes for t in tables),
        total_bytes=sum(t.total_bytes for t in tables),
        oldest=span[0] if span else None,
        newest=span[1] if span else None,
        retention_seconds=policy.get("retention_seconds"),
    )
    if span:
        rows, size = _a_day(tables, span, min(now, span[1] + _step(key[1])))
        part = dataclasses.replace(part, rows_per_day=rows, bytes_per_day=size)
    if key in known and key[1] != finest:
        read = spans.get((key[0], finest or ""))
        part = dataclasses.replace(part, watermark=policy["watermark"], behind_seconds=_behind(policy, key[1], read))
    return part


def _step(tier: str) -> timedelta:
    return timedelta(seconds=TIER_SECONDS.get(tier, 0))


def _rows(tables: Sequence[StoredTable]) -> int | None:
    """Rows of these; where one has no estimate, as many to a byte as the others have."""
    counted = [t for t in tables if t.rows is not None]
    rows = sum(t.rows or 0 for t in counted)
    unknown = sum(t.table_bytes for t in tables if t.rows is None)
    known = sum(t.table_bytes for t in counted if t.rows)
    if unknown and not known:
        return rows or None
    return rows + (round(unknown * rows / known) if unknown else 0)


def _a_day(
    tables: Sequence[StoredTable], span: tuple[datetime, datetime], until: datetime
) -> tuple[float | None, float | None]:
    """Rows and bytes a day, by the youngest partitions that hold some."""
    full = sorted(((t.partition.start, t) for t in tables if t.partition and not t.is_empty), key=lambda pair: pair[0])[
        -_RECENT:
    ]
    since = max(span[0], full[0][0])
    seconds = (until - since).total_seconds()
    if seconds < _LEAST_SECONDS:
        return None, None
    recent = [table for _, table in full]
    rows = _rows(recent)
    size = sum(table.total_bytes for table in recent) / seconds * _DAY
    return None if rows is None else rows / seconds * _DAY, size


def _behind(policy: Mapping[str, Any], tier: str, read: tuple[datetime, datetime] | None) -> float | None:
    """Seconds of whole steps that have been read, as the finest tier says, and have not been rolled up."""
    if policy["read_until"] is None:
        return None
    step = TIER_SECONDS[tier]
    until = datetime.fromtimestamp(policy["read_until"].timestamp() // step * step, UTC)
    since = policy["watermark"] or (read[0] if read else until)
    return max(0.0, float((until - since).total_seconds()))


def _missing_tiers(parts: Sequence[Part], known: Mapping[tuple[str, str], Mapping[str, Any]]) -> list[Part]:
    """Tiers that have no partition at all, as after a retention in which nothing was read."""
    there = {(part.metric, part.part) for part in parts}
    return [
        Part(metric, tier, 0, 0, 0, 0, 0, retention_seconds=row["retention_seconds"])
        for (metric, tier), row in known.items()
        if metric and (metric, tier) not in there
    ]


def _estimated(parts: list[Part], groups: Mapping[tuple[str, str], Sequence[StoredTable]]) -> list[Part]:
    """Tiers that have not filled for long enough get at most what the finer one gets, and one row a series and step."""
    by_key = {(part.metric, part.part): part for part in parts}
    for metric in {part.metric for part in parts}:
        series = sum(t.rows or 0 for t in groups.get((metric, "other"), ()) if t.owner == (metric, "series"))
        finer: Part | None = None
        for tier in TIER_SECONDS:
            part = by_key.get((metric, tier))
            if part is None:
                continue
            if part.bytes_per_day is None and finer is not None and finer.bytes_per_day and finer.rows_per_day:
                step = TIER_SECONDS[tier]
                rows = finer.rows_per_day
                rows = min(rows, series * _DAY / step) if series else rows * TIER_SECONDS[finer.part] / step
                size = rows * finer.bytes_per_day / finer.rows_per_day
                part = dataclasses.replace(part, rows_per_day=rows, bytes_per_day=size, is_estimated=True)
                by_key[metric, tier] = part
            finer = part
    return list(by_key.values())


def _growth(part: Part, tables: Sequence[StoredTable], now: datetime) -> Growth:
    periods = [(t.partition.end - t.partition.start).total_seconds() for t in tables if t.partition]
    return Growth(
        total_bytes=part.total_bytes,
        bytes_per_day=part.bytes_per_day,
        age_seconds=(now - part.oldest).total_seconds() if part.oldest else 0.0,
        retention_seconds=part.retention_seconds,
        period_seconds=max(periods, default=0.0),
    )


def _totals(parts: Sequence[Part], known: Mapping[tuple[str, str], Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each tier over all metrics, the log, and the rest."""
    totals = []
    for name in (*TIER_SECONDS, "log", "other"):
        mine = [part for part in parts if part.part == name]
        if not mine:
            continue
        policy = known.get(("", LOG_TIER if name == "log" else name), {})
        rate = _sum([part.bytes_per_day for part in mine])
        grows = any(part.full_bytes is None for part in mine if part.bytes_per_day)
        totals.append(
            {
                "tier": name,
                "retention_seconds": policy.get("retention_seconds"),
                "tables": sum(part.tables for part in mine),
                "rows": sum(part.rows or 0 for part in mine),
                "total_bytes": sum(part.total_bytes for part in mine),
                "index_bytes": sum(part.index_bytes for part in mine),
                "rows_per_day": _sum([part.rows_per_day for part in mine]),
                "bytes_per_day": rate,
                "is_estimated": any(part.is_estimated for part in mine),
                "oldest": min((part.oldest for part in mine if part.oldest), default=None),
                "newest": max((part.newest for part in mine if part.newest), default=None),
                "behind_seconds": max((p.behind_seconds for p in mine if p.behind_seconds is not None), default=None),
                "full_bytes": None if grows or not rate else sum(part.full_bytes or part.total_bytes for part in mine),
            }
        )
    return totals


def _sum(values: Sequence[float | None]) -> float | None:
    """The sum of what is known; None where nothing is."""
    there = [value for value in values if value is not None]
    return sum(there) if there else None


def _order(parts: Sequence[Part]) -> Any:
    sizes: dict[str, int] = {}
    for part in parts:
        sizes[part.metric] = sizes.get(part.metric, 0) + part.total_bytes
    places = [*TIER_SECONDS, "log", "other"]
    return lambda part: (-sizes[part.metric], part.metric, places.index(part.part))
