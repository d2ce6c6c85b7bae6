"""How a target keeps its tenants apart, as its catalogs tell: tenant schemas, keys, settings, roles, shared tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sbpgmon.catalog.tenancy import render_question
from sbpgmon.collect.known import Known, Member
from sbpgmon.collect.patterns import name_pattern, role_template
from sbpgmon.sources.session import Session
from sbpgmon.tenancy import Named

_TIMEOUT_SECONDS = 5.0
_MIN_MEMBERS = 3  # tenants' schemas, or databases, that make a pattern


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema that looks like one tenant's; `roles`: who may use it and no other of them."""

    name: str
    tables: int
    core_tables: int  # of those that most of them have
    all_core_tables: int
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Key:
    """A column that may be the tenant key; numbers of tables of the pool."""

    name: str
    tables: int
    all_tables: int
    not_null_tables: int
    policy_tables: int
    in_keys: int
    references: int
    name_rank: int
    tenants_table: str | None
    tenants_pk: str | None
    pool_schemas: tuple[str, ...]
    settings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Role:
    """A role that works with tenants' tables; `kind` is app or admin."""

    name: str
    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class SharedTable:
    """A table that seems to be no tenant's; `is_whole`: all of its schema are such."""

    schema: str
    name: str
    references: int
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Detection:
    """What was found. `known` holds what is declared, and what was found where nothing is."""

    known: Known
    schemas: tuple[Schema, ...] = ()
    keys: tuple[Key, ...] = ()  # the chosen ones, the likeliest first
    roles: tuple[Role, ...] = ()
    shared: tuple[SharedTable, ...] = ()
    role_template: str | None = None  # name of a tenant's role, where each has its schema
    database_pattern: str | None = None  # databases of such names: weak, and never taken by itself

    @property
    def settings(self) -> tuple[str, ...]:
        """What policies of the chosen keys read, the likeliest first."""
        return tuple(dict.fromkeys(setting for key in self.keys for setting in key.settings))


def detect(session: Session, known: Known, schemas: Sequence[str], databases: Sequence[str]) -> Detection:
    """Fills what `known` leaves open; `schemas` and `databases` are all that there are. Raises TargetError."""
    found = Detection(known, database_pattern=_database_pattern(databases))
    is_open = not known.models
    if is_open and known.tenant_schemas:
        found = replace(found, known=replace(known, models=("schema",)))
    elif known.schema_pattern is None and (is_open or "schema" in known.models):
        found = _with_schemas(session, found, schemas)
    if is_open or {"rls", "column"}.intersection(known.models):
        found = _with_keys(session, found, is_open=is_open)
    if found.known.key_columns:
        found = _with_roles(session, found)
    if is_open and found.known.models and not (known.shared_schemas or known.shared_tables):
        found = _with_shared(session, found)
    before = set(known.detected)
    names = [name for name in _changed(known, found.known) if name not in before]
    return replace(found, known=replace(found.known, detected=(*known.detected, *names)))


def members(named: Named, names: Sequence[str]) -> tuple[Member, ...]:
    """The tenants among these names."""
    found = ((name, named.tenant_of(name)) for name in names)
    return tuple(Member(name, tenant, named.role_of(tenant) or "") for name, tenant in found if tenant is not None)


def _with_schemas(session: Session, found: Detection, names: Sequence[str]) -> Detection:
    rows = [Schema(**row | {"roles": tuple(row["roles"])}) for row in _ask(session, "schemas", found.known)]
    if not rows:
        return found
    alike = [row.name for row in rows]
    pattern = name_pattern(alike, [name for name in names if name not in set(alike)])
    tenants = members(Named(pattern=pattern), names)
    by_name = {row.name: row.roles for row in rows}
    role = role_template({member.tenant: by_name.get(member.name, ()) for member in tenants})
    known = replace(
        found.known,
        models=tuple(dict.fromkeys((*found.known.models, "schema"))),
        schema_pattern=pattern,
        tenant_schemas=members(Named(pattern=pattern, role=role), names),
    )
    return replace(found, known=known, schemas=tuple(rows), role_template=role)


def _with_keys(session: Session, found: Detection, *, is_open: bool) -> Detection:
    known = found.known
    rows = [
        Key(**row | {"pool_schemas": tuple(row["pool_schemas"]), "settings": tuple(row["settings"])})
        for row in _ask(session, "keys", known)
    ]
    if known.key_columns:
        chosen = [row for name in known.key_columns for row in rows if row.name == name]
    else:
        chosen = _chosen(rows)
    if not chosen:
        return found
    first = chosen[0]
    models = known.models
    if is_open:
        models = ("rls" if any(key.policy_tables for key in chosen) else "column", *models)
    if known.tenants_table is None and first.tenants_table is not None:
        known = replace(known, tenants_table=first.tenants_table, tenants_pk=first.tenants_pk or "id")
    known = replace(
        known,
        models=models,
        key_columns=known.key_columns or tuple(key.name for key in chosen),
        setting=known.setting or next(iter(replace(found, keys=tuple(chosen)).settings), None),
    )
    return replace(found, known=known, keys=tuple(chosen))


def _chosen(rows: Sequence[Key]) -> list[Key]:
    """The likeliest key, and others that stand for the same: that refer to the same table, or are told by the same
    setting and called as a tenant is."""
    chosen = list(rows[:1])
    for row in rows[1:]:
        first = chosen[0]
        is_same_table = row.tenants_table is not None and row.tenants_table == first.tenants_table
        is_same_setting = bool(row.settings) and row.settings[:1] == first.settings[:1] and row.name_rank > 0
        if row.policy_tables >= min(1, first.policy_tables) and (is_same_table or is_same_setting):
            chosen.append(row)
    return chosen


def _with_roles(session: Session, found: Detection) -> Detection:
    rows = [Role(**row) for row in _ask(session, "roles", found.known)]
    known = found.known
    if not known.app_roles:
        app = [row.name for row in rows if row.kind == "app" and row.name not in known.admin_roles]
        known = replace(known, app_roles=tuple(app))
    if not known.admin_roles:
        admin = [row.name for row in rows if row.kind == "admin" and row.name not in known.app_roles]
        known = replace(known, admin_roles=tuple(admin))
    return replace(found, known=known, roles=tuple(rows))


def _with_shared(session: Session, found: Detection) -> Detection:
    """Whole schemas of shared tables, and tables that tenants' rows point at. A table without the key to which
    nothing points may as well be one that lacks it: it is told, and not taken."""
    rows = [SharedTable(**row) for row in _ask(session, "shared", found.known)]
    known = replace(
        found.known,
        shared_schemas=tuple(dict.fromkeys(row.schema for row in rows if row.is_whole)),
        shared_tables=tuple(f"{row.schema}.{row.name}" for row in rows if not row.is_whole and row.references),
    )
    return replace(found, known=known, shared=tuple(rows))


def _database_pattern(databases: Sequence[str]) -> str | None:
    """Of the names that begin alike, up to a separator."""
    fronts: dict[str, list[str]] = {}
    for name in databases:
        if "_" in name.strip("_"):
            fronts.setdefault(name[: name.index("_", 1) + 1], []).append(name)
    best = max(fronts.values(), key=len, default=[])
    return name_pattern(best, [name for name in databases if name not in best]) if len(best) >= _MIN_MEMBERS else None


def _ask(session: Session, name: str, known: Known) -> list[dict[str, Any]]:
    with session.transaction(_TIMEOUT_SECONDS) as (cursor, _):
        rows = cursor.execute(render_question(name, known.sql()).encode()).fetchall()
        columns = [column.name for column in cursor.description or ()]
    # A name that SQL keeps for itself has a `_` at its end there.
    return [dict(zip((name.rstrip("_") for name in columns), row, strict=True)) for row in rows]


_NAMES = {
    "models": "model",
    "key_columns": "key.columns",
    "tenants_table": "key.tenants_table",
    "setting": "context.setting",
    "app_roles": "roles.app",
    "admin_roles": "roles.admin",
    "shared_schemas": "shared.schemas",
    "shared_tables": "shared.tables",
    "schema_pattern": "schemas.pattern",
}


def _changed(before: Known, after: Known) -> list[str]:
    return [name for field, name in _NAMES.items() if getattr(before, field) != getattr(after, field)]
