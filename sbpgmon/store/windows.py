"""Up to where things are counted that come as differences: each window is stored once, and none is left out.

A window says where the one before it ended, as its reader had it from the store. It is taken if that still holds, in
the transaction that stores its counts; otherwise it, or what lies before it, is counted again with the next poll.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import psycopg

from sbpgmon.store.ddl import names_of, quote
from sbpgmon.store.schema import SCHEMA
from sbpgmon.store.snapshot import Snapshot
from sbpgmon.store.state import note_event


def counted_until(conn: psycopg.Connection[Any], target: str, metric: str) -> dict[str, datetime]:
    """What is counted -> end of its last window that is stored."""
    rows = conn.execute(
        f"SELECT w.name, w.counted_until FROM {SCHEMA}.counted_window AS w "
        f"JOIN {SCHEMA}.target AS t USING (target_id) JOIN {SCHEMA}.metric AS m USING (metric_id) "
        "WHERE t.name = %s AND m.name = %s".encode(),
        (target, metric),
    )
    return dict(rows.fetchall())


def take_windows(snapshot: Snapshot) -> str:
    """Takes the windows of a reading that is in staging; rows of those that are not next leave it. Returns a note."""
    stored = _stored(snapshot)
    taken, refused = [], []
    for window in snapshot.reading.windows:
        if stored.get(window.name) == window.after:
            taken.append(window)
            if window.after is not None and window.since > window.after:
                skipped = f"{window.name}: nothing was counted from {window.after} to {window.since}: too long ago"
                note_event(snapshot.conn, snapshot.target_id, "events", skipped)
        else:
            refused.append(window.name)
    key = quote(snapshot.metric.keys[0].name)
    snapshot.conn.execute(
        f"DELETE FROM {names_of(snapshot.metric).staging} WHERE {key} <> ALL(%s)".encode(), ([w.name for w in taken],)
    )
    with snapshot.conn.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {SCHEMA}.counted_window (target_id, metric_id, name, counted_until) VALUES (%s, %s, %s, %s) "
            "ON CONFLICT (target_id, metric_id, name) DO UPDATE SET counted_until = excluded.counted_until".encode(),
            [(snapshot.target_id, snapshot.metric_id, window.name, window.until) for window in taken],
        )
    return (
        f"{', '.join(refused)}: counted by another poll already; the next window goes on from there" if refused else ""
    )


def _stored(snapshot: Snapshot) -> Mapping[str, datetime]:
    rows = snapshot.conn.execute(
        f"SELECT name, counted_until FROM {SCHEMA}.counted_window WHERE target_id = %s AND metric_id = %s".encode(),
        (snapshot.target_id, snapshot.metric_id),
    )
    return dict(rows.fetchall())
