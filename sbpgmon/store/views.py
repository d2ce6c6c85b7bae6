"""Views over the metrics' tables, out of headers and files, and what is entered about them in the store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence

from sbpgmon.model import TIER_SECONDS, UNKNOWN, Column, Kind, Metric, View
from sbpgmon.store.ddl import create_metric, literal, names_of, quote, signature_of
from sbpgmon.store.schema import SCHEMA
from sbpgmon.store.tiers import create_tiers, table


def _view_type(column: Column) -> str:
    """As wide as every tier needs it: the sum of a counter, the mean of a gauge."""
    if column.type.name == "numeric":
        return "numeric"
    if column.kind is Kind.COUNTER:
        return "bigint" if column.type.name == "integer" else column.type.name
    return "double precision"


def view_columns(metric: Metric, lacking: Iterable[str] = ()) -> list[tuple[str, str, str]]:
    """The view's columns: name, expression, comment. In the finest tier a gauge is its own minimum and maximum.

    `lacking`: columns that some target's history has not had from the beginning.
    """
    lacking = _lacking(metric, lacking)

    def value(column: Column, name: str | None = None) -> str:
        fact = f"f.{quote(name or column.name)}"
        nulls = []
        if column.kind is Kind.COUNTER:
            nulls.append(f"f.quality & {UNKNOWN} <> 0")
            fact = f"coalesce({fact}, 0)"
        if column.name in lacking:
            # A counter's first reading has none to be compared with.
            until = "<=" if column.kind is Kind.COUNTER else "<"
            nulls.append(f"f.ts {until} (m.lacks ->> {literal(column.name)})::timestamptz")
        return f"CASE WHEN {' OR '.join(nulls)} THEN NULL ELSE {fact} END" if nulls else fact

    def remark(column: Column) -> str:
        return column.description + (f" [{column.unit}]" if column.unit else "")

    columns = [
        (
            "time",
            "f.ts" if metric.facts else "a.valid_from",
            "Time of the reading, the end of its interval; in coarser tiers the start of the bucket",
        ),
        ("tier", "f.tier" if metric.facts else literal(metric.tier) + "::text", "Resolution of the row: choose one"),
        ("target", "t.name", "Target"),
    ]
    columns += [(k.name, f"s.{quote(k.name)}", remark(k)) for k in metric.keys]
    columns += [(c.name, value(c), remark(c) + " (in the interval)") for c in metric.counters]
    columns += [(c.name, value(c), remark(c) + " (mean of a bucket)") for c in metric.gauges]
    columns += [(f"{c.name}_min", value(c, f"{c.name}_min"), f"Least {c.name}") for c in metric.gauges]
    columns += [(f"{c.name}_max", value(c, f"{c.name}_max"), f"Greatest {c.name}") for c in metric.gauges]
    columns += [(c.name, f"a.{quote(c.name)}", remark(c)) for c in metric.infos]
    if metric.facts:
        columns.append(("quality", "coalesce(f.quality, 0::smallint)", "0 good; bits: 1 partial, 2 unknown, 4 gap"))
        columns.append(("covered_seconds", _covered(metric), "Seconds that were watched: rates are sums divided by it"))
    else:
        columns.append(("valid_to", "a.valid_to", "When the row was superseded; infinity: it holds"))
    columns.append(("target_id", "s.target_id", "For joins"))
    columns.append(("series_id", "s.series_id", "For joins"))
    return columns


def _metric_id(metric: Metric) -> str:
    return f"(SELECT metric_id FROM {SCHEMA}.metric WHERE name = {literal(metric.name)})"


def _covered(metric: Metric) -> str:
    """A lookup for the row, which costs nothing where the column is not asked for."""
    at = f"c.metric_id = {_metric_id(metric)} AND c.target_id = f.target_id AND c.ts = f.ts AND f.tier ="
    parts = [
        f"SELECT c.interval_seconds::double precision AS seconds FROM {SCHEMA}.snapshot_log AS c "
        f"WHERE {at} {literal(metric.tier)}",
        *(
            f"SELECT c.covered_seconds FROM {table('coverage', tier)} AS c WHERE {at} {literal(tier)}"
            for tier in metric.tiers[1:]
        ),
    ]
    return f"(SELECT sum(x.seconds) FROM ({' UNION ALL '.join(parts)}) AS x)"


def _rows(metric: Metric) -> str:
    """The facts of every tier, in the shape of the view. A filter on `tier` leaves the other branches out."""
    branches = []
    for tier in metric.tiers:
        is_finest = tier == metric.tier
        values = []
        for column in metric.facts:
            name, type_ = column.name, _view_type(column)
            if column.kind is Kind.COUNTER:
                values.append((name, f"{quote(name)}::{type_}"))
                continue
            mean = quote(name) if is_finest else f"{quote(f'{name}_sum')} / nullif({quote(f'{name}_n')}, 0)"
            values.append((name, f"({mean})::{type_}"))
            values += [(f"{name}_{part}", quote(name if is_finest else f"{name}_{part}")) for part in ("min", "max")]
        picked = "".join(f", {expression} AS {quote(name)}" for name, expression in values)
        # Attributes are those of the bucket's end: at its start a new series had none.
        at = "ts" if is_finest else f"ts + interval '{TIER_SECONDS[tier]} s' - interval '1 us'"
        branches.append(
            f"SELECT ts, series_id, target_id, quality, {literal(tier)}::text AS tier, {at} AS at{picked} "
            f"FROM {table(metric, tier)}"
        )
    return "\nUNION ALL ".join(branches)


def _lacking(metric: Metric, more: Iterable[str]) -> set[str]:
    return ({n for v in metric.variants for n in v.lacks} | set(more)) & {c.name for c in metric.facts}


def select_view(metric: Metric, lacking: Iterable[str] = (), order: Sequence[str] = ()) -> str:
    """The view's SELECT; the columns that `order` names come first, in its order."""
    names = names_of(metric)
    columns = {name: expression for name, expression, _ in view_columns(metric, lacking)}
    ordered = [*(name for name in order if name in columns), *(name for name in columns if name not in order)]
    picked = ",\n  ".join(f"{columns[name]} AS {quote(name)}" for name in ordered)
    if metric.facts:
        source = f"(\n{_rows(metric)}\n) AS f\nJOIN {names.series} AS s ON s.series_id = f.series_id"
    else:
        source = f"{names.attributes} AS a\nJOIN {names.series} AS s ON s.series_id = a.series_id"
    source += f"\nJOIN {SCHEMA}.target AS t ON t.target_id = {'f' if metric.facts else 's'}.target_id"
    if metric.facts and metric.infos:
        source += (
            f"\nLEFT JOIN {names.attributes} AS a "
            "ON a.series_id = f.series_id AND f.at >= a.valid_from AND f.at < a.valid_to"
        )
    if _lacking(metric, lacking):
        source += (
            f"\nLEFT JOIN {SCHEMA}.metric_state AS m "
            f"ON m.target_id = f.target_id AND m.metric_id = {_metric_id(metric)}"
        )
    return f"SELECT\n  {picked}\nFROM {source}"


def definition_hash(metric: Metric) -> str:
    """Digest of all that is made out of the header: another one, and the store follows."""
    parts = [*create_metric(metric), *create_tiers(metric), *metric_view(metric)]
    parts += [metric.missing, str(metric.interval_seconds)]
    return digest("\n".join(parts))


def insert_metric(metric: Metric) -> str:
    """The statement that enters a new metric into the table of metrics."""
    values = (metric.name, metric.title, metric.tier, metric.missing, definition_hash(metric))
    return (
        f"INSERT INTO {SCHEMA}.metric (name, title, tier, missing, definition_hash, interval_seconds, signature) "
        f"VALUES ({', '.join(map(literal, values))}, {metric.interval_seconds}, "
        f"{literal(json.dumps(signature_of(metric)))})"
    )


def metric_view(
    metric: Metric, create: str = "CREATE", lacking: Iterable[str] = (), order: Sequence[str] = ()
) -> list[str]:
    """Statements that make a metric's view, with its comments."""
    name = names_of(metric).view
    title = f"{metric.title}. {metric.description}".strip()
    return [
        f"{create} VIEW {name} AS\n{select_view(metric, lacking, order)}",
        f"COMMENT ON VIEW {name} IS {literal(title)}",
        *(f"COMMENT ON COLUMN {name}.{quote(c)} IS {literal(text)}" for c, _, text in view_columns(metric)),
    ]


def view_hash(view: View) -> str:
    """Digest of a derived view's file."""
    return digest("\n".join([view.title, view.description, view.sql, json.dumps(view.columns)]))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def entry_sql(name: str, definition_hash: str) -> str:
    """The statement that enters a derived view, or a function, into the table of these."""
    return (
        f"INSERT INTO {SCHEMA}.derived_view (name, definition_hash) VALUES ({literal(name)}, "
        f"{literal(definition_hash)}) ON CONFLICT (name) DO UPDATE SET definition_hash = excluded.definition_hash"
    )


def derived_view(view: View, create: str = "CREATE") -> list[str]:
    """Statements that make a derived view, with its comments, and enter it into the table of views."""
    name = f"{SCHEMA}.{quote(view.name)}"
    title = f"{view.title}. {view.description}".strip()
    return [
        f"{create} VIEW {name} AS\n{view.sql}",
        f"COMMENT ON VIEW {name} IS {literal(title)}",
        *(f"COMMENT ON COLUMN {name}.{quote(c)} IS {literal(text)}" for c, text in view.columns),
        entry_sql(view.name, view_hash(view)),
    ]
