"""Policies that let through what is another tenant's: which roles and commands they are for, and what stands beside."""

from __future__ import annotations

import pytest

from tests.isolation.world import Plant, World, assert_found

CHECKS = (
    "rls_policy_always_true",
    "rls_policy_ignores_tenant_key",
    "rls_with_check_missing_key",
    "rls_policy_fail_open",
    "rls_policy_or_combination",
)
KEYED = "tenant_id = current_setting('app.tenant_id')::uuid"
MINE = "SET app.tenant_id = '{acme}'; "
READ = MINE + "SELECT * FROM app.bets WHERE tenant_id = '{beta}'"
DROP = "DROP POLICY tenant_isolation ON app.bets; "
# Writes a bet of another tenant; the account is that tenant's, so that its foreign key holds.
ADD = (
    MINE + "INSERT INTO app.bets (tenant_id, account_id, event_id, stake) VALUES ('{beta}', 2, 1, 1)"  # accounts: 1, 2
)
# An update that reads no column is judged by policies for UPDATE alone.
CHANGE_ALL = MINE + "UPDATE app.bets SET stake = 0"
# With the strict form of current_setting() on either side, the planner's look at it is an error already.
OPEN = "current_setting('app.tenant_id', true) IS NULL OR tenant_id = current_setting('app.tenant_id', true)::uuid"
UNSET = "SELECT * FROM app.bets WHERE tenant_id = '{beta}'"
BYHAND = (
    "CREATE POLICY s ON app.bets FOR SELECT TO {app} USING ({key}); "
    "CREATE POLICY i ON app.bets FOR INSERT TO {app} WITH CHECK ({key}); "
    "CREATE POLICY u ON app.bets FOR UPDATE TO {app} USING ({key}) WITH CHECK ({key}); "
    "CREATE POLICY d ON app.bets FOR DELETE TO {app} USING ({key}); "
).replace("{key}", KEYED)
TEAM = "CREATE ROLE team_{suffix} NOLOGIN; GRANT team_{suffix} TO {app}; "
PUBLIC_FLAG = "ALTER TABLE app.bets ADD is_public boolean NOT NULL DEFAULT true; "

PLANTS = [
    Plant(
        check="rls_policy_always_true",
        name="for everybody and everything",
        sql=DROP + "CREATE POLICY p ON app.bets USING (true)",
        object="app.bets",
        role="{app}",
        severity="P0",
        proof=READ,
    ),
    Plant(
        check="rls_policy_always_true",
        name="beside the one on the key, to read",
        sql="CREATE POLICY reporting ON app.bets FOR SELECT TO {app} USING (1 = 1)",
        object="app.bets",
        role="{app}",
        proof=READ,
    ),
    Plant(
        check="rls_policy_always_true",
        name="the policy was altered to a key that equals itself",
        sql="ALTER POLICY tenant_isolation ON app.bets USING (tenant_id = tenant_id)",
        object="app.bets",
        role="{app}",
        proof=READ,
    ),
    Plant(
        check="rls_policy_always_true",
        name="for a group that the application is in",
        sql=TEAM + "CREATE POLICY team ON app.bets FOR SELECT TO team_{suffix} USING (true)",
        object="app.bets",
        role="{app}",
        proof=READ,
    ),
    Plant(
        check="rls_policy_always_true",
        name="for a group that the application can become",
        sql="CREATE ROLE team_{suffix} NOLOGIN; ALTER ROLE {app} NOINHERIT; GRANT team_{suffix} TO {app}; "
        "GRANT USAGE ON SCHEMA app TO team_{suffix}; GRANT SELECT ON app.bets TO team_{suffix}; "
        "CREATE POLICY team ON app.bets FOR SELECT TO team_{suffix} USING (true)",
        object="app.bets",
        role="{app}",
        proof="SET ROLE team_{suffix}; " + READ,
    ),
    Plant(
        check="rls_policy_always_true",
        name="the restrictive one beside it is for another role",
        sql=DROP + "CREATE POLICY a ON app.bets USING (true); "
        f"CREATE POLICY b ON app.bets AS RESTRICTIVE TO {{report}} USING ({KEYED})",
        object="app.bets",
        role="{app}",
        proof=READ,
    ),
    Plant(
        check="rls_policy_always_true",
        name="the restrictive one beside it is for another command",
        sql=DROP + "CREATE POLICY a ON app.bets USING (true); "
        f"CREATE POLICY b ON app.bets AS RESTRICTIVE FOR SELECT USING ({KEYED})",
        object="app.bets",
        role="{app}",
        proof=CHANGE_ALL,
    ),
    Plant(
        check="rls_policy_always_true",
        name="the restrictive one beside it says nothing either",
        sql=DROP
        + "CREATE POLICY a ON app.bets USING (true); CREATE POLICY b ON app.bets AS RESTRICTIVE USING (stake > 0)",
        object="app.bets",
        role="{app}",
        proof=READ,
    ),
    Plant(
        check="rls_policy_always_true",
        name="to delete",
        sql="CREATE POLICY purge ON app.audit_log FOR DELETE TO {app} USING (true)",
        object="app.audit_log",
        role="{app}",
        proof="DELETE FROM app.audit_log",
    ),
    Plant(
        check="rls_policy_always_true",
        name="to add",
        sql="CREATE POLICY adding ON app.bets FOR INSERT TO {app} WITH CHECK (true)",
        object="app.bets",
        role="{app}",
        proof=ADD,
    ),
    Plant(
        check="rls_policy_always_true",
        name="of a partition that the application may name",
        sql="DROP POLICY tenant_isolation ON app.audit_log_2026; GRANT SELECT ON app.audit_log_2026 TO {app}; "
        "CREATE POLICY p ON app.audit_log_2026 USING (true)",
        object="app.audit_log_2026",
        role="{app}",
        proof=READ.replace("bets", "audit_log_2026"),
    ),
    Plant(
        check="rls_policy_ignores_tenant_key",
        name="another column",
        sql=DROP + "CREATE POLICY p ON app.bets FOR ALL TO {app} USING (stake < 1000)",
        object="app.bets",
        role="{app}",
        severity="P0",
        proof=READ,
    ),
    Plant(
        check="rls_policy_ignores_tenant_key",
        name="who is asking, and not whose row it is",
        sql=DROP + "CREATE POLICY p ON app.bets USING (current_user = '{app}')",
        object="app.bets",
        role="{app}",
        proof=READ,
    ),
    Plant(
        check="rls_policy_ignores_tenant_key",
        name="a context is set, no matter which",
        sql=DROP + "CREATE POLICY p ON app.bets USING (current_setting('app.tenant_id', true) IS NOT NULL)",
        object="app.bets",
        role="{app}",
        proof=READ,
    ),
    Plant(
        check="rls_policy_ignores_tenant_key",
        name="a sub-select on what is shared",
        sql=DROP + "CREATE POLICY p ON app.bets USING "
        "(EXISTS (SELECT FROM app.events AS e WHERE e.id = event_id AND e.starts_at > '2026-01-01'))",
        object="app.bets",
        role="{app}",
        proof=READ,
    ),
    Plant(
        check="rls_policy_ignores_tenant_key",
        name="beside the one on the key",
        sql="CREATE POLICY small ON app.bets FOR SELECT USING (stake < 1000)",
        object="app.bets",
        role="{app}",
        proof=READ,
    ),
    Plant(
        check="rls_with_check_missing_key",
        name="an explicit true",
        sql=DROP + f"CREATE POLICY p ON app.bets TO {{app}} USING ({KEYED}) WITH CHECK (true)",
        object="app.bets",
        role="{app}",
        severity="P0",
        proof=ADD,
    ),
    Plant(
        check="rls_with_check_missing_key",
        name="another column",
        sql="ALTER POLICY tenant_isolation ON app.bets WITH CHECK (stake > 0)",
        object="app.bets",
        role="{app}",
        proof=ADD,
    ),
    Plant(
        check="rls_with_check_missing_key",
        name="of a policy for INSERT",
        sql=DROP + BYHAND + "ALTER POLICY i ON app.bets WITH CHECK (stake > 0 AND account_id IS NOT NULL)",
        object="app.bets",
        role="{app}",
        proof=ADD,
    ),
    Plant(
        check="rls_with_check_missing_key",
        name="of a policy for UPDATE: rows are moved to another tenant",
        sql="DROP POLICY tenant_isolation ON app.audit_log; "
        f"CREATE POLICY u ON app.audit_log FOR UPDATE TO {{app}} USING ({KEYED}) WITH CHECK (what <> '')",
        object="app.audit_log",
        role="{app}",
        proof=MINE + "UPDATE app.audit_log SET tenant_id = '{beta}'",
    ),
    Plant(
        check="rls_policy_fail_open",
        name="IS NULL OR",
        sql=f"ALTER POLICY tenant_isolation ON app.bets USING ({OPEN})",
        object="app.bets",
        role="{app}",
        severity="P1",
        proof=UNSET,
    ),
    Plant(
        check="rls_policy_fail_open",
        name="coalesce with the key itself",
        sql=DROP + "CREATE POLICY p ON app.bets FOR SELECT "
        "USING (tenant_id = coalesce(nullif(current_setting('app.tenant_id', true), '')::uuid, tenant_id))",
        object="app.bets",
        role="{app}",
        proof=UNSET,
    ),
    Plant(
        check="rls_policy_fail_open",
        name="'' after a transaction that had one",
        sql=DROP
        + "CREATE POLICY p ON app.bets FOR SELECT USING (CASE WHEN current_setting('app.tenant_id', true) = '' "
        f"THEN true ELSE {KEYED} END)",
        object="app.bets",
        role="{app}",
        proof="BEGIN; SET LOCAL app.tenant_id = '{acme}'; COMMIT; " + UNSET,
    ),
    Plant(
        check="rls_policy_fail_open",
        name="inside of a function",
        sql=DROP + "CREATE FUNCTION app.visible(t uuid) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN "
        "IF coalesce(current_setting('app.tenant_id', true), '') = '' THEN RETURN true; END IF; "
        "RETURN t = current_setting('app.tenant_id')::uuid; END $$; "
        "CREATE POLICY p ON app.bets USING (app.visible(tenant_id))",
        object="app.bets",
        role="{app}",
        proof=UNSET,
    ),
    Plant(
        check="rls_policy_fail_open",
        name="a restrictive one, and the permissive ones ask for nothing",
        sql=DROP
        + f"CREATE POLICY a ON app.bets USING (true); CREATE POLICY b ON app.bets AS RESTRICTIVE USING ({OPEN})",
        object="app.bets",
        role="{app}",
        proof=UNSET,
    ),
    Plant(
        check="rls_policy_fail_open",
        name="in WITH CHECK alone",
        sql=f"ALTER POLICY tenant_isolation ON app.bets WITH CHECK ({OPEN})",
        object="app.bets",
        role="{app}",
        proof=ADD.replace(MINE, ""),
    ),
    Plant(
        check="rls_policy_or_combination",
        name="in one expression",
        sql=PUBLIC_FLAG + f"ALTER POLICY tenant_isolation ON app.bets USING ({KEYED} OR is_public)",
        object="app.bets",
        role="{app}",
        severity="P2",
        proof=READ,
    ),
    Plant(
        check="rls_policy_or_combination",
        name="two permissive policies for one command",
        sql=PUBLIC_FLAG + "CREATE POLICY public_rows ON app.bets FOR SELECT USING (is_public)",
        object="app.bets",
        role="{app}",
        proof=READ,
    ),
    Plant(
        check="rls_policy_or_combination",
        name="a flag that the application sets itself",
        sql=f"ALTER POLICY tenant_isolation ON app.bets USING ({KEYED} OR current_setting('app.support', true) = 'on')",
        object="app.bets",
        role="{app}",
        proof="SET app.support = 'on'; " + READ,
    ),
    Plant(
        check="rls_policy_or_combination",
        name="a restrictive one, and the permissive ones ask for nothing",
        sql=PUBLIC_FLAG + DROP + "CREATE POLICY a ON app.bets USING (true); "
        f"CREATE POLICY b ON app.bets AS RESTRICTIVE USING ({KEYED} OR is_public)",
        object="app.bets",
        role="{app}",
        proof=READ,
    ),
    Plant(
        check="rls_policy_or_combination",
        name="a permissive true beside the one on the key",
        sql="CREATE POLICY all_rows ON app.bets FOR SELECT TO {app} USING (true)",
        object="app.bets",
        role="{app}",
        proof=READ,
    ),
]
RESTRICTED = (
    DROP
    + f"CREATE POLICY a ON app.bets USING (true); CREATE POLICY b ON app.bets AS RESTRICTIVE TO {{app}} USING ({KEYED})"
)
# For none of the checks.
NEAR_MISSES = [
    ("a restrictive true", "CREATE POLICY p ON app.bets AS RESTRICTIVE USING (true)"),
    ("a restrictive one on another column", "CREATE POLICY p ON app.bets AS RESTRICTIVE USING (stake > 0)"),
    ("for operators alone", "CREATE POLICY p ON app.bets TO {admin}, {report} USING (true) WITH CHECK (true)"),
    ("a permissive true, and a restrictive one on the key", RESTRICTED),
    ("one for each command", DROP + BYHAND),
    (
        "on another column, and a restrictive one on the key",
        RESTRICTED + "; ALTER POLICY a ON app.bets USING (stake > 0) WITH CHECK (stake < 1000)",
    ),
    (
        "on a table that the application cannot touch",
        "REVOKE ALL ON app.bets FROM {app}; CREATE POLICY p ON app.bets USING (true)",
    ),
    (
        "to delete, and the application may not",
        "REVOKE DELETE ON app.bets FROM {app}; CREATE POLICY p ON app.bets FOR DELETE USING (true)",
    ),
    (
        "to write, and the application may only read",
        "REVOKE INSERT, UPDATE, DELETE ON app.bets FROM {app}; "
        "CREATE POLICY p ON app.bets FOR INSERT WITH CHECK (true); "
        "CREATE POLICY q ON app.bets FOR UPDATE USING (true)",
    ),
    (
        "an INSERT policy without WITH CHECK of its own lets nothing through",
        DROP + BYHAND + "DROP POLICY i ON app.bets; CREATE POLICY i ON app.bets FOR INSERT TO {app}",
    ),
    (
        "two on the key are alternatives of one tenant",
        f"CREATE POLICY p ON app.bets FOR SELECT TO {{app}} USING ({KEYED} AND stake > 0)",
    ),
    (
        "not on a tenant's table",
        "ALTER TABLE app.events ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON app.events USING (true)",
    ),
    (
        "of a table whose row level security is off: that is another check's",
        "ALTER TABLE app.bets DISABLE ROW LEVEL SECURITY; CREATE POLICY p ON app.bets USING (true)",
    ),
    (
        "open while unset, and a restrictive one that is not",
        f"ALTER POLICY tenant_isolation ON app.bets USING ({OPEN}) WITH CHECK ({OPEN}); "
        f"CREATE POLICY p ON app.bets AS RESTRICTIVE USING ({KEYED})",
    ),
    (
        "a restrictive one open while unset, and permissive ones that are not",
        f"CREATE POLICY p ON app.bets AS RESTRICTIVE USING ({OPEN})",
    ),
    (
        "through a group, by a helper function",
        TEAM + "ALTER POLICY tenant_isolation ON app.bets TO team_{suffix} "
        "USING (tenant_id = app.current_tenant()) WITH CHECK (tenant_id = (SELECT app.current_tenant()))",
    ),
    (
        "through the parent that carries the key",
        DROP + "CREATE POLICY p ON app.bets USING (EXISTS (SELECT FROM app.accounts AS a WHERE a.id = account_id))",
    ),
]


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: f"{plant.check}: {plant.name}")
def test_a_hole_is_found(pool: World, plant: Plant) -> None:
    assert_found(pool, plant)


@pytest.mark.parametrize(("name", "sql"), NEAR_MISSES, ids=[name for name, _ in NEAR_MISSES])
def test_a_near_miss_is_none(pool: World, name: str, sql: str) -> None:
    pool.run(sql)
    runs = pool.check(CHECKS)
    assert set(runs) == set(CHECKS)
    assert not [finding for run in runs.values() for finding in run.findings], name
