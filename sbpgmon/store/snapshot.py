"""One reading on its way into the store, and whose clock tells its time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from sbpgmon.model import Metric, Reading, Server, Status

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
        if self.reading.target_time is None:
            return None
        return (self.reading.target_time - self.reading.agent_time).total_seconds()

    @property
    def ts(self) -> datetime:
        """The target's clock where it lies near the agent's, else the agent's."""
        skew = self.skew_seconds
        if skew is None or abs(skew) > MAX_SKEW_SECONDS:
            return self.reading.agent_time
        assert self.reading.target_time is not None
        return self.reading.target_time

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
