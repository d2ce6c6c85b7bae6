"""Fills an initialised, empty store with the history of a fleet, as the agent and its retention would have left it.

The finest tier that is kept of a stretch is generated; every coarser one above it is rolled up with the product's own
SQL, so that tiers agree to the digit wherever two of them have the same time.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from benchmarks.entries import Entries, enter_fleet, enter_states
from benchmarks.fleet import STATEMENTS, Shape
from benchmarks.generate import CORE_SHARE, GAP, HOT_SHARE, POOL, TEMPORARY
from benchmarks.generate_tenants import STANDS
from benchmarks.isolation import enter_isolation
from benchmarks.plan import Job, Plan, floor
from benchmarks.verdicts import enter_verdicts, finish_verdicts
from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.model import TIER_SECONDS
from sbpgmon.store.partitions import LOG, LOG_TIER, ensure_partitions, stored_parents
from sbpgmon.store.schema import MARK, SCHEMA
from sbpgmon.store.sync import is_stored

WORKERS = 2
QUERIES = "tenant_queries"  # made of the statements' facts
_SETTINGS = {
    "timezone": "UTC",
    "synchronous_commit": "off",
    "work_mem": "256MB",
    "max_parallel_workers_per_gather": "0",  # random() is drawn in one order
    "jit": "off",
}


class CannotFillError(Exception):
    """The store is not there, or not empty; the message says what to do."""


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
    """The fill of one store."""

    def __init__(self, dsn: str, shape: Shape, days: float, until: datetime | None = None) -> None:
        self._dsn = dsn
        self._shape = shape
        # Snapshots of the last moment are there, however long the fill takes.
        self.until = (until or datetime.now(UTC)).replace(microsecond=0)
        self.start = floor(self.until - timedelta(days=days), 86400)
        self._plan = Plan(self.start, self.until)
        self._entries = Entries()
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
                self._entries = enter_fleet(conn, self._shape, self._plan.metrics, self.start, self.until)
                self._enter_tenancy(conn)
            # The pool of statements is chosen by joins over these.
            conn.execute(f"ANALYZE {SCHEMA}.stat_statements_series".encode())
            try:
                with ThreadPoolExecutor(WORKERS) as pool:
                    for title, jobs in self._plan.stages():
                        self._run(pool, title, jobs, done, advance)
                    self._run(pool, "vacuum, analyze", self._vacuum(conn), done, advance)
            finally:
                for other in self._made:
                    other.close()
            with conn.transaction():
                enter_states(conn, self._plan.metrics, self.start, self.until)
                self._enter_marks(conn)
            names = [name for _, name in self._entries.targets]
            by_name = {metric.name: metric for metric in self._plan.metrics.values()}
            if STATEMENTS in by_name:
                finish_verdicts(self._dsn, conn, names, by_name, self.start, self.until)
        done.seconds = time.monotonic() - began
        return done

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
                self._plan.metrics[metric_id] = catalog[name]
        for metric_id, tier, seconds in conn.execute(
            f"SELECT metric_id, tier, retention_seconds FROM {SCHEMA}.rollup".encode()
        ):
            self._plan.retention[metric_id, tier] = seconds

    def _make_room(self, conn: psycopg.Connection[Any]) -> None:
        ids = {f"{m.name}_{tier}": (i, tier) for i, m in self._plan.metrics.items() for tier in m.tiers}
        ids |= {f"coverage_{tier}": (0, tier) for tier in TIER_SECONDS if tier != "raw"} | {LOG: (0, LOG_TIER)}
        for parent, seconds in stored_parents(conn).items():
            if parent in ids:
                first, step = self._plan.first(*ids[parent]), timedelta(seconds=seconds)
                times = [first + step * n for n in range(int((self.until - first) / step) + 1)]
                ensure_partitions(conn, {parent: seconds}, [*times, self.until, self.until + step])

    def _enter_tenancy(self, conn: psycopg.Connection[Any]) -> None:
        targets, busy = self._entries.targets, self._shape.busy
        queries = next((m for m in self._plan.metrics.values() if m.name == QUERIES), None)
        if queries is not None:
            enter_verdicts(conn, targets, busy, self.start, self.until, queries)
        checks = load_catalog().checks
        enter_isolation(conn, targets, busy, checks, self.start, self.until, self._shape.seed)

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
        for name, rows in self._entries.rows.items():
            with conn.cursor().copy(f"COPY {name} FROM STDIN".encode()) as copy:
                for row in rows:
                    copy.write_row(row)
        count = self._shape.statements
        params = {"until": self.until, "seed": self._shape.seed}
        params |= {"hot": max(5, round(count * HOT_SHARE)), "core": max(10, round(count * CORE_SHARE))}
        conn.execute(POOL.encode(), params)
        conn.execute(GAP.encode())
        conn.execute(STANDS.encode())
        conn.execute(
            b"CREATE INDEX ON gap (metric_id, at); CREATE INDEX ON outage (target_id); CREATE INDEX ON outage (first)"
        )
        conn.execute(b"ANALYZE pool; ANALYZE polled; ANALYZE series; ANALYZE gap; ANALYZE outage; ANALYZE stands")

    def _enter_marks(self, conn: psycopg.Connection[Any]) -> None:
        """Watermarks, and from where on each tier has rows, for the product to go on from."""
        for metric_id, metric in self._plan.metrics.items():
            marks = self._plan.marks(metric)
            for tier in metric.tiers if metric.facts else ():
                first = self._plan.first(metric_id, tier)
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
