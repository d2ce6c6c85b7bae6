"""Runs checks on one target: each in a transaction of its own; one that fails is unknown, and the others go on."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from sbpgmon.catalog.catalog import Catalog, render_check, unmet
from sbpgmon.checks import ALLOWANCES, Check
from sbpgmon.collect.tenancy import Known
from sbpgmon.errors import QueryFileError, SbpgmonError, TargetError
from sbpgmon.findings import SEVERITIES, CheckRun, Finding, Outcome, limited
from sbpgmon.model import Server
from sbpgmon.sources.session import Session
from sbpgmon.tenancy import Allow

MAX_FINDINGS = 1000  # of one check; more are counted
COLUMNS = {"object", "role", "detail", "remedy", "severity", "status", "part"}
_NEEDED = {"object", "detail", "remedy"}


def run_checks(
    session: Session, server: Server, catalog: Catalog, checks: Iterable[Check], known: Known
) -> list[CheckRun]:
    """What these checks say, in their order. A check that could not be run is unknown, and says why."""
    return [run_check(session, server, catalog, check, known) for check in checks]


def run_check(session: Session, server: Server, catalog: Catalog, check: Check, known: Known) -> CheckRun:
    """One check. Nothing is raised: what the server says is a finding."""
    began = time.monotonic()
    if why_not := unmet(check.requires, server):
        problem, _, remedy = why_not.partition(": ")
        return failed(check, problem, remedy, known)
    try:
        rows = read_rows(session, server, catalog, check, known, COLUMNS, MAX_FINDINGS + 1)
        findings = [finding_of(check, row, known) for row in rows]
    except SbpgmonError as error:
        return failed(check, error.what, error.way_out, known, time.monotonic() - began)
    return concluded(check, findings, known, time.monotonic() - began)


def concluded(check: Check, findings: Sequence[Finding], known: Known, seconds: float) -> CheckRun:
    """What a check found, as many findings as are listed."""
    listed, is_complete = tuple(findings[:MAX_FINDINGS]), len(findings) <= MAX_FINDINGS
    if not is_complete:
        detail = f"More than {MAX_FINDINGS} findings: the rest is not listed."
        listed += (_unknown(check, detail, "Mend what is listed, then look again.", known, part="more"),)
    return CheckRun(check.name, listed, seconds, is_complete=is_complete)


def failed(check: Check, problem: str, remedy: str, known: Known, seconds: float = 0.0) -> CheckRun:
    """A check that could not be run: what it found before is neither there nor gone."""
    finding = _unknown(check, f"Not seen: {problem.rstrip('.')}.", remedy, known)
    return CheckRun(check.name, (finding,), seconds, is_complete=False)


def allow(finding: Finding, allowances: Iterable[Allow], today: date) -> Finding:
    """The finding, marked with the reason when the user lets it be; an expired allowance changes nothing."""
    for item in allowances:
        fits = (
            item.check == finding.check
            and item.object in (None, finding.object)
            and item.role in (None, finding.role)
            and item.queryid is None
            and item.tag is None
        )
        if fits and today <= item.expires and finding.outcome is Outcome.FAIL:
            return replace(finding, allowed=f"{item.reason} (until {item.expires})")
    return finding


def expired(allowances: Iterable[Allow], today: date) -> CheckRun:
    """The allowances that hold no longer: each is a finding, until it is renewed or taken out."""
    findings = [
        Finding(
            check=ALLOWANCES,
            outcome=Outcome.FAIL,
            severity="P2",
            object=item.object or item.check,
            role=item.role or "",
            detail=f"The allowance of {item.check} ended on {item.expires}: {item.reason}.",
            remedy="Mend what it allowed and take it out of [[tenancy.allow]], or give it another day.",
            part=" ".join(str(word) for word in (item.check, item.queryid, item.tag) if word is not None),
        )
        for item in allowances
        if item.expires < today
    ]
    return CheckRun(ALLOWANCES, tuple(findings))


def read_rows(
    session: Session, server: Server, catalog: Catalog, check: Check, known: Known, columns: Collection[str], limit: int
) -> list[Mapping[str, Any]]:
    """The rows of a check's query, of no other columns. Raises QueryFileError when it returns others, TargetError."""
    query = render_check(check, catalog.parts, known.sql(), server)
    sql = f"/* sbpgmon:{check.name} */ {query}\nLIMIT {limit}"
    for again in (True, False):
        try:
            with session.transaction(check.timeout_seconds) as (cursor, _):
                rows = cursor.execute(f"SELECT * FROM ({sql}) AS listed".encode()).fetchall()
                names = [column.name for column in cursor.description or ()]
            if problem := _problem(names, columns):
                raise wrong(check, problem)
            return [dict(zip(names, row, strict=True)) for row in rows]
        except TargetError as error:
            # A table that was dropped between two of the catalog's own looks is gone when it is looked at again.
            if not again or session.is_broken or error.sqlstate not in ("XX000", "42P01"):
                raise
    raise AssertionError


def wrong(check: Check, problem: str) -> QueryFileError:
    """What a check's file has done wrong."""
    return QueryFileError(f"{check.path}:1: {problem}.", "Mend the query; CONTRIBUTING.md says what it returns.")


def _problem(names: Collection[str], columns: Collection[str]) -> str:
    if missing := sorted(_NEEDED.difference(names)):
        return f"the query does not return {', '.join(missing)}"
    if more := sorted(set(names).difference(columns)):
        return f"the query returns {', '.join(more)}, which no finding has"
    return ""


def finding_of(check: Check, row: Mapping[str, Any], known: Known) -> Finding:
    """A row as a finding. Raises QueryFileError for a severity or status that there is not."""
    values = {key: "" if value is None else str(value) for key, value in row.items()}
    severity = values.get("severity") or check.severity
    outcome = values.get("status") or "fail"
    if severity not in SEVERITIES:
        raise wrong(check, f"{severity!r} is not a severity: {', '.join(SEVERITIES)}")
    if outcome not in ("fail", "unknown"):
        raise wrong(check, f"{outcome!r} is not a status: fail or unknown; what passes has no row")
    finding = Finding(
        check=check.name,
        outcome=Outcome(outcome),
        severity=severity,
        object=values["object"],
        role=values.get("role", ""),
        detail=values["detail"],
        remedy=values["remedy"],
        part=values.get("part", ""),
        is_heuristic=check.is_heuristic,
    )
    return limited(finding, is_confirmed=known.confirmed)


def _unknown(check: Check, detail: str, remedy: str, known: Known, part: str = "") -> Finding:
    finding = Finding(check.name, Outcome.UNKNOWN, check.severity, "", "", detail, remedy, part)
    return limited(finding, is_confirmed=known.confirmed)
