"""pg_stat_statements is too small: entries are evicted, and come back."""

from __future__ import annotations

from sbpgmon.model import PARTIAL
from tests.chaos.ledger import SINCE_MAJOR
from tests.chaos.world import World


def test_evicted_for_good(world: World) -> None:
    key = world.work(1, 2)
    world.snapshot()
    world.work(1, 1)
    world.evict(key)
    seen = world.snapshot()
    assert key not in seen.statements
    assert seen.quality["stat_statements"] == PARTIAL
    assert world.snapshot().quality["stat_statements"] == 0


def test_evicted_and_back_with_less(world: World) -> None:
    key = world.work(1, 5, rows=2)
    world.snapshot()
    world.work(1, 1)
    world.evict(key)
    world.work(1, 2)
    row = world.snapshot().statements[key]
    assert (row.quality, row["calls"]) == (PARTIAL, 2)


def test_evicted_and_back_with_more(world: World) -> None:
    """No counter fell: before 17 only the count of evictions tells that this may be another entry."""
    key = world.work(1, 2)
    world.snapshot()
    world.work(1, 1)
    world.evict(key)
    world.work(1, 9, rows=7)
    row = world.snapshot().statements[key]
    assert (row.quality, row["calls"]) == (PARTIAL, 9 if world.server.major >= SINCE_MAJOR else 7)


def test_evicted_and_back_after_a_snapshot(world: World) -> None:
    """Absent in a snapshot, so new: it counts in full."""
    key = world.work(1, 2)
    world.snapshot()
    world.evict(key)
    world.snapshot()
    world.work(1, 9)
    row = world.snapshot().statements[key]
    assert (row.is_exact, row["calls"]) == (True, 9)


def test_evicted_while_no_snapshot_succeeds(world: World) -> None:
    key = world.work(1, 2)
    world.snapshot()
    world.work(1, 1)
    world.evict(key)
    world.failed_snapshot()
    world.work(1, 9)
    world.failed_snapshot()
    row = world.snapshot().statements[key]
    assert row.quality == PARTIAL


def test_new_and_evicted_and_back(world: World) -> None:
    """No snapshot saw the first entry: on no version does the second one tell of it."""
    key = world.work(1, 2)
    world.evict(key)
    world.work(1, 3)
    row = world.snapshot().statements[key]
    assert (row.quality, row["calls"]) == (PARTIAL, 3)


def test_new_and_evicted_for_good(world: World) -> None:
    key = world.work(1, 2)
    world.evict(key)
    seen = world.snapshot()
    assert key not in seen.statements
    assert seen.quality["stat_statements"] == PARTIAL


def test_those_that_stayed(world: World) -> None:
    """From 17 on an entry proves that it is the same; before, one that ran in such an interval may be another."""
    key, busy = world.work(1, 2), world.work(2, 60)
    world.snapshot()
    world.work(2, 60)
    world.evict(key)
    row = world.snapshot().statements[busy]
    assert row["calls"] == 60
    assert row.is_exact == (world.server.major >= SINCE_MAJOR)
    # With no more evictions all is as before.
    world.work(2, 5)
    after = world.snapshot()
    assert after.quality["stat_statements"] == 0
    assert after.statements[busy].is_exact


def test_idle_ones_are_not_in_doubt_later(world: World) -> None:
    """An eviction casts doubt on its own interval, not on the next in which the statement runs."""
    key, idle = world.work(1, 2), world.work(2, 60)
    world.snapshot()
    world.evict(key)
    world.snapshot()
    world.snapshot()
    world.work(2, 4)
    row = world.snapshot().statements[idle]
    assert (row.is_exact, row["calls"]) == (True, 4)


def test_evictions_across_a_restart(world: World) -> None:
    key = world.work(1, 2)
    world.snapshot()
    world.evict(key)
    world.server.restart()
    world.work(1, 9)
    assert world.snapshot().statements[key].quality == PARTIAL
    world.work(1, 1)
    assert world.snapshot().statements[key].is_exact


def test_the_evictions_are_counted(world: World) -> None:
    key = world.work(1, 2)
    world.snapshot()
    before = world.server.value("SELECT dealloc FROM pg_stat_statements_info")
    world.evict(key)
    world.snapshot()
    evicted = world.server.value("SELECT dealloc FROM pg_stat_statements_info") - before
    [(stored, quality)] = world.ask(
        "SELECT dealloc, quality FROM monitoring.stat_statements_info WHERE target = %s ORDER BY time DESC LIMIT 1",
        world.name,
    )
    assert evicted > 0
    assert (stored, quality) == (evicted, 0)
