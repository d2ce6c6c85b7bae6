"""Row level security that is off."""

from __future__ import annotations

import pytest

from tests.isolation.world import NearMiss, Plant, World, assert_found

PLANTS = [
    Plant(
        check="rls_disabled",
        name="a table whose row level security was switched off",
        sql="ALTER TABLE app.bets DISABLE ROW LEVEL SECURITY",
        object="app.bets",
        role="{app}",
        severity="P0",
        proof="SET app.tenant_id = '{acme}'; SELECT * FROM app.bets WHERE tenant_id = '{beta}'",
    ),
]
NEAR_MISSES = [
    NearMiss(
        check="rls_disabled",
        name="a table that the application cannot touch",
        sql="CREATE TABLE app.archive (tenant_id uuid NOT NULL, what text)",
    ),
]


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_a_hole_is_found(pool: World, plant: Plant) -> None:
    if pool.major < plant.min_major:
        pytest.skip(f"new in {plant.min_major}")
    assert_found(pool, plant)


@pytest.mark.parametrize("near", NEAR_MISSES, ids=lambda near: near.name)
def test_a_near_miss_is_none(pool: World, near: NearMiss) -> None:
    if pool.major < near.min_major:
        pytest.skip(f"new in {near.min_major}")
    pool.run(near.sql)
    assert not pool.findings(near.check, near.tenancy)
