"""Views and materialized views that go around row level security."""

from __future__ import annotations

import pytest

from tests.isolation.world import NearMiss, Plant, World, assert_found

# The context is the tenant acme; what belongs to beta is not acme's.
FOREIGN = "SET app.tenant_id = '{acme}'; SELECT * FROM %s WHERE tenant_id = '{beta}'"
OWN = "tenant_id = current_setting('app.tenant_id')::uuid"

PLANTS = [
    Plant(
        check="rls_view_bypass",
        name="a superuser's view",
        sql="CREATE VIEW app.all_bets AS SELECT * FROM app.bets; GRANT SELECT ON app.all_bets TO {app}",
        object="app.all_bets",
        role="{app}",
        severity="P0",
        proof=FOREIGN % "app.all_bets",
    ),
    Plant(
        check="rls_view_bypass",
        name="a view over a view, of which only the outer one is granted",
        sql="""
            CREATE VIEW app.inner_bets AS SELECT tenant_id, stake FROM app.bets;
            CREATE VIEW app.outer_bets AS SELECT * FROM app.inner_bets WHERE stake > 0;
            GRANT SELECT ON app.outer_bets TO {app}
        """,
        object="app.outer_bets",
        role="{app}",
        severity="P0",
        proof=FOREIGN % "app.outer_bets",
    ),
    Plant(
        check="rls_view_bypass",
        name="a security_invoker view over one that is none",
        sql="""
            CREATE VIEW app.inner_bets AS SELECT * FROM app.bets;
            CREATE VIEW app.outer_bets WITH (security_invoker = true) AS SELECT * FROM app.inner_bets;
            GRANT SELECT ON app.inner_bets, app.outer_bets TO {app}
        """,
        object="app.outer_bets",
        role="{app}",
        proof=FOREIGN % "app.outer_bets",
        min_major=15,
    ),
    Plant(
        check="rls_view_bypass",
        name="security_invoker = false is a view like any other",
        sql="""
            CREATE VIEW app.all_bets WITH (security_invoker = false) AS SELECT * FROM app.bets;
            GRANT SELECT ON app.all_bets TO PUBLIC
        """,
        object="app.all_bets",
        proof=FOREIGN % "app.all_bets",
        min_major=15,
    ),
    Plant(
        check="rls_view_bypass",
        name="a view of a role with BYPASSRLS, in a schema that is not of the pool, for a group of the application's",
        sql="""
            CREATE ROLE readers_{suffix} NOLOGIN;
            GRANT readers_{suffix} TO {app};
            CREATE SCHEMA reporting;
            CREATE VIEW reporting.stakes AS SELECT b.tenant_id, sum(b.stake) AS stake FROM app.bets AS b GROUP BY 1;
            ALTER VIEW reporting.stakes OWNER TO {admin};
            GRANT USAGE ON SCHEMA reporting TO readers_{suffix};
            GRANT SELECT ON reporting.stakes TO readers_{suffix}
        """,
        object="reporting.stakes",
        role="{app}",
        proof=FOREIGN % "reporting.stakes",
    ),
    Plant(
        check="rls_view_bypass",
        name="a view of the tables' owner, where one table is not forced",
        sql="""
            ALTER TABLE app.accounts NO FORCE ROW LEVEL SECURITY;
            CREATE VIEW app.balances WITH (security_barrier) AS SELECT tenant_id, balance FROM app.accounts;
            ALTER VIEW app.balances OWNER TO {owner};
            GRANT SELECT (tenant_id, balance) ON app.balances TO {app}
        """,
        object="app.balances",
        role="{app}",
        proof=FOREIGN % "app.balances",
    ),
    Plant(
        check="rls_view_bypass",
        name="a view that may be written through, and not read",
        sql="CREATE VIEW app.wins AS SELECT * FROM app.payouts; GRANT DELETE ON app.wins TO {app}",
        object="app.wins",
        role="{app}",
        proof="SET app.tenant_id = '{acme}'; DELETE FROM app.wins",
    ),
    Plant(
        check="rls_view_bypass",
        name="a filter that an unset context opens",
        sql=f"""
            CREATE VIEW app.my_bets WITH (security_barrier) AS SELECT * FROM app.bets
            WHERE {OWN.replace("')", "', true)")} OR current_setting('app.tenant_id', true) IS NULL;
            GRANT SELECT ON app.my_bets TO {{app}}
        """,
        object="app.my_bets",
        severity="P0",
        proof="SELECT * FROM app.my_bets WHERE tenant_id = '{beta}'",
    ),
    Plant(
        check="rls_view_bypass",
        name="a filter that falls back to the row's own key",
        sql="""
            CREATE VIEW app.my_bets WITH (security_barrier) AS SELECT * FROM app.bets
            WHERE tenant_id = coalesce(current_setting('app.tenant_id', true)::uuid, tenant_id);
            GRANT SELECT ON app.my_bets TO {app}
        """,
        object="app.my_bets",
        severity="P0",
        proof="SELECT * FROM app.my_bets WHERE tenant_id = '{beta}'",
    ),
    Plant(
        check="rls_view_bypass",
        name="one arm of a union that is not filtered",
        sql=f"""
            CREATE VIEW app.money WITH (security_barrier) AS
            SELECT tenant_id, stake AS amount FROM app.bets WHERE {OWN}
            UNION ALL SELECT tenant_id, amount FROM app.payouts;
            GRANT SELECT ON app.money TO {{app}}
        """,
        object="app.money",
        severity="P0",
        proof=FOREIGN % "app.money",
    ),
    Plant(
        check="rls_view_bypass",
        name="the key is shown beside the context, and not compared in a condition",
        sql=f"""
            CREATE VIEW app.marked AS SELECT *, {OWN} AS is_mine FROM app.bets WHERE stake > 0;
            GRANT SELECT ON app.marked TO {{app}}
        """,
        object="app.marked",
        severity="P0",
        proof=FOREIGN % "app.marked",
    ),
    Plant(
        check="rls_view_bypass",
        name="a view that filters by the context and is no barrier",
        sql=f"""
            CREATE VIEW app.my_users AS SELECT * FROM app.users WHERE {OWN};
            GRANT SELECT ON app.my_users TO {{app}}
        """,
        object="app.my_users",
        severity="P2",
        proof="""
            CREATE TEMPORARY TABLE seen (email text);
            CREATE FUNCTION pg_temp.spy(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001
              AS $$ BEGIN INSERT INTO pg_temp.seen VALUES ($1); RETURN true; END $$;
            SET enable_indexscan = off; SET enable_bitmapscan = off; SET app.tenant_id = '{acme}';
            SELECT * FROM app.my_users WHERE pg_temp.spy(email);
            SELECT * FROM pg_temp.seen WHERE email LIKE '%beta'
        """,
    ),
    Plant(
        check="rls_view_bypass",
        name="a view over a materialized view that is not granted itself",
        sql="""
            CREATE MATERIALIZED VIEW app.totals AS SELECT tenant_id, sum(stake) AS stake FROM app.bets GROUP BY 1;
            CREATE VIEW app.show_totals AS SELECT * FROM app.totals;
            GRANT SELECT ON app.show_totals TO {app}
        """,
        object="app.show_totals",
        severity="P0",
        proof=FOREIGN % "app.show_totals",
    ),
    Plant(
        check="rls_view_bypass",
        name="a view over a table without row level security that is not granted itself",
        sql="""
            CREATE TABLE app.notes (tenant_id uuid NOT NULL, note text);
            INSERT INTO app.notes VALUES ('{beta}', 'theirs');
            ALTER TABLE app.notes OWNER TO {owner};
            CREATE VIEW app.all_notes AS SELECT * FROM app.notes;
            ALTER VIEW app.all_notes OWNER TO {owner};
            GRANT SELECT ON app.all_notes TO {app}
        """,
        object="app.all_notes",
        proof=FOREIGN % "app.all_notes",
    ),
    Plant(
        check="rls_matview_exposed",
        name="a materialized view of a tenant table",
        sql="""
            CREATE MATERIALIZED VIEW app.totals AS SELECT tenant_id, sum(stake) AS stake FROM app.bets GROUP BY 1;
            GRANT SELECT ON app.totals TO {app}
        """,
        object="app.totals",
        role="{app}",
        severity="P0",
        proof=FOREIGN % "app.totals",
    ),
    Plant(
        check="rls_matview_exposed",
        name="a materialized view of views, of the tables' owner, for everybody",
        sql="""
            CREATE SCHEMA reporting;
            CREATE VIEW app.inner_bets AS SELECT * FROM app.bets;
            CREATE MATERIALIZED VIEW reporting.totals AS
              SELECT tenant_id, count(*) AS bets FROM app.inner_bets GROUP BY 1;
            ALTER MATERIALIZED VIEW reporting.totals OWNER TO {owner};
            GRANT USAGE ON SCHEMA reporting TO PUBLIC;
            GRANT SELECT ON reporting.totals TO PUBLIC
        """,
        object="reporting.totals",
        role="{app}",
        proof=FOREIGN % "reporting.totals",
    ),
]
NEAR_MISSES = [
    *(
        NearMiss(
            check="rls_view_bypass",
            name=f"security_invoker = {value}",
            sql=f"""
                CREATE VIEW app.all_bets WITH (security_invoker = {value}) AS SELECT * FROM app.bets;
                GRANT SELECT ON app.all_bets TO {{app}}
            """,
            min_major=15,
        )
        for value in ("true", "on", "1")
    ),
    NearMiss(
        check="rls_view_bypass",
        name="a superuser's view over a security_invoker view: its tables are checked as whoever asks",
        sql="""
            CREATE VIEW app.inner_bets WITH (security_invoker) AS SELECT * FROM app.bets;
            CREATE VIEW app.outer_bets AS SELECT * FROM app.inner_bets;
            GRANT SELECT ON app.outer_bets TO {app}
        """,
        min_major=15,
    ),
    NearMiss(
        check="rls_view_bypass",
        name="a security_invoker view over a view that the application may not read",
        sql="""
            CREATE VIEW app.inner_bets AS SELECT * FROM app.bets;
            CREATE VIEW app.outer_bets WITH (security_invoker) AS SELECT * FROM app.inner_bets;
            GRANT SELECT ON app.outer_bets TO {app}
        """,
        min_major=15,
    ),
    NearMiss(
        check="rls_view_bypass",
        name="a view of the owner of forced tables",
        sql="""
            CREATE VIEW app.all_bets AS SELECT * FROM app.bets;
            ALTER VIEW app.all_bets OWNER TO {owner};
            GRANT SELECT ON app.all_bets TO {app}
        """,
    ),
    NearMiss(
        check="rls_view_bypass",
        name="a view of a role that row level security binds",
        sql="""
            ALTER TABLE app.bets NO FORCE ROW LEVEL SECURITY;
            GRANT SELECT ON app.bets TO {report};
            CREATE VIEW app.all_bets AS SELECT * FROM app.bets;
            ALTER VIEW app.all_bets OWNER TO {report};
            GRANT SELECT ON app.all_bets TO {app}
        """,
    ),
    NearMiss(
        check="rls_view_bypass",
        name="a superuser's view of shared tables",
        sql="""
            CREATE VIEW app.coming AS SELECT e.id, m.name, t.name AS host
            FROM app.events AS e JOIN ref.markets AS m ON m.id = e.market_id CROSS JOIN app.tenants AS t;
            GRANT SELECT ON app.coming TO {app}
        """,
    ),
    NearMiss(
        check="rls_view_bypass",
        name="a superuser's view that nobody may read, and one in a schema that nobody may use",
        sql="""
            CREATE VIEW app.all_bets AS SELECT * FROM app.bets;
            GRANT SELECT ON app.all_bets TO {admin};
            CREATE SCHEMA inside;
            CREATE VIEW inside.all_bets AS SELECT * FROM app.bets;
            GRANT SELECT ON inside.all_bets TO PUBLIC
        """,
    ),
    *(
        NearMiss(
            check="rls_view_bypass",
            name=f"a barrier that shows the context's rows only: {condition}",
            sql=f"""
                CREATE VIEW app.my_bets WITH (security_barrier = true) AS
                SELECT b.*, a.balance FROM app.bets AS b
                JOIN app.accounts AS a ON (a.tenant_id, a.id) = (b.tenant_id, b.account_id) WHERE {condition};
                GRANT SELECT ON app.my_bets TO {{app}}
            """,
        )
        for condition in (
            "b.tenant_id = current_setting('app.tenant_id')::uuid",
            "coalesce(b.stake, 0) > 0 AND a.balance IS NOT NULL AND b.tenant_id = app.current_tenant()",
            "b.stake > 0 AND b.tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid",
            "b.tenant_id::text = current_setting('app.tenant_id', true)",
            "b.tenant_id = (SELECT current_setting('app.tenant_id')::uuid)",
            "current_setting('app.tenant_id')::uuid = b.tenant_id",
            "b.tenant_id = app.current_tenant()",
        )
    ),
    NearMiss(
        check="rls_view_bypass",
        name="a barrier over a materialized view that is not granted itself",
        sql=f"""
            CREATE MATERIALIZED VIEW app.totals AS SELECT tenant_id, sum(stake) AS stake FROM app.bets GROUP BY 1;
            CREATE VIEW app.my_totals WITH (security_barrier) AS SELECT * FROM app.totals WHERE {OWN};
            GRANT SELECT ON app.my_totals TO {{app}}
        """,
    ),
    NearMiss(
        check="rls_matview_exposed",
        name="a materialized view that the application may not read",
        sql="""
            CREATE MATERIALIZED VIEW app.totals AS SELECT tenant_id, sum(stake) AS stake FROM app.bets GROUP BY 1;
            GRANT SELECT ON app.totals TO {admin}
        """,
    ),
    NearMiss(
        check="rls_matview_exposed",
        name="a materialized view of shared tables",
        sql="""
            CREATE MATERIALIZED VIEW app.coming AS SELECT e.id, m.name FROM app.events AS e, ref.markets AS m;
            GRANT SELECT ON app.coming TO {app}
        """,
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
