"""The functions of the schema, generated: tier() for charts, top_statements() for totals over any range.

They run as their owner, so that who may read the views need not read the tables below them; whatever decides about
tables and columns in them is generated, never text of the caller's.
"""

from __future__ import annotations

import itertools
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
# A tier is taken from the time on at which it has two buckets: what is rolled up every few minutes comes a little late.
_ROLLED_SECONDS = 600


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
    body += (
        "\nFROM (SELECT min(first_seen) AS born, greatest(from_time, min(first_seen)) AS since "
        f"FROM {SCHEMA}.target) AS s"
    )
    # Not STABLE, which it is by now(): with literals, as Grafana sends them, the planner then has the tier's name and
    # plans that one branch of a view. It would plan for all of them otherwise, and take ten times as long to read one.
    # When the history began, which it reads, moves as little as the retention does.
    return [
        f"CREATE OR REPLACE FUNCTION {SCHEMA}.tier(metric text, interval_ms double precision, from_time timestamptz) "
        "RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp "
        f"AS $body$\nSELECT {body}\n$body$",
        f"COMMENT ON FUNCTION {signature} IS 'The finest tier of a metric that is not finer than asked for and still "
        "reaches back to from_time; a finer one while the history is so young that this one has next to nothing: "
        "tier(''stat_statements'', $__interval_ms, $__timeFrom()::timestamptz)'",
        f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC",
    ]


def _choice(metric: Metric, retention: Mapping[str, float | None]) -> str:
    """The tier of one metric: the finest that is no finer than the interval asked for, and reaches back.

    A history that is younger than two buckets of a tier is read from the next finer one: charts of a month would be
    empty for the first hours.
    """
    whens = []
    for tier, coarser in itertools.pairwise(metric.tiers):
        seconds = max(TIER_SECONDS[tier], metric.interval_seconds if tier == metric.tier else 0)
        kept = retention[tier]
        reaches = "" if kept is None else f" AND since >= now() - interval '{kept + _TOLERANCE_SECONDS:.0f} s'"
        asked = f"interval_ms <= {seconds * 1000:.0f}"
        if tier == "1m":
            near = f"since >= now() - interval '{_MINUTES_SECONDS + _TOLERANCE_SECONDS} s'"
            asked += f" AND (interval_ms <= {seconds * 500:.0f} OR {near})"
        young = f"born > now() - interval '{2 * TIER_SECONDS[coarser] + _ROLLED_SECONDS} s'"
        whens.append(f"WHEN ({asked} OR {young}){reaches} THEN {literal(tier)}")
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
        types=", ".join(literal(type_) for _, type_ in counters),
        summed=", ".join(f"s.{quote(name)}" for name, _ in counters),
        lossy=UNKNOWN | PARTIAL,
    )
    name = f"{SCHEMA}.top_statements"
    signature = f"{name}(text, timestamptz, timestamptz, text, integer, text[], timestamptz)"
    returned = ", ".join(f"{quote(name)} {type_}" for name, type_ in counters)
    return [
        f"DROP FUNCTION IF EXISTS {signature}",
        f"DROP FUNCTION IF EXISTS {name}(text, timestamptz, timestamptz, text, integer)",
        f"CREATE FUNCTION {name}(target_name text, from_time timestamptz, to_time timestamptz, "
        "by_column text DEFAULT 'total_exec_time', max_rows integer DEFAULT 20, only_columns text[] DEFAULT NULL, "
        "before_time timestamptz DEFAULT NULL)\n"
        "RETURNS TABLE (target text, datname text, usename text, queryid bigint, toplevel boolean, query text, "
        f"share double precision, mean_exec_time double precision, {returned}, is_partial boolean, "
        "calls_before bigint, total_exec_time_before double precision)\n"
        # pg_temp last: else the caller's own types come first, and what they check is run as the owner.
        "LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $body$\n"
        f"{body}\n$body$",
        f"COMMENT ON FUNCTION {signature} IS 'Statements of a target (NULL: of all) with the greatest sum of a counter "
        "over [from_time, to_time), exact for any range that the finest tier still reaches; where it does not, whole "
        "buckets of the finest tier that does. share is of the top-level statements'' total. only_columns: the "
        "counters that are wanted besides calls and total_exec_time; the others are NULL, which is quicker. With "
        "before_time, calls_before and total_exec_time_before are of [before_time, from_time)'",
        f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC",
    ]


_TOP_STATEMENTS = """\
#variable_conflict use_column
DECLARE
  tiers CONSTANT text[] := ARRAY[{tiers}];  -- the coarsest first
  tables CONSTANT text[] := ARRAY[{tables}];
  known CONSTANT text[] := ARRAY[{known}];  -- counters
  types CONSTANT text[] := ARRAY[{types}];
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
  lower_time timestamptz;
  upper_time timestamptz;
  stretches text[] := '{{}}';  -- of [from_time, to_time)
  earlier text[] := '{{}}';    -- of [before_time, from_time)
  wanted text[] := coalesce(only_columns, known) || ARRAY['calls', 'total_exec_time', by_column];
  wrong text;
  ranking text;
  picked text;
  sums text;
  facts text;
  facts_before text;
  winners integer[];
  winning numeric[];
  totals jsonb;
BEGIN
  SELECT coalesce(w, 'NULL') INTO wrong FROM unnest(wanted) AS w WHERE w IS NULL OR w <> ALL (known) LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION '%: stat_statements has no such counter', wrong
      USING ERRCODE = 'undefined_column', HINT = 'One of total_exec_time, calls, rows, shared_blks_read, …';
  END IF;
  FOR part IN 1 .. CASE WHEN before_time IS NULL THEN 1 ELSE 2 END LOOP
    lower_time := CASE part WHEN 1 THEN from_time ELSE before_time END;
    upper_time := CASE part WHEN 1 THEN to_time ELSE from_time END;
    inner_start := NULL;
    FOR i IN 1 .. cardinality(tiers) LOOP
      SELECT r.watermark, r.dropped_until INTO mark, gone FROM {schema}.rollup AS r
      WHERE r.metric_id = metric AND r.tier = tiers[i];
      IF i = cardinality(tiers) THEN
        start := lower_time;
        stop := upper_time;
      ELSE
        CONTINUE WHEN mark IS NULL;
        SELECT r.dropped_until INTO finer_gone FROM {schema}.rollup AS r
        WHERE r.metric_id = metric AND r.tier = tiers[i + 1];
        -- Whole buckets only, but where nothing finer is left to cut them.
        start := date_bin(widths[i], lower_time, '{epoch}');
        IF start < lower_time AND (finer_gone IS NULL OR lower_time >= finer_gone) THEN
          start := start + widths[i];
        END IF;
        stop := date_bin(widths[i], upper_time, '{epoch}');
        IF stop < upper_time AND upper_time < finer_gone THEN
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
        facts := format('%s WHERE ts >= %L AND ts < %L', tables[i], start, inner_start);
        IF part = 1 THEN stretches := stretches || facts; ELSE earlier := earlier || facts; END IF;
        inner_start := start;
      END IF;
      IF inner_stop < stop THEN
        facts := format('%s WHERE ts >= %L AND ts < %L', tables[i], inner_stop, stop);
        IF part = 1 THEN stretches := stretches || facts; ELSE earlier := earlier || facts; END IF;
        inner_stop := stop;
      END IF;
    END LOOP;
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
      WHERE s.toplevel AND s.target_id = ANY ($1) GROUP BY 1)
    SELECT (SELECT array_agg(series_id ORDER BY x DESC, series_id) FROM first),
      (SELECT array_agg(x::numeric ORDER BY x DESC, series_id) FROM first),
      (SELECT jsonb_object_agg(target_id, x) FROM total)',
    types[array_position(known, by_column)], ranking)
  INTO winners, winning, totals USING targets, max_rows;
  SELECT string_agg(format('%I', k), ', ') FILTER (WHERE k = ANY (wanted)),
    string_agg(CASE WHEN k = ANY (wanted) THEN format('coalesce(sum(%1$I::%2$s), 0)::%2$s AS %1$I', k, t)
      ELSE format('NULL::%2$s AS %1$I', k, t) END, ', ')
  INTO picked, sums FROM unnest(known, types) AS c (k, t);
  SELECT string_agg(
    format('SELECT series_id, quality, %s FROM %s AND target_id = ANY ($1) AND series_id = ANY ($2)', picked, f),
    ' UNION ALL ')
  INTO facts FROM unnest(stretches) AS f;
  SELECT coalesce(string_agg(
    format('SELECT series_id, calls, total_exec_time FROM %s AND target_id = ANY ($1) AND series_id = ANY ($2)', f),
    ' UNION ALL '), 'SELECT NULL::integer AS series_id, NULL::bigint AS calls, NULL::real AS total_exec_time')
  INTO facts_before FROM unnest(earlier) AS f;
  RETURN QUERY EXECUTE format(
    'WITH summed AS (
      SELECT series_id, coalesce(bool_or(quality & {lossy} <> 0), false) AS is_partial, %s
      FROM (%s) AS f GROUP BY 1),
    before AS (
      SELECT series_id, sum(calls)::bigint AS calls, sum(total_exec_time::double precision) AS total_exec_time
      FROM (%s) AS f GROUP BY 1)
    SELECT t.name, d.datname, r.usename, x.queryid, x.toplevel, q.query,
      (w.x / nullif(($4 ->> x.target_id::text)::numeric, 0))::double precision,
      s.total_exec_time / nullif(s.calls, 0), {summed}, s.is_partial,
      CASE WHEN $5 THEN coalesce(b.calls, 0) END, CASE WHEN $5 THEN coalesce(b.total_exec_time, 0) END
    FROM unnest($2, $3) WITH ORDINALITY AS w (series_id, x, place)
    JOIN summed AS s USING (series_id)
    LEFT JOIN before AS b USING (series_id)
    JOIN {series} AS x USING (series_id)
    JOIN {schema}.target AS t ON t.target_id = x.target_id
    LEFT JOIN {schema}.statement_text_of AS o USING (series_id)
    LEFT JOIN {schema}.statement_text AS q USING (text_id)
    LEFT JOIN {schema}.stat_database_series AS ds ON ds.target_id = x.target_id AND ds.datid = x.dbid
    LEFT JOIN {schema}.stat_database_attributes AS d ON d.series_id = ds.series_id AND d.valid_to = ''infinity''
    LEFT JOIN {schema}.roles_series AS rs ON rs.target_id = x.target_id AND rs.userid = x.userid
    LEFT JOIN {schema}.roles_attributes AS r ON r.series_id = rs.series_id AND r.valid_to = ''infinity''
    ORDER BY w.place', sums, facts, facts_before)
  USING targets, winners, winning, totals, before_time IS NOT NULL;
END"""
