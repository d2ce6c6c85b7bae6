"""The SQL for what looks at tenants' rows: `sbpgmon grants --tenancy | psql`."""

from __future__ import annotations

from sbpgmon.catalog.catalog import Catalog
from sbpgmon.collect.data import list_things, merged_needs
from sbpgmon.collect.known import Known
from sbpgmon.collect.reach import Access, read_access
from sbpgmon.collect.tenancy import know
from sbpgmon.model import Server
from sbpgmon.present.grants import create_role, identifier
from sbpgmon.sources.session import Session
from sbpgmon.tenancy import Tenancy

_TIMEOUT_SECONDS = 5.0
_HEAD = """\
-- What sbpgmon needs to look at tenants' rows: target {target}, database {database}, PostgreSQL {version}.
-- Read it, then run it in that database as a superuser: sbpgmon grants --tenancy | psql -d {database}
--
-- Safe to run again. Computed from the catalog as it is now: run it again when tables have changed; checks that may
-- not see a table say so, with its grants.
"""
_READER = """\


-- 1. The reader, for [tenancy.data] enabled = true -----------------------------------------------------------
--
-- SELECT on keys, and on the columns by which rows point at each other; on no other column. ctid is where a row
-- lies: big tables are read in windows of pages. Tables whose constraints prove that nothing can be wrong are not
-- read, and need nothing.
"""
_SECURITY = """\
-- Row level security would hide the rows from the reader. What it reads past it are the columns above, and nothing
-- can be written; a policy for the reader would lock each table, and stay in dumps of the database.
"""
_NOTHING = "-- Nothing: no table is to be read.\n"
_REGISTER = """\

-- The tenants' own table says which tenants' schemas are left over: by its key, and its unique names.
"""
_REGISTER_GRANTS = """
select /* sbpgmon:grants */
  format('GRANT USAGE ON SCHEMA %%I TO %%I;', n.nspname, current_user),
  format(
    'GRANT SELECT (%%s) ON %%I.%%I TO %%I;',
    string_agg(quote_ident(a.attname), ', ' order by a.attname), n.nspname, c.relname, current_user
  )
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join pg_type as t on t.oid = a.atttypid
where %(table)s in (n.nspname || '.' || c.relname, format('%%I.%%I', n.nspname, c.relname))
  and (
    a.attname = %(column)s
    or (
      (t.typcategory = 'S' or t.typname = 'citext')
      and exists (
        select from pg_index as i
        where i.indrelid = c.oid and i.indisunique and i.indnkeyatts = 1 and i.indkey[0] = a.attnum
      )
    )
  )
group by n.nspname, c.relname
"""
_PROBE = """\


-- 2. The probe, for [tenancy.probe] dsn ----------------------------------------------------------------------
--
-- A login that has no privilege of its own, and becomes the application's role to try what a tenant would see.
-- No password here: set it in psql with \\password, or let pg_hba.conf identify the role otherwise.
"""
# Superusers, and roles that see all tenants, are nobody to try as.
_APP_ROLES = """
select /* sbpgmon:grants */ r.rolname::text, r.rolsuper
from pg_roles as r
where r.rolname = any (%s)
order by 1
"""


def tenancy_grants_sql(
    session: Session, server: Server, catalog: Catalog, tenancy: Tenancy, probe: str = "sbpgmon_probe"
) -> str:
    """SQL text that lets the session's role read the keys that checks of data need, and makes the probe's login.

    Runs in psql on 14 to 18, and again. Raises TargetError when the catalog cannot be read, ConfigError for a name that
    PostgreSQL could not hold.
    """
    known = know(session, server, tenancy)
    head = _HEAD.format(target=session.target.name, database=identifier(server.database), version=server.version)
    return (
        head
        + _READER
        + _reader(session, server, catalog, known)
        + _register(session, known)
        + _PROBE
        + _probe(session, server, known, tenancy, probe)
    )


def _reader(session: Session, server: Server, catalog: Catalog, known: Known) -> str:
    checks = [check for _, check in sorted(catalog.checks.items()) if check.kind == "data" and known.has(check.models)]
    things = [thing for check in checks for thing in list_things(session, server, catalog, check, known)[0]]
    access = sorted(read_access(session, merged_needs(things)).values(), key=lambda item: item.object)
    usage, columns, security = (_unique(access, verb) for verb in ("GRANT USAGE", "GRANT SELECT", "ALTER ROLE"))
    if not columns:
        return _NOTHING
    return "\n".join([*usage, *columns, ""]) + ("\n".join(["", _SECURITY + security[0], ""]) if security else "")


def _register(session: Session, known: Known) -> str:
    """For schema per tenant: the list of the tenants, against which schemas that are left over are told."""
    if "schema" not in known.models or known.tenants_table is None:
        return ""
    with session.transaction(_TIMEOUT_SECONDS) as (cursor, _):
        named = {"table": known.tenants_table, "column": known.tenants_pk}
        found = cursor.execute(_REGISTER_GRANTS, named).fetchone()
    return _REGISTER + "\n".join([*found, ""]) if found else ""


def _unique(access: list[Access], verb: str) -> list[str]:
    statements = (statement for item in access for statement in item.grants(is_all=True))
    return list(dict.fromkeys(statement for statement in statements if statement.startswith(verb)))


def _probe(session: Session, server: Server, known: Known, tenancy: Tenancy, probe: str) -> str:
    found = {*known.app_roles, *(member.role for member in known.tenant_schemas if member.role)}
    declared = {*tenancy.roles.app, *(role for role in found if tenancy.schemas.role and role not in known.app_roles)}
    with session.transaction(_TIMEOUT_SECONDS) as (cursor, _):
        is_superuser = dict(cursor.execute(_APP_ROLES, (sorted(found | declared),)).fetchall())
    name = identifier(probe)
    lines = [create_role(probe, "becomes the application's role, to try what a tenant sees")]
    if server.major < 16:
        # By the member, not by the membership: so it was before 16.
        lines.append(f"ALTER ROLE {name} NOINHERIT;")
    lines.append(f"GRANT CONNECT ON DATABASE {identifier(server.database)} TO {name};")
    options = " WITH INHERIT FALSE, SET TRUE" if server.major >= 16 else ""
    for role in sorted(found | declared):
        grant = f"GRANT {identifier(role)} TO {name}{options};"
        if role not in is_superuser:
            lines.append(f"-- There is no role {identifier(role)}.")
        elif is_superuser[role]:
            lines.append(f"-- {identifier(role)} is a superuser, and row level security does not bind it.")
        elif role in declared:
            lines.append(grant)
        else:
            lines.append(f"-- Found, and not declared in [tenancy] roles.app: {grant}")
    if not found | declared:
        lines.append("-- No application role is declared: [tenancy] roles.app.")
    return "\n".join([*lines, ""])
