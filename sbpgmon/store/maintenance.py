"""The work that keeps the history small and quick, apart from the polls: on a connection of its own, every 5 minutes.

It goes by what the store itself says of its metrics, so that a metric whose file is gone is aged like the others.
Whoever finds the lease free does it, be it a daemon or a `collect` that cron has started.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg

from sbpgmon.logs import LOGGER
from sbpgmon.store import lease, retention
from sbpgmon.store.connection import StoreConnection, holding_schema, translated
from sbpgmon.store.partitions import make_ahead
from sbpgmon.store.policy import stored_metrics
from sbpgmon.store.rollup import Rolled, RollUpError, horizon, roll_up
from sbpgmon.store.schema import SCHEMA
from sbpgmon.store.version import check

EVERY_SECONDS = 300.0
_LEASE_ID = 0  # no target has this number
# How far retention may move on in one pass: a clock that runs ahead for a while takes no more than that.
LONGEST_STEP_SECONDS = 3600.0
CLOCK_SECONDS = 30.0  # beyond it the store's clock is told to be wrong


@dataclass(slots=True)
class Maintained:
    """What one pass did."""

    rolled: list[Rolled] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    indexed: list[str] = field(default_factory=list)
    series: int = 0
    seconds: float = 0.0
    failures: list[RollUpError] = field(default_factory=list)  # metrics that could not be rolled up


class Maintenance:
    """Roll-ups, partitions and retention of one store. `is_stopping` is asked between steps."""

    def __init__(
        self,
        dsn: str,
        holder: str,
        connect_timeout_seconds: float = 5.0,
        is_stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store = StoreConnection(dsn, connect_timeout_seconds)
        self._holder = f"{holder}:maintenance"
        self._is_stopping = is_stopping

    def cancel(self) -> None:
        """Ends the statement in hand, from another thread: a pass may wait for somebody else's transaction."""
        self._store.cancel()

    def run_if_due(self) -> Maintained | None:
        """One pass, unless somebody has made one in the last five minutes. Raises what run() raises."""
        with self._closing():
            with self._store.transaction() as conn:
                row = conn.execute(
                    f"SELECT FROM {SCHEMA}.lease WHERE target_id = %s AND expires_at > clock_timestamp() "
                    # One that ends later was taken while the store's clock ran ahead.
                    "AND expires_at < clock_timestamp() + make_interval(secs => %s)".encode(),
                    (_LEASE_ID, 2 * EVERY_SECONDS),
                ).fetchone()
            return self._run() if row is None else None

    def run(self) -> Maintained | None:
        """One pass now; None when another agent is at it.

        Raises SchemaGoneError when the schema is gone or about to go, StoreError and its kin.
        """
        with self._closing():
            return self._run()

    @contextlib.contextmanager
    def _closing(self) -> Iterator[None]:
        try:
            with translated():
                yield
        finally:
            self._store.close()

    def _run(self) -> Maintained | None:
        started = time.monotonic()
        if not self._go_on():
            return None
        done = Maintained()
        conn = self._store.raw
        now = horizon(conn)
        if now is None:
            return done
        self._look_at_clock(conn)
        aged = _aging(conn, now)
        with self._store.transaction() as ahead:
            make_ahead(ahead, datetime.now(UTC))
        _analyze_small(conn)
        with holding_schema(conn):
            metrics = stored_metrics(conn)
        # Before the roll-ups, which would pass over the rows; what was never rolled up is not old yet.
        names = frozenset(metric.name for metric in metrics.values())
        repaired = retention.repair(conn, retention.read_policy(conn, aged, names), self._go_on)
        failed = set()
        for metric_id, metric in metrics.items():
            try:
                for tier in metric.tiers[1:]:
                    while self._go_on() and (rolled := roll_up(self._store, metric, metric_id, tier)) is not None:
                        done.rolled.append(rolled)
            except RollUpError as error:
                # The others go on, and so does retention, but for what waits for this one.
                done.failures.append(error)
                failed.add(metric.name)
        policy = retention.read_policy(conn, aged, frozenset(failed))
        if not self._go_on():
            self._give_up()
            return done
        dropped = retention.drop_old(conn, policy, self._go_on)
        retention.drop_replaced(conn)
        for metric in metrics.values():
            if any(name.startswith(f"{metric.name}_{metric.tiers[-1]}_p") for name in dropped.dropped):
                done.series += retention.drop_series(conn, metric.name, bool(metric.counters))
        done.dropped = dropped.dropped
        done.repaired = repaired.repaired
        done.waiting = repaired.waiting + dropped.waiting
        done.seconds = time.monotonic() - started
        # Last, since it may wait for a long time.
        done.indexed = retention.index_closed(conn, policy, self._go_on)
        return done

    def _give_up(self) -> None:
        """The next one need not wait for the lease's end: the work is not done."""
        with self._store.transaction() as conn:
            lease.release(conn, self._holder)

    def _go_on(self) -> bool:
        """Holds the lease on, and obeys who asked all agents to stop."""
        if self._is_stopping():
            return False
        with self._store.transaction() as conn:
            check(conn)
            lease.refuse_stopped(conn)
            return not lease.take(conn, [_LEASE_ID], self._holder, EVERY_SECONDS - 5, longest_seconds=2 * EVERY_SECONDS)

    def _look_at_clock(self, conn: psycopg.Connection[Any]) -> None:
        row = conn.execute(
            f"SELECT extract(epoch FROM max(last_ts) - clock_timestamp())::float8 FROM {SCHEMA}.metric_state".encode()
        ).fetchone()
        if row is not None and row[0] is not None and row[0] > CLOCK_SECONDS:
            LOGGER.warning(
                "store: its clock is %.0f s behind that of the snapshots: roll-ups and retention wait as long. "
                "Set the clock of the store's host.",
                row[0],
            )


def _analyze_small(conn: psycopg.Connection[Any]) -> None:
    """Analyses what autovacuum finds too small to look at: every view joins it, and its plans depend on its rows."""
    for table in ("metric", "target"):
        name = f"{SCHEMA}.{table}"
        query = f"SELECT FROM pg_class WHERE oid = %s::regclass AND reltuples <> (SELECT count(*) FROM {name})"
        if conn.execute(query.encode(), (name,)).rowcount:
            conn.execute(f"ANALYZE {name}".encode())


def _aging(conn: psycopg.Connection[Any], now: datetime) -> datetime:
    """The time that retention goes by: that of the last pass and an hour at most, never more than `now`."""
    row = conn.execute(
        f"UPDATE {SCHEMA}.rollup SET rolled_at = clock_timestamp(), watermark = least(%(now)s, "
        "coalesce(watermark + make_interval(secs => %(step)s), %(now)s)) "
        "WHERE metric_id = 0 AND tier = 'raw' RETURNING watermark".encode(),
        {"now": now, "step": LONGEST_STEP_SECONDS},
    ).fetchone()
    return row[0] if row is not None else now
