"""Databases and roles come and go, and their statements stay."""

from __future__ import annotations

import pytest

from sbpgmon.model import PARTIAL
from tests.chaos.server import Victim
from tests.chaos.world import World

UNDATED_MAJOR = 15  # before, a new database has a date of reset, and might have been reset


def test_a_new_database_counts_in_full(world: World) -> None:
    other = world.create_database()
    key = world.work(1, 7, database=other)
    seen = world.snapshot()
    assert seen.databases[key.dbid].is_exact == (world.server.major >= UNDATED_MAJOR)
    assert seen.databases[key.dbid]["xact_commit"] == 9
    assert seen.statements[key].is_exact
    assert (seen.quality["stat_statements"], seen.quality["stat_database"]) == (0, 0)


def test_a_database_that_is_dropped(world: World) -> None:
    other = world.create_database()
    key = world.work(1, 7, database=other)
    world.snapshot()
    world.work(1, 3, database=other)
    world.drop_database(other)
    seen = world.snapshot()
    # Its statements are there, what it counted itself is gone.
    assert (seen.statements[key].is_exact, seen.statements[key]["calls"]) == (True, 3)
    assert key.dbid not in seen.databases
    assert seen.quality["stat_database"] == PARTIAL
    after = world.snapshot()
    assert after.quality["stat_database"] == 0
    # The names are LEFT JOINed: the rows are still there.
    query = "SELECT sum(calls) FROM monitoring.statements WHERE target = %s AND dbid = %s AND queryid = %s"
    assert world.ask(query, world.name, key.dbid, key.queryid) == [(10,)]


@pytest.mark.parametrize("calls", [2, 50])
def test_a_database_that_is_recreated_under_its_name(world: World, calls: int) -> None:
    other = world.create_database()
    old = world.work(1, 10, database=other)
    world.snapshot()
    world.work(1, 4, database=other)
    world.drop_database(other)
    world.create_database(other)
    new = world.work(1, calls, database=other)
    assert new.dbid != old.dbid
    seen = world.snapshot()
    assert seen.databases[new.dbid].is_exact == (world.server.major >= UNDATED_MAJOR)
    assert seen.databases[new.dbid]["xact_commit"] == calls + 2
    assert seen.statements[old]["calls"] == 4
    assert seen.statements[new]["calls"] == calls
    assert seen.quality["stat_database"] == PARTIAL
    query = "SELECT sum(xact_commit) FROM monitoring.stat_database WHERE target = %s AND datname = %s AND datid = %s"
    assert world.ask(query, world.name, other, new.dbid) == [(calls + 2,)]


def test_a_database_that_is_recreated_with_its_oid(world: World) -> None:
    """What cannot be had: pg_stat_database tells nothing but the OID, which only pg_upgrade chooses (15 on).

    Where every counter grew beyond what the old one had, the figure is a lower bound without a mark.
    """
    if world.server.major < 15:
        pytest.skip("an OID cannot be chosen before 15")
    other = world.create_database()
    old = world.work(1, 2, database=other)
    world.snapshot()
    world.drop_database(other)
    with world.server.session() as admin:
        admin.execute(f"CREATE DATABASE {other} OID = {old.dbid}".encode())
    with world.server.session(other) as session:
        for _ in range(50):
            session.execute("SELECT count(*) FROM pg_class")
    with world.server.session(other) as session:
        session.execute("SELECT count(*) FROM pg_class")
    world.server.settle(other)
    database = world.snapshot().databases[old.dbid]
    counted = 50 + 1 + 2
    assert database.quality == 0 or database["xact_commit"] == counted
    assert (database["xact_commit"] or 0) in (counted - 4, counted)


def test_a_role_that_is_dropped(world: World) -> None:
    name = world.create_role()
    key = world.work(1, 7, user=name)
    world.snapshot()
    world.work(1, 3, user=name)
    with world.server.session() as admin:
        admin.execute(f"DROP ROLE {name}".encode())
    assert world.snapshot().statements[key].is_exact
    query = "SELECT sum(calls) FROM monitoring.statements WHERE target = %s AND userid = %s AND queryid = %s"
    assert world.ask(query, world.name, key.userid, key.queryid) == [(10,)]
    with world.server.session() as admin:
        admin.execute(f"CREATE ROLE {name} LOGIN".encode())
    new = world.work(1, 5, user=name)
    row = world.snapshot().statements[new]
    assert new.userid != key.userid
    assert (row.is_exact, row["calls"]) == (True, 5)


def test_users_and_databases_are_told_apart(world: World) -> None:
    other = world.create_database()
    expected = {}
    for number, (database, user) in enumerate(
        [(world.database, "postgres"), (world.database, world.user), (other, "postgres"), (other, world.user)], start=1
    ):
        expected[world.work(1, number, rows=number, database=database, user=user)] = (number, number * number)
    seen = world.snapshot()
    assert {key: (row["calls"], row["rows"]) for key, row in seen.statements.items() if key in expected} == expected


def test_deadlocks(world: World) -> None:
    world.deadlock()
    datid = world.ledger.databases[world.database]
    assert world.snapshot().databases[datid]["deadlocks"] == 1
    assert world.snapshot().databases[datid]["deadlocks"] == 0
    world.deadlock()
    Victim.kill_backend(world.server)
    world.deadlock()
    database = world.snapshot().databases[datid]
    # One before the crash, which took it, one after it.
    assert (database.quality, database["deadlocks"]) == (PARTIAL, 1 if database["xact_rollback"] == 1 else 0)
    shown = "SELECT sum(deadlocks) FROM monitoring.deadlocks WHERE target = %s AND datname = %s"
    assert world.ask(shown, world.name, world.database) == [(1 + (database["deadlocks"] or 0),)]
