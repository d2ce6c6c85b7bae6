"""What the judge knows of a database: its relations, their tenant keys, unique keys and foreign keys.

Read from a catalog by others; here it is plain data that goes to JSON and back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """`columns` of a relation refer to `referenced` of another, pairwise."""

    columns: tuple[str, ...]
    schema: str
    table: str
    referenced: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view, as far as tenancy is concerned."""

    schema: str
    name: str
    kind: str = "r"  # pg_class.relkind: r, p, v, m, f
    columns: tuple[str, ...] = ()
    key: str | None = None  # the tenant key; None: shared, or a tenant's only indirectly
    is_tenant: bool = False
    tenant: str | None = None  # schema per tenant: whose schema this is
    unique: tuple[tuple[str, ...], ...] = ()  # the primary key first
    has_primary_key: bool = False
    foreign_keys: tuple[ForeignKey, ...] = ()
    key_has_default: bool = False  # the key's DEFAULT reads the context setting
    rls: frozenset[str] = frozenset()  # roles that row level security ties to the tenant here
    sources: tuple[tuple[str, str], ...] = ()  # views: the (schema, name) of what they read


@dataclass(frozen=True, slots=True)
class TenantFacts:
    """The relations of one database, and how unqualified names find them."""

    relations: Mapping[tuple[str, str], Relation]
    search_path: tuple[str, ...] = ("$user", "public")
    setting: str | None = None  # the context setting, for example app.tenant_id
    search_paths: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by role, where it differs
    by_name: Mapping[str, tuple[Relation, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_name: dict[str, tuple[Relation, ...]] = {}
        for relation in self.relations.values():
            by_name[relation.name] = (*by_name.get(relation.name, ()), relation)
        object.__setattr__(self, "by_name", by_name)

    @classmethod
    def of(cls, relations: tuple[Relation, ...] | list[Relation], **others: Any) -> TenantFacts:
        """Facts of these relations; `others` are the remaining fields."""
        return cls(relations={(relation.schema, relation.name): relation for relation in relations}, **others)

    def path(self, user: str | None) -> tuple[str, ...]:
        """The schemas in which an unqualified name is looked up for this role, in order."""
        schemas = self.search_paths.get(user, self.search_path) if user else self.search_path
        path = tuple(user if schema == "$user" else schema for schema in schemas if schema != "$user" or user)
        return tuple(schema for schema in path if schema is not None)

    def find(self, schema: str | None, name: str, user: str | None = None) -> Relation | None:
        """The relation of that name, or None.

        An unqualified name that is nowhere on the path was still found by the server, so on another path than
        the one known here: a tenants' table is preferred then.
        """
        if schema:
            return self.relations.get((schema, name))
        for place in self.path(user):
            found = self.relations.get((place, name))
            if found is not None:
                return found
        if name.startswith("pg_"):
            return None
        others = self.by_name.get(name, ())
        return next((relation for relation in others if self.is_watched(relation)), others[0] if others else None)

    def is_watched(self, relation: Relation) -> bool:
        """Whether tenants' rows can be read or written through it."""
        if relation.is_tenant or relation.key is not None or relation.tenant is not None:
            return True
        return any(found is not None and found.is_tenant for found in map(self.relations.get, relation.sources))

    def to_json(self) -> dict[str, Any]:
        """JSON's types only; `from_json` reads it back."""
        return {
            "search_path": list(self.search_path),
            "search_paths": {role: list(path) for role, path in self.search_paths.items()},
            "setting": self.setting,
            "relations": [_relation_to_json(relation) for relation in self.relations.values()],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TenantFacts:
        """Reads what `to_json` wrote; fields that are missing get their defaults."""
        return cls.of(
            [_relation_from_json(each) for each in data.get("relations", ())],
            search_path=tuple(data.get("search_path", ("$user", "public"))),
            search_paths={role: tuple(path) for role, path in data.get("search_paths", {}).items()},
            setting=data.get("setting"),
        )


def _relation_to_json(relation: Relation) -> dict[str, Any]:
    return {
        "schema": relation.schema,
        "name": relation.name,
        "kind": relation.kind,
        "columns": list(relation.columns),
        "key": relation.key,
        "is_tenant": relation.is_tenant,
        "tenant": relation.tenant,
        "unique": [list(columns) for columns in relation.unique],
        "has_primary_key": relation.has_primary_key,
        "foreign_keys": [
            {"columns": list(key.columns), "schema": key.schema, "table": key.table, "referenced": list(key.referenced)}
            for key in relation.foreign_keys
        ],
        "key_has_default": relation.key_has_default,
        "rls": sorted(relation.rls),
        "sources": [list(source) for source in relation.sources],
    }


def _relation_from_json(data: Mapping[str, Any]) -> Relation:
    return Relation(
        schema=data["schema"],
        name=data["name"],
        kind=data.get("kind", "r"),
        columns=tuple(data.get("columns", ())),
        key=data.get("key"),
        is_tenant=bool(data.get("is_tenant", data.get("key") is not None)),
        tenant=data.get("tenant"),
        unique=tuple(tuple(columns) for columns in data.get("unique", ())),
        has_primary_key=bool(data.get("has_primary_key", False)),
        foreign_keys=tuple(
            ForeignKey(tuple(key["columns"]), key["schema"], key["table"], tuple(key["referenced"]))
            for key in data.get("foreign_keys", ())
        ),
        key_has_default=bool(data.get("key_has_default", False)),
        rls=frozenset(data.get("rls", ())),
        sources=tuple((schema, name) for schema, name in data.get("sources", ())),
    )
