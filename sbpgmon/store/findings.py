"""Findings in the store: opened, seen, closed; and where each check of each target stands."""

from __future__ import annotations

import json
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from sbpgmon.findings import CheckRun, IsolationReading
from sbpgmon.store.schema import SCHEMA
from sbpgmon.store.state import note_event

CHANGES_LISTED = 20

# One finding a key is open at a time. What an incomplete run did not find is neither there nor gone.
_FOUND = (
    "jsonb_to_recordset(%(found)s::jsonb) AS r (check_name text, key text, status text, severity text, object text, "
    "role text, detail text, remedy text, is_heuristic boolean, allowed text)"
)
_VALUES = "status, severity, object, role, detail, remedy, is_heuristic, allowed"

_SEEN = f"""
UPDATE {SCHEMA}.finding_log AS f
SET ({_VALUES}, last_seen, seen) = (r.status, r.severity, r.object, r.role, r.detail, r.remedy, r.is_heuristic,
  r.allowed, greatest(%(time)s, f.opened_at), f.seen + 1)
FROM {_FOUND}
WHERE f.target_id = %(target_id)s AND f.closed_at IS NULL
  AND f.check_name = r.check_name AND f.key_hash = md5(r.key)::uuid
"""

_OPENED = f"""
INSERT INTO {SCHEMA}.finding_log
  (target_id, check_name, key, key_hash, {_VALUES}, first_seen, opened_at, last_seen)
SELECT %(target_id)s, r.check_name, r.key, md5(r.key)::uuid, r.status, r.severity, r.object, r.role, r.detail, r.remedy,
  r.is_heuristic, r.allowed,
  least(%(time)s, (
    SELECT min(b.first_seen) FROM {SCHEMA}.finding_log AS b
    WHERE b.target_id = %(target_id)s AND b.key_hash = md5(r.key)::uuid AND b.check_name = r.check_name
  )),
  %(time)s, %(time)s
FROM {_FOUND}
WHERE NOT EXISTS (
  SELECT FROM {SCHEMA}.finding_log AS o
  WHERE o.target_id = %(target_id)s AND o.check_name = r.check_name AND o.key_hash = md5(r.key)::uuid
    AND o.closed_at IS NULL
)
RETURNING check_name, key, severity, status, allowed
"""

_CLOSED = f"""
UPDATE {SCHEMA}.finding_log AS f
SET closed_at = greatest(%(time)s, f.opened_at), closed_because = 'gone'
WHERE f.target_id = %(target_id)s AND f.closed_at IS NULL
  AND f.check_name = ANY(%(complete)s)
  AND NOT EXISTS (
    SELECT FROM {_FOUND} WHERE r.check_name = f.check_name AND md5(r.key)::uuid = f.key_hash
  )
RETURNING check_name, key, severity, status, allowed
"""

_FORGOTTEN = f"""
UPDATE {SCHEMA}.finding_log AS f
SET closed_at = greatest(%(time)s, f.opened_at), closed_because = 'not looked for any more'
WHERE f.target_id = %(target_id)s AND f.closed_at IS NULL AND f.check_name <> ALL(%(known)s)
RETURNING check_name, key, severity, status, allowed
"""

# By what is open now: a fail that a later, incomplete run could not see is still one.
_STATE = f"""
INSERT INTO {SCHEMA}.check_state AS s
  (target_id, check_name, last_run, status, fails, unknowns, allowed, seconds, sweep)
SELECT %(target_id)s, r.check_name, %(time)s,
  CASE WHEN o.fails > 0 THEN 'fail' WHEN o.unknowns > 0 THEN 'unknown' ELSE 'pass' END,
  o.fails, o.unknowns, o.allowed, r.seconds, r.sweep
FROM jsonb_to_recordset(%(runs)s::jsonb) AS r (check_name text, seconds real, sweep jsonb)
CROSS JOIN LATERAL (
  SELECT
    count(*) FILTER (WHERE f.allowed IS NULL AND f.status = 'fail') AS fails,
    count(*) FILTER (WHERE f.allowed IS NULL AND f.status = 'unknown') AS unknowns,
    count(f.allowed) AS allowed
  FROM {SCHEMA}.finding_log AS f
  WHERE f.target_id = %(target_id)s AND f.check_name = r.check_name AND f.closed_at IS NULL
) AS o
ON CONFLICT (target_id, check_name) DO UPDATE
SET (last_run, status, fails, unknowns, allowed, seconds, sweep)
  = (excluded.last_run, excluded.status, excluded.fails, excluded.unknowns, excluded.allowed,
     excluded.seconds, coalesce(excluded.sweep, s.sweep))
"""


def write_isolation(
    conn: psycopg.Connection[Any], target_id: int, reading: IsolationReading, *, is_replay: bool = False
) -> list[str]:
    """Stores what was found; returns what is to be said of it: findings that opened and closed.

    A replay that is older than what is stored of its checks is left out. What was looked at just now counts
    whatever the clock says: it may have been set back, or that of another agent before may have been ahead.
    """
    if is_replay and _is_late(conn, target_id, reading):
        return []
    found = [
        {
            "check_name": finding.check,
            "key": finding.key,
            "status": finding.outcome.value,
            "severity": finding.severity,
            "object": finding.object,
            "role": finding.role,
            "detail": finding.detail,
            "remedy": finding.remedy,
            "is_heuristic": finding.is_heuristic,
            "allowed": finding.allowed or None,
        }
        for finding in reading.findings
    ]
    params: dict[str, Any] = {
        "target_id": target_id,
        "time": reading.time,
        "found": json.dumps(found),
        "complete": [run.check for run in reading.runs if run.is_complete],
        "known": list(reading.known_checks or ()),
        "runs": json.dumps([_state(run) for run in reading.runs]),
    }
    conn.execute(_SEEN.encode(), params)
    lines = [_line("opened", *row) for row in conn.execute(_OPENED.encode(), params)]
    lines += [_line("closed", *row) for row in conn.execute(_CLOSED.encode(), params)]
    if reading.known_checks is not None:
        lines += [_line("not looked for any more", *row) for row in conn.execute(_FORGOTTEN.encode(), params)]
        conn.execute(
            f"DELETE FROM {SCHEMA}.check_state "
            "WHERE target_id = %(target_id)s AND check_name <> ALL(%(known)s)".encode(),
            params,
        )
    conn.execute(_STATE.encode(), params)
    conn.execute(
        f"UPDATE {SCHEMA}.target SET check_slots = check_slots || %s WHERE target_id = %s".encode(),
        (Jsonb(reading.slots), target_id),
    )
    if reading.fingerprint is not None:
        _note_changes(conn, target_id, reading)
    return lines


def sweeps_of(conn: psycopg.Connection[Any], target: str) -> dict[str, Any]:
    """Check of data -> how far its sweep has come on the target, as JSON."""
    rows = conn.execute(
        f"SELECT s.check_name, s.sweep FROM {SCHEMA}.check_state AS s JOIN {SCHEMA}.target AS t USING (target_id) "
        "WHERE t.name = %s AND s.sweep IS NOT NULL".encode(),
        (target,),
    )
    return dict(rows.fetchall())


def fingerprint_of(conn: psycopg.Connection[Any], target: str) -> str | None:
    """Digest of what kept tenants apart on the target when it was last looked at."""
    row = conn.execute(
        f"SELECT isolation_fingerprint FROM {SCHEMA}.target WHERE name = %s".encode(), (target,)
    ).fetchone()
    return row[0] if row else None


def _is_late(conn: psycopg.Connection[Any], target_id: int, reading: IsolationReading) -> bool:
    """Whether something newer is stored of its checks."""
    row = conn.execute(
        f"SELECT max(last_run) >= %s FROM {SCHEMA}.check_state WHERE target_id = %s AND check_name = ANY(%s)".encode(),
        (reading.time, target_id, [run.check for run in reading.runs]),
    ).fetchone()
    return row is not None and bool(row[0])


def _state(run: CheckRun) -> dict[str, Any]:
    return {"check_name": run.check, "seconds": run.seconds, "sweep": run.sweep}


def _line(what: str, check: str, key: str, severity: str, status: str, allowed: str | None) -> str:
    # A name may hold a line break, and what follows it would pass for another line of the log.
    named = "".join(character if character.isprintable() else "?" for character in key or check)
    return f"{severity} {status}{' (allowed)' if allowed else ''} {what}: {named}"


def _note_changes(conn: psycopg.Connection[Any], target_id: int, reading: IsolationReading) -> None:
    """What keeps tenants apart has changed: an event says how, and the new state is kept."""
    named = {(kind, name): definition for kind, name, definition in reading.elements}
    elements = json.dumps([{"kind": k, "object": o, "definition": d} for (k, o), d in named.items()])
    read = "jsonb_to_recordset(%(elements)s::jsonb) AS n (kind text, object text, definition text)"
    params = {"target_id": target_id, "elements": elements, "fingerprint": reading.fingerprint}
    row = conn.execute(
        f"SELECT isolation_fingerprint FROM {SCHEMA}.target WHERE target_id = %(target_id)s".encode(), params
    ).fetchone()
    before = row[0] if row else None
    # Without the elements it was the digest of the last time, as the agent knew it: by now the store has another one.
    if before == reading.fingerprint or not reading.elements:
        return
    if before is not None:
        changes = conn.execute(
            f"SELECT CASE WHEN o.kind IS NULL THEN 'new' WHEN n.kind IS NULL THEN 'gone' ELSE 'changed' END, "
            "coalesce(n.kind, o.kind), coalesce(n.object, o.object), o.definition, n.definition "
            f"FROM (SELECT * FROM {SCHEMA}.isolation_element WHERE target_id = %(target_id)s) AS o "
            f"FULL JOIN {read} USING (kind, object) "
            "WHERE o.definition IS DISTINCT FROM n.definition ORDER BY 2, 3".encode(),
            params,
        ).fetchall()
        if changes:
            listed = "; ".join(_change(*change) for change in changes[:CHANGES_LISTED])
            more = f"; and {len(changes) - CHANGES_LISTED} more" if len(changes) > CHANGES_LISTED else ""
            note_event(conn, target_id, "isolation", f"{listed}{more}")
    conn.execute(f"DELETE FROM {SCHEMA}.isolation_element WHERE target_id = %(target_id)s".encode(), params)
    conn.execute(
        f"INSERT INTO {SCHEMA}.isolation_element (target_id, kind, object, definition) "
        f"SELECT %(target_id)s, n.kind, n.object, n.definition FROM {read}".encode(),
        params,
    )
    conn.execute(
        f"UPDATE {SCHEMA}.target SET isolation_fingerprint = %(fingerprint)s WHERE target_id = %(target_id)s".encode(),
        params,
    )


def _change(what: str, kind: str, name: str, before: str | None, after: str | None) -> str:
    if what == "changed":
        return f"{kind} {name}: {_short(before)} is now {_short(after)}"
    return f"{what} {kind} {name}: {_short(after if what == 'new' else before)}"


def _short(text: str | None) -> str:
    flat = " ".join((text or "").split())
    return flat if len(flat) <= 200 else flat[:199] + "…"
