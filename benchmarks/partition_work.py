"""Whether anybody waits for partition work: beside a query of a minute on the parents, a reader and the real writer."""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

from benchmarks.figures import Figure
from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.model import Reading, Server, Status, TargetPoll
from sbpgmon.store import retention
from sbpgmon.store.connection import StoreConnection
from sbpgmon.store.partitions import ensure_partitions, stored_parents
from sbpgmon.store.rollup import horizon
from sbpgmon.store.schema import SCHEMA
from sbpgmon.store.spool import Spool
from sbpgmon.store.writer import Writer

TARGET = "benchmark"
_PARENTS = ("stat_statements_1m", "stat_statements_5m", "snapshot_log", "coverage_5m")
_LONG_AGO = datetime(2001, 5, 1, tzinfo=UTC)  # partitions that retention drops at once: no row of the year is harmed
_ROWS = 500
_PAUSE_SECONDS = 0.05
_READ = """
SELECT count(*), sum(calls) FROM monitoring.stat_statements
WHERE tier = '1m' AND time > now() - interval '2 minutes' AND target = %s
"""
_SERVER = Server(
    version_num=180000, version="18.0", database=TARGET, role="reader", is_superuser=False, is_standby=False,
    roles=frozenset({"pg_monitor"}), encoding="UTF8", system_identifier=4711, timeline=1,
    postmaster_start_time=datetime(2026, 1, 1, tzinfo=UTC), checkpointer_start_time=None,
    extensions={"pg_stat_statements": ("public", (1, 12))}, writable=(), pooled=False, is_statements_loaded=True,
)  # fmt: skip


@dataclass(slots=True)
class _Waits:
    """How long each piece of work took, and was kept waiting for a lock, in seconds."""

    name: str
    quiet: list[float] = field(default_factory=list)  # before the partition work
    busy: list[float] = field(default_factory=list)  # during it
    locked: float = 0.0  # the longest wait for a lock
    pid: int = 0

    def figures(self) -> Iterator[Figure]:
        ms = [1e3 * seconds for seconds in self.busy]
        yield Figure(f"  {self.name}: longest wait for a lock", "ms", 1e3 * self.locked, goal=100.0)
        yield Figure(f"  {self.name}: time of one, beside it (longest)", "ms", max(ms), median(ms))
        before = [1e3 * seconds for seconds in self.quiet]
        yield Figure(f"  {self.name}: time of one, without it (longest)", "ms", max(before), median(before))


def measure(dsn: str, seconds: float, tell: Callable[[str], None]) -> Iterator[Figure]:
    """Creates, detaches and drops partitions while a transaction that began before holds the parents for `seconds`."""
    ends, is_busy = threading.Event(), threading.Event()
    reader, writer = _Waits("reader"), _Waits("writer")
    errors: list[BaseException] = []
    threads = [
        threading.Thread(target=_guarded, args=(errors, ends, work, dsn, waits, ends, is_busy))
        for work, waits in ((_read, reader), (_write, writer))
    ]
    watch = threading.Thread(target=_guarded, args=(errors, ends, _watch, dsn, (reader, writer), ends))
    for thread in (*threads, watch):
        thread.start()
    try:
        tell("reader and writer alone")
        ends.wait(max(2.0, seconds / 6))
        with psycopg.connect(dsn) as holder, psycopg.connect(dsn, autocommit=True) as conn:
            for parent in _PARENTS:
                holder.execute(f"SELECT FROM {SCHEMA}.{parent} LIMIT 1".encode())
            release = threading.Timer(seconds, holder.commit)
            release.start()
            is_busy.set()
            began = time.monotonic()
            tell(f"partition work beside a query of {seconds:.0f} s")
            made, dropped = _work(conn, ends)
            elapsed = time.monotonic() - began
            release.join()
            is_busy.clear()
    finally:
        ends.set()
        for thread in (*threads, watch):
            thread.join()
    if errors:
        raise errors[0]
    yield Figure(f"partition work beside a query of {seconds:.0f} s", "s", elapsed)
    yield Figure("  partitions made and attached", "", made)
    yield Figure("  partitions detached and dropped", "", dropped)
    for waits in (reader, writer):
        yield from waits.figures()


def _work(conn: psycopg.Connection[Any], ends: threading.Event) -> tuple[int, int]:
    """What maintenance does: partitions ahead, and those dropped whose rows are all too old."""
    parents = {name: s for name, s in stored_parents(conn).items() if name in _PARENTS}
    for name, seconds in parents.items():
        with conn.transaction():
            # One after the other, as time would have it; the second round is for the future.
            ensure_partitions(conn, {name: seconds}, [_LONG_AGO])
        with conn.transaction():
            ensure_partitions(conn, {name: seconds}, [datetime.now(UTC) + timedelta(seconds=2 * seconds)])
    dropped: list[str] = []
    now = horizon(conn)
    assert now is not None
    while not ends.is_set():
        done = retention.drop_old(conn, retention.read_policy(conn, now))
        dropped += done.dropped
        if not done.waiting:
            break
    return 2 * len(parents), len(dropped)


def _read(dsn: str, waits: _Waits, ends: threading.Event, is_busy: threading.Event) -> None:
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as conn:
        waits.pid = conn.info.backend_pid
        while not ends.wait(_PAUSE_SECONDS):
            began = time.perf_counter()
            conn.execute(_READ.encode(), (TARGET,))
            (waits.busy if is_busy.is_set() else waits.quiet).append(time.perf_counter() - began)


def _write(dsn: str, waits: _Waits, ends: threading.Event, is_busy: threading.Event) -> None:
    catalog = load_catalog()
    metric = catalog.metrics["stat_statements"]
    columns = tuple((column.name, column.type.name) for column in metric.columns)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sbpgmon-writer-")))
        store = stack.enter_context(contextlib.closing(StoreConnection(dsn)))
        made = stack.enter_context(psycopg.connect(dsn, autocommit=True))
        writer = Writer(store, catalog, Spool(folder, 10**8))
        waits.pid = store.raw.info.backend_pid
        slot = 0
        while not ends.wait(_PAUSE_SECONDS):
            slot += 1
            data = _statements(made, columns, slot)
            now = datetime.now(UTC)
            reading = Reading(
                metric.name, slot, now, now, 60.0, 0.01, Status.OK, rows=_ROWS, data=data, columns=columns
            )  # fmt: skip
            began = time.perf_counter()
            writer.write(TargetPoll(TARGET, _SERVER, (reading,)))
            (waits.busy if is_busy.is_set() else waits.quiet).append(time.perf_counter() - began)


def _statements(conn: psycopg.Connection[Any], columns: tuple[tuple[str, str], ...], slot: int) -> bytes:
    """A reading in which every statement has run."""
    known = {
        "dbid": "5", "userid": "10", "queryid": "i", "toplevel": "true", "calls": f"i * {slot}",
        "total_exec_time": f"i * {slot} * 0.5", "rows": f"i * {slot}", "stats_since": "'2026-01-01 00:00:00+00'",
    }  # fmt: skip
    picked = ", ".join(f"({known.get(name, 'NULL')})::{type_}" for name, type_ in columns)
    query = f"COPY (SELECT {picked} FROM generate_series(1, {_ROWS}) AS i) TO STDOUT (FORMAT binary)"
    with conn.cursor().copy(query.encode()) as copy:
        return b"".join(bytes(chunk) for chunk in copy)


def _watch(dsn: str, both: tuple[_Waits, ...], ends: threading.Event) -> None:
    """Looks every few milliseconds who waits for a lock, and since when."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        while not ends.wait(0.005):
            rows = conn.execute(
                "SELECT pid, extract(epoch FROM clock_timestamp() - waitstart)::float8 FROM pg_locks "
                "WHERE NOT granted AND waitstart IS NOT NULL AND pid = ANY(%s)",
                ([waits.pid for waits in both],),
            )
            found: dict[int, float] = dict(rows.fetchall())
            for waits in both:
                waits.locked = max(waits.locked, found.get(waits.pid, 0.0))


def _guarded(errors: list[BaseException], ends: threading.Event, work: Callable[..., None], *arguments: Any) -> None:
    try:
        work(*arguments)
    except BaseException as error:
        errors.append(error)
        ends.set()
