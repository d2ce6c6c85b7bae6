"""What `tenants check` says of what was found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sbpgmon.findings import Finding, IsolationReading, Outcome


def summary(readings: Sequence[IsolationReading]) -> dict[str, int | None]:
    """`pass`: checks without a finding; `fail` and `unknown`: findings; `allowed`: findings that are let be; and the
    figures, None where one of the targets does not know it."""
    runs = [run for reading in readings for run in reading.runs]
    findings = [finding for run in runs for finding in run.findings]
    counted = [finding for finding in findings if not finding.allowed]
    found: dict[str, int | None] = {
        "pass": sum(run.outcome is Outcome.PASS for run in runs),
        "fail": sum(finding.outcome is Outcome.FAIL for finding in counted),
        "unknown": sum(finding.outcome is Outcome.UNKNOWN for finding in counted),
        "allowed": len(findings) - len(counted),
    }
    for name in dict.fromkeys(name for reading in readings for name in reading.figures):
        values = [reading.figures.get(name) for reading in readings]
        found[name] = None if None in values else sum(value or 0 for value in values)
    return found


def as_row(target: str, finding: Finding) -> dict[str, Any]:
    """A finding as JSON has it."""
    return {
        "target": target,
        "check": finding.check,
        "status": "allowed" if finding.allowed else finding.outcome.value,
        "severity": finding.severity,
        "object": finding.object,
        "role": finding.role,
        "detail": finding.detail + (" This is a heuristic: it reads text." if finding.is_heuristic else ""),
        "remedy": finding.remedy,
        "key": finding.key,
        "id": finding.digest,
        **({"allowed": finding.allowed} if finding.allowed else {}),
    }


def rows(readings: Sequence[IsolationReading]) -> list[dict[str, Any]]:
    """All findings, the worst first; unknown ones after those that are certain."""
    listed = [(reading.target, finding) for reading in readings for finding in reading.findings]
    order = {Outcome.FAIL: 0, Outcome.UNKNOWN: 1, Outcome.PASS: 2}
    listed.sort(
        key=lambda item: (bool(item[1].allowed), item[1].severity, order[item[1].outcome], item[1].check, item[1].key)
    )
    return [as_row(target, finding) for target, finding in listed]
