"""What `DROP SCHEMA monitoring CASCADE` would take with it, told by PostgreSQL's own dependencies.

The walk is the server's: everything that depends on what goes, and everything that what goes is an internal
part of (a rule is part of its view, a member part of its extension).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import Connection, errors

from sbpgmon.errors import SchemaGoneError
from sbpgmon.store.preflight import SCHEMA, own_schema, rows, set_local


@dataclass(frozen=True, slots=True)
class Dependent:
    """An object outside the schema that CASCADE would drop: `view`, `view public.bets_by_hour`."""

    kind: str
    description: str


@dataclass(frozen=True, slots=True)
class Survey:
    """What a rollback would take away. `rows` is an estimate; `locks_available` is the least there is."""

    relations: Mapping[str, int]  # kind in the plural -> number of them; kinds that are there
    rows: int
    total_bytes: int
    locks_needed: int
    locks_available: int
    outside: tuple[Dependent, ...]


@dataclass(frozen=True, slots=True)
class Closure:
    """All that goes: how many objects (each is locked once), and which of them are not the schema's own."""

    objects: int
    outside: tuple[Dependent, ...]


# `gone` is the closure. A column (objsubid > 0) goes alone; a whole object takes all its columns along.
# `part`: what a member of it is part of, in the catalog's words automatic, internal, partition, extension.
# `outside`: what lies in another schema, or, having no schema (a trigger, a default, a publication's
# membership), is part of anything that is not the schema's own, or of nothing at all (a cast).
# Reported is the outermost of these: the view, not its rule and its row type; but each table by its name.
_CLOSURE = """
WITH RECURSIVE gone(classid, objid, objsubid) AS (
    SELECT 'pg_namespace'::regclass::oid, %(schema)s::oid, 0
    UNION
    SELECT d.* FROM gone g CROSS JOIN LATERAL (
        SELECT f.classid, f.objid, f.objsubid FROM pg_depend f
        WHERE f.refclassid = g.classid AND f.refobjid = g.objid
          AND (g.objsubid = 0 OR f.refobjsubid = g.objsubid)
        UNION ALL
        SELECT b.refclassid, b.refobjid, b.refobjsubid FROM pg_depend b
        WHERE b.classid = g.classid AND b.objid = g.objid
          AND (g.objsubid = 0 OR b.objsubid = g.objsubid) AND b.deptype IN ('i', 'e')
    ) d
), node AS MATERIALIZED (
    SELECT g.*, CASE g.classid
        WHEN 'pg_class'::regclass THEN (SELECT relnamespace FROM pg_class WHERE oid = g.objid)
        WHEN 'pg_type'::regclass THEN (SELECT typnamespace FROM pg_type WHERE oid = g.objid)
        WHEN 'pg_constraint'::regclass THEN (SELECT connamespace FROM pg_constraint WHERE oid = g.objid)
        WHEN 'pg_proc'::regclass THEN (SELECT pronamespace FROM pg_proc WHERE oid = g.objid)
        WHEN 'pg_statistic_ext'::regclass THEN (SELECT stxnamespace FROM pg_statistic_ext WHERE oid = g.objid)
        WHEN 'pg_operator'::regclass THEN (SELECT oprnamespace FROM pg_operator WHERE oid = g.objid)
        WHEN 'pg_opclass'::regclass THEN (SELECT opcnamespace FROM pg_opclass WHERE oid = g.objid)
        WHEN 'pg_opfamily'::regclass THEN (SELECT opfnamespace FROM pg_opfamily WHERE oid = g.objid)
        WHEN 'pg_collation'::regclass THEN (SELECT collnamespace FROM pg_collation WHERE oid = g.objid)
        WHEN 'pg_conversion'::regclass THEN (SELECT connamespace FROM pg_conversion WHERE oid = g.objid)
        WHEN 'pg_ts_config'::regclass THEN (SELECT cfgnamespace FROM pg_ts_config WHERE oid = g.objid)
        WHEN 'pg_ts_dict'::regclass THEN (SELECT dictnamespace FROM pg_ts_dict WHERE oid = g.objid)
        WHEN 'pg_ts_parser'::regclass THEN (SELECT prsnamespace FROM pg_ts_parser WHERE oid = g.objid)
        WHEN 'pg_ts_template'::regclass THEN (SELECT tmplnamespace FROM pg_ts_template WHERE oid = g.objid)
        END AS namespace
    FROM gone g
), placed AS MATERIALIZED (
    -- A TOAST table lies in pg_toast, but belongs where its table does.
    SELECT classid, objid, objsubid, nullif(namespace, 'pg_toast'::regnamespace::oid) AS namespace
    FROM node WHERE classid <> 'pg_namespace'::regclass OR objid <> %(schema)s::oid
), part AS MATERIALIZED (
    SELECT p.classid, p.objid, p.objsubid, d.refclassid, d.refobjid, d.refobjsubid
    FROM placed p JOIN pg_depend d ON d.classid = p.classid AND d.objid = p.objid
        AND (p.objsubid = 0 OR d.objsubid = p.objsubid)
    WHERE p.namespace IS DISTINCT FROM %(schema)s::oid AND d.deptype IN ('a', 'i', 'e', 'P', 'S')
      AND (d.refclassid <> p.classid OR d.refobjid <> p.objid OR p.objsubid <> 0 AND d.refobjsubid = 0)
), outside(classid, objid, objsubid) AS (
    SELECT p.classid, p.objid, p.objsubid FROM placed p
    WHERE p.namespace <> %(schema)s::oid
       OR p.namespace IS NULL AND (
            NOT EXISTS (SELECT FROM part a WHERE (a.classid, a.objid, a.objsubid)
                                               = (p.classid, p.objid, p.objsubid))
         OR EXISTS (SELECT FROM part a
                    WHERE (a.classid, a.objid, a.objsubid) = (p.classid, p.objid, p.objsubid)
                      AND NOT EXISTS (SELECT FROM gone g
                                      WHERE g.classid = a.refclassid AND g.objid = a.refobjid
                                        AND g.objsubid IN (0, a.refobjsubid))))
    UNION
    SELECT a.classid, a.objid, a.objsubid FROM outside o
    JOIN part a ON a.refclassid = o.classid AND a.refobjid = o.objid AND o.objsubid IN (0, a.refobjsubid)
    JOIN placed p ON (p.classid, p.objid, p.objsubid) = (a.classid, a.objid, a.objsubid)
    WHERE p.namespace IS NULL
), reported AS (
    SELECT o.* FROM outside o
    LEFT JOIN pg_class c ON o.classid = 'pg_class'::regclass AND c.oid = o.objid AND o.objsubid = 0
    WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm')
       OR NOT EXISTS (SELECT FROM part a JOIN outside w ON w.classid = a.refclassid AND w.objid = a.refobjid
                                                       AND w.objsubid IN (0, a.refobjsubid)
                      WHERE (a.classid, a.objid, a.objsubid) = (o.classid, o.objid, o.objsubid))
          AND NOT (o.objsubid > 0 AND EXISTS (SELECT FROM outside w WHERE w.classid = o.classid
                                                AND w.objid = o.objid AND w.objsubid = 0))
)
SELECT (SELECT count(DISTINCT (classid, objid)) FROM gone),
       ARRAY(SELECT (pg_identify_object(classid, objid, objsubid)).type
             FROM reported ORDER BY pg_describe_object(classid, objid, objsubid) COLLATE "C"),
       ARRAY(SELECT pg_describe_object(classid, objid, objsubid) COLLATE "C"
             FROM reported ORDER BY 1)
"""

_RELATIONS = """
SELECT CASE WHEN relispartition AND relkind <> 'I' AND relkind <> 'i' THEN 'partitions'
            WHEN relkind IN ('r', 'p') THEN 'tables' WHEN relkind IN ('i', 'I') THEN 'indexes'
            WHEN relkind = 'v' THEN 'views' WHEN relkind = 'm' THEN 'materialized views'
            WHEN relkind = 'S' THEN 'sequences' WHEN relkind = 'f' THEN 'foreign tables'
            ELSE 'composite types' END,
       count(*),
       -- A table that was never analyzed has no estimate (-1) in the catalog, but the statistics have one.
       coalesce(sum(CASE WHEN reltuples < 0 THEN pg_stat_get_live_tuples(oid) ELSE reltuples END)
                FILTER (WHERE relkind IN ('r', 'm')), 0)::bigint
FROM pg_class WHERE relnamespace = %s GROUP BY 1 ORDER BY 2 DESC, 1
"""
# The exact size opens each table and so waits behind whoever drops one; the estimate never waits.
_BYTES = """
SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint
FROM pg_class WHERE relnamespace = %s AND relkind IN ('r', 'm', 'S')
"""
_ESTIMATED_BYTES = """
SELECT coalesce(sum(relpages::bigint * current_setting('block_size')::int), 0)::bigint
FROM pg_class WHERE relnamespace = %s
"""
_LOCKS = """
SELECT current_setting('max_locks_per_transaction')::bigint
     * (current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int)
"""


def survey(conn: Connection[Any]) -> Survey:
    """What `remove` would take away. Waits for no lock.

    Raises SchemaGoneError when there is no schema, SchemaMismatchError when it is not ours.
    """
    schema_oid = present_schema(conn)
    with conn.transaction():
        counted = rows(conn, _RELATIONS, (schema_oid,))
        gone = closure(conn, schema_oid)
        [(locks_available,)] = rows(conn, _LOCKS)
    try:
        with conn.transaction():
            set_local(conn, lock_timeout="200ms")
            [(total_bytes,)] = rows(conn, _BYTES, (schema_oid,))
    except errors.LockNotAvailable:
        [(total_bytes,)] = rows(conn, _ESTIMATED_BYTES, (schema_oid,))
    return Survey(
        relations={kind: number for kind, number, _ in counted},
        rows=sum(estimate for _, _, estimate in counted),
        total_bytes=total_bytes,
        locks_needed=gone.objects + 3,  # and the transaction itself
        locks_available=locks_available,
        outside=gone.outside,
    )


def closure(conn: Connection[Any], schema_oid: int) -> Closure:
    """What dropping the schema with this OID takes with it; the schema itself is one of `objects`.

    Runs in the transaction at hand and leaves it as it was. Raises psycopg errors.
    """
    with conn.transaction():
        # Names are shown in full when nothing but the catalog is visible; the walk is never worth a JIT.
        [(search_path, jit)] = rows(conn, "SELECT current_setting('search_path'), current_setting('jit')")
        set_local(conn, search_path="pg_catalog", jit="off")
        [(objects, kinds, descriptions)] = rows(conn, _CLOSURE, {"schema": schema_oid})
        set_local(conn, search_path=search_path, jit=jit)
    return Closure(objects, tuple(Dependent(*pair) for pair in zip(kinds, descriptions, strict=True)))


def present_schema(conn: Connection[Any]) -> int:
    """The OID of our schema. Raises SchemaGoneError without one, SchemaMismatchError if it is not ours."""
    schema_oid = own_schema(conn)
    if schema_oid is None:
        raise SchemaGoneError(
            f"There is no schema {SCHEMA} in database {conn.info.dbname}: nothing to remove.",
            "If it should be there, check which database [store] dsn names.",
        )
    return schema_oid
