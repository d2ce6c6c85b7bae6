"""Metrics out of SQL files: parse, check, put variants together."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from pathlib import Path

from sbpgmon.catalog.header import (
    Header,
    choice,
    extensions_required,
    named,
    parse_header,
    requirements,
    seconds,
    single_statement,
)
from sbpgmon.catalog.names import COLUMNS, OWN, PATTERN, problem_of
from sbpgmon.errors import QueryFileError
from sbpgmon.model import AGENT, TIER_SECONDS, TYPES, Column, Kind, Metric, Requirement, Variant

KEYS = frozenset(
    {"interval", "scope", "role", "requires", "missing", "nulls", "resets", "tiers", "timeout", "columns"}
    | {"source", "only_with", "uses", "fresh", "deltas"}
)
_FILE = re.compile(r"^(?P<name>[^.]+)(?:\.(?:pg(?P<major>\d{2})|ext(?P<extension>\d+(?:\.\d+)*)))?\.sql$")
_COLUMN = re.compile(r"^(\S+)\s+(\S+)\s+(double precision|\S+)(?:\s+(.*?))?(?:\s*\[([^\]]+)\])?$")
_LACKS = re.compile(r"\bnull\s*::\s*(?:double precision|\w+)\s+(?:as\s+)?\"?(\w+)\"?", re.IGNORECASE)
_MIN_INTERVAL_SECONDS = 1.0
_CHOICES = {
    "scope": ("instance", "database"),
    "role": ("any", "primary", "standby"),
    "missing": ("unknown", "zero"),
    "nulls": ("unknown", "zero"),
    "resets": ("certain", "possible"),
    "fresh": ("counts", "unknown"),
    "deltas": ("no", "yes"),
}
_TYPES_OF = {
    Kind.KEY: {"text", "smallint", "integer", "bigint", "boolean", "oid"},
    Kind.COUNTER: {"integer", "bigint", "numeric", "double precision"},
    Kind.GAUGE: {"smallint", "integer", "bigint", "numeric", "real", "double precision"},
    Kind.INFO: set(TYPES),
    Kind.RESET: {"timestamptz"},
    Kind.LOSS: {"bigint", "timestamptz"},
}


def load_metrics(folder: Path, problems: list[QueryFileError]) -> list[Metric]:
    """All metrics of one folder; what is wrong with a file is added to `problems`, and that metric left out."""
    files: dict[str, list[Path]] = {}
    metrics = []
    for path in sorted(folder.glob("*.sql")):
        try:
            files.setdefault(_name(path), []).append(path)
        except QueryFileError as error:
            problems.append(error)
    for paths in files.values():
        try:
            metrics.append(parse_metric(paths))
        except QueryFileError as error:
            problems.append(error)
    return metrics


def parse_metric(paths: Iterable[Path]) -> Metric:
    """One metric from the files of its variants; raises QueryFileError with file and line."""
    paths = list(paths)
    name = _name(paths[0])
    headers = sorted(((_variant(p), parse_header(p, KEYS)) for p in paths), key=lambda pair: pair[0].rank)
    _, first = headers[0]
    for (below, lower), (variant, header) in itertools.pairwise(headers):
        if header.values:
            line = min(line for line, _ in header.values.values())
            raise header.fail(line, f"keys stand in the lowest variant only, {first.path.name}")
        if variant.rank == below.rank:
            raise header.fail(1, f"{lower.path.name} is the same variant")
    if not first.title:
        raise first.fail(1, "the header does not begin with a line that says what the metric is")
    columns = _columns(first)
    line, interval = first.value("interval")
    interval_seconds = seconds(first, line, interval)
    if interval_seconds < _MIN_INTERVAL_SECONDS:
        raise first.fail(line, f"interval {interval} is shorter than a second")
    requires = requirements(first)
    variants = tuple(_with_lacks(variant, header, columns, requires) for variant, header in headers)
    if any(v.extension_version for v in variants) and not any(r.extension for r in requires):
        raise first.fail(1, "a variant by extension version (`.ext1.10.sql`) needs `requires: extension NAME`")
    source, only_with = _source(first, columns, variants)
    has_deltas = choice(first, "deltas", "no", _CHOICES["deltas"]) == "yes"
    if has_deltas and (source != AGENT or {c.kind for c in columns} != {Kind.KEY, Kind.COUNTER}):
        line, _ = first.value("deltas")
        raise first.fail(
            line, "`deltas: yes` is for a metric with `source: agent`, keys and counters, and nothing else"
        )
    return Metric(
        name=name,
        title=first.title.rstrip("."),
        description=first.description,
        interval_seconds=interval_seconds,
        scope=choice(first, "scope", "instance", _CHOICES["scope"]),
        role=choice(first, "role", "any", _CHOICES["role"]),
        requires=requires,
        missing=choice(first, "missing", "unknown", _CHOICES["missing"]),
        nulls=choice(first, "nulls", "unknown", _CHOICES["nulls"]),
        timeout_seconds=seconds(first, *first.value("timeout", "5s")),
        columns=columns,
        variants=variants,
        resets_are=choice(first, "resets", "certain", _CHOICES["resets"]),
        chosen_tiers=_tiers(first, interval_seconds),
        source=source,
        only_with=only_with,
        uses=named(first, "uses"),
        fresh=choice(first, "fresh", "counts", _CHOICES["fresh"]),
        has_deltas=has_deltas,
    )


def _source(header: Header, columns: tuple[Column, ...], variants: tuple[Variant, ...]) -> tuple[str, str]:
    """The metric whose snapshots it is made of, and the table that says for which targets; empty for most."""
    line, source = header.value("source", "")
    _, only_with = header.value("only_with", "")
    if source == AGENT:
        if header.sql or len(variants) > 1 or "uses" in header.values or only_with:
            raise header.fail(
                line, "a metric with `source: agent` is one file without a query, `uses:` and `only_with:`"
            )
        return source, ""
    if source and "uses" in header.values:
        raise header.fail(line, "`uses:` is for a metric that is read on targets")
    if not source and only_with:
        raise header.fail(line, "`only_with:` is for a metric with `source:`")
    if source and (len(variants) > 1 or {c.kind for c in columns} != {Kind.KEY, Kind.COUNTER}):
        raise header.fail(line, "a metric with `source:` has one file, keys and counters, and nothing else")
    if only_with and only_with not in OWN:
        raise header.fail(line, f"{only_with!r} is not a table of the schema's own")
    return source, only_with


def _name(path: Path) -> str:
    match = _FILE.match(path.name)
    if match is None:
        raise QueryFileError(
            f"{path}:1: the file's name is not NAME.sql, NAME.pgMAJOR.sql or NAME.extVERSION.sql.",
            "Rename it.",
        )
    if problem := problem_of(match["name"]):
        raise QueryFileError(f"{path}:1: {problem}.", "Rename the file.")
    return match["name"]


def _variant(path: Path) -> Variant:
    match = _FILE.match(path.name)
    assert match is not None  # _name() has looked
    version = tuple(int(part) for part in (match["extension"] or "").split(".") if part)
    return Variant(path, "", int(match["major"] or 0), version)


def _with_lacks(
    variant: Variant, header: Header, columns: tuple[Column, ...], requires: tuple[Requirement, ...]
) -> Variant:
    code = single_statement(header)
    extensions_required(header, requires)
    lacks = frozenset(_LACKS.findall(code)) & {c.name for c in columns}
    for column in columns:
        if column.name in lacks and column.kind in (Kind.KEY, Kind.RESET, Kind.LOSS):
            raise header.fail(1, f"the {column.kind} column {column.name} is a constant NULL")
    return Variant(variant.path, header.sql, variant.major, variant.extension_version, lacks)


def _columns(header: Header) -> tuple[Column, ...]:
    line, _ = header.value("columns")
    if not header.columns:
        raise header.fail(line, "`columns:` lists no column")
    columns: dict[str, Column] = {}
    for line, text in header.columns:
        match = _COLUMN.match(text)
        if match is None:
            raise header.fail(line, f"{text!r} is not `name kind type description [unit]`")
        name, kind, type_, description, unit = match.groups()
        if not PATTERN.match(name) or len(name) > 59 or name in COLUMNS:
            raise header.fail(line, f"{name!r} cannot be a column's name here", f"Not: {', '.join(sorted(COLUMNS))}.")
        if name in columns:
            raise header.fail(line, f"the column {name} stands twice")
        if kind not in set(Kind):
            raise header.fail(line, f"{kind!r} is not a kind: {', '.join(Kind)}")
        if type_ not in _TYPES_OF[Kind(kind)]:
            raise header.fail(line, f"a {kind} cannot be {type_!r}: {', '.join(sorted(_TYPES_OF[Kind(kind)]))}")
        if not description:
            raise header.fail(line, f"the column {name} has no description")
        columns[name] = Column(name, Kind(kind), TYPES[type_], description.strip(), unit or "")
    kinds = {column.kind for column in columns.values()}
    if not kinds & {Kind.COUNTER, Kind.GAUGE, Kind.INFO}:
        raise header.fail(line, "there is no counter, gauge or info column: nothing to store")
    for column in columns.values():
        made = {f"{column.name}_{suffix}" for suffix in ("min", "max", "sum", "n")}
        if column.kind is Kind.GAUGE and (taken := made & columns.keys()):
            raise header.fail(line, f"{min(taken)} is made from the gauge {column.name}")
    return tuple(columns.values())


def _tiers(header: Header, interval_seconds: float) -> tuple[str, ...]:
    line, text = header.value("tiers", "")
    names = tuple(text.replace(",", " ").split())
    known = list(TIER_SECONDS)
    for name in names:
        if name not in known:
            raise header.fail(line, f"{name!r} is not a tier: {', '.join(known)}")
    if list(names) != sorted(set(names), key=known.index):
        raise header.fail(line, f"`tiers: {text}` do not nest: each once, the finest first")
    if names and TIER_SECONDS[names[0]] > interval_seconds:
        raise header.fail(
            line, f"the finest tier holds every reading, and {names[0]} is coarser than the interval", "Begin finer."
        )
    return names
