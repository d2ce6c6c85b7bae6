"""Somebody resets statistics: all of a database, of one table, of all statements, of one."""

from __future__ import annotations

from sbpgmon.model import PARTIAL
from tests.chaos.ledger import SINCE_MAJOR
from tests.chaos.world import World


def test_a_database(world: World) -> None:
    key = world.work(1, 10)
    world.snapshot()
    world.work(1, 3)
    world.in_database("SELECT pg_stat_reset()")
    world.work(1, 2)
    seen = world.snapshot()
    assert (seen.databases[key.dbid].quality, seen.databases[key.dbid]["sessions"]) == (PARTIAL, 1)
    # The statements are another view's business.
    assert seen.statements[key].is_exact
    assert seen.statements[key]["calls"] == 5
    world.work(1, 2)
    assert world.snapshot().databases[key.dbid].is_exact


def test_a_database_that_is_busier_than_ever(world: World) -> None:
    key = world.work(1, 1)
    world.snapshot()
    world.in_database("SELECT pg_stat_reset()")
    for _ in range(6):
        world.work(1, 40, rows=50)
        world.roll_back(2)
    database = world.snapshot().databases[key.dbid]
    assert database.quality == PARTIAL
    assert (database["sessions"] or 0) >= 6


def test_a_database_that_no_snapshot_has_seen(world: World) -> None:
    other = world.create_database()
    key = world.work(1, 5, database=other)
    with world.server.session(other) as session:
        session.execute("SELECT pg_stat_reset()")
    world.server.settle(other)
    world.ledger.counted(other, xact_commit=2, sessions=1)
    world.work(1, 2, database=other)
    assert world.snapshot().databases[key.dbid].quality == PARTIAL


def test_one_table_of_a_database(world: World) -> None:
    """It moves the time of the database's reset, and none of the database's counters."""
    key = world.work(1, 200)
    world.snapshot()
    world.in_database("SELECT pg_stat_reset_single_table_counters('pg_class'::regclass)")
    world.work(1, 3)
    database = world.snapshot().databases[key.dbid]
    assert (database.quality, database["xact_commit"]) == (PARTIAL, 2 + 5)
    world.work(1, 4)
    assert world.snapshot().databases[key.dbid].is_exact


def test_all_statements(world: World) -> None:
    key, gone = world.work(1, 10), world.work(3, 10)
    world.snapshot()
    world.work(1, 4)
    world.work(3, 4)
    world.reset_statements()
    world.work(1, 2)
    seen = world.snapshot()
    assert (seen.statements[key].quality, seen.statements[key]["calls"]) == (PARTIAL, 2)
    assert gone not in seen.statements
    assert seen.quality["stat_statements"] == PARTIAL
    assert seen.databases[key.dbid].is_exact
    world.work(1, 5)
    world.work(3, 5)
    after = world.snapshot()
    assert after.quality["stat_statements"] == 0
    assert after.statements[key].is_exact
    assert after.statements[gone]["calls"] == 5


def test_all_statements_overtaken(world: World) -> None:
    """No counter fell; what is there now was counted since the reset."""
    key = world.work(1, 3)
    world.snapshot()
    world.work(1, 2)
    world.reset_statements()
    world.work(1, 40, rows=9)
    row = world.snapshot().statements[key]
    assert (row.quality, row["calls"]) == (PARTIAL, 40)


def test_all_statements_with_one_that_no_snapshot_has_seen(world: World) -> None:
    world.work(1, 1)
    world.snapshot()
    new, lost = world.work(2, 4), world.work(3, 4)
    world.reset_statements()
    world.work(2, 3)
    seen = world.snapshot()
    assert (seen.statements[new].quality, seen.statements[new]["calls"]) == (PARTIAL, 3)
    assert lost not in seen.statements
    assert seen.quality["stat_statements"] == PARTIAL


def test_all_statements_and_nothing_after(world: World) -> None:
    world.work(1, 1)
    world.snapshot()
    world.work(1, 4)
    world.reset_statements()
    assert world.snapshot().quality["stat_statements"] == PARTIAL
    assert world.snapshot().quality["stat_statements"] == 0


def test_one_statement(world: World) -> None:
    key, other = world.work(1, 10), world.work(2, 10)
    world.snapshot()
    world.work(1, 4)
    world.work(2, 4)
    world.reset_statement(key)
    world.work(1, 2)
    seen = world.snapshot()
    assert (seen.statements[key].quality, seen.statements[key]["calls"]) == (PARTIAL, 2)
    assert seen.statements[other].is_exact


def test_one_statement_that_does_not_come_back(world: World) -> None:
    key = world.work(1, 10)
    world.snapshot()
    world.work(1, 4)
    world.reset_statement(key)
    seen = world.snapshot()
    assert key not in seen.statements
    assert seen.quality["stat_statements"] == PARTIAL
    world.work(1, 3)
    row = world.snapshot().statements[key]
    assert (row.is_exact, row["calls"]) == (True, 3)


def test_one_statement_overtaken(world: World) -> None:
    """What cannot be had before 17: the entry has no start of its own there, and no counter of it fell.

    Nothing else in the catalog tells of it: pg_stat_statements_info keeps its stats_reset and its dealloc, and an
    entry's least and greatest times may go either way with other executions. The figure is a lower bound without a
    mark: too small by what the entry had, and by what it counted between the snapshot and the reset.
    """
    key = world.work(1, 3)
    world.snapshot()
    world.work(1, 2)
    world.reset_statement(key)
    world.work(1, 40, rows=9)
    row = world.snapshot().statements[key]
    assert (row.quality, row["calls"]) == ((PARTIAL, 40) if world.server.major >= SINCE_MAJOR else (0, 37))


def test_one_statement_that_no_snapshot_has_seen(world: World) -> None:
    """What cannot be had on any version: of an entry that came, was reset and came again, only the last is told."""
    key = world.work(1, 3)
    world.reset_statement(key)
    world.work(1, 2)
    row = world.snapshot().statements[key]
    assert (row.quality, row["calls"]) == (0, 2)
