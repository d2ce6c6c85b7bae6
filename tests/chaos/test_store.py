"""The store crashes, and with it goes what the next difference needs."""

from __future__ import annotations

from sbpgmon.model import PARTIAL, UNKNOWN
from tests.chaos.world import World


def test_a_crash_of_the_store(world: World) -> None:
    """The last counters are rebuilt from the state folder, and nothing is lost."""
    key = world.work(1, 2)
    world.snapshot()
    world.work(1, 3)
    new = world.work(2, 4)
    world.store.crash()
    seen = world.snapshot()
    assert (seen.statements[key].quality, seen.statements[key]["calls"]) == (0, 3)
    assert (seen.statements[new].quality, seen.statements[new]["calls"]) == (0, 4)
    assert seen.databases[key.dbid].quality == 0


def test_a_crash_of_both(world: World) -> None:
    key = world.work(1, 2)
    world.snapshot()
    world.work(1, 3)
    world.store.crash()
    world.server.kill_backend()
    world.work(1, 4)
    row = world.snapshot().statements[key]
    assert (row.quality, row["calls"]) == (PARTIAL, 4)


def test_a_crash_of_the_store_without_the_state_folder(world: World) -> None:
    key = world.work(1, 2)
    world.snapshot()
    world.work(1, 3)
    world.store.crash()
    world.store.forget(world.name)
    seen = world.snapshot()
    assert seen.quality["stat_statements"] == seen.quality["stat_database"] == UNKNOWN
    assert seen.databases[key.dbid]["xact_commit"] is None
    world.work(1, 4)
    row = world.snapshot().statements[key]
    assert (row.quality, row["calls"]) == (0, 4)


def test_what_was_read_before_is_not_taken_for_the_last(world: World) -> None:
    """The state folder holds another snapshot than the store: it is no base for a difference."""
    key = world.work(1, 2)
    world.snapshot()
    kept = {path: path.read_bytes() for path in (world.store.folder / "last" / world.name).iterdir()}
    world.work(1, 3)
    world.snapshot()
    for path, content in kept.items():
        path.write_bytes(content)
    world.work(1, 4)
    world.store.crash()
    seen = world.snapshot()
    assert seen.quality["stat_statements"] == UNKNOWN
    assert key not in seen.statements
