"""What the checks of tenant isolation found over the history of a fleet, written by the product's own code.

Each target's findings open and close at times of their own; the store is told so reading by reading, of those moments
only. How often a finding was seen in between is then counted.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from benchmarks.mishaps import MISHAPS, UNKNOWNS, Mishap, changes_of, elements_of
from benchmarks.statements import SHARED, TABLES, leak_spans
from benchmarks.tenancies import has_tenants, models_of
from sbpgmon.checks import BUILT_IN, STATEMENT_CHECKS, Check
from sbpgmon.findings import CheckRun, Finding, IsolationReading, Outcome
from sbpgmon.store.findings import write_isolation
from sbpgmon.store.schema import SCHEMA

_EVERY = timedelta(minutes=5)
_OF_TENANTS = tuple(name for name in TABLES if name not in SHARED)
_ALLOWED = "looked at by the data team, no tenant's rows in it (until 2031-01-01)"


@dataclass(frozen=True, slots=True)
class Episode:
    """A finding, and when it was there."""

    finding: Finding
    opened: datetime
    closed: datetime | None


def enter_isolation(
    conn: psycopg.Connection[Any],
    targets: Sequence[tuple[int, str]],
    busy: int,
    checks: Mapping[str, Check],
    start: datetime,
    until: datetime,
    seed: int,
) -> None:
    """Enters findings, states of checks, what keeps tenants apart, and the events of its changes."""
    for place, (target_id, name) in enumerate(targets):
        if not has_tenants(place, busy):
            continue
        dice = random.Random(f"{seed} isolation {place}")
        models = {*models_of(place), "all"}
        own = [name for name, check in checks.items() if models & {*check.models}]
        more = [n for n, check in BUILT_IN.items() if models & {*check.models} and n not in STATEMENT_CHECKS]
        episodes = _episodes(dice, own, checks, 12 if place < busy else 3, start, until)
        if place == min(1, busy - 1):
            episodes += _leaks(conn, target_id, start, until)
        _replay(conn, target_id, name, [*own, *more], episodes, checks, dice, start, until)
        _enter_changes(conn, target_id, name, dice, 10 if place < busy else 4, start, until)
    conn.execute(
        f"UPDATE {SCHEMA}.finding_log SET last_seen = coalesce(closed_at - %(every)s, last_seen), "
        "seen = greatest(1, extract(epoch FROM coalesce(closed_at, last_seen) - opened_at) / 300)".encode(),
        {"every": _EVERY},
    )


def _episodes(
    dice: random.Random, names: Sequence[str], checks: Mapping[str, Check], count: int, start: datetime, until: datetime
) -> list[Episode]:
    """Some that were there from the beginning, some that came and went, and one of each today."""
    fitting = [mishap for mishap in MISHAPS if mishap.check in names]
    unknown = [mishap for mishap in UNKNOWNS if mishap.check in names]
    seconds = (until - start).total_seconds()
    found: dict[str, Episode] = {}

    def add(mishap: Mishap, opened: datetime, closed: datetime | None, outcome: Outcome = Outcome.FAIL) -> None:
        check = checks[mishap.check]
        names = {"table": dice.choice(_OF_TENANTS), "role": dice.choice(("app_writer", "bi_reader"))}
        is_let_be = outcome is Outcome.FAIL and check.severity >= "P2" and dice.random() < 0.2
        finding = Finding(
            check.name, outcome, check.severity, mishap.object.format(**names), mishap.role.format(**names),
            f"{check.title.rstrip('.')}: {mishap.detail.format(**names)}" if mishap.detail else check.title,
            mishap.remedy.format(**names), is_heuristic=check.is_heuristic, allowed=_ALLOWED if is_let_be else "",
        )  # fmt: skip
        found.setdefault(finding.key, Episode(finding, _slot(opened), None if closed is None else _slot(closed)))

    def at(share: float) -> datetime:
        return start + timedelta(seconds=seconds * share)

    for _ in range(count // 3 + 1 if fitting else 0):
        mild = [mishap for mishap in fitting if checks[mishap.check].severity >= "P2"] or fitting
        add(dice.choice(mild), start, None if dice.random() < 0.5 else at(dice.uniform(0.2, 0.95)))
    for _ in range(count if fitting else 0):
        mishap, opened = dice.choice(fitting), at(dice.uniform(0.02, 0.97))
        # What is worst is mended soon.
        hours = {"P0": 6, "P1": 40, "P2": 400, "P3": 2000}[checks[mishap.check].severity] * dice.uniform(0.3, 2)
        closed = opened + timedelta(hours=hours)
        add(mishap, opened, closed if closed < until - _EVERY else None)
    if fitting and count > 3:
        day = min(20.0, seconds / 3600 / 2)
        add(dice.choice(fitting), until - timedelta(hours=day * dice.uniform(0.1, 0.9)), None)
        closed = until - timedelta(hours=day * dice.uniform(0.05, 0.4))
        add(dice.choice(fitting), closed - timedelta(hours=day), closed)
    for mishap in unknown[: 1 + count // 6]:
        add(mishap, at(dice.uniform(0, 0.9)), None if dice.random() < 0.6 else at(0.95), Outcome.UNKNOWN)
    return [e for e in found.values() if e.opened >= start and (e.closed is None or e.closed > e.opened)]


def _slot(at: datetime) -> datetime:
    return at.replace(minute=at.minute // 5 * 5, second=0, microsecond=0)


def _leaks(conn: psycopg.Connection[Any], target_id: int, start: datetime, until: datetime) -> list[Episode]:
    """The findings of the statement that forgot the tenant at times; of the last time they come of the facts."""
    name = "cross_tenant_queries"
    rows = conn.execute(
        "SELECT j.relation, s.queryid, j.reason, x.query "
        f"FROM {SCHEMA}.statement_standing AS v JOIN {SCHEMA}.statement_judgement AS j USING (judgement_id) "
        f"JOIN {SCHEMA}.stat_statements_series AS s USING (series_id) "
        f"JOIN {SCHEMA}.statement_text AS x USING (text_id) "
        "WHERE v.target_id = %s AND v.check_name = %s ORDER BY 2".encode(),
        (target_id, name),
    )
    return [
        Episode(
            Finding(
                name, Outcome.FAIL, BUILT_IN[name].severity, relation, "app_writer", f"{reason.rstrip('.')}: {query}.",
                "Bind the tenant key in the statement, or force row level security on the table for this role.",
                str(queryid),
            ),
            begin,
            # A day after the last call.
            end + timedelta(days=1),
        )
        for relation, queryid, reason, query in rows
        for begin, end in leak_spans(until)
        if end is not None and begin >= start and end + timedelta(days=1) < until
    ]  # fmt: skip


def _replay(
    conn: psycopg.Connection[Any],
    target_id: int,
    name: str,
    names: Sequence[str],
    episodes: Sequence[Episode],
    checks: Mapping[str, Check],
    dice: random.Random,
    start: datetime,
    until: datetime,
) -> None:
    """The readings in which anything changed, and the last one, which is of all checks."""
    times = sorted({t for e in episodes for t in (e.opened, e.closed) if t is not None and start <= t < until})
    for time in times:
        moved = {e.finding.check for e in episodes if time in (e.opened, e.closed)}
        runs = tuple(CheckRun(check, _open(episodes, check, time), 0.01) for check in sorted(moved))
        write_isolation(conn, target_id, IsolationReading(name, time, runs))
    runs = tuple(
        CheckRun(
            check,
            _open(episodes, check, until),
            dice.lognormvariate(-4.5, 1),
            sweep=_sweep(dice, check, until) if check in checks and checks[check].kind == "data" else None,
        )
        for check in names
    )
    slots = {check: int(until.timestamp()) // int(_EVERY.total_seconds()) for check in names}
    write_isolation(conn, target_id, IsolationReading(name, until - timedelta(seconds=40), runs, slots=slots))


def _open(episodes: Sequence[Episode], check: str, time: datetime) -> tuple[Finding, ...]:
    return tuple(
        e.finding
        for e in episodes
        if e.finding.check == check and e.opened <= time and (e.closed is None or time < e.closed)
    )


def _sweep(dice: random.Random, check: str, until: datetime) -> dict[str, Any]:
    """How far the walks over some tables have come: between two cycles, or in the midst of one."""
    found = {}
    for name in dice.sample(_OF_TENANTS, 3):
        pages = dice.randint(200, 400_000)
        is_running = dice.random() < 0.5
        begun = (until - timedelta(minutes=dice.randint(5, 600))).isoformat()
        done = (until - timedelta(hours=dice.uniform(1, 40))).isoformat()
        found[f"{check}:public.{name}"] = {
            "cycle_started_at": begun if is_running else None,
            "cycle_finished_at": done,
            "next_block": dice.randrange(pages) if is_running else 0,
            "pages": pages,
            "bad_rows": 0,
            "last_bad_rows": 0,
        }
    return found


def _enter_changes(
    conn: psycopg.Connection[Any],
    target_id: int,
    name: str,
    dice: random.Random,
    count: int,
    start: datetime,
    until: datetime,
) -> None:
    """What keeps tenants apart, and its changes, of which the product makes events."""
    elements = elements_of(_OF_TENANTS)
    seconds = (until - start).total_seconds()
    times = [start, *sorted(start + timedelta(seconds=seconds * dice.uniform(0.01, 0.99)) for _ in range(count))]
    # Today as well.
    times.append(until - timedelta(seconds=min(80_000.0, seconds / 2) * dice.random()))
    for number, time in enumerate(sorted(times)):
        if number:
            elements = changes_of(dice, elements, _OF_TENANTS)
        listed = tuple((kind, thing, definition) for (kind, thing), definition in sorted(elements.items()))
        digest = hashlib.md5(repr(listed).encode(), usedforsecurity=False).hexdigest()
        last = conn.execute(f"SELECT coalesce(max(event_id), 0) FROM {SCHEMA}.event".encode()).fetchone()
        write_isolation(conn, target_id, IsolationReading(name, time, fingerprint=digest, elements=listed))
        conn.execute(
            f"UPDATE {SCHEMA}.event SET ts = %s WHERE event_id > %s".encode(), (_slot(time), last[0] if last else 0)
        )
