"""What goes wrong in a fleet: targets that do not answer, metrics that fail, restarts, pauses of the agent itself."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

_REFUSED = "connection to server failed: Connection refused. Is the server running and accepting TCP/IP connections?"
_LOST = "the connection was lost during the poll"
_TIMEOUT = "canceling statement due to statement timeout"
_OTHER = "another server answers: system_identifier 7551234567890123456, and not the one that the history is of"
LONGEST_SECONDS = 2 * 86400  # no outage is as long
_APART = timedelta(hours=3)  # of one target, so that each has an end before the next one begins
_FEW = 10  # targets: of a fleet smaller than that none is down for good


@dataclass(frozen=True, slots=True)
class Outage:
    """[first, until) without good snapshots; on whole minutes, so that each metric's slots agree."""

    place: int  # of the target
    metric: str  # '' for all
    first: datetime
    until: datetime
    status: str  # as in snapshot_log; '' where nobody polled
    error: str = ""
    is_restart: bool = False


def outages(count: int, busy: int, start: datetime, until: datetime, seed: int, metrics: Sequence[str]) -> list[Outage]:
    """All of them, by target and time. `metrics`: those that fail by themselves now and then."""
    found = []
    pauses = list(_moments(random.Random(f"{seed} pause"), start, until, 60.0))
    for place in range(count):
        dice = random.Random(f"{seed} {place}")
        own = [Outage(place, "", at, at + timedelta(minutes=4), "") for at in pauses]
        own += [_unreachable(dice, place, at) for at in _moments(dice, start, until, 30.0)]
        own += [_error(dice, place, at, metrics) for at in _moments(dice, start, until, 40.0)] if metrics else []
        if place % 7 == 3:
            own.append(_down(place, until - timedelta(hours=2 + place % 19), 6 + place % 11))
        if place == 2 and metrics:
            at = _minute(until - timedelta(hours=5, minutes=20))
            own.append(
                Outage(place, "tenant_activity", at, at + timedelta(minutes=12), "skipped", "no tenancy is known")
            )
        if place == busy + 1:
            at = _minute(until - timedelta(days=12))
            own.append(Outage(place, "", at, at + timedelta(minutes=15), "refused", _OTHER))
        if count > _FEW and place == count - 2:
            own.append(_down(place, until - timedelta(minutes=14), 24 * 60))
        found += _spread(own, start)
    return found


def _moments(dice: random.Random, start: datetime, until: datetime, days: float) -> Iterator[datetime]:
    """Some moments, on the average so many days apart; none in the first hour."""
    at = start + timedelta(hours=1)
    while (at := at + timedelta(days=dice.expovariate(1 / days))) < until - timedelta(minutes=30):
        yield _minute(at)


def _minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


def _unreachable(dice: random.Random, place: int, at: datetime) -> Outage:
    if dice.random() < 0.4:
        minutes = timedelta(minutes=dice.randint(1, 2))
        return Outage(place, "", at, at + minutes, "unreachable", _REFUSED, is_restart=True)
    minutes = timedelta(minutes=dice.choice((1, 2, 2, 3, 5, 8, 14, 25, 70)))
    return Outage(place, "", at, at + minutes, "unreachable", dice.choice((_REFUSED, _LOST)))


def _down(place: int, at: datetime, minutes: int) -> Outage:
    return Outage(place, "", _minute(at), _minute(at) + timedelta(minutes=minutes), "unreachable", _REFUSED)


def _error(dice: random.Random, place: int, at: datetime, metrics: Sequence[str]) -> Outage:
    minutes = timedelta(minutes=dice.choice((1, 3, 10, 45)))
    return Outage(place, dice.choice(metrics), at, at + minutes, "error", _TIMEOUT)


def _spread(found: list[Outage], start: datetime) -> list[Outage]:
    """By time, without those that come too soon after another."""
    kept: list[Outage] = []
    for outage in sorted(found, key=lambda each: each.first):
        if outage.first > start and (not kept or outage.first >= kept[-1].until + _APART):
            kept.append(outage)
    return kept


def restarts(found: Sequence[Outage], place: int) -> list[datetime]:
    """When the target's server was back after a restart."""
    return [outage.until for outage in found if outage.place == place and outage.is_restart]


def events(found: Sequence[Outage], place: int, busy: int) -> list[tuple[datetime, str, str]]:
    """What the agent enters of a target: time, kind, detail."""
    told = []
    for outage in found:
        if outage.place == place and outage.status == "refused":
            told.append((outage.first, "identity", outage.error))
            told.append((outage.until, "identity", "the server that the history is of answers again"))
        elif outage.place == place and outage.status == "unreachable" and outage.error == _LOST:
            lost = "stat_database: the last counters were lost with a crash of the store"
            told.append((outage.until, "rebuilt", f"{lost}, and rebuilt from the state folder"))
    if place == busy - 1 and found:
        last = max(outage.until for outage in found if outage.place == place) if told else found[0].until
        words = "the agent's statements took 640 ms a minute, 1.07% of one core's time; the limit is 1.00%"
        told.append((last, "guard", f"intervals are stretched, stat_statements x2: {words}"))
        words = "the agent's statements took 310 ms a minute, 0.52% of one core's time; the limit is 1.00%"
        told.append((last + timedelta(minutes=25), "guard", f"intervals are back to normal: {words}"))
    return sorted(told)
