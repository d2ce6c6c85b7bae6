"""How large the history will be: what comes a day, for as long as it is kept."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Growth:
    """One tier of one metric: its bytes now and a day (None: not known), and how long it is kept."""

    total_bytes: float
    bytes_per_day: float | None
    age_seconds: float  # of its oldest row
    retention_seconds: float | None  # None: forever
    period_seconds: float  # of a partition, which goes when its last row is too old

    @property
    def full_seconds(self) -> float:
        """The age that its oldest row reaches before it goes."""
        return math.inf if self.retention_seconds is None else self.retention_seconds + self.period_seconds

    def bytes_in(self, days: float) -> float:
        """Its size after so many days; what was kept longer than now is wanted goes."""
        if not self.bytes_per_day:
            return self.total_bytes
        age = min(self.age_seconds + days * _DAY, self.full_seconds)
        return max(0.0, self.total_bytes + self.bytes_per_day * (age - self.age_seconds) / _DAY)

    @property
    def full_bytes(self) -> float | None:
        """Its size from when on as much goes as comes; None: it grows forever."""
        return None if self.bytes_per_day and self.full_seconds == math.inf else self.bytes_in(math.inf)


@dataclass(frozen=True, slots=True)
class Forecast:
    """The size of the whole; `steady_bytes` when every tier is full, to which `forever_bytes_per_day` come then."""

    in_30_days_bytes: float
    in_a_year_bytes: float
    steady_bytes: float  # without what is kept forever
    forever_bytes_per_day: float
    full_in_days: float  # until the last tier that fills is full


def forecast(tiers: Iterable[Growth], other_bytes: float) -> Forecast:
    """What the tiers come to; `other_bytes` (series, texts, last counters) are taken to stay as they are."""
    tiers = list(tiers)
    growing = [t for t in tiers if t.full_bytes is None]
    filling = [t.full_seconds - t.age_seconds for t in tiers if t.bytes_per_day and t.full_bytes is not None]
    return Forecast(
        in_30_days_bytes=other_bytes + sum(t.bytes_in(30) for t in tiers),
        in_a_year_bytes=other_bytes + sum(t.bytes_in(365) for t in tiers),
        steady_bytes=other_bytes + sum(t.full_bytes or 0.0 for t in tiers),
        forever_bytes_per_day=sum(t.bytes_per_day or 0.0 for t in growing),
        full_in_days=max([0.0, *(seconds / _DAY for seconds in filling)]),
    )
