"""Policies that name tenants, or call functions that know of nobody: what they show does not depend on who asks."""

from __future__ import annotations

import pytest

from tests.isolation.world import NearMiss, Plant, World, assert_found

READ = "SET app.tenant_id = '{acme}'; SELECT * FROM app.bets WHERE tenant_id = '{beta}'"
DEMO = "CREATE POLICY demo ON app.bets FOR SELECT TO {app} USING (tenant_id = '{beta}')"

PLANTS = [
    Plant(
        check="rls_policy_ignores_tenant_key",
        name="one tenant's rows, shown to all",
        sql=DEMO,
        object="app.bets",
        role="{app}",
        severity="P0",
        proof=READ,
    ),
    Plant(
        check="rls_policy_or_combination",
        name="one tenant's rows, shown to all",
        sql=DEMO,
        object="app.bets",
        role="{app}",
        proof=READ,
    ),
    Plant(
        check="rls_policy_ignores_tenant_key",
        name="a list of tenants, whoever asks",
        sql="ALTER POLICY tenant_isolation ON app.bets USING (tenant_id IN ('{acme}', '{beta}'))",
        object="app.bets",
        role="{app}",
        severity="P0",
        proof=READ,
    ),
    Plant(
        check="rls_policy_ignores_tenant_key",
        name="a function of the row that knows of nobody",
        sql="CREATE FUNCTION app.is_worth(b app.bets) RETURNS boolean LANGUAGE sql AS 'SELECT b.stake > 1'; "
        "ALTER POLICY tenant_isolation ON app.bets USING (app.is_worth(bets))",
        object="app.bets",
        role="{app}",
        severity="P0",
        proof=READ,
    ),
    Plant(
        check="rls_policy_ignores_tenant_key",
        name="a function that is given the key and does nothing with it",
        sql="CREATE FUNCTION app.may_see(t uuid) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN true; END'; "
        "ALTER POLICY tenant_isolation ON app.bets USING (app.may_see(tenant_id))",
        object="app.bets",
        role="{app}",
        severity="P0",
        proof=READ,
    ),
]
NEAR_MISSES = [
    NearMiss(
        check="rls_policy_ignores_tenant_key",
        name="one tenant's rows, for the role of that tenant",
        sql="CREATE ROLE beta_{suffix} LOGIN; GRANT USAGE ON SCHEMA app TO beta_{suffix}; "
        "GRANT SELECT ON app.bets TO beta_{suffix}; "
        "CREATE POLICY beta ON app.bets TO beta_{suffix} USING (tenant_id = '{beta}')",
        tenancy={"roles": {"app": ["{app}", "beta_{suffix}"], "admin": ["{admin}"]}},
    ),
    NearMiss(
        check="rls_policy_ignores_tenant_key",
        name="one tenant's rows, where a restrictive policy holds the key against the context",
        sql=DEMO + "; CREATE POLICY own ON app.bets AS RESTRICTIVE "
        "USING (tenant_id = current_setting('app.tenant_id')::uuid)",
    ),
    NearMiss(
        check="rls_policy_ignores_tenant_key",
        name="a function of the row that reads the context",
        sql="CREATE FUNCTION app.is_mine(b app.bets) RETURNS boolean LANGUAGE sql STABLE AS "
        "$$ SELECT b.tenant_id = current_setting('app.tenant_id')::uuid $$; "
        "ALTER POLICY tenant_isolation ON app.bets USING (app.is_mine(bets))",
    ),
    NearMiss(
        check="rls_policy_ignores_tenant_key",
        name="a function that is told who asks",
        sql="CREATE FUNCTION app.is_same(a uuid, b uuid) RETURNS boolean LANGUAGE sql AS 'SELECT a = b'; "
        "ALTER POLICY tenant_isolation ON app.bets "
        "USING (app.is_same(tenant_id, current_setting('app.tenant_id')::uuid))",
    ),
]


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: f"{plant.check}: {plant.name}")
def test_a_hole_is_found(pool: World, plant: Plant) -> None:
    assert_found(pool, plant)


@pytest.mark.parametrize("near", NEAR_MISSES, ids=lambda near: near.name)
def test_a_near_miss_is_none(pool: World, near: NearMiss) -> None:
    pool.run(near.sql)
    assert not pool.findings(near.check, near.tenancy)
