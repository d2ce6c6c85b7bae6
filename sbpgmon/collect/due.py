"""Which metrics are due: once in each slot of the metric's grid, whoever starts the agent and when."""

from __future__ import annotations

import math
from collections.abc import Mapping

from sbpgmon.catalog.catalog import Catalog
from sbpgmon.config import MetricSettings
from sbpgmon.model import Due


def slot_at(epoch_seconds: float, interval_seconds: float) -> int:
    """The slot of the grid in which a moment lies.

    A grid, not `now - last >= interval`: under cron a fifth of a second of jitter lost every third minute.
    """
    return math.floor(epoch_seconds / interval_seconds)


def due_metrics(
    catalog: Catalog,
    settings: Mapping[str, MetricSettings],
    last_slots: Mapping[str, int],
    epoch_seconds: float,
) -> list[Due]:
    """The metrics whose slot has not been served yet. `last_slots`: metric -> slot of the last snapshot."""
    due = []
    for metric in catalog.metrics.values():
        chosen = settings.get(metric.name, MetricSettings())
        if not chosen.enabled:
            continue
        interval = chosen.interval or metric.interval_seconds
        slot = slot_at(epoch_seconds, interval)
        last = last_slots.get(metric.name)
        # Another interval has another grid: a slot that seems to lie ahead tells nothing.
        if last is None or slot > last or last > slot + 1:
            due.append(Due(metric, slot, interval))
    return due
