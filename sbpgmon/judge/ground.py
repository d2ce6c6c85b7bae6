"""What statements of one target stand by: its relations, who runs what, and what the user allows.

A verdict is on a text alone; where a statement stands depends on who runs it, on row level security, and on what the
user lets be. Plain data, and nothing that needs the parser.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from functools import cached_property
from typing import Any

from sbpgmon.checks import PROBE_TAG
from sbpgmon.judge.facts import Relation, TenantFacts
from sbpgmon.judge.names import qualified


class Standing(StrEnum):
    """What a statement does about tenants; the values are those of `tenant_queries.verdict`."""

    CROSS_TENANT = "cross_tenant"  # unscoped, by an application role, without row level security
    CROSS_SCHEMA = "cross_schema"  # touches the schemas of two tenants, or of another than its role's
    SUSPECTED = "suspected"  # unscoped, by a role that nothing is known of
    IDOR_PRONE = "idor_prone"  # a row by its own key alone, by an application role
    SESSION_CONTEXT = "session_context"  # sets the context for the session
    UNPARSED = "unparsed"
    POINT = "point"  # the same as idor_prone, by a role that nothing is known of
    ALLOWED = "allowed"  # one of the above, which the user lets be
    RLS_COVERED = "rls_covered"  # row level security alone keeps it to one tenant
    DERIVED = "derived"
    SCOPED = "scoped"
    OPERATOR = "operator"  # by a role that may see all tenants
    NOT_APPLICABLE = "not_applicable"
    UNJUDGED = "unjudged"  # its text is not known yet, or not judged


CHECK_OF = {
    Standing.CROSS_TENANT: "cross_tenant_queries",
    Standing.CROSS_SCHEMA: "cross_schema_statements",
    Standing.SUSPECTED: "cross_tenant_queries_suspected",
    Standing.IDOR_PRONE: "idor_prone_queries",
    Standing.SESSION_CONTEXT: "session_level_context",
    Standing.UNPARSED: "unparsed_statements",
}
_WORST_FIRST = tuple(CHECK_OF)


class RoleKind(StrEnum):
    """Who a role is to the tenants' data."""

    APP = "app"  # the application, or what it can become
    OPERATOR = "operator"  # may see all tenants: superusers, operators, the tables' owner, the agent
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Role:
    """Who runs statements. `tenant`: schema per tenant, whose role it is."""

    name: str
    kind: RoleKind = RoleKind.OTHER
    tenant: str | None = None


@dataclass(frozen=True, slots=True)
class Allowance:
    """Statements that the user lets be; what is None is any."""

    check: str
    reason: str
    object: str | None = None
    role: str | None = None
    queryid: int | None = None
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """What is kept of the judgement on a text; the fields are those of Judgement."""

    verdict: str
    table: str = ""
    reason: str = ""
    tables: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()
    sets_session_context: bool = False
    tags: tuple[str, ...] = ()
    is_beyond_rls: bool = False


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a statement stands. `check`: what it fails, '' for nothing; `allowed`: why that is let be."""

    standing: Standing
    check: str = ""
    allowed: str = ""

    def is_worse_than(self, other: Stand) -> bool:
        return _rank(self.standing) < _rank(other.standing)


def _rank(standing: Standing) -> int:
    return _WORST_FIRST.index(standing) if standing in _WORST_FIRST else len(_WORST_FIRST)


@dataclass(frozen=True)
class Ground:
    """All that statements of one database are judged by, as one look at the target found it."""

    facts: TenantFacts
    dbid: int
    roles: Mapping[int, Role] = field(default_factory=dict)  # by OID
    allowances: tuple[Allowance, ...] = ()
    scope: str = "transaction"  # how the application sets the context
    is_confirmed: bool = False
    problem: str = ""  # why statements cannot be seen; empty: they can
    remedy: str = ""
    has_probe: bool = False  # the probe works as the application's role: its own statements are an operator's

    def stand(self, judged: Judged, userid: int, queryid: int, *, is_confirmed: bool | None = None) -> Stand:
        """Where a statement stands that this role runs. `is_confirmed`: whether its plan reads other tenants' rows;
        None where nobody has looked."""
        role = self.roles.get(userid, Role(""))
        standing = self._standing(judged, role, is_confirmed)
        check = CHECK_OF.get(standing, "")
        if not check:
            return Stand(standing)
        for allowance in self.allowances:
            if _fits(allowance, check, judged, role, queryid):
                return Stand(Standing.ALLOWED, check, allowance.reason)
        return Stand(standing, check)

    def _standing(self, judged: Judged, role: Role, is_confirmed: bool | None) -> Standing:
        is_hazard = judged.sets_session_context and self.scope == "transaction"
        if judged.verdict == "not_applicable" and not is_hazard:
            return Standing.NOT_APPLICABLE
        if role.kind is RoleKind.OPERATOR or (self.has_probe and PROBE_TAG in judged.tags):
            return Standing.OPERATOR
        is_app = role.kind is RoleKind.APP
        if len(judged.tenants) > 1 or (role.tenant is not None and {*judged.tenants} - {role.tenant}):
            return Standing.CROSS_SCHEMA
        if judged.verdict in ("unscoped", "point") and self._is_covered(judged, role):
            found = Standing.RLS_COVERED
        elif judged.verdict == "unscoped":
            found = Standing.CROSS_TENANT if is_app and is_confirmed is not False else Standing.SUSPECTED
        elif judged.verdict == "point":
            found = Standing.IDOR_PRONE if is_app else Standing.POINT
        else:
            found = Standing(judged.verdict)
        if is_hazard and _rank(found) > _rank(Standing.SESSION_CONTEXT):
            return Standing.SESSION_CONTEXT
        return found

    def _is_covered(self, judged: Judged, role: Role) -> bool:
        """Whether row level security holds for the role on all tenants' tables that are touched."""
        if judged.is_beyond_rls or not judged.tables or not role.name:
            return False
        found = [self._by_name.get(name) for name in judged.tables]
        return all(relation is not None and role.name in relation.rls for relation in found)

    @cached_property
    def _by_name(self) -> dict[str, Relation]:
        return {qualified(relation): relation for relation in self.facts.relations.values()}

    @cached_property
    def _schemas(self) -> frozenset[str]:
        return frozenset(relation.schema for relation in self.facts.relations.values())

    def path(self, userid: int) -> str:
        """Where names without a schema are looked up for a role, as far as it matters: verdicts hang on it."""
        path = self.facts.path(self.roles[userid].name if userid in self.roles else None)
        return ",".join(schema for schema in path if schema in self._schemas)

    def to_json(self) -> dict[str, Any]:
        """JSON's types only; `from_json` reads it back."""
        return {
            "facts": _ordered(self.facts.to_json()),
            "dbid": self.dbid,
            "roles": [[oid, role.name, role.kind.value, role.tenant] for oid, role in sorted(self.roles.items())],
            "allowances": [
                {name: getattr(allowance, name) for name in Allowance.__slots__} for allowance in self.allowances
            ],
            "scope": self.scope,
            "is_confirmed": self.is_confirmed,
            "problem": self.problem,
            "remedy": self.remedy,
            "has_probe": self.has_probe,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Ground:
        """Reads what `to_json` wrote."""
        return cls(
            facts=TenantFacts.from_json(data["facts"]),
            dbid=data["dbid"],
            roles={oid: Role(name, RoleKind(kind), tenant) for oid, name, kind, tenant in data["roles"]},
            allowances=tuple(Allowance(**allowance) for allowance in data["allowances"]),
            scope=data["scope"],
            is_confirmed=data["is_confirmed"],
            problem=data["problem"],
            remedy=data["remedy"],
            has_probe=data.get("has_probe", False),
        )


def _ordered(facts: dict[str, Any]) -> dict[str, Any]:
    """The same whatever order the relations were read in: digests hang on it."""
    return facts | {"relations": sorted(facts["relations"], key=lambda each: (each["schema"], each["name"]))}


def with_digests(ground: Ground) -> dict[str, Any]:
    """A ground as JSON, with the `digest` of all of it, and of its `structure`: what the verdict on a text hangs on."""
    data = ground.to_json()
    facts = data["facts"]
    relations = [{k: v for k, v in relation.items() if k != "rls"} for relation in facts["relations"]]
    return data | {"digest": _digest(data), "structure": _digest({**facts, "relations": relations})}


def _digest(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def in_force(items: Iterable[Mapping[str, Any]], today: date) -> tuple[Allowance, ...]:
    """The allowances of `[[tenancy.allow]]` that hold today, with the day on which they end."""
    return tuple(
        Allowance(
            check=item["check"],
            reason=f"{item['reason']} (until {item['expires']})",
            object=item.get("object"),
            role=item.get("role"),
            queryid=item.get("queryid"),
            tag=item.get("tag"),
        )
        for item in items
        if today <= item["expires"]
    )


def _fits(allowance: Allowance, check: str, judged: Judged, role: Role, queryid: int) -> bool:
    return (
        allowance.check == check
        and allowance.object in (None, judged.table)
        and allowance.role in (None, role.name)
        and allowance.queryid in (None, queryid)
        and (allowance.tag is None or any(allowance.tag in tag for tag in judged.tags))
    )
