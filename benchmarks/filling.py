"""Fills an initialised, empty store with the history of a fleet, as the agent and its retention would have left it.

The finest tier that is kept of a stretch is generated; every coarser one above it is rolled up with the product's own
SQL, so that tiers agree to the digit wherever two of them have the same time.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from benchmarks.entries import Entries, enter_fleet, enter_states
from benchmarks.fleet import STATEMENTS, Shape
from benchmarks.generate import (
    CORE_SHARE,
    HOT_SHARE,
    POOL,
    TEMPORARY,
    coverage_direct_sql,
    facts_sql,
    log_sql,
    statements_sql,
)
from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.model import TIER_SECONDS, Metric
from sbpgmon.store.partitions import LOG, LOG_TIER, ensure_partitions, stored_parents
from sbpgmon.store.rollup import LAG_SECONDS
from sbpgmon.store.schema import MARK, SCHEMA
from sbpgmon.store.sync import is_stored
from sbpgmon.store.tiers import coverage_sql, roll_up_sql

WORKERS = 2
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
# One statement's stretch: about a million rows of the full fleet, so that memory stays flat.
_CHUNK_HOURS = {"raw": 6, "1m": 12, "5m": 72, "1h": 24 * 30, "1d": 24 * 365}
_ROLLED_HOURS = {"1m": 6, "5m": 6, "1h": 24, "1d": 24 * 10}
_SETTINGS = {
    "timezone": "UTC",
    "synchronous_commit": "off",
    "work_mem": "256MB",
    "max_parallel_workers_per_gather": "0",  # random() is drawn in one order
    "jit": "off",
}


class CannotFillError(Exception):
    """The store is not there, or not empty; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Job:
    """One statement over one stretch of time."""

    what: str
    sql: str
    params: Mapping[str, Any]


@dataclass(slots=True)
class Filled:
    """What was made."""

    start: datetime
    until: datetime
    seconds: float = 0.0
    rows: dict[str, int] = field(default_factory=dict)  # table -> rows


def connect(dsn: str) -> psycopg.Connection[Any]:
    """A connection that fills, in autocommit. Raises CannotFillError."""
    try:
        conn = psycopg.connect(dsn, autocommit=True, prepare_threshold=None, connect_timeout=10)
    except psycopg.OperationalError as error:
        raise CannotFillError(f"the store does not answer: {str(error).strip()}") from None
    for name, value in _SETTINGS.items():
        conn.execute("SELECT set_config(%s, %s, false)", (name, value))
    return conn


class Filling:
    """A plan for one store, and its execution."""

    def __init__(self, dsn: str, shape: Shape, days: float, until: datetime | None = None) -> None:
        self._dsn = dsn
        self._shape = shape
        # Snapshots of the last moment are there, however long the fill takes.
        self.until = (until or datetime.now(UTC)).replace(microsecond=0)
        self.start = floor(self.until - timedelta(days=days), 86400)
        self._metrics: dict[int, Metric] = {}
        self._retention: dict[tuple[int, str], float | None] = {}
        self._entries = Entries([], [])
        self._local = threading.local()
        self._made: list[psycopg.Connection[Any]] = []

    def fill(self, advance: Callable[[str, float, int], None]) -> Filled:
        """Does it all; `advance` hears of what a stage consists, its share that is done, and rows.

        Raises CannotFillError, and psycopg.Error: then part of it is there, and the schema is to be made anew.
        """
        began = time.monotonic()
        done = Filled(self.start, self.until)
        with contextlib.closing(connect(self._dsn)) as conn:
            self._look(conn)
            advance("targets, series, texts", 0.0, 0)
            with conn.transaction():
                self._make_room(conn)
                self._entries = enter_fleet(conn, self._shape, self._metrics, self.start, self.until)
            # The pool of statements is chosen by joins over these.
            conn.execute(f"ANALYZE {SCHEMA}.stat_statements_series".encode())
            try:
                with ThreadPoolExecutor(WORKERS) as pool:
                    for title, jobs in self._stages():
                        self._run(pool, title, jobs, done, advance)
                    self._run(pool, "vacuum, analyze", self._vacuum(conn), done, advance)
            finally:
                for other in self._made:
                    other.close()
            with conn.transaction():
                enter_states(conn, self._metrics, self.start, self.until)
                self._enter_marks(conn)
        done.seconds = time.monotonic() - began
        return done

    # -- the plan ------------------------------------------------------------------------------------------

    def _look(self, conn: psycopg.Connection[Any]) -> None:
        row = conn.execute(
            "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = %s", (SCHEMA,)
        ).fetchone()
        if row is None or row[0] != MARK:
            raise CannotFillError(f"there is no schema {SCHEMA} of sbpgmon's there: `sbpgmon init` makes it")
        for name in ("target", LOG):
            if conn.execute(f"SELECT EXISTS (SELECT FROM {SCHEMA}.{name})".encode()).fetchone() == (True,):
                raise CannotFillError(
                    f"the store is not empty: {SCHEMA}.{name} has rows. A fill needs a new schema: `sbpgmon rollback`, "
                    "then `sbpgmon init`"
                )
        catalog = load_catalog().metrics
        for metric_id, name, signature in conn.execute(
            f"SELECT metric_id, name, signature FROM {SCHEMA}.metric ORDER BY metric_id".encode()
        ):
            if name in catalog and is_stored(signature, catalog[name]):
                self._metrics[metric_id] = catalog[name]
        for metric_id, tier, seconds in conn.execute(
            f"SELECT metric_id, tier, retention_seconds FROM {SCHEMA}.rollup".encode()
        ):
            self._retention[metric_id, tier] = seconds

    def first(self, metric_id: int, tier: str) -> datetime:
        """From where on a tier is kept (0: the fixed tables): on the edge of a bucket of every coarser one."""
        kept = self._retention[metric_id, tier]
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

    def _make_room(self, conn: psycopg.Connection[Any]) -> None:
        ids = {f"{m.name}_{tier}": (i, tier) for i, m in self._metrics.items() for tier in m.tiers}
        ids |= {f"coverage_{tier}": (0, tier) for tier in TIER_SECONDS if tier != "raw"} | {LOG: (0, LOG_TIER)}
        for parent, seconds in stored_parents(conn).items():
            if parent in ids:
                first, step = self.first(*ids[parent]), timedelta(seconds=seconds)
                times = [first + step * n for n in range(int((self.until - first) / step) + 1)]
                ensure_partitions(conn, {parent: seconds}, [*times, self.until, self.until + step])

    def _stages(self) -> Iterator[tuple[str, list[Job]]]:
        """Finest first; within a stage the order does not matter."""
        log = [
            Job(LOG, log_sql(m), p)
            for i, m in self._metrics.items()
            for p in self._chunks(i, self.first(0, LOG_TIER), None, 24)
        ]
        yield "snapshots", log
        facts = {i: m for i, m in self._metrics.items() if m.facts}
        for place in range(max(len(m.tiers) for m in facts.values())):
            deep = {i: m for i, m in facts.items() if place < len(m.tiers)}
            tiers = sorted({m.tiers[place] for m in deep.values()}, key=list(TIER_SECONDS).index)
            if place:
                yield f"coverage: {', '.join(tiers)}", [j for i, m in deep.items() for j in self._coverage(i, m, place)]
            jobs = [j for i, m in deep.items() for j in self._facts(i, m, place)]
            yield f"facts: {', '.join(tiers)}", jobs

    def _coverage(self, metric_id: int, metric: Metric, place: int) -> Iterator[Job]:
        tier, source = metric.tiers[place], metric.tiers[place - 1]
        first, mark = self.first(0, tier), self.marks(metric)[tier]
        finer = self.first(0, LOG_TIER if place == 1 else source)
        finer = min(mark, max(first, ceiling(finer, TIER_SECONDS[tier])))
        name = f"coverage_{tier}"
        for params in self._chunks(metric_id, first, finer, _CHUNK_HOURS[tier]):
            yield Job(name, coverage_direct_sql(tier), params)
        where = "f.ts >= %(first)s AND f.ts < %(end)s"
        for params in self._chunks(metric_id, finer, mark, _ROLLED_HOURS[tier] * 4):
            yield Job(name, coverage_sql(None if place == 1 else source, tier, where), params)

    def _facts(self, metric_id: int, metric: Metric, place: int) -> Iterator[Job]:
        tier, name = metric.tiers[place], f"{metric.name}_{metric.tiers[place]}"
        is_statements = metric.name == STATEMENTS
        sql = (statements_sql if is_statements else facts_sql)(metric, tier, self.until)
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

    def _chunks(self, metric_id: int, first: datetime, end: datetime | None, hours: float) -> Iterator[dict[str, Any]]:
        """Stretches, cut at multiples of their length; without an end the last one goes up to the last snapshot."""
        # A slot that begins before the end has its reading after it, at most an interval later.
        end = end or self.until + timedelta(seconds=1)
        while first < end:
            stop = min(end, ceiling(first + timedelta(seconds=1), hours * 3600))
            day = (first - _EPOCH).days
            yield {"metric_id": metric_id, "first": first, "end": stop, "until": self.until, "day": day}
            first = stop

    def _vacuum(self, conn: psycopg.Connection[Any]) -> list[Job]:
        rows = conn.execute(
            "SELECT c.relname FROM pg_class AS c WHERE c.relnamespace = %s::regnamespace AND c.relkind = 'r' "
            "AND pg_relation_size(c.oid) > 0 ORDER BY pg_relation_size(c.oid) DESC",
            (SCHEMA,),
        )
        return [Job("", f'VACUUM (ANALYZE) {SCHEMA}."{name}"', {}) for (name,) in rows]

    # -- its execution -------------------------------------------------------------------------------------

    def _run(
        self,
        pool: ThreadPoolExecutor,
        title: str,
        jobs: list[Job],
        done: Filled,
        advance: Callable[[str, float, int], None],
    ) -> None:
        for count, (job, rows) in enumerate(zip(jobs, pool.map(self._work, jobs), strict=True), start=1):
            if job.what:
                done.rows[job.what] = done.rows.get(job.what, 0) + rows
            advance(title, count / len(jobs), rows if job.what else 0)

    def _work(self, job: Job) -> int:
        conn: psycopg.Connection[Any] | None = getattr(self._local, "conn", None)
        if conn is None:
            conn = self._local.conn = connect(self._dsn)
            self._made.append(conn)
            self._prepare(conn)
        if not job.params:
            conn.execute(job.sql.encode())
            return 0
        with conn.transaction():
            # The same rows for the same stretch, whichever worker makes them.
            seed = hash((self._shape.seed, job.params["metric_id"], int(job.params["first"].timestamp())))
            conn.execute("SELECT setseed(%s)", (seed % 999983 / 999983,))
            return conn.execute(job.sql.encode(), job.params).rowcount

    def _prepare(self, conn: psycopg.Connection[Any]) -> None:
        conn.execute(TEMPORARY.encode())
        for name, rows in (("polled", self._entries.polled), ("series", self._entries.series)):
            with conn.cursor().copy(f"COPY {name} FROM STDIN".encode()) as copy:
                for row in rows:
                    copy.write_row(row)
        count = self._shape.statements
        params = {"until": self.until, "seed": self._shape.seed}
        params |= {"hot": max(5, round(count * HOT_SHARE)), "core": max(10, round(count * CORE_SHARE))}
        conn.execute(POOL.encode(), params)
        conn.execute(b"ANALYZE pool; ANALYZE polled; ANALYZE series")

    def _enter_marks(self, conn: psycopg.Connection[Any]) -> None:
        """Watermarks, and from where on each tier has rows, for the product to go on from."""
        for metric_id, metric in self._metrics.items():
            marks = self.marks(metric)
            for tier in metric.tiers if metric.facts else ():
                first = self.first(metric_id, tier)
                conn.execute(
                    f"UPDATE {SCHEMA}.rollup SET watermark = %s, dropped_until = %s, rolled_at = now(), rows = 0, "
                    "seconds = 0 WHERE metric_id = %s AND tier = %s".encode(),
                    (marks.get(tier), first if first > self.start else None, metric_id, tier),
                )
        detail = {"days": (self.until - self.start).days, "targets": self._shape.targets, "seed": self._shape.seed}
        conn.execute(
            f"INSERT INTO {SCHEMA}.event (ts, kind, detail) VALUES (%s, 'rebuilt', %s)".encode(),
            (self.until, f"made up for a benchmark: {json.dumps(detail)}"),
        )


def floor(ts: datetime, seconds: float) -> datetime:
    step = timedelta(seconds=seconds)
    return _EPOCH + (ts - _EPOCH) // step * step


def ceiling(ts: datetime, seconds: float) -> datetime:
    step = timedelta(seconds=seconds)
    return _EPOCH - (_EPOCH - ts) // step * step
