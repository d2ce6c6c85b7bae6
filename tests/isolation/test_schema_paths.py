"""Schemas of a tenant each: where statements that name no schema find their tables."""

from __future__ import annotations

import pytest

from tests.isolation.world import NearMiss, Plant, World, assert_found

PLANTS = [
    Plant(
        check="search_path_crosses_tenants",
        name="a tenant's role that begins in another's schema",
        sql="ALTER ROLE {t_acme_app} IN DATABASE {database} SET search_path = t_beta, common",
        object="{t_acme_app}",
        role="{t_acme_app}",
        severity="P0",
    ),
    Plant(
        check="search_path_crosses_tenants",
        name="another tenant's schema behind the own one, quoted",
        sql="""
            CREATE SCHEMA "t_Delta, Inc";
            ALTER ROLE {t_acme_app} SET search_path = "$user", t_acme, "t_Delta, Inc";
        """,
        object="{t_acme_app}",
        tenancy={"schemas": {"pattern": "^t_(?P<tenant>.+)$", "role": "t_{tenant}_app_{suffix}"}},
    ),
    Plant(
        check="search_path_crosses_tenants",
        name="a database that begins in one tenant's schema",
        sql="""
            ALTER ROLE {t_acme_app} IN DATABASE {database} RESET search_path;
            ALTER DATABASE {database} SET search_path TO t_beta, public;
        """,
        object="{database}",
        role="",
    ),
    Plant(
        check="search_path_crosses_tenants",
        name="a database that does, where every tenant's role has its own path",
        sql="ALTER DATABASE {database} SET search_path TO t_beta, public",
        object="{database}",
        severity="P1",
    ),
    Plant(
        check="search_path_crosses_tenants",
        name="a login of one tenant that begins in another's schema",
        sql="GRANT {t_acme_app} TO {app}; ALTER ROLE {app} SET search_path = t_beta",
        object="{app}",
        severity="P0",
    ),
    Plant(
        check="search_path_crosses_tenants",
        name="a role for all tenants that begins in two schemas",
        sql="ALTER ROLE {app} SET search_path = t_acme, t_beta",
        object="{app}",
        severity="P0",
        tenancy={"roles": {"app": ["{app}"]}},
    ),
    Plant(
        check="search_path_crosses_tenants",
        name="a definer function that works in another tenant's schema",
        sql="""
            CREATE FUNCTION t_acme.names() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER SET search_path = t_beta
              AS 'SELECT name FROM employees';
        """,
        object="t_acme.names()",
        role="{t_acme_app}",
        severity="P0",
        proof="SELECT t_acme.names()",
        as_role="{t_acme_app}",
    ),
    Plant(
        check="search_path_crosses_tenants",
        name="a shared function that works in one tenant's schema",
        sql="""
            CREATE FUNCTION common.names() RETURNS SETOF text LANGUAGE plpgsql SECURITY DEFINER
              SET search_path = pg_catalog, t_beta, pg_temp AS 'BEGIN RETURN QUERY SELECT name FROM employees; END';
        """,
        object="common.names()",
        proof="SELECT common.names()",
        as_role="{t_acme_app}",
    ),
    Plant(
        check="search_path_fallthrough",
        name="a table that is missing here and found in the shared schema",
        sql="""
            CREATE TABLE common.payslips AS TABLE t_beta.payslips;
            GRANT SELECT ON common.payslips TO {t_acme_app};
            DROP TABLE t_acme.payslips CASCADE;
        """,
        object="t_acme.payslips",
        role="{t_acme_app}",
        severity="P1",
        # The row is beta's.
        proof="SELECT * FROM payslips",
        as_role="{t_acme_app}",
    ),
    Plant(
        check="search_path_fallthrough",
        name="a view, with a path that only the application sets",
        sql="""
            ALTER ROLE {t_acme_app} IN DATABASE {database} RESET search_path;
            DROP VIEW t_acme.totals;
            CREATE VIEW public.totals AS SELECT 1 AS employee_id, 2 AS amount;
        """,
        object="t_acme.totals",
    ),
]
NEAR_MISSES = [
    NearMiss(
        check="search_path_crosses_tenants",
        name="paths of the own schema, of shared ones and of operators",
        sql="""
            ALTER ROLE {t_acme_app} SET search_path = "$user", "t_acme", common, public;
            ALTER ROLE {admin} SET search_path = t_acme, t_beta;
            ALTER DATABASE {database} SET search_path = common;
            CREATE FUNCTION t_acme.names() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER
              SET search_path = t_acme, common AS 'SELECT name FROM employees';
        """,
    ),
    NearMiss(
        check="search_path_crosses_tenants",
        name="one name that looks like two",
        sql="ALTER ROLE {t_acme_app} SET search_path = 't_acme, t_beta'",
    ),
    NearMiss(
        check="search_path_crosses_tenants",
        name="a setting for another database",
        sql="ALTER ROLE {t_acme_app} IN DATABASE postgres SET search_path = t_beta",
    ),
    NearMiss(
        check="search_path_fallthrough",
        name="a shared table, and one tenant's own in its place",
        sql="CREATE TABLE t_acme.countries (LIKE common.countries)",
    ),
    NearMiss(
        check="search_path_fallthrough",
        name="a table that is missing, and found in a schema that is not on the path",
        sql="DROP TABLE t_acme.payslips CASCADE; CREATE TABLE public.payslips (id bigint)",
    ),
    NearMiss(
        check="search_path_fallthrough",
        name="the same table in a shared schema, with none missing",
        sql="CREATE TABLE common.payslips (id bigint)",
    ),
]


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: f"{plant.check}: {plant.name}")
def test_a_hole_is_found(schemas: World, plant: Plant) -> None:
    if schemas.major < plant.min_major:
        pytest.skip(f"new in {plant.min_major}")
    assert_found(schemas, plant)


@pytest.mark.parametrize("near", NEAR_MISSES, ids=lambda near: f"{near.check}: {near.name}")
def test_a_near_miss_is_none(schemas: World, near: NearMiss) -> None:
    if schemas.major < near.min_major:
        pytest.skip(f"new in {near.min_major}")
    schemas.run(near.sql)
    assert not schemas.findings(near.check, near.tenancy)
