"""Any sequence of work, snapshots and events: no figure is wrong without a mark, and no mark stays.

The sequences are the same in every run; SBPGMON_CHAOS_SEED takes others.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.chaos.conftest import IS_FULL
from tests.chaos.ledger import Statement
from tests.chaos.server import Victim
from tests.chaos.world import USERS, Store, World

Step = tuple[str, Any]
NUMBERS = st.integers(1, 4)

WORK = st.tuples(st.just("work"), st.tuples(NUMBERS, st.sampled_from([1, 2, 9, 30]), st.integers(1, 4), st.booleans()))
EVENTS = st.one_of(
    st.tuples(
        st.sampled_from(
            ["restart", "immediate", "backend", "postmaster", "reset_database", "reset_table", "reset_statements",
             "recreate", "roll_back", "gap", "back", "far_back", "skew", "failed",
             "store_crash", "store_forgets"]
        ),
        st.none(),
    ),
    st.tuples(st.sampled_from(["reset_statement", "evict", "evict"]), NUMBERS),
)  # fmt: skip
# What makes a round of interest: the same work before and after an event, whatever else there is.
ROUNDS = st.tuples(
    st.lists(WORK, max_size=2),
    WORK,
    st.lists(EVENTS, max_size=2),
    st.booleans(),
    st.lists(st.one_of(WORK, EVENTS), max_size=2),
)


def _steps(rounds: list[tuple[list[Step], Step, list[Step], bool, list[Step]]]) -> list[Step]:
    steps: list[Step] = []
    for before, work, events, is_repeated, after in rounds:
        steps += [*before, work, *events, *([work] if is_repeated else []), *after, ("snapshot", None)]
    return steps


STEPS = st.lists(ROUNDS, min_size=1, max_size=4).map(_steps)


def _key(world: World, number: int) -> Statement:
    userid = world.server.value("SELECT oid FROM pg_roles WHERE rolname = %s", world.user)
    return Statement(world.ledger.databases[world.database], userid, world.server.ids[number])


def _work(world: World, what: tuple[int, int, int, bool]) -> None:
    number, calls, rows, is_superuser = what
    world.work(number, calls, rows=rows, user=USERS[0] if is_superuser else USERS[1])


def _recreate(world: World, _: object) -> None:
    world.drop_database(world.database)
    world.create_database(world.database)


def _gap(world: World, _: object) -> None:
    world.lag -= timedelta(hours=1)


def _store_forgets(world: World, _: object) -> None:
    world.store.crash()
    world.store.forget(world.name)


ACTIONS: dict[str, Callable[[World, Any], object]] = {
    "work": _work,
    "snapshot": lambda world, _: world.snapshot(),
    "failed": lambda world, _: world.failed_snapshot(),
    "restart": lambda world, _: world.server.restart(),
    "immediate": lambda world, _: world.server.stop_at_once_and_start(),
    "backend": lambda world, _: world.server.kill_backend(),
    "postmaster": lambda world, _: world.server.kill_postmaster(),
    "reset_database": lambda world, _: world.in_database("SELECT pg_stat_reset()"),
    "reset_table": lambda world, _: world.in_database(
        "SELECT pg_stat_reset_single_table_counters('pg_class'::regclass)"
    ),
    "reset_statements": lambda world, _: world.reset_statements(),
    "reset_statement": lambda world, number: world.reset_statement(_key(world, number)),
    "evict": lambda world, number: world.evict(_key(world, number)),
    "recreate": _recreate,
    "roll_back": lambda world, _: world.roll_back(2),
    "gap": _gap,
    "back": lambda world, _: world.snapshot(agent=timedelta(seconds=-30), target=timedelta(seconds=-30)),
    "far_back": lambda world, _: world.snapshot(agent=timedelta(hours=-1), target=timedelta(hours=-1)),
    "skew": lambda world, _: world.snapshot(target=timedelta(hours=1)),
    "store_crash": lambda world, _: world.store.crash(),
    "store_forgets": _store_forgets,
}


@pytest.mark.timeout(3600)
@seed(int(os.environ.get("SBPGMON_CHAOS_SEED", "1")))
@settings(
    max_examples=60 if IS_FULL else 8,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(steps=STEPS)
def test_any_history(victim: Victim, store: Store, steps: list[Step]) -> None:
    world = World(victim, store, lag=timedelta(hours=24))
    for name, what in steps:
        ACTIONS[name](world, what)
    world.snapshot()
    # Two quiet intervals later everything is known again: a step back of the clock may take the first.
    for _ in range(2):
        key = world.work(1, 3)
        last = world.snapshot()
    assert last.statements[key].is_exact
    assert last.databases[key.dbid].is_exact
    assert (last.quality["stat_statements"], last.quality["stat_database"]) == (0, 0)
    world.drop_database(world.database)
