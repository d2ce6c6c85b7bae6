"""What a finding says is SQL that can be run as it stands, and mends it."""

from __future__ import annotations

import pytest

from tests.isolation.world import World

HOLES = {
    "rls_app_role_bypass": "CREATE ROLE team_{suffix} NOLOGIN; GRANT {admin} TO team_{suffix}; "
    "GRANT team_{suffix} TO {app}",
    "rls_policy_or_combination": "CREATE POLICY big ON app.bets FOR SELECT TO {app} USING (stake > 1); "
    "CREATE POLICY adding ON app.bets FOR INSERT TO {app} WITH CHECK (stake > 1)",
    "rls_policy_ignores_tenant_key": "CREATE POLICY demo ON app.bets TO {app} USING (tenant_id = '{beta}')",
    "rls_enabled_no_policy": "DROP POLICY tenant_isolation ON app.bets",
    "rls_matview_exposed": "CREATE MATERIALIZED VIEW app.totals AS "
    "SELECT tenant_id, sum(stake) FROM app.bets GROUP BY 1; GRANT SELECT ON app.totals TO PUBLIC, {app}",
    "rls_definer_function": "CREATE FUNCTION app.total() RETURNS numeric LANGUAGE sql SECURITY DEFINER "
    "AS 'SELECT sum(stake) FROM app.bets'",
    "rls_foreign_table": "CREATE EXTENSION postgres_fdw; CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw; "
    "CREATE FOREIGN TABLE app.old_bets (tenant_id uuid NOT NULL, stake numeric) SERVER elsewhere; "
    "CREATE ROLE team_{suffix} NOLOGIN; GRANT team_{suffix} TO {app}; "
    "GRANT SELECT (tenant_id) ON app.old_bets TO team_{suffix}; GRANT INSERT ON app.old_bets TO PUBLIC",
    "tenant_table_published": "CREATE PUBLICATION two FOR TABLE app.bets, app.payouts, app.events; "
    'CREATE PUBLICATION part FOR TABLE app.audit_log_2026; CREATE PUBLICATION "All" FOR ALL TABLES',
    "tenant_table_without_key": "CREATE TABLE app.notes (id bigint, body text); GRANT SELECT ON app.notes TO {app}",
}


@pytest.mark.parametrize("check", HOLES)
def test_what_a_finding_says_mends_it(pool: World, check: str) -> None:
    pool.run(HOLES[check])
    found = pool.findings(check)
    assert found
    for finding in found:
        pool.run(finding.remedy)
    assert not pool.findings(check)


def test_a_schema_that_is_published_is_taken_out(pool: World) -> None:
    if pool.major < 15:
        pytest.skip("new in 15")
    pool.run("CREATE PUBLICATION of_schema FOR TABLES IN SCHEMA app")
    found = pool.findings("tenant_table_published")
    assert {finding.remedy.split(" -- ")[0] for finding in found} == {
        "ALTER PUBLICATION of_schema DROP TABLES IN SCHEMA app;"
    }
    pool.run(found[0].remedy)
    assert not pool.findings("tenant_table_published")


def test_a_foreign_key_at_a_column_with_the_key_carries_the_key_once(pool: World) -> None:
    """Where another column already points at the parent's key, it is left out of the new foreign key."""
    pool.run(
        "CREATE TABLE app.friends (tenant_id uuid NOT NULL, of_tenant uuid, user_id bigint, "
        "FOREIGN KEY (of_tenant, user_id) REFERENCES app.users (tenant_id, id))"
    )
    (finding,) = pool.findings("fk_without_tenant_key")
    pool.run(finding.remedy)
    assert not pool.findings("fk_without_tenant_key")
