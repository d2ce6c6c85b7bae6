"""What `tenants` says of what was found, now and by the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sbpgmon.errors import ConfigError
from sbpgmon.findings import Finding, IsolationReading, Outcome, digest_of
from sbpgmon.store.connection import StoreConnection

_TARGETS = """
SELECT
  i.*,
  extract(epoch FROM now() - i.oldest_run)::double precision AS age_seconds,
  (
    SELECT sum(q.cross_tenant_queries)::bigint FROM monitoring.cross_tenant_queries AS q
    WHERE q.target = i.target AND q.time > now() - interval '24 hours'
      AND q.tier = monitoring.tier('tenant_queries', 0, now() - interval '24 hours')
  ) AS cross_tenant_queries
FROM monitoring.isolation AS i
WHERE %(target)s::text IS NULL OR i.target = %(target)s
ORDER BY i.target
"""
_FINDINGS = """
SELECT f.*
FROM monitoring.finding AS f
WHERE (%(target)s::text IS NULL OR f.target = %(target)s)
  AND (f.is_open OR (%(with_closed)s AND f.closed_at > now() - interval '7 days'))
ORDER BY NOT f.is_open, f.allowed IS NOT NULL, f.severity, f.status, f.check_name, f.key
"""
_EPISODES = """
SELECT f.*
FROM monitoring.finding AS f
WHERE f.key = %(name)s OR left(encode(sha256(convert_to(f.key, 'UTF8')), 'hex'), 8) = %(name)s
ORDER BY f.target, f.opened_at DESC
LIMIT 50
"""


def summary(readings: Sequence[IsolationReading]) -> dict[str, float | None]:
    """`pass`: checks without a finding; `fail` and `unknown`: findings; `allowed`: findings that are let be; and the
    figures, None where one of the targets does not know it."""
    runs = [run for reading in readings for run in reading.runs]
    findings = [finding for run in runs for finding in run.findings]
    counted = [finding for finding in findings if not finding.allowed]
    found: dict[str, float | None] = {
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


def history(store: StoreConnection, target: str | None, *, with_closed: bool) -> dict[str, Any]:
    """`{"targets": [{target, isolation_ratio, …}], "findings": [{…}]}`, as the agent saw them last.

    Raises StoreError and its kin, ConfigError for a target that has no history.
    """
    params = {"target": target, "with_closed": with_closed}
    targets = store.query(_TARGETS, params)
    if target is not None and not targets:
        raise ConfigError(
            f"The store has no isolation history of a target {target!r}.", "`sbpgmon targets list` lists the targets."
        )
    return {"targets": targets, "findings": [_stored(row) for row in store.query(_FINDINGS, params)]}


def episodes(store: StoreConnection, name: str) -> list[dict[str, Any]]:
    """Each time that a finding was open, the last first; `name`: its key or its eight characters."""
    return [_stored(row) for row in store.query(_EPISODES, {"name": name})]


def _stored(row: Mapping[str, Any]) -> dict[str, Any]:
    status = "closed" if not row["is_open"] else "allowed" if row["allowed"] else row["status"]
    until = (
        f"closed {row['closed_at']:%Y-%m-%d %H:%M} ({row['closed_because']})"
        if row["closed_at"]
        else (f"last seen {row['last_seen']:%Y-%m-%d %H:%M}")
    )
    since = f"open since {row['opened_at']:%Y-%m-%d %H:%M}, {until}, {row['seen']} times"
    if row["first_seen"] < row["opened_at"]:
        since += f"; first seen {row['first_seen']:%Y-%m-%d %H:%M}"
    return {
        "target": row["target"],
        "check": row["check_name"],
        "status": status,
        **{key: row[key] for key in ("severity", "object", "role", "detail", "remedy", "key")},
        "id": digest_of(row["key"]),
        **{key: row[key] for key in ("allowed", "first_seen", "opened_at", "last_seen", "seen", "closed_at")},
        "closed_because": row["closed_because"],
        "since": since,
    }
