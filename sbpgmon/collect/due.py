"""Which metrics are due: once in each slot of the metric's grid, whoever starts the agent and when."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from sbpgmon.catalog.catalog import Catalog
from sbpgmon.checks import Check
from sbpgmon.config import CheckSettings, MetricSettings
from sbpgmon.model import Due, Metric
from sbpgmon.tenancy import Tenancy


def slot_at(epoch_seconds: float, interval_seconds: float) -> int:
    """The slot of the grid in which a moment lies.

    A grid, not `now - last >= interval`: under cron a fifth of a second of jitter lost every third minute.
    """
    return math.floor(epoch_seconds / interval_seconds)


def intervals_of(catalog: Catalog, settings: Mapping[str, MetricSettings]) -> dict[str, float]:
    """Metric -> its interval; metrics that are switched off, or have no query for targets, are left out."""
    chosen = {name: settings.get(name, MetricSettings()) for name in catalog.metrics}
    return {
        name: chosen[name].interval or metric.interval_seconds
        for name, metric in catalog.metrics.items()
        if chosen[name].enabled and (not metric.source or metric.has_deltas)
    }


def is_asked(metric: Metric, tenancy: Tenancy) -> bool:
    """Whether there is anything to ask on a target of this tenancy: not of tenants where none are declared."""
    return bool(tenancy.events) if metric.has_deltas else not metric.uses or tenancy.is_declared


def due_metrics(
    catalog: Catalog,
    settings: Mapping[str, MetricSettings],
    last_slots: Mapping[str, int],
    epoch_seconds: float,
    factors: Mapping[str, int] = MappingProxyType({}),
) -> list[Due]:
    """The metrics whose slot has not been served yet. `last_slots`: metric -> slot of the last snapshot.

    `factors`: metric -> how many slots of its grid make one, for what is read less often for a while. The grid stays
    the same, so that a factor that comes or goes has no metric read twice.
    """
    due = []
    for name, interval in intervals_of(catalog, settings).items():
        slot = slot_at(epoch_seconds, interval)
        last, factor = last_slots.get(name), factors.get(name, 1)
        # Another interval has another grid: a slot that seems to lie ahead tells nothing.
        if last is None or slot // factor > last // factor or last > slot + 1:
            due.append(Due(catalog.metrics[name], slot, interval * factor))
    return due


def as_configured(catalog: Catalog, settings: Mapping[str, CheckSettings]) -> dict[str, Check]:
    """The checks that are switched on, with the site's intervals and timeouts."""
    checks = {}
    for name, check in catalog.checks.items():
        chosen = settings.get(name, CheckSettings())
        if chosen.enabled:
            checks[name] = replace(
                check,
                interval_seconds=chosen.interval or check.interval_seconds,
                timeout_seconds=chosen.timeout or check.timeout_seconds,
            )
    return checks


def due_checks(checks: Mapping[str, Check], last_slots: Mapping[str, int], epoch_seconds: float) -> dict[str, int]:
    """The checks whose slot has not been served yet, each with that slot.

    `last_slots`: check -> slot of its last run.
    """
    due = {}
    for name, check in checks.items():
        slot, last = slot_at(epoch_seconds, check.interval_seconds), last_slots.get(name)
        if last is None or slot > last or last > slot + 1:
            due[name] = slot
    return due
