"""What a target is, asked at the beginning of each poll, and whether the agent may read it at all."""

from __future__ import annotations

from sbpgmon.errors import OtherServerError, RefusedError, UnsupportedError
from sbpgmon.model import Server
from sbpgmon.sources.session import OLDEST_MAJOR, Session

_IDENTITY = r"""
select /* sbpgmon:probe */
  current_setting('server_version'),
  current_database()::text,
  current_user::text,
  (select rolsuper from pg_roles where rolname = current_user),
  pg_is_in_recovery(),
  array(select rolname::text from pg_roles where rolname like 'pg\_%' and pg_has_role(oid, 'USAGE') order by 1),
  current_setting('server_encoding'),
  (select system_identifier from pg_control_system()),
  (select timeline_id from pg_control_checkpoint()),
  pg_postmaster_start_time(),
  (select min(backend_start) from pg_stat_activity where backend_type = 'checkpointer'),
  pg_backend_pid(),
  current_setting('pg_stat_statements.max', true) is not null,
  coalesce(
    (select json_object_agg(e.extname, json_build_array(n.nspname, e.extversion))
     from pg_extension as e join pg_namespace as n on n.oid = e.extnamespace),
    '{}'
  )
"""

# Our own schema aside; the catalogs' tables are writable to nobody but superusers.
_WRITABLE = """
select /* sbpgmon:probe */ format('%I.%I', n.nspname, c.relname)
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f')
  and n.nspname not in ('pg_catalog', 'information_schema', 'monitoring')
  and n.nspname !~ '^pg_(toast|temp)'
  and (has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
       or has_any_column_privilege(c.oid, 'INSERT, UPDATE'))
union all
select 'the server''s files and programs (' || rolname || ')'
from pg_roles
where rolname in ('pg_execute_server_program', 'pg_write_server_files') and pg_has_role(oid, 'MEMBER')
order by 1
limit 5
"""
_TIMEOUT_SECONDS = 10.0


def probe(session: Session, *, look_for_writes: bool = True) -> Server:
    """What the target says of itself. Raises UnsupportedError for a server that is too old, else TargetError."""
    version_num = session.server_version_num
    if version_num < OLDEST_MAJOR * 10000:
        raise UnsupportedError(
            f"Target {session.target.name}: PostgreSQL {version_num // 10000} is too old.",
            f"PostgreSQL {OLDEST_MAJOR} or newer is needed.",
        )
    with session.transaction(_TIMEOUT_SECONDS) as (cursor, _):
        row = cursor.execute(_IDENTITY).fetchone()
        assert row is not None
        writable = tuple(name for (name,) in cursor.execute(_WRITABLE)) if look_for_writes and not row[3] else ()
    return Server(
        version_num=version_num,
        version=row[0],
        database=row[1],
        role=row[2],
        is_superuser=row[3],
        is_standby=row[4],
        roles=frozenset(row[5]),
        encoding=row[6],
        system_identifier=row[7],
        timeline=row[8],
        postmaster_start_time=row[9],
        checkpointer_start_time=row[10],
        pooled=row[11] != session.backend_pid,
        is_statements_loaded=row[12],
        extensions={name: (schema, _version(version)) for name, (schema, version) in row[13].items()},
        writable=writable,
    )


def refuse_unsafe(target: str, server: Server, *, allow_superuser: bool) -> None:
    """Raises RefusedError for a role that could write, UnsupportedError for one without pg_monitor."""
    if not allow_superuser:
        if server.is_superuser:
            raise RefusedError(
                f"Target {target}: the role {server.role} is a superuser, which a read-only transaction does not stop.",
                "Use a role with pg_monitor alone (`sbpgmon grants` prints it); --allow-superuser if you must.",
            )
        if server.writable:
            raise RefusedError(
                f"Target {target}: the role {server.role} may write to {', '.join(server.writable)}.",
                "Use a role with pg_monitor alone (`sbpgmon grants` prints it); --allow-superuser if you must.",
            )
    if not server.has_pg_monitor:
        raise UnsupportedError(
            f"Target {target}: the role {server.role} is not a member of pg_monitor, and would see half of the truth.",
            f"GRANT pg_monitor TO {server.role};",
        )


def other_server(target: str, server: Server | None, known: int | None) -> OtherServerError | None:
    """Why a server is not the one that the target's history is of; None when it is, or nothing is known."""
    if server is None or known is None or server.system_identifier == known:
        return None
    return OtherServerError(target, known, server.system_identifier)


def _version(text: str) -> tuple[int, ...]:
    """`1.10` as (1, 10); what is not a number ends it."""
    parts = []
    for part in text.split("."):
        if not part.isdigit():
            break
        parts.append(int(part))
    return tuple(parts)
