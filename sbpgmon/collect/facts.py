"""What the judge of statements is told of a target: read from its catalogs, with the roles that policies bind."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sbpgmon.catalog.catalog import Catalog
from sbpgmon.catalog.tenancy import render_question
from sbpgmon.collect.bounds import Bounds
from sbpgmon.collect.known import Known
from sbpgmon.judge.facts import ForeignKey, Relation, TenantFacts
from sbpgmon.model import Server
from sbpgmon.sources.session import Session

_TIMEOUT_SECONDS = 10.0
_USUAL_PATH = '"$user", public'
_NAME = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^,"]*))\s*(?:,|$)')
_Row = Mapping[str, Any]
_Place = tuple[str, str]


def read_facts(session: Session, server: Server, catalog: Catalog, known: Known) -> TenantFacts:
    """All relations of the pool and of the tenants' schemas. Raises TargetError."""
    with session.transaction(_TIMEOUT_SECONDS) as (cursor, _):
        query = render_question("facts", known.sql(), catalog.parts)
        rows: dict[str, list[Any]] = {"relation": [], "role": [], "function": [], "path": []}
        for kind, value in cursor.execute(query.encode()):
            rows[kind].append(value)
    return facts_of(rows, known, server.database)


def facts_of(rows: Mapping[str, Sequence[Any]], known: Known, database: str) -> TenantFacts:
    """The facts out of the rows of queries/tenancy/facts.sql, by their kind."""
    ordered = sorted(rows["relation"], key=lambda row: (row["schema"], row["name"]))
    found = {_place(row): _relation(row) for row in ordered if row["kind"] not in "vm"}
    facts = TenantFacts(relations=found, setting=known.setting)
    bounds = Bounds(facts, rows["role"], rows["function"])
    for row in ordered:
        if row.get("is_guarded") and found.get(_place(row)) is not None:
            place = _place(row)
            found[place] = replace(found[place], rls=bounds.of_table(found[place], row))
    _add_views([row for row in ordered if row["kind"] in "vm"], found, bounds)
    own, by_role = _search_paths(rows["path"], database)
    ends = _pool(found.values(), known)
    return TenantFacts(
        relations=dict(sorted(found.items())),
        search_path=_with(own, ends),
        setting=known.setting,
        search_paths={role: _with(path, ends) for role, path in sorted(by_role.items())},
    )


def _place(row: _Row) -> _Place:
    return row["schema"], row["name"]


def _relation(row: _Row) -> Relation:
    key, tenant = row.get("key"), row.get("tenant")
    return Relation(
        schema=row["schema"],
        name=row["name"],
        kind=row["kind"],
        columns=tuple(row.get("columns", ())),
        key=key,
        is_tenant=key is not None or tenant is not None or bool(row["is_indirect"]),
        tenant=tenant,
        unique=tuple(tuple(columns) for columns in row.get("unique", ())),
        has_primary_key=bool(row.get("has_primary_key")),
        foreign_keys=tuple(
            ForeignKey(tuple(key["columns"]), key["schema"], key["table"], tuple(key["referenced"]))
            for key in row.get("foreign_keys", ())
        ),
        key_has_default=bool(row["key_has_default"]),
    )


def _add_views(rows: Sequence[_Row], found: dict[_Place, Relation], bounds: Bounds) -> None:
    """Views after those that they read. `sources`: the tenants' tables behind them, through other views as well; a view
    that is bound to a tenant by what it is made of has none."""
    pending = {_place(row): row for row in rows}

    def add(place: _Place, above: tuple[_Place, ...]) -> None:
        row = pending.pop(place)
        direct = [(schema, name) for schema, name in row.get("sources", ())]
        for source in direct:
            if source in pending and source not in above:
                add(source, (*above, place))
        read = [found[source] for source in direct if source in found]
        sources = sorted({table for relation in read for table in _tables(relation)})
        view = replace(_relation(row), sources=tuple(sources))
        if view.tenant is None and not sources:
            view = replace(view, key=None, is_tenant=False)
        found[place] = view
        if sources and view.tenant is None:
            if row["kind"] == "v" and bounds.is_bound_view(row):
                found[place] = replace(view, key=None, is_tenant=False, sources=())
            elif row["kind"] == "v":
                found[place] = replace(view, rls=bounds.of_view(read, row))

    while pending:
        add(next(iter(pending)), ())


def _tables(relation: Relation) -> Iterable[_Place]:
    if relation.kind in "vm":
        return relation.sources
    return [(relation.schema, relation.name)] if relation.is_tenant else []


def _search_paths(rows: Sequence[_Row], database: str) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """The path of this database, and those of roles: what is set for both comes before what is set for the role, and
    that before what is set for the database."""
    by_place = {(row["role"], row["database"]): parse_path(row["value"]) for row in rows}
    own = by_place.get(("", database)) or by_place.get(("", "")) or parse_path(_USUAL_PATH)
    roles = {role for role, _ in by_place if role}
    found = {role: by_place.get((role, database)) or by_place.get((role, "")) for role in roles}
    return own, {role: path for role, path in found.items() if path}


def parse_path(text: str) -> tuple[str, ...]:
    """The schemas of a search_path, as it was set.

    >>> parse_path('"$user", Public, "My App"')
    ('$user', 'public', 'My App')
    """
    names = (
        match[1].replace('""', '"') if match[1] is not None else match[2].strip().lower()
        for match in _NAME.finditer(text)
    )
    return tuple(name for name in names if name)


def _pool(relations: Iterable[Relation], known: Known) -> list[str]:
    """The pool's schemas, those of tenants' tables first: where an unqualified name is to be found at last."""
    shared = {*known.shared_schemas}
    pool = {relation.schema for relation in relations if relation.tenant is None}
    return [*sorted(pool - shared), *sorted(pool & shared)]


def _with(path: Sequence[str], more: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*path, *more)))
