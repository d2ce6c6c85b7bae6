"""What checks found, and how sure that is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """What a check says. Isolation holds only with neither a fail nor an unknown."""

    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "unknown"


# P0: a tenant can see another's data; P1: one step away; P2: a risk; P3: hygiene.
SEVERITIES = ("P0", "P1", "P2", "P3")
LIMIT_UNCONFIRMED = "P2"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or that could not be seen."""

    check: str
    outcome: Outcome
    severity: str
    object: str  # schema.table, a function's signature, a role, …; quoted as SQL would
    role: str  # who could use it; empty: anybody, or nobody in particular
    detail: str  # what a tenant could do with it
    remedy: str  # the statement that mends it
    part: str = ""  # tells findings of one object apart: a policy's name
    is_heuristic: bool = False
    allowed: str = ""  # why the user lets it be

    @property
    def key(self) -> str:
        """The same from run to run, whatever else is found."""
        return ":".join((self.check, self.object, self.role, self.part)).rstrip(":")

    @property
    def digest(self) -> str:
        """Eight characters of the key's hash, to call it by."""
        return digest_of(self.key)


def digest_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:8]


def distinct(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """One finding a key: the worst of those that share it, which says how many there are."""
    by_key: dict[str, list[Finding]] = {}
    for finding in findings:
        by_key.setdefault(finding.key, []).append(finding)
    return tuple(_worst(alike) for alike in by_key.values())


def _worst(alike: Sequence[Finding]) -> Finding:
    worst = min(alike, key=lambda finding: (finding.outcome is not Outcome.FAIL, finding.severity))
    if len(alike) == 1:
        return worst
    return replace(worst, detail=f"{worst.detail} (One of {len(alike)} that have the same object, role and part.)")


@dataclass(frozen=True, slots=True)
class CheckRun:
    """One check on one target: all that it found. `is_complete`: what is not in it is not there any more.

    No two findings have the same key, whatever a check's query returns: the store holds one open finding a key.
    """

    check: str
    findings: tuple[Finding, ...] = ()
    seconds: float = 0.0
    is_complete: bool = True
    sweep: dict[str, Any] | None = None  # of a check of data: how far it has come, for the next run

    def __post_init__(self) -> None:
        object.__setattr__(self, "findings", distinct(self.findings))

    @property
    def outcome(self) -> Outcome:
        outcomes = {finding.outcome for finding in self.findings if not finding.allowed}
        return next((o for o in (Outcome.FAIL, Outcome.UNKNOWN) if o in outcomes), Outcome.PASS)


@dataclass(frozen=True, slots=True)
class IsolationReading:
    """All checks that ran on one target at one time."""

    target: str
    time: datetime
    runs: tuple[CheckRun, ...] = ()
    figures: dict[str, float | None] = field(default_factory=dict)  # cross_tenant_queries, …; None: not known
    slots: dict[str, int] = field(default_factory=dict)  # check -> slot of its grid
    known_checks: tuple[str, ...] | None = None  # all that are looked for on this target; None: nothing is said of it
    fingerprint: str | None = None  # digest of the elements; None: not read
    elements: tuple[tuple[str, str, str], ...] = ()  # kind, object, definition of what keeps tenants apart
    ground: dict[str, Any] | None = None  # what statements are judged by; empty: no tenancy here; None: not read

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(finding for run in self.runs for finding in run.findings)


def limited(finding: Finding, *, is_confirmed: bool) -> Finding:
    """The finding; at most P2 while nobody has confirmed how tenants are kept apart."""
    if is_confirmed or finding.severity >= LIMIT_UNCONFIRMED:
        return finding
    return replace(finding, severity=LIMIT_UNCONFIRMED)
