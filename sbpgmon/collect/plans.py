"""What EXPLAIN says of the user's own SQL before it is run on the application's tables."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from sbpgmon.collect.reach import read_access
from sbpgmon.errors import TargetError
from sbpgmon.sources.session import Session
from sbpgmon.tenancy import Event

BIG_BYTES = 16 * 1024**2  # a table of more is not read from end to end every minute
# Of a partitioned table the policies are asked, not those of its partitions; behind a view, those of its owner.
_RELATIONS = """
select /* sbpgmon:tenant_events */
  format('%%I.%%I', n.nspname, c.relname),
  r.is_whole and pg_relation_size(c.oid) > %s,
  case when has_any_column_privilege(t.root, 'SELECT') then t.root::bigint end
from jsonb_to_recordset(%s::jsonb) as r (schema text, name text, is_whole boolean)
join pg_namespace as n on n.nspname = r.schema
join pg_class as c on c.relnamespace = n.oid and c.relname = r.name
cross join lateral (select coalesce(pg_partition_root(c.oid)::oid, c.oid) as root) as t
"""
_DENIED = re.compile(r"permission denied for (schema|table|view|materialized view|foreign table|function) (\S+)")


def refuse_dear(session: Session, event: Event, sql: str) -> None:
    """Raises TargetError when the planner takes the event's SQL for dear, or when it reads a big table whole; when the
    role may not read what it needs; when row level security would hide rows, which would look as if nothing happened.
    """
    try:
        with session.transaction(event.timeout) as (cursor, _):
            row = cursor.execute(f"EXPLAIN (VERBOSE, FORMAT JSON) {sql}".encode()).fetchone()
            assert row is not None
            plan = row[0][0]["Plan"]
            relations = [
                {"schema": n["Schema"], "name": n["Relation Name"], "is_whole": n["Node Type"] == "Seq Scan"}
                for n in _nodes(plan)
                if "Relation Name" in n and "Schema" in n
            ]
            read = cursor.execute(_RELATIONS, (BIG_BYTES, json.dumps(relations))).fetchall()
    except TargetError as error:
        raise denied(error, event) from None
    where = f"[[tenancy.events]] {event.name}"
    if whole := sorted({name for name, is_whole, _ in read if is_whole}):
        raise TargetError(
            f"Not counted: it would read all of {', '.join(whole)}.",
            f"{where}: let :from and :to bound an indexed column, and CREATE INDEX CONCURRENTLY where there is none.",
        )
    if (cost := float(plan["Total Cost"])) > event.max_cost:
        raise TargetError(
            f"Not counted: its cost is {cost:.0f} by EXPLAIN, and {event.max_cost:.0f} is the limit.",
            f"{where}: an index on the column of the window, or a higher max_cost.",
        )
    for access in read_access(session, {oid: () for _, _, oid in read if oid is not None}).values():
        if access.problem:
            raise TargetError(f"Not counted: {access.problem}.", " ".join(access.grants()))


def denied(error: TargetError, event: Event) -> TargetError:
    """The same error; where a privilege is missing, with its GRANT."""
    match = _DENIED.search(error.what)
    if match is None:
        return error
    kind, name = match[1], match[2].rstrip(".")
    if kind == "schema":
        grant = f"GRANT USAGE ON SCHEMA {name} TO the agent's role; and SELECT on what the SQL reads in it."
    elif kind == "function":
        grant = f"GRANT EXECUTE ON FUNCTION {name} TO the agent's role;"
    else:
        schema = re.search(rf'((?:"[^"]+"|\w+)\s*\.\s*)"?{re.escape(name)}"?', event.sql)
        grant = f"GRANT SELECT ON {schema[1] if schema else ''}{name} TO the agent's role;"
    problem = TargetError(error.what, grant)
    problem.sqlstate = error.sqlstate
    return problem


def _nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)
