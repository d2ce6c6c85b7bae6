"""Every moment lies in exactly one partition of each table, however long these are."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.environment import PROFILES
from sbpgmon.store.partitions import LOG, fixed_parents, metric_parents, period, period_seconds, wanted
from sbpgmon.store.policy import production

METRICS = list(load_catalog().metrics.values())
TIMES = st.datetimes(
    datetime(1990, 1, 1),
    datetime(2190, 1, 1),
    timezones=st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
RETENTIONS = st.one_of(st.none(), st.floats(3600, 20 * 365 * 86400))
PERIODS = RETENTIONS.map(period_seconds)


@given(TIMES, PERIODS)
def test_a_moment_lies_in_its_partition(time: datetime, seconds: float) -> None:
    start, end = period(time, seconds)
    assert start <= time < end
    assert end - start == timedelta(seconds=seconds)
    assert start.utcoffset() == timedelta(0)
    assert (start.minute, start.second, start.microsecond) == (0, 0, 0)


@given(TIMES, PERIODS)
def test_partitions_tile(time: datetime, seconds: float) -> None:
    start, end = period(time, seconds)
    assert period(end, seconds)[0] == end
    assert period(start, seconds) == (start, end)
    assert period(start - timedelta(microseconds=1), seconds)[1] == start
    assert period(end - timedelta(microseconds=1), seconds) == (start, end)


@given(RETENTIONS)
def test_a_retention_has_a_few_partitions(retention: float | None) -> None:
    seconds = period_seconds(retention)
    if retention is None:
        assert seconds == 360 * 86400
    elif retention >= 3 * 3600:
        assert 3 <= retention / seconds < 6 or seconds == 360 * 86400


def test_the_lengths_of_production() -> None:
    hours = {tier: period_seconds(kept) / 3600 for tier, kept in PROFILES["production"].retention.items()}
    assert hours == {"raw": 2, "1m": 48, "5m": 240, "1h": 2160, "1d": 8640}


@given(st.lists(TIMES, min_size=1, max_size=5))
def test_what_is_wanted_holds_every_moment_once(times: list[datetime]) -> None:
    parents = fixed_parents(production(""))
    for metric in METRICS:
        parents |= metric_parents(metric, production(metric.name))
    found = wanted(parents, times)
    assert {p.parent for p in found} == parents.keys()
    assert LOG in parents
    for parent in parents:
        bounds = sorted((p.start, p.end) for p in found if p.parent == parent)
        for time in times:
            assert sum(start <= time < end for start, end in bounds) == 1
        for (_, before), (after, _) in itertools.pairwise(bounds):
            assert before <= after
    assert all(len(p.name) <= 63 for p in found)
    assert len({(p.parent, p.start) for p in found}) == len(found)


def test_a_metric_without_facts_has_no_partition() -> None:
    [roles] = [m for m in METRICS if m.name == "roles"]
    assert metric_parents(roles, production("roles")) == {}
