"""One agent polls a target at a time: a row with an expiry, which also lets a second agent stand by."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

import psycopg

from sbpgmon.errors import LeaseTakenError, SchemaGoneError
from sbpgmon.store.schema import SCHEMA

# No lease is that long: one that seems to be was given when the store's clock ran ahead.
LONGEST_SECONDS = 7 * 86400.0


def holder_of(identity: str) -> str:
    """The name of the agent that holds a state folder of this identity, now and after it was killed."""
    return f"{socket.gethostname()}:{identity}"


def target_ids(conn: psycopg.Connection[Any], names: Sequence[str]) -> dict[str, int]:
    """The numbers of the targets; makes those that are new (by anti-join: ON CONFLICT would burn identities)."""
    conn.execute(
        f"INSERT INTO {SCHEMA}.target (name) SELECT n FROM unnest(%s::text[]) AS n "
        f"WHERE NOT EXISTS (SELECT FROM {SCHEMA}.target AS t WHERE t.name = n)".encode(),
        (list(names),),
    )
    rows = conn.execute(f"SELECT name, target_id FROM {SCHEMA}.target WHERE name = ANY(%s)".encode(), (list(names),))
    return dict(rows.fetchall())


def take(
    conn: psycopg.Connection[Any],
    ids: Sequence[int],
    holder: str,
    seconds: float,
    *,
    longest_seconds: float = LONGEST_SECONDS,
) -> dict[int, str]:
    """Takes or renews the leases of these targets; returns target -> holder of those that others hold."""
    conn.execute(
        f"INSERT INTO {SCHEMA}.lease (target_id, holder, expires_at) "
        f"SELECT i, %(holder)s, clock_timestamp() + make_interval(secs => %(seconds)s) "
        f"FROM unnest(%(ids)s::int[]) AS i ORDER BY i "
        f"ON CONFLICT (target_id) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at "
        f"WHERE {SCHEMA}.lease.holder = excluded.holder OR {SCHEMA}.lease.expires_at < clock_timestamp() "
        f"OR {SCHEMA}.lease.expires_at > clock_timestamp() + make_interval(secs => %(longest)s)".encode(),
        {"ids": list(ids), "holder": holder, "seconds": seconds, "longest": longest_seconds},
    )
    rows = conn.execute(
        f"SELECT target_id, holder FROM {SCHEMA}.lease WHERE target_id = ANY(%s) AND holder <> %s".encode(),
        (list(ids), holder),
    )
    return dict(rows.fetchall())


def refuse_taken(conn: psycopg.Connection[Any], target_id: int, target: str, holder: str) -> None:
    """Locks the lease for this transaction; raises LeaseTakenError when another agent has it by now."""
    row = conn.execute(
        f"SELECT holder, expires_at > clock_timestamp() FROM {SCHEMA}.lease WHERE target_id = %s FOR UPDATE".encode(),
        (target_id,),
    ).fetchone()
    if row is not None and row[0] != holder and row[1]:
        raise LeaseTakenError(
            f"Another agent polls {target} by now: {row[0]}.", "This one was away for longer than its lease."
        )


def release(conn: psycopg.Connection[Any], holder: str) -> None:
    """Gives up all leases of this agent."""
    conn.execute(f"DELETE FROM {SCHEMA}.lease WHERE holder = %s".encode(), (holder,))


def refuse_stopped(conn: psycopg.Connection[Any]) -> None:
    """Raises SchemaGoneError when a rollback has asked all agents to stop."""
    row = conn.execute(f"SELECT stop_requested_at, stop_reason FROM {SCHEMA}.control".encode()).fetchone()
    if row is not None and row[0] is not None:
        raise SchemaGoneError(
            f"The store asked all agents to stop at {row[0]:%Y-%m-%d %H:%M:%S} UTC ({row[1]}).",
            "A rollback is under way, or did not finish: run it again, or `sbpgmon init` to go on.",
        )
