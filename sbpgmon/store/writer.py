"""Writes one target's poll: staging, difference, facts, log; all of it in one transaction, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg

from sbpgmon.catalog.catalog import Catalog
from sbpgmon.errors import SbpgmonError
from sbpgmon.findings import IsolationReading
from sbpgmon.model import Metric, Reading, Status, TargetPoll, WriteResult
from sbpgmon.sources.probe import other_server
from sbpgmon.sources.session import explain
from sbpgmon.store import lease
from sbpgmon.store.apply import Applied, RejectedError, apply, contract
from sbpgmon.store.connection import StoreConnection, concerns_store
from sbpgmon.store.derive import Derived, derive, is_wanted
from sbpgmon.store.findings import write_isolation
from sbpgmon.store.partitions import LOG, Partition, ensure_partitions, is_covered, stored_parents
from sbpgmon.store.rollup import Watermarks, add_late, read_watermarks
from sbpgmon.store.schema import SCHEMA
from sbpgmon.store.snapshot import Snapshot, time_of
from sbpgmon.store.spool import Spool
from sbpgmon.store.standings import STATEMENTS, keep_look, note_calls
from sbpgmon.store.state import ERROR_CHARACTERS, keep_state, read_states
from sbpgmon.store.sync import is_stored
from sbpgmon.store.targets import identity, note_refused, note_server
from sbpgmon.store.texts import write_texts


class _NoPlaceError(Exception):
    """A row has no partition, where there was one when it was last looked."""


class Writer:
    """Writes polls through one connection."""

    def __init__(self, store: StoreConnection, catalog: Catalog, spool: Spool, holder: str | None = None) -> None:
        self._store = store
        self._catalog = catalog
        self._spool = spool
        self._holder = holder or lease.holder_of(spool.identity())
        self._metric_ids: dict[str, int] = {}
        self._target_ids: dict[str, int] = {}
        self._places: list[Partition] = []

    def forget(self) -> None:
        """Looks everything up anew: the schema may be another one."""
        self._metric_ids.clear()
        self._target_ids.clear()
        self._places.clear()

    def write(self, poll: TargetPoll, *, is_replay: bool = False) -> WriteResult:
        """Stores a poll in one transaction.

        Raises StoreError and its kin, and LeaseTakenError when another agent polls the target by now; the store is
        then as it was.

        One reading that breaks its contract is logged as failed, the others are stored. A replay that had been
        committed before it could be forgotten is not stored twice. Of another server than the history is of nothing
        is stored but that it answered.
        """
        try:
            return self._write(poll, is_replay=is_replay)
        except _NoPlaceError:
            # Somebody detached a partition, or it grew old in the meantime.
            self._places.clear()
            return self._write(poll, is_replay=is_replay)
        except SbpgmonError:
            # A number that was given in this transaction went with it.
            self._target_ids.pop(poll.target, None)
            raise

    def _write(self, poll: TargetPoll, *, is_replay: bool) -> WriteResult:
        result = WriteResult()
        kept: list[Snapshot] = []
        with self._store.transaction() as conn:
            lease.refuse_stopped(conn)
            self._look_up(conn, poll.target)
            target_id = self._target_ids[poll.target]
            lease.refuse_taken(conn, target_id, poll.target, self._holder)
            is_looked_up = not self._places
            watermarks = read_watermarks(conn)
            self._make_room(conn, poll)
            states = read_states(conn, target_id)
            if poll.server is not None:
                known, refused = identity(conn, target_id)
                result.refusal = other_server(poll.target, poll.server, known)
                if result.refusal is None:
                    note_server(conn, target_id, poll.server, is_back=refused is not None)
                elif is_replay and _is_late(poll, states):
                    # Of the server that was there before.
                    result.refusal = None
                    result.notes.append(("", "a poll of another server, older than what is stored: dropped"))
                    return result
                else:
                    note_refused(conn, target_id, poll.server, result.refusal.what)
                    poll = _refused(poll, result.refusal.what)
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
                snapshot, applied = self._write_reading(snapshot, result, watermarks, is_looked_up=is_looked_up)
                if snapshot.is_ok and metric.has_last:
                    kept.append(snapshot)
                for derived in self._derived(metric):
                    if is_wanted(conn, derived.metric, target_id):
                        number = self._metric_ids[derived.metric.name]
                        own = replace(
                            snapshot,
                            snapshot_id=_next_snapshot_id(conn),
                            metric=derived.metric,
                            metric_id=number,
                            reading=replace(snapshot.reading, metric=derived.metric.name, data=b"", lacks=()),
                            state=states.get(number),
                        )
                        self._write_derived(own, derived, applied, result, watermarks, is_looked_up=is_looked_up)
                if metric.name == STATEMENTS and snapshot.is_ok:
                    note_calls(conn, target_id, metric, snapshot.ts)
            if poll.texts or poll.texts_read:
                try:
                    with conn.transaction():
                        write_texts(conn, target_id, poll.texts, are_all=poll.texts_read)
                except psycopg.Error as error:
                    if concerns_store(error, conn):
                        raise
                    result.notes.append(("", f"statement texts: {explain(error)}"))
            if poll.isolation is not None and result.refusal is None:
                self._write_isolation(conn, target_id, poll.isolation, result, is_replay=is_replay)
        for snapshot in kept:
            self._spool.keep_last(poll.target, snapshot.reading, snapshot.snapshot_id)
        return result

    def _write_isolation(
        self,
        conn: psycopg.Connection[Any],
        target_id: int,
        reading: IsolationReading,
        result: WriteResult,
        *,
        is_replay: bool,
    ) -> None:
        """What the store does not take of it is said, and holds up neither the poll nor those that wait."""
        try:
            with conn.transaction():
                result.findings = write_isolation(conn, target_id, reading, is_replay=is_replay)
                if reading.ground is not None:
                    keep_look(conn, target_id, reading.time, reading.ground)
        except psycopg.Error as error:
            if concerns_store(error, conn):
                raise
            result.notes.append(("", f"checks of tenant isolation: {explain(error)}"))

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

    def _derived(self, source: Metric) -> list[Derived]:
        """The metrics that are made of this one's snapshots."""
        return [
            Derived(metric, source)
            for metric in self._catalog.metrics.values()
            if metric.source == source.name and metric.name in self._metric_ids
        ]

    def _make_room(self, conn: psycopg.Connection[Any], poll: TargetPoll) -> None:
        metrics = [self._catalog.metrics[r.metric] for r in poll.readings if r.metric in self._catalog.metrics]
        metrics += [derived.metric for metric in metrics for derived in self._derived(metric)]
        names = {LOG} | {f"{metric.name}_{metric.tier}" for metric in metrics if metric.facts}
        times = {time_of(reading) for reading in poll.readings}
        if all(is_covered(self._places, name, time) for name in names for time in times):
            return
        parents = {name: seconds for name, seconds in stored_parents(conn).items() if name in names}
        places = ensure_partitions(conn, parents, times)
        self._places = [place for place in self._places if place.parent not in parents] + places

    def _write_reading(
        self, snapshot: Snapshot, result: WriteResult, watermarks: Watermarks, *, is_looked_up: bool
    ) -> tuple[Snapshot, Applied]:
        """Stores and logs one reading; returns the snapshot as it was logged, and what became of it."""
        return self._store_one(
            snapshot, lambda: apply(snapshot, self._spool), result, watermarks, is_looked_up=is_looked_up
        )

    def _write_derived(
        self,
        snapshot: Snapshot,
        derived: Derived,
        applied: Applied,
        result: WriteResult,
        watermarks: Watermarks,
        *,
        is_looked_up: bool,
    ) -> None:
        """Stores and logs what is made of a reading that has just been stored, or failed."""

        def work() -> Applied:
            return Applied(derive(snapshot, derived), applied.quality, applied.interval_seconds)

        self._store_one(snapshot, work, result, watermarks, is_looked_up=is_looked_up)

    def _store_one(
        self,
        snapshot: Snapshot,
        work: Callable[[], Applied],
        result: WriteResult,
        watermarks: Watermarks,
        *,
        is_looked_up: bool,
    ) -> tuple[Snapshot, Applied]:
        applied = Applied()
        if snapshot.is_ok:
            try:
                with snapshot.conn.transaction():
                    applied = work()
                    add_late(snapshot, applied.interval_seconds, watermarks)
            except (psycopg.Error, RejectedError) as error:
                if isinstance(error, psycopg.errors.CheckViolation) and not is_looked_up:
                    raise _NoPlaceError from error
                if isinstance(error, psycopg.Error) and concerns_store(error, snapshot.conn):
                    raise
                failed = replace(snapshot.reading, status=Status.ERROR, error=contract(error))
                snapshot = replace(snapshot, reading=failed)
                result.failures.append((snapshot.metric.name, failed.error))
        elif snapshot.is_lost:
            add_late(snapshot, None, watermarks)
        if applied.note:
            result.notes.append((snapshot.metric.name, applied.note))
        try:
            _log(snapshot, applied)
        except psycopg.errors.CheckViolation as error:
            if is_looked_up:
                raise
            raise _NoPlaceError from error
        keep_state(snapshot, applied.losses)
        result.snapshots += 1
        result.rows_read += snapshot.reading.rows
        result.facts += applied.facts
        return snapshot, applied


def _is_late(poll: TargetPoll, states: dict[int, dict[str, Any]]) -> bool:
    """Whether something newer has been stored."""
    last = max((state["last_agent_time"] for state in states.values()), default=None)
    return last is not None and all(reading.agent_time <= last for reading in poll.readings)


def _refused(poll: TargetPoll, what: str) -> TargetPoll:
    """The same without what was read."""
    readings = (
        replace(reading, status=Status.REFUSED, error=what, rows=0, data=b"", columns=(), lacks=())
        for reading in poll.readings
    )
    return replace(poll, readings=tuple(readings), texts=(), texts_read=False)


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
