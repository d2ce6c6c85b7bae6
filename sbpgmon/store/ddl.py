"""DDL of one metric, out of its header: series, last counters, staging, facts, attributes and the view.

Identifiers come from the catalog, which lets through `[a-z][a-z0-9_]*` alone; they are quoted all the same,
since a column may be called `order`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sbpgmon.model import UNKNOWN, Column, Kind, Metric, View
from sbpgmon.store.schema import SCHEMA

_WIDTH = {"integer": 4, "real": 4, "bigint": 8, "double precision": 8, "smallint": 9, "numeric": 10}


@dataclass(frozen=True, slots=True)
class Names:
    """The relations of one metric, schema-qualified."""

    series: str
    last: str
    staging: str
    attributes: str
    facts: str
    view: str


def names_of(metric: Metric) -> Names:
    def name(suffix: str) -> str:
        return f"{SCHEMA}.{quote(metric.name + suffix)}"

    return Names(
        name("_series"),
        name("_last"),
        name("_staging"),
        name("_attributes"),
        name(f"_{metric.tier}"),
        name(""),
    )


def quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def listed(columns: tuple[Column, ...], prefix: str = "") -> str:
    return ", ".join(f"{prefix}{quote(c.name)}" for c in columns)


def signature_of(metric: Metric) -> list[dict[str, str]]:
    """What the tables depend on: a change here needs other tables."""
    return [{"name": c.name, "kind": c.kind.value, "type": c.type.name} for c in metric.columns]


def definition_hash(metric: Metric) -> str:
    """Digest of everything that the DDL, the view and the comments are made from."""
    parts = [
        metric.title,
        metric.description,
        metric.tier,
        metric.missing,
        metric.nulls,
        str(metric.interval_seconds),
    ]
    parts += [f"{c.name} {c.kind} {c.type.name} {c.description} {c.unit}" for c in metric.columns]
    parts += [",".join(sorted(v.lacks)) for v in metric.variants] + [_GENERATION]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


_GENERATION = "1"  # raised when this module makes other views or tables out of the same header


def fact_columns(metric: Metric) -> list[tuple[Column, str]]:
    """Fact columns with their stored type, narrow ones first: they fill the gap behind `quality`."""
    stored = [
        (c, "real" if c.kind is Kind.COUNTER and c.type.name == "double precision" else c.type.name)
        for c in metric.facts
    ]
    return sorted(stored, key=lambda pair: _WIDTH[pair[1]])


def key_hash(metric: Metric, prefix: str = "", target: str = "target_id") -> str:
    """Expression of a series' fixed-width identity; a long text key would break a btree."""
    parts = [f"{target}::text"]
    for key in metric.keys:
        text = f"{prefix}{quote(key.name)}::text"
        parts.append(f"octet_length({text})::text || ':' || {text}" if key.type.is_text else text)
    return f"md5({' || chr(31) || '.join(parts)})::uuid"


def _staged(column: Column) -> str:
    # Keys are compared with those of the series: the collation must be the same.
    collation = ' COLLATE "C"' if column.kind is Kind.KEY and column.type.is_text else ""
    return f"{quote(column.name)} {column.type.name}{collation}"


def create_metric(metric: Metric) -> list[str]:
    """Statements that make a metric's tables, without the view."""
    names = names_of(metric)
    keys = [f"{_staged(key)} NOT NULL" for key in metric.keys]
    statements = [
        f"CREATE TABLE {names.series} (series_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
        f"target_id integer NOT NULL, {''.join(key + ', ' for key in keys)}first_seen timestamptz NOT NULL, "
        f"key_hash uuid NOT NULL GENERATED ALWAYS AS ({key_hash(metric)}) STORED UNIQUE)",
        f"CREATE INDEX ON {names.series} (target_id)",
        f"COMMENT ON TABLE {names.series} IS {literal(f'Series of {metric.name}: each identity, written once')}",
        f"CREATE UNLOGGED TABLE {names.staging} ({', '.join(_staged(c) for c in metric.columns)})",
        f"COMMENT ON TABLE {names.staging} IS {literal(f'The reading of {metric.name} that is being written')}",
    ]
    if metric.counters:
        held = (*metric.keys, *metric.counters, *metric.resets)
        columns = "".join(f", {_staged(c)}" for c in held)
        statements += [
            f"CREATE UNLOGGED TABLE {names.last} (series_id integer PRIMARY KEY, target_id integer{columns}) "
            "WITH (fillfactor = 70)",
            f"CREATE INDEX ON {names.last} (target_id)",
            f"COMMENT ON TABLE {names.last} IS {literal(f'Last counters of each series of {metric.name}')}",
        ]
    if metric.infos:
        columns = "".join(f", {quote(c.name)} {c.type.name}" for c in metric.infos)
        statements += [
            f"CREATE TABLE {names.attributes} (series_id integer, target_id integer, valid_from timestamptz, "
            f"valid_to timestamptz DEFAULT 'infinity'{columns})",
            f"CREATE INDEX ON {names.attributes} (series_id)",
            f"COMMENT ON TABLE {names.attributes} IS {literal(f'Info columns of {metric.name}, stored on change')}",
        ]
    if metric.facts:
        columns = ", ".join(f"{quote(c.name)} {type_}" for c, type_ in fact_columns(metric))
        statements += [
            f"CREATE TABLE {names.facts} (ts timestamptz, series_id integer, target_id integer, quality smallint, "
            f"{columns}) PARTITION BY RANGE (ts)",
            f"CREATE INDEX ON {names.facts} (ts, target_id)",
            f"COMMENT ON TABLE {names.facts} IS "
            f"{literal(f'Facts of {metric.name} at {metric.tier}; read them through the view {metric.name}')}",
            # A numeric column would give every partition a TOAST table.
            *(
                f"ALTER TABLE {names.facts} ALTER COLUMN {quote(c.name)} SET STORAGE PLAIN"
                for c, type_ in fact_columns(metric)
                if type_ == "numeric"
            ),
        ]
    return statements


def add_columns(metric: Metric, added: tuple[Column, ...]) -> list[str]:
    """Statements that add columns to a metric's tables; the view is made anew after them."""
    names = names_of(metric)
    stored = {c.name: type_ for c, type_ in fact_columns(metric)}
    statements = []
    for column in added:
        tables = {names.staging: column.type.name}
        if column.kind in (Kind.COUNTER, Kind.RESET):
            tables[names.last] = column.type.name
        if column.name in stored:
            tables[names.facts] = stored[column.name]
        if column.kind is Kind.INFO:
            tables[names.attributes] = column.type.name
        statements += [f"ALTER TABLE {t} ADD COLUMN {quote(column.name)} {type_}" for t, type_ in tables.items()]
    return statements


def retire_metric(
    metric: Metric, old: list[dict[str, str]], tier: str, version: int, partitions: list[str]
) -> list[str]:
    """Statements that move a metric's tables out of the way; its old view goes on under another name."""
    kinds = {column["kind"] for column in old}
    suffixes = ["_series", "_staging"]
    suffixes += ["_last"] if Kind.COUNTER in kinds else []
    suffixes += ["_attributes"] if Kind.INFO in kinds else []
    suffixes += [f"_{tier}"] if kinds & {Kind.COUNTER, Kind.GAUGE} else []
    base = f"{metric.name}_v{version}"
    tables = [metric.name + suffix for suffix in suffixes] + partitions
    statements = [
        f"ALTER TABLE {SCHEMA}.{quote(t)} RENAME TO {quote(base + t.removeprefix(metric.name))}" for t in tables
    ]
    return [*statements, f"ALTER VIEW {SCHEMA}.{quote(metric.name)} RENAME TO {quote(base)}"]


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

    def value(column: Column, type_: str | None = None) -> str:
        fact = f"f.{quote(column.name)}"
        nulls = []
        if column.kind is Kind.COUNTER:
            nulls.append(f"f.quality & {UNKNOWN} <> 0")
            zero = f"coalesce({fact}, 0)"
        else:
            zero = fact
        if column.name in lacking:
            # A counter's first reading has none to be compared with.
            until = "<=" if column.kind is Kind.COUNTER else "<"
            nulls.append(f"f.ts {until} (m.lacks ->> {literal(column.name)})::timestamptz")
        typed = f"CASE WHEN {' OR '.join(nulls)} THEN NULL ELSE {zero} END" if nulls else zero
        return f"({typed})::{type_ or column.type.name}"

    def remark(column: Column) -> str:
        return column.description + (f" [{column.unit}]" if column.unit else "")

    columns = [
        ("time", "f.ts" if metric.facts else "a.valid_from", "Time of the reading: the end of the interval"),
        ("tier", literal(metric.tier) + "::text", "Resolution of the row"),
        ("target", "t.name", "Target"),
    ]
    columns += [(k.name, f"s.{quote(k.name)}", remark(k)) for k in metric.keys]
    columns += [(c.name, value(c, _view_type(c)), remark(c) + " (in the interval)") for c in metric.counters]
    columns += [(c.name, value(c, _view_type(c)), remark(c)) for c in metric.gauges]
    columns += [(f"{c.name}_min", value(c), f"Least {c.name}") for c in metric.gauges]
    columns += [(f"{c.name}_max", value(c), f"Greatest {c.name}") for c in metric.gauges]
    columns += [(c.name, f"a.{quote(c.name)}", remark(c)) for c in metric.infos]
    if metric.facts:
        columns.append(("quality", "f.quality", "0 good; bits: 1 partial, 2 unknown, 4 gap"))
    else:
        columns.append(("valid_to", "a.valid_to", "When the row was superseded; infinity: it holds"))
    columns.append(("target_id", "s.target_id", "For joins"))
    columns.append(("series_id", "s.series_id", "For joins"))
    return columns


def _lacking(metric: Metric, more: Iterable[str]) -> set[str]:
    return ({n for v in metric.variants for n in v.lacks} | set(more)) & {c.name for c in metric.facts}


def select_view(metric: Metric, lacking: Iterable[str] = (), order: Sequence[str] = ()) -> str:
    """The view's SELECT; the columns that `order` names come first, in its order."""
    names = names_of(metric)
    columns = {name: expression for name, expression, _ in view_columns(metric, lacking)}
    ordered = [*(name for name in order if name in columns), *(name for name in columns if name not in order)]
    picked = ",\n  ".join(f"{columns[name]} AS {quote(name)}" for name in ordered)
    if metric.facts:
        source = f"{names.facts} AS f\nJOIN {names.series} AS s ON s.series_id = f.series_id"
    else:
        source = f"{names.attributes} AS a\nJOIN {names.series} AS s ON s.series_id = a.series_id"
    source += f"\nJOIN {SCHEMA}.target AS t ON t.target_id = {'f' if metric.facts else 's'}.target_id"
    if metric.facts and metric.infos:
        source += (
            f"\nLEFT JOIN {names.attributes} AS a "
            "ON a.series_id = f.series_id AND f.ts >= a.valid_from AND f.ts < a.valid_to"
        )
    if _lacking(metric, lacking):
        source += (
            f"\nLEFT JOIN {SCHEMA}.metric_state AS m ON m.target_id = f.target_id AND m.metric_id = "
            f"(SELECT metric_id FROM {SCHEMA}.metric WHERE name = {literal(metric.name)})"
        )
    return f"SELECT\n  {picked}\nFROM {source}"


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
    parts = [view.title, view.description, view.sql, json.dumps(view.columns)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def derived_view(view: View, create: str = "CREATE") -> list[str]:
    """Statements that make a derived view, with its comments, and enter it into the table of views."""
    name = f"{SCHEMA}.{quote(view.name)}"
    title = f"{view.title}. {view.description}".strip()
    return [
        f"{create} VIEW {name} AS\n{view.sql}",
        f"COMMENT ON VIEW {name} IS {literal(title)}",
        *(f"COMMENT ON COLUMN {name}.{quote(c)} IS {literal(text)}" for c, text in view.columns),
        f"INSERT INTO {SCHEMA}.derived_view (name, definition_hash) "
        f"VALUES ({literal(view.name)}, {literal(view_hash(view))}) "
        "ON CONFLICT (name) DO UPDATE SET definition_hash = excluded.definition_hash",
    ]
