"""Every moment lies in exactly one partition of each tier."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.model import TIER_SECONDS
from sbpgmon.store.partitions import LOG, PERIOD_DAYS, period, wanted

METRICS = list(load_catalog().metrics.values())
TIMES = st.datetimes(
    datetime(1990, 1, 1),
    datetime(2190, 1, 1),
    timezones=st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
DAYS = st.sampled_from(sorted(set(PERIOD_DAYS.values())))


@given(TIMES, DAYS)
def test_a_moment_lies_in_its_partition(time: datetime, days: int) -> None:
    start, end = period(time, days)
    assert start <= time < end
    assert end - start == timedelta(days=days)
    assert start.utcoffset() == timedelta(0)
    assert (start.hour, start.minute, start.second, start.microsecond) == (0, 0, 0, 0)


@given(TIMES, DAYS)
def test_partitions_tile(time: datetime, days: int) -> None:
    start, end = period(time, days)
    assert period(end, days)[0] == end
    assert period(start, days) == (start, end)
    assert period(start - timedelta(microseconds=1), days)[1] == start
    assert period(end - timedelta(microseconds=1), days) == (start, end)


@given(TIMES, TIMES, DAYS)
def test_two_moments_share_a_partition_or_theirs_do_not_meet(one: datetime, other: datetime, days: int) -> None:
    first, second = sorted([period(one, days), period(other, days)])
    assert first == second or first[1] <= second[0]


@given(st.lists(TIMES, min_size=1, max_size=5))
def test_what_is_wanted_holds_every_moment_once(times: list[datetime]) -> None:
    found = wanted(METRICS, times)
    parents = {LOG} | {f"{m.name}_{m.tier}" for m in METRICS if m.facts}
    for parent in parents:
        bounds = sorted((start, end) for owner, start, end in found.values() if owner == parent)
        for time in times:
            assert sum(start <= time < end for start, end in bounds) == 1
        for (_, before), (after, _) in itertools.pairwise(bounds):
            assert before <= after
    assert {owner for owner, _, _ in found.values()} == parents


@given(st.lists(TIMES, min_size=1, max_size=5))
def test_names_fit_and_are_distinct(times: list[datetime]) -> None:
    found = wanted(METRICS, times)
    assert all(len(name) <= 63 for name in found)
    assert len({(parent, start) for parent, start, _ in found.values()}) == len(found)


@pytest.mark.parametrize("tier", TIER_SECONDS)
def test_every_tier_has_a_period_that_holds_many_of_its_rows(tier: str) -> None:
    assert PERIOD_DAYS[tier] * 86400 >= 100 * TIER_SECONDS[tier]


def test_a_metric_without_facts_has_no_partition() -> None:
    found = wanted(METRICS, [datetime(2026, 1, 1, tzinfo=UTC)])
    assert not [name for name in found if name.startswith("roles_")]
