"""Snapshots of pg_stat_statements through the agent's own code, and the floor beside them, in one run."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg

from benchmarks.accounting import cpu_seconds
from benchmarks.servers import READER, TARGET_DATABASE, Servers
from benchmarks.storage import Storage, measure_storage
from benchmarks.workload import run_some
from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.collect.poll import poll_target
from sbpgmon.config import Settings, load
from sbpgmon.model import Due, TargetPoll, WriteResult
from sbpgmon.sources.reader import Description
from sbpgmon.sources.session import Session
from sbpgmon.store.gate import Gate

METRIC = "stat_statements"
STORE_DATABASE = "history"
SHARE = 0.1  # of the statements, which run between two snapshots
CHECKPOINT_EVERY = 5
_INTERVAL_SECONDS = 60.0
_FLOOR = b"COPY (SELECT * FROM pg_stat_statements(false)) TO STDOUT (FORMAT binary)"
_OUR_BACKEND = b"""
SELECT pid FROM pg_stat_activity WHERE application_name = 'sbpgmon' AND datname = current_database()
"""
WARM_UP = 3  # snapshots without new texts before the first that counts: pages, caches and partitions are there


@dataclass(frozen=True, slots=True)
class Sample:
    """What one snapshot cost. CPU in seconds, from the kernel's accounting."""

    floor_seconds: float  # target's backend: the bare COPY
    target_seconds: float  # target's backend: probe and snapshot
    store_seconds: float  # store's backend
    client_seconds: float  # this process, all its threads
    wall_seconds: float
    poll_wall_seconds: float
    wal_bytes: int  # on the store
    after_checkpoint: bool
    rows: int
    facts: int
    snapshot_bytes: int


@dataclass(frozen=True, slots=True)
class Run:
    """All snapshots of a run, and what they left in the store."""

    samples: list[Sample]
    wal_bytes: int  # on the store, from before the first sample to after the last
    storage: Storage


class Snapshots:
    """The agent's path for one metric of one target: probe, read, hand over; its connections stay open."""

    def __init__(self, servers: Servers, settings: Settings) -> None:
        catalog = load_catalog()
        self._settings = settings
        self._due = catalog.metrics[METRIC]
        self._gate = Gate(settings, catalog)
        self._gate.open()
        self._session = Session(settings.targets[0], settings.agent.connect_timeout)
        self._slot = 0
        self._described: dict[str, Description] = {}
        self.target_pid = self._session.backend_pid
        with servers.connect(servers.store, STORE_DATABASE) as conn:
            ((self.store_pid,),) = conn.execute(_OUR_BACKEND).fetchall()

    def poll(self) -> TargetPoll:
        """What the daemon does in the target's thread."""
        name = self._session.target.name
        self._slot += 1
        due = [Due(self._due, self._slot, _INTERVAL_SECONDS)]
        texts = self._gate.wanted_texts(name)
        with self._session.deadline(self._settings.agent.deadline):
            return poll_target(
                self._session,
                due,
                self._settings,
                self._described,
                texts,
                look_for_writes=self._slot == 1,
            )

    def write(self, poll: TargetPoll) -> WriteResult:
        """What the daemon does in its writing thread."""
        return self._gate.write(poll)

    def close(self) -> None:
        self._session.close()
        self._gate.release()
        self._gate.close()


def measure_snapshots(servers: Servers, count: int, advance: Callable[[], None]) -> Run:
    """Takes `count` snapshots, a tenth of the statements running before each, a CHECKPOINT before every fifth.

    The floor is read before and after each snapshot, and its mean counts: what else the machine does shows in
    both. A reading that does not count comes first: it finds the entries in another CPU's cache.
    """
    dsn = servers.create_store(STORE_DATABASE, load_catalog())
    target_dsn = servers.target.dsn(TARGET_DATABASE, READER)
    settings = load(servers.write_config("snapshots", dsn, {"bench": target_dsn}))
    dice = random.Random(2)
    with contextlib.ExitStack() as stack:
        snapshots = stack.enter_context(contextlib.closing(Snapshots(servers, settings)))
        work = stack.enter_context(servers.connect(servers.target, TARGET_DATABASE))
        floor = stack.enter_context(servers.connect(servers.target, TARGET_DATABASE))
        store = stack.enter_context(servers.connect(servers.store, STORE_DATABASE))
        warm = 0
        while warm < WARM_UP:
            run_some(work, servers.statements, SHARE, dice)
            read_floor(floor)
            poll = snapshots.poll()
            expect_rows(snapshots.write(poll), len(servers.statements))
            # Texts come in batches: each statement's once in its life, which is not what a snapshot costs.
            warm = 1 if poll.texts else warm + 1
            advance()
        before = measure_storage(store)
        samples = []
        began = wal_position(store)
        for number in range(count):
            run_some(work, servers.statements, SHARE, dice)
            is_after_checkpoint = number % CHECKPOINT_EVERY == 0
            if is_after_checkpoint:
                store.execute(b"CHECKPOINT")
            samples.append(_sample(snapshots, floor, store, is_after_checkpoint))
            advance()
        wal_bytes = wal_position(store) - began
        return Run(samples, wal_bytes, measure_storage(store) - before)


def _sample(
    snapshots: Snapshots,
    floor: psycopg.Connection[Any],
    store: psycopg.Connection[Any],
    after_checkpoint: bool,
) -> Sample:
    read_floor(floor)
    floor_seconds = read_floor(floor)
    wal = wal_position(store)
    target, written = cpu_seconds(snapshots.target_pid), cpu_seconds(snapshots.store_pid)
    wall, client = time.perf_counter(), time.process_time()
    poll = snapshots.poll()
    polled = time.perf_counter()
    result = snapshots.write(poll)
    client_seconds, wall_seconds = time.process_time() - client, time.perf_counter() - wall
    floor_seconds = (floor_seconds + read_floor(floor)) / 2
    expect_rows(result, 1)
    return Sample(
        floor_seconds=floor_seconds,
        target_seconds=cpu_seconds(snapshots.target_pid) - target,
        store_seconds=cpu_seconds(snapshots.store_pid) - written,
        client_seconds=client_seconds,
        wall_seconds=wall_seconds,
        poll_wall_seconds=polled - wall,
        wal_bytes=wal_position(store) - wal,
        after_checkpoint=after_checkpoint,
        rows=result.rows_read,
        facts=result.facts,
        snapshot_bytes=len(poll.readings[0].data),
    )


def expect_rows(result: WriteResult, least: int) -> None:
    """A snapshot that failed costs nothing: it must not be measured."""
    if result.notes or result.rows_read < least:
        raise RuntimeError(f"the snapshot failed: {result.rows_read} rows; {result.notes}")


def read_floor(conn: psycopg.Connection[Any]) -> float:
    """CPU seconds of the backend for the bare COPY, whose bytes are thrown away."""
    pid = conn.info.backend_pid
    before = cpu_seconds(pid)
    with conn.cursor().copy(_FLOOR) as copy:
        for _ in copy:
            pass
    return cpu_seconds(pid) - before


def wal_position(conn: psycopg.Connection[Any]) -> int:
    """Bytes of WAL written since the cluster was made (pg_current_wal_lsn)."""
    row = conn.execute(b"SELECT pg_current_wal_lsn() - '0/0'::pg_lsn").fetchone()
    assert row is not None
    return int(row[0])
