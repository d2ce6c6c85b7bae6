"""Where each metric of each target stands: read before a snapshot is written, kept with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from sbpgmon.model import Server
from sbpgmon.store.schema import SCHEMA
from sbpgmon.store.snapshot import Snapshot

CHECK = "check:"  # before a check's name, among the slots of the metrics
ERROR_CHARACTERS = 400  # as wide as the column: a TOAST table for errors is not worth it


def is_restarted(state: dict[str, Any], server: Server | None) -> bool:
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


def read_states(conn: psycopg.Connection[Any], target_id: int) -> dict[int, dict[str, Any]]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return {row["metric_id"]: row for row in cursor.execute(_STATE.encode(), (target_id,))}


def keep_state(snapshot: Snapshot, losses: str | None = None) -> None:
    """Moves the state on to this snapshot, good or not."""
    reading, server, ts = snapshot.reading, snapshot.server, snapshot.ts
    values: dict[str, Any] = {
        "target_id": snapshot.target_id,
        "metric_id": snapshot.metric_id,
        "last_slot": reading.slot,
        "last_ts": ts,
        "last_agent_time": reading.agent_time,
        "last_status": reading.status.value,
        "last_error": reading.error[:ERROR_CHARACTERS] or None,
    }
    if snapshot.is_ok:
        values |= {
            "snapshot_id": snapshot.snapshot_id,
            "snapshot_ts": ts,
            "snapshot_target_time": reading.target_time,
            "snapshot_agent_time": reading.agent_time,
            "snapshot_rows": reading.rows,
            "snapshot_duration_seconds": reading.duration_seconds,
            "lacks": Jsonb(_lacks(snapshot)),
            "losses": losses,
        }
        if server is not None:
            values |= {
                "postmaster_start_time": server.postmaster_start_time,
                "checkpointer_start_time": server.checkpointer_start_time,
                "system_identifier": server.system_identifier,
                "timeline": server.timeline,
                "is_standby": server.is_standby,
            }
    names = list(values)
    if snapshot.state is None:
        placeholders = ", ".join(f"%({name})s" for name in names)
        sql = f"INSERT INTO {SCHEMA}.metric_state ({', '.join(names)}) VALUES ({placeholders})"
    else:
        sets = ", ".join(f"{name} = %({name})s" for name in names[2:])
        sql = f"UPDATE {SCHEMA}.metric_state SET {sets} WHERE target_id = %(target_id)s AND metric_id = %(metric_id)s"
    snapshot.conn.execute(sql.encode(), values)


def _lacks(snapshot: Snapshot) -> dict[str, str]:
    """Column -> until when the target lacked it: infinity while it does, the time when it came."""
    before: dict[str, str] = dict(snapshot.state["lacks"]) if snapshot.state is not None else {}
    return before | dict.fromkeys(snapshot.came, snapshot.ts.isoformat()) | dict.fromkeys(snapshot.lacking, "infinity")


def note_event(conn: psycopg.Connection[Any], target_id: int, kind: str, detail: str) -> None:
    conn.execute(
        f"INSERT INTO {SCHEMA}.event (target_id, kind, detail) VALUES (%s, %s, %s)".encode(),
        (target_id, kind, detail),
    )


def last_slots(conn: psycopg.Connection[Any], targets: Sequence[str]) -> dict[str, dict[str, int]]:
    """Target -> metric, or `check:NAME`, -> slot of its last snapshot, good or not."""
    rows = conn.execute(
        f"SELECT t.name, m.name, s.last_slot FROM {SCHEMA}.metric_state AS s "
        f"JOIN {SCHEMA}.target AS t USING (target_id) "
        f"JOIN {SCHEMA}.metric AS m USING (metric_id) WHERE t.name = ANY(%(targets)s) "
        f"UNION ALL SELECT t.name, '{CHECK}' || c.key, c.value::bigint FROM {SCHEMA}.target AS t "
        "CROSS JOIN jsonb_each_text(t.check_slots) AS c WHERE t.name = ANY(%(targets)s)".encode(),
        {"targets": list(targets)},
    )
    slots: dict[str, dict[str, int]] = {}
    for target, metric, slot in rows:
        slots.setdefault(target, {})[metric] = slot
    return slots
