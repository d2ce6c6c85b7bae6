"""The forecast of the store's size."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbpgmon.present.forecast import Growth, forecast

DAY = 86400.0


def _growth(
    total: float, per_day: float | None, age_days: float, kept_days: float | None, period_days: float = 0.0
) -> Growth:
    return Growth(total, per_day, age_days * DAY, None if kept_days is None else kept_days * DAY, period_days * DAY)


def test_a_tier_grows_until_it_is_full() -> None:
    growth = _growth(100, 50, 2, 7, 1)
    assert [growth.bytes_in(days) for days in (0, 1, 6, 7, 365)] == [100, 150, 400, 400, 400]
    assert growth.full_bytes == 400


def test_what_is_kept_forever_grows_forever() -> None:
    growth = _growth(100, 50, 2, None)
    assert (growth.full_bytes, growth.bytes_in(365)) == (None, 100 + 365 * 50)


def test_a_tier_of_which_nothing_is_known_stays() -> None:
    for rate in (None, 0.0):
        for kept in (7, None):
            growth = _growth(100, rate, 2, kept)
            assert (growth.full_bytes, growth.bytes_in(365)) == (100, 100)


def test_what_was_kept_for_longer_goes() -> None:
    assert _growth(1000, 100, 10, 3).bytes_in(1) == 300


def test_the_whole() -> None:
    found = forecast([_growth(100, 50, 2, 7), _growth(10, 1, 1, None), _growth(5, None, 0, 7)], 1000)
    assert found.in_30_days_bytes == 1000 + 350 + 40 + 5
    assert found.in_a_year_bytes == 1000 + 350 + 375 + 5
    assert (found.steady_bytes, found.forever_bytes_per_day) == (1000 + 350 + 5, 1)
    assert found.full_in_days == 5


def test_nothing_at_all() -> None:
    found = forecast([], 7)
    assert (found.in_a_year_bytes, found.steady_bytes, found.full_in_days) == (7, 7, 0)


@given(
    st.floats(0, 1e15), st.none() | st.floats(0, 1e12), st.floats(0, 1e4), st.none() | st.floats(0.1, 1e4),
    st.floats(0, 400), st.floats(0, 1e4), st.floats(0, 1e4),
)  # fmt: skip
def test_sizes_are_sizes(
    total: float, rate: float | None, age: float, kept: float | None, period: float, some: float, more: float
) -> None:
    growth = _growth(total, rate, age, kept, period)
    first, then = growth.bytes_in(some), growth.bytes_in(some + more)
    assert first >= 0
    assert math.isfinite(first)
    if growth.full_seconds >= growth.age_seconds:
        assert then >= first * (1 - 1e-9)
    if growth.full_bytes is not None and some * DAY > growth.full_seconds:
        assert first == pytest.approx(growth.full_bytes)
