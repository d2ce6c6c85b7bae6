"""Schemas of a tenant each: tables that differ or are missing, and schemas that are left over."""

from __future__ import annotations

import pytest

from tests.isolation.world import NearMiss, Plant, World, assert_found

TENANTS = """
    CREATE TABLE common.tenants (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), slug text NOT NULL, note jsonb);
    INSERT INTO common.tenants (slug) VALUES ('acme'), ('Beta');
"""
DECLARED = {"key": {"tenants_table": "common.tenants"}}
OPEN = "GRANT USAGE ON SCHEMA common TO {reader}; GRANT SELECT ON common.tenants TO {reader};"
PLANTS = [
    Plant(
        check="tenant_schema_column_drift",
        name="a column more",
        sql="ALTER TABLE t_acme.employees ADD COLUMN email text",
        object="t_acme.employees",
        role="{t_acme_app}",
        severity="P2",
    ),
    Plant(
        check="tenant_schema_column_drift",
        name="a column less",
        sql="ALTER TABLE t_beta.employees DROP COLUMN country",
        object="t_beta.employees",
    ),
    Plant(
        check="tenant_schema_column_drift",
        name="another type of the same name's column",
        sql="DROP VIEW t_beta.totals; ALTER TABLE t_beta.payslips ALTER COLUMN employee_id TYPE integer",
        object="t_beta.payslips",
    ),
    Plant(
        check="tenant_schema_column_drift",
        name="another length",
        sql="""
            ALTER TABLE t_acme.employees ALTER COLUMN name TYPE varchar(50);
            ALTER TABLE t_beta.employees ALTER COLUMN name TYPE varchar(100);
            ALTER TABLE t_gamma.employees ALTER COLUMN name TYPE varchar(100);
        """,
        object="t_acme.employees",
    ),
    Plant(
        check="tenant_schema_column_drift",
        name="a column that was renamed",
        sql="ALTER TABLE t_gamma.employees RENAME COLUMN name TO full_name",
        object="t_gamma.employees",
    ),
    Plant(
        check="tenant_schema_column_drift",
        name="a column that may be empty",
        sql="ALTER TABLE t_gamma.employees ALTER COLUMN name DROP NOT NULL",
        object="t_gamma.employees",
    ),
    Plant(
        check="tenant_schema_column_drift",
        name="a table that is missing",
        sql="DROP TABLE t_gamma.payslips CASCADE",
        object="t_gamma.payslips",
    ),
    Plant(
        check="orphan_tenant_schema",
        name="a schema whose tenant is not in the table",
        sql=TENANTS + OPEN,
        object="t_gamma",
        severity="P2",
        tenancy=DECLARED,
    ),
    Plant(
        check="orphan_tenant_schema",
        name="tenants that are named by their keys",
        sql="""
            CREATE TABLE common.tenants (code text PRIMARY KEY, name text);
            INSERT INTO common.tenants VALUES ('acme', 'Acme'), ('gamma', 'Gamma');
            GRANT USAGE ON SCHEMA common TO {reader};
            GRANT SELECT (code) ON common.tenants TO {reader};
        """,
        object="t_beta",
        tenancy={"key": {"tenants_table": "common.tenants", "tenants_pk": "code"}},
    ),
    Plant(
        check="orphan_tenant_schema",
        name="a table of tenants that may not be read",
        sql=TENANTS,
        object="common.tenants",
        status="unknown",
        tenancy=DECLARED,
    ),
    Plant(
        check="orphan_tenant_schema",
        name="a table of tenants whose rows are hidden",
        sql=TENANTS + OPEN + "ALTER TABLE common.tenants ENABLE ROW LEVEL SECURITY",
        object="common.tenants",
        status="unknown",
        tenancy=DECLARED,
    ),
    Plant(
        check="orphan_tenant_schema",
        name="a table of tenants that names no schema",
        sql="""
            CREATE TABLE common.tenants (id uuid PRIMARY KEY DEFAULT gen_random_uuid());
            INSERT INTO common.tenants SELECT gen_random_uuid() FROM generate_series(1, 3);
        """
        + OPEN,
        object="common.tenants",
        status="unknown",
        tenancy=DECLARED,
    ),
    Plant(
        check="orphan_tenant_schema",
        name="a schema whose role is gone",
        sql="CREATE SCHEMA t_old; CREATE TABLE t_old.employees (id bigint)",
        object="t_old",
    ),
    Plant(
        check="orphan_tenant_schema",
        name="a schema without tables",
        sql="DROP TABLE t_gamma.payslips, t_gamma.employees CASCADE",
        object="t_gamma",
        role="{t_gamma_app}",
    ),
]
NEAR_MISSES = [
    NearMiss(
        check="tenant_schema_column_drift",
        name="another order, an index, a default, a comment, a table more",
        sql="""
            ALTER TABLE t_acme.payslips DROP COLUMN amount CASCADE;
            ALTER TABLE t_acme.payslips ADD COLUMN note text, ADD COLUMN amount numeric NOT NULL DEFAULT 1;
            ALTER TABLE t_beta.payslips ADD COLUMN note text;
            ALTER TABLE t_gamma.payslips ADD COLUMN note text;
            CREATE VIEW t_acme.totals AS SELECT employee_id, sum(amount) AS amount FROM t_acme.payslips GROUP BY 1;
            CREATE INDEX ON t_acme.employees (name);
            COMMENT ON COLUMN t_acme.employees.name IS 'as on the passport';
            CREATE TABLE t_acme.extras (id bigint);
        """,
    ),
    NearMiss(
        check="tenant_schema_column_drift",
        name="types of each tenant's own, and partitions",
        sql="""
            CREATE TYPE t_acme.state AS ENUM ('new'); CREATE TYPE t_beta.state AS ENUM ('new');
            CREATE TYPE t_gamma.state AS ENUM ('new');
            ALTER TABLE t_acme.employees ADD COLUMN state t_acme.state, ADD COLUMN states t_acme.state[];
            ALTER TABLE t_beta.employees ADD COLUMN state t_beta.state, ADD COLUMN states t_beta.state[];
            ALTER TABLE t_gamma.employees ADD COLUMN state t_gamma.state, ADD COLUMN states t_gamma.state[];
            CREATE TABLE t_acme.log (id bigint) PARTITION BY LIST (id);
            CREATE TABLE t_beta.log (id bigint) PARTITION BY LIST (id);
            CREATE TABLE t_gamma.log (id bigint) PARTITION BY LIST (id);
            CREATE TABLE t_acme.log_1 PARTITION OF t_acme.log FOR VALUES IN (1);
            CREATE TABLE t_beta.log_1 PARTITION OF t_beta.log FOR VALUES IN (1);
        """,
    ),
    NearMiss(
        check="orphan_tenant_schema",
        name="tenants that are all there, written in another way",
        sql=TENANTS
        + OPEN
        + """
            INSERT INTO common.tenants (slug) VALUES ('Gam-ma'), ('to come'), (E'quo''te <&> ü');
        """,
        tenancy=DECLARED,
    ),
    NearMiss(
        check="orphan_tenant_schema",
        name="schemas that differ, with a table or a view more or less",
        sql="CREATE TABLE t_acme.extras (id bigint); DROP TABLE t_beta.payslips CASCADE; CREATE SCHEMA reports",
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
