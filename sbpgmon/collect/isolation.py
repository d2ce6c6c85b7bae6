"""One look at how well a target keeps its tenants apart."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime

from sbpgmon.catalog.catalog import Catalog
from sbpgmon.checks import Check
from sbpgmon.collect.checks import allow, expired, run_check
from sbpgmon.collect.tenancy import Known, know
from sbpgmon.findings import CheckRun, IsolationReading
from sbpgmon.model import Server
from sbpgmon.sources.session import Session
from sbpgmon.tenancy import Tenancy


def chosen_checks(catalog: Catalog, known: Known, names: Collection[str] = ()) -> list[Check]:
    """The checks that are for this target, by name; only those of `names`, when there are any."""
    return [
        check
        for name, check in sorted(catalog.checks.items())
        if check.kind == "catalog" and known.has(check.models) and (not names or name in names)
    ]


def look(
    session: Session,
    server: Server,
    catalog: Catalog,
    tenancy: Tenancy,
    names: Collection[str] = (),
    progress: Callable[[str], None] = lambda _: None,
) -> IsolationReading:
    """All that can be seen now. Raises TargetError when the target as a whole cannot be read."""
    known = know(session, server, tenancy)
    runs: list[CheckRun] = []
    for check in chosen_checks(catalog, known, names):
        progress(check.name)
        began = time.monotonic()
        run = run_check(session, server, catalog, check, known)
        runs.append(replace(run, seconds=time.monotonic() - began))
    today = datetime.now(UTC).date()
    runs = [
        replace(run, findings=tuple(allow(finding, tenancy.allow, today) for finding in run.findings)) for run in runs
    ]
    if not names:
        runs.append(expired(tenancy.allow, today))
    return IsolationReading(session.target.name, datetime.now(UTC), tuple(runs))
