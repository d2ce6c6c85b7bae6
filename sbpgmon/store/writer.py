"""Writes one target's poll: staging, difference, facts, log; all of it in one transaction, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import psycopg

from sbpgmon.catalog.catalog import Catalog
from sbpgmon.errors import SbpgmonError
from sbpgmon.model import GAP, PARTIAL, UNKNOWN, Metric, Reading, Server, Status, TargetPoll, WriteResult
from sbpgmon.sources.session import explain
from sbpgmon.store import lease
from sbpgmon.store.connection import StoreConnection
from sbpgmon.store.difference import Statements, statements_for
from sbpgmon.store.partitions import ensure_partitions, wanted
from sbpgmon.store.schema import SCHEMA
from sbpgmon.store.spool import Spool
from sbpgmon.store.texts import write_texts

MAX_SKEW_SECONDS = 5.0
GAP_INTERVALS = 3
_ERROR_CHARACTERS = 400


class _Rejected(SbpgmonError):
    """A reading that cannot be stored: its rows break the contract."""


class Writer:
    """Writes polls through one connection."""

    def __init__(self, store: StoreConnection, catalog: Catalog, spool: Spool) -> None:
        self._store = store
        self._catalog = catalog
        self._spool = spool
        self._metric_ids: dict[str, int] = {}
        self._target_ids: dict[str, int] = {}
        self._partitions: set[str] = set()
        self._statements: dict[tuple[object, ...], Statements] = {}

    def forget(self) -> None:
        """Looks everything up anew: the schema may be another one."""
        self._metric_ids.clear()
        self._target_ids.clear()
        self._partitions.clear()

    def write(self, poll: TargetPoll) -> WriteResult:
        """Stores a poll in one transaction. Raises StoreError and its kin; the store is then as it was.

        One reading that breaks its contract is logged as failed, the others are stored.
        """
        result = WriteResult()
        kept: list[tuple[Reading, int]] = []
        with self._store.transaction() as conn:
            lease.refuse_stopped(conn)
            if poll.target not in self._target_ids:
                self._target_ids |= lease.target_ids(conn, [poll.target])
            if not self._metric_ids:
                self._metric_ids = dict(
                    conn.execute(f"SELECT name, metric_id FROM {SCHEMA}.metric".encode()).fetchall()
                )
            target_id = self._target_ids[poll.target]
            self._make_room(conn, poll)
            if poll.server is not None:
                _note_server(conn, target_id, poll.server)
            states = _states(conn, target_id)
            for reading in poll.readings:
                metric = self._catalog.metrics.get(reading.metric)
                if metric is None or metric.name not in self._metric_ids:
                    result.notes.append(f"{reading.metric}: no longer in the catalog; the reading is dropped")
                    continue
                state = states.get(self._metric_ids[metric.name])
                if state is not None and reading.agent_time <= state["last_agent_time"]:
                    # Replayed after it had been committed, or a clock that went back.
                    result.notes.append(f"{metric.name}: not newer than the last snapshot; dropped")
                    continue
                written = self._write_reading(conn, target_id, poll.server, metric, reading, state, result)
                if written is not None:
                    kept.append((reading, written))
            if poll.texts_read:
                write_texts(conn, target_id, poll.texts)
        for reading, snapshot_id in kept:
            self._spool.keep_last(poll.target, reading, snapshot_id)
        return result

    def _make_room(self, conn: psycopg.Connection[Any], poll: TargetPoll) -> None:
        times = [_time_of(reading)[0] for reading in poll.readings]
        metrics = [
            self._catalog.metrics[r.metric] for r in poll.readings if r.metric in self._catalog.metrics
        ]
        tomorrow = [time + timedelta(days=1) for time in times]
        needed = wanted(metrics, times + tomorrow).keys()
        if needed - self._partitions:
            ensure_partitions(conn, metrics, times + tomorrow)
            self._partitions |= needed

    def _write_reading(
        self,
        conn: psycopg.Connection[Any],
        target_id: int,
        server: Server | None,
        metric: Metric,
        reading: Reading,
        state: dict[str, Any] | None,
        result: WriteResult,
    ) -> int | None:
        """Stores and logs one reading; returns the snapshot's number when it holds counters worth keeping."""
        metric_id = self._metric_ids[metric.name]
        ts, skew = _time_of(reading)
        row = conn.execute(f"SELECT nextval('{SCHEMA}.snapshot_snapshot_id_seq')".encode()).fetchone()
        assert row is not None
        snapshot_id = int(row[0])
        facts, quality, interval = 0, 0, None
        if reading.status is Status.OK:
            try:
                with conn.transaction():
                    facts, quality, interval = self._store_rows(
                        conn, target_id, metric_id, server, metric, reading, state, ts, snapshot_id, result
                    )
            except (psycopg.errors.DataError, psycopg.errors.IntegrityError, _Rejected) as error:
                what = error.what if isinstance(error, _Rejected) else _contract(error)
                reading = replace(reading, status=Status.ERROR, error=what)
        is_ok = reading.status is Status.OK
        error_text = reading.error[:_ERROR_CHARACTERS] or None
        conn.execute(
            f"INSERT INTO {SCHEMA}.snapshot_log (ts, snapshot_id, slot, target_id, metric_id, interval_seconds, "
            "nominal_interval_seconds, skew_seconds, duration_seconds, rows, facts, bytes, quality, status, error) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)".encode(),
            (
                ts, snapshot_id, reading.slot, target_id, metric_id, interval, reading.interval_seconds, skew,
                reading.duration_seconds, reading.rows if is_ok else None, facts if is_ok else None,
                len(reading.data) if is_ok else None, quality, reading.status.value, error_text,
            ),
        )  # fmt: skip
        _keep_state(conn, target_id, metric_id, server, metric, reading, state, ts, snapshot_id)
        result.snapshots += 1
        result.rows_read += reading.rows
        result.facts += facts
        if not is_ok:
            result.notes.append(f"{metric.name}: {reading.error}")
            return None
        return snapshot_id if metric.counters else None

    def _store_rows(
        self,
        conn: psycopg.Connection[Any],
        target_id: int,
        metric_id: int,
        server: Server | None,
        metric: Metric,
        reading: Reading,
        state: dict[str, Any] | None,
        ts: datetime,
        snapshot_id: int,
        result: WriteResult,
    ) -> tuple[int, int, float | None]:
        """Facts stored, the snapshot's quality, and its interval in seconds (None for a baseline)."""
        statements = self._statements_for(metric, reading)
        since: datetime | None = None
        interval = None
        restarted = False
        if metric.counters:
            if state is not None and self._last_is_good(conn, target_id, metric_id, metric, state, result):
                since = state["snapshot_target_time"] or state["snapshot_ts"]
                interval = (ts - state["snapshot_ts"]).total_seconds()
                restarted = _is_restarted(state, server)
        elif state is not None and state["snapshot_ts"] is not None:
            interval = (ts - state["snapshot_ts"]).total_seconds()
        if interval is not None and interval <= 0:
            raise _Rejected(f"the target's clock went back: the interval is {interval:.3f} s")
        gap = GAP if interval is not None and interval > GAP_INTERVALS * reading.interval_seconds else 0
        params = {
            "target_id": target_id,
            "ts": ts,
            "since": since,
            "restarted": restarted,
            "counts": since is not None,
            "baseline": since is None,
            "gap": gap,
        }
        _copy_in(conn, metric, statements, reading)
        facts = 0
        if metric.counters:
            facts = _write_counters(conn, statements, params, reading, state if since is not None else None)
            conn.execute(
                f"INSERT INTO {SCHEMA}.last_state (target_id, metric_id, snapshot_id) VALUES (%s, %s, %s) "
                "ON CONFLICT (target_id, metric_id) DO UPDATE SET snapshot_id = excluded.snapshot_id".encode(),
                (target_id, metric_id, snapshot_id),
            )
        else:
            conn.execute(statements.add_series.encode(), params)
            if statements.gauges:
                facts = _one(conn, statements.gauges, params)[0]
        if statements.attributes:
            conn.execute(statements.attributes.encode(), params)
        quality = gap | (PARTIAL if restarted else 0) | (UNKNOWN if metric.counters and since is None else 0)
        return facts, quality, interval

    def _statements_for(self, metric: Metric, reading: Reading) -> Statements:
        names = tuple(name for name, _ in reading.columns)
        types = {c.name: c.type.name for c in metric.columns}
        for name, type_ in reading.columns:
            if types.get(name) != type_:
                raise _Rejected(f"the reading has {name} as {type_}, which the metric no longer has")
        key = (metric.name, names, reading.lacks)
        if key not in self._statements:
            self._statements[key] = statements_for(metric, names, reading.lacks)
        return self._statements[key]

    def _last_is_good(
        self,
        conn: psycopg.Connection[Any],
        target_id: int,
        metric_id: int,
        metric: Metric,
        state: dict[str, Any],
        result: WriteResult,
    ) -> bool:
        """Whether M_last holds the last good snapshot; rebuilds it from the spool where a crash emptied it."""
        if state["snapshot_id"] is None:
            return False
        if state["held_snapshot_id"] == state["snapshot_id"]:
            return True
        target = next(name for name, number in self._target_ids.items() if number == target_id)
        reading = self._spool.last(target, metric.name, state["snapshot_id"])
        conn.execute(f'DELETE FROM {SCHEMA}."{metric.name}_last" WHERE target_id = %s'.encode(), (target_id,))
        if reading is None:
            note = f"{metric.name}: the last counters were lost with a crash of the store; this snapshot is a baseline"
            _event(conn, target_id, "baseline", note)
            result.notes.append(note)
            return False
        statements = self._statements_for(metric, reading)
        _copy_in(conn, metric, statements, reading)
        assert statements.rebuild is not None
        conn.execute(statements.rebuild.encode(), {"target_id": target_id})
        note = f"{metric.name}: the last counters were lost with a crash of the store, and rebuilt from the spool"
        _event(conn, target_id, "rebuilt", note)
        result.notes.append(note)
        return True


def _copy_in(conn: psycopg.Connection[Any], metric: Metric, statements: Statements, reading: Reading) -> None:
    # Without statistics the planner takes staging and M_last for small and nests loops over them.
    conn.execute(
        f"TRUNCATE {SCHEMA}.\"{metric.name}_staging\"; SELECT set_config('enable_nestloop', 'off', true)".encode()
    )
    with conn.cursor().copy(statements.copy.encode()) as copy:
        copy.write(reading.data)
    if statements.doubles and _one(conn, statements.doubles)[0]:
        raise _Rejected("two rows have the same key")


def _write_counters(
    conn: psycopg.Connection[Any],
    statements: Statements,
    params: dict[str, Any],
    reading: Reading,
    state: dict[str, Any] | None,
) -> int:
    assert statements.difference is not None
    assert statements.add_fresh is not None
    assert statements.drop_absent is not None
    fresh, changed, moved, stored = _one(conn, statements.difference, params)
    if changed != moved:
        raise _Rejected("two rows have the same key")
    if fresh:
        conn.execute(b"SELECT set_config('enable_nestloop', 'on', true)")
        conn.execute(statements.add_series.encode(), params)
        stored += _one(conn, statements.add_fresh, params)[0]
    held = state["snapshot_rows"] if state is not None else 0
    if reading.rows - fresh < held:
        conn.execute(statements.drop_absent.encode(), params)
    return int(stored)


def _one(conn: psycopg.Connection[Any], sql: str, params: dict[str, Any] | None = None) -> tuple[Any, ...]:
    row = conn.execute(sql.encode(), params).fetchone()
    assert row is not None
    return tuple(row)


def _contract(error: psycopg.Error) -> str:
    """What a reading that the tables refuse has done wrong."""
    if isinstance(error, psycopg.errors.NotNullViolation):
        return f"the key {error.diag.column_name} is NULL in a row: write COALESCE"
    if isinstance(error, psycopg.errors.UniqueViolation):
        return "two rows have the same key"
    return explain(error)


def _time_of(reading: Reading) -> tuple[datetime, float | None]:
    """The reading's time, and the target's clock less the agent's in seconds."""
    if reading.target_time is None:
        return reading.agent_time, None
    skew = (reading.target_time - reading.agent_time).total_seconds()
    return (reading.target_time if abs(skew) <= MAX_SKEW_SECONDS else reading.agent_time), skew


def _is_restarted(state: dict[str, Any], server: Server | None) -> bool:
    """A new start, a crash recovery, another timeline or role: the counters may have begun anew."""
    return server is None or any(
        state[name] != getattr(server, name)
        for name in ("postmaster_start_time", "checkpointer_start_time", "timeline", "is_standby")
    )


_STATE = f"""
SELECT s.*, l.snapshot_id AS held_snapshot_id
FROM {SCHEMA}.metric_state AS s
LEFT JOIN {SCHEMA}.last_state AS l USING (target_id, metric_id)
WHERE s.target_id = %s
"""


def _states(conn: psycopg.Connection[Any], target_id: int) -> dict[int, dict[str, Any]]:
    with conn.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        return {row["metric_id"]: row for row in cursor.execute(_STATE.encode(), (target_id,))}


def _keep_state(
    conn: psycopg.Connection[Any],
    target_id: int,
    metric_id: int,
    server: Server | None,
    metric: Metric,
    reading: Reading,
    state: dict[str, Any] | None,
    ts: datetime,
    snapshot_id: int,
) -> None:
    values: dict[str, Any] = {
        "target_id": target_id,
        "metric_id": metric_id,
        "last_slot": reading.slot,
        "last_ts": ts,
        "last_agent_time": reading.agent_time,
        "last_status": reading.status.value,
        "last_error": reading.error[:_ERROR_CHARACTERS] or None,
    }
    if reading.status is Status.OK:
        values |= {
            "snapshot_id": snapshot_id,
            "snapshot_ts": ts,
            "snapshot_target_time": reading.target_time,
            "snapshot_rows": reading.rows,
            "snapshot_duration_seconds": reading.duration_seconds,
            "lacks": psycopg.types.json.Jsonb(_lacks(state, reading, metric, ts)),
        }
        if server is not None:
            values |= {
                "postmaster_start_time": server.postmaster_start_time,
                "checkpointer_start_time": server.checkpointer_start_time,
                "timeline": server.timeline,
                "is_standby": server.is_standby,
            }
    names = list(values)
    if state is None:
        sql = f"INSERT INTO {SCHEMA}.metric_state ({', '.join(names)}) VALUES ({', '.join(f'%({n})s' for n in names)})"
    else:
        sets = ", ".join(f"{n} = %({n})s" for n in names[2:])
        sql = f"UPDATE {SCHEMA}.metric_state SET {sets} WHERE target_id = %(target_id)s AND metric_id = %(metric_id)s"
    conn.execute(sql.encode(), values)


def _lacks(state: dict[str, Any] | None, reading: Reading, metric: Metric, ts: datetime) -> dict[str, str]:
    """Column -> until when the target lacked it: infinity while it does, the time when it came."""
    before: dict[str, str] = dict(state["lacks"]) if state is not None else {}
    known = {column.name for column in metric.columns}
    now = dict.fromkeys((name for name in reading.lacks if name in known), "infinity")
    came = {name: ts.isoformat() for name, until in before.items() if until == "infinity" and name not in now}
    return before | came | now


def _note_server(conn: psycopg.Connection[Any], target_id: int, server: Server) -> None:
    conn.execute(
        f"UPDATE {SCHEMA}.target SET system_identifier = %(id)s, database = %(database)s, server_version = %(version)s "
        "WHERE target_id = %(target)s AND (system_identifier, database, server_version) "
        "IS DISTINCT FROM (%(id)s, %(database)s, %(version)s)".encode(),
        {
            "id": server.system_identifier,
            "database": server.database,
            "version": server.version,
            "target": target_id,
        },
    )


def _event(conn: psycopg.Connection[Any], target_id: int, kind: str, detail: str) -> None:
    conn.execute(
        f"INSERT INTO {SCHEMA}.event (target_id, kind, detail) VALUES (%s, %s, %s)".encode(),
        (target_id, kind, detail),
    )


def last_slots(conn: psycopg.Connection[Any], targets: Sequence[str]) -> dict[str, dict[str, int]]:
    """Target -> metric -> slot of its last snapshot, good or not."""
    rows = conn.execute(
        f"SELECT t.name, m.name, s.last_slot FROM {SCHEMA}.metric_state AS s JOIN {SCHEMA}.target AS t USING (target_id) "
        f"JOIN {SCHEMA}.metric AS m USING (metric_id) WHERE t.name = ANY(%s)".encode(),
        (list(targets),),
    )
    slots: dict[str, dict[str, int]] = {}
    for target, metric, slot in rows:
        slots.setdefault(target, {})[metric] = slot
    return slots
