"""One reading on its way into the store, and whose clock tells its time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from sbpgmon.model import LOST, Metric, Reading, Server, Status

MAX_SKEW_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One reading on its way into the store. `state` is the row of metric_state, None for the first."""

    conn: psycopg.Connection[Any]
    snapshot_id: int
    target: str
    target_id: int
    metric_id: int
    metric: Metric
    server: Server | None
    reading: Reading
    state: dict[str, Any] | None

    @property
    def skew_seconds(self) -> float | None:
        """The target's clock less the agent's."""
        return _skew_seconds(self.reading)

    @property
    def ts(self) -> datetime:
        """The target's clock where it lies near the agent's, else the agent's."""
        return time_of(self.reading)

    @property
    def is_by_target(self) -> bool:
        """Whether `ts` is the target's clock."""
        return self.reading.target_time is not None and self.ts == self.reading.target_time

    @property
    def lacking(self) -> set[str]:
        """The metric's columns that this reading does not have."""
        here = {name for name, _ in self.reading.columns} - set(self.reading.lacks)
        return {column.name for column in self.metric.columns} - here

    @property
    def came(self) -> set[str]:
        """The columns that the last good reading did not have, and this one has: nothing to compare them with."""
        before = self.state["lacks"] if self.state is not None else {}
        return {name for name, until in before.items() if until == "infinity"} - self.lacking

    @property
    def is_ok(self) -> bool:
        return self.reading.status is Status.OK

    @property
    def is_lost(self) -> bool:
        """Whether the poll did not reach the target."""
        return self.reading.status in LOST


def time_of(reading: Reading) -> datetime:
    """A reading's time: the target's clock where it lies near the agent's, else the agent's."""
    skew = _skew_seconds(reading)
    if reading.target_time is None or skew is None or abs(skew) > MAX_SKEW_SECONDS:
        return reading.agent_time
    return reading.target_time


def _skew_seconds(reading: Reading) -> float | None:
    return None if reading.target_time is None else (reading.target_time - reading.agent_time).total_seconds()
