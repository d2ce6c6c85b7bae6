"""What the agent says, held against what the traffic knows; and what the agent cost the server.

All of it is read as `grafana_reader`, from the views that dashboards read.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

import psycopg

from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.demo.errands import COUNTED_STATEMENTS
from sbpgmon.demo.traffic import Counts

METRICS = ("stat_statements", "stat_database")


@dataclass(frozen=True)
class Comparison:
    """One number from both sides."""

    what: str
    counted: int
    monitored: int

    @property
    def is_equal(self) -> bool:
        return self.counted == self.monitored


@dataclass(frozen=True)
class Cost:
    """What the statements of one role cost the server; times in ms, over `seconds` of watching."""

    role: str
    calls: int
    total_exec_time: float
    all_exec_time: float
    seconds: float

    @property
    def share_ratio(self) -> float:
        return self.total_exec_time / self.all_exec_time if self.all_exec_time else 0.0


class Monitoring:
    """The views of `monitoring` for one target, read through `dsn`."""

    def __init__(self, dsn: str, target: str) -> None:
        self._dsn = dsn
        self._target = target
        metrics = load_catalog(None).metrics
        # Coarser tiers repeat the same numbers.
        self._tiers = {name: metrics[name].tier for name in METRICS}

    def count_snapshots(self, *, since: datetime | None = None) -> int:
        """Good snapshots (later than `since`) of that metric of METRICS that has the fewest."""
        rows = self._ask(
            """select metric, count(*) from monitoring.snapshot
            where target = %s and metric = any(%s) and status = 'ok'
                and (%s::timestamptz is null or time > %s)
            group by metric""",
            [self._target, list(METRICS), since, since],
        )
        return min((int(row[1]) for row in rows), default=0) if len(rows) == len(METRICS) else 0

    def count_deadlocks(self) -> int:
        rows = self._ask(
            """select coalesce(sum(deadlocks), 0)::bigint from monitoring.deadlocks
            where target = %s and tier = %s""",
            [self._target, self._tiers["stat_database"]],
        )
        return int(rows[0][0])

    def compare(self, counts: Counts) -> list[Comparison]:
        """Deadlocks, and the calls of the statements that the traffic counts."""
        found = [Comparison("deadlocks", counts.deadlocks, self.count_deadlocks())]
        for field, beginning in COUNTED_STATEMENTS.items():
            rows = self._ask(
                """select coalesce(sum(calls), 0)::bigint from monitoring.statements
                where target = %s and tier = %s and toplevel and starts_with(ltrim(query, E'\\n '), %s)""",
                [self._target, self._tiers["stat_statements"], beginning],
            )
            found.append(Comparison(field.replace("_", " "), getattr(counts, field), int(rows[0][0])))
        return found

    def cost(self, role: str) -> Cost:
        """What `role` cost, of all that pg_stat_statements saw."""
        rows = self._ask(
            """select
                coalesce(sum(calls) filter (where usename = %s), 0)::bigint,
                coalesce(sum(total_exec_time) filter (where usename = %s), 0)::float8,
                coalesce(sum(total_exec_time), 0)::float8,
                (select coalesce(sum(interval_seconds), 0)::float8 from monitoring.snapshot
                where target = %s and metric = 'stat_statements' and status = 'ok')
            from monitoring.statements
            where target = %s and tier = %s and toplevel""",
            [role, role, self._target, self._target, self._tiers["stat_statements"]],
        )
        return Cost(role, *rows[0])

    def _ask(self, question: LiteralString, values: list[Any]) -> list[Any]:
        with psycopg.connect(self._dsn, autocommit=True, connect_timeout=5) as connection:
            return connection.execute(question, values).fetchall()


def wait_for_quiet(superuser_dsn: str, role: str, *, timeout_seconds: float = 10) -> datetime:
    """Waits until no session of `role` is left, so that all its counters are in; returns its time."""
    deadline = time.monotonic() + timeout_seconds
    with psycopg.connect(superuser_dsn, autocommit=True) as connection:
        while True:
            row = connection.execute(
                "select clock_timestamp(), (select count(*) from pg_stat_activity where usename = %s)", [role]
            ).fetchone()
            assert row is not None
            if row[1] == 0 or time.monotonic() > deadline:
                now: datetime = row[0]
                return now
            time.sleep(0.1)
