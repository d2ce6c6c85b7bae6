"""The application as a group that cannot log in: what binds the group may not bind the logins in it."""

from __future__ import annotations

import pytest

from tests.isolation.world import NearMiss, Plant, World, assert_found

READ = "SET app.tenant_id = '{acme}'; SELECT * FROM app.bets WHERE tenant_id = '{beta}'"
GROUP = (
    "CREATE ROLE service_{suffix} NOLOGIN; GRANT service_{suffix} TO {app}; GRANT USAGE ON SCHEMA app TO "
    "service_{suffix}; GRANT SELECT ON app.bets TO service_{suffix}; "
)
OF_GROUP = {"roles": {"app": ["service_{suffix}"], "admin": ["{admin}"]}}

PLANTS = [
    Plant(
        check="rls_app_role_bypass",
        name="a login in the group has BYPASSRLS",
        sql=GROUP + "ALTER ROLE {app} BYPASSRLS",
        object="{app}",
        role="{app}",
        severity="P0",
        proof=READ,
        tenancy=OF_GROUP,
    ),
    Plant(
        check="rls_app_role_bypass",
        name="a login in the group can become a role that has",
        sql=GROUP + "CREATE ROLE team_{suffix} NOLOGIN; GRANT {admin} TO team_{suffix}; GRANT team_{suffix} TO {app}",
        object="{admin}",
        role="{app}",
        proof="SET ROLE {admin}; " + READ,
        tenancy=OF_GROUP,
    ),
]
NEAR_MISSES = [
    NearMiss(
        check="rls_app_role_bypass",
        name="an operator is in the group",
        sql=GROUP + "GRANT service_{suffix} TO {admin}",
        tenancy=OF_GROUP,
    ),
    NearMiss(
        check="rls_app_role_bypass",
        name="the application is a login, and another that has BYPASSRLS can become it",
        sql="ALTER ROLE {report} BYPASSRLS; GRANT {app} TO {report}",
    ),
]


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_a_hole_is_found(pool: World, plant: Plant) -> None:
    assert_found(pool, plant)


@pytest.mark.parametrize("near", NEAR_MISSES, ids=lambda near: near.name)
def test_a_near_miss_is_none(pool: World, near: NearMiss) -> None:
    pool.run(near.sql)
    assert not pool.findings(near.check, near.tenancy)
