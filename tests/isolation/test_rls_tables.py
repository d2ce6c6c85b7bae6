"""Row level security that is off, not forced, without policies, or that does not bind the application's role."""

from __future__ import annotations

import pytest

from tests.isolation.world import NearMiss, Plant, World, assert_found

OTHERS = "SET app.tenant_id = '{acme}'; SELECT * FROM app.{t} WHERE tenant_id = '{beta}'"


def others(table: str) -> str:
    """Rows of another tenant, which a role with the context of its own should not see."""
    return OTHERS.replace("{t}", table)


NOTES = """
CREATE TABLE app.notes (tenant_id uuid NOT NULL REFERENCES app.tenants, id bigint, what text);
ALTER TABLE app.notes OWNER TO {owner};
INSERT INTO app.notes VALUES ('{acme}', 1, 'a'), ('{beta}', 2, 'b');
"""
TEAM = "CREATE ROLE team_{suffix} NOLOGIN; GRANT team_{suffix} TO {app};"
# Partitions by tenant, one of them of partitions.
PARTS = """
CREATE TABLE app.ledger (tenant_id uuid NOT NULL, id bigint NOT NULL) PARTITION BY LIST (tenant_id);
CREATE TABLE app.ledger_acme PARTITION OF app.ledger FOR VALUES IN ('{acme}');
CREATE TABLE app.ledger_rest PARTITION OF app.ledger DEFAULT PARTITION BY RANGE (id);
CREATE TABLE app.ledger_rest_1 PARTITION OF app.ledger_rest DEFAULT;
INSERT INTO app.ledger VALUES ('{acme}', 1), ('{beta}', 2);
ALTER TABLE app.ledger ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.ledger FORCE ROW LEVEL SECURITY;
CREATE POLICY p ON app.ledger USING (tenant_id = current_setting('app.tenant_id')::uuid);
GRANT SELECT ON app.ledger TO {app};
"""
PLANTS = [
    Plant(
        check="rls_disabled",
        name="a table whose row level security was switched off",
        sql="ALTER TABLE app.bets DISABLE ROW LEVEL SECURITY",
        object="app.bets",
        role="{app}",
        severity="P0",
        proof=others("bets"),
    ),
    Plant(
        check="rls_disabled",
        name="a new table that was never protected, granted through PUBLIC",
        sql=NOTES + "GRANT SELECT ON app.notes TO PUBLIC",
        object="app.notes",
        role="{app}",
        proof=others("notes"),
    ),
    Plant(
        check="rls_disabled",
        name="a new table, granted to a group that the application is in",
        sql=NOTES + TEAM + "GRANT SELECT ON app.notes TO team_{suffix}",
        object="app.notes",
        role="{app}",
        proof=others("notes"),
    ),
    Plant(
        check="rls_disabled",
        name="a group that is there for SET ROLE alone",
        sql=NOTES
        + TEAM
        + "ALTER ROLE {app} NOINHERIT; GRANT USAGE ON SCHEMA app TO team_{suffix}; "
        + "GRANT SELECT ON app.notes TO team_{suffix}; GRANT team_{suffix} TO {app}",
        object="app.notes",
        role="{app}",
        proof="SET ROLE team_{suffix}; " + others("notes"),
    ),
    Plant(
        check="rls_disabled",
        name="a grant on two columns",
        sql=NOTES + "GRANT SELECT (tenant_id, what) ON app.notes TO {app}",
        object="app.notes",
        role="{app}",
        proof="SELECT what FROM app.notes WHERE tenant_id = '{beta}'",
    ),
    Plant(
        check="rls_disabled",
        name="policies that are written and not switched on",
        sql=NOTES
        + "CREATE POLICY p ON app.notes USING (tenant_id = current_setting('app.tenant_id')::uuid); "
        + "GRANT SELECT ON app.notes TO {app}",
        object="app.notes",
        role="{app}",
        proof=others("notes"),
    ),
    Plant(
        check="rls_disabled",
        name="a partitioned table: its partitions are protected, it is not",
        sql="ALTER TABLE app.audit_log DISABLE ROW LEVEL SECURITY",
        object="app.audit_log",
        role="{app}",
        proof=others("audit_log"),
    ),
    Plant(
        check="rls_disabled",
        name="the application owns the table",
        sql=NOTES + "ALTER TABLE app.notes OWNER TO {app}",
        object="app.notes",
        role="{app}",
        proof=others("notes"),
    ),
    Plant(
        check="rls_partition_unprotected",
        name="a partition granted to the application",
        sql="ALTER TABLE app.audit_log_2026 DISABLE ROW LEVEL SECURITY; GRANT SELECT ON app.audit_log_2026 TO {app}",
        object="app.audit_log_2026",
        role="{app}",
        severity="P0",
        proof=others("audit_log_2026"),
    ),
    Plant(
        check="rls_partition_unprotected",
        name="grants on all tables of the schema, a new partition among them",
        sql="CREATE TABLE app.audit_log_2025 PARTITION OF app.audit_log "
        "FOR VALUES FROM ('2025-01-01') TO ('2026-01-01'); "
        "INSERT INTO app.audit_log (tenant_id, ts, what) VALUES ('{beta}', '2025-06-01', 'login'); "
        "GRANT SELECT ON ALL TABLES IN SCHEMA app TO {app}",
        object="app.audit_log_2025",
        role="{app}",
        proof=others("audit_log_2025"),
    ),
    Plant(
        check="rls_partition_unprotected",
        name="a partition of a partition, granted through PUBLIC",
        sql=PARTS + "GRANT SELECT ON app.ledger_rest_1 TO PUBLIC",
        object="app.ledger_rest_1",
        role="{app}",
        proof=others("ledger_rest_1"),
    ),
    Plant(
        check="rls_partition_unprotected",
        name="the partitioned partition between, granted through a group",
        sql=PARTS + TEAM + "GRANT SELECT ON app.ledger_rest TO team_{suffix}",
        object="app.ledger_rest",
        role="{app}",
        proof=others("ledger_rest"),
    ),
    Plant(
        check="rls_partition_unprotected",
        name="a partition in a schema that is not declared",
        sql=PARTS
        + 'CREATE SCHEMA "old parts"; ALTER TABLE app.ledger_rest_1 SET SCHEMA "old parts"; '
        + 'GRANT USAGE ON SCHEMA "old parts" TO {app}; '
        + 'GRANT SELECT (id, tenant_id) ON "old parts".ledger_rest_1 TO {app}',
        object='"old parts".ledger_rest_1',
        role="{app}",
        proof="SELECT id, tenant_id FROM \"old parts\".ledger_rest_1 WHERE tenant_id = '{beta}'",
    ),
    Plant(
        check="rls_app_role_bypass",
        name="BYPASSRLS",
        sql="ALTER ROLE {app} BYPASSRLS",
        object="{app}",
        role="{app}",
        severity="P0",
        proof=others("bets"),
    ),
    Plant(
        check="rls_app_role_bypass",
        name="a superuser",
        sql="ALTER ROLE {app} SUPERUSER",
        object="{app}",
        role="{app}",
        proof=others("bets"),
    ),
    Plant(
        check="rls_app_role_bypass",
        name="a member of the operators' role",
        sql="GRANT {admin} TO {app}",
        object="{admin}",
        role="{app}",
        proof="SET ROLE {admin}; " + others("bets"),
    ),
    Plant(
        check="rls_app_role_bypass",
        name="a member of a member of the operators' role",
        sql=TEAM + "GRANT {admin} TO team_{suffix}",
        object="{admin}",
        role="{app}",
        proof="SET ROLE {admin}; " + others("bets"),
    ),
    Plant(
        check="rls_owner_not_forced",
        name="the application owns the table",
        sql="ALTER TABLE app.bets NO FORCE ROW LEVEL SECURITY; GRANT {owner} TO postgres; "
        "GRANT CREATE ON SCHEMA app TO {app}; ALTER TABLE app.bets OWNER TO {app}",
        object="app.bets",
        role="{app}",
        severity="P0",
        proof=others("bets"),
    ),
    Plant(
        check="rls_owner_not_forced",
        name="the application is a member of the owner's role",
        sql="ALTER TABLE app.payouts NO FORCE ROW LEVEL SECURITY; GRANT {owner} TO {app}",
        object="app.payouts",
        role="{app}",
        proof=others("payouts"),
    ),
    Plant(
        check="rls_owner_not_forced",
        name="it can become the owner by SET ROLE alone",
        sql="ALTER TABLE app.payouts NO FORCE ROW LEVEL SECURITY; ALTER ROLE {app} NOINHERIT; GRANT {owner} TO {app}",
        object="app.payouts",
        role="{app}",
        proof="SET ROLE {owner}; " + others("payouts"),
    ),
    Plant(
        check="rls_not_forced",
        name="a table that is not forced",
        sql="ALTER TABLE app.bets NO FORCE ROW LEVEL SECURITY",
        object="app.bets",
        role="",
        severity="P3",
    ),
    Plant(
        check="rls_not_forced",
        name="a partition that is not forced",
        sql="ALTER TABLE app.audit_log_2026 NO FORCE ROW LEVEL SECURITY",
        object="app.audit_log_2026",
        role="",
    ),
    Plant(
        check="rls_enabled_no_policy",
        name="the policy was dropped",
        sql="DROP POLICY tenant_isolation ON app.bets",
        object="app.bets",
        role="",
        severity="P3",
    ),
    Plant(
        check="rls_enabled_no_policy",
        name="a new table without any",
        sql=NOTES + "ALTER TABLE app.notes ENABLE ROW LEVEL SECURITY; ALTER TABLE app.notes FORCE ROW LEVEL SECURITY",
        object="app.notes",
        role="",
    ),
    Plant(
        check="rls_enabled_no_policy",
        name="restrictive policies alone let nothing through",
        sql="DROP POLICY tenant_isolation ON app.bets; CREATE POLICY p ON app.bets AS RESTRICTIVE USING (true)",
        object="app.bets",
        role="",
    ),
]
NEAR_MISSES = [
    NearMiss(
        check="rls_disabled",
        name="a table that the application cannot touch",
        sql="CREATE TABLE app.archive (tenant_id uuid NOT NULL, what text)",
    ),
    NearMiss(
        check="rls_disabled",
        name="a table of operators",
        sql=NOTES + "GRANT ALL ON app.notes TO {admin}, {report}",
    ),
    NearMiss(
        check="rls_disabled",
        name="a table in a schema that the application may not use",
        sql="CREATE SCHEMA back; " + NOTES.replace("app.notes", "back.notes") + "GRANT SELECT ON back.notes TO {app}",
        tenancy={"pool_schemas": ["app", "back"]},
    ),
    NearMiss(
        check="rls_disabled",
        name="a shared table with a column of that name",
        sql=NOTES + "GRANT SELECT ON app.notes TO {app}",
        tenancy={"shared": {"schemas": ["ref"], "tables": ["app.events", "app.notes"]}},
    ),
    NearMiss(
        check="rls_disabled",
        name="the table of the tenants, whose key has that name",
        sql="ALTER TABLE app.tenants RENAME id TO tenant_id",
        tenancy={"key": {"columns": ["tenant_id"], "tenants_table": "app.tenants", "tenants_pk": "tenant_id"}},
    ),
    NearMiss(
        check="rls_disabled",
        name="a group that the application is not in",
        sql=NOTES + "CREATE ROLE team_{suffix} NOLOGIN; GRANT SELECT ON app.notes TO team_{suffix}",
    ),
    NearMiss(
        check="rls_partition_unprotected",
        name="a partition without a grant",
        sql="ALTER TABLE app.audit_log_2026 DISABLE ROW LEVEL SECURITY",
    ),
    NearMiss(
        check="rls_partition_unprotected",
        name="a partition with a grant and row level security of its own",
        sql="GRANT SELECT ON app.audit_log_2026 TO {app}",
    ),
    NearMiss(
        check="rls_partition_unprotected",
        name="a partition that row level security without policies closes",
        sql=PARTS + "ALTER TABLE app.ledger_acme ENABLE ROW LEVEL SECURITY; GRANT SELECT ON app.ledger_acme TO {app}",
    ),
    NearMiss(
        check="rls_partition_unprotected",
        name="a partition that operators read",
        sql="ALTER TABLE app.audit_log_2026 DISABLE ROW LEVEL SECURITY; GRANT SELECT ON app.audit_log_2026 TO {report}",
    ),
    NearMiss(
        check="rls_partition_unprotected",
        name="a partition in a schema that the application may not use",
        sql=PARTS
        + "CREATE SCHEMA parts; ALTER TABLE app.ledger_acme SET SCHEMA parts; "
        + "GRANT SELECT ON parts.ledger_acme TO {app}",
    ),
    NearMiss(
        check="rls_partition_unprotected",
        name="a partition of a shared table",
        sql="CREATE TABLE app.odds (id bigint, tenant_id uuid) PARTITION BY RANGE (id); "
        "CREATE TABLE app.odds_1 PARTITION OF app.odds DEFAULT; GRANT SELECT ON app.odds, app.odds_1 TO {app}",
        tenancy={"shared": {"schemas": ["ref"], "tables": ["app.events", "app.odds"]}},
    ),
    NearMiss(
        check="rls_app_role_bypass",
        name="operators have BYPASSRLS, and are members of the application's role",
        sql="GRANT {app} TO {admin}",
    ),
    NearMiss(
        check="rls_app_role_bypass",
        name="a group without it",
        sql=TEAM + "GRANT team_{suffix} TO {admin}",
    ),
    NearMiss(
        check="rls_app_role_bypass",
        name="a membership without SET lends privileges, not BYPASSRLS",
        sql="GRANT {admin} TO {app} WITH INHERIT TRUE, SET FALSE",
        min_major=16,
    ),
    NearMiss(
        check="rls_owner_not_forced",
        name="the application is a member of the owner's role, and it is forced",
        sql="GRANT {owner} TO {app}",
    ),
    NearMiss(
        check="rls_owner_not_forced",
        name="not forced, and the application has nothing of the owner",
        sql="ALTER TABLE app.bets NO FORCE ROW LEVEL SECURITY; GRANT {owner} TO {report}; GRANT {app} TO {owner}",
    ),
    NearMiss(
        check="rls_owner_not_forced",
        name="the owner of another table",
        sql=NOTES + "ALTER TABLE app.bets NO FORCE ROW LEVEL SECURITY; ALTER TABLE app.notes OWNER TO {app}",
    ),
    NearMiss(
        check="rls_not_forced",
        name="row level security is off: there is nothing to force",
        sql="ALTER TABLE app.bets NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY",
    ),
    NearMiss(
        check="rls_not_forced",
        name="the application can act as the owner: that is worse, and another check's",
        sql="ALTER TABLE app.bets NO FORCE ROW LEVEL SECURITY; GRANT {owner} TO {app}",
    ),
    NearMiss(
        check="rls_enabled_no_policy",
        name="a policy for one command",
        sql="DROP POLICY tenant_isolation ON app.bets; CREATE POLICY p ON app.bets FOR SELECT TO {app} "
        "USING (tenant_id = current_setting('app.tenant_id')::uuid)",
    ),
    NearMiss(
        check="rls_enabled_no_policy",
        name="a partition that is closed to direct access",
        sql="DROP POLICY tenant_isolation ON app.audit_log_2026",
    ),
    NearMiss(
        check="rls_enabled_no_policy",
        name="row level security is off",
        sql="DROP POLICY tenant_isolation ON app.bets; ALTER TABLE app.bets DISABLE ROW LEVEL SECURITY",
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
