"""A target that is rebuilt: another server under the same name, and the same history."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sbpgmon.errors import OtherServerError
from sbpgmon.model import UNKNOWN
from sbpgmon.store.targets import accept
from tests.chaos.server import SETTINGS, Victim
from tests.chaos.world import World


@pytest.fixture
def rebuilt(victim: Victim, world: World, tmp_path: Path) -> Iterator[Victim]:
    """Another server with the names of the first, and counters of its own."""
    with Victim(tmp_path / "rebuilt", bin_dir=victim.bin_dir, settings=SETTINGS) as server:
        server.prepare()
        with server.session() as admin:
            admin.execute(f"CREATE ROLE {world.user} LOGIN".encode())
            admin.execute(f"CREATE DATABASE {world.database}".encode())
        yield server


def test_a_rebuilt_server(world: World, rebuilt: Victim) -> None:
    key = world.work(1, 2)
    world.snapshot()
    world.work(1, 3)
    old, world.server = world.server, rebuilt
    # What the old one did after the last snapshot is lost, and nobody says otherwise.
    for _ in range(2):
        seen = world.snapshot()
        assert isinstance(seen.refusal, OtherServerError)
        assert set(seen.status.values()) == {"refused"}
        assert (seen.statements, seen.databases) == ({}, {})
    with world.store.connection.transaction() as conn:
        accept(conn, world.name)
    world.move()
    world.work(1, 9)
    seen = world.snapshot()
    assert seen.quality["stat_statements"] == seen.quality["stat_database"] == UNKNOWN
    key = world.work(1, 4)
    row = world.snapshot().statements[key]
    assert (row.quality, row["calls"]) == (0, 4)
    # One history: what is known of the old one, and of the new one.
    query = "SELECT sum(calls) FROM monitoring.statements WHERE target = %s AND queryid = %s"
    assert world.ask(query, world.name, key.queryid) == [(2 + 4,)]
    world.server = old
    assert isinstance(world.snapshot().refusal, OtherServerError)
    world.move()


def test_the_old_server_comes_back(world: World, rebuilt: Victim) -> None:
    """Its history goes on as if it had not been reached meanwhile."""
    key = world.work(1, 2)
    world.snapshot()
    world.work(1, 3)
    old, world.server = world.server, rebuilt
    assert world.snapshot().refusal is not None
    world.server = old
    world.work(1, 4)
    row = world.snapshot().statements[key]
    assert (row.quality, row["calls"]) == (0, 7)
