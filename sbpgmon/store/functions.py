"""The functions of the schema, generated: tier() for charts, top_statements() for totals over any range.

They run as their owner, so that who may read the views need not read the tables below them; whatever decides about
tables and columns in them is generated, never text of the caller's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg

from sbpgmon.catalog.catalog import Catalog
from sbpgmon.errors import StoreRefusedError
from sbpgmon.model import PARTIAL, TIER_SECONDS, UNKNOWN, Metric
from sbpgmon.store.ddl import literal, names_of, quote
from sbpgmon.store.policy import RetentionOf
from sbpgmon.store.schema import SCHEMA
from sbpgmon.store.tiers import EPOCH, table
from sbpgmon.store.views import digest, entry_sql

# Charts ask for the last six hours of what is kept for six hours, a moment after they computed these.
_TOLERANCE_SECONDS = 60
# A day of fifty series at 1m is 72,000 points, and read from a live partition: beyond this, the whole minute that is
# asked for is not fine enough a reason for 1m.
_MINUTES_SECONDS = 12 * 3600


def create_functions(catalog: Catalog, retention_of: RetentionOf) -> dict[str, list[str]]:
    """Name with brackets -> the statements that make or replace the function."""
    functions = {"tier()": _tier(catalog, retention_of)}
    if "stat_statements" in catalog.metrics:
        functions["top_statements()"] = _top_statements(catalog.metrics["stat_statements"])
    return {
        name: [*statements, entry_sql(name, digest("\n".join(statements)))] for name, statements in functions.items()
    }


def keep_functions(
    conn: psycopg.Connection[Any], catalog: Catalog, retention_of: RetentionOf, *, is_poll: bool = False
) -> list[str]:
    """Makes the functions that are not as they should be; returns their names. A poll replaces tier() alone.

    Raises StoreRefusedError when an object of the user's stands on one that has to change its columns.
    """
    hashes = dict(conn.execute(f"SELECT name, definition_hash FROM {SCHEMA}.derived_view".encode()).fetchall())
    done = []
    for name, statements in create_functions(catalog, retention_of).items():
        old = hashes.get(name)
        if old == digest("\n".join(statements[:-1])) or (is_poll and old is not None and name != "tier()"):
            continue
        try:
            conn.execute(";\n".join(statements).encode())
        except psycopg.errors.DependentObjectsStillExist as error:
            raise StoreRefusedError(
                f"The function {SCHEMA}.{name} has to change, but {error.diag.message_detail}.",
                "Drop that object, run `sbpgmon init` again, then create it anew.",
            ) from None
        done.append(name)
    return done


def _tier(catalog: Catalog, retention_of: RetentionOf) -> list[str]:
    of = {m.name: m for m in catalog.metrics.values() if m.facts}
    for view in catalog.views.values():
        # A derived view has the tiers of what it reads first.
        first = next((of[need] for need in view.needs if need in of), None)
        if first is not None:
            of[view.name] = first
    cases = "\n".join(
        f"  WHEN {literal(name)} THEN {_choice(m, retention_of(m.name))}" for name, m in sorted(of.items())
    )
    signature = f"{SCHEMA}.tier(text, double precision, timestamptz)"
    body = f"CASE metric\n{cases}\nEND" if cases else "NULL::text"
    # Not STABLE, which it is by now(): with literals, as Grafana sends them, the planner then has the tier's name and
    # plans that one branch of a view. It would plan for all of them otherwise, and take ten times as long to read one.
    return [
        f"CREATE OR REPLACE FUNCTION {SCHEMA}.tier(metric text, interval_ms double precision, from_time timestamptz) "
        f"RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $body$\nSELECT {body}\n$body$",
        f"COMMENT ON FUNCTION {signature} IS 'The finest tier of a metric that is not finer than asked for and still "
        "reaches back to from_time: tier(''stat_statements'', $__interval_ms, $__timeFrom()::timestamptz)'",
    ]


def _choice(metric: Metric, retention: Mapping[str, float | None]) -> str:
    """The tier of one metric: the finest that is no finer than the interval asked for, and reaches back."""
    whens = []
    for tier in metric.tiers[:-1]:
        seconds = max(TIER_SECONDS[tier], metric.interval_seconds if tier == metric.tier else 0)
        kept = retention[tier]
        reaches = "" if kept is None else f" AND from_time >= now() - interval '{kept + _TOLERANCE_SECONDS:.0f} s'"
        asked = f"interval_ms <= {seconds * 1000:.0f}"
        if tier == "1m":
            near = f"from_time >= now() - interval '{_MINUTES_SECONDS + _TOLERANCE_SECONDS} s'"
            asked += f" AND (interval_ms <= {seconds * 500:.0f} OR {near})"
        whens.append(f"WHEN {asked}{reaches} THEN {literal(tier)}")
    last = literal(metric.tiers[-1])
    return f"CASE {' '.join(whens)} ELSE {last} END" if whens else last


def _top_statements(metric: Metric) -> list[str]:
    """Composed totals: the inner buckets from the coarse tiers, the edges from the finer ones, each once."""
    counters = [(c.name, "bigint" if c.type.name == "integer" else c.type.name) for c in metric.counters]
    body = _TOP_STATEMENTS.format(
        schema=SCHEMA,
        series=names_of(metric).series,
        name=literal(metric.name),
        epoch=EPOCH,
        tiers=", ".join(literal(tier) for tier in reversed(metric.tiers)),
        tables=", ".join(literal(table(metric, tier)) for tier in reversed(metric.tiers)),
        widths=", ".join(f"interval '{TIER_SECONDS[tier]} s'" for tier in reversed(metric.tiers)),
        known=", ".join(literal(name) for name, _ in counters),
        doubles=", ".join(literal(name) for name, type_ in counters if type_ == "double precision") or "NULL",
        picked=", ".join(quote(name) for name, _ in counters),
        sums=", ".join(f"coalesce(sum({quote(n)}::{type_}), 0)::{type_} AS {quote(n)}" for n, type_ in counters),
        summed=", ".join(f"s.{quote(name)}" for name, _ in counters),
        lossy=UNKNOWN | PARTIAL,
    )
    signature = f"{SCHEMA}.top_statements(text, timestamptz, timestamptz, text, integer)"
    returned = ", ".join(f"{quote(name)} {type_}" for name, type_ in counters)
    return [
        f"DROP FUNCTION IF EXISTS {signature}",
        f"CREATE FUNCTION {SCHEMA}.top_statements(target_name text, from_time timestamptz, to_time timestamptz, "
        "by_column text DEFAULT 'total_exec_time', max_rows integer DEFAULT 20)\n"
        "RETURNS TABLE (target text, datname text, usename text, queryid bigint, toplevel boolean, query text, "
        f"share double precision, mean_exec_time double precision, {returned}, is_partial boolean)\n"
        # pg_temp last: else the caller's own types come first, and what they check is run as the owner.
        "LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $body$\n"
        f"{body}\n$body$",
        f"COMMENT ON FUNCTION {signature} IS 'Statements of a target (NULL: of all) with the greatest sum of a counter "
        "over [from_time, to_time), exact for any range that the finest tier still reaches; where it does not, whole "
        "buckets of the finest tier that does. share is of the top-level statements'' total'",
        f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC",
    ]


_TOP_STATEMENTS = """\
#variable_conflict use_column
DECLARE
  tiers CONSTANT text[] := ARRAY[{tiers}];  -- the coarsest first
  tables CONSTANT text[] := ARRAY[{tables}];
  widths CONSTANT interval[] := ARRAY[{widths}];
  metric CONSTANT integer := (SELECT m.metric_id FROM {schema}.metric AS m WHERE m.name = {name});
  targets CONSTANT integer[] := (
    SELECT array_agg(t.target_id) FROM {schema}.target AS t WHERE target_name IS NULL OR t.name = target_name
  );
  mark timestamptz;        -- up to here the tier is rolled up
  gone timestamptz;        -- rows of the tier before it are gone
  finer_gone timestamptz;  -- the same of the next finer tier
  start timestamptz;       -- what the tier can serve
  stop timestamptz;
  inner_start timestamptz; -- what coarser tiers serve
  inner_stop timestamptz;
  stretches text[] := '{{}}';
  ranking text;
  winners integer[];
  winning numeric[];
  totals jsonb;
BEGIN
  IF by_column IS NULL OR by_column NOT IN ({known}) THEN
    RAISE EXCEPTION '%: stat_statements has no such counter', coalesce(by_column, 'NULL')
      USING ERRCODE = 'undefined_column', HINT = 'One of total_exec_time, calls, rows, shared_blks_read, …';
  END IF;
  FOR i IN 1 .. cardinality(tiers) LOOP
    SELECT r.watermark, r.dropped_until INTO mark, gone FROM {schema}.rollup AS r
    WHERE r.metric_id = metric AND r.tier = tiers[i];
    IF i = cardinality(tiers) THEN
      start := from_time;
      stop := to_time;
    ELSE
      CONTINUE WHEN mark IS NULL;
      SELECT r.dropped_until INTO finer_gone FROM {schema}.rollup AS r
      WHERE r.metric_id = metric AND r.tier = tiers[i + 1];
      -- Whole buckets only, but where nothing finer is left to cut them.
      start := date_bin(widths[i], from_time, '{epoch}');
      IF start < from_time AND (finer_gone IS NULL OR from_time >= finer_gone) THEN
        start := start + widths[i];
      END IF;
      stop := date_bin(widths[i], to_time, '{epoch}');
      IF stop < to_time AND to_time < finer_gone THEN
        stop := stop + widths[i];
      END IF;
      stop := least(stop, mark);
    END IF;
    start := greatest(start, gone);
    IF inner_start IS NULL THEN
      CONTINUE WHEN start >= stop;
      inner_start := stop;
      inner_stop := stop;
    END IF;
    IF start < inner_start THEN
      stretches := stretches || format('%s WHERE ts >= %L AND ts < %L', tables[i], start, inner_start);
      inner_start := start;
    END IF;
    IF inner_stop < stop THEN
      stretches := stretches || format('%s WHERE ts >= %L AND ts < %L', tables[i], inner_stop, stop);
      inner_stop := stop;
    END IF;
  END LOOP;
  IF stretches = '{{}}' OR targets IS NULL THEN
    RETURN;
  END IF;
  -- Rank on one sum, then fetch the rest for the winners alone.
  SELECT string_agg(format('SELECT series_id, %I AS x FROM %s AND target_id = ANY ($1)', by_column, f), ' UNION ALL ')
  INTO ranking FROM unnest(stretches) AS f;
  EXECUTE format(
    'WITH summed AS (SELECT series_id, sum(x::%s) AS x FROM (%s) AS f GROUP BY 1),
    first AS (SELECT series_id, x FROM summed WHERE x > 0 ORDER BY x DESC, series_id LIMIT $2),
    total AS (SELECT s.target_id, sum(u.x) AS x FROM summed AS u JOIN {series} AS s USING (series_id)
      WHERE s.toplevel GROUP BY 1)
    SELECT (SELECT array_agg(series_id ORDER BY x DESC, series_id) FROM first),
      (SELECT array_agg(x::numeric ORDER BY x DESC, series_id) FROM first),
      (SELECT jsonb_object_agg(target_id, x) FROM total)',
    CASE WHEN by_column IN ({doubles}) THEN 'double precision' ELSE 'bigint' END, ranking)
  INTO winners, winning, totals USING targets, max_rows;
  SELECT string_agg(
    format('SELECT series_id, quality, {picked} FROM %s AND target_id = ANY ($1) AND series_id = ANY ($2)', f),
    ' UNION ALL ')
  INTO ranking FROM unnest(stretches) AS f;
  RETURN QUERY EXECUTE format(
    'WITH summed AS (
      SELECT series_id, {sums}, coalesce(bool_or(quality & {lossy} <> 0), false) AS is_partial
      FROM (%s) AS f GROUP BY 1)
    SELECT t.name, d.datname, r.usename, x.queryid, x.toplevel, q.query,
      (w.x / nullif(($4 ->> x.target_id::text)::numeric, 0))::double precision,
      s.total_exec_time / nullif(s.calls, 0), {summed}, s.is_partial
    FROM unnest($2, $3) WITH ORDINALITY AS w (series_id, x, place)
    JOIN summed AS s USING (series_id)
    JOIN {series} AS x USING (series_id)
    JOIN {schema}.target AS t ON t.target_id = x.target_id
    LEFT JOIN {schema}.statement_text_of AS o USING (series_id)
    LEFT JOIN {schema}.statement_text AS q USING (text_id)
    LEFT JOIN {schema}.stat_database_series AS ds ON ds.target_id = x.target_id AND ds.datid = x.dbid
    LEFT JOIN {schema}.stat_database_attributes AS d ON d.series_id = ds.series_id AND d.valid_to = ''infinity''
    LEFT JOIN {schema}.roles_series AS rs ON rs.target_id = x.target_id AND rs.userid = x.userid
    LEFT JOIN {schema}.roles_attributes AS r ON r.series_id = rs.series_id AND r.valid_to = ''infinity''
    ORDER BY w.place', ranking)
  USING targets, winners, winning, totals;
END"""
