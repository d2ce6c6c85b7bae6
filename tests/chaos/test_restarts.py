"""The server goes away and comes back, in every way it can."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sbpgmon.model import PARTIAL
from tests.chaos.server import Victim
from tests.chaos.world import World

DEATHS: dict[str, Callable[[Victim], None]] = {
    "restart": Victim.restart,
    "immediate": Victim.stop_at_once_and_start,
    "backend": Victim.kill_backend,
    "postmaster": Victim.kill_postmaster,
}
KEPT = ("restart", "immediate")  # pg_stat_statements is written at the end
LOST = ("backend", "postmaster")


def test_nothing_happens(world: World) -> None:
    for calls in (3, 5, 1):
        key = world.work(1, calls, rows=4)
        world.roll_back(2)
        seen = world.snapshot()
        assert seen.statements[key].is_exact
        assert seen.databases[key.dbid].is_exact
        assert set(seen.quality.values()) <= {0, None}
    idle = world.snapshot()
    assert key not in idle.statements
    assert idle.databases[key.dbid]["xact_commit"] == 0


@pytest.mark.parametrize("death", DEATHS)
def test_less_work_than_before(world: World, death: str) -> None:
    """The counters fell, where they were lost: what they are now was counted since."""
    key = world.work(1, 20, rows=3)
    world.snapshot()
    world.work(1, 5, rows=3)
    DEATHS[death](world.server)
    world.work(1, 2, rows=3)
    seen = world.snapshot()
    assert seen.quality["stat_statements"] == seen.quality["stat_database"] == PARTIAL
    row = seen.statements[key]
    assert (row.quality, row["calls"]) == (PARTIAL, 7 if death in KEPT else 2)
    database = seen.databases[key.dbid]
    # A clean stop alone writes the statistics of the databases.
    assert (database.quality, database["xact_commit"]) == (PARTIAL, 11 if death == "restart" else 4)
    world.work(1, 6)
    after = world.snapshot()
    assert after.statements[key].is_exact
    assert after.databases[key.dbid].is_exact


@pytest.mark.parametrize("death", DEATHS)
def test_more_work_than_before(world: World, death: str) -> None:
    """No counter fell: a difference that only a mark can save."""
    key = world.work(1, 1)
    world.snapshot()
    world.work(1, 2)
    DEATHS[death](world.server)
    world.work(1, 30, rows=5)
    world.roll_back(3)
    seen = world.snapshot()
    assert seen.statements[key].quality == seen.databases[key.dbid].quality == PARTIAL
    assert seen.statements[key]["calls"] == (32 if death in KEPT else 30)
    world.work(1, 6)
    after = world.snapshot()
    assert after.statements[key].is_exact
    assert after.databases[key.dbid].is_exact


@pytest.mark.parametrize("death", LOST)
def test_what_began_before_and_after(world: World, death: str) -> None:
    """A statement and a database that no snapshot has seen ran on both sides."""
    other = world.create_database()
    key = world.work(2, 4, database=other)
    DEATHS[death](world.server)
    world.work(2, 3, database=other)
    seen = world.snapshot()
    assert (seen.statements[key].quality, seen.statements[key]["calls"]) == (PARTIAL, 3)
    assert seen.databases[key.dbid].quality == PARTIAL


@pytest.mark.parametrize("death", LOST)
def test_what_ran_only_before(world: World, death: str) -> None:
    known = world.work(1, 4)
    world.snapshot()
    world.work(1, 2)
    new = world.work(2, 2)
    DEATHS[death](world.server)
    seen = world.snapshot()
    assert known not in seen.statements
    assert new not in seen.statements
    assert seen.quality["stat_statements"] == PARTIAL
    # What comes back is new.
    world.work(1, 3)
    assert world.snapshot().statements[known]["calls"] == 3


def test_two_deaths_in_one_interval(world: World) -> None:
    key = world.work(1, 1)
    world.snapshot()
    for death in ("backend", "restart", "postmaster", "immediate"):
        world.work(1, 2)
        DEATHS[death](world.server)
    world.work(1, 2)
    row = world.snapshot().statements[key]
    assert (row.quality, row["calls"]) == (PARTIAL, 4)


def test_a_snapshot_fails_between_a_death_and_the_next(world: World) -> None:
    key = world.work(1, 1)
    world.snapshot()
    world.work(1, 2)
    world.server.kill_backend()
    world.work(1, 9)
    world.failed_snapshot()
    world.work(1, 9)
    row = world.snapshot().statements[key]
    assert (row.quality, row["calls"]) == (PARTIAL, 18)


def test_a_target_that_is_down(world: World) -> None:
    """Failed snapshots leave no figure; the next good one has it all."""
    key = world.work(1, 1)
    world.snapshot()
    world.work(1, 2)
    for _ in range(3):
        world.failed_snapshot()
        world.work(1, 2)
    new = world.work(2, 5)
    seen = world.snapshot()
    assert seen.statements[key].is_exact
    assert seen.statements[key]["calls"] == 8
    assert (seen.statements[new].is_exact, seen.statements[new]["calls"]) == (True, 5)
