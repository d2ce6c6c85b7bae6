"""Functions, privileges, settings, publications and servers that go around row level security."""

from __future__ import annotations

import pytest

from tests.isolation.world import NearMiss, Plant, World, assert_found

# The context is the tenant acme; what belongs to beta is not acme's.
FOREIGN = "SET app.tenant_id = '{acme}'; SELECT * FROM %s WHERE tenant_id = '{beta}'"
OWN = "tenant_id = current_setting('app.tenant_id')::uuid"

PLANTS = [
    Plant(
        check="rls_definer_function",
        name="a superuser's function in SQL, which everybody may call",
        sql="""
            CREATE FUNCTION app.bets_of(t uuid) RETURNS SETOF app.bets LANGUAGE sql SECURITY DEFINER
              AS $$ SELECT * FROM app.bets WHERE tenant_id = t $$
        """,
        object="app.bets_of(uuid)",
        role="{app}",
        severity="P0",
        proof="SET app.tenant_id = '{acme}'; SELECT * FROM app.bets_of('{beta}')",
    ),
    Plant(
        check="rls_definer_function",
        name="names by search_path, in PL/pgSQL, for a group that the application is in",
        sql="""
            CREATE ROLE readers_{suffix} NOLOGIN;
            GRANT readers_{suffix} TO {app};
            CREATE FUNCTION app.mails() RETURNS TABLE (mail text) LANGUAGE plpgsql SECURITY DEFINER
              SET search_path = app, pg_temp
              AS $$ BEGIN RETURN QUERY SELECT u.email FROM Users AS u; END $$;
            REVOKE EXECUTE ON FUNCTION app.mails() FROM PUBLIC;
            GRANT EXECUTE ON FUNCTION app.mails() TO readers_{suffix};
            ALTER FUNCTION app.mails() OWNER TO {admin}
        """,
        object="app.mails()",
        role="{app}",
        severity="P0",
        proof="SELECT * FROM app.mails() WHERE mail LIKE '%beta'",
    ),
    Plant(
        check="rls_definer_function",
        name="a body in BEGIN ATOMIC, through a view",
        sql="""
            CREATE VIEW app.inner_bets AS SELECT tenant_id, stake FROM app.bets;
            CREATE FUNCTION app.stakes() RETURNS TABLE (t uuid, stake numeric) LANGUAGE sql SECURITY DEFINER
              BEGIN ATOMIC SELECT tenant_id, stake FROM app.inner_bets; END
        """,
        object="app.stakes()",
        role="{app}",
        severity="P0",
        proof="SELECT * FROM app.stakes() WHERE t = '{beta}'",
    ),
    Plant(
        check="rls_definer_function",
        name="a function that calls another, which reads",
        sql="""
            CREATE FUNCTION app.inner_bets() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM app.bets $$;
            REVOKE EXECUTE ON FUNCTION app.inner_bets() FROM PUBLIC;
            CREATE FUNCTION app.how_many() RETURNS bigint LANGUAGE sql SECURITY DEFINER
              AS $$ SELECT app.inner_bets() $$
        """,
        object="app.how_many()",
        severity="P0",
        proof="SET app.tenant_id = '{acme}'; SELECT * FROM app.how_many() AS n WHERE n = 2",
    ),
    Plant(
        check="rls_definer_function",
        name="a function of the tables' owner, where they are not forced",
        sql="""
            ALTER TABLE app.payouts NO FORCE ROW LEVEL SECURITY;
            CREATE FUNCTION app.clear() RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $$
            DECLARE n bigint;
            BEGIN DELETE FROM app.payouts; GET DIAGNOSTICS n = ROW_COUNT; RETURN n; END $$;
            ALTER FUNCTION app.clear() OWNER TO {owner}
        """,
        object="app.clear()",
        severity="P0",
        proof="SET app.tenant_id = '{acme}'; SELECT * FROM app.clear() AS n WHERE n = 2",
    ),
    Plant(
        check="rls_definer_function",
        name="a procedure",
        sql="""
            CREATE PROCEDURE app.rename(t uuid, mail text) LANGUAGE sql SECURITY DEFINER
              AS $$ UPDATE app.users SET email = mail WHERE tenant_id = t $$
        """,
        object="app.rename(uuid,text)",
        severity="P0",
    ),
    Plant(
        check="rls_definer_function",
        name="statements put together at run time",
        sql="""
            CREATE FUNCTION app.count_of(name text) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $$
            DECLARE n bigint;
            BEGIN EXECUTE format('SELECT count(*) FROM app.%I', name) INTO n; RETURN n; END $$
        """,
        object="app.count_of(text)",
        severity="P1",
        proof="SET app.tenant_id = '{acme}'; SELECT * FROM app.count_of('bets') AS n WHERE n = 2",
    ),
    Plant(
        check="rls_definer_function",
        name="one of two statements compares the key with the context",
        sql=f"""
            CREATE FUNCTION app.sums() RETURNS numeric LANGUAGE sql SECURITY DEFINER AS $$
            SELECT sum(stake) FROM app.bets WHERE {OWN};
            SELECT sum(amount) FROM app.payouts $$
        """,
        object="app.sums()",
        severity="P0",
        proof="SET app.tenant_id = '{acme}'; SELECT * FROM app.sums() AS n WHERE n = 20",
    ),
    Plant(
        check="rls_definer_function",
        name="names that need quotes",
        sql="""
            CREATE TABLE app."Open Bets" (tenant_id uuid NOT NULL, stake numeric);
            INSERT INTO app."Open Bets" VALUES ('{beta}', 5);
            ALTER TABLE app."Open Bets" ENABLE ROW LEVEL SECURITY;
            CREATE FUNCTION app."allOpen"() RETURNS SETOF app."Open Bets" LANGUAGE sql SECURITY DEFINER
              AS $$ SELECT * FROM app."Open Bets" WHERE app.current_tenant() IS NOT NULL $$
        """,
        object='app."allOpen"()',
        severity="P0",
        proof="SET app.tenant_id = '{acme}'; SELECT * FROM app.\"allOpen\"() WHERE tenant_id = '{beta}'",
    ),
    *(
        Plant(
            check="rls_definer_function",
            name=f"an unset context opens the comparison: {condition}",
            sql=f"""
                CREATE FUNCTION app.my_bets() RETURNS SETOF app.bets LANGUAGE sql SECURITY DEFINER
                  AS $$ SELECT * FROM app.bets WHERE {condition} $$
            """,
            object="app.my_bets()",
            severity="P0",
            proof="SELECT * FROM app.my_bets() WHERE tenant_id = '{beta}'",
        )
        for condition in (
            "tenant_id = coalesce(current_setting('app.tenant_id', true)::uuid, tenant_id)",
            "coalesce(app.current_tenant(), tenant_id) = tenant_id",
            "app.current_tenant() IS NULL OR tenant_id = app.current_tenant()",
            "CASE WHEN app.current_tenant() IS NULL THEN true ELSE tenant_id = app.current_tenant() END",
        )
    ),
    Plant(
        check="rls_definer_function",
        name="the key is compared with a variable that is the caller's",
        sql="""
            CREATE FUNCTION app.sum_of(wanted uuid) RETURNS numeric LANGUAGE plpgsql SECURITY DEFINER AS $$
            DECLARE
              mine uuid := current_setting('app.tenant_id')::uuid;
              total numeric;
            BEGIN
              SELECT sum(stake) INTO total FROM app.bets WHERE tenant_id = wanted;
              RETURN total;
            END $$
        """,
        object="app.sum_of(uuid)",
        severity="P0",
        proof="SET app.tenant_id = '{acme}'; SELECT * FROM app.sum_of('{beta}') AS n WHERE n > 0",
    ),
    *(
        Plant(
            check="rls_privilege_escape",
            name=f"{privilege} for {grantee}",
            sql=f"GRANT {privilege} ON app.payouts TO {grantee}",
            object="app.payouts",
            role="{app}",
            severity="P1",
        )
        for privilege in ("TRUNCATE", "TRIGGER", "REFERENCES", "REFERENCES (tenant_id, id)", "ALL")
        for grantee in ("{app}", "PUBLIC")
    ),
    Plant(
        check="rls_privilege_escape",
        name="TRUNCATE for a group that the application is in",
        sql="""
            CREATE ROLE writers_{suffix} NOLOGIN;
            GRANT writers_{suffix} TO {app};
            GRANT TRUNCATE ON app.payouts TO writers_{suffix}
        """,
        object="app.payouts",
        role="{app}",
        proof="""
            SET app.tenant_id = '{acme}';
            TRUNCATE app.payouts;
            SELECT * FROM pg_relation_size('app.payouts') AS bytes WHERE bytes = 0
        """,
    ),
    Plant(
        check="rls_privilege_escape",
        name="CREATE on the tables' schema",
        sql="GRANT CREATE ON SCHEMA app TO {app}",
        object="app",
        role="{app}",
        severity="P1",
        proof="CREATE VIEW app.bait AS SELECT 1 AS found; SELECT * FROM app.bait",
    ),
    Plant(
        check="rls_privilege_escape",
        name="CREATE on the tables' schema for everybody",
        sql="GRANT CREATE ON SCHEMA app TO PUBLIC",
        object="app",
        role="{app}",
    ),
    Plant(
        check="tenant_setting_has_default",
        name="of the application's role",
        sql="ALTER ROLE {app} SET app.tenant_id = '{beta}'",
        object="{app}",
        role="{app}",
        severity="P0",
        proof="SELECT * FROM app.bets WHERE tenant_id = '{beta}'",
    ),
    Plant(
        check="tenant_setting_has_default",
        name="of the application's role in this database",
        sql="ALTER ROLE {app} IN DATABASE {database} SET app.tenant_id = '{beta}'",
        object="{app}",
        role="{app}",
        proof="SELECT * FROM app.bets WHERE tenant_id = '{beta}'",
    ),
    Plant(
        check="tenant_setting_has_default",
        name="of the database, and the setting is not declared",
        sql="ALTER DATABASE {database} SET App.Tenant_ID = '{beta}'",
        object="{database}",
        role="",
        proof="SELECT * FROM app.bets WHERE tenant_id = '{beta}'",
        tenancy={"context": {}},
    ),
    Plant(
        check="tenant_setting_has_default",
        name="of a login that becomes the application's role",
        sql="""
            CREATE ROLE gate_{suffix} LOGIN NOINHERIT;
            GRANT {app} TO gate_{suffix};
            ALTER ROLE gate_{suffix} SET app.tenant_id = '{beta}'
        """,
        object="gate_{suffix}",
        role="gate_{suffix}",
        proof="SET ROLE {app}; SELECT * FROM app.bets WHERE tenant_id = '{beta}'",
        as_role="gate_{suffix}",
    ),
    Plant(
        check="leakproof_user_function",
        name="a function that writes down what it sees",
        sql="""
            CREATE TABLE app.seen (what text);
            GRANT SELECT, INSERT ON app.seen TO {app};
            CREATE FUNCTION app.spy(text) RETURNS boolean LANGUAGE plpgsql LEAKPROOF COST 0.0000001
              AS $$ BEGIN INSERT INTO app.seen VALUES ($1); RETURN true; END $$
        """,
        object="app.spy(text)",
        role="{app}",
        severity="P2",
        proof="""
            SET enable_indexscan = off; SET enable_bitmapscan = off; SET app.tenant_id = '{acme}';
            SELECT * FROM app.users WHERE app.spy(email);
            SELECT * FROM app.seen WHERE what LIKE '%beta'
        """,
    ),
    Plant(
        check="tenant_table_published",
        name="a table by name",
        sql="CREATE PUBLICATION away_{suffix} FOR TABLE app.bets",
        object="app.bets",
        severity="P2",
    ),
    Plant(
        check="tenant_table_published",
        name="a partitioned table",
        sql="CREATE PUBLICATION away_{suffix} FOR TABLE app.audit_log",
        object="app.audit_log",
    ),
    Plant(
        check="tenant_table_published",
        name="all tables",
        sql="CREATE PUBLICATION away_{suffix} FOR ALL TABLES",
        object="app.users",
    ),
    Plant(
        check="tenant_table_published",
        name="all tables of a schema",
        sql="CREATE PUBLICATION away_{suffix} FOR TABLES IN SCHEMA app",
        object="app.accounts",
        min_major=15,
    ),
]
NEAR_MISSES = [
    *(
        NearMiss(check="rls_definer_function", name=name, sql=sql)
        for name, sql in {
            "nobody may call it": """
                CREATE FUNCTION app.f() RETURNS SETOF app.bets LANGUAGE sql SECURITY DEFINER
                  AS $$ SELECT * FROM app.bets $$;
                REVOKE EXECUTE ON FUNCTION app.f() FROM PUBLIC;
                GRANT EXECUTE ON FUNCTION app.f() TO {admin}
            """,
            "nobody may use its schema": """
                CREATE SCHEMA inside;
                CREATE FUNCTION inside.f() RETURNS SETOF app.bets LANGUAGE sql SECURITY DEFINER
                  AS $$ SELECT * FROM app.bets $$
            """,
            "it works as its caller": """
                CREATE FUNCTION app.f() RETURNS SETOF app.bets LANGUAGE sql SECURITY INVOKER
                  AS $$ SELECT * FROM app.bets $$
            """,
            "its owner owns forced tables": """
                CREATE FUNCTION app.f() RETURNS SETOF app.bets LANGUAGE sql SECURITY DEFINER
                  AS $$ SELECT * FROM app.bets $$;
                ALTER FUNCTION app.f() OWNER TO {owner}
            """,
            "its owner is bound, and its statements are put together": """
                CREATE FUNCTION app.f(name text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
                  AS $$ BEGIN EXECUTE 'SELECT 1 FROM ' || name; END $$;
                ALTER FUNCTION app.f(text) OWNER TO {report}
            """,
            "a trigger function cannot be called": """
                CREATE FUNCTION app.f() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
                  AS $$
                BEGIN INSERT INTO app.audit_log (tenant_id, what) VALUES (new.tenant_id, 'bet'); RETURN new; END $$;
                CREATE TRIGGER written AFTER INSERT ON app.bets FOR EACH ROW EXECUTE FUNCTION app.f()
            """,
            "it reads the setting alone": """
                CREATE FUNCTION app.f() RETURNS uuid LANGUAGE sql STABLE SECURITY DEFINER
                  AS $$ SELECT nullif(current_setting('app.tenant_id', true), '')::uuid $$
            """,
            "it reads shared tables, and names a tenant table in a comment": """
                CREATE FUNCTION app.f(wanted text) RETURNS uuid LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
                BEGIN -- before anybody has placed bets
                  /* app.bets and
                     app.users */
                  RETURN (SELECT t.id FROM app.tenants AS t, app.events, ref.markets WHERE t.name = wanted LIMIT 1);
                END $$
            """,
            "a table of the same name in another schema": """
                CREATE TABLE ref.bets (id bigint);
                CREATE FUNCTION app.f() RETURNS bigint LANGUAGE sql SECURITY DEFINER
                  AS $$ SELECT count(*) FROM ref.bets $$
            """,
            "a body in BEGIN ATOMIC of shared tables": """
                CREATE FUNCTION app.f() RETURNS bigint LANGUAGE sql SECURITY DEFINER
                  BEGIN ATOMIC SELECT count(*) FROM app.events; END
            """,
            "a variable holds the context": """
                CREATE FUNCTION app.f() RETURNS numeric LANGUAGE plpgsql SECURITY DEFINER AS $$
                DECLARE
                  mine CONSTANT uuid := nullif(current_setting('app.tenant_id', true), '')::uuid;
                  total numeric;
                BEGIN
                  IF mine IS NULL THEN RAISE EXCEPTION 'no tenant'; END IF;
                  SELECT coalesce(sum(b.stake), 0) INTO total FROM app.bets AS b WHERE b.tenant_id = mine;
                  UPDATE app.accounts SET balance = balance - total WHERE tenant_id = mine;
                  RETURN total;
                END $$
            """,
            "a variable is given the context": """
                CREATE FUNCTION app.f() RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $$
                DECLARE t uuid;
                BEGIN
                  SELECT current_setting('app.tenant_id')::uuid INTO STRICT t;
                  RETURN (SELECT count(*) FROM app.bets WHERE tenant_id = t AND stake IS NOT NULL);
                END $$
            """,
            "each of its statements compares the key with the context": """
                CREATE FUNCTION app.f() RETURNS numeric LANGUAGE plpgsql SECURITY DEFINER AS $$
                BEGIN
                  INSERT INTO app.audit_log (tenant_id, what) VALUES (app.current_tenant(), 'sum');
                  RETURN (
                    SELECT sum(b.stake) FROM app.bets AS b JOIN app.accounts AS a USING (tenant_id, id)
                    WHERE b.tenant_id = app.current_tenant()
                  );
                END $$
            """,
        }.items()
    ),
    NearMiss(
        check="rls_privilege_escape",
        name="privileges on shared tables, for operators, and on other schemas",
        sql="""
            GRANT ALL ON app.events, app.tenants, ref.markets TO {app};
            GRANT ALL ON ALL TABLES IN SCHEMA app TO {admin};
            GRANT CREATE ON SCHEMA ref, public TO {app};
            GRANT CREATE ON SCHEMA app TO {admin}
        """,
    ),
    *(
        NearMiss(check="tenant_setting_has_default", name=name, sql=sql)
        for name, sql in {
            "of operators": "ALTER ROLE {admin} SET app.tenant_id = '{beta}'",
            "of another role": "ALTER ROLE {report} SET app.tenant_id = '{beta}'",
            "another setting": "ALTER ROLE {app} SET app.tenant = 'beta'; ALTER ROLE {app} SET search_path = app",
            "an empty value is no tenant": "ALTER ROLE {app} SET app.tenant_id = ''",
            "in another database": "ALTER ROLE {app} IN DATABASE postgres SET app.tenant_id = '{beta}'",
        }.items()
    ),
    NearMiss(
        check="leakproof_user_function",
        name="functions that nobody may call, that are not LEAKPROOF, or that an extension brings",
        sql="""
            CREATE FUNCTION app.f(text) RETURNS boolean LANGUAGE sql LEAKPROOF AS 'SELECT true';
            REVOKE EXECUTE ON FUNCTION app.f(text) FROM PUBLIC;
            CREATE FUNCTION app.g(text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
            CREATE EXTENSION citext SCHEMA app;
            ALTER FUNCTION app.citext_eq(app.citext, app.citext) LEAKPROOF
        """,
    ),
    NearMiss(
        check="tenant_table_published",
        name="a row filter",
        sql="CREATE PUBLICATION away_{suffix} FOR TABLE app.bets WHERE (tenant_id = '{acme}')",
        min_major=15,
    ),
    NearMiss(
        check="tenant_table_published",
        name="shared tables, and the list of tenants",
        sql="CREATE PUBLICATION away_{suffix} FOR TABLE app.events, app.tenants, ref.markets",
    ),
]


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: f"{plant.check}: {plant.name}")
def test_a_hole_is_found(pool: World, plant: Plant) -> None:
    if pool.major < plant.min_major:
        pytest.skip(f"new in {plant.min_major}")
    assert_found(pool, plant)


@pytest.mark.parametrize("near", NEAR_MISSES, ids=lambda near: f"{near.check}: {near.name}")
def test_a_near_miss_is_none(pool: World, near: NearMiss) -> None:
    if pool.major < near.min_major:
        pytest.skip(f"new in {near.min_major}")
    pool.run(near.sql)
    assert not pool.findings(near.check, near.tenancy)
