"""The set-based SQL that turns a reading in staging into facts: one generator, for every metric.

Parameters: target_id, ts, since (the target's clock at the last good snapshot, or NULL), restarted (a new
postmaster start, crash recovery, timeline or role: a reset is possible), lost (a loss column moved: the server
dropped rows, or all of them), emptied (when all rows were last lost, where a loss column says so), counts (series
that are new began after the last good snapshot), baseline (there is no last good snapshot), gap (the GAP bit or 0).

A `quality` of 0 is stored as NULL, which costs a bit and not eight bytes.

The rules are those of section 7 of the design:
- a reset is certain when the row's reset column moved or a counter fell; the delta is then what has been counted
  since, PARTIAL, when the reset is known to lie within the interval; else it is UNKNOWN;
- a reset column that moved to a time before the interval is UNKNOWN whatever else moved: such counters are not those
  of the last reading;
- a possible reset (`restarted`; a reset column that moved, where the metric says `resets: possible`) leaves an
  ordinary difference, PARTIAL, and so do losses, except in a row that began later than the last loss of all and whose
  reset column is where it was;
- a new series counts in full when it is known to have begun within the interval; else it is UNKNOWN. It is PARTIAL
  when it may have begun, been lost and begun once more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sbpgmon.model import PARTIAL, UNKNOWN, Column, Metric
from sbpgmon.store.ddl import Names, key_hash, listed, names_of, quote

_TARGET = "%(target_id)s::integer"


@dataclass(frozen=True, slots=True)
class Statements:
    """What the writer runs for one reading, in this order. None: not for this metric."""

    copy: str  # bytes -> staging
    doubles: str | None  # rows whose keys another row has too
    difference: str | None  # known series: returns fresh, doubles, stored, reset
    add_series: str  # identities that are new
    add_fresh: str | None  # last counters and facts of series that are new: returns stored
    drop_absent: str | None  # series that are gone are new when they come back
    gauges: str | None  # facts of a metric without counters: returns stored
    attributes: str | None  # info columns that changed
    rebuild: str | None  # staging -> last counters, nothing else: after a crash of the store
    losses: str | None  # the loss columns: as one text, and when all rows were last lost


def statements_for(
    metric: Metric, columns: Iterable[str], lacks: Iterable[str] = (), came: Iterable[str] = ()
) -> Statements:
    """The statements for a reading that has these columns, in the order of its bytes.

    A column of the metric that the reading does not have, or that the server lacks, is stored as NULL; so is the
    difference of a counter that `came`, which the reading before did not have.
    """
    order = list(columns)
    names = names_of(metric)
    counters = tuple(c for c in metric.counters if c.name in order)
    gauges = tuple(c for c in metric.gauges if c.name in order)
    resets = tuple(c for c in metric.resets if c.name in order)
    asked = tuple(c for c in counters if c.name not in set(lacks))
    same = " AND ".join(f"x.{quote(k.name)} = s.{quote(k.name)}" for k in metric.keys) or "true"
    copy = f"COPY {names.staging} ({', '.join(map(quote, order))}) FROM STDIN (FORMAT binary)"
    hashed = key_hash(metric, "s.", _TARGET)
    by_hash = f"x.key_hash = {hashed}"
    keys = "".join(f"{quote(k.name)}, " for k in metric.keys)
    s_keys = "".join(f"s.{quote(k.name)}, " for k in metric.keys)
    absent = f"NOT EXISTS (SELECT FROM {names.last} AS x WHERE x.target_id = {_TARGET} AND {same})"
    add_series = (
        f"INSERT INTO {names.series} (target_id, {keys}first_seen)\n"
        f"SELECT {_TARGET}, {s_keys}%(ts)s FROM {names.staging} AS s\n"
        f"WHERE {absent + ' AND ' if metric.has_last else ''}"
        f"NOT EXISTS (SELECT FROM {names.series} AS x WHERE {by_hash})"
    )
    attributes = _attributes(metric, order, same) if metric.infos else None
    losses = tuple(c for c in metric.losses if c.name in order)
    if not metric.has_last:
        # A counter that comes as a difference is stored as it is.
        facts = (*counters, *gauges)
        distinct = f"count(DISTINCT row({listed(metric.keys)}))" if metric.keys else "least(count(*), 1)"
        stored = None
        if metric.facts:
            values = [f"nullif(s.{quote(c.name)}, 0)" for c in counters] + [f"s.{quote(c.name)}" for c in gauges]
            stored = (
                f"WITH stored AS (INSERT INTO {names.facts} (ts, series_id, target_id, quality, {listed(facts)})\n"
                f"SELECT %(ts)s, x.series_id, x.target_id, nullif(%(gap)s::smallint, 0), {', '.join(values)}\n"
                f"FROM {names.staging} AS s JOIN {names.series} AS x ON x.target_id = {_TARGET} AND {same}\n"
                "ORDER BY x.series_id RETURNING 1)\nSELECT count(*) FROM stored"
            )
        return Statements(
            copy=copy, doubles=f"SELECT count(*) - {distinct} FROM {names.staging}", difference=None,
            add_series=add_series, add_fresh=None, drop_absent=None, gauges=stored, attributes=attributes, rebuild=None,
            losses=None,
        )  # fmt: skip
    fresh = (
        f"SELECT x.series_id, x.first_seen, s.* FROM {names.staging} AS s JOIN {names.series} AS x ON {by_hash}\n"
        f"WHERE NOT EXISTS (SELECT FROM {names.last} AS l WHERE l.series_id = x.series_id)"
    )
    held = (*metric.keys, *counters, *resets)
    keep = (
        f"INSERT INTO {names.last} (series_id, target_id, {listed(held)})\n"
        f"SELECT series_id, {_TARGET}, {listed(held)} FROM fresh"
    )
    return Statements(
        copy=copy,
        doubles=None,
        difference=_difference(metric, counters, gauges, resets, losses, asked, frozenset(came), same),
        add_series=add_series,
        add_fresh=_add_fresh(metric, counters, gauges, resets, asked, fresh, keep),
        drop_absent=(
            f"DELETE FROM {names.last} AS x WHERE x.target_id = {_TARGET}\n"
            f"AND NOT EXISTS (SELECT FROM {names.staging} AS s WHERE {same})"
        ),
        gauges=None,
        attributes=attributes,
        rebuild=f"WITH fresh AS MATERIALIZED ({fresh})\n{keep}",
        losses=_losses(names, losses) if losses else None,
    )


def _difference(
    metric: Metric,
    counters: tuple[Column, ...],
    gauges: tuple[Column, ...],
    resets: tuple[Column, ...],
    losses: tuple[Column, ...],
    asked: tuple[Column, ...],
    came: frozenset[str],
    same: str,
) -> str:
    names = names_of(metric)
    on = same.replace("x.", "l.")
    moving = (*counters, *resets)
    changed = " OR ".join(f"s.{quote(c.name)} IS DISTINCT FROM l.{quote(c.name)}" for c in moving)
    moved_reset = " OR ".join(f"s.{quote(c.name)} IS DISTINCT FROM l.{quote(c.name)}" for c in resets) or "false"
    # What follows a NULL has nothing to be compared with.
    had_null = _nulls(metric, tuple(c for c in asked if c.name not in came), "l.", "")
    moved_before = " OR ".join(
        f"s.{quote(c.name)} IS DISTINCT FROM l.{quote(c.name)} AND s.{quote(c.name)} <= %(since)s::timestamptz"
        for c in resets
    )
    joined = [
        # All columns of M_last, and in its order: the rows then go into the hash as they are, not taken apart and
        # put together again. The order is speed alone.
        "l.series_id",
        "l.target_id AS o_target_id",
        *(f"l.{quote(c.name)} AS {quote('o_' + c.name)}" for c in (*metric.keys, *metric.counters, *metric.resets)),
        f"{f'({changed})' if gauges else 'true'} AS changed",
        f"({moved_reset}) AS moved_reset",
        f"coalesce({moved_before or 'false'}, false) AS moved_before",
        f"(false{had_null}) AS had_null",
        *(f"s.{quote(c.name)} AS {quote('n_' + c.name)}" for c in (*counters, *gauges, *resets)),
    ]
    # A gauge is stored at every reading; a counter only where it moved, which every row then has.
    where = "" if gauges else f"WHERE l.series_id IS NULL OR {changed}\n"
    certain = "fell OR moved_reset" if metric.resets_are == "certain" else "fell"
    unknown = (
        f"({certain}) AND NOT (fell OR %(restarted)s OR {_since(resets, 'n_')}) OR moved_before OR had_null"
        f"{_nulls(metric, asked, '', 'n_')}"
    )
    sets = ", ".join(f"{quote(c.name)} = p.{quote('n_' + c.name)}" for c in moving)
    values = ", ".join(
        "NULL"
        if c.name in came
        else f"nullif(CASE WHEN is_unknown THEN NULL WHEN is_reset THEN {quote('n_' + c.name)} ELSE {_moved(c)} END, 0)"
        for c in counters
    )
    values += "".join(f", {quote('n_' + c.name)}" for c in gauges)
    # OFFSET 0: what is computed once a row is not computed again for each of its counters.
    return (
        f"WITH pair AS MATERIALIZED (\n"
        f"SELECT *, ({certain}) AS is_reset, ({unknown}) AS is_unknown\n"
        f"FROM (SELECT *, ({_fell(counters)}) AS fell\n"
        f"FROM (SELECT {', '.join(joined)}\n"
        f"FROM {names.staging} AS s LEFT JOIN {names.last} AS l ON l.target_id = {_TARGET} AND {on}\n{where}"
        f"OFFSET 0) AS joined OFFSET 0) AS judged),\n"
        f"moved AS (UPDATE {names.last} AS l SET {sets} FROM pair AS p\n"
        f"WHERE l.series_id = p.series_id AND l.target_id = {_TARGET} AND p.changed RETURNING 1),\n"
        f"stored AS (INSERT INTO {names.facts} (ts, series_id, target_id, quality, "
        f"{listed((*counters, *gauges))})\n"
        f"SELECT %(ts)s, series_id, {_TARGET}, nullif(%(gap)s::integer "
        f"+ CASE WHEN is_unknown THEN {UNKNOWN} ELSE 0 END "
        f"+ CASE WHEN fell OR moved_reset OR %(restarted)s OR %(lost)s AND NOT {_own(resets, losses)} "
        f"THEN {PARTIAL} ELSE 0 END, 0)::smallint, {values}\n"
        f"FROM pair WHERE series_id IS NOT NULL ORDER BY series_id RETURNING 1)\n"
        "SELECT (SELECT count(*) FROM pair WHERE series_id IS NULL), "
        "(SELECT count(series_id) - count(DISTINCT series_id) FROM pair), (SELECT count(*) FROM stored), "
        "(SELECT count(*) FROM pair WHERE series_id IS NOT NULL AND (fell OR moved_reset))"
    )


def _add_fresh(
    metric: Metric,
    counters: tuple[Column, ...],
    gauges: tuple[Column, ...],
    resets: tuple[Column, ...],
    asked: tuple[Column, ...],
    fresh: str,
    keep: str,
) -> str:
    names = names_of(metric)
    values = ", ".join(f"CASE WHEN is_known THEN nullif({quote(c.name)}, 0) END" for c in counters)
    values += "".join(f", {quote(c.name)}" for c in gauges)
    # A first snapshot is a baseline: a row for each of its series would say nothing but that.
    where = "" if gauges else "\nWHERE NOT %(baseline)s"
    # Where absence says nothing, a series that was there before may have gone on counting while it was not seen.
    began = "%(counts)s" if metric.missing == "zero" else "(%(counts)s AND first_seen = %(ts)s)"
    if metric.fresh == "unknown":
        began = "false"
    known = f"({began} OR {_since(resets, '')})" + (
        f" AND NOT (false{_nulls(metric, asked, '', '')})" if metric.nulls == "unknown" else ""
    )
    twice = "%(restarted)s OR %(lost)s" + (f" OR {_since(resets, '')}" if metric.resets_are == "possible" else "")
    return (
        f"WITH fresh AS MATERIALIZED ({fresh}),\nkept AS ({keep}),\n"
        f"stored AS (INSERT INTO {names.facts} (ts, series_id, target_id, quality, "
        f"{listed((*counters, *gauges))})\n"
        f"SELECT %(ts)s, series_id, {_TARGET}, "
        f"nullif(%(gap)s::integer + CASE WHEN NOT is_known THEN {UNKNOWN} WHEN {twice} THEN {PARTIAL} ELSE 0 END, 0)"
        f"::smallint, {values}\n"
        f"FROM (SELECT *, ({known}) AS is_known FROM fresh) AS judged{where}\n"
        "ORDER BY series_id RETURNING 1)\nSELECT count(*) FROM stored"
    )


def _attributes(metric: Metric, order: list[str], same: str) -> str:
    names = names_of(metric)
    infos = tuple(c for c in metric.infos if c.name in order)
    differs = " OR ".join(f"a.{quote(c.name)} IS DISTINCT FROM n.{quote(c.name)}" for c in infos) or "false"
    picked, values, into = ("".join(f", {alias}{quote(c.name)}" for c in infos) for alias in ("s.", "n.", ""))
    return (
        f"WITH now AS MATERIALIZED (SELECT x.series_id, x.target_id{picked} FROM {names.staging} AS s "
        f"JOIN {names.series} AS x ON x.target_id = {_TARGET} AND {same}),\n"
        f"closed AS (UPDATE {names.attributes} AS a SET valid_to = %(ts)s FROM now AS n\n"
        f"WHERE a.series_id = n.series_id AND a.valid_to = 'infinity' AND ({differs}) RETURNING a.series_id)\n"
        f"INSERT INTO {names.attributes} (series_id, target_id, valid_from{into})\n"
        f"SELECT n.series_id, n.target_id, %(ts)s{values} FROM now AS n\n"
        f"WHERE n.series_id IN (SELECT series_id FROM closed) OR NOT EXISTS (\n"
        f"SELECT FROM {names.attributes} AS a WHERE a.series_id = n.series_id AND a.valid_to = 'infinity')"
    )


def _zero(alias: str, column: Column) -> str:
    return f"coalesce({alias}.{quote(column.name)}, 0)"


def _since(resets: tuple[Column, ...], prefix: str) -> str:
    """That the reset column lies within the interval."""
    return (
        " OR ".join(f"coalesce({quote(prefix + c.name)} > %(since)s::timestamptz, false)" for c in resets)
        if resets
        else "false"
    )


def _moved(counter: Column) -> str:
    return f"coalesce({quote('n_' + counter.name)}, 0) - coalesce({quote('o_' + counter.name)}, 0)"


def _fell(counters: tuple[Column, ...]) -> str:
    """That a counter is less than it was."""
    return (
        " OR ".join(f"coalesce({quote('n_' + c.name)}, 0) < coalesce({quote('o_' + c.name)}, 0)" for c in counters)
        or "false"
    )


def _own(resets: tuple[Column, ...], losses: tuple[Column, ...]) -> str:
    """That the row's reset column tells when this very row began: later than all rows were last lost."""
    if not resets or not _times(losses):
        return "false"
    return " AND ".join(f"coalesce({quote('n_' + r.name)} > %(emptied)s::timestamptz, false)" for r in resets)


def _times(losses: tuple[Column, ...]) -> list[Column]:
    return [c for c in losses if c.type.name == "timestamptz"]


def _losses(names: Names, losses: tuple[Column, ...]) -> str:
    """What the loss columns hold, in every row or in one: all of it as one text, and the latest of their times."""
    picked = ", ".join(
        f"(SELECT {quote(c.name)} FROM {names.staging} WHERE {quote(c.name)} IS NOT NULL LIMIT 1) AS {quote(c.name)}"
        for c in losses
    )
    times = _times(losses)
    latest = "NULL"
    if times:
        latest = f"CASE WHEN num_nulls({listed(tuple(times))}) = 0 THEN greatest({listed(tuple(times))})::text END"
    return f"SELECT concat_ws(' ', {listed(losses)}), {latest} FROM (SELECT {picked}) AS l"


def _nulls(metric: Metric, asked: tuple[Column, ...], alias: str, prefix: str) -> str:
    """That a counter was NULL, where NULL does not mean zero."""
    if metric.nulls == "zero" or not asked:
        return ""
    return f" OR num_nulls({', '.join(alias + quote(prefix + c.name) for c in asked)}) > 0"
