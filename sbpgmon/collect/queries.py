"""Statements of one target: what they are judged by, and what all of them have done since the statistics began."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, date, datetime

from sbpgmon.catalog.catalog import Catalog, unmet
from sbpgmon.catalog.tenancy import render_question
from sbpgmon.collect.facts import read_facts
from sbpgmon.collect.known import Known
from sbpgmon.collect.texts import scrub
from sbpgmon.errors import TargetError
from sbpgmon.findings import CheckRun
from sbpgmon.identifiers import quote
from sbpgmon.judge.facts import TenantFacts
from sbpgmon.judge.ground import Ground, Judged, Role, RoleKind, Standing, in_force
from sbpgmon.judge.names import quoted
from sbpgmon.judge.offences import Offence, runs_of, unknown
from sbpgmon.model import Requirement, Server
from sbpgmon.sources.session import Session
from sbpgmon.tenancy import Tenancy

Figures = dict[str, float | None]
_TIMEOUT_SECONDS = 10.0
_TEXTS_TIMEOUT_SECONDS = 30.0
_PORTION = 5000  # statements whose texts are read at a time
_MODELS = ("rls", "column", "schema")
_EXTENSION = "pg_stat_statements"
_NEEDS = (Requirement(role="pg_read_all_stats"), Requirement(extension=_EXTENSION, version=(1, 9)))
_COUNTED = {
    "cross_tenant_queries": (Standing.CROSS_TENANT, Standing.CROSS_SCHEMA),
    "cross_tenant_queries_suspected": (Standing.SUSPECTED,),
    "idor_prone_queries": (Standing.IDOR_PRONE,),
    "statements_unparsed": (Standing.UNPARSED,),
}
FIGURES = (*_COUNTED, "statements_judged")


def is_for_statements(known: Known) -> bool:
    """Whether statements can be told apart by tenants: not where each tenant has a database."""
    return known.has(_MODELS)


def read_ground(
    session: Session,
    server: Server,
    catalog: Catalog,
    known: Known,
    tenancy: Tenancy,
    *,
    has_texts: bool = True,
    facts: TenantFacts | None = None,
    today: date | None = None,
) -> Ground:
    """What the target's statements are judged by; `has_texts`: whether texts are read at all. Raises TargetError."""
    if facts is None:
        facts = read_facts(session, server, catalog, known)
    with session.transaction(_TIMEOUT_SECONDS) as (cursor, _):
        asked = render_question("statement_roles", known.sql(), catalog.parts)
        roles = {oid: Role(name, RoleKind(kind), tenant) for oid, name, kind, tenant in cursor.execute(asked.encode())}
        row = cursor.execute(
            b"SELECT /* sbpgmon:ground */ d.oid::bigint, current_setting('pg_stat_statements.track', true) "
            b"FROM pg_database AS d WHERE d.datname = current_database()"
        ).fetchone()
    assert row is not None
    dbid, track = row
    problem, remedy = _problem(server, track, has_texts=has_texts)
    items = [item.model_dump() for item in tenancy.allow]
    return Ground(
        facts=facts,
        dbid=dbid,
        roles=roles,
        allowances=in_force(items, today or datetime.now(UTC).date()),
        scope=known.scope,
        is_confirmed=known.confirmed,
        problem=problem,
        remedy=remedy,
        has_probe=tenancy.probe.dsn is not None,
    )


def _problem(server: Server, track: str | None, *, has_texts: bool) -> tuple[str, str]:
    """Why the statements cannot be seen, and what would change that."""
    # pg_monitor has pg_read_all_stats' privileges; a role with the latter alone reads all texts as well.
    needs = [need for need in _NEEDS if not (need.role and server.has_pg_monitor)]
    if why_not := unmet(needs, server):
        problem, _, remedy = why_not.partition(": ")
        return problem, remedy
    if track == "none":
        return "pg_stat_statements.track is none", "ALTER SYSTEM SET pg_stat_statements.track = 'top';"
    if not has_texts:
        return 'the texts of statements are not read (texts = "off")', 'Take texts = "off" out of the configuration.'
    return "", ""


def look_at_statements(
    session: Session,
    server: Server,
    ground: Ground,
    progress: Callable[[str], None] = lambda _: None,
    confirm: Callable[[int, str], bool | None] | None = None,
) -> tuple[tuple[CheckRun, ...], Figures]:
    """Judges all statements of the target's database that pg_stat_statements has now.

    The figures are calls since its statistics began. `confirm` is asked of a role's OID and a text that no tenant key
    binds: whether the plan reads other tenants' rows, None where that is not known; one that does not is only
    suspected. What cannot be seen is unknown: nothing is raised.
    """
    began = time.monotonic()
    figures: Figures = dict.fromkeys(FIGURES)
    if ground.problem:
        return runs_of((), ground), figures
    try:
        rows, since = _read(session, ground, server)
    except TargetError as error:
        remedy = error.way_out
        if error.sqlstate == "42501":
            remedy = f"GRANT USAGE ON SCHEMA {quoted(server.extensions[_EXTENSION][0])} TO {quoted(server.role)};"
        return (unknown(error.what.rstrip("."), remedy, is_confirmed=ground.is_confirmed),), figures
    counted = dict.fromkeys(Standing, 0)
    offences = []
    judgements: dict[tuple[str, str], Judged] = {}
    for number, (userid, queryid, text, calls) in enumerate(rows):
        if number % 500 == 0:
            progress(f"statements {number} of {len(rows)}")
        judged = _judge(text, userid, ground, judgements)
        stand = ground.stand(judged, userid, queryid)
        if confirm is not None and stand.standing is Standing.CROSS_TENANT:
            stand = ground.stand(judged, userid, queryid, is_confirmed=confirm(userid, text))
        counted[stand.standing] += calls
        if stand.check:
            role = ground.roles[userid].name if userid in ground.roles else f"OID {userid}"
            offences.append(
                Offence(
                    stand.check, stand.allowed, role, queryid, judged.table, judged.reason, scrub(text), calls, since
                )
            )
    for name, standings in _COUNTED.items():
        figures[name] = sum(counted[standing] for standing in standings)
    figures["statements_judged"] = len(rows)
    return runs_of(offences, ground, time.monotonic() - began), figures


def _judge(text: str, userid: int, ground: Ground, known: dict[tuple[str, str], Judged]) -> Judged:
    # The parser takes time and memory to load: only where there is something to judge.
    from sbpgmon.judge.normalized import judge_text

    key = text, ground.path(userid)
    if key not in known:
        known[key] = judge_text(text, ground, ground.roles[userid].name if userid in ground.roles else None)
    return known[key]


_Row = tuple[int, int, str, int]  # userid, queryid, text, calls


def _read(session: Session, ground: Ground, server: Server) -> tuple[list[_Row], datetime | None]:
    """The statements of the database, and when the statistics began. Raises TargetError."""
    schema = quote(server.extensions[_EXTENSION][0])
    encoding = "SQL_ASCII" if server.encoding == "SQL_ASCII" else "UTF8"
    with session.transaction(_TEXTS_TIMEOUT_SECONDS) as (cursor, _):
        row = cursor.execute(
            f"SELECT /* sbpgmon:statements */ count(*), (SELECT stats_reset FROM {schema}.pg_stat_statements_info) "
            f"FROM {schema}.pg_stat_statements(false)".encode()
        ).fetchone()
    assert row is not None
    count, since = row
    portions = -(-count // _PORTION) or 1
    rows: list[_Row] = []
    for portion in range(portions):
        # As bytes: a SQL_ASCII database may hold what no encoding can read.
        sql = (
            "SELECT /* sbpgmon:statements */ userid::bigint, coalesce(queryid, 0), "
            f"convert_to(query, '{encoding}'), sum(calls)::bigint FROM {schema}.pg_stat_statements(true) "
            f"WHERE dbid = {ground.dbid} AND query IS NOT NULL "
            f"AND abs(hashint8(coalesce(queryid, 0))::bigint) % {portions} = {portion} GROUP BY 1, 2, 3"
        )
        with session.transaction(_TEXTS_TIMEOUT_SECONDS) as (cursor, _):
            rows += [
                (userid, queryid, bytes(raw).decode("utf-8", "replace").replace("\x00", ""), calls)
                for userid, queryid, raw, calls in cursor.stream(sql.encode())
            ]
    return rows, since
