"""What is said of statements that do not keep to one tenant: the checks, and their findings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sbpgmon.findings import CheckRun, Finding, Outcome, limited
from sbpgmon.judge.ground import Ground

MAX_FINDINGS = 1000  # of one check; more are counted
_TEXT_CHARACTERS = 300
# Said once for each role, or once at all: each value that is SET, and each text, may be a statement of its own.
_BY_ROLE = "session_level_context"
_TOGETHER = "unparsed_statements"


@dataclass(frozen=True, slots=True)
class QueryCheck:
    """A check of the statements' history: what `tenants explain` says of it."""

    name: str
    title: str
    description: str
    severity: str
    remedy: str
    outcome: Outcome = Outcome.FAIL


QUERY_CHECKS = {
    check.name: check
    for check in (
        QueryCheck(
            "cross_tenant_queries",
            "Statements of the application that are not bound to one tenant",
            "The text binds the tenant key of some table to nothing, an application role ran it, and row level "
            "security does not hold for that role on every tenants' table that it touches: the rows of all tenants "
            "are read or written.",
            "P0",
            "Bind the tenant key in the statement, or force row level security on the table for this role; if it is "
            "meant to see all tenants, say so in [[tenancy.allow]].",
        ),
        QueryCheck(
            "cross_tenant_queries_suspected",
            "Statements that are not bound to one tenant, by roles that nothing is known of",
            "The text binds the tenant key of some table to nothing. The role is neither one of the application's "
            "nor one that may see all tenants, or the plan does not show that other tenants' rows are read.",
            "P2",
            "Say in [tenancy] roles who this is: one of app, or of admin; then bind the tenant key.",
        ),
        QueryCheck(
            "idor_prone_queries",
            "Statements that find a row by its own key alone",
            "The text finds a tenant's row by its primary or unique key, and does not ask whose it is: whoever "
            "guesses or learns the number of another tenant's row reads or changes it, unless the application looks "
            "beforehand.",
            "P2",
            "Bind the tenant key as well (WHERE id = $1 AND tenant_id = $2), or use row level security.",
        ),
        QueryCheck(
            "cross_schema_statements",
            "Statements that touch another tenant's schema",
            "The statement touches the schemas of two tenants, or that of another tenant than the one whose role ran "
            "it.",
            "P0",
            "Take the other tenant's schema out of the statement or of search_path, and revoke USAGE on it.",
        ),
        QueryCheck(
            _BY_ROLE,
            "The context is set for the session",
            "The setting that tells the policies who asks outlives the transaction. Behind a pooler the next client "
            "of the connection goes on with it, and reads this tenant's rows.",
            "P2",
            "Set it with SET LOCAL, or set_config(…, true), within each transaction; where sessions are never "
            'shared, say [tenancy] context.scope = "session".',
        ),
        QueryCheck(
            _TOGETHER,
            "Statements that could not be judged",
            "The texts cannot be parsed, or name a tenants' table in a way that is not understood: nobody knows "
            "whether they keep to one tenant.",
            "P2",
            "Look at them in the view statement_verdict; allow those that are right by role, tag or queryid.",
            Outcome.UNKNOWN,
        ),
    )
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
    found: dict[str, dict[str, list[Offence]]] = {name: {} for name in QUERY_CHECKS}
    for offence in sorted(offences, key=lambda each: (-each.calls, each.queryid)):
        found[offence.check].setdefault(_key(offence, ground), []).append(offence)
    runs = []
    for name, groups in found.items():
        findings = [_finding(QUERY_CHECKS[name], group, ground) for group in list(groups.values())[:MAX_FINDINGS]]
        if len(groups) > MAX_FINDINGS:
            findings.append(_more(QUERY_CHECKS[name], len(groups) - MAX_FINDINGS))
        limit = [limited(finding, is_confirmed=ground.is_confirmed) for finding in findings]
        runs.append(CheckRun(name, tuple(limit), seconds, is_complete=len(groups) <= MAX_FINDINGS))
    return tuple(runs)


def unknown(problem: str, remedy: str, *, is_confirmed: bool) -> CheckRun:
    """That the statements cannot be seen, and what would change that."""
    check = QUERY_CHECKS["cross_tenant_queries"]
    finding = Finding(check.name, Outcome.UNKNOWN, check.severity, "", "", f"Not seen: {problem}.", remedy)
    return CheckRun(check.name, (limited(finding, is_confirmed=is_confirmed),), is_complete=False)


def _key(offence: Offence, ground: Ground) -> str:
    """What findings are made of: one table, role and queryid, with its calls inside functions and outside."""
    return _named(QUERY_CHECKS[offence.check], offence, ground).key


def _named(check: QueryCheck, offence: Offence, ground: Ground) -> Finding:
    if check.name == _TOGETHER:
        return Finding(check.name, check.outcome, check.severity, "", "", "", check.remedy)
    if check.name == _BY_ROLE:
        return Finding(
            check.name, check.outcome, check.severity, ground.facts.setting or "", offence.role, "", check.remedy
        )
    part = str(offence.queryid)
    return Finding(check.name, check.outcome, check.severity, offence.table, offence.role, "", check.remedy, part)


def _finding(check: QueryCheck, group: Sequence[Offence], ground: Ground) -> Finding:
    # What is let be does not hide what is not.
    group = [offence for offence in group if not offence.allowed] or group
    first = group[0]
    calls = sum(offence.calls for offence in group)
    times = "1 call" if calls == 1 else f"{calls} calls"
    begun = [offence.since for offence in group if offence.since is not None]
    since = f" since {min(begun):%Y-%m-%d %H:%M} UTC at the earliest" if begun else ""
    text = " ".join(first.query.split())
    text = text if len(text) <= _TEXT_CHARACTERS else f"{text[: _TEXT_CHARACTERS - 1]}…"
    if check.name == _TOGETHER:
        texts = "1 statement" if len(group) == 1 else f"{len(group)} statements"
        detail = f"{texts} with {times}{since} could not be judged, for example: {text} – {first.reason}"
    elif check.name == _BY_ROLE:
        detail = f"{first.role} sets the context for the session ({times}{since}), for example: {text}."
    else:
        detail = f"{first.reason.rstrip('.')} ({times}{since}): {text}."
    return replace(_named(check, first, ground), detail=detail, allowed=first.allowed)


def _more(check: QueryCheck, number: int) -> Finding:
    detail = f"{number} more statements: the view statement_verdict lists them."
    return Finding(check.name, Outcome.UNKNOWN, check.severity, "", "", detail, check.remedy, "more")
