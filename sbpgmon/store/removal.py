"""The rollback: what would go, and the removal of the schema in one transaction without harm to its readers.

All functions take an open autocommit connection to the store and leave no session state on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import Connection, errors

from sbpgmon.errors import RollbackFailedError, RollbackRefusedError
from sbpgmon.store.dependents import Closure, Dependent, Survey, closure, present_schema, survey
from sbpgmon.store.preflight import SCHEMA, rows, set_local
from sbpgmon.store.roles import drop_roles

__all__ = ["Dependent", "Survey", "drop_roles", "remove", "survey"]

_POLL_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
_AGAIN = "Nothing was removed, and it can be tried again at any time."


@dataclass(frozen=True, slots=True)
class _Holder:
    """A session, or a prepared transaction, that holds locks on the schema."""

    text: str
    is_autovacuum: bool


_HOLDERS = """
SELECT CASE WHEN l.pid IS NULL THEN 'a prepared transaction (see pg_prepared_xacts)'
            ELSE format('pid %%s (%%s)', l.pid, concat_ws(', ',
                 coalesce(nullif(a.application_name, ''), a.backend_type), 'role ' || a.usename, a.state,
                 'query started '
                 || to_char(a.query_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'))) END,
       coalesce(a.backend_type = 'autovacuum worker', false)
FROM (SELECT DISTINCT l.pid FROM pg_locks l LEFT JOIN pg_class c ON c.oid = l.relation
      LEFT JOIN pg_class t ON t.reltoastrelid = c.oid
      WHERE l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (%(schema)s IN (c.relnamespace, t.relnamespace)
             OR l.classid = 'pg_namespace'::regclass AND l.objid = %(schema)s) -- an agent's transaction
        AND l.pid IS DISTINCT FROM pg_backend_pid()) l
LEFT JOIN pg_stat_activity a ON a.pid = l.pid ORDER BY l.pid
"""
# Outer views before inner ones and views before tables, tables in the order of their OIDs: as readers lock.
# LOCK TABLE would follow a view to all it reads; RESET of an option that is not set locks the view alone.
_LOCK_ALL = """
SELECT string_agg(format('ALTER VIEW %%I.%%I RESET (security_barrier)', %(name)s::text, relname), '; '
                  ORDER BY oid DESC) FILTER (WHERE relkind = 'v'),
       'LOCK TABLE ' || string_agg(format('ONLY %%I.%%I', %(name)s::text, relname), ', ' ORDER BY oid)
                        FILTER (WHERE relkind <> 'v')
FROM pg_class
WHERE relnamespace = %(schema)s AND relkind IN ('r', 'p', 'v') AND pg_has_role(relowner, 'USAGE')
"""
_USAGE = """
SELECT format('REVOKE USAGE ON SCHEMA %%I FROM %%s CASCADE', n.nspname, g.name),
       format('GRANT USAGE ON SCHEMA %%I TO %%s%%s', n.nspname, g.name,
              CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' END),
       CASE WHEN a.grantor <> n.nspowner THEN pg_get_userbyid(a.grantor) END
FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) WITH ORDINALITY
         AS a(grantor, grantee, privilege_type, is_grantable, place)
     CROSS JOIN LATERAL (SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC'
                                ELSE quote_ident(pg_get_userbyid(a.grantee)) END) AS g(name)
WHERE n.oid = %s AND a.privilege_type = 'USAGE' AND a.grantee <> n.nspowner
ORDER BY a.grantor <> n.nspowner, a.place
"""


def remove(
    conn: Connection[Any],
    *,
    cascade_outside: bool,
    wait_seconds: float,
    attempts: int,
    progress: Callable[[str], None],
) -> None:
    """Drops the schema: agents are told to stop, readers lose USAGE, queries in flight end, then one DROP.

    Raises SchemaGoneError or SchemaMismatchError as `survey` does; RollbackRefusedError when objects outside
    depend on it and not `cascade_outside`; RollbackFailedError, with everything as it was, when it cannot be
    dropped. An interrupt, too, leaves everything as it was.
    """
    schema_oid = present_schema(conn)
    _check_rights(conn, schema_oid)
    found = closure(conn, schema_oid)
    accepted = found.outside if cascade_outside else ()
    _refuse_outside(found, accepted)
    usage = rows(conn, _USAGE, (schema_oid,))
    try:
        _request_stop(conn, progress)
        if usage:
            with conn.transaction():
                set_local(conn, lock_timeout="5s")
                _execute(conn, "; ".join(revoke for revoke, _, _ in usage))
            progress(f"Readers can no longer use {SCHEMA} (grants taken away: {len(usage)}).")
        _wait(conn, schema_oid, wait_seconds, progress)
        _drop(conn, schema_oid, accepted, attempts, progress)
    except (RollbackFailedError, RollbackRefusedError) as error:
        raise type(error)(error.what, f"{error.way_out} {_restore(conn, usage)}") from None
    except psycopg.Error as error:
        raise RollbackFailedError(
            f"The schema {SCHEMA} could not be removed: {error}.", f"{_restore(conn, usage)} {_AGAIN}"
        ) from None
    except BaseException:
        progress(_restore(conn, usage))
        raise
    progress(f"The schema {SCHEMA} is gone.")


def _check_rights(conn: Connection[Any], schema_oid: int) -> None:
    [(is_standby, is_read_only, is_owner, owner, role)] = rows(
        conn,
        "SELECT pg_is_in_recovery(), current_setting('transaction_read_only')::boolean,"
        " pg_has_role(nspowner, 'USAGE'), pg_get_userbyid(nspowner), current_user"
        " FROM pg_namespace WHERE oid = %s",
        (schema_oid,),
    )
    if is_standby or is_read_only:
        why = "a hot standby" if is_standby else "read-only (default_transaction_read_only)"
        raise RollbackFailedError(
            f"The store is {why}: nothing can be removed there.",
            "Connect to the primary." if is_standby else "Turn that setting off for this role or database.",
        )
    if not is_owner:
        raise RollbackFailedError(
            f"The schema {SCHEMA} belongs to {owner}, and {role} is not a member of that role.",
            f"Connect as {owner} or as a superuser.",
        )


def _refuse_outside(found: Closure, accepted: tuple[Dependent, ...]) -> None:
    """Raises RollbackRefusedError that names each dependent outside that was not accepted."""
    if unexpected := [dependent for dependent in found.outside if dependent not in accepted]:
        listed = "; ".join(dependent.description for dependent in unexpected)
        raise RollbackRefusedError(
            f"Outside of {SCHEMA}, {len(unexpected)} depend on it and would go too: {listed}.",
            "Drop or change them yourself, or add --cascade-outside to have them dropped.",
        )


def _request_stop(conn: Connection[Any], progress: Callable[[str], None]) -> None:
    try:
        with conn.transaction():
            set_local(conn, lock_timeout="5s")
            _execute(
                conn,
                f"UPDATE {SCHEMA}.control SET stop_requested_at = clock_timestamp(), stop_reason = 'rollback'",
            )
    except (errors.UndefinedTable, errors.UndefinedColumn):
        progress("This schema has no stop flag: agents will see that the schema is gone.")
    except errors.LockNotAvailable:
        progress("The stop flag is locked by another session; going on without it.")
    else:
        progress("Agents are told to stop.")


def _wait(conn: Connection[Any], schema_oid: int, wait_seconds: float, progress: Callable[[str], None]) -> None:
    deadline = time.monotonic() + wait_seconds
    told: list[_Holder] = []
    # Autovacuum yields to the drop itself.
    while holders := [holder for holder in _holders(conn, schema_oid) if not holder.is_autovacuum]:
        if time.monotonic() >= deadline:
            progress(f"Waited {wait_seconds:g} s; trying all the same.")
            return
        if holders != told:
            progress(f"Waiting for {_listed(holders)}.")
            told = holders
        time.sleep(min(_POLL_SECONDS, max(0.0, deadline - time.monotonic())))


def _drop(
    conn: Connection[Any],
    schema_oid: int,
    accepted: tuple[Dependent, ...],
    attempts: int,
    progress: Callable[[str], None],
) -> None:
    [(deadlock_ms,)] = rows(
        conn, "SELECT (extract(epoch FROM current_setting('deadlock_timeout')::interval) * 1000)::int"
    )
    for attempt in range(1, attempts + 1):
        holders = _holders(conn, schema_oid)
        # In a deadlock the first to have waited for deadlock_timeout is the victim; giving up well before it
        # spares the readers. Autovacuum, though, only yields to one who waits for longer than that.
        is_only_autovacuum = bool(holders) and all(holder.is_autovacuum for holder in holders)
        patience_ms = deadlock_ms + 1000 if is_only_autovacuum else max(20, deadlock_ms // 4)
        try:
            with conn.transaction():
                set_local(
                    conn,
                    lock_timeout=f"{patience_ms}ms",
                    statement_timeout="0",
                    client_min_messages="warning",
                )
                [(views, tables)] = rows(conn, _LOCK_ALL, {"schema": schema_oid, "name": SCHEMA})
                for statement in (views, tables):
                    if statement:
                        _execute(conn, statement)
                # Under these locks nothing new can come to depend on our tables and views.
                _refuse_outside(closure(conn, schema_oid), accepted)
                _execute(conn, f"DROP SCHEMA {SCHEMA} CASCADE")
        except (errors.LockNotAvailable, errors.DeadlockDetected) as error:
            holders = _holders(conn, schema_oid) or holders
            who = _listed(holders) if holders else "a session that is gone by now"
            if attempt == attempts:
                raise RollbackFailedError(
                    f"The schema {SCHEMA} could not be locked in {attempts} attempts; held by {who}.",
                    f"End that session (pg_terminate_backend) or wait for it, and try again. {_AGAIN}",
                ) from error
            pause = min(_LONGEST_PAUSE_SECONDS, 0.25 * 2 ** (attempt - 1))
            progress(f"Attempt {attempt} of {attempts}: held by {who}; again in {pause:g} s.")
            time.sleep(pause)
        except errors.InvalidSchemaName:
            return  # somebody else has removed it meanwhile
        except errors.OutOfMemory as error:
            raise _too_many_locks(conn, schema_oid) from error
        else:
            return


def _too_many_locks(conn: Connection[Any], schema_oid: int) -> RollbackFailedError:
    needed = closure(conn, schema_oid).objects
    [(now,)] = rows(conn, "SELECT current_setting('max_locks_per_transaction')::int")
    return RollbackFailedError(
        f"The server's lock table is too small to drop {needed} objects at once (out of shared memory).",
        f"Raise max_locks_per_transaction from {now} to {2 * now} and restart the server, or drop the"
        " partitions first, in psql: SELECT format('DROP TABLE %s', oid::regclass) FROM pg_class"
        f" WHERE relispartition AND relkind = 'r' AND relnamespace = '{SCHEMA}'::regnamespace \\gexec",
    )


def _restore(conn: Connection[Any], usage: list[tuple[Any, ...]]) -> str:
    """Gives the readers their USAGE back and clears the stop flag; says in a sentence how that went."""
    try:
        with conn.transaction():
            set_local(conn, lock_timeout="5s")
            if own := [grant for _, grant, grantor in usage if grantor is None]:
                _execute(conn, "; ".join(own))
            [(has_flag,)] = rows(
                conn,
                "SELECT count(*) = 2 FROM pg_attribute WHERE attrelid = to_regclass(%s)"
                " AND attname IN ('stop_requested_at', 'stop_reason')",
                (f"{SCHEMA}.control",),
            )
            if has_flag:
                _execute(conn, f"UPDATE {SCHEMA}.control SET stop_requested_at = NULL, stop_reason = NULL")
        for _, grant, grantor in usage:
            if grantor is not None:  # somebody with a grant option passed it on
                with conn.transaction():
                    set_local(conn, role=grantor)
                    _execute(conn, grant)
    except errors.InvalidSchemaName:
        return f"The schema {SCHEMA} is gone."
    except psycopg.Error as error:
        return (
            f"The readers' USAGE on {SCHEMA} or the stop flag could not be restored ({str(error).strip()}):"
            " run `sbpgmon init`, or the rollback again."
        )
    return (
        "Readers have their access back and the stop flag is cleared; agents that had stopped stay stopped,"
        " so start them again if they are to go on."
    )


def _holders(conn: Connection[Any], schema_oid: int) -> list[_Holder]:
    return [_Holder(*row) for row in rows(conn, _HOLDERS, {"schema": schema_oid})]


def _listed(holders: list[_Holder]) -> str:
    return ", ".join(holder.text for holder in holders)


def _execute(conn: Connection[Any], statements: str) -> None:
    # Never prepared: a prepared statement is one command, and outlives us behind a pooler.
    conn.execute(statements.encode(), prepare=False)
