"""Dropping the roles that the script of `sbpgmon grants` made, and nothing that hangs on anything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import Connection

from sbpgmon.store.preflight import rows

ROLE_MARK = "sbpgmon:"  # the comment on a role of ours begins with it

_OURS = """
SELECT r.oid::bigint, r.rolname, r.rolname IN (current_user, session_user), format('DROP ROLE %%I', r.rolname)
FROM pg_roles r JOIN pg_shdescription d ON d.objoid = r.oid AND d.classoid = 'pg_authid'::regclass
WHERE starts_with(d.description, %s) ORDER BY r.rolname
"""
# What `grants` gave on databases, and `grants --tenancy` in this one; memberships and settings go with the role.
_REVOKES = """
WITH role AS (SELECT %s::oid AS oid)
SELECT DISTINCT format('REVOKE ALL ON DATABASE %%I FROM %%I', b.datname, pg_get_userbyid(a.grantee))
FROM role r, pg_database b CROSS JOIN LATERAL aclexplode(b.datacl) a WHERE a.grantee = r.oid
UNION ALL
SELECT format('REVOKE SELECT (%%s) ON %%s FROM %%I', string_agg(quote_ident(c.attname), ', '), c.attrelid::regclass,
              pg_get_userbyid(a.grantee))
FROM role r, pg_attribute c CROSS JOIN LATERAL aclexplode(c.attacl) a
WHERE a.grantee = r.oid AND a.privilege_type = 'SELECT' GROUP BY c.attrelid, a.grantee
UNION ALL
SELECT format('REVOKE USAGE ON SCHEMA %%I FROM %%I', n.nspname, pg_get_userbyid(a.grantee))
FROM role r, pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) a
WHERE a.grantee = r.oid AND a.privilege_type = 'USAGE'
"""
_REST = """
SELECT format('it owns or was granted %%s in %%s', count(*),
              coalesce('database ' || b.datname, 'the cluster'))
FROM pg_shdepend s LEFT JOIN pg_database b ON b.oid = s.dbid
WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = %s
GROUP BY b.datname ORDER BY b.datname
"""


def drop_roles(conn: Connection[Any], progress: Callable[[str], None]) -> list[tuple[str, str]]:
    """Drops the roles that carry our comment, each in a transaction of its own: (role, what happened to it).

    A role that owns or is granted anything else, anywhere, and the role of this connection are kept; what
    keeps them is said. Takes an open autocommit connection; a role that cannot be dropped raises nothing.
    """
    happened = []
    for oid, name, is_current, drop in rows(conn, _OURS, (ROLE_MARK,)):
        what = f"kept: you are connected as it; as another role: {drop};" if is_current else _drop_role(conn, oid, drop)
        progress(f"Role {name}: {what}")
        happened.append((name, what))
    return happened


def _drop_role(conn: Connection[Any], oid: int, drop: str) -> str:
    try:
        with conn.transaction() as transaction:
            for (revoke,) in rows(conn, _REVOKES, (oid,)):
                conn.execute(revoke.encode(), prepare=False)
            if rest := [what for (what,) in rows(conn, _REST, (oid,))]:
                # Left as it was, the grants included.
                raise psycopg.Rollback(transaction)
            conn.execute(drop.encode(), prepare=False)
    except psycopg.Error as error:
        return f"kept: {error.diag.message_primary or error}; as a superuser: {drop};"
    if rest:
        return f"kept: {'; '.join(rest)}; see REASSIGN OWNED and DROP OWNED, then {drop};"
    return "dropped"
