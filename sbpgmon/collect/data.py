"""Checks of the rows themselves: what is to be swept, whether it may be read, and what the sweeps have found."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sbpgmon.catalog.catalog import Catalog, unmet
from sbpgmon.checks import Check
from sbpgmon.collect.checks import COLUMNS, concluded, failed, finding_of, read_rows, wrong
from sbpgmon.collect.known import Known
from sbpgmon.collect.reach import Access, read_access
from sbpgmon.collect.sweep import SweepError, SweepState, advance
from sbpgmon.errors import SbpgmonError
from sbpgmon.findings import CheckRun, Finding, Outcome
from sbpgmon.model import Server
from sbpgmon.sources.session import Session
from sbpgmon.tenancy import Data

_MAX_THINGS = 100_000
_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Thing:
    """What one row of a check of data says is to be swept, and the finding that bad rows lead to."""

    finding: Finding
    relation: int
    sweep: str
    needs: dict[int, set[str]]  # table -> columns that are read

    @property
    def definition(self) -> str:
        return hashlib.sha256(f"{self.relation} {self.sweep}".encode()).hexdigest()[:16]


def list_things(
    session: Session, server: Server, catalog: Catalog, check: Check, known: Known
) -> tuple[list[Thing], list[Finding]]:
    """What a check of data sweeps, and what it says without. Raises QueryFileError, TargetError."""
    columns = {*COLUMNS, "relation", "sweep", "needs"}
    things, findings = [], []
    for row in read_rows(session, server, catalog, check, known, columns, _MAX_THINGS):
        finding = finding_of(check, row, known)
        if row.get("sweep") is None:
            findings.append(finding)
            continue
        try:
            relation = int(row["relation"])
            needs: dict[int, set[str]] = {relation: {"ctid"}}
            for need in row["needs"]:
                needs.setdefault(int(need["relation"]), set()).update(need["columns"])
        except (KeyError, TypeError, ValueError):
            what = "a row with `sweep` has no `relation` (its OID), or no `needs`: a list of {relation, columns}"
            raise wrong(check, what) from None
        things.append(Thing(finding, relation, str(row["sweep"]), needs))
    return things, findings


def run_data_check(
    session: Session,
    server: Server,
    catalog: Catalog,
    check: Check,
    known: Known,
    data: Data,
    before: Mapping[str, Any] | None = None,
    *,
    seconds: float | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> CheckRun:
    """One check of data, as far as it comes in `seconds`; None: a full cycle of all that it looks at.

    `before`: `CheckRun.sweep` of the last time: key of a finding -> its SweepState. `progress` is told the share that
    is done. Nothing is raised: what the server says is a finding.
    """
    began = time.monotonic()
    if why_not := unmet(check.requires, server):
        problem, _, remedy = why_not.partition(": ")
        return failed(check, problem, remedy, known)
    try:
        things, findings = list_things(session, server, catalog, check, known)
        access = read_access(session, merged_needs(things))
    except SbpgmonError as error:
        return failed(check, error.what, error.way_out, known, time.monotonic() - began)
    sweep = _Sweep(session, data, things, access, before or {})
    try:
        sweep.run(None if seconds is None else began + seconds, progress)
        if sweep.lost:
            # A table that is gone has nothing wrong with it; one that is there was not seen.
            there, _ = list_things(session, server, catalog, check, known)
            sweep.forget_lost({(thing.finding.key, thing.definition) for thing in there})
    except SbpgmonError as error:
        run = failed(check, error.what, error.way_out, known, time.monotonic() - began)
        return replace(run, sweep=sweep.to_json())
    found = [*findings, *filter(None, (sweep.finding_of(thing) for thing in sweep.things))]
    return replace(concluded(check, found, known, time.monotonic() - began), sweep=sweep.to_json())


def merged_needs(things: Iterable[Thing]) -> dict[int, set[str]]:
    """Table -> the columns that are read."""
    merged: dict[int, set[str]] = {}
    for thing in things:
        for relation, columns in thing.needs.items():
            merged.setdefault(relation, set()).update(columns)
    return merged


class _Sweep:
    """The sweeps of one check: a window of each in turn, so that no big table holds up the others."""

    def __init__(
        self,
        session: Session,
        data: Data,
        things: list[Thing],
        access: Mapping[int, Access],
        before: Mapping[str, Any],
    ) -> None:
        self._session = session
        self._data = data
        # Without the tables that went between the two queries.
        self.things = [thing for thing in things if access.keys() >= thing.needs.keys()]
        self._states = {thing.finding.key: _state_of(thing, before) for thing in self.things}
        self._problems: dict[str, SweepError] = {}
        for thing in self.things:
            lacking = [access[oid] for oid in thing.needs if access[oid].problem]
            if lacking:
                what = "; ".join(sorted({item.problem for item in lacking}))
                grants = dict.fromkeys(grant for item in lacking for grant in item.grants())
                self._problems[thing.finding.key] = SweepError(what, " ".join(sorted(grants, key=_order)))

    @property
    def lost(self) -> bool:
        return any(problem.is_gone for problem in self._problems.values())

    def run(self, until: float | None, progress: Callable[[float], None]) -> None:
        """Raises TargetError when the connection is no more."""
        # What was never begun comes first, then what was swept to its end the longest ago.
        waiting = sorted(
            (thing for thing in self.things if thing.finding.key not in self._problems),
            key=lambda thing: (self._state(thing).cycle_finished_at or _BEFORE_ALL, self._state(thing).next_block),
        )
        shares = {thing.finding.key: 0.0 for thing in waiting}
        done = 0.0
        while waiting:
            for thing in waiting:
                key = thing.finding.key
                share = 1.0
                try:
                    state = advance(self._session, thing.relation, thing.sweep, self._data, self._states[key])
                    self._states[key] = state
                    share = state.coverage_ratio
                except SweepError as error:
                    self._problems[key] = error
                done += share - shares[key]
                shares[key] = share
                progress(done / len(shares))
                if (until is not None and time.monotonic() >= until) or self._session.is_late:
                    return
            waiting = [thing for thing in waiting if self._is_going_on(thing.finding.key)]

    def forget_lost(self, there: set[tuple[str, str]]) -> None:
        self.things = [
            thing
            for thing in self.things
            if not (problem := self._problems.get(thing.finding.key))
            or not problem.is_gone
            or (thing.finding.key, thing.definition) in there
        ]

    def finding_of(self, thing: Thing) -> Finding | None:
        """What is known of it: bad rows until a full cycle has passed without any; clean only after a full cycle."""
        finding, state = thing.finding, self._state(thing)
        problem = self._problems.get(finding.key)
        if problem is not None and problem.is_passing and state.cycle_finished_at is not None:
            problem = None
        if state.is_bad:
            detail = f"{finding.detail} {_counted(state)}"
            return replace(finding, detail=detail + (f" Now they are not seen: {problem.what}." if problem else ""))
        if problem is not None:
            detail = f"The rows of {finding.object} are not seen: {problem.what}."
            return replace(finding, outcome=Outcome.UNKNOWN, detail=detail, remedy=problem.way_out)
        if state.cycle_finished_at is None:
            return replace(
                finding,
                outcome=Outcome.UNKNOWN,
                detail=f"{state.coverage_ratio:.0%} of {finding.object} is swept, and nothing found so far.",
                remedy="The next runs go on with it; sbpgmon tenants check sweeps all at once.",
            )
        return None

    def to_json(self) -> dict[str, Any]:
        return {thing.finding.key: self._state(thing).to_json() for thing in self.things}

    def _is_going_on(self, key: str) -> bool:
        return key not in self._problems and self._states[key].cycle_started_at is not None

    def _state(self, thing: Thing) -> SweepState:
        return self._states[thing.finding.key]


def _state_of(thing: Thing, before: Mapping[str, Any]) -> SweepState:
    state = SweepState.from_json(before.get(thing.finding.key, {}))
    if state.definition == thing.definition:
        return state
    # Another table or another question: nothing of it is swept. What was bad is so until a full cycle says otherwise.
    return SweepState(
        definition=thing.definition,
        last_bad_rows=state.bad_rows or state.last_bad_rows,
        last_examples=state.examples or state.last_examples,
    )


def _counted(state: SweepState) -> str:
    # The running cycle says more than the last one once it has found as much.
    is_running = state.bad_rows >= state.last_bad_rows
    count, names = (state.bad_rows, state.examples) if is_running else (state.last_bad_rows, state.last_examples)
    so_far = f" in the {state.coverage_ratio:.0%} that is swept" if is_running and state.cycle_started_at else ""
    return f"{count} {'row' if count == 1 else 'rows'}{so_far}, for example {'; '.join(names)}."


def _order(statement: str) -> int:
    """USAGE, then columns, then the role's attribute."""
    return ("GRANT USAGE", "GRANT SELECT", "ALTER ROLE").index(" ".join(statement.split()[:2]))
