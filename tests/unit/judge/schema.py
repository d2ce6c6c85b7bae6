"""The sportsbook and payroll of the labelled statements, as facts."""

from __future__ import annotations

from typing import Any

from sbpgmon.judge.facts import ForeignKey, Relation, TenantFacts


def _relation(name: str, columns: str, key: str | None = "tenant_id", **others: Any) -> Relation:
    """`unique` and `refers` are written as 'a b' and {'a b': 'table a b'}."""
    unique = tuple(tuple(each.split()) for each in others.pop("unique", ("id",)))
    foreign_keys = tuple(
        ForeignKey(tuple(own.split()), "public", other.split()[0], tuple(other.split()[1:]))
        for own, other in others.pop("refers", {}).items()
    )
    others.setdefault("is_tenant", key is not None)
    return Relation(
        others.pop("schema", "public"),
        name,
        columns=tuple(columns.split()),
        key=key,
        unique=unique,
        has_primary_key=bool(unique),
        foreign_keys=foreign_keys,
        **others,
    )


_TENANT = {"tenant_id": "tenants id"}

FACTS = TenantFacts.of(
    [
        _relation("tenants", "id slug name plan", None, unique=("id", "slug")),
        _relation("users", "id tenant_id email name role", unique=("id", "tenant_id email"), refers=_TENANT),
        _relation("accounts", "id tenant_id user_id currency balance", refers=_TENANT | {"user_id": "users id"}),
        _relation(
            "bets",
            "id tenant_id account_id market_id stake status reference payload placed_at updated_at deleted_at version",
            unique=("id", "reference"),
            refers=_TENANT | {"account_id": "accounts id", "market_id": "markets id"},
        ),
        _relation(
            "bet_legs",
            "id bet_id market_id selection odds",
            None,
            is_tenant=True,
            unique=("id", "bet_id market_id"),
            refers={"bet_id": "bets id", "market_id": "markets id"},
        ),
        _relation(
            "payouts",
            "tenant_id id bet_id amount paid_at",
            unique=("tenant_id id",),
            refers=_TENANT | {"bet_id": "bets id"},
        ),
        _relation("events", "id name starts_at", None),
        _relation("markets", "id event_id name", None, refers={"event_id": "events id"}),
        _relation("audit_log", "id tenant_id actor_id action detail at", kind="p", unique=("id at",)),
        _relation(
            "employees",
            "id tenant_id manager_id name department",
            unique=("id", "tenant_id id"),
            refers=_TENANT | {"manager_id": "employees id"},
        ),
        _relation(
            "payslips",
            "id tenant_id employee_id month net",
            refers=_TENANT | {"tenant_id employee_id": "employees tenant_id id"},
        ),
        _relation("api_tokens", "id tenant_id token", key_has_default=True, unique=("id", "token")),
        _relation("Wager", "id tenantId userId amount", "tenantId", refers={"userId": "users id"}),
        _relation("bet_report", "tenant_id day total", kind="v", unique=(), sources=(("public", "bets"),)),
        _relation(
            "leaderboard", "name total", None, is_tenant=True, kind="v", unique=(), sources=(("public", "bets"),)
        ),
        _relation("invoices", "id total", None, schema="t_acme", tenant="acme", is_tenant=True),
        _relation("invoices", "id total", None, schema="t_globex", tenant="globex", is_tenant=True),
    ],
    setting="app.tenant_id",
)
