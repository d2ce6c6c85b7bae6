"""The guard: how far intervals are stretched, that they come back, and that they do not flap."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbpgmon.catalog.catalog import Catalog, load_catalog
from sbpgmon.collect.due import due_metrics, intervals_of, slot_at
from sbpgmon.collect.guard import (
    LEAST_SECONDS,
    MAX_FACTOR,
    Guard,
    costs_of,
    decide,
    judge,
    limit_of,
    parse,
    plan,
    render,
)
from sbpgmon.config import MetricSettings
from sbpgmon.model import Weight

NAMES = ("stat_statements", "locks", "connections", "roles")
COSTS = st.dictionaries(st.sampled_from(NAMES), st.floats(0.001, 1e6), max_size=4)
FACTORS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from([2, 4, 8, 16]), max_size=4)
LIMITS = st.floats(0.01, 1e6)
# 1,000 ms a minute on a server whose statements take 5,000: a fifth of its work.
HEAVY = Weight(
    seconds=600,
    all_ms=50_000,
    own_ms=10_000,
    store_ms=0,
    own_calls=100,
    readings={"stat_statements": (10, 8000.0), "locks": (40, 2000.0)},
    waited={},
)
INTERVALS = {"stat_statements": 60.0, "locks": 15.0}


def cost(costs: Mapping[str, float], factors: Mapping[str, int]) -> float:
    return sum(ms / factors.get(name, 1) for name, ms in costs.items())


@given(COSTS, LIMITS)
def test_the_limit_holds_or_all_is_stretched_to_the_end(costs: dict[str, float], limit: float) -> None:
    factors = plan(costs, limit)
    assert factors.keys() == costs.keys()
    assert set(factors.values()) <= {1, 2, 4, 8, 16}
    assert cost(costs, factors) <= limit or set(factors.values()) == {MAX_FACTOR}


@given(COSTS, LIMITS, st.floats(1, 100))
def test_a_lower_limit_never_stretches_less(costs: dict[str, float], limit: float, more: float) -> None:
    strict, loose = plan(costs, limit), plan(costs, limit * more)
    assert all(strict[name] >= loose[name] for name in costs)


@given(COSTS, LIMITS)
def test_no_more_is_stretched_than_is_needed(costs: dict[str, float], limit: float) -> None:
    """The last doubling was needed: without it the limit would not hold, whichever it was."""
    factors = plan(costs, limit)
    if any(factor > 1 for factor in factors.values()):
        spared = [factors | {name: factor // 2} for name, factor in factors.items() if factor > 1]
        assert max(cost(costs, less) for less in spared) > limit


@given(COSTS, LIMITS, FACTORS)
def test_the_limit_holds_from_any_state(costs: dict[str, float], limit: float, before: dict[str, int]) -> None:
    after = decide(costs, limit, before)
    assert cost(costs, after) <= limit or all(after[name] == MAX_FACTOR for name in costs)
    assert decide(costs, limit, after) == after  # and stays


@given(COSTS, LIMITS, FACTORS)
def test_all_returns_to_normal_by_itself(costs: dict[str, float], limit: float, before: dict[str, int]) -> None:
    after = decide(costs, max(limit, 2 * cost(costs, {})), before)
    assert after == {name: factor for name, factor in before.items() if name not in costs}


@given(COSTS, LIMITS, FACTORS, st.lists(st.floats(0.5001, 1), max_size=20))
def test_a_cost_that_wavers_by_less_than_half_does_not_flap(
    costs: dict[str, float], limit: float, before: dict[str, int], waves: list[float]
) -> None:
    seen = [before]
    for wave in waves:
        seen.append(decide({name: ms * wave for name, ms in costs.items()}, limit, seen[-1]))
    for name in NAMES:
        course = [factors.get(name, 1) for factors in seen]
        assert course in (sorted(course), sorted(course, reverse=True)), name


@given(COSTS, LIMITS, st.floats(0.5001, 1))
def test_what_was_just_stretched_stays_when_it_costs_up_to_half_less(
    costs: dict[str, float], limit: float, wave: float
) -> None:
    factors = decide(costs, limit, {})
    assert decide({name: ms * wave for name, ms in costs.items()}, limit, factors) == factors


@given(COSTS, LIMITS, FACTORS)
def test_what_was_not_read_keeps_its_factor(costs: dict[str, float], limit: float, before: dict[str, int]) -> None:
    after = decide(costs, limit, before)
    assert all(after[name] == factor for name, factor in before.items() if name not in costs)


@given(FACTORS)
def test_what_is_said_can_be_read_again(factors: dict[str, int]) -> None:
    assert parse(render(factors)) == factors
    assert parse(f"intervals are stretched, {render(factors)}: what x4 it took") == factors


def test_words_that_are_none_of_ours_say_nothing() -> None:
    assert parse("") == parse("locks x3, locks x160, x2, Locks x2 and more") == {}


# How much is too much


def test_the_limit_is_of_all_statements_time() -> None:
    busy = replace(HEAVY, all_ms=6_000_000.0)  # ten sessions at work
    assert limit_of(busy, 0.01) == pytest.approx(6000)


def test_on_an_idle_server_the_limit_is_of_one_cores_time() -> None:
    assert limit_of(replace(HEAVY, all_ms=1.0), 0.01) == pytest.approx(600)
    light = replace(HEAVY, own_ms=500.0, all_ms=500.0, readings={"stat_statements": (10, 500.0)})
    assert judge(light, INTERVALS, {}, 0.01) == ({}, "")


def test_the_dearest_is_stretched_first_and_it_is_said() -> None:
    factors, words = judge(HEAVY, INTERVALS, {}, 0.01)
    assert factors == {"stat_statements": 2}
    assert words == (
        "intervals are stretched, stat_statements x2: the agent's statements took 1,000 ms a minute, "
        "1.67% of one core's time; the limit is 1.00%"
    )
    assert parse(words) == factors
    # What was measured is the cost of a reading: with the interval stretched it is the same.
    stretched = replace(HEAVY, own_ms=6000.0, readings={"stat_statements": (5, 4000.0), "locks": (40, 2000.0)})
    assert judge(stretched, INTERVALS, factors, 0.01) == (factors, "")


def test_it_is_over_when_half_of_the_limit_is_enough() -> None:
    over = replace(HEAVY, own_ms=2900.0, readings={"stat_statements": (10, 900.0), "locks": (40, 2000.0)})
    factors, words = judge(over, INTERVALS, {"stat_statements": 2}, 0.01)
    assert factors == {}
    assert words.startswith("intervals are back to normal: the agent's statements took 290 ms a minute, 0.48% of")


def test_one_switches_it_off() -> None:
    worst = replace(HEAVY, own_ms=50_000.0, readings={"locks": (40, 50_000.0)})
    assert judge(worst, INTERVALS, {"locks": 4}, 1.0)[0] == {}


@pytest.mark.parametrize("weight", [None, replace(HEAVY, seconds=LEAST_SECONDS - 1)])
def test_where_too_little_is_known_nothing_changes(weight: Weight | None) -> None:
    assert judge(weight, INTERVALS, {"locks": 4}, 0.01) == ({"locks": 4}, "")


def test_what_comes_with_every_reading_and_what_the_store_writes_count_too() -> None:
    weight = replace(HEAVY, own_ms=22_000.0, store_ms=11_000.0, readings={**HEAVY.readings, "probe": (40, 1000.0)})
    costs = costs_of(weight, INTERVALS)
    # 800 ms and 20 ms of the probe a reading, twice over for the store.
    assert costs == pytest.approx({"stat_statements": 2 * 820.0, "locks": 2 * 70.0 * 4})
    assert cost(costs, {}) == pytest.approx(2200.0)


def test_without_names_the_time_that_was_waited_tells_the_dear_from_the_cheap() -> None:
    weight = replace(HEAVY, readings={}, waited={"stat_statements": (10, 900.0), "locks": (40, 100.0)})
    assert costs_of(weight, INTERVALS) == pytest.approx({"stat_statements": 900.0, "locks": 100.0})
    assert costs_of(replace(weight, waited={}), INTERVALS) == {}


# The state


def test_after_a_change_one_reading_more_may_span_the_old_factor() -> None:
    guard = Guard()
    guard.restore("app", "intervals are stretched, locks x8: why")
    assert guard.factors("app") == {"locks": 8}
    assert [guard.spanned("app", "locks") for _ in range(2)] == [8, 8]
    guard.change("app", {"locks": 2})
    assert [guard.spanned("app", "locks") for _ in range(3)] == [8, 2, 2]
    guard.change("app", {"locks": 4})
    assert guard.spanned("app", "locks") == 4
    assert guard.factors("other") == {}


def test_the_window_reaches_over_what_is_stretched() -> None:
    guard = Guard()
    assert guard.window_seconds("app", INTERVALS) == 600
    guard.change("app", {"stat_statements": 16, "gone": 16})
    assert guard.window_seconds("app", INTERVALS) == 2400


def test_cron_and_the_daemon_look_twice_in_a_window() -> None:
    midnight = 1_780_012_800
    minutes = [midnight + 60 * minute + 2.0 for minute in range(30)]
    fresh = [minute for minute in minutes if Guard().is_time("app", minute, INTERVALS)]
    kept = Guard()
    assert fresh == [minute for minute in minutes if kept.is_time("app", minute, INTERVALS)] == minutes[::5]


def test_what_was_said_is_taken_up_once() -> None:
    guard = Guard()
    assert not guard.is_restored("app")
    guard.restore("app", "")
    assert guard.is_restored("app")
    assert not guard.is_restored("other")


# The grid

_CATALOG = load_catalog()
MINUTE = _CATALOG.metrics["stat_statements"]


@given(st.lists(st.tuples(st.floats(0.1, 400), st.sampled_from([1, 2, 4, 8, 16])), min_size=1, max_size=60))
def test_a_stretched_metric_is_read_once_in_a_stretched_slot(steps: list[tuple[float, int]]) -> None:
    """Whatever the factors do meanwhile, no slot of the grid is served twice."""
    now, catalog, last = 1_780_012_800.0, Catalog({MINUTE.name: MINUTE}, {}), dict[str, int]()
    served: list[int] = []
    for step, factor in steps:
        now += step
        for due in due_metrics(catalog, {}, last, now, {MINUTE.name: factor}):
            assert due.interval_seconds == 60 * factor
            assert not served or due.slot // factor > served[-1] // factor
            assert due.slot == slot_at(now, 60)
            last[due.metric.name] = due.slot
            served.append(due.slot)
        assert math.floor(now / 60) // factor == last[MINUTE.name] // factor  # nothing is put off beyond its slot


def test_the_intervals_of_what_is_switched_on() -> None:
    settings = {"locks": MetricSettings(enabled=False), "roles": MetricSettings(interval=7)}
    intervals = intervals_of(_CATALOG, settings)
    # What a query of its own reads, and events, which are counted in windows; not what the store or the probe makes.
    read = {name for name, metric in _CATALOG.metrics.items() if not metric.source or metric.has_deltas}
    assert intervals.keys() == read - {"locks"}
    assert (intervals["roles"], intervals["stat_statements"]) == (7, 60)
