"""One look at how well a target keeps its tenants apart."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

from sbpgmon.catalog.catalog import Catalog
from sbpgmon.checks import ALLOWANCES, BUILT_IN, PROBE_CHECKS, STATEMENT_CHECKS, Check
from sbpgmon.collect.checks import allow, expired, run_check
from sbpgmon.collect.data import run_data_check
from sbpgmon.collect.fingerprint import read_fingerprint
from sbpgmon.collect.impersonation import try_tenants
from sbpgmon.collect.queries import FIGURES, Figures, is_for_statements, look_at_statements, read_ground
from sbpgmon.collect.tenancy import Known, know
from sbpgmon.errors import SbpgmonError
from sbpgmon.findings import CheckRun, IsolationReading
from sbpgmon.judge.ground import with_digests
from sbpgmon.judge.offences import unknown
from sbpgmon.model import Server
from sbpgmon.sources.session import Session
from sbpgmon.tenancy import Tenancy

SWEEP_SECONDS = 2.0  # of each check of data in one poll


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be looked at: checks, how far the sweeps of those of data have come, and what was there before."""

    tenancy: Tenancy
    checks: Mapping[str, Check]
    slots: Mapping[str, int] = field(default_factory=dict)  # check -> slot of its grid
    sweeps: Mapping[str, Any] = field(default_factory=dict)  # check -> CheckRun.sweep of the last time
    fingerprint: str | None = None
    sweep_seconds: float | None = None  # of each check of data; None: until all is swept
    probe_turn: int | None = None  # which round the probe makes; None: it is not due
    probe_seconds: float = 600.0  # that a round may take
    connect_timeout_seconds: float = 5.0  # of the probe's login
    enabled: frozenset[str] | None = None  # checks that are switched on, due or not; None: all
    has_statements: bool = True  # pg_stat_statements is read
    has_texts: bool = True  # the texts of statements are read
    judges_statements: bool = False  # now, as many as there are; else the store judges what comes to it


def is_for(check: Check, known: Known, tenancy: Tenancy) -> bool:
    """Whether a check is for this target: for its models, and switched on."""
    return known.has(check.models) and (check.kind != "data" or tenancy.data.enabled)


def chosen_checks(catalog: Catalog, known: Known, names: Sequence[str] = ()) -> list[Check]:
    """The catalog checks that are for this target; only those of `names`, when there are any."""
    return [
        check
        for name, check in sorted(catalog.checks.items())
        if check.kind == "catalog" and known.has(check.models) and (not names or name in names)
    ]


def look(
    session: Session,
    server: Server,
    catalog: Catalog,
    task: Task,
    progress: Callable[[str], None] = lambda _: None,
    known: Known | None = None,
) -> IsolationReading:
    """What these checks say now; `known`: where somebody has asked already. Raises TargetError when the target as a
    whole cannot be read.

    Checks that the poll's deadline leaves no time for are left out: they are due again with the next poll.
    """
    known = known or know(session, server, task.tenancy)
    today = datetime.now(UTC).date()
    reading = IsolationReading(session.target.name, datetime.now(UTC), slots=dict(task.slots))
    if not known.models:
        return replace(reading, ground={}, known_checks=())
    runs: list[CheckRun] = []
    left_out = set()
    off = [c for c in task.checks.values() if known.has(c.models) and not is_for(c, known, task.tenancy)]
    if off:
        reading.figures["data_checks_off"] = len(off)
    for name, check in sorted(task.checks.items()):
        if not is_for(check, known, task.tenancy):
            continue
        if session.is_late or session.is_broken:
            left_out.add(name)
            continue
        progress(name)
        began = time.monotonic()
        if check.kind == "fingerprint":
            run, digest, elements = read_fingerprint(session, server, catalog, check, known, task.fingerprint)
            reading = replace(reading, fingerprint=digest, elements=elements)
        elif check.kind == "data":
            run = run_data_check(
                session,
                server,
                catalog,
                check,
                known,
                task.tenancy.data,
                task.sweeps.get(name),
                seconds=task.sweep_seconds,
                progress=lambda share, name=name: progress(f"{name} {share:.0%}"),  # type: ignore[misc]
            )
        else:
            run = run_check(session, server, catalog, check, known)
        runs.append(replace(_allowed(run, task, today), seconds=time.monotonic() - began))
    if (
        task.tenancy.probe.dsn is not None
        and task.probe_turn is not None
        and not (session.is_late or session.is_broken)
    ):
        tried, figures = try_tenants(
            session,
            known,
            task.tenancy.probe,
            task.connect_timeout_seconds,
            turn=task.probe_turn,
            budget_seconds=task.probe_seconds,
            progress=progress,
        )
        reading.figures.update(figures)
        runs += [_allowed(run, task, today) for run in tried]
    is_wanted = task.judges_statements or (bool(task.slots) and task.has_statements)
    if is_wanted and is_for_statements(known) and not (session.is_late or session.is_broken):
        ground, judged, figures = _statements(session, server, catalog, known, task, progress)
        reading = replace(reading, ground=ground)
        reading.figures.update(figures)
        runs += judged
    elif not is_for_statements(known):
        reading = replace(reading, ground={})
    runs.append(expired(task.tenancy.allow, today))
    slots = {name: slot for name, slot in task.slots.items() if name not in left_out}
    return replace(reading, runs=tuple(runs), slots=slots, known_checks=_looked_for(catalog, known, task))


def _allowed(run: CheckRun, task: Task, today: date) -> CheckRun:
    return replace(run, findings=tuple(allow(finding, task.tenancy.allow, today) for finding in run.findings))


def _looked_for(catalog: Catalog, known: Known, task: Task) -> tuple[str, ...]:
    """All checks of this target, due or not: findings of any other are closed."""
    there = [
        name
        for name, check in sorted(catalog.checks.items())
        if is_for(check, known, task.tenancy) and (task.enabled is None or name in task.enabled)
    ]
    if task.tenancy.probe.dsn is not None:
        there += [name for name in PROBE_CHECKS if known.has(BUILT_IN[name].models)]
    if is_for_statements(known):
        there += STATEMENT_CHECKS
    return (*there, ALLOWANCES)


def _statements(
    session: Session, server: Server, catalog: Catalog, known: Known, task: Task, progress: Callable[[str], None]
) -> tuple[dict[str, Any] | None, tuple[CheckRun, ...], Figures]:
    """What statements are judged by, None where it cannot be read; where they are judged now, what that gives."""
    progress("statements")
    try:
        ground = read_ground(session, server, catalog, known, task.tenancy, has_texts=task.has_texts)
    except SbpgmonError as error:
        run = unknown(error.what.rstrip("."), error.way_out, is_confirmed=known.confirmed)
        return None, (run,), dict.fromkeys(FIGURES) if task.judges_statements else {}
    if not task.judges_statements:
        return with_digests(ground), (), {}
    probe = task.tenancy.probe
    if probe.dsn is None:
        return None, *look_at_statements(session, server, ground, progress)
    from sbpgmon.collect.confirmation import Planner  # it needs the judge's room, which a poll does not pay for

    with Planner(session.target.name, probe, task.connect_timeout_seconds) as planner:
        return None, *look_at_statements(session, server, ground, progress, partial(planner.confirm, ground))
