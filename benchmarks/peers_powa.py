"""PoWA's own snapshot, `powa_take_snapshot()`, in a database of the target: as its background worker calls it."""

from __future__ import annotations

from typing import Any

import psycopg

from benchmarks.accounting import cpu_seconds
from benchmarks.peers_cost import Cost
from benchmarks.servers import Servers
from benchmarks.snapshots import wal_position

DATABASE = "powa"
COALESCE = 100  # powa.coalesce's default: so many snapshots are then put together as arrays
# Statements alone; PoWA also keeps relations, functions and the writer. Databases are what its statements refer to.
_STATEMENTS_ALONE = b"""
UPDATE powa_functions SET enabled = false
WHERE function_name NOT LIKE 'powa\\_statements%' AND function_name NOT LIKE 'powa\\_databases%'
"""
_BEGIN_ANEW = b"""
TRUNCATE powa_statements_history, powa_statements_history_db,
  powa_statements_history_current, powa_statements_history_current_db;
UPDATE powa_snapshot_metas SET coalesce_seq = 0
"""
_SIZE = b"""
SELECT pg_total_relation_size('powa_statements_history') + pg_total_relation_size('powa_statements_history_db')
"""


class Powa:
    """One connection, one snapshot after another; in the last of `rounds` PoWA puts all of them together."""

    def __init__(self, servers: Servers, rounds: int) -> None:
        with servers.connect(servers.target, "postgres") as conn:
            conn.execute(f"CREATE DATABASE {DATABASE}".encode())
        self._conn: psycopg.Connection[Any] = servers.connect(servers.target, DATABASE)
        for extension in ("btree_gist", "pg_stat_statements", "powa"):
            self._conn.execute(f"CREATE EXTENSION {extension}".encode())
        # The worker that owns this setting is not loaded: it would take snapshots of its own.
        self._conn.execute(f"SET powa.coalesce = {rounds}".encode())
        self._conn.execute(_STATEMENTS_ALONE)
        row = self._conn.execute(b"SELECT extversion FROM pg_extension WHERE extname = 'powa'").fetchone()
        assert row is not None
        self.version = str(row[0])

    def begin(self) -> None:
        """Forgets the snapshots so far: the next is the first of those that are put together."""
        self._conn.execute(_BEGIN_ANEW)

    def snapshot(self) -> Cost:
        pid = self._conn.info.backend_pid
        wal, cpu = wal_position(self._conn), cpu_seconds(pid)
        row = self._conn.execute(b"SELECT powa_take_snapshot()").fetchone()
        seconds = cpu_seconds(pid) - cpu
        if row is None or row[0]:
            raise RuntimeError(f"PoWA's snapshot failed: {self._conn.execute(b'TABLE powa_snapshot_metas').fetchall()}")
        return Cost(target_seconds=seconds, wal_bytes=wal_position(self._conn) - wal)

    def stored_bytes(self) -> int:
        """What `rounds` snapshots take on disk when they have been put together, indexes and TOAST included."""
        row = self._conn.execute(_SIZE).fetchone()
        assert row is not None
        return int(row[0])

    def close(self) -> None:
        self._conn.close()
