"""The daemon's clock: on the grid, whatever local time does."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from sbpgmon.clock import Clock
from sbpgmon.collect.due import slot_at


@pytest.fixture
def _time_zone() -> Iterator[None]:
    before = os.environ.get("TZ")
    yield
    os.environ.pop("TZ", None)
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


def _run(clock: Clock, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        clock.run_pending()
        time.sleep(max(0.01, min(0.25, clock.idle_seconds)))


@pytest.mark.parametrize("tick_seconds", [1.0, 2.0])
def test_ticks_are_on_the_grid(tick_seconds: float) -> None:
    ticks: list[float] = []
    _run(Clock(tick_seconds, lambda: ticks.append(time.time())), 3.5 * tick_seconds)
    slots = [slot_at(now, tick_seconds) for now in ticks]
    assert slots == list(range(slots[0], slots[0] + len(slots)))
    assert len(slots) in (3, 4)
    # At its beginning, unless the machine was busy.
    assert sorted(now % tick_seconds for now in ticks)[1] < 0.2


def test_the_tick_of_a_start_is_that_of_its_slot() -> None:
    ticks: list[float] = []
    clock = Clock(2.0, lambda: ticks.append(time.time()))
    # Made at the very end of a slot, started at the beginning of the next.
    clock._slot -= 1
    clock.tick_now()
    _run(clock, 3.0)
    slots = [slot_at(now, 2.0) for now in ticks]
    assert slots == sorted(set(slots))


@pytest.mark.usefixtures("_time_zone")
@pytest.mark.parametrize(("before", "after"), [("CEST-2", "CET-1"), ("CET-1", "CEST-2")])
def test_summer_begins_and_ends(before: str, after: str) -> None:
    ticks: list[float] = []
    others: list[float] = []
    os.environ["TZ"] = before
    time.tzset()
    clock = Clock(1.0, lambda: ticks.append(time.time()))
    clock.every(2, lambda: others.append(time.time()))
    _run(clock, 1.2)
    os.environ["TZ"] = after
    time.tzset()
    ticks.clear()
    others.clear()
    _run(clock, 3.5)
    assert len(ticks) in (3, 4)
    assert len(others) in (1, 2, 3)  # the first at once where the clock went on
