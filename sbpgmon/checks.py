"""Checks as the catalog has them: frozen, typed, without behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sbpgmon.model import Requirement


@dataclass(frozen=True, slots=True)
class Check:
    """One SQL file of queries/checks/: looks on a target for one thing that is wrong."""

    name: str
    title: str
    description: str  # what a tenant could do with it
    models: tuple[str, ...]  # for which ways of keeping tenants apart; `all`
    severity: str  # of its findings, unless a row says otherwise
    is_heuristic: bool  # it reads text, where only text can tell
    kind: str  # catalog; or data: its rows say what is to be swept
    interval_seconds: float
    timeout_seconds: float
    requires: tuple[Requirement, ...]
    uses: tuple[str, ...]  # parts
    sql: str
    path: Path


@dataclass(frozen=True, slots=True)
class Part:
    """One SQL file of queries/checks/parts/: a common table expression that checks and other parts use by its name."""

    name: str
    uses: tuple[str, ...]
    sql: str
    path: Path


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A check that is no file: what the statements' history says, and what the probe sees."""

    name: str
    title: str
    description: str
    severity: str
    models: tuple[str, ...] = ("all",)
    kind: str = "statements"


_STATEMENTS = (
    BuiltIn(
        "cross_tenant_queries",
        "A statement of the application that no tenant key binds, where no row level security is in force",
        "It reads or changes the rows of every tenant. Where the probe's login is set up, its plan confirms it.",
        "P0",
    ),
    BuiltIn(
        "cross_tenant_queries_suspected",
        "A statement that no tenant key binds, of a role that is neither the application's nor an operator's",
        "Nobody has said whose role it is, or the plan could not be had.",
        "P2",
    ),
    BuiltIn(
        "idor_prone_queries",
        "A statement that finds tenants' rows by their primary key alone",
        "Whoever sends another tenant's number gets its row (an insecure direct object reference).",
        "P2",
    ),
    BuiltIn(
        "cross_schema_statements",
        "A statement that touches the schemas of two tenants",
        "One tenant's data meets another's.",
        "P0",
        ("schema",),
    ),
    BuiltIn(
        "session_level_context",
        "The context is set for a session and not for a transaction",
        "Behind a transaction pooler the next transaction on that connection, another tenant's, finds it set.",
        "P2",
    ),
    BuiltIn(
        "unparsed_statements",
        "Statements that could not be judged",
        "They are counted and shown: nobody knows whether they are bound to one tenant.",
        "P2",
    ),
)
_PROBE = (
    BuiltIn(
        "probe_without_context",
        "Without a context the application's role sees tenants' rows",
        "Whoever forgets to set it, or resets it, sees every tenant. Tried on a fresh connection.",
        "P0",
        ("rls",),
        "probe",
    ),
    BuiltIn(
        "probe_foreign_key",
        "As one tenant the application's role sees a row of another by its primary key",
        "Tried with rows that were seen as their own tenant. A tenant that sees none of its own is unknown.",
        "P0",
        ("rls",),
        "probe",
    ),
    BuiltIn(
        "probe_foreign_rows",
        "As one tenant the application's role sees rows of others",
        "Tried with EXISTS over the rows whose key is another one, where the plan is cheap enough.",
        "P0",
        ("rls",),
        "probe",
    ),
    BuiltIn(
        "probe_foreign_schema",
        "The role of one tenant can read a table of another's schema",
        "Tried as that role; it must be refused.",
        "P0",
        ("schema",),
        "probe",
    ),
)
PROBE = "probe"  # no check: the slot of the last round stands among those of the checks
ALLOWANCES = "allowance_expired"
_ALLOWANCES = BuiltIn(
    ALLOWANCES,
    "An allowance of [tenancy] that holds no longer",
    "What it let be counts again. It is a finding until it is taken out, or given another day.",
    "P2",
    kind="allowances",
)
STATEMENT_CHECKS = tuple(check.name for check in _STATEMENTS)
PROBE_CHECKS = tuple(check.name for check in _PROBE)
BUILT_IN = {check.name: check for check in (*_STATEMENTS, *_PROBE, _ALLOWANCES)}
PROBE_TAG = "sbpgmon:probe"  # in the statements that the probe runs as the application's role
