"""Schemas of a tenant each: tables, views and sequences that refer to another tenant's."""

from __future__ import annotations

import pytest

from tests.isolation.world import NearMiss, Plant, World, assert_found

PEEK = "SELECT * FROM t_acme.peek"
PLANTS = [
    Plant(
        check="cross_schema_fk",
        name="a foreign key into another tenant's schema",
        sql="""
            INSERT INTO t_beta.employees (id, name) OVERRIDING SYSTEM VALUE VALUES (4711, 'Bob of beta');
            CREATE TABLE t_acme.notes (employee_id bigint REFERENCES t_beta.employees);
            GRANT INSERT ON t_acme.notes TO {t_acme_app};
        """,
        object="t_acme.notes",
        role="{t_acme_app}",
        severity="P0",
        # It goes in: there is such an employee.
        proof="INSERT INTO t_acme.notes VALUES (4711)",
        as_role="{t_acme_app}",
    ),
    Plant(
        check="cross_schema_fk",
        name="one of two foreign keys, of a partitioned table",
        sql="""
            CREATE TABLE t_acme."Log" (id bigint, employee_id bigint REFERENCES t_acme.employees,
              payslip_id bigint REFERENCES t_gamma.payslips ON DELETE CASCADE) PARTITION BY RANGE (id);
            CREATE TABLE t_acme.log_1 PARTITION OF t_acme."Log" FOR VALUES FROM (1) TO (1000);
            GRANT INSERT ON t_acme."Log" TO {t_acme_app};
        """,
        object='t_acme."Log"',
        proof='INSERT INTO t_acme."Log" VALUES (1, 1, 1)',
        as_role="{t_acme_app}",
    ),
    Plant(
        check="cross_schema_fk",
        name="a foreign key of a shared table into one tenant's schema",
        sql="CREATE TABLE common.awards (employee_id bigint REFERENCES t_beta.employees)",
        object="common.awards",
        role="",
        severity="P1",
    ),
    Plant(
        check="cross_schema_view",
        name="a view of another tenant's table",
        sql="""
            CREATE VIEW t_acme.peek AS SELECT name FROM t_beta.employees;
            ALTER VIEW t_acme.peek OWNER TO {owner};
            GRANT SELECT ON t_acme.peek TO {t_acme_app};
        """,
        object="t_acme.peek",
        role="{t_acme_app}",
        severity="P0",
        proof=PEEK,
        as_role="{t_acme_app}",
    ),
    Plant(
        check="cross_schema_view",
        name="a view over a view over a shared view of all tenants",
        sql="""
            CREATE VIEW common.everybody AS
              SELECT name FROM t_acme.employees UNION ALL SELECT name FROM t_beta.employees;
            CREATE VIEW t_acme.names AS SELECT * FROM common.everybody;
            CREATE VIEW t_acme.peek AS SELECT * FROM t_acme.names WHERE name LIKE '%beta';
            GRANT SELECT ON t_acme.peek TO {t_acme_app};
        """,
        object="t_acme.peek",
        proof=PEEK,
        as_role="{t_acme_app}",
    ),
    Plant(
        check="cross_schema_view",
        name="a report of all tenants in the shared schema",
        sql="""
            CREATE VIEW common.payroll AS
              SELECT 'acme' AS tenant, sum(amount) AS amount FROM t_acme.payslips
              UNION ALL SELECT 'beta', sum(amount) FROM t_beta.payslips
              UNION ALL SELECT 'gamma', sum(amount) FROM t_gamma.payslips;
            GRANT SELECT ON common.payroll TO PUBLIC;
        """,
        object="common.payroll",
        role="",
        proof="SELECT * FROM common.payroll WHERE tenant <> 'acme'",
        as_role="{t_acme_app}",
    ),
    Plant(
        check="cross_schema_view",
        name="a materialized view of another tenant's view",
        sql="""
            CREATE MATERIALIZED VIEW t_acme.peek AS SELECT * FROM t_beta.totals;
            ALTER MATERIALIZED VIEW t_acme.peek OWNER TO {t_acme_app};
        """,
        object="t_acme.peek",
        proof=PEEK,
        as_role="{t_acme_app}",
    ),
    Plant(
        check="cross_schema_view",
        name="one tenant's table by a shared view, for a role that tenants can become",
        sql="""
            CREATE ROLE group_{suffix} NOLOGIN;
            GRANT group_{suffix} TO {t_acme_app};
            CREATE VIEW common.latest AS SELECT max(amount) AS amount FROM t_beta.payslips;
            GRANT SELECT (amount) ON common.latest TO group_{suffix};
        """,
        object="common.latest",
        proof="SELECT amount FROM common.latest",
        as_role="{t_acme_app}",
    ),
    Plant(
        check="cross_schema_sequence",
        name="numbers out of another tenant's sequence",
        sql="""
            CREATE SEQUENCE t_beta.numbers;
            CREATE TABLE t_acme.invoices (id bigint PRIMARY KEY DEFAULT nextval('t_beta.numbers'));
        """,
        object="t_acme.invoices",
        role="{t_acme_app}",
        severity="P1",
    ),
    Plant(
        check="cross_schema_sequence",
        name="the sequence of another tenant's serial column, in an expression",
        sql="""
            CREATE TABLE t_beta.orders (id serial PRIMARY KEY);
            CREATE TABLE t_acme.orders (code text DEFAULT 'A' || nextval('t_beta.orders_id_seq')::text);
        """,
        object="t_acme.orders",
    ),
    Plant(
        check="cross_schema_sequence",
        name="a sequence that is named by a text",
        sql="""
            CREATE SEQUENCE t_beta.numbers;
            CREATE TABLE t_acme.invoices (id bigint DEFAULT nextval('t_beta.numbers'::text));
        """,
        object="t_acme.invoices",
    ),
    Plant(
        check="cross_schema_sequence",
        name="a text with quotes that are not needed",
        sql="""
            CREATE SEQUENCE t_beta.numbers;
            CREATE TABLE t_acme.invoices (id bigint DEFAULT nextval('"t_beta"."numbers"'::text));
        """,
        object="t_acme.invoices",
    ),
]
NEAR_MISSES = [
    NearMiss(
        check="cross_schema_fk",
        name="foreign keys within a schema and to what is shared",
        sql="CREATE TABLE t_acme.notes (id bigint REFERENCES t_acme.payslips, code text REFERENCES common.countries)",
    ),
    NearMiss(
        check="cross_schema_fk",
        name="two schemas of one tenant",
        sql="CREATE SCHEMA t_acme_old; CREATE TABLE t_acme_old.notes (id bigint REFERENCES t_acme.payslips)",
        tenancy={"schemas": {"pattern": "^t_(?P<tenant>[a-z]+)(_old)?$"}},
    ),
    NearMiss(
        check="cross_schema_view",
        name="a view that reads as whoever asks",
        sql="""
            CREATE VIEW t_acme.peek WITH (security_invoker = true) AS SELECT name FROM t_beta.employees;
            GRANT SELECT ON t_acme.peek TO {t_acme_app};
        """,
        min_major=15,
    ),
    NearMiss(
        check="cross_schema_view",
        name="a report of all tenants for operators",
        sql="""
            CREATE SCHEMA reports;
            CREATE VIEW reports.payroll AS SELECT * FROM t_acme.payslips UNION ALL SELECT * FROM t_beta.payslips;
            GRANT USAGE ON SCHEMA reports TO {admin}, {report};
            GRANT SELECT ON reports.payroll TO {admin}, {report};
        """,
    ),
    NearMiss(
        check="cross_schema_view",
        name="a view whose owner may not read there",
        sql="""
            CREATE VIEW t_acme.peek AS SELECT name FROM t_beta.employees;
            ALTER VIEW t_acme.peek OWNER TO {report};
            GRANT SELECT ON t_acme.peek TO {t_acme_app};
        """,
    ),
    NearMiss(
        check="cross_schema_view",
        name="views of what is shared, and of a tenant's own",
        sql="""
            CREATE VIEW t_acme.home AS
              SELECT e.name, c.name AS home FROM t_acme.employees AS e JOIN common.countries AS c ON c.code = e.country;
            CREATE VIEW t_acme.home_again AS SELECT * FROM t_acme.home JOIN t_acme.totals ON true;
            GRANT SELECT ON t_acme.home, t_acme.home_again TO {t_acme_app};
        """,
    ),
    NearMiss(
        check="cross_schema_sequence",
        name="a sequence that tenants share, and one of the own schema",
        sql="""
            CREATE SEQUENCE common.numbers;
            CREATE TABLE t_acme.invoices (id bigint DEFAULT nextval('common.numbers'), line serial,
              text text DEFAULT nextval('common.numbers'::text)::text);
        """,
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
