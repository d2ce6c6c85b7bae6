"""What the statements of a fleet do about tenants: judged by the product's own judge, stored as the agent does."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from benchmarks.statements import COLUMNS, READER, REPORTS, ROLES, SHARED, TABLES, WRITER, leak_spans, oid_of
from benchmarks.tenancies import has_tenants
from sbpgmon.checks import STATEMENT_CHECKS
from sbpgmon.judge.facts import Relation, TenantFacts
from sbpgmon.judge.ground import Allowance, Ground, Judged, Role, RoleKind, with_digests
from sbpgmon.judge.normalized import judge_text
from sbpgmon.model import Metric
from sbpgmon.store.connection import StoreConnection
from sbpgmon.store.ddl import names_of
from sbpgmon.store.judging import Judging
from sbpgmon.store.schema import SCHEMA
from sbpgmon.store.standings import Change, keep_look, write_changes, write_judgements
from sbpgmon.store.tiers import table

_DBID = 16384
_REVIEWED = Allowance(
    "idor_prone_queries", "number plates of customers are public (until 2031-01-01)", "public.customers"
)
_NO_STATEMENTS = "pg_stat_statements is not installed"
_INSTALL = "Add it to shared_preload_libraries, restart, CREATE EXTENSION pg_stat_statements."


def ground_of(place: int, busy: int, allowances: tuple[Allowance, ...] = (_REVIEWED,)) -> Ground:
    """What statements of a target are judged by: row level security ties the role that reads."""
    relations = [
        Relation(
            "public",
            name,
            columns=COLUMNS,
            key=None if name in SHARED else "tenant_id",
            is_tenant=name not in SHARED,
            unique=(("id",),),
            has_primary_key=True,
            rls=frozenset({ROLES[READER]}) if name not in SHARED else frozenset(),
        )
        for name in TABLES
    ]
    kinds = {WRITER: RoleKind.APP, READER: RoleKind.APP, REPORTS: RoleKind.OTHER}
    roles = {oid_of(n): Role(name, kinds.get(n, RoleKind.OPERATOR)) for n, name in enumerate(ROLES)}
    is_seen = place < busy
    return Ground(
        TenantFacts.of(relations, setting="app.tenant_id"),
        _DBID,
        roles,
        allowances,
        is_confirmed=True,
        problem="" if is_seen else _NO_STATEMENTS,
        remedy="" if is_seen else _INSTALL,
    )


def enter_verdicts(
    conn: psycopg.Connection[Any],
    targets: Sequence[tuple[int, str]],
    busy: int,
    start: datetime,
    until: datetime,
    queries: Metric,
) -> None:
    """Enters looks, judgements, standings, and the series of tenant_queries that come of them."""
    judged: dict[tuple[int, str], Judged] = {}
    for place, (target_id, _) in enumerate(targets):
        if not has_tenants(place, busy):
            continue
        ground = ground_of(place, busy)
        keep_look(conn, target_id, until, with_digests(ground))
        conn.execute(
            f"UPDATE {SCHEMA}.tenancy_look SET seen_from = %s, is_applied = true WHERE target_id = %s".encode(),
            (start, target_id),
        )
        if not ground.problem:
            _enter_standings(conn, target_id, ground, judged, until)
    conn.execute(
        f"INSERT INTO {names_of(queries).series} (target_id, dbid, userid, verdict, first_seen) "
        f"SELECT s.target_id, s.dbid, s.userid, v.verdict, %s FROM {SCHEMA}.statement_standing AS v "
        f"JOIN {SCHEMA}.stat_statements_series AS s USING (series_id) GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4".encode(),
        (start,),
    )


def _enter_standings(
    conn: psycopg.Connection[Any],
    target_id: int,
    ground: Ground,
    judged: dict[tuple[int, str], Judged],
    until: datetime,
) -> None:
    rows = conn.execute(
        "SELECT s.series_id, s.userid::bigint, s.queryid, o.text_id, x.query "
        f"FROM {SCHEMA}.stat_statements_series AS s "
        f"JOIN {SCHEMA}.statement_text_of AS o USING (series_id) JOIN {SCHEMA}.statement_text AS x USING (text_id) "
        "WHERE s.target_id = %s ORDER BY 1".encode(),
        (target_id,),
    ).fetchall()
    own: dict[tuple[int, str], Judged] = {}
    changes = []
    # Before somebody let it be.
    before = ground_of(0, 1, ())
    reviewed = (until - timedelta(days=120)).replace(hour=0, minute=0, second=0)
    for series_id, userid, queryid, text_id, query in rows:
        text = text_id, ground.path(userid)
        if text not in judged:
            # The ground is the same for all targets.
            judged[text] = judge_text(query, ground, ground.roles[userid].name)
        own[text] = judged[text]
        stand, now = before.stand(judged[text], userid, queryid), ground.stand(judged[text], userid, queryid)
        changes.append(Change(series_id, None, None, stand, text))
        if stand != now:
            changes.append(Change(series_id, datetime.min.replace(tzinfo=UTC), reviewed, now, text))
    structure = str(with_digests(ground)["structure"])
    write_changes(conn, target_id, changes, write_judgements(conn, target_id, structure, own))


def finish_verdicts(
    dsn: str,
    conn: psycopg.Connection[Any],
    names: Sequence[str],
    metrics: Mapping[str, Metric],
    start: datetime,
    until: datetime,
) -> None:
    """After the facts: counts the calls of the statements that fail a check, and has the findings of them written."""
    statements = metrics["stat_statements"]
    # All of it out of the hours; of those that were called today, when that was.
    for tier, since in ((statements.tiers[-2], None), (statements.tier, until - timedelta(days=1))):
        conn.execute(
            f"UPDATE {SCHEMA}.statement_standing AS v SET calls = coalesce(v.calls, f.calls), "
            "last_called = f.ts\nFROM ("
            "SELECT w.series_id, w.valid_from, sum(f.calls) AS calls, max(f.ts) AS ts "
            f"FROM {SCHEMA}.statement_standing AS w JOIN {table(statements, tier)} AS f ON f.series_id = w.series_id "
            "AND f.ts >= w.valid_from AND f.ts < w.valid_to\nWHERE w.check_name IS NOT NULL AND f.ts > %s GROUP BY 1, 2"
            ") AS f WHERE v.series_id = f.series_id AND v.valid_from = f.valid_from".encode(),
            (since or datetime.min.replace(tzinfo=UTC),),
        )
    with contextlib.closing(StoreConnection(dsn)) as store:
        judging = Judging(store, metrics, "fill", clock=lambda: until)
        while not judging.run(names).is_done:
            pass
    # They were not all found just now.
    begin = max(start, leak_spans(until)[-1][0])
    conn.execute(
        f"UPDATE {SCHEMA}.finding_log AS f SET opened_at = o.ts, first_seen = least(f.first_seen, o.ts), "
        "seen = greatest(1, extract(epoch FROM f.last_seen - o.ts) / 300) FROM (\n"
        "SELECT finding_id, CASE WHEN check_name = 'cross_tenant_queries' AND object <> '' THEN %(begin)s ELSE "
        "%(start)s + (%(until)s - %(start)s) * (hashtext(key) & 1023) / 1024 END AS ts "
        f"FROM {SCHEMA}.finding_log WHERE opened_at >= %(until)s AND check_name = ANY(%(checks)s)"
        ") AS o WHERE o.finding_id = f.finding_id".encode(),
        {"begin": begin, "start": start, "until": until, "checks": list(STATEMENT_CHECKS)},
    )
