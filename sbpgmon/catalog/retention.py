"""Whether what the configuration keeps of each metric can be kept: tiers that nest, and outlive two readings."""

from __future__ import annotations

import math
from collections.abc import Iterator

from sbpgmon.catalog.catalog import Catalog
from sbpgmon.config import MetricSettings, Settings
from sbpgmon.durations import in_words
from sbpgmon.environment import problems_of
from sbpgmon.errors import ConfigError
from sbpgmon.model import Metric


def check_retention(settings: Settings, catalog: Catalog) -> None:
    """Raises ConfigError, which names every metric whose retention cannot be."""
    problems = [
        f"metrics.{metric.name}: {problem}"
        for metric in catalog.metrics.values()
        for problem in _problems(metric, settings)
    ]
    if problems:
        raise ConfigError(
            f"{settings.source}: {'; '.join(problems)}.",
            "Mend retention or interval of [metrics.NAME], or retention of [environment].",
        )


def _problems(metric: Metric, settings: Settings) -> Iterator[str]:
    chosen = settings.metrics.get(metric.name, MetricSettings())
    for tier in chosen.retention:
        if tier not in metric.tiers:
            yield f"it has no tier {tier}, but {', '.join(metric.tiers)}"
    if not chosen.enabled:
        return
    kept = settings.retention_of(metric.name)
    ages = {tier: kept[tier] for tier in metric.tiers}
    if chosen.retention:
        # Without overrides they are the environment's, which load() has looked at.
        yield from problems_of(ages)
    interval = chosen.interval or metric.interval_seconds
    for tier, seconds in ages.items():
        if (math.inf if seconds is None else seconds) < interval:
            yield f"{tier} is kept for {in_words(seconds)}, less than its interval of {in_words(interval)}"
