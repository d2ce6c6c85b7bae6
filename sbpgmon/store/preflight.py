"""Whether a store may hold the schema `monitoring`, asked before anything is created.

All functions take an open connection, leave no session state and raise psycopg's errors when the store fails.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from psycopg import Connection
from psycopg.rows import tuple_row

from sbpgmon.errors import SchemaMismatchError, StoreRefusedError

SCHEMA = "monitoring"
MARK = "sbpgmon"  # the comment on our schema begins with it
OLDEST = 140000


def rows(
    conn: Connection[Any], query: str, arguments: Sequence[object] | Mapping[str, object] | None = None
) -> list[tuple[Any, ...]]:
    """All rows as tuples, whatever the connection's row factory; never a prepared statement (poolers)."""
    with conn.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute(query.encode(), arguments, prepare=False).fetchall()


def set_local(conn: Connection[Any], **settings: str) -> None:
    """Settings until the transaction at hand ends."""
    calls = ", ".join(["set_config(%s, %s, true)"] * len(settings))
    rows(conn, f"SELECT {calls}", [text for pair in settings.items() for text in pair])


def own_schema(conn: Connection[Any]) -> int | None:
    """The OID of our schema, or None when there is no schema `monitoring`.

    Raises SchemaMismatchError when there is one that is not ours: ours has the table alembic_version and a
    comment that begins with `sbpgmon`.
    """
    found = rows(
        conn,
        "SELECT n.oid::bigint, pg_get_userbyid(n.nspowner),"
        " starts_with(coalesce(obj_description(n.oid, 'pg_namespace'), ''), %s)"
        " AND EXISTS (SELECT FROM pg_class WHERE relnamespace = n.oid AND relname = 'alembic_version')"
        " FROM pg_namespace n WHERE n.nspname = %s",
        (MARK, SCHEMA),
    )
    if not found:
        return None
    oid, owner, is_ours = found[0]
    if not is_ours:
        raise SchemaMismatchError(
            f"The schema {SCHEMA} in database {conn.info.dbname} (owner: {owner}) was not made by sbpgmon.",
            "It was not touched. Rename it, or give sbpgmon another database as its store: [store] dsn.",
        )
    return int(oid)


def publications(conn: Connection[Any]) -> list[str]:
    """The publications that carry our tables away, or would: `sales (FOR ALL TABLES)`."""
    by_schema = (
        " UNION SELECT p.pubname, 'FOR TABLES IN SCHEMA' FROM pg_publication p"
        " JOIN pg_publication_namespace m ON m.pnpubid = p.oid JOIN pg_namespace n ON n.oid = m.pnnspid"
        " WHERE n.nspname = %(schema)s"
        if conn.info.server_version >= 150000
        else ""
    )
    found = rows(
        conn,
        "SELECT format('%%s (%%s)', pubname, how) FROM ("
        f"SELECT pubname, 'FOR ALL TABLES' FROM pg_publication WHERE puballtables{by_schema}"
        ") AS carries(pubname, how) ORDER BY 1",
        {"schema": SCHEMA},
    )
    return [row[0] for row in found]


def refuse_unsuitable(conn: Connection[Any]) -> None:
    """Nothing when the schema may be created or upgraded here.

    Raises StoreRefusedError for a server that is too old, read-only or publishes all tables, and for a role
    that may not create the schema; SchemaMismatchError for a schema `monitoring` that is not ours.
    """
    version = conn.info.server_version
    separate = "Give sbpgmon a separate store: a database of its own in [store] dsn."
    if version < OLDEST:
        raise StoreRefusedError(
            f"The store is PostgreSQL {version // 10000}; sbpgmon needs 14 or newer.",
            "Monitor this server from a store on a newer one: [store] dsn.",
        )
    [(is_standby, is_read_only, role, may_create, database)] = rows(
        conn,
        "SELECT pg_is_in_recovery(), current_setting('transaction_read_only')::boolean,"
        " quote_ident(current_user), has_database_privilege(current_database(), 'CREATE'),"
        " quote_ident(current_database())",
    )
    if is_standby:
        raise StoreRefusedError(
            f"The store (database {database}) is a hot standby, which is read-only.",
            "Name the primary in [store] dsn, or a separate store; a standby can still be a target.",
        )
    if is_read_only:
        raise StoreRefusedError(
            f"The store (database {database}) is read-only: default_transaction_read_only is on.",
            f"Where it is meant to be, choose another store. Else: ALTER ROLE {role} SET"
            f" default_transaction_read_only = off (in database {database}).",
        )
    encoding = conn.info.parameter_status("server_encoding")
    if encoding not in ("UTF8", "SQL_ASCII"):
        raise StoreRefusedError(
            f"The store (database {database}) has the encoding {encoding}: not every text and name fits into it.",
            "Give sbpgmon a database with ENCODING 'UTF8' (TEMPLATE template0): [store] dsn.",
        )
    schema_oid = own_schema(conn)
    if schema_oid is None and not may_create:
        raise StoreRefusedError(
            f"The role {role} may not create a schema in database {database}.",
            f"As the database's owner: GRANT CREATE ON DATABASE {database} TO {role}; see `sbpgmon grants`.",
        )
    if schema_oid is not None:
        [(is_owner, owner)] = rows(
            conn,
            "SELECT pg_has_role(nspowner, 'USAGE'), quote_ident(pg_get_userbyid(nspowner))"
            " FROM pg_namespace WHERE oid = %s",
            (schema_oid,),
        )
        if not is_owner:
            raise StoreRefusedError(
                f"The schema {SCHEMA} in database {database} belongs to {owner}, and {role} is not a member.",
                f"Connect as {owner}.",
            )
    if carriers := publications(conn):
        raise StoreRefusedError(
            f"In database {database} a publication would carry our tables away, and stop its subscribers at"
            f" our first row: {', '.join(carriers)}.",
            f"{separate} Or name that publication's tables or schemas one by one.",
        )


# Each ACL of the schema and of what is in it, against what the server gives by itself (acldefault): the rest
# came from ALTER DEFAULT PRIVILEGES. One REVOKE for each kind of object, grantee and privilege.
_REVOKES = """
WITH object(kind, name, acl, owner, class) AS (
    SELECT 'SCHEMA', quote_ident(nspname), nspacl, nspowner, 'n'::"char"
    FROM pg_namespace WHERE oid = %(schema)s AND %(only)s::text[] IS NULL
    UNION ALL
    SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, format('%%I.%%I', %(name)s::text, relname),
           relacl, relowner, CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char"
    FROM pg_class WHERE relnamespace = %(schema)s AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      AND (%(only)s::text[] IS NULL OR relname = ANY (%(only)s::text[]))
    UNION ALL
    SELECT 'ROUTINE', p.oid::regprocedure::text, proacl, proowner, 'f'
    FROM pg_proc p WHERE pronamespace = %(schema)s AND %(only)s::text[] IS NULL
    UNION ALL
    SELECT 'TYPE', format('%%I.%%I', %(name)s::text, typname), typacl, typowner, 'T'
    FROM pg_type WHERE typnamespace = %(schema)s AND %(only)s::text[] IS NULL
), granted AS (
    SELECT o.kind, o.name, a.grantee, a.privilege_type
    FROM object o CROSS JOIN LATERAL aclexplode(o.acl) a
    WHERE a.grantee <> o.owner
    EXCEPT
    SELECT o.kind, o.name, a.grantee, a.privilege_type
    FROM object o CROSS JOIN LATERAL aclexplode(acldefault(o.class, o.owner)) a
)
SELECT format('REVOKE %%s ON %%s %%s FROM %%s CASCADE', privilege_type, kind,
              string_agg(name, ', ' ORDER BY name),
              CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END)
FROM granted
WHERE NOT (privilege_type IN ('USAGE', 'SELECT', 'EXECUTE')
           AND grantee IN (SELECT oid FROM pg_roles WHERE rolname = ANY (%(keep)s)))
GROUP BY kind, grantee, privilege_type
ORDER BY kind, grantee, privilege_type
"""


def revoke_default_privileges(
    conn: Connection[Any], *, keep: Iterable[str] = (), only: Iterable[str] | None = None
) -> list[str]:
    """Takes away what ALTER DEFAULT PRIVILEGES gave to others on our schema and all that is in it.

    `keep` names the readers, which keep USAGE, SELECT and EXECUTE, never more. `only` names the relations that are
    new: what was granted by hand on the others stays. To be called in the transaction that creates; returns the
    REVOKEs that were made. Does nothing where the schema is not there.
    """
    with conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
        found = cursor.execute("SELECT oid FROM pg_namespace WHERE nspname = %s", (SCHEMA,)).fetchone()
        if found is None:
            return []
        arguments = {
            "schema": found[0],
            "name": SCHEMA,
            "keep": list(keep),
            "only": None if only is None else list(only),
        }
        revokes = [row[0] for row in cursor.execute(_REVOKES, arguments, prepare=False).fetchall()]
        for revoke in revokes:
            cursor.execute(revoke.encode(), prepare=False)
        return revokes


def revoke_default_privileges_sql() -> str:
    """The same for a whole new schema, as a statement of a script."""
    query = _REVOKES % {
        "schema": f"'{SCHEMA}'::regnamespace::oid",
        "name": f"'{SCHEMA}'",
        "keep": "'{}'::text[]",
        "only": "NULL",
    }
    return f"DO $do$ DECLARE r text; BEGIN FOR r IN {query.strip()} LOOP EXECUTE r; END LOOP; END $do$"
