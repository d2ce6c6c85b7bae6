"""Which tenants a round of the probe looks at."""

from __future__ import annotations

from sbpgmon.catalog.tenancy import render_question
from sbpgmon.collect.known import Known
from sbpgmon.collect.login import MARK, become
from sbpgmon.collect.rounds import TIMEOUT_SECONDS, UNLIKE, Trial
from sbpgmon.errors import TargetError
from sbpgmon.sources.session import Session


def tenants_of(trial: Trial, own: Session, session: Session, turn: int) -> list[str]:
    """Keys of tenants: always the newest, the smallest and the largest where that is known, then others in turn."""
    if trial.known.tenants_table is None:
        return []
    table = next(iter(_relation(own, trial.known)), None)
    if table is None:
        return []
    name, column = table
    listed: list[str] = []
    for reader, role in ((session, trial.role), (own, "")):
        try:
            with reader.transaction(TIMEOUT_SECONDS) as (cursor, _):
                if role:
                    become(cursor, role)
                query = f"SELECT {MARK} {column}::text, {UNLIKE} FROM {name} ORDER BY {column} LIMIT 10000"
                listed = [key for key, _ in cursor.execute(query.encode())]
        except TargetError:
            continue
        if len(listed) > 1:
            break
    sizes = _sizes(own, trial)
    known = [key for key in sizes if key in set(listed)]
    rare = [key for key in listed if key not in sizes]
    always = [*listed[-1:], *known[:1], *(rare[:1] or known[-1:])]
    count = min(len(listed), trial.probe.tenants)
    in_turn = [listed[(turn * count + place) % len(listed)] for place in range(len(listed))]
    return list(dict.fromkeys([*always, *in_turn]))[: max(count, len(set(always)))]


def _relation(own: Session, known: Known) -> list[tuple[str, str]]:
    """The table of the tenants, and its column, as SQL writes them."""
    with own.transaction(TIMEOUT_SECONDS) as (cursor, _):
        return cursor.execute(render_question("tenants_table", known.sql()).encode()).fetchall()


def _sizes(own: Session, trial: Trial) -> list[str]:
    """Tenants by their share of the largest table, the largest first, as the planner's statistics have it."""
    pool = [table for table in trial.tables if table.kind == "pool"]
    if not pool:
        return []
    largest = max(pool, key=lambda table: table.rows)
    query = (
        "SELECT s.most_common_vals::text::text[] FROM pg_stats AS s "
        "WHERE quote_ident(s.schemaname) || '.' || quote_ident(s.tablename) = %s AND quote_ident(s.attname) = %s"
    )
    try:
        with own.transaction(TIMEOUT_SECONDS) as (cursor, _):
            row = cursor.execute(query, (largest.object, largest.key)).fetchone()
    except TargetError:
        return []
    return list(row[0]) if row and row[0] else []
