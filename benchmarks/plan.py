"""What a fill consists of: which stretch of which tier is generated, and which is rolled up out of a finer one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks import generate_tenants
from benchmarks.fleet import STATEMENTS
from benchmarks.generate import coverage_direct_sql, facts_sql, log_sql, statements_sql
from sbpgmon.model import TIER_SECONDS, Metric
from sbpgmon.store.partitions import LOG, LOG_TIER
from sbpgmon.store.rollup import LAG_SECONDS
from sbpgmon.store.tiers import coverage_sql, roll_up_sql

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
# One statement's stretch: about a million rows of the full fleet, so that memory stays flat.
_CHUNK_HOURS = {"raw": 6, "1m": 12, "5m": 72, "1h": 24 * 30, "1d": 24 * 365}
_ROLLED_HOURS = {"1m": 6, "5m": 6, "1h": 24, "1d": 24 * 10}


@dataclass(frozen=True, slots=True)
class Job:
    """One statement over one stretch of time."""

    what: str
    sql: str
    params: Mapping[str, Any]


@dataclass(slots=True)
class Plan:
    """Of one store: the history from `start` to `until`, as retention leaves it."""

    start: datetime
    until: datetime
    metrics: dict[int, Metric] = field(default_factory=dict)
    retention: dict[tuple[int, str], float | None] = field(default_factory=dict)  # metric (0: fixed tables), tier

    def first(self, metric_id: int, tier: str) -> datetime:
        """From where on a tier is kept (0: the fixed tables): on the edge of a bucket of every coarser one."""
        kept = self.retention[metric_id, tier]
        if kept is None:
            return self.start
        step = 3600 if TIER_SECONDS[tier] < 3600 else 86400
        return max(self.start, floor(self.until - timedelta(seconds=kept - step), step))

    def marks(self, metric: Metric) -> dict[str, datetime]:
        """Up to where each coarser tier is rolled up."""
        found: dict[str, datetime] = {}
        mark = self.until - timedelta(seconds=LAG_SECONDS)
        for tier in metric.tiers[1:]:
            mark = found[tier] = floor(mark, TIER_SECONDS[tier])
        return found

    def stages(self) -> Iterator[tuple[str, list[Job]]]:
        """Finest first; within a stage the order does not matter."""
        log = [
            Job(LOG, log_sql(m, self.until), p)
            for i, m in self.metrics.items()
            for p in self._chunks(i, self.first(0, LOG_TIER), None, 24)
        ]
        yield "snapshots", log
        facts = {i: m for i, m in self.metrics.items() if m.facts}
        for place in range(max(len(m.tiers) for m in facts.values())):
            deep = {i: m for i, m in facts.items() if place < len(m.tiers)}
            tiers = sorted({m.tiers[place] for m in deep.values()}, key=list(TIER_SECONDS).index)
            if place:
                yield f"coverage: {', '.join(tiers)}", [j for i, m in deep.items() for j in self._coverage(i, m, place)]
            made = {i: m for i, m in deep.items() if m.source == STATEMENTS}
            yield (
                f"facts: {', '.join(tiers)}",
                [j for i, m in deep.items() if i not in made for j in self._facts(i, m, place)],
            )
            if made:
                yield (
                    f"of statements: {', '.join(tiers)}",
                    [j for i, m in made.items() for j in self._facts(i, m, place)],
                )

    def _coverage(self, metric_id: int, metric: Metric, place: int) -> Iterator[Job]:
        tier, source = metric.tiers[place], metric.tiers[place - 1]
        first, mark = self.first(0, tier), self.marks(metric)[tier]
        finer = self.first(0, LOG_TIER if place == 1 else source)
        finer = min(mark, max(first, ceiling(finer, TIER_SECONDS[tier])))
        name = f"coverage_{tier}"
        for params in self._chunks(metric_id, first, finer, _CHUNK_HOURS[tier]):
            yield Job(name, coverage_direct_sql(metric, tier, self.until), params)
        where = "f.ts >= %(first)s AND f.ts < %(end)s"
        for params in self._chunks(metric_id, finer, mark, _ROLLED_HOURS[tier] * 4):
            yield Job(name, coverage_sql(None if place == 1 else source, tier, where), params)

    def _facts(self, metric_id: int, metric: Metric, place: int) -> Iterator[Job]:
        tier, name = metric.tiers[place], f"{metric.name}_{metric.tiers[place]}"
        is_statements = metric.name == STATEMENTS
        sql = self._sql(metric, tier)
        first = self.first(metric_id, tier)
        if not place:
            for params in self._chunks(metric_id, first, None, 24 if is_statements else _CHUNK_HOURS[tier]):
                yield Job(name, sql, params)
            return
        source, mark = metric.tiers[place - 1], self.marks(metric)[tier]
        finer = min(mark, max(first, ceiling(self.first(metric_id, source), TIER_SECONDS[tier])))
        for params in self._chunks(metric_id, first, finer, 24 if is_statements else _CHUNK_HOURS[tier]):
            yield Job(name, sql, params)
        rolled = roll_up_sql(metric, source, tier, "f.ts >= %(first)s AND f.ts < %(end)s")
        for params in self._chunks(metric_id, finer, mark, _ROLLED_HOURS[tier]):
            yield Job(name, rolled, params)

    def _sql(self, metric: Metric, tier: str) -> str:
        match metric.name:
            case "stat_statements":
                return statements_sql(metric, tier, self.until)
            case "tenant_events":
                return generate_tenants.events_sql(metric, tier, self.until)
            case "tenant_queries":
                statements = next(m for m in self.metrics.values() if m.name == STATEMENTS)
                return generate_tenants.queries_sql(metric, statements, tier)
            case "statement_totals":
                statements = next(m for m in self.metrics.values() if m.name == STATEMENTS)
                return generate_tenants.totals_sql(metric, statements, tier)
        return facts_sql(metric, tier, self.until)

    def _chunks(self, metric_id: int, first: datetime, end: datetime | None, hours: float) -> Iterator[dict[str, Any]]:
        """Stretches, cut at multiples of their length; without an end the last one goes up to the last snapshot."""
        # A slot that begins before the end has its reading after it, at most an interval later.
        end = end or self.until + timedelta(seconds=1)
        while first < end:
            stop = min(end, ceiling(first + timedelta(seconds=1), hours * 3600))
            day = (first - _EPOCH).days
            yield {"metric_id": metric_id, "first": first, "end": stop, "until": self.until, "day": day}
            first = stop


def floor(ts: datetime, seconds: float) -> datetime:
    step = timedelta(seconds=seconds)
    return _EPOCH + (ts - _EPOCH) // step * step


def ceiling(ts: datetime, seconds: float) -> datetime:
    step = timedelta(seconds=seconds)
    return _EPOCH - (_EPOCH - ts) // step * step
