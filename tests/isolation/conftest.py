"""Clean databases, each test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.conftest import Server
from tests.isolation.world import World
from tests.sql.lab import scratch


@pytest.fixture
def make_world(cluster: Server) -> Iterator[Callable[[str], World]]:
    """Makes a clean database, `pool` or `schemas`, with roles of its own."""
    made: list[World] = []
    stack = []

    def make(kind: str) -> World:
        context = scratch(cluster)
        stack.append(context)
        made.append(World(context.__enter__(), kind))
        return made[-1]

    yield make
    for context in stack:
        context.__exit__(None, None, None)
    for world in made:
        world.drop_roles()


@pytest.fixture
def pool(make_world: Callable[[str], World]) -> World:
    """Shared tables with row level security."""
    return make_world("pool")


@pytest.fixture
def schemas(make_world: Callable[[str], World]) -> World:
    """A schema for each tenant."""
    return make_world("schemas")
