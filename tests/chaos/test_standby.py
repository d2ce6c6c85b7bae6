"""A standby that is promoted, and an address behind which another host answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sbpgmon.model import PARTIAL, UNKNOWN
from tests.chaos.server import Standby, Victim
from tests.chaos.world import Store, World


@pytest.fixture
def standby(victim: Victim, tmp_path: Path) -> Iterator[Standby]:
    with Standby(tmp_path / "standby", victim) as standby:
        standby.catch_up()
        yield standby


@pytest.fixture
def replicated(victim: Victim, world: World, standby: Standby, store: Store) -> World:
    """The standby as a target, with what the primary's world has made."""
    return World(standby, store, database=world.database)


def test_a_promotion(replicated: World, standby: Standby) -> None:
    """Nothing is reset by it; but it might have been."""
    key = replicated.work(1, 5, rows=2)
    assert replicated.snapshot().statements[key].is_exact
    replicated.work(1, 3, rows=2)
    standby.promote()
    replicated.work(1, 4, rows=2)
    seen = replicated.snapshot()
    assert (seen.statements[key].quality, seen.statements[key]["calls"]) == (PARTIAL, 7)
    assert (seen.databases[key.dbid].quality, seen.databases[key.dbid]["xact_commit"]) == (PARTIAL, 11)
    # The control file learns of the new timeline with the next checkpoint.
    with standby.session() as admin:
        admin.execute("CHECKPOINT")
    replicated.snapshot()
    replicated.work(1, 2)
    after = replicated.snapshot()
    assert after.quality["stat_statements"] == 0
    assert after.statements[key].is_exact


def test_a_standby_that_restarts_and_crashes(replicated: World, standby: Standby) -> None:
    key = replicated.work(1, 5)
    replicated.snapshot()
    for calls in (1, 30):
        standby.restart()
        replicated.work(1, calls)
        assert replicated.snapshot().statements[key]["calls"] == calls
        standby.kill_backend()
        replicated.work(1, calls)
        row = replicated.snapshot().statements[key]
        assert (row.quality, row["calls"]) == (PARTIAL, calls)


@pytest.mark.parametrize("is_restarted", [False, True], ids=["running", "restarted"])
def test_another_host_takes_over(world: World, standby: Standby, is_restarted: bool) -> None:
    """The address moves to a standby with counters of its own, which are compared with none of the old host's."""
    key = world.work(1, 5)
    world.snapshot()
    # Its own history, which is not of our target.
    with standby.session(world.database, world.user) as session:
        for _ in range(500):
            session.execute("SELECT 1 FROM generate_series(1, 1)")
    standby.settle(world.database)
    world.snapshot()
    standby.promote()
    with standby.session() as admin:
        admin.execute("CHECKPOINT")
    if is_restarted:
        standby.restart()
    old, world.server = world.server, standby
    seen = world.snapshot()
    assert seen.quality["stat_statements"] == seen.quality["stat_database"] == UNKNOWN
    world.work(1, 3)
    row = world.snapshot().statements[key]
    assert (row.quality, row["calls"]) == (0, 3)
    # And back again.
    world.server = old
    assert world.snapshot().quality["stat_statements"] == UNKNOWN
