"""Writes one target's poll: staging, difference, facts, log; all of it in one transaction, or nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg

from sbpgmon.catalog.catalog import Catalog
from sbpgmon.model import Reading, Status, TargetPoll, WriteResult
from sbpgmon.sources.session import explain
from sbpgmon.store import lease
from sbpgmon.store.apply import Applied, RejectedError, apply, contract
from sbpgmon.store.connection import StoreConnection, concerns_store
from sbpgmon.store.partitions import ensure_partitions, wanted
from sbpgmon.store.schema import SCHEMA
from sbpgmon.store.snapshot import Snapshot, time_of
from sbpgmon.store.spool import Spool
from sbpgmon.store.state import ERROR_CHARACTERS, keep_state, note_server, read_states
from sbpgmon.store.sync import is_stored
from sbpgmon.store.texts import write_texts


class Writer:
    """Writes polls through one connection."""

    def __init__(self, store: StoreConnection, catalog: Catalog, spool: Spool, holder: str | None = None) -> None:
        self._store = store
        self._catalog = catalog
        self._spool = spool
        self._holder = holder or lease.holder_of(spool.identity())
        self._metric_ids: dict[str, int] = {}
        self._target_ids: dict[str, int] = {}
        self._partitions: set[str] = set()

    def forget(self) -> None:
        """Looks everything up anew: the schema may be another one."""
        self._metric_ids.clear()
        self._target_ids.clear()
        self._partitions.clear()

    def write(self, poll: TargetPoll, *, is_replay: bool = False) -> WriteResult:
        """Stores a poll in one transaction.

        Raises StoreError and its kin, and LeaseTakenError when another agent polls the target by now; the store is
        then as it was.

        One reading that breaks its contract is logged as failed, the others are stored. A replay that had been
        committed before it could be forgotten is not stored twice.
        """
        result = WriteResult()
        kept: list[Snapshot] = []
        with self._store.transaction() as conn:
            lease.refuse_stopped(conn)
            self._look_up(conn, poll.target)
            target_id = self._target_ids[poll.target]
            lease.refuse_taken(conn, target_id, poll.target, self._holder)
            self._make_room(conn, poll)
            if poll.server is not None:
                note_server(conn, target_id, poll.server)
            states = read_states(conn, target_id)
            for reading in poll.readings:
                metric = self._catalog.metrics.get(reading.metric)
                if metric is None or metric.name not in self._metric_ids:
                    result.notes.append(
                        (reading.metric, "not in the catalog, or its tables have other columns: the reading is dropped")
                    )
                    continue
                metric_id = self._metric_ids[metric.name]
                state = states.get(metric_id)
                if is_replay and state is not None and reading.agent_time <= state["last_agent_time"]:
                    continue
                snapshot_id = _next_snapshot_id(conn)
                snapshot = Snapshot(
                    conn, snapshot_id, poll.target, target_id, metric_id, metric, poll.server, reading, state
                )
                snapshot = self._write_reading(snapshot, result)
                if snapshot.is_ok and metric.counters:
                    kept.append(snapshot)
            if poll.texts or poll.texts_read:
                try:
                    with conn.transaction():
                        write_texts(conn, target_id, poll.texts, are_all=poll.texts_read)
                except psycopg.Error as error:
                    if concerns_store(error, conn):
                        raise
                    result.notes.append(("", f"statement texts: {explain(error)}"))
        for snapshot in kept:
            self._spool.keep_last(poll.target, snapshot.reading, snapshot.snapshot_id)
        return result

    def _look_up(self, conn: psycopg.Connection[Any], target: str) -> None:
        if target not in self._target_ids:
            self._target_ids |= lease.target_ids(conn, [target])
        if not self._metric_ids:
            for name, metric_id, signature in conn.execute(
                f"SELECT name, metric_id, signature FROM {SCHEMA}.metric".encode()
            ):
                # Binary COPY matches by position and width alone: other columns are never tried.
                if name in self._catalog.metrics and is_stored(signature, self._catalog.metrics[name]):
                    self._metric_ids[name] = metric_id

    def _make_room(self, conn: psycopg.Connection[Any], poll: TargetPoll) -> None:
        metrics = [self._catalog.metrics[r.metric] for r in poll.readings if r.metric in self._catalog.metrics]
        times = [time_of(reading) for reading in poll.readings]
        times += [time + timedelta(days=1) for time in times]
        needed = wanted(metrics, times).keys()
        if needed - self._partitions:
            ensure_partitions(conn, metrics, times)
            self._partitions |= needed

    def _write_reading(self, snapshot: Snapshot, result: WriteResult) -> Snapshot:
        """Stores and logs one reading; returns the snapshot as it was logged."""
        applied = Applied()
        if snapshot.is_ok:
            try:
                with snapshot.conn.transaction():
                    applied = apply(snapshot, self._spool)
            except (psycopg.Error, RejectedError) as error:
                if isinstance(error, psycopg.Error) and concerns_store(error, snapshot.conn):
                    raise
                failed = replace(snapshot.reading, status=Status.ERROR, error=contract(error))
                snapshot = replace(snapshot, reading=failed)
                result.failures.append((snapshot.metric.name, failed.error))
        if applied.note:
            result.notes.append((snapshot.metric.name, applied.note))
        _log(snapshot, applied)
        keep_state(snapshot, applied.losses)
        result.snapshots += 1
        result.rows_read += snapshot.reading.rows
        result.facts += applied.facts
        return snapshot


def _next_snapshot_id(conn: psycopg.Connection[Any]) -> int:
    row = conn.execute(f"SELECT nextval('{SCHEMA}.snapshot_snapshot_id_seq')".encode()).fetchone()
    assert row is not None
    return int(row[0])


def _log(snapshot: Snapshot, applied: Applied) -> None:
    reading: Reading = snapshot.reading
    values: dict[str, object] = {
        "ts": snapshot.ts,
        "snapshot_id": snapshot.snapshot_id,
        "slot": reading.slot,
        "target_id": snapshot.target_id,
        "metric_id": snapshot.metric_id,
        "nominal_interval_seconds": reading.interval_seconds,
        "skew_seconds": snapshot.skew_seconds,
        "duration_seconds": reading.duration_seconds,
        "status": reading.status.value,
        "error": reading.error[:ERROR_CHARACTERS] or None,
    }
    if snapshot.is_ok:
        values |= {
            "interval_seconds": applied.interval_seconds,
            "rows": reading.rows,
            "facts": applied.facts,
            "bytes": len(reading.data),
            "quality": applied.quality,
        }
    placeholders = ", ".join(f"%({name})s" for name in values)
    snapshot.conn.execute(
        f"INSERT INTO {SCHEMA}.snapshot_log ({', '.join(values)}) VALUES ({placeholders})".encode(), values
    )
