"""What is told from the expression of a policy: whether it asks for the tenant, and what it does without a context."""

from __future__ import annotations

import pytest

from tests.isolation.world import World

FIXED = "current_setting('app.tenant_id')::uuid"  # an error while it is unset
LOOSE = "current_setting('app.tenant_id', true)"  # NULL before it was ever set, '' afterwards
NOBODY = "00000000-0000-0000-0000-000000000000"

# What policies call: helpers as applications have them.
HELPERS = """
CREATE TABLE app.members (tenant_id uuid NOT NULL, user_id bigint NOT NULL, login text NOT NULL);
CREATE FUNCTION app.may_see(t uuid) RETURNS boolean LANGUAGE sql STABLE
  AS $$ SELECT t = nullif(current_setting('app.tenant_id', true), '')::uuid $$;
CREATE FUNCTION app.owns_user(i bigint) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER AS $$
  SELECT EXISTS (SELECT FROM app.users AS u WHERE u.id = i AND u.tenant_id = current_setting('app.tenant_id')::uuid)
$$;
CREATE FUNCTION app.setting(name text) RETURNS text LANGUAGE sql STABLE
  AS $$ SELECT current_setting('app.' || name, true) $$;
CREATE FUNCTION app.is_admin() RETURNS boolean LANGUAGE sql STABLE
  AS $$ SELECT current_setting('app.role', true) = 'admin' $$;
CREATE FUNCTION app.tenant_or_nobody() RETURNS uuid LANGUAGE sql STABLE
  AS $$ SELECT coalesce(nullif(current_setting('app.tenant_id', true), ''), '{nobody}')::uuid $$;
CREATE FUNCTION app.tenant_or_acme() RETURNS uuid LANGUAGE sql STABLE
  AS $$ SELECT coalesce(nullif(current_setting('app.tenant_id', true), ''), '{acme}')::uuid $$;
CREATE FUNCTION app.visible_or(t uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT current_setting('app.tenant_id', true) IS NULL OR t = current_setting('app.tenant_id')::uuid
$$;
CREATE FUNCTION app.visible_if(t uuid) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE
  v text := current_setting('app.tenant_id', true);
BEGIN
  -- Jobs have none.
  IF v IS NULL OR v = '' THEN
    RETURN true;
  END IF;
  RETURN t = v::uuid;
END $$;
CREATE FUNCTION app.visible_coalesce(t uuid) RETURNS boolean LANGUAGE sql STABLE
  AS $$ SELECT t = coalesce(nullif(current_setting('app.tenant_id', true), '')::uuid, t) $$;
CREATE FUNCTION app.visible_atomic(t uuid) RETURNS boolean LANGUAGE sql STABLE
  RETURN current_setting('app.tenant_id', true) IS NULL OR t = current_setting('app.tenant_id')::uuid;
-- These know of who asks what they are told, and no more.
CREATE FUNCTION app.is_same(a uuid, b uuid) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT a = b $$;
CREATE FUNCTION app.is_given(a anyelement) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT a IS NOT NULL $$;
CREATE FUNCTION app.is_low(i bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN i < 1000; END $$;
CREATE VIEW app.my_tenants AS
  SELECT m.tenant_id FROM app.members AS m WHERE m.login = current_user;
""".replace("{nobody}", NOBODY)

# `{t}` is the table. Each policy stands alone, FOR ALL, with USING alone.
SOUND = [
    f"tenant_id = {FIXED}",
    f"{FIXED} = tenant_id",
    f"tenant_id = nullif({LOOSE}, '')::uuid",
    f"tenant_id::text = {LOOSE}",
    f"tenant_id::varchar(36) = {LOOSE}",
    "tenant_id = app.current_tenant()",
    "tenant_id = (SELECT app.current_tenant())",
    f"tenant_id = (SELECT nullif({LOOSE}, '')::uuid)",
    f"tenant_id = ANY (string_to_array({LOOSE}, ',')::uuid[])",
    f"ARRAY[tenant_id] <@ string_to_array({LOOSE}, ',')::uuid[]",
    f"tenant_id IN ({FIXED}, nullif(current_setting('app.parent_id', true), '')::uuid)",
    f"tenant_id = {FIXED} OR tenant_id = current_setting('app.parent_id', true)::uuid",
    "tenant_id IN (SELECT m.tenant_id FROM app.members AS m WHERE m.user_id = current_setting('app.user_id')::bigint)",
    "tenant_id IN (SELECT tenant_id FROM app.my_tenants)",
    "tenant_id = (SELECT m.tenant_id FROM app.members AS m WHERE m.login = current_user LIMIT 1)",
    "EXISTS (SELECT FROM app.members AS m WHERE m.tenant_id = {t}.tenant_id AND m.login = current_user)",
    f"EXISTS (SELECT FROM app.users AS u WHERE u.id = user_id AND u.tenant_id = {FIXED})",
    "EXISTS (SELECT FROM app.users AS u WHERE u.id = {t}.user_id)",
    "user_id IN (SELECT id FROM app.users)",
    "app.owns_user(user_id)",
    "app.may_see(tenant_id)",
    "app.may_see({t}.tenant_id)",
    f"app.is_same(tenant_id, {FIXED})",
    "tenant_id = app.setting('tenant_id')::uuid",
    "tenant_id = app.tenant_or_nobody()",
    "tenant_id = (current_setting('request.jwt.claims', true)::jsonb ->> 'tenant_id')::uuid",
    "tenant_id::text = split_part(current_user, '_', 2)",
    "tenant_id::text = current_user",
    f"lower(tenant_id::text) = lower({LOOSE})",
    f"tenant_id IS NOT DISTINCT FROM {FIXED}",
    f"NOT (tenant_id <> {FIXED})",
    f"(tenant_id = {FIXED}) IS TRUE",
    f"(tenant_id, kind) = ({FIXED}, 'x')",
    f"coalesce(tenant_id = {LOOSE}::uuid, false)",
    f"tenant_id = coalesce(nullif({LOOSE}, ''), '{NOBODY}')::uuid",
    f"tenant_id::text = coalesce({LOOSE}, 'none')",
    f"tenant_id = ANY (coalesce(string_to_array(nullif({LOOSE}, ''), ','), ARRAY[]::text[])::uuid[])",
    f"tenant_id = ANY (coalesce(string_to_array(nullif({LOOSE}, ''), ','), '{{}}')::uuid[])",
    f"{LOOSE} IS NOT NULL AND tenant_id = {FIXED}",
    f"coalesce({LOOSE}, '') <> '' AND tenant_id = {FIXED}",
    f"length({LOOSE}) > 0 AND tenant_id = {FIXED}",
    f"CASE WHEN coalesce({LOOSE}, '') = '' THEN false ELSE tenant_id = {FIXED} END",
    f"CASE WHEN {LOOSE} IS NULL THEN false WHEN true THEN tenant_id = {FIXED} END",
    f"tenant_id = {FIXED} AND deleted_at IS NULL",
    f"tenant_id = {FIXED} AND (deleted_at IS NULL OR is_public)",
    f"tenant_id = {FIXED} AND kind IN ('a', 'b') AND kind NOT LIKE '%(x)%'",
    f"tenant_id = {FIXED} AND (is_public OR owner = current_user)",
    f"tenant_id = {FIXED} OR current_user = '{{admin}}'",
    f"tenant_id = {FIXED} OR pg_has_role(current_user, '{{admin}}', 'MEMBER')",
    f"tenant_id = '{NOBODY}'",
    "tenant_id = '{acme}'",  # of a role that is one tenant's
    "false",
    "1 = 0",
]
ALWAYS_TRUE = [
    "true",
    "1 = 1",
    "'a' = 'a'",
    "2 > 1",
    "1 <> 2",
    "NOT false",
    "(SELECT true)",
    "true AND true",
    "id = id",
    "tenant_id = tenant_id",
    "tenant_id IS NOT NULL",
    f"tenant_id <> '{NOBODY}'",
    "length(tenant_id::text) > 0",
    "tenant_id IN (SELECT id FROM app.tenants)",
    "EXISTS (SELECT FROM app.tenants AS o WHERE o.id = {t}.tenant_id)",
    f"true OR tenant_id = {FIXED}",
    f"tenant_id = {FIXED} OR 1 = 1",
    f"tenant_id = {FIXED} OR tenant_id <> {FIXED}",
    f"tenant_id = {FIXED} OR tenant_id IS NOT NULL",
    "CASE WHEN true THEN true ELSE false END",
    "coalesce(true, false)",
]
IGNORES_KEY = [
    "deleted_at IS NULL",
    "is_public",
    "kind = 'open' AND id > 0",
    "kind IN ('a', 'b') OR is_public",
    "owner = current_user",
    "user_id = current_setting('app.user_id')::bigint",
    "current_user = '{app}'",
    f"{LOOSE} IS NOT NULL",
    f"{LOOSE} <> ''",
    f"length({LOOSE}) > 0",
    "app.is_admin()",
    "EXISTS (SELECT FROM app.members AS m WHERE m.login = current_user)",
    "EXISTS (SELECT FROM app.events AS e WHERE e.id = {t}.user_id AND e.starts_at > now())",
    f"tenant_id > {FIXED}",
    "tenant_id IN ('{acme}', '{beta}')",
    "app.is_low(id)",
    "app.is_given(tenant_id)",
    "app.is_given({t}.*)",
    f"tenant_id::text LIKE {LOOSE} || '%'",
]
OR_COMBINATION = [
    f"tenant_id = {FIXED} OR is_public",
    f"is_public OR tenant_id = {FIXED}",
    f"tenant_id = {FIXED} OR kind IN ('a', 'b')",
    f"tenant_id = {FIXED} OR deleted_at IS NULL AND kind = 'x'",
    f"tenant_id = {FIXED} OR current_setting('app.is_admin', true) = 'on'",
    f"tenant_id = {FIXED} OR app.is_admin()",
    f"tenant_id = {FIXED} OR tenant_id IN (SELECT id FROM app.tenants)",
    f"tenant_id = {FIXED} OR tenant_id = '{{beta}}'",
    f"CASE WHEN is_public THEN true ELSE tenant_id = {FIXED} END",
    f"CASE current_setting('app.mode', true) WHEN 'all' THEN true ELSE tenant_id = {FIXED} END",
    f"coalesce(is_public, false) OR tenant_id = {FIXED}",
]
FAIL_OPEN = [
    f"{LOOSE} IS NULL OR tenant_id = {FIXED}",
    f"tenant_id = {LOOSE}::uuid OR {LOOSE} IS NULL OR {LOOSE} = ''",
    f"{LOOSE} = '' OR tenant_id = {FIXED}",
    f"coalesce({LOOSE}, '') = '' OR tenant_id = {LOOSE}::uuid",
    f"nullif({LOOSE}, '') IS NULL OR tenant_id = nullif({LOOSE}, '')::uuid",
    f"btrim({LOOSE}) = '' OR tenant_id = {FIXED}",
    f"coalesce(length({LOOSE}), 0) = 0 OR tenant_id = {FIXED}",
    f"(SELECT {LOOSE}) IS NULL OR tenant_id = {FIXED}",
    f"coalesce({LOOSE}::uuid, tenant_id) = tenant_id",
    f"tenant_id = coalesce(nullif({LOOSE}, '')::uuid, tenant_id)",
    f"tenant_id::text = coalesce(nullif({LOOSE}, ''), tenant_id::text)",
    f"tenant_id IS NOT DISTINCT FROM coalesce({LOOSE}::uuid, tenant_id)",
    f"tenant_id = coalesce({LOOSE}, '{{beta}}')::uuid",
    f"tenant_id = CASE WHEN {LOOSE} <> '' THEN {LOOSE}::uuid ELSE tenant_id END",
    f"CASE WHEN {LOOSE} IS NULL THEN true ELSE tenant_id = {FIXED} END",
    f"CASE WHEN coalesce({LOOSE}, '') <> '' THEN tenant_id = {FIXED} ELSE true END",
    f"coalesce(tenant_id = nullif({LOOSE}, '')::uuid, true)",
    f"(tenant_id = {LOOSE}::uuid) IS NOT FALSE",
    f"(tenant_id <> {LOOSE}::uuid) IS NOT TRUE",
    f"NOT ({LOOSE} IS NOT NULL AND tenant_id <> {LOOSE}::uuid)",
    "app.current_tenant() IS NULL OR tenant_id = app.current_tenant()",
    "tenant_id = coalesce(app.current_tenant(), tenant_id)",
    f"EXISTS (SELECT FROM app.members AS m WHERE m.tenant_id = {{t}}.tenant_id AND ({LOOSE} IS NULL OR m.user_id = 1))",
    "app.visible_or(tenant_id)",
    "app.visible_if(tenant_id)",
    "app.visible_coalesce(tenant_id)",
    "app.visible_atomic(tenant_id)",
    "tenant_id = app.tenant_or_acme()",
]
EXPECTED = {
    **dict.fromkeys(SOUND, ""),
    **dict.fromkeys(ALWAYS_TRUE, "rls_policy_always_true"),
    **dict.fromkeys(IGNORES_KEY, "rls_policy_ignores_tenant_key"),
    **dict.fromkeys(OR_COMBINATION, "rls_policy_or_combination"),
    **dict.fromkeys(FAIL_OPEN, "rls_policy_fail_open"),
}
CHECKS = (
    "rls_policy_always_true",
    "rls_policy_ignores_tenant_key",
    "rls_policy_or_combination",
    "rls_policy_fail_open",
    "rls_with_check_missing_key",
)


@pytest.mark.parametrize("is_quoted", [False, True], ids=["plain", "quoted"])
def test_each_expression_is_told(pool: World, is_quoted: bool) -> None:
    """A table for each: exactly the check that it is for finds it, and those of sound policies are found by none.

    Names that need quotes, with blanks and words of SQL in them, change nothing.
    """
    statements = [HELPERS]
    for number, expression in enumerate(EXPECTED):
        table = f"t{number}"
        statements.append(f"""
            CREATE TABLE app.{table} (tenant_id uuid NOT NULL, id bigint, user_id bigint, kind text, owner text,
                is_public boolean, deleted_at timestamptz);
            ALTER TABLE app.{table} ENABLE ROW LEVEL SECURITY;
            CREATE POLICY p ON app.{table} USING ({expression.replace("{t}", table)});
            GRANT SELECT, INSERT, UPDATE, DELETE ON app.{table} TO {{app}};
        """)
        if is_quoted:
            statements.append(f"""
                ALTER TABLE app.{table} RENAME COLUMN tenant_id TO "Tenant OR 'Id'";
                ALTER TABLE app.{table} RENAME COLUMN kind TO "a ( SELECT";
                ALTER TABLE app.{table} RENAME TO "{table} (x)";
            """)
    pool.run(";".join(statements))
    told: dict[str, set[str]] = {}
    keys = ["Tenant OR 'Id'", "tenant_id"]
    for check, run in pool.check(CHECKS, {"key": {"columns": keys}}).items():
        for finding in run.findings:
            told.setdefault(finding.object, set()).add(check)
    names = {
        expression: f'app."t{number} (x)"' if is_quoted else f"app.t{number}"
        for number, expression in enumerate(EXPECTED)
    }
    wrong = {
        expression: told.get(names[expression], set())
        for expression, check in EXPECTED.items()
        if told.get(names[expression], set()) != ({check} - {""})
    }
    assert not wrong, "".join(f"\n{expression}: {checks}" for expression, checks in wrong.items())
