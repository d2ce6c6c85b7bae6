"""Profiles: how often the daemon ticks and how long each tier is kept, by what the environment is for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from sbpgmon.durations import Age, Seconds, in_words
from sbpgmon.model import TIER_SECONDS

Retention = Mapping[str, float | None]  # tier -> seconds; None: forever

# A roll-up comes by every few minutes and reads whole buckets, of up to an hour, out of the tier below. Two hours are
# that hour and one more, in which a roll-up that was interrupted, or readings out of the spool, can still be had.
LEAST_SECONDS = {"raw": 7200.0, "1m": 7200.0, "5m": 7200.0}
_HOUR, _DAY = 3600.0, 86400.0


@dataclass(frozen=True, slots=True)
class Profile:
    """What an environment has unless it says otherwise."""

    tick_seconds: float
    retention: Retention


PROFILES = {
    "development": Profile(30.0, {"raw": 6 * _HOUR} | dict.fromkeys(("1m", "5m", "1h", "1d"), 7 * _DAY)),
    "staging": Profile(15.0, {"raw": 6 * _HOUR, "1m": 7 * _DAY} | dict.fromkeys(("5m", "1h", "1d"), 14 * _DAY)),
    "production": Profile(
        15.0, {"raw": 6 * _HOUR, "1m": 7 * _DAY, "5m": 30 * _DAY, "1h": 365 * _DAY, "1d": None}
    ),
}  # fmt: skip


def _known(tiers: dict[str, float | None]) -> dict[str, float | None]:
    for tier in tiers:
        if tier not in TIER_SECONDS:
            raise ValueError(f"{tier!r} is not a tier: {', '.join(TIER_SECONDS)}")
    return tiers


Ages = Annotated[dict[str, Age], AfterValidator(_known)]


class Section(BaseModel):
    """A section of the configuration file."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Environment(Section):
    """What the databases are for: how closely they are watched, and how long their history is kept."""

    profile: Literal["development", "staging", "production"] = Field(
        default="production", description="Where `tick` and `retention` come from; each can be replaced."
    )
    tick: Seconds | None = Field(
        default=None,
        ge=1,
        description="How often the daemon looks for what is due, at least `1s`; aligned to the clock. A metric is "
        "never read oftener than its own interval, nor oftener than this.",
    )
    retention: Ages = Field(
        default={},
        description='How long each tier is kept, for example `{ "1m" = "3d", "1d" = "forever" }`. A coarser tier is '
        "kept at least as long as a finer one.",
    )

    @property
    def tick_seconds(self) -> float:
        return PROFILES[self.profile].tick_seconds if self.tick is None else self.tick

    @property
    def ages(self) -> dict[str, float | None]:
        """Every tier's retention in seconds, None for forever."""
        return {**PROFILES[self.profile].retention, **self.retention}


def problems_of(ages: Retention) -> Iterator[str]:
    """What is wrong with a retention: tiers that do not nest, or are kept for less than they need."""
    longest, finer = 0.0, ""
    for tier, seconds in ages.items():
        age = math.inf if seconds is None else seconds
        if age < TIER_SECONDS[tier]:
            yield f"{tier} is kept for {in_words(seconds)}, less than one of its own steps"
        elif age < LEAST_SECONDS.get(tier, 0.0):
            least = in_words(LEAST_SECONDS[tier])
            yield f"{tier} is kept for {in_words(seconds)}, and roll-ups out of it need {least}"
        if age < longest:
            kept = in_words(None if longest == math.inf else longest)
            yield f"{tier} is kept for {in_words(seconds)}, and the finer {finer} longer: {kept}"
        if age > longest:
            longest, finer = age, tier
