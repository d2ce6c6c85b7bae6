"""Judges the texts of statements that are new, and says where each statement stands, beside the polls.

A text is judged once for each structure of the tenants' tables, in bounded portions and outside of any transaction.
Where a statement comes to stand, and since when, is then written in a short one, in which the snapshots that it changes
are made anew: see tenant_queries.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from sbpgmon.findings import IsolationReading
from sbpgmon.judge.ground import Ground, Judged, Stand, Standing
from sbpgmon.judge.offences import Offence, runs_of
from sbpgmon.model import Metric
from sbpgmon.store import lease, standings
from sbpgmon.store.connection import StoreConnection
from sbpgmon.store.derive import Derived, derive_again
from sbpgmon.store.findings import write_isolation
from sbpgmon.store.rollup import Watermarks
from sbpgmon.store.schema import SCHEMA
from sbpgmon.store.standings import KEPT_SECONDS, Change, Look, Series, Texts
from sbpgmon.store.tiers import table

MAX_TEXTS = 500  # judged in one pass
MAX_SECONDS = 1.0  # for them
MAX_PLANS = 200  # asked for in one pass

# Whether the plan of a text reads other tenants' rows, as a role (by OID) runs it; None: no plan can be had.
Confirm = Callable[[Ground, int, str], bool | None]
Planners = Callable[[str], AbstractContextManager[Confirm | None]]  # by target
QUERIES = "tenant_queries"


@dataclass(slots=True)
class Passed:
    """What one pass did. `is_done` is False where there is more to do at once."""

    targets: int = 0  # where tenancy is in force
    texts: int = 0
    changes: int = 0
    snapshots: int = 0  # that were made anew
    findings: list[tuple[str, str]] = field(default_factory=list)  # target, what opened or closed
    is_done: bool = True


@dataclass(frozen=True, slots=True)
class _Work:
    """One target's statements: what is to be looked at, and by what."""

    target_id: int
    now: datetime  # the last snapshot: time stops with the data
    looks: Sequence[Look]
    series: Sequence[Series]


class Judging:
    """Works through one store's targets, on a connection of its own. `metrics`: those of the catalog."""

    def __init__(
        self,
        store: StoreConnection,
        metrics: Mapping[str, Metric],
        holder: str,
        is_stopping: Callable[[], bool] = lambda: False,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        planners: Planners = lambda _: nullcontext(None),
    ) -> None:
        self._store = store
        self._planners = planners
        self._metrics = metrics
        self._holder = holder
        self._is_stopping = is_stopping
        self._clock = clock

    def close(self) -> None:
        self._store.close()

    def cancel(self) -> None:
        """Ends the statement in hand, from another thread."""
        self._store.cancel()

    def run(self, targets: Sequence[str]) -> Passed:
        """One pass over these targets. Raises StoreError and its kin; what was not stored is done again."""
        done = Passed()
        if standings.STATEMENTS not in self._metrics:
            return done
        with self._store.transaction() as conn:
            lease.refuse_stopped(conn)
            rows = conn.execute(
                f"SELECT t.name, t.target_id FROM {SCHEMA}.target AS t WHERE t.name = ANY(%s) "
                f"AND EXISTS (SELECT FROM {SCHEMA}.tenancy_look AS l WHERE l.target_id = t.target_id) "
                f"AND NOT EXISTS (SELECT FROM {SCHEMA}.lease AS o WHERE o.target_id = t.target_id "
                "AND o.holder <> %s AND o.expires_at > clock_timestamp())".encode(),
                (list(targets), self._holder),
            )
            ids: dict[str, int] = dict(rows.fetchall())
        done.targets = len(ids)
        for name, target_id in ids.items():
            if self._is_stopping():
                break
            self._run_one(name, target_id, done)
        return done

    def _run_one(self, target: str, target_id: int, done: Passed) -> None:
        with self._store.transaction() as conn:
            work = _work(conn, target_id)
        if work is None:
            return
        changes = 0
        if work.series or not all(look.is_applied for look in work.looks):
            with self._planners(target) as confirm:
                changes = self._apply(work, done, confirm)
        with self._store.transaction() as conn:
            if changes or _has_news(conn, target_id):
                done.findings += [(target, line) for line in self._write_findings(conn, target, work)]

    def _apply(self, work: _Work, done: Passed, confirm: Confirm | None) -> int:
        """Brings the statements to where they stand by the looks that there are; returns how many moved."""
        with self._store.transaction() as conn:
            grounds = {look: standings.read_ground(conn, work.target_id, look) for look in _needed(work)}
            judgements = standings.read_judgements(conn, work.target_id, sorted({s.text_id for s in work.series}))
            latest = grounds[work.looks[-1]]
            wanted = _wanted(work, latest, judgements)
            texts = _texts(conn, [text_id for text_id, _ in wanted[:MAX_TEXTS]])
        fresh = self._judge(wanted[:MAX_TEXTS], texts, latest) if not latest.problem else {}
        structure = work.looks[-1].structure
        known = {key: judged for key, (_, at, judged) in judgements.items() if at == structure} | fresh
        is_all = len(fresh) == len(wanted) or bool(latest.problem)
        plans = self._plans(work, latest, known, confirm) if confirm is not None else {}
        changes = [c for series in work.series for c in _changes(series, work, grounds, latest, known, plans)]
        with self._store.transaction() as conn:
            numbers = standings.write_judgements(conn, work.target_id, structure, fresh)
            numbers = {key: number for key, (number, _, _) in judgements.items()} | numbers
            if changes:
                done.snapshots += self._move(conn, work, changes, numbers)
            if is_all:
                conn.execute(
                    f"UPDATE {SCHEMA}.tenancy_look SET is_applied = true "
                    "WHERE target_id = %s AND seen_from <= %s AND NOT is_applied".encode(),
                    (work.target_id, work.looks[-1].seen_from),
                )
        done.texts += len(fresh)
        done.changes += len(changes)
        done.is_done = done.is_done and is_all
        return len(changes)

    def _judge(
        self, wanted: Sequence[tuple[int, str]], texts: Mapping[int, str], ground: Ground
    ) -> dict[tuple[int, str], Judged]:
        """The judgements on as many of these texts as there is time for."""
        if not wanted:
            return {}
        # The parser takes time and memory to load: only where there is something to judge.
        from sbpgmon.judge.normalized import judge_text

        users = {ground.path(userid): role.name for userid, role in ground.roles.items()}
        found = {}
        began = time.monotonic()
        for text_id, path in wanted:
            if time.monotonic() - began > MAX_SECONDS or self._is_stopping():
                break
            found[text_id, path] = judge_text(texts.get(text_id, ""), ground, users.get(path))
        return found

    def _plans(
        self, work: _Work, ground: Ground, known: Mapping[tuple[int, str], Judged], confirm: Confirm
    ) -> dict[tuple[int, int], bool | None]:
        """(text, role) -> what its plan says, of statements that no key binds and nothing covers."""
        asked: dict[tuple[int, int], None] = {}
        for series in work.series:
            judged = known.get((series.text_id, ground.path(series.userid)))
            if judged is not None:
                stand = ground.stand(judged, series.userid, series.queryid)
                if stand.standing is Standing.CROSS_TENANT and len(asked) < MAX_PLANS:
                    asked[series.text_id, series.userid] = None
        if not asked:
            return {}
        with self._store.transaction() as conn:
            texts = _texts(conn, sorted({text_id for text_id, _ in asked}))
        return {
            (text_id, userid): None if self._is_stopping() else confirm(ground, userid, texts.get(text_id, ""))
            for text_id, userid in asked
        }

    def _move(
        self,
        conn: psycopg.Connection[Any],
        work: _Work,
        changes: Sequence[Change],
        numbers: Mapping[tuple[int, str], int],
    ) -> int:
        """Writes where statements stand, and what they counted to where it belongs; returns how many snapshots."""
        # As a roll-up does: a snapshot is either there, or finds the new standings.
        conn.execute(f"LOCK TABLE {SCHEMA}.rollup IN EXCLUSIVE MODE".encode())
        standings.write_changes(conn, work.target_id, changes, numbers)
        statements = self._metrics[standings.STATEMENTS]
        derived = self._metrics.get(QUERIES)
        metric_id, first, watermarks = _history(conn, work.target_id, derived)
        dropped = _dropped_until(conn, statements)
        since = {series.series_id: series.first_seen - timedelta(microseconds=1) for series in work.series}
        moved: dict[int, datetime] = {}
        for change in changes:
            start = since[change.series_id] if change.since is None else max(change.since, since[change.series_id])
            moved[change.series_id] = min(start, moved.get(change.series_id, start))
        low = max(filter(None, (min(moved.values()), work.now - timedelta(seconds=KEPT_SECONDS), dropped)))
        params = {
            "target_id": work.target_id,
            "low": low,
            "series": list(moved),
            "since": list(moved.values()),
        }
        facts = (
            f"{table(statements, statements.tier)} AS f "
            "JOIN unnest(%(series)s::integer[], %(since)s::timestamptz[]) AS m (series_id, since) USING (series_id) "
            "WHERE f.target_id = %(target_id)s AND f.ts > %(low)s AND f.ts > m.since"
        )
        # A call that stands worse now than when it was counted has been made since: it is news.
        conn.execute(
            f"UPDATE {SCHEMA}.statement_standing AS v SET calls = c.calls, last_called = c.last_called FROM ("
            "SELECT f.series_id, w.valid_from, sum(f.calls) AS calls, max(f.ts) AS last_called "
            f"FROM {SCHEMA}.statement_standing AS w, {facts} AND w.series_id = f.series_id "
            "AND w.check_name IS NOT NULL AND w.calls IS NULL AND f.ts > w.valid_from AND f.ts <= w.valid_to "
            "AND f.calls > 0 "
            "GROUP BY 1, 2) AS c WHERE v.series_id = c.series_id AND v.valid_from = c.valid_from".encode(),
            params,
        )
        if derived is None or first is None:
            return 0
        times = [
            ts
            for (ts,) in conn.execute(
                f"SELECT DISTINCT f.ts FROM {facts} AND f.ts >= %(first)s ORDER BY 1".encode(),
                params | {"first": first},
            )
        ]
        derive_again(conn, Derived(derived, statements), metric_id, work.target_id, times, watermarks)
        return len(times)

    def _write_findings(self, conn: psycopg.Connection[Any], target: str, work: _Work) -> list[str]:
        ground = standings.read_ground(conn, work.target_id, work.looks[-1])
        rows = conn.execute(
            "SELECT v.check_name, v.allowed, s.userid::bigint, s.queryid, j.relation, j.reason, x.query, v.calls, "
            "nullif(v.valid_from, '-infinity') "
            f"FROM {SCHEMA}.statement_standing AS v "
            f"JOIN {SCHEMA}.stat_statements_series AS s USING (series_id) "
            f"JOIN {SCHEMA}.statement_judgement AS j USING (judgement_id) "
            f"JOIN {SCHEMA}.statement_text AS x USING (text_id) "
            "WHERE v.target_id = %s AND v.check_name IS NOT NULL AND v.valid_to = 'infinity' "
            "AND v.last_called > %s".encode(),
            (work.target_id, work.now - timedelta(seconds=KEPT_SECONDS)),
        )
        offences = [
            Offence(check, allowed or "", _role(ground, userid), queryid, relation, reason, query, calls or 0, since)
            for check, allowed, userid, queryid, relation, reason, query, calls, since in rows
        ]
        reading = IsolationReading(target, self._clock(), runs_of(offences, ground))
        return write_isolation(conn, work.target_id, reading)


def _role(ground: Ground, userid: int) -> str:
    return ground.roles[userid].name if userid in ground.roles else f"OID {userid}"


def _work(conn: psycopg.Connection[Any], target_id: int) -> _Work | None:
    looks = standings.read_looks(conn, target_id)
    row = conn.execute(
        f"SELECT s.snapshot_ts FROM {SCHEMA}.metric_state AS s JOIN {SCHEMA}.metric AS m USING (metric_id) "
        "WHERE s.target_id = %s AND m.name = %s AND s.snapshot_ts IS NOT NULL".encode(),
        (target_id, standings.STATEMENTS),
    ).fetchone()
    if not looks:
        return None
    if row is None:
        # Nothing was ever read of the statements: the look may say why.
        return _Work(target_id, looks[-1].seen_to, looks, [])
    is_new = not all(look.is_applied for look in looks)
    series = standings.read_series(conn, target_id, looks[-1].dbid, row[0], all_of_them=is_new)
    return _Work(target_id, row[0], looks, series)


def _has_news(conn: psycopg.Connection[Any], target_id: int) -> bool:
    """Whether a snapshot of the statements, or another look, has come since findings were written."""
    return (
        conn.execute(
            f"SELECT WHERE coalesce((SELECT min(c.last_run) FROM {SCHEMA}.check_state AS c "
            "WHERE c.target_id = %(target_id)s AND c.check_name = %(check)s), '-infinity') < greatest("
            f"(SELECT max(l.seen_from) FROM {SCHEMA}.tenancy_look AS l WHERE l.target_id = %(target_id)s), "
            f"(SELECT s.snapshot_agent_time FROM {SCHEMA}.metric_state AS s "
            f"JOIN {SCHEMA}.metric AS m USING (metric_id) "
            "WHERE s.target_id = %(target_id)s AND m.name = %(metric)s))".encode(),
            {"target_id": target_id, "check": "cross_tenant_queries", "metric": standings.STATEMENTS},
        ).rowcount
        > 0
    )


def _needed(work: _Work) -> list[Look]:
    """The looks by which these statements may have to be told where they stand."""
    if any(series.stand is None for series in work.series):
        return list(work.looks)
    return [look for look in work.looks[:-1] if not look.is_applied] + [work.looks[-1]]


def _wanted(work: _Work, ground: Ground, judgements: Texts) -> list[tuple[int, str]]:
    """The texts, each with a path of schemas, that are not judged by the last look's structure."""
    structure = work.looks[-1].structure
    wanted: dict[tuple[int, str], None] = {}
    for series in work.series:
        key = series.text_id, ground.path(series.userid)
        if key not in judgements or judgements[key][1] != structure:
            wanted[key] = None
    return list(wanted)


def _texts(conn: psycopg.Connection[Any], text_ids: Sequence[int]) -> dict[int, str]:
    rows = conn.execute(
        f"SELECT text_id, query FROM {SCHEMA}.statement_text WHERE text_id = ANY(%s)".encode(), (list(text_ids),)
    )
    return dict(rows.fetchall())


def _changes(
    series: Series,
    work: _Work,
    grounds: Mapping[Look, Ground],
    latest: Ground,
    known: Mapping[tuple[int, str], Judged],
    plans: Mapping[tuple[int, int], bool | None],
) -> list[Change]:
    """Where the statement comes to stand, look by look. One that comes to stand worse does so from the last look on
    that found it well; one that comes to stand better, from the first that did."""
    key = series.text_id, latest.path(series.userid)
    judged = known.get(key)
    if judged is None:
        return []
    changes: list[Change] = []
    stand, valid_from, is_first = series.stand, series.valid_from, series.stand is None
    for number, look in enumerate(work.looks):
        if look not in grounds or grounds[look].problem or _is_past(series, look, work):
            continue
        is_confirmed = plans.get((series.text_id, series.userid))
        found = grounds[look].stand(judged, series.userid, series.queryid, is_confirmed=is_confirmed)
        if found == stand:
            continue
        since = None if stand is None else _since(stand, found, work.looks, number)
        changes.append(Change(series.series_id, None if is_first else valid_from, since, found, key))
        stand, valid_from, is_first = found, since or datetime.min.replace(tzinfo=UTC), False
    return changes


def _is_past(series: Series, look: Look, work: _Work) -> bool:
    """Whether a look has nothing to say of a statement (any more)."""
    if look == work.looks[-1]:
        return False
    if series.valid_from is None:
        return look.seen_to < max(series.first_seen, work.now - timedelta(seconds=KEPT_SECONDS))
    return look.is_applied or look.seen_from <= series.valid_from


def _since(before: Stand, after: Stand, looks: Sequence[Look], number: int) -> datetime:
    if after.is_worse_than(before) and number > 0:
        return looks[number - 1].seen_to
    return looks[number].seen_from


def _history(
    conn: psycopg.Connection[Any], target_id: int, derived: Metric | None
) -> tuple[int, datetime | None, Watermarks]:
    """Of the metric that is made anew: its number, its first snapshot, how far roll-ups got."""
    row = conn.execute(
        f"SELECT m.metric_id, (SELECT min(l.ts) FROM {SCHEMA}.snapshot_log AS l WHERE l.metric_id = m.metric_id "
        f"AND l.target_id = %s AND l.status = 'ok') FROM {SCHEMA}.metric AS m WHERE m.name = %s".encode(),
        (target_id, derived.name if derived is not None else ""),
    ).fetchone()
    if row is None:
        return 0, None, {}
    marks = conn.execute(
        f"SELECT tier, watermark FROM {SCHEMA}.rollup WHERE metric_id = %s AND watermark IS NOT NULL".encode(),
        (row[0],),
    )
    return row[0], row[1], {(row[0], tier): mark for tier, mark in marks}


def _dropped_until(conn: psycopg.Connection[Any], metric: Metric) -> datetime | None:
    """Up to when the facts of its finest tier are gone."""
    row = conn.execute(
        f"SELECT r.dropped_until FROM {SCHEMA}.rollup AS r JOIN {SCHEMA}.metric AS m USING (metric_id) "
        "WHERE m.name = %s AND r.tier = %s".encode(),
        (metric.name, metric.tier),
    ).fetchone()
    return row[0] if row else None
