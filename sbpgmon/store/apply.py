"""Puts the rows of one reading into the store: staging, difference, facts, attributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg

from sbpgmon.errors import SbpgmonError
from sbpgmon.model import GAP, PARTIAL, UNKNOWN, Metric, Reading, Server
from sbpgmon.sources.session import explain
from sbpgmon.store.difference import Statements, statements_for
from sbpgmon.store.schema import SCHEMA
from sbpgmon.store.snapshot import Snapshot
from sbpgmon.store.spool import Spool
from sbpgmon.store.state import is_restarted, note_event
from sbpgmon.store.windows import take_windows

GAP_INTERVALS = 3
CLOCK_BACK_SECONDS = 300.0  # a step back by more begins anew; by less it is waited out
TRUNCATE_ROWS = 500
DOUBLE = "two rows have the same key"


class RejectedError(SbpgmonError):
    """A reading that cannot be stored: its rows break the contract, or its clock went back."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a reading; `interval_seconds` is None for a baseline, `note` says what is to be known."""

    facts: int = 0
    quality: int = 0
    interval_seconds: float | None = None
    note: str = ""
    losses: str | None = None  # what the loss columns held


def apply(snapshot: Snapshot, spool: Spool) -> Applied:
    """Stores the rows in the caller's transaction.

    Raises RejectedError, or psycopg's DataError and IntegrityError, for rows that break the contract.
    """
    metric, reading, state, ts = snapshot.metric, snapshot.reading, snapshot.state, snapshot.ts
    statements = _statements(metric, reading, frozenset(snapshot.came))
    note = ""
    before = state
    if metric.has_last and state is not None:
        is_good, note = _ensure_last(snapshot, spool)
        before = state if is_good else None
    if before is not None and before["snapshot_ts"] is None:
        before = None
    interval = _interval_seconds(snapshot, before) if before is not None else None
    if interval is not None and interval <= 0:
        raise RejectedError(f"the clock went back: {-interval:.3f} s before the last snapshot")
    gap = GAP if interval is not None and _is_gap(snapshot, before, interval) else 0
    restarted = metric.has_last and before is not None and is_restarted(before, snapshot.server)
    params: dict[str, Any] = {"target_id": snapshot.target_id, "ts": ts, "gap": gap}
    _copy_in(snapshot.conn, metric, statements, reading)
    if metric.has_deltas:
        note = take_windows(snapshot)
    is_lossy = restarted
    losses: str | None = None
    if metric.has_last:
        losses, emptied = _one(snapshot.conn, statements.losses) if statements.losses else (None, None)
        params |= {
            "since": (before["snapshot_target_time"] or before["snapshot_ts"]) if before is not None else None,
            "restarted": restarted,
            "lost": before is not None and losses != before["losses"],
            "emptied": emptied,
            "counts": before is not None,
            "baseline": before is None,
        }
        facts, has_resets = _apply_counters(snapshot, statements, params, before)
        is_lossy = restarted or has_resets or bool(params["lost"])
    else:
        snapshot.conn.execute(statements.add_series.encode(), params)
        facts = _one(snapshot.conn, statements.gauges, params)[0] if statements.gauges else 0
    if statements.attributes:
        snapshot.conn.execute(statements.attributes.encode(), params)
    quality = gap | (PARTIAL if is_lossy else 0) | (UNKNOWN if metric.has_last and before is None else 0)
    return Applied(facts, quality, interval, note, losses)


def _interval_seconds(snapshot: Snapshot, before: dict[str, Any]) -> float:
    """Since the last good snapshot, both ends by one clock: the target's, unless one of them lies too far off."""
    is_by_target = snapshot.is_by_target and before["snapshot_ts"] == before["snapshot_target_time"]
    since = before["snapshot_ts"] if is_by_target else before["snapshot_agent_time"]
    until = snapshot.ts if is_by_target else snapshot.reading.agent_time
    seconds: float = (until - since).total_seconds()
    return seconds


def _is_gap(snapshot: Snapshot, before: dict[str, Any] | None, interval: float) -> bool:
    """More than three intervals have passed, or a clock that went back does not tell how many."""
    # A failed snapshot that is older than the good one before it: the clock has gone back in between.
    went_back = before is not None and before["last_ts"] < before["snapshot_ts"]
    return went_back or interval > GAP_INTERVALS * snapshot.reading.interval_seconds


def contract(error: SbpgmonError | psycopg.Error) -> str:
    """What a reading that the tables refuse has done wrong."""
    if isinstance(error, SbpgmonError):
        return error.what
    if isinstance(error, psycopg.errors.NotNullViolation):
        return f"the key {error.diag.column_name} is NULL in a row: write COALESCE"
    if isinstance(error, psycopg.errors.UniqueViolation):
        return DOUBLE
    return explain(error)


_cache: dict[tuple[object, ...], Statements] = {}


def _statements(metric: Metric, reading: Reading, came: frozenset[str] = frozenset()) -> Statements:
    """The SQL for a reading of these columns; raises RejectedError when they are not the metric's any more."""
    types = {c.name: c.type.name for c in metric.columns}
    for name, type_ in reading.columns:
        if types.get(name) != type_:
            raise RejectedError(f"the reading has {name} as {type_}, which the metric no longer has")
    names = tuple(name for name, _ in reading.columns)
    key = (metric, names, reading.lacks, came)
    if key not in _cache:
        _cache[key] = statements_for(metric, names, reading.lacks, came)
    return _cache[key]


def _copy_in(conn: psycopg.Connection[Any], metric: Metric, statements: Statements, reading: Reading) -> None:
    staging = f'{SCHEMA}."{metric.name}_staging"'
    # One writer at a time, without waiting for a pg_dump, which holds ACCESS SHARE for hours.
    empty = f"LOCK TABLE {staging} IN SHARE UPDATE EXCLUSIVE MODE; "
    if reading.rows < TRUNCATE_ROWS:
        # A TRUNCATE makes new files, which takes longer than a few rows.
        empty += f"DELETE FROM {staging}"
    else:
        empty += (
            f"DO $$ BEGIN LOCK TABLE {staging} IN ACCESS EXCLUSIVE MODE NOWAIT; TRUNCATE {staging}; "
            f"EXCEPTION WHEN lock_not_available THEN DELETE FROM {staging}; END $$"
        )
    # Without statistics the planner takes staging and M_last for small and nests loops over them.
    conn.execute(f"{empty}; SELECT set_config('enable_nestloop', 'off', true)".encode())
    with conn.cursor().copy(statements.copy.encode()) as copy:
        copy.write(reading.data)
    if statements.doubles and _one(conn, statements.doubles)[0]:
        raise RejectedError(DOUBLE)


def _apply_counters(
    snapshot: Snapshot, statements: Statements, params: dict[str, Any], before: dict[str, Any] | None
) -> tuple[int, bool]:
    """How many facts were stored, and whether a series was reset or is gone: what it did is not known in full."""
    assert statements.difference is not None
    assert statements.add_fresh is not None
    assert statements.drop_absent is not None
    conn = snapshot.conn
    fresh, doubles, stored, reset = _one(conn, statements.difference, params)
    # What did not change was not looked at: a row too many is a double as well.
    known, held = snapshot.reading.rows - fresh, before["snapshot_rows"] if before is not None else 0
    if doubles or known > held:
        raise RejectedError(DOUBLE)
    if fresh:
        conn.execute(b"SELECT set_config('enable_nestloop', 'on', true)")
        conn.execute(statements.add_series.encode(), params)
        stored += _one(conn, statements.add_fresh, params)[0]
    if known < held and conn.execute(statements.drop_absent.encode(), params).rowcount != held - known:
        raise RejectedError(DOUBLE)
    conn.execute(
        f"INSERT INTO {SCHEMA}.last_state (target_id, metric_id, snapshot_id) VALUES (%s, %s, %s) "
        "ON CONFLICT (target_id, metric_id) DO UPDATE SET snapshot_id = excluded.snapshot_id".encode(),
        (snapshot.target_id, snapshot.metric_id, snapshot.snapshot_id),
    )
    return int(stored), bool(reset) or known < held


def _ensure_last(snapshot: Snapshot, spool: Spool) -> tuple[bool, str]:
    """Whether M_last holds the last good snapshot, and a note; rebuilds it where a crash of the store emptied it."""
    state, conn, name = snapshot.state, snapshot.conn, snapshot.metric.name
    assert state is not None
    if state["snapshot_id"] is None:
        return False, ""
    other = _other_server(state, snapshot.server)
    if not other and (state["snapshot_agent_time"] - snapshot.reading.agent_time).total_seconds() > CLOCK_BACK_SECONDS:
        other = "the agent's clock was set back"
    if state["held_snapshot_id"] == state["snapshot_id"] and not other:
        return True, ""
    conn.execute(f'DELETE FROM {SCHEMA}."{name}_last" WHERE target_id = %s'.encode(), (snapshot.target_id,))
    if other:
        note = f"{other}: this snapshot is a baseline"
        note_event(conn, snapshot.target_id, "identity", f"{name}: {note}")
        return False, note
    reading = spool.last(snapshot.target, name, state["snapshot_id"])
    lost = "the last counters were lost with a crash of the store"
    try:
        if reading is None:
            raise RejectedError("the state folder does not hold them")
        statements = _statements(snapshot.metric, reading)
        assert statements.rebuild is not None
        with conn.transaction():
            _copy_in(conn, snapshot.metric, statements, reading)
            conn.execute(statements.rebuild.encode(), {"target_id": snapshot.target_id})
    except (RejectedError, psycopg.DataError, psycopg.IntegrityError) as error:
        note = f"{lost}, and {contract(error)}: this snapshot is a baseline"
        note_event(conn, snapshot.target_id, "baseline", f"{name}: {note}")
        return False, note
    note = f"{lost}, and rebuilt from the state folder"
    note_event(conn, snapshot.target_id, "rebuilt", f"{name}: {note}")
    return True, note


def _other_server(state: dict[str, Any], server: Server | None) -> str:
    """That the counters are another server's, and how it is known; empty when they are not."""
    if server is None:
        return ""
    if state["system_identifier"] != server.system_identifier:
        return "another server answers (system_identifier)"
    started, before = server.postmaster_start_time, state["postmaster_start_time"]
    if before is None or started == before:
        return ""
    # A restart lies after the last snapshot. A start before it that is not the one known is another host's:
    # a standby that took over, an address that moved.
    if started <= (state["snapshot_target_time"] or state["snapshot_ts"]):
        return "another host of the same cluster answers (it started before the last snapshot)"
    # A primary that goes on keeps its timeline: this one was promoted.
    if state["timeline"] != server.timeline and not (state["is_standby"] or server.is_standby):
        return "another host of the same cluster answers (a primary on another timeline)"
    return ""


def _one(conn: psycopg.Connection[Any], sql: str, params: dict[str, Any] | None = None) -> tuple[Any, ...]:
    row = conn.execute(sql.encode(), params).fetchone()
    assert row is not None
    return tuple(row)
