"""Schemas of a tenant each: functions that work in another tenant's."""

from __future__ import annotations

import pytest

from tests.isolation.world import NearMiss, Plant, World, assert_found

PLANTS = [
    Plant(
        check="cross_schema_trigger",
        name="a function of another tenant that is given each row",
        sql="""
            CREATE TABLE t_beta.copies (name text);
            CREATE FUNCTION t_beta.copy() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
              AS 'BEGIN INSERT INTO t_beta.copies VALUES (NEW.name); RETURN NEW; END';
            CREATE TRIGGER copy AFTER INSERT ON t_acme.employees FOR EACH ROW EXECUTE FUNCTION t_beta.copy();
            INSERT INTO t_acme.employees (name) VALUES ('Eve of acme');
            GRANT SELECT ON t_beta.copies TO {t_beta_app};
        """,
        object="t_acme.employees",
        role="{t_acme_app}",
        severity="P1",
        proof="SELECT * FROM t_beta.copies WHERE name LIKE '%acme'",
        as_role="{t_beta_app}",
    ),
    Plant(
        check="cross_schema_trigger",
        name="a function of one tenant on a shared table",
        sql="""
            CREATE FUNCTION t_beta.look() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
            CREATE TRIGGER look BEFORE UPDATE ON common.countries FOR EACH STATEMENT EXECUTE FUNCTION t_beta.look();
        """,
        object="common.countries",
    ),
    Plant(
        check="cross_schema_function_body",
        name="a definer function that reads another tenant's table",
        sql="""
            CREATE FUNCTION t_acme.peek() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER
              AS 'SELECT name FROM t_beta.employees';
        """,
        object="t_acme.peek()",
        role="{t_acme_app}",
        severity="P1",
        proof="SELECT t_acme.peek()",
        as_role="{t_acme_app}",
    ),
    Plant(
        check="cross_schema_function_body",
        name="a body in BEGIN ATOMIC",
        sql="""
            CREATE FUNCTION t_acme.peek(which bigint) RETURNS text LANGUAGE sql SECURITY DEFINER
              BEGIN ATOMIC SELECT name FROM t_beta.employees WHERE id = which; END;
        """,
        object="t_acme.peek(bigint)",
        proof="SELECT t_acme.peek(1)",
        as_role="{t_acme_app}",
    ),
    Plant(
        check="cross_schema_function_body",
        name="a name behind a text that looks like a comment",
        sql="""
            CREATE FUNCTION t_acme.peek() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER
              AS $$ SELECT '-- it''s ' || name FROM T_Beta.Employees $$;
        """,
        object="t_acme.peek()",
        proof="SELECT t_acme.peek()",
        as_role="{t_acme_app}",
    ),
    Plant(
        check="cross_schema_function_body",
        name="a statement that is put together",
        sql="""
            CREATE FUNCTION t_acme.peek() RETURNS SETOF text LANGUAGE plpgsql SECURITY DEFINER
              AS $$ BEGIN RETURN QUERY EXECUTE format('SELECT name FROM %I.employees', 't_beta'); END $$;
        """,
        object="t_acme.peek()",
        proof="SELECT t_acme.peek()",
        as_role="{t_acme_app}",
    ),
    Plant(
        check="cross_schema_function_body",
        name="a search_path that is set within",
        sql="""
            CREATE FUNCTION common.peek() RETURNS SETOF text LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
              PERFORM set_config('search_path', 't_beta, public', true);
              RETURN QUERY SELECT name FROM employees;
            END $$;
        """,
        object="common.peek()",
        role="",
        proof="SELECT common.peek()",
        as_role="{t_acme_app}",
    ),
    Plant(
        check="cross_schema_function_body",
        name="a trigger function that copies rows to another tenant",
        sql="""
            CREATE TABLE t_beta.copies (name text);
            CREATE FUNCTION t_acme.copy() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
              INSERT INTO "t_beta" . "copies" VALUES (NEW.name);
              RETURN NEW;
            END $$;
            REVOKE EXECUTE ON FUNCTION t_acme.copy() FROM PUBLIC;
            CREATE TRIGGER copy AFTER INSERT ON t_acme.employees FOR EACH ROW EXECUTE FUNCTION t_acme.copy();
            INSERT INTO t_acme.employees (name) VALUES ('Eve of acme');
            GRANT SELECT ON t_beta.copies TO {t_beta_app};
        """,
        object="t_acme.copy()",
        proof="SELECT * FROM t_beta.copies WHERE name LIKE '%acme'",
        as_role="{t_beta_app}",
    ),
]
NEAR_MISSES = [
    NearMiss(
        check="cross_schema_trigger",
        name="a shared function, and one of the own schema",
        sql="""
            CREATE FUNCTION common.stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
            CREATE FUNCTION t_acme.stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
            CREATE TRIGGER a BEFORE INSERT ON t_acme.employees FOR EACH ROW EXECUTE FUNCTION common.stamp();
            CREATE TRIGGER b BEFORE INSERT ON t_acme.employees FOR EACH ROW EXECUTE FUNCTION t_acme.stamp();
        """,
    ),
    NearMiss(
        check="cross_schema_trigger",
        name="a trigger that is disabled",
        sql="""
            CREATE FUNCTION t_beta.look() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
            CREATE TRIGGER look BEFORE INSERT ON t_acme.employees FOR EACH ROW EXECUTE FUNCTION t_beta.look();
            ALTER TABLE t_acme.employees DISABLE TRIGGER look;
        """,
    ),
    NearMiss(
        check="cross_schema_function_body",
        name="another tenant in a comment, in a message, as an alias and as part of a name",
        sql="""
            CREATE TABLE t_acme.t_beta (id bigint);
            CREATE FUNCTION t_acme.fine() RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $$
            -- once: SELECT * FROM t_beta.employees
            /* or * t_beta.payslips **/
            BEGIN
              RAISE NOTICE 'as it is done in t_beta.employees';
              PERFORM format('%s', 1);
              RETURN (SELECT sum(t_beta.id) FROM t_acme.t_beta JOIN t_acme.employees AS not_t_beta ON true);
            END $$;
        """,
    ),
    NearMiss(
        check="cross_schema_function_body",
        name="a text that is no statement",
        sql="""
            CREATE FUNCTION t_acme.fine() RETURNS text LANGUAGE sql SECURITY DEFINER
              AS $$ SELECT 'copied from t_beta.employees -- ' || name FROM t_acme.employees $$;
        """,
    ),
    NearMiss(
        check="cross_schema_function_body",
        name="a schema that is shared, and called like a tenant's",
        sql="""
            CREATE SCHEMA t_shared;
            CREATE TABLE t_shared.rates (id bigint);
            CREATE FUNCTION t_acme.fine() RETURNS bigint LANGUAGE sql SECURITY DEFINER
              AS 'SELECT count(*) FROM t_shared.rates';
        """,
        tenancy={"shared": {"schemas": ["common", "t_shared"]}},
    ),
    NearMiss(
        check="cross_schema_function_body",
        name="what is shared and the own schema",
        sql="""
            CREATE FUNCTION t_acme.fine() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = t_acme, common
              AS 'SELECT count(*) FROM t_acme.employees JOIN common.countries ON true';
        """,
    ),
    NearMiss(
        check="cross_schema_function_body",
        name="a function that nobody may execute",
        sql="""
            CREATE FUNCTION common.sum() RETURNS numeric LANGUAGE sql SECURITY DEFINER
              AS 'SELECT sum(amount) FROM (SELECT * FROM t_acme.payslips UNION ALL SELECT * FROM t_beta.payslips) AS a';
            REVOKE EXECUTE ON FUNCTION common.sum() FROM PUBLIC;
            GRANT EXECUTE ON FUNCTION common.sum() TO {admin};
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
