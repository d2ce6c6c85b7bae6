"""What goes wrong with tenants' isolation, and what is changed about it: words of findings, elements, changes."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Elements = dict[tuple[str, str], str]  # kind, object -> definition


@dataclass(frozen=True, slots=True)
class Mishap:
    """A finding of a check, with {table} and {role} to be filled in."""

    check: str
    object: str
    remedy: str
    role: str = ""
    detail: str = ""


MISHAPS = (
    Mishap("rls_disabled", "public.{table}", "ALTER TABLE public.{table} ENABLE ROW LEVEL SECURITY;", "app_writer"),
    Mishap("rls_not_forced", "public.{table}", "ALTER TABLE public.{table} FORCE ROW LEVEL SECURITY;"),
    Mishap("tenant_key_not_indexed", "public.{table}", "CREATE INDEX CONCURRENTLY ON public.{table} (tenant_id);"),
    Mishap("tenant_key_nullable", "public.{table}", "ALTER TABLE public.{table} ALTER COLUMN tenant_id SET NOT NULL;"),
    Mishap("tenant_key_default", "public.{table}", "ALTER TABLE public.{table} ALTER COLUMN tenant_id DROP DEFAULT;"),
    Mishap("fk_without_tenant_key", "public.{table}", "Add a foreign key on (tenant_id, customer_id).", "",
           "{table}_customer_id_fkey refers to public.customers by customer_id alone"),
    Mishap("unique_without_tenant_key", "public.{table}", "Make it unique on (tenant_id, reason).", "",
           "{table}_reason_key is unique across tenants"),
    Mishap("public_grant_on_tenant_table", "public.{table}", "REVOKE ALL ON public.{table} FROM PUBLIC;", "PUBLIC",
           "PUBLIC has SELECT"),
    Mishap("rls_view_bypass", "public.{table}_report",
           "ALTER VIEW public.{table}_report SET (security_invoker = true);", "{role}",
           "it reads public.{table} as its owner, migrator"),
    Mishap("rls_definer_function", "public.close_{table}(bigint)",
           "REVOKE EXECUTE ON FUNCTION public.close_{table}(bigint) FROM PUBLIC;", "app_writer",
           "it updates public.{table} as migrator"),
    Mishap("rls_policy_fail_open", "public.{table}", "Have the policy compare with current_setting('app.tenant_id').",
           "app_writer", "the policy by_tenant lets every row through while app.tenant_id is ''"),
    Mishap("rls_privilege_escape", "public.{table}", "REVOKE TRUNCATE ON public.{table} FROM app_writer;", "app_writer",
           "app_writer has TRUNCATE"),
    Mishap("rls_partition_unprotected", "public.{table}_2026_10",
           "ALTER TABLE public.{table}_2026_10 ENABLE ROW LEVEL SECURITY;", "app_writer"),
    Mishap("audit_table_unguarded", "public.audit_log", "REVOKE UPDATE, DELETE ON public.audit_log FROM app_writer;",
           "app_writer"),
    Mishap("tenant_table_without_key", "public.{table}_archive",
           "ALTER TABLE public.{table}_archive ADD COLUMN tenant_id integer;", "app_writer"),
    Mishap("tenant_role_cross_grant", "tenant_aurora.{table}",
           "REVOKE ALL ON tenant_aurora.{table} FROM tenant_cobalt;", "tenant_cobalt"),
    Mishap("search_path_fallthrough", "tenant_cobalt.{table}", "CREATE TABLE tenant_cobalt.{table} …", "tenant_cobalt"),
    Mishap("tenant_schema_column_drift", "tenant_delta.{table}",
           "ALTER TABLE tenant_delta.{table} ADD COLUMN channel text;", "", "channel is missing"),
    Mishap("orphan_tenant_schema", "tenant_{table}", "DROP SCHEMA tenant_{table} CASCADE, once its data is kept."),
)  # fmt: skip
UNKNOWNS = (
    Mishap("orphan_tenant", "public.{table}", "GRANT SELECT (tenant_id) ON public.{table} TO sbpgmon_reader;", "",
           "the monitoring role may not read public.{table}"),
    Mishap("fk_tenant_mismatch", "public.{table}",
           "GRANT SELECT (id, tenant_id, customer_id) ON public.{table} TO sbpgmon_reader;", "",
           "the monitoring role may not read public.{table}"),
    Mishap("tenant_role_cross_grant", "", "Run it again when the server is less busy.", "",
           "the query took longer than 5 s"),
)  # fmt: skip

_POLICY = "permissive for all to app_reader using (tenant_id = (current_setting('app.tenant_id'::text))::integer)"
_TABLE = "owner migrator, row level security {rls}, {{migrator=arwdDxt/migrator,app_writer=arwd/migrator{more}}}"


def elements_of(tables: Sequence[str]) -> Elements:
    """What keeps tenants apart at first."""
    found: Elements = {}
    for name in tables:
        found["table", f"public.{name}"] = _TABLE.format(rls="forced", more="")
        found["policy", f"by_tenant on public.{name}"] = _POLICY
    for role in ("app_writer", "app_reader", "bi_reader", "migrator"):
        found["role", role] = "login"
    found["role", "postgres"] = "superuser, bypassrls, login"
    found["membership", "app_reader in readers"] = "member, inherit true, set true"
    found["setting", "role app_writer"] = "statement_timeout=30s"
    return found


def changes_of(dice: random.Random, elements: Mapping[tuple[str, str], str], tables: Sequence[str]) -> Elements:
    """The elements after one change: of a role, a grant, a policy, a table or a setting."""
    found = dict(elements)
    name = dice.choice(tables)
    match dice.randrange(8):
        case 0:
            number = dice.randrange(100)
            found["role", f"contractor_{number}"] = "login"
            found["membership", f"contractor_{number} in readers"] = "member, inherit true, set true"
        case 1:
            for key in [key for key in found if "contractor_" in key[1]]:
                del found[key]
            found["setting", "role app_writer"] = f"statement_timeout={dice.randint(5, 60)}s"
        case 2:
            found["table", f"public.{name}"] = _TABLE.format(rls="forced", more=",bi_reader=r/migrator")
        case 3:
            rls = "off" if "forced" in found["table", f"public.{name}"] else "forced"
            found["table", f"public.{name}"] = _TABLE.format(rls=rls, more="")
        case 4:
            key = "policy", f"support_reads on public.{name}"
            if found.pop(key, None) is None:
                found[key] = "permissive for select to bi_reader using (status = 'disputed'::text)"
        case 5:
            found["setting", "role app_writer"] = f"statement_timeout={dice.randint(61, 900)}s"
        case 6:
            found["role", "bi_reader"] = "login" if "bypassrls" in found["role", "bi_reader"] else "bypassrls, login"
        case _:
            found["policy", f"by_tenant on public.{name}"] = f"{_POLICY} with check true /* {dice.randrange(1000)} */"
    return found
