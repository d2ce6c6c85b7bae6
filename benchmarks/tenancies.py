"""The tenants of a fleet: which targets have some, who they are, and how uneven they are."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from benchmarks.statements import Spans

METRICS = ("tenant_activity", "tenant_events", "tenant_queries", "tenant_switch", "audit_table")
EVENTS = ("failed_logins", "idor_rejections", "audit_entries")
_TENANTS = (
    "aurora", "bluefin", "cobalt", "delta", "ember", "falcon", "granite", "harbor", "indigo", "juniper", "kestrel",
    "lagoon", "meridian", "nimbus", "onyx", "pioneer", "quartz", "ridge", "sable", "tundra", "umber", "vertex",
    "willow", "xenon", "yonder", "zephyr", "alder", "birch", "cedar", "dune", "estuary", "fjord", "glacier", "heron",
    "isle", "jade", "knoll", "lumen", "mesa", "north",
)  # fmt: skip
_COUNTS = (32, 24, 16, 12, 8)  # of busy targets, by their places
_FEW = 2  # of a quiet target
_EVENT_TENANTS = {"failed_logins": 6, "idor_rejections": 6, "audit_entries": 3}  # to whom it happens
# Share of all events of a kind: how often a second at full load, and how many attempts there are for each.
_A_SECOND = {"failed_logins": (0.05, 18.0), "idor_rejections": (0.004, 0.0), "audit_entries": (12.0, 0.0)}


@dataclass(frozen=True, slots=True)
class Series:
    """One series of a target: its keys, and what its values look like."""

    keys: dict[str, Any]
    size: float = 1.0
    presence: float = 1.0  # share of the polls that have it
    skew: float = 1.0  # how much worse than others: what is read from disk, rolled back, spilled, attempted
    since: datetime | None = None
    surge: Spans = field(default=())  # when it does much more than usual


def has_tenants(place: int, busy: int) -> bool:
    """Busy targets have tenants, and every fifth of the others."""
    return place < busy or place % 5 == 0


def models_of(place: int) -> tuple[str, ...]:
    """How a target keeps its tenants apart; the first one does it in each way that there is."""
    if place == 0:
        return ("rls", "column", "schema", "database")
    return ("schema",) if place % 4 == 3 else ("rls", "column")


def tenants_of(place: int, busy: int, start: datetime, until: datetime) -> list[Series]:
    """The tenants of a target, the largest first. Some came later, some are asleep, and one is noisy at times."""
    count = _COUNTS[place % len(_COUNTS)] if place < busy else _FEW
    dice = random.Random(place)
    names = dice.sample(_TENANTS, count)
    shares = [1 / (rank + 1) ** 0.9 for rank in range(count)]
    noisy = min(count - 1, 2)
    found = []
    for rank, name in enumerate(names):
        size = shares[rank] / sum(shares) * (1 if place < busy else 0.05)
        if rank > 3 and rank % 6 == 5:
            size = 1e-9  # asleep
        since = until - timedelta(days=dice.uniform(2, 330)) if rank > 2 and rank % 4 == 3 else None
        surge = _surges(dice, start, until) if rank == noisy else ()
        found.append(
            Series({"tenant": name}, size, since=None if since is None or since < start else since, surge=surge)
        )
    return found


def _surges(dice: random.Random, start: datetime, until: datetime) -> Spans:
    """Some hours every few days, the last of them today."""
    hour = until.replace(minute=0, second=0)
    found = [(hour - timedelta(hours=6), hour - timedelta(hours=2))]
    while found[-1][0] > start:
        begin = found[-1][0] - timedelta(hours=dice.randint(30, 120))
        found.append((begin, begin + timedelta(hours=dice.randint(1, 5))))
    return tuple(sorted(found))


def series_of(metric: str, place: int, busy: int, start: datetime, until: datetime) -> Iterator[Series]:
    """The series of one of METRICS on a target with tenants; of tenant_queries those come of the verdicts."""
    match metric:
        case "tenant_activity":
            yield from tenants_of(place, busy, start, until)
        case "tenant_switch":
            yield Series({"kind": "cold"}, 9.0)
            yield Series({"kind": "warm"}, 1.0)
        case "audit_table":
            for number in range(3 if place < busy else 1):
                yield Series({"relid": 20000 + number}, (1.0 if place < busy else 0.05) / (number + 1))
        case "tenant_events" if counts_events(place, busy):
            tenants = [t for t in tenants_of(place, busy, start, until) if t.size > 1e-6]
            for event in EVENTS:
                rate, attempts = _A_SECOND[event]
                rate *= 1 if place < busy else 0.1
                # Of no tenant: the row of the window, and logins that name none.
                yield Series({"event": event, "tenant": ""}, rate * 0.02, skew=attempts)
                for rank, tenant in enumerate(tenants[: _EVENT_TENANTS[event]], start=1):
                    surge = _attacks(until) if event != "audit_entries" and rank == 2 else ()
                    yield Series(
                        {"event": event, "tenant": tenant.keys["tenant"]},
                        rate / rank,
                        1.0,
                        attempts,
                        tenant.since,
                        surge,
                    )


def counts_events(place: int, busy: int) -> bool:
    return has_tenants(place, busy) and place < busy + 10


def _attacks(until: datetime) -> Spans:
    """Somebody tries passwords, and other tenants' numbers."""
    return tuple(
        (until - timedelta(days=n, minutes=40), until - timedelta(days=n, minutes=15)) for n in (250, 61, 20, 5, 0)
    )
