"""Which server each target's history is of: another one is refused, until a person accepts it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from sbpgmon.errors import ConfigError
from sbpgmon.model import Server
from sbpgmon.store.schema import SCHEMA
from sbpgmon.store.state import note_event


def known_identifiers(conn: psycopg.Connection[Any], names: Sequence[str]) -> dict[str, int]:
    """Target -> system identifier of the server that its history is of; those never polled are left out."""
    rows = conn.execute(
        f"SELECT name, system_identifier FROM {SCHEMA}.target "
        "WHERE name = ANY(%s) AND system_identifier IS NOT NULL".encode(),
        (list(names),),
    )
    return dict(rows.fetchall())


def identity(conn: psycopg.Connection[Any], target_id: int) -> tuple[int | None, int | None]:
    """The system identifiers of the server that a target's history is of, and of the one that is refused."""
    row = conn.execute(
        f"SELECT system_identifier, refused_identifier FROM {SCHEMA}.target WHERE target_id = %s".encode(), (target_id,)
    ).fetchone()
    return (row[0], row[1]) if row is not None else (None, None)


def note_server(conn: psycopg.Connection[Any], target_id: int, server: Server, *, is_back: bool) -> None:
    """Notes what answers: the server that the history is of, or the first one; `is_back`: after another one."""
    conn.execute(
        f"UPDATE {SCHEMA}.target SET system_identifier = %(id)s, refused_identifier = NULL, database = %(database)s, "
        "server_version = %(version)s WHERE target_id = %(target)s AND coalesce(system_identifier, %(id)s) = %(id)s "
        "AND (system_identifier, database, server_version, refused_identifier) "
        "IS DISTINCT FROM (%(id)s, %(database)s, %(version)s, NULL)".encode(),
        {
            "id": server.system_identifier,
            "database": server.database,
            "version": server.version,
            "target": target_id,
        },
    )
    if is_back:
        note_event(conn, target_id, "identity", "the server that the history is of answers again")


def note_refused(conn: psycopg.Connection[Any], target_id: int, server: Server, what: str) -> None:
    """Notes that another server answers: an event for each such server, not for each poll."""
    is_new = conn.execute(
        # One that has been accepted meanwhile is no other server any more.
        f"UPDATE {SCHEMA}.target SET refused_identifier = %(id)s WHERE target_id = %(target)s "
        "AND system_identifier <> %(id)s AND refused_identifier IS DISTINCT FROM %(id)s".encode(),
        {"id": server.system_identifier, "target": target_id},
    ).rowcount
    if is_new:
        note_event(conn, target_id, "identity", what)


def accept(conn: psycopg.Connection[Any], name: str) -> tuple[int, int]:
    """Goes on with the server that was refused, in a new epoch of the same history.

    Every metric is due at once, and its first snapshot is a baseline. Returns the old identifier and the new one.
    Raises ConfigError when there is no such target, or nothing to accept.
    """
    targets = {
        row[1]: row
        for row in conn.execute(
            f"SELECT target_id, name, system_identifier, refused_identifier FROM {SCHEMA}.target ORDER BY name "
            "FOR NO KEY UPDATE".encode()
        )
    }
    if name not in targets:
        known = f"There are: {', '.join(targets)}." if targets else "No target has been polled yet."
        raise ConfigError(f"The store has no target {name!r}.", known)
    target_id, _, was, now = targets[name]
    if now is None:
        raise ConfigError(
            f"Nothing to accept: no other server has answered as target {name}.",
            "`sbpgmon targets list` shows which server each history is of; `sbpgmon collect` looks who answers.",
        )
    conn.execute(
        f"UPDATE {SCHEMA}.target SET system_identifier = refused_identifier, refused_identifier = NULL "
        "WHERE target_id = %s".encode(),
        (target_id,),
    )
    conn.execute(f"UPDATE {SCHEMA}.metric_state SET last_slot = 0 WHERE target_id = %s".encode(), (target_id,))
    note_event(conn, target_id, "identity", f"accepted: system_identifier {now} in place of {was}; a new epoch begins")
    return was, now
