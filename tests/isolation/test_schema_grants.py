"""Schemas of a tenant each: who may enter another tenant's."""

from __future__ import annotations

import pytest

from tests.isolation.world import NearMiss, Plant, World, assert_found

OTHER = "SELECT * FROM t_beta.employees"
PLANTS = [
    Plant(
        check="tenant_role_cross_grant",
        name="a grant on another tenant's table",
        sql="GRANT USAGE ON SCHEMA t_beta TO {t_acme_app}; GRANT SELECT ON t_beta.employees TO {t_acme_app}",
        object="t_beta.employees",
        role="{t_acme_app}",
        severity="P0",
        proof=OTHER,
        as_role="{t_acme_app}",
    ),
    Plant(
        check="tenant_role_cross_grant",
        name="a grant on another tenant's schema",
        sql="GRANT USAGE ON SCHEMA t_beta TO {t_acme_app}",
        object="t_beta",
        role="{t_acme_app}",
    ),
    Plant(
        check="tenant_role_cross_grant",
        name="a grant on one column",
        sql="GRANT USAGE ON SCHEMA t_beta TO {t_acme_app}; GRANT SELECT (name) ON t_beta.employees TO {t_acme_app}",
        object="t_beta.employees",
        role="{t_acme_app}",
        proof="SELECT name FROM t_beta.employees",
        as_role="{t_acme_app}",
    ),
    Plant(
        check="tenant_role_cross_grant",
        name="grants on a definer function and a sequence",
        sql="""
            CREATE FUNCTION t_beta.names() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER
              AS 'SELECT name FROM t_beta.employees';
            CREATE SEQUENCE t_beta.numbers;
            REVOKE EXECUTE ON FUNCTION t_beta.names() FROM PUBLIC;
            GRANT USAGE ON SCHEMA t_beta TO {t_acme_app};
            GRANT EXECUTE ON FUNCTION t_beta.names() TO {t_acme_app};
            GRANT USAGE ON SEQUENCE t_beta.numbers TO {t_acme_app};
        """,
        object="t_beta.names()",
        proof="SELECT nextval('t_beta.numbers'), t_beta.names()",
        as_role="{t_acme_app}",
    ),
    Plant(
        check="tenant_role_cross_grant",
        name="membership in another tenant's role",
        sql="GRANT {t_beta_app} TO {t_acme_app}",
        object="t_beta",
        role="{t_acme_app}",
        severity="P0",
        proof=OTHER,
        as_role="{t_acme_app}",
    ),
    Plant(
        check="tenant_role_cross_grant",
        name="membership by way of a group, for SET ROLE alone",
        sql="""
            CREATE ROLE group_{suffix} NOLOGIN;
            GRANT {t_beta_app} TO group_{suffix};
            ALTER ROLE {t_acme_app} NOINHERIT;
            GRANT group_{suffix} TO {t_acme_app};
        """,
        object="t_beta",
        role="{t_acme_app}",
        proof="SET ROLE {t_beta_app}; SELECT * FROM t_beta.employees",
        as_role="{t_acme_app}",
    ),
    Plant(
        check="tenant_role_cross_grant",
        name="a group of all tenants that was granted one tenant's tables",
        sql="""
            CREATE ROLE group_{suffix} NOLOGIN;
            GRANT group_{suffix} TO {t_acme_app}, {t_beta_app}, {t_gamma_app};
            GRANT USAGE ON SCHEMA t_beta TO group_{suffix};
            GRANT SELECT ON ALL TABLES IN SCHEMA t_beta TO group_{suffix};
        """,
        object="t_beta.payslips",
        role="group_{suffix}",
        proof="SELECT * FROM t_beta.payslips",
        as_role="{t_gamma_app}",
    ),
    Plant(
        check="tenant_role_cross_grant",
        name="membership in the owner",
        sql="GRANT {owner} TO {t_acme_app}",
        object="{owner}",
        role="{t_acme_app}",
        proof=OTHER,
        as_role="{t_acme_app}",
    ),
    Plant(
        check="tenant_role_cross_grant",
        name="a role that may read everything",
        sql="GRANT pg_read_all_data TO {t_acme_app}",
        object="pg_read_all_data",
        role="{t_acme_app}",
        proof=OTHER,
        as_role="{t_acme_app}",
    ),
    Plant(
        check="tenant_role_cross_grant",
        name="a table that belongs to the wrong tenant",
        sql="ALTER TABLE t_beta.employees OWNER TO {t_acme_app}; GRANT USAGE ON SCHEMA t_beta TO {t_acme_app}",
        object="t_beta.employees",
        role="{t_acme_app}",
        proof=OTHER,
        as_role="{t_acme_app}",
    ),
    Plant(
        check="tenant_role_cross_grant",
        name="what will be granted",
        sql="""
            GRANT USAGE ON SCHEMA t_beta TO {t_acme_app};
            ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA t_beta GRANT SELECT ON TABLES TO {t_acme_app};
            SET ROLE {owner};
            CREATE TABLE t_beta.next AS SELECT 1 AS one;
        """,
        object="t_beta",
        role="{t_acme_app}",
        proof="SELECT * FROM t_beta.next",
        as_role="{t_acme_app}",
    ),
    Plant(
        check="public_grant_on_tenant_schema",
        name="a schema and its tables that are open to everybody",
        sql="GRANT USAGE ON SCHEMA t_beta TO PUBLIC; GRANT SELECT ON ALL TABLES IN SCHEMA t_beta TO PUBLIC",
        object="t_beta.employees",
        severity="P0",
        proof=OTHER,
        as_role="{t_acme_app}",
    ),
    Plant(
        check="public_grant_on_tenant_schema",
        name="a schema that is open to everybody",
        sql="""
            CREATE FUNCTION t_beta.names() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER
              AS 'SELECT name FROM t_beta.employees';
            GRANT USAGE ON SCHEMA t_beta TO PUBLIC;
        """,
        object="t_beta",
        role="",
        severity="P0",
        proof="SELECT t_beta.names()",
        as_role="{t_acme_app}",
    ),
    Plant(
        check="public_grant_on_tenant_schema",
        name="a column that everybody may read, in a schema that another tenant may enter",
        sql="GRANT USAGE ON SCHEMA t_beta TO {t_acme_app}; GRANT SELECT (name) ON t_beta.employees TO PUBLIC",
        object="t_beta.employees",
        proof="SELECT name FROM t_beta.employees",
        as_role="{t_acme_app}",
    ),
]
NEAR_MISSES = [
    NearMiss(
        check="tenant_role_cross_grant",
        name="a group of all tenants for what is shared",
        sql="""
            CREATE ROLE group_{suffix} NOLOGIN;
            GRANT USAGE ON SCHEMA common TO group_{suffix};
            GRANT SELECT ON common.countries TO group_{suffix};
            GRANT group_{suffix} TO {t_acme_app}, {t_beta_app}, {t_gamma_app};
        """,
    ),
    NearMiss(
        check="tenant_role_cross_grant",
        name="a table in a schema that cannot be entered",
        sql="GRANT SELECT ON t_beta.employees TO {t_acme_app}",
    ),
    NearMiss(
        check="tenant_role_cross_grant",
        name="a login that becomes each tenant in turn",
        sql="GRANT {t_acme_app}, {t_beta_app}, {t_gamma_app} TO {app}",
    ),
    NearMiss(
        check="tenant_role_cross_grant",
        name="a membership that allows nothing",
        sql="GRANT {t_beta_app} TO {t_acme_app} WITH INHERIT FALSE, SET FALSE",
        min_major=16,
    ),
    NearMiss(
        check="tenant_role_cross_grant",
        name="operators and reports that may read all tenants",
        sql="""
            GRANT USAGE ON SCHEMA t_acme, t_beta TO {admin}, {report};
            GRANT SELECT ON ALL TABLES IN SCHEMA t_acme, t_beta TO {admin}, {report};
        """,
    ),
    NearMiss(
        check="tenant_role_cross_grant",
        name="tenants that own their schemas and tables",
        sql="""
            ALTER SCHEMA t_acme OWNER TO {t_acme_app};
            ALTER TABLE t_acme.employees OWNER TO {t_acme_app};
            ALTER SCHEMA t_beta OWNER TO {t_beta_app};
        """,
    ),
    NearMiss(
        check="tenant_role_cross_grant",
        name="one role for all tenants",
        sql="GRANT USAGE ON SCHEMA t_acme, t_beta, t_gamma TO {app}; GRANT SELECT ON t_beta.employees TO {app}",
        tenancy={"schemas": {"pattern": "^t_(?P<tenant>.+)$", "role": "{app}"}},
    ),
    NearMiss(
        check="public_grant_on_tenant_schema",
        name="a table that everybody might read, in a schema that is closed",
        sql="GRANT SELECT ON t_beta.employees TO PUBLIC",
    ),
    NearMiss(
        check="public_grant_on_tenant_schema",
        name="a shared schema that is open",
        sql="GRANT USAGE ON SCHEMA common, public TO PUBLIC; GRANT SELECT ON common.countries TO PUBLIC",
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
