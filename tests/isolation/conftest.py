"""Clean databases, each test's own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.isolation.world import World


@pytest.fixture
def pool(make_world: Callable[[str], World]) -> World:
    """Shared tables with row level security."""
    return make_world("pool")


@pytest.fixture
def payroll(make_world: Callable[[str], World]) -> World:
    """Shared tables again, of another style: much in it looks like a hole, and is none."""
    return make_world("payroll")


@pytest.fixture
def schemas(make_world: Callable[[str], World]) -> World:
    """A schema for each tenant."""
    return make_world("schemas")


@pytest.fixture
def databases(make_world: Callable[[str], World]) -> World:
    """A database for each tenant."""
    return make_world("databases")
