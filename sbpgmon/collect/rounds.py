"""One round of the probe: what is tried, and what came of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sbpgmon.checks import BUILT_IN
from sbpgmon.collect.known import Known
from sbpgmon.config import Target
from sbpgmon.findings import CheckRun, Finding, Outcome, limited
from sbpgmon.sources.session import Session
from sbpgmon.tenancy import Probe

TIMEOUT_SECONDS = 2.0
_GRACE_SECONDS = 3.0  # after the round's time, for the statement in hand
# pg_stat_statements takes statements that differ in comments alone for one: no application selects this type.
UNLIKE = "NULL::pg_catalog.xid8"


@dataclass(frozen=True, slots=True)
class Table:
    """A table that is looked at; names are quoted. `tenant`: whose schema it is in, of a schema for each tenant."""

    kind: str
    object: str
    key: str
    primary_key: tuple[str, ...]
    rows: float
    tenant: str


@dataclass
class Trial:
    """One round on one target."""

    login: Target
    connect_timeout_seconds: float
    known: Known
    probe: Probe
    role: str
    tables: Sequence[Table]
    tenants: Sequence[str]  # keys of the tenants of this round, as text
    ends_at: float  # by time.monotonic()
    found: dict[str, list[Finding]] = field(default_factory=dict)
    unseen: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)  # check -> object -> why, way out
    figures: dict[str, float | None] = field(default_factory=dict)

    def fail(self, check: str, table: Table, detail: str, remedy: str, role: str = "") -> None:
        severity = BUILT_IN[check].severity
        finding = Finding(check, Outcome.FAIL, severity, table.object, role or self.role, detail, remedy)
        self.found.setdefault(check, []).append(limited(finding, is_confirmed=self.known.confirmed))

    def miss(self, check: str, name: str, why: str, way_out: str) -> None:
        self.unseen.setdefault(check, {})[name] = why, way_out

    def runs(self, checks: Sequence[str]) -> list[CheckRun]:
        """What the checks say. Where anything could not be seen, what was found before is not taken for gone."""
        runs = []
        for check in checks:
            findings = list(self.found.get(check, []))
            failed = {finding.key for finding in findings}
            for name, (why, way_out) in self.unseen.get(check, {}).items():
                unknown = Finding(check, Outcome.UNKNOWN, BUILT_IN[check].severity, name, self.role, why, way_out)
                if unknown.key not in failed:
                    findings.append(limited(unknown, is_confirmed=self.known.confirmed))
            runs.append(CheckRun(check, tuple(findings), is_complete=check not in self.unseen))
        return runs

    @contextlib.contextmanager
    def connected(self) -> Iterator[Session]:
        """A connection of the probe's own, which ends with the round also where the server hangs."""
        left = max(0.0, self.ends_at - time.monotonic()) + _GRACE_SECONDS
        with Session(self.login, self.connect_timeout_seconds) as session, session.deadline(left):
            yield session

    def within(self, tables: Sequence[Table], check: str) -> Iterator[Table]:
        """The tables that there is time for; of the others it is not known."""
        for place, table in enumerate(tables):
            if time.monotonic() > self.ends_at:
                why = f"{len(tables) - place} of {len(tables)} tables were not tried: the time of a round was over."
                self.miss(check, "", why, "Look at the slow ones: sbpgmon tenants check tries them all.")
                return
            yield table
