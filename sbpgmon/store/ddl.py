"""DDL of one metric, out of its header: series, last counters, staging and attributes; facts are in tiers.py.

Identifiers come from the catalog, which lets through `[a-z][a-z0-9_]*` alone; they are quoted all the same,
since a column may be called `order`.
"""

from __future__ import annotations

from dataclasses import dataclass

from sbpgmon.identifiers import quote as quote
from sbpgmon.model import Column, Kind, Metric
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


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def listed(columns: tuple[Column, ...], prefix: str = "") -> str:
    return ", ".join(f"{prefix}{quote(c.name)}" for c in columns)


def signature_of(metric: Metric) -> list[dict[str, str]]:
    """What the tables depend on: a change here needs other tables."""
    return [{"name": c.name, "kind": c.kind.value, "type": c.type.name} for c in metric.columns]


def stored_width(type_: str) -> int:
    """Bytes of a stored value, for the order of columns: narrow ones fill the gap behind `quality`."""
    return _WIDTH[type_]


def fact_columns(metric: Metric) -> list[tuple[str, str]]:
    """Columns of the finest tier with their stored type, narrow ones first."""
    stored = [
        (c.name, "real" if c.kind is Kind.COUNTER and c.type.name == "double precision" else c.type.name)
        for c in metric.facts
    ]
    return sorted(stored, key=lambda pair: stored_width(pair[1]))


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
    ]
    if metric.is_derived:
        return statements  # its rows are differences already
    statements += [
        f"CREATE UNLOGGED TABLE {names.staging} ({', '.join(_staged(c) for c in metric.columns)})",
        f"COMMENT ON TABLE {names.staging} IS {literal(f'The reading of {metric.name} that is being written')}",
    ]
    if metric.has_last:
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
    return statements


def retire_metric(
    metric: Metric, old: list[dict[str, str]], tiers: list[str], version: int, partitions: list[str]
) -> list[str]:
    """Statements that move a metric's tables out of the way; its old view goes on under another name."""
    kinds = {column["kind"] for column in old}
    suffixes = ["_series", "_staging"]
    suffixes += ["_last"] if Kind.COUNTER in kinds else []
    suffixes += ["_attributes"] if Kind.INFO in kinds else []
    suffixes += [f"_{tier}" for tier in tiers]
    base = f"{metric.name}_v{version}"
    tables = [metric.name + suffix for suffix in suffixes] + partitions
    statements = [
        # A metric that is made of another one's snapshots has neither staging nor last counters, others not the latter.
        f"ALTER TABLE IF EXISTS {SCHEMA}.{quote(t)} RENAME TO {quote(base + t.removeprefix(metric.name))}"
        for t in tables
    ]
    return [*statements, f"ALTER VIEW {SCHEMA}.{quote(metric.name)} RENAME TO {quote(base)}"]
