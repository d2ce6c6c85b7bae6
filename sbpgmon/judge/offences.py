"""What is said of statements that do not keep to one tenant: the findings of the checks of statements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sbpgmon.checks import BUILT_IN, STATEMENT_CHECKS
from sbpgmon.findings import CheckRun, Finding, Outcome, limited
from sbpgmon.judge.ground import Ground

MAX_FINDINGS = 1000  # of one check; more are counted
_TEXT_CHARACTERS = 300
# Said once for each role, or once at all: each value that is SET, and each text, may be a statement of its own.
_BY_ROLE = "session_level_context"
_TOGETHER = "unparsed_statements"


_REMEDIES = {
    "cross_tenant_queries": "Bind the tenant key in the statement, or force row level security on the table for this "
    "role; if it is meant to see all tenants, say so in [[tenancy.allow]].",
    "cross_tenant_queries_suspected": "Say in [tenancy] roles who this is: one of app, or of admin; then bind the "
    "tenant key.",
    "idor_prone_queries": "Bind the tenant key as well (WHERE id = $1 AND tenant_id = $2), or use row level security.",
    "cross_schema_statements": "Take the other tenant's schema out of the statement or of search_path, and revoke "
    "USAGE on it.",
    "session_level_context": "Set it with SET LOCAL, or set_config(…, true), within each transaction; where sessions "
    'are never shared, say [tenancy] context.scope = "session".',
    "unparsed_statements": "Look at them in the view statement_verdict; allow those that are right by role, tag or "
    "queryid.",
}


@dataclass(frozen=True, slots=True)
class Offence:
    """A statement that fails a check, with the calls that did."""

    check: str
    allowed: str
    role: str
    queryid: int
    table: str
    reason: str
    query: str
    calls: int
    since: datetime | None = None  # when these calls began, at the earliest; None: that is not known


def runs_of(offences: Iterable[Offence], ground: Ground, seconds: float = 0.0) -> tuple[CheckRun, ...]:
    """One run of each check, with a finding for each statement; or one that says why nothing can be seen."""
    if ground.problem:
        return (unknown(ground.problem, ground.remedy, is_confirmed=ground.is_confirmed),)
    found: dict[str, dict[str, list[Offence]]] = {name: {} for name in STATEMENT_CHECKS}
    for offence in sorted(offences, key=lambda each: (-each.calls, each.queryid)):
        found[offence.check].setdefault(_key(offence, ground), []).append(offence)
    runs = []
    for name, groups in found.items():
        findings = [_finding(name, group, ground) for group in list(groups.values())[:MAX_FINDINGS]]
        if len(groups) > MAX_FINDINGS:
            findings.append(_more(name, len(groups) - MAX_FINDINGS))
        limit = [limited(finding, is_confirmed=ground.is_confirmed) for finding in findings]
        runs.append(CheckRun(name, tuple(limit), seconds, is_complete=len(groups) <= MAX_FINDINGS))
    return tuple(runs)


def unknown(problem: str, remedy: str, *, is_confirmed: bool) -> CheckRun:
    """That the statements cannot be seen, and what would change that."""
    name = STATEMENT_CHECKS[0]
    finding = Finding(name, Outcome.UNKNOWN, BUILT_IN[name].severity, "", "", f"Not seen: {problem}.", remedy)
    return CheckRun(name, (limited(finding, is_confirmed=is_confirmed),), is_complete=False)


def _key(offence: Offence, ground: Ground) -> str:
    """What findings are made of: one table, role and queryid, with its calls inside functions and outside."""
    return _named(offence.check, offence, ground).key


def _named(check: str, offence: Offence, ground: Ground) -> Finding:
    """The finding, without what it says."""
    severity, remedy = BUILT_IN[check].severity, _REMEDIES[check]
    if check == _TOGETHER:
        return Finding(check, Outcome.UNKNOWN, severity, "", "", "", remedy)
    if check == _BY_ROLE:
        return Finding(check, Outcome.FAIL, severity, ground.facts.setting or "", offence.role, "", remedy)
    return Finding(check, Outcome.FAIL, severity, offence.table, offence.role, "", remedy, str(offence.queryid))


def _finding(check: str, group: Sequence[Offence], ground: Ground) -> Finding:
    # What is let be does not hide what is not.
    group = [offence for offence in group if not offence.allowed] or group
    first = group[0]
    calls = sum(offence.calls for offence in group)
    times = "1 call" if calls == 1 else f"{calls} calls"
    begun = [offence.since for offence in group if offence.since is not None]
    since = f" since {min(begun):%Y-%m-%d %H:%M} UTC at the earliest" if begun else ""
    text = " ".join(first.query.split())
    text = text if len(text) <= _TEXT_CHARACTERS else f"{text[: _TEXT_CHARACTERS - 1]}…"
    if check == _TOGETHER:
        texts = "1 statement" if len(group) == 1 else f"{len(group)} statements"
        detail = f"{texts} with {times}{since} could not be judged, for example: {text} – {first.reason}"
    elif check == _BY_ROLE:
        detail = f"{first.role} sets the context for the session ({times}{since}), for example: {text}."
    else:
        detail = f"{first.reason.rstrip('.')} ({times}{since}): {text}."
    return replace(_named(check, first, ground), detail=detail, allowed=first.allowed)


def _more(check: str, number: int) -> Finding:
    detail = f"{number} more statements: the view statement_verdict lists them."
    return Finding(check, Outcome.UNKNOWN, BUILT_IN[check].severity, "", "", detail, _REMEDIES[check], "more")
