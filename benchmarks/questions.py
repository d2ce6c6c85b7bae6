"""What people and dashboards ask of a year: the top statements, and lines of charts; how long each takes."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any

import psycopg

from benchmarks.figures import Figure
from sbpgmon.present.macros import interval_ms

DAY = 86400.0
STRETCHES = {"1 h": 3600.0, "24 h": DAY, "7 d": 7 * DAY, "30 d": 30 * DAY, "1 y": 365 * DAY}
POINTS = 1000  # about as wide as a panel is in pixels
_TOP = "SELECT * FROM monitoring.top_statements(%(target)s, %(from)s, %(to)s)"
_PLAIN = """
SELECT s.queryid, sum(f.calls)::bigint, sum(f.total_exec_time::float8)
FROM monitoring.stat_statements_1m AS f JOIN monitoring.stat_statements_series AS s USING (series_id)
WHERE f.ts >= %(from)s AND f.ts < %(to)s AND f.target_id = %(id)s GROUP BY s.series_id, s.queryid
"""
_TIER = "tier = monitoring.tier('{metric}', %(ms)s, %(from)s::timestamptz) AND time >= %(from)s AND time < %(to)s"
_LINES = {
    "statement": (
        "stat_statements",
        "SELECT time, calls, total_exec_time FROM monitoring.stat_statements WHERE {tier} "
        "AND target = %(target)s AND queryid = %(queryid)s ORDER BY time",
    ),
    "statement by series": (
        "stat_statements",
        "SELECT time, calls, total_exec_time FROM monitoring.stat_statements WHERE {tier} "
        "AND target = %(target)s AND series_id = %(series)s ORDER BY time",
    ),
    "50 statements": (
        "stat_statements",
        "SELECT time, queryid, total_exec_time FROM monitoring.stat_statements WHERE {tier} "
        "AND target = %(target)s AND queryid = ANY(%(queryids)s) ORDER BY time",
    ),
    "50 statements by series": (
        "stat_statements",
        "SELECT time, queryid, total_exec_time FROM monitoring.stat_statements WHERE {tier} "
        "AND target = %(target)s AND series_id = ANY(%(serieses)s) ORDER BY time",
    ),
    "database": (
        "stat_database",
        "SELECT time, xact_commit, numbackends FROM monitoring.stat_database WHERE {tier} "
        "AND target = %(target)s AND datid = 16384 ORDER BY time",
    ),
    "50 databases": (
        "stat_database",
        "SELECT time, target, xact_commit FROM monitoring.stat_database WHERE {tier} AND datid = 16384 ORDER BY time",
    ),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """Who is asked about: a busy target and its statements, hot ones and rare ones."""

    target: str
    target_id: int
    series: list[int]
    queryids: list[int]


def busy_targets(conn: psycopg.Connection[Any], until: datetime) -> list[Asked]:
    """Those with statements, and the statements that ran in the last days, those with the most calls first."""
    found = []
    for target_id, name in conn.execute(
        b"SELECT target_id, name FROM monitoring.target AS t WHERE EXISTS "
        b"(SELECT FROM monitoring.stat_statements_series AS s WHERE s.target_id = t.target_id) ORDER BY 1"
    ).fetchall():
        rows = conn.execute(
            b"SELECT s.series_id, s.queryid FROM monitoring.stat_statements_1h AS f "
            b"JOIN monitoring.stat_statements_series AS s USING (series_id) WHERE f.target_id = %s "
            b"AND f.ts >= %s GROUP BY 1, 2 ORDER BY sum(f.calls) DESC, 1",
            (target_id, until - timedelta(days=2)),
        ).fetchall()
        if rows:
            found.append(Asked(name, target_id, [r[0] for r in rows], [r[1] for r in rows]))
    return found


def top(
    conn: psycopg.Connection[Any],
    asked: list[Asked],
    start: datetime,
    until: datetime,
    repeats: int,
    dice: random.Random,
) -> Iterator[Figure]:
    """The top 20 of a target, from and to unaligned; and whether they are what the finest tier adds up to."""
    gone = _row(
        conn,
        "SELECT coalesce(dropped_until, %(start)s) FROM monitoring.rollup JOIN monitoring.metric USING (metric_id) "
        "WHERE name = 'stat_statements' AND rollup.tier = '1m'",
        start=start,
    )[0]
    counts_wrong = checked = 0
    worst_time = 0.0
    for name, seconds in STRETCHES.items():
        goal = 300.0 if seconds > 30 * DAY else 100.0
        times = []
        for number in range(repeats + 1):
            who = dice.choice(asked)
            to = until - timedelta(seconds=dice.uniform(61, 3000))
            since = max(to - timedelta(seconds=seconds), start + timedelta(seconds=dice.uniform(1, 4000)))
            if seconds <= 7 * DAY:
                since = max(since, gone + timedelta(seconds=1))
            params = {"target": who.target, "from": since, "to": to, "id": who.target_id}
            rows, elapsed = _timed(conn, _TOP, params)
            if number:  # the first one reads from disk
                times.append(elapsed * 1e3)
            if seconds <= 7 * DAY and number < 3:
                plain = {q: (calls, ms) for q, calls, ms in conn.execute(_PLAIN.encode(), params)}
                for row in rows:
                    calls, ms = plain[row["queryid"]]
                    checked += 1
                    counts_wrong += calls != row["calls"]
                    worst_time = max(worst_time, abs(row["total_exec_time"] / ms - 1))
        yield _spread(f"top 20 of a target, {name}", times, goal)
    yield Figure(f"  counts unlike the plain sum, of {checked}", "", counts_wrong, goal=0.0)
    yield Figure("  times: greatest deviation", "1/million", worst_time * 1e6, goal=1.0)


def lines(
    conn: psycopg.Connection[Any],
    asked: list[Asked],
    start: datetime,
    until: datetime,
    repeats: int,
    dice: random.Random,
    tell: Callable[[str], None],
) -> Iterator[Figure]:
    """Lines of charts, through the views, as Grafana asks for them; p95, and the growth from 1 d to 30 d."""
    for name, (metric, sql) in _LINES.items():
        by_stretch = {}
        for stretch, seconds in STRETCHES.items():
            tell(f"line of {name}, {stretch}")
            times, points, tier = [], 0, ""
            for number in range(repeats + 1):
                who = dice.choice(asked)
                place = min(int(dice.expovariate(1 / 100)), len(who.series) - 1)
                fifty = dice.sample(range(min(300, len(who.series))), min(50, len(who.series)))
                to = until - timedelta(seconds=dice.uniform(0, 100))
                since = max(to - timedelta(seconds=seconds), start)
                params = {
                    "target": who.target, "series": who.series[place], "queryid": who.queryids[place], "from": since,
                    "to": to, "ms": interval_ms(seconds, POINTS), "serieses": [who.series[i] for i in fifty],
                    "queryids": [who.queryids[i] for i in fifty],
                }  # fmt: skip
                rows, elapsed = _timed(conn, sql.format(tier=_TIER.format(metric=metric)), params)
                points = max(points, len(rows))
                if number:
                    times.append(elapsed * 1e3)
                elif not tier:
                    tier = _row(conn, f"SELECT monitoring.tier('{metric}', %(ms)s, %(from)s)", **params)[0]
            by_stretch[stretch] = median(times)
            yield _spread(f"line of {name}, {stretch}: {tier}, {points:,} points", times, 100.0)
        yield Figure(f"  {name}: 30 d / 24 h", "", by_stretch["30 d"] / by_stretch["24 h"], goal=3.0)


def _spread(name: str, times: list[float], goal: float) -> Figure:
    """The 95th percentile, which the goal is held against, between the median and the longest."""
    ordered = sorted(times)
    return Figure(name, "ms", ordered[math.ceil(0.95 * len(ordered)) - 1], median(ordered), ordered[-1], goal)


def _timed(conn: psycopg.Connection[Any], sql: str, params: dict[str, Any]) -> tuple[list[dict[str, Any]], float]:
    # As Grafana sends it: literals in the text, so that the planner sees them.
    # The result is here when execute() returns; Python's own objects are not what is measured.
    with psycopg.ClientCursor(conn, row_factory=psycopg.rows.dict_row) as cursor:
        began = time.perf_counter()
        cursor.execute(sql.encode(), params)
        elapsed = time.perf_counter() - began
        return cursor.fetchall(), elapsed


def _row(conn: psycopg.Connection[Any], sql: str, **params: Any) -> tuple[Any, ...]:
    row = conn.execute(sql.encode(), params).fetchone()
    assert row is not None
    return tuple(row)
