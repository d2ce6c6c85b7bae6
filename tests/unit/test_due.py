"""Which metrics are due: once in each slot, whatever the clock does to the one who asks."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbpgmon.catalog.catalog import Catalog, load_catalog
from sbpgmon.collect.due import due_metrics, slot_at
from sbpgmon.config import MetricSettings

MIDNIGHT = 1_780_012_800.0
MINUTE = load_catalog().metrics["stat_statements"]
CATALOG = Catalog({MINUTE.name: MINUTE}, {})


def test_cron_with_jitter_serves_every_minute() -> None:
    """A day of cron that starts the agent half a second late, give or take 0.4 s."""
    jitter = random.Random(912)
    starts = [MIDNIGHT + 60 * minute + 0.5 + jitter.uniform(-0.4, 0.4) for minute in range(1440)]
    last: dict[str, int] = {}
    served = 0
    for now in starts:
        for due in due_metrics(CATALOG, {}, last, now):
            last[due.metric.name] = due.slot
            served += 1
    assert served == 1440

    # What the grid replaced: a start that comes a moment early waits for the next minute.
    read_at, counted = -1e9, 0
    for now in starts:
        if now - read_at >= 60:
            read_at, counted = now, counted + 1
    assert 720 <= counted < 1000


@given(st.sampled_from([1.0, 5.0, 15.0, 30.0]), st.sampled_from([1.0, 7.0, 15.0, 20.0, 60.0, 300.0]))
def test_a_tick_makes_no_metric_run_oftener_than_its_interval(tick: float, interval: float) -> None:
    last: dict[str, int] = {}
    read_at = []
    settings = {MINUTE.name: MetricSettings(interval=interval)}
    ticks = [MIDNIGHT + tick * n for n in range(int(3600 / tick))]
    for now in ticks:
        for due in due_metrics(CATALOG, settings, last, now):
            last[due.metric.name] = due.slot
            read_at.append(now)
    slots = [slot_at(now, interval) for now in read_at]
    assert len(slots) == len(set(slots))
    # Nor does it lose one: where it is the shorter of the two it is read at every tick.
    assert read_at == ticks if interval <= tick else slots == sorted({slot_at(now, interval) for now in ticks})


@given(st.floats(0, 1e10), st.floats(1, 1e6))
def test_a_moment_lies_in_its_slot(now: float, interval: float) -> None:
    slot = slot_at(now, interval)
    assert slot * interval <= now * (1 + 1e-12)
    assert now < (slot + 1) * interval * (1 + 1e-12)


@given(st.lists(st.floats(0.001, 300), min_size=1, max_size=100), st.sampled_from([1.0, 15.0, 60.0, 600.0]))
def test_a_slot_is_served_once_and_never_passed_over(steps: list[float], interval: float) -> None:
    now, last = MIDNIGHT, dict[str, int]()
    served: list[int] = []
    asked: list[int] = []
    settings = {MINUTE.name: MetricSettings(interval=interval)}
    for step in steps:
        now += step
        asked.append(slot_at(now, interval))
        for due in due_metrics(CATALOG, settings, last, now):
            last[due.metric.name] = due.slot
            served.append(due.slot)
    assert served == sorted(set(asked))


def test_nothing_is_due_twice_in_a_slot_nor_by_a_clock_that_is_a_little_behind() -> None:
    slot = slot_at(MIDNIGHT, 60)
    assert due_metrics(CATALOG, {}, {MINUTE.name: slot}, MIDNIGHT + 59.9) == []
    assert due_metrics(CATALOG, {}, {MINUTE.name: slot + 1}, MIDNIGHT + 59.9) == []
    assert [due.slot for due in due_metrics(CATALOG, {}, {MINUTE.name: slot}, MIDNIGHT + 60)] == [slot + 1]


@pytest.mark.parametrize(("before", "after"), [(15.0, 60.0), (60.0, 15.0), (600.0, 1.0), (1.0, 3600.0)])
def test_another_interval_is_another_grid(before: float, after: float) -> None:
    last = {MINUTE.name: slot_at(MIDNIGHT, before)}
    settings = {MINUTE.name: MetricSettings(interval=after)}
    due = due_metrics(CATALOG, settings, last, MIDNIGHT + 1)
    assert [(item.slot, item.interval_seconds) for item in due] == [(slot_at(MIDNIGHT + 1, after), after)]
    assert due_metrics(CATALOG, settings, {MINUTE.name: due[0].slot}, MIDNIGHT + 1) == []


def test_a_metric_that_never_ran_is_due_and_one_that_is_off_never() -> None:
    assert [due.metric.name for due in due_metrics(CATALOG, {}, {}, MIDNIGHT)] == [MINUTE.name]
    assert due_metrics(CATALOG, {MINUTE.name: MetricSettings(enabled=False)}, {}, MIDNIGHT) == []
