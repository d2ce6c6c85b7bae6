"""What EXPLAIN says of the user's own SQL before it is run on the application's tables."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from sbpgmon.collect.explain import nodes, plan_of
from sbpgmon.collect.reach import read_access
from sbpgmon.errors import TargetError
from sbpgmon.sources.session import Session
from sbpgmon.tenancy import Event

BIG_BYTES = 16 * 1024**2  # a table of more is not read from end to end every minute
_RELATIONS = """
select /* sbpgmon:tenant_events */ distinct format('%%I.%%I', n.nspname, c.relname)
from jsonb_to_recordset(%s::jsonb) as r (schema text, name text)
join pg_namespace as n on n.nspname = r.schema
join pg_class as c on c.relnamespace = n.oid and c.relname = r.name
where pg_relation_size(c.oid) > %s
order by 1
"""
_OF_THIS_NAME = """
select /* sbpgmon:tenant_events */ c.oid::bigint
from pg_class as c
where c.relname = %s and c.relkind in ('r', 'p') and has_any_column_privilege(c.oid, 'SELECT')
"""
_DENIED = re.compile(r"permission denied for (schema|table|view|materialized view|foreign table|function) (\S+)")
_FILTERED = re.compile(r'row-level security policy for table "(.+?)"')


def refuse_dear(session: Session, event: Event, sql: str, role: str) -> None:
    """Raises TargetError when the planner takes the event's SQL for dear, or when it reads a big table whole; when the
    role may not read what it needs; when row level security would hide rows, which would look as if nothing happened.
    """
    try:
        try:
            # PostgreSQL itself refuses what row level security would filter.
            plan, whole = _explain(session, event, sql, row_security="off")
        except TargetError as error:
            if (match := _FILTERED.search(error.what)) is None:
                raise
            _refuse_filtered(session, event, match[1])
            plan, whole = _explain(session, event, sql, row_security="on")
    except TargetError as error:
        raise denied(error, event.sql, role) from None
    where = f"[[tenancy.events]] {event.name}"
    if whole:
        raise TargetError(
            f"Not counted: it would read all of {', '.join(whole)}.",
            f"{where}: let :from and :to bound an indexed column, and CREATE INDEX CONCURRENTLY where there is none.",
        )
    if (cost := float(plan["Total Cost"])) > event.max_cost:
        raise TargetError(
            f"Not counted: its cost is {cost:.0f} by EXPLAIN, and {event.max_cost:.0f} is the limit.",
            f"{where}: an index on the column of the window, or a higher max_cost.",
        )


def _explain(session: Session, event: Event, sql: str, *, row_security: str) -> tuple[Mapping[str, Any], list[str]]:
    """The plan, and big tables that it reads from end to end."""
    with session.transaction(event.timeout) as (cursor, _):
        cursor.execute("SELECT /* sbpgmon:tenant_events */ set_config('row_security', %s, true)", (row_security,))
        plan = plan_of(cursor, sql, options=["VERBOSE"])
        scans = [
            {"schema": node["Schema"], "name": node["Relation Name"]}
            for node in nodes(plan)
            if node["Node Type"] == "Seq Scan"
        ]
        return plan, [name for (name,) in cursor.execute(_RELATIONS, (json.dumps(scans), BIG_BYTES)).fetchall()]


def _refuse_filtered(session: Session, event: Event, table: str) -> None:
    """A policy that lets the role read all is as good as none."""
    with session.transaction(event.timeout) as (cursor, _):
        tables = [oid for (oid,) in cursor.execute(_OF_THIS_NAME, (table,)).fetchall()]
    found = read_access(session, dict.fromkeys(tables, ())).values()
    for access in found:
        if access.problem:
            raise TargetError(f"Not counted: {access.problem}.", " ".join(access.grants()))
    if not found:
        raise TargetError(
            f"Not counted: row level security hides rows of {table} from the owner of a view or function.",
            "Let the owner of the table own it.",
        )


def denied(error: TargetError, sql: str, role: str) -> TargetError:
    """The same error; where the role lacks a privilege for this SQL, with the GRANT."""
    match = _DENIED.search(error.what)
    if match is None:
        return error
    kind, name = match[1], match[2].rstrip(".")
    if kind == "schema":
        grant = f"GRANT USAGE ON SCHEMA {name} TO {role}; and SELECT on what the SQL reads in it."
    elif kind == "function":
        grant = f"GRANT EXECUTE ON FUNCTION {name} TO {role};"
    else:
        schema = re.search(rf'((?:"[^"]+"|\w+)\s*\.\s*)"?{re.escape(name)}"?', sql)
        grant = f"GRANT SELECT ON {schema[1] if schema else ''}{name} TO {role};"
    problem = TargetError(error.what, grant)
    problem.sqlstate = error.sqlstate
    return problem
