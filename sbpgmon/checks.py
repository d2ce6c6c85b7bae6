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


# Checks that are no file: what the statements' history says, and what the probe sees.
STATEMENT_CHECKS = (
    "cross_tenant_queries",
    "cross_tenant_queries_suspected",
    "idor_prone_queries",
    "cross_schema_statements",
    "session_level_context",
    "unparsed_statements",
)
PROBE_CHECKS = ("probe_without_context", "probe_foreign_rows", "probe_foreign_key")
