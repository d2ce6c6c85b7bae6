"""Clocks that go back, jump and stand apart; and an hour without a poll."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sbpgmon.model import GAP, UNKNOWN
from tests.chaos.server import Victim
from tests.chaos.world import NOTHING, Store, World

HOUR = timedelta(hours=1)
LITTLE = timedelta(seconds=30)


@pytest.mark.parametrize(("agent", "target"), [(-LITTLE, -LITTLE), (-LITTLE, NOTHING)], ids=["both", "agent"])
def test_a_clock_that_goes_back_a_little(world: World, agent: timedelta, target: timedelta) -> None:
    """Waited out: what was read meanwhile is not taken, and nothing is lost."""
    key = world.work(1, 2)
    world.snapshot()
    for calls in (3, 4):
        world.work(1, calls)
        seen = world.snapshot(agent=agent, target=target)
        assert set(seen.rejected) >= {"stat_statements", "stat_database"}
        assert seen.status["stat_statements"] == "error"
        assert seen.statements == {}
    world.work(1, 5)
    seen = world.snapshot()
    assert (seen.statements[key].is_exact, seen.statements[key]["calls"]) == (True, 12)
    # The interval says less than what passed: charts break the line.
    assert seen.statements[key].quality == seen.quality["stat_statements"] == GAP
    world.work(1, 1)
    assert world.snapshot().statements[key].quality == 0


def test_the_agents_clock_goes_back_an_hour(world: World) -> None:
    """Too long to wait: it begins anew, and says so."""
    key = world.work(1, 2)
    world.snapshot()
    world.work(1, 3)
    world.lag = HOUR
    assert world.snapshot().quality["stat_statements"] == UNKNOWN
    world.work(1, 4)
    row = world.snapshot().statements[key]
    assert (row.quality, row["calls"]) == (0, 4)


def test_the_agents_clock_jumps_ahead_and_returns(world: World) -> None:
    key = world.work(1, 2)
    world.snapshot()
    world.work(1, 3)
    row = world.snapshot(agent=HOUR).statements[key]
    assert (row.quality, row["calls"]) == (GAP, 3)
    world.work(1, 4)
    assert world.snapshot().quality["stat_statements"] == UNKNOWN
    world.work(1, 5)
    assert world.snapshot().statements[key]["calls"] == 5


@pytest.mark.parametrize("hours", [-1, 1])
def test_the_targets_clock_is_an_hour_off(world: World, hours: int) -> None:
    """The agent's is taken, and the skew is in the log; for a while, and back again."""
    key = world.work(1, 2)
    world.snapshot()
    for calls, skew in ((3, hours), (4, hours), (5, 0), (6, 0)):
        world.work(1, calls)
        seen = world.snapshot(target=skew * HOUR)
        assert (seen.statements[key].is_exact, seen.statements[key]["calls"]) == (True, calls)
        assert 0 < (seen.interval["stat_statements"] or 0) < 60
        query = "SELECT skew_seconds FROM monitoring.snapshot WHERE target = %s AND metric = %s ORDER BY time DESC"
        [(shown,), *_] = world.ask(query, world.name, "stat_statements")
        assert round(shown / 3600) == skew


def test_a_reset_while_the_targets_clock_is_ahead(world: World) -> None:
    """By the target's clock the reset lies before the interval: then it tells nothing."""
    key = world.work(1, 20)
    world.snapshot(target=HOUR)
    world.work(1, 3)
    world.reset_statements()
    world.work(1, 40)
    row = world.snapshot().statements[key]
    assert (row.quality & UNKNOWN, row["calls"]) == (UNKNOWN, None)
    world.work(1, 2)
    assert world.snapshot().statements[key].quality == 0


def test_an_hour_without_a_poll(victim: Victim, store: Store) -> None:
    world = World(victim, store, lag=2 * HOUR)
    key = world.work(1, 2)
    world.snapshot()
    world.work(1, 30)
    new = world.work(2, 8)
    world.roll_back(2)
    world.lag = HOUR
    seen = world.snapshot()
    assert (seen.statements[key].quality, seen.statements[key]["calls"]) == (GAP, 30)
    assert (seen.statements[new].quality, seen.statements[new]["calls"]) == (GAP, 8)
    assert seen.databases[key.dbid].quality == GAP
    assert round(seen.interval["stat_statements"] or 0) >= 3600
    world.work(1, 3)
    assert world.snapshot().statements[key].quality == 0


def test_a_crash_within_an_hour_without_a_poll(victim: Victim, store: Store) -> None:
    world = World(victim, store, lag=2 * HOUR)
    key = world.work(1, 2)
    world.snapshot()
    world.work(1, 3)
    victim.kill_backend()
    world.work(1, 30)
    world.lag = HOUR
    row = world.snapshot().statements[key]
    assert row.quality & GAP
    assert not row.is_exact
    assert row["calls"] == 30
