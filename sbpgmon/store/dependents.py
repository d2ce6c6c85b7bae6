"""What `DROP SCHEMA monitoring CASCADE` would take with it, told by PostgreSQL's own dependencies.

The walk is the server's: everything that depends on what goes, and everything that what goes is an internal
part of (a rule is part of its view, a member part of its extension).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import Connection
from psycopg.rows import tuple_row


@dataclass(frozen=True, slots=True)
class Dependent:
    """An object outside the schema that CASCADE would drop: `view`, `view public.bets_by_hour`."""

    kind: str
    description: str


@dataclass(frozen=True, slots=True)
class Closure:
    """All that goes: how many objects (each is locked once), and those of them that are not the schema's own."""

    objects: int
    outside: tuple[Dependent, ...]


# `gone` is the closure. A column (objsubid > 0) goes alone; a whole object takes all its columns along.
# `part` says what a member of it is part of, in the catalog's words: automatic, internal, partition, extension.
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


def closure(conn: Connection[Any], schema_oid: int) -> Closure:
    """What dropping the schema with this OID takes with it; the schema itself is one of `objects`.

    Runs in the transaction at hand and leaves it as it was. Raises psycopg errors.
    """
    with conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
        # Names are shown in full when nothing but the catalog is visible; the walk is never worth a JIT.
        old = cursor.execute(
            "SELECT current_setting('search_path'), current_setting('jit'),"
            " set_config('search_path', 'pg_catalog', true), set_config('jit', 'off', true)"
        ).fetchone()
        row = cursor.execute(_CLOSURE, {"schema": schema_oid}).fetchone()
        assert old is not None
        assert row is not None
        cursor.execute(
            "SELECT set_config('search_path', %s, true), set_config('jit', %s, true)", (old[0], old[1])
        )
    objects, kinds, descriptions = row
    return Closure(objects, tuple(Dependent(*pair) for pair in zip(kinds, descriptions, strict=True)))
