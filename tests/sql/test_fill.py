"""The benchmark's history is one that the product could have written: tiers agree, and maintenance goes on from it."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from benchmarks.filling import CannotFillError, Filled, Filling
from benchmarks.fleet import Shape
from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.present.status import status
from sbpgmon.present.top import top
from sbpgmon.store.connection import StoreConnection
from sbpgmon.store.maintenance import Maintenance
from sbpgmon.store.upgrade import init
from tests.conftest import Database, Server
from tests.sql.lab import scratch

pytestmark = pytest.mark.matrix

SHAPE = Shape(targets=4, busy=1, statements=60, seed=3)  # the fourth is down for some minutes of the last day
CATALOG = load_catalog()
METRICS = CATALOG.metrics
OWN_TIERS = {"up": ("raw",), "availability": ("raw", "5m", "1h")}  # of views that are made of the log


@pytest.fixture(scope="module")
def empty(cluster: Server) -> Iterator[Database]:
    with scratch(cluster) as database:
        with contextlib.closing(StoreConnection(database.dsn())) as store:
            init(store, load_catalog(), [])
        yield database


@pytest.fixture(scope="module")
def filled(empty: Database) -> Filled:
    return Filling(empty.dsn(), SHAPE, 1.0).fill(lambda *_: None)


@pytest.fixture
def conn(empty: Database, filled: Filled) -> Iterator[psycopg.Connection[Any]]:
    with empty.connect() as connection:
        yield connection


def test_every_tier_has_rows(filled: Filled) -> None:
    tables = {f"{m.name}_{tier}" for m in METRICS.values() if m.facts for tier in m.tiers}
    assert tables <= {name for name, rows in filled.rows.items() if rows}


@pytest.mark.parametrize("name", sorted(CATALOG.views))
def test_every_view_has_rows(conn: psycopg.Connection[Any], name: str) -> None:
    view = CATALOG.views[name]
    assert conn.execute(f"SELECT FROM monitoring.{name} LIMIT 1".encode()).rowcount == 1
    needed = next((METRICS[need] for need in view.needs if need in METRICS), None)
    if needed is not None and needed.facts and "tier" in dict(view.columns):
        for tier in OWN_TIERS.get(name, needed.tiers):
            found = conn.execute(f"SELECT FROM monitoring.{name} WHERE tier = %s LIMIT 1".encode(), (tier,))
            assert found.rowcount == 1, tier


def test_calls_are_counted_once_by_verdict(conn: psycopg.Connection[Any]) -> None:
    for tier in METRICS["tenant_queries"].tiers:
        sums = {
            conn.execute(f"SELECT sum(calls) FROM monitoring.{metric}_{tier}".encode()).fetchone()
            for metric in ("stat_statements", "tenant_queries")
        }
        assert len(sums) == 1
    found = {
        verdict
        for (verdict,) in conn.execute(b"SELECT DISTINCT verdict FROM monitoring.tenant_queries WHERE tier = '1m'")
    }
    assert {"scoped", "idor_prone", "suspected", "cross_tenant", "unparsed", "session_context"} <= found
    # What is wrong is a finding of the check.
    checks = conn.execute(
        b"SELECT DISTINCT check_name FROM monitoring.finding WHERE is_open AND check_name ~ 'queries'"
    )
    assert {name for (name,) in checks} >= {"idor_prone_queries", "cross_tenant_queries"}


def test_totals_are_those_of_the_statements(conn: psycopg.Connection[Any]) -> None:
    metric = METRICS["statement_totals"]
    parts = {
        f"blk_{verb}_time": " + ".join(f"s.{kind}_blk_{verb}_time" for kind in ("shared", "local", "temp"))
        for verb in ("read", "write")
    }
    sums = ", ".join(f"sum({parts.get(c.name, f's.{c.name}')}) AS {c.name}" for c in metric.counters)
    # Times are float4 in the fine tiers.
    same = " AND ".join(
        f"s.{c.name} = t.{c.name}" if c.type.name == "bigint" else f"abs(s.{c.name} - t.{c.name}) <= 1e-6 * s.{c.name}"
        for c in metric.counters
    )
    query = (
        f"SELECT count(*), count(*) FILTER (WHERE s.time IS NOT NULL AND {same}) "
        f"FROM (SELECT s.time, s.target, s.dbid, {sums} FROM monitoring.stat_statements AS s "
        "WHERE s.tier = %(tier)s AND s.toplevel GROUP BY 1, 2, 3) AS s "
        f"FULL JOIN (SELECT * FROM monitoring.{metric.name} WHERE tier = %(tier)s) AS t USING (time, target, dbid)"
    )
    for tier in metric.tiers:
        row = conn.execute(query.encode(), {"tier": tier}).fetchone()
        assert row is not None
        assert row[0] == row[1] > 0, tier


def test_time_is_covered_once(conn: psycopg.Connection[Any], filled: Filled) -> None:
    """Where a target was down, the next interval is the longer: no second is missed, none counts twice."""
    failed = dict(
        conn.execute(
            b"SELECT target, count(*) FROM monitoring.snapshot WHERE status = 'unreachable' "
            b"AND metric = 'stat_database' GROUP BY 1"
        ).fetchall()
    )
    assert failed.get("odds-de") == 9
    for tier, seconds in (("1m", 60), ("5m", 300), ("1h", 3600)):
        rows = conn.execute(
            b"SELECT target, sum(covered_seconds), extract(epoch FROM max(time) - min(time)), min(polls) "
            b"FROM monitoring.coverage WHERE metric = 'stat_database' AND tier = %s GROUP BY 1",
            (tier,),
        ).fetchall()
        assert {target: covered for target, covered, _, _ in rows} == {
            target: float(length) + seconds for target, _, length, _ in rows
        }
    assert conn.execute(
        b"SELECT quality, interval_seconds FROM monitoring.snapshot "
        b"WHERE target = 'odds-de' AND metric = 'stat_database' AND quality <> 0"
    ).fetchall() == [(4, 600.0)]


def test_lost_polls_are_those_of_the_log(conn: psycopg.Connection[Any]) -> None:
    found = conn.execute(
        b"SELECT tier, sum(lost), count(*) FILTER (WHERE polls = 0) FROM monitoring.coverage "
        b"WHERE metric = 'stat_database' AND target = 'odds-de' AND tier <> '1d' GROUP BY 1"
    ).fetchall()
    assert {tier: (lost, alone) for tier, lost, alone in found} == {
        "raw": (9, 9), "1m": (9, 9), "5m": (9, 1), "1h": (9, 0)
    }  # fmt: skip


def test_lost_polls_are_made_up_where_the_log_is_gone(cluster: Server) -> None:
    """Hours out of nothing have what five minutes, out of the log, would have."""
    short = dict.fromkeys(("raw", "1m"), 6 * 3600.0) | {"5m": 2 * 86400.0, "1h": None, "1d": None}
    until = datetime(2026, 11, 20, 3, tzinfo=UTC)
    shape = Shape(5, 1, 5, 3)
    found = []
    for retention in (short, dict.fromkeys(short)):
        with scratch(cluster) as database:
            with contextlib.closing(StoreConnection(database.dsn())) as store:
                init(store, CATALOG, [], retention_of=lambda _, kept=retention: kept)  # type: ignore[misc]
            Filling(database.dsn(), shape, 4.0, until).fill(lambda *_: None)
            with database.connect() as connection:
                found.append(
                    connection.execute(
                        b"SELECT time, target, lost, polls + lost FROM monitoring.coverage WHERE metric = 'server' "
                        b"AND tier = '1h' AND (lost > 0 OR polls = 0) AND time < %s ORDER BY 1, 2",
                        (until,),
                    ).fetchall()
                )
    assert found[0] == found[1]
    assert sum(lost for _, _, lost, _ in found[0]) > 5


def test_windows_of_events_are_whole(conn: psycopg.Connection[Any]) -> None:
    rows = conn.execute(
        b"SELECT c.covered_seconds, min(e.window_seconds), max(e.window_seconds) FROM monitoring.security_events AS e "
        b"JOIN monitoring.coverage AS c ON c.target = e.target AND c.tier = e.tier AND c.time = e.time "
        b"AND c.metric = 'tenant_events' WHERE e.tier = '1h' GROUP BY e.target, e.event, c.time, c.covered_seconds"
    ).fetchall()
    assert len(rows) > 20
    assert all(covered == shortest == longest for covered, shortest, longest in rows)


@pytest.mark.parametrize(("metric", "column"), [("stat_statements", "calls"), ("stat_database", "xact_commit")])
def test_tiers_agree(conn: psycopg.Connection[Any], metric: str, column: str) -> None:
    tiers = METRICS[metric].tiers
    for finer, coarser in itertools.pairwise(tiers):
        bounds = conn.execute(
            f"SELECT date_bin('1 hour', min(ts) + interval '3599.999 s', '2000-01-01 00:00+00'), "
            "(SELECT watermark FROM monitoring.rollup JOIN monitoring.metric USING (metric_id) "
            f"WHERE name = %s AND rollup.tier = %s) FROM monitoring.{metric}_{finer}".encode(),
            (metric, coarser),
        ).fetchone()
        # The first bucket may lie before its first reading.
        assert bounds is not None
        if coarser == "1d":
            day = "SELECT date_bin('1 day', %s + interval '86399 s', '2000-01-01 00:00+00')"
            bounds = (*(conn.execute(day.encode(), bounds[:1]).fetchone() or ()), bounds[1])
        sums = [
            conn.execute(
                f"SELECT sum({column}) FROM monitoring.{metric}_{tier} WHERE ts >= %s AND ts < %s".encode(), bounds
            ).fetchone()
            for tier in (finer, coarser)
        ]
        assert sums[0] == sums[1]
        assert bounds[0] >= bounds[1] or sums[0] != (None,)


def test_the_product_reads_it(empty: Database, filled: Filled) -> None:
    with contextlib.closing(StoreConnection(empty.dsn())) as store:
        rows = top(
            store, METRICS["stat_statements"], since=filled.start, until=filled.until, by="calls", limit=5,
            target="sportsbook-de",
        )  # fmt: skip
        assert [row["calls"] for row in rows] == sorted((row["calls"] for row in rows), reverse=True)
        assert len({row["query"] for row in rows}) == 5
        assert {row["datname"] for row in rows} == {"sportsbook_de"}
        found = status(store, 3600)
        assert {target["target"]: target["up"] for target in found["targets"]} == {
            "sportsbook-de": True,
            "casino-de": True,
            "payments-de": True,
            "odds-de": True,
        }
        assert all(target["tps"] > 0 for target in found["targets"])


def test_maintenance_goes_on_from_it(empty: Database, conn: psycopg.Connection[Any], filled: Filled) -> None:
    marks = b"SELECT metric_id, tier, watermark FROM monitoring.rollup WHERE metric_id > 0 ORDER BY 1, 2"
    before = conn.execute(marks).fetchall()
    done = Maintenance(empty.dsn(), "test").run()
    assert done is not None
    assert (done.dropped, done.repaired, done.waiting) == ([], [], [])
    # All of it was rolled up.
    assert conn.execute(marks).fetchall() == before


def test_what_cannot_be_filled_is_said(empty: Database, cluster: Server, filled: Filled) -> None:
    with pytest.raises(CannotFillError, match="the store is not empty"):
        Filling(empty.dsn(), SHAPE, 1.0).fill(lambda *_: None)
    with pytest.raises(CannotFillError, match="sbpgmon init"):
        Filling(cluster.dsn(), SHAPE, 1.0).fill(lambda *_: None)
    with pytest.raises(CannotFillError, match="does not answer"):
        Filling("host=/nowhere", SHAPE, 1.0).fill(lambda *_: None)


def test_the_same_seed_is_the_same_history(cluster: Server) -> None:
    sums = []
    for _ in range(2):
        with scratch(cluster) as database:
            with contextlib.closing(StoreConnection(database.dsn())) as store:
                init(store, load_catalog(), [])
            Filling(database.dsn(), Shape(1, 1, 30, 5), 0.01, datetime(2026, 11, 20, 3, tzinfo=UTC)).fill(
                lambda *_: None
            )
            with database.connect() as connection:
                sums.append(
                    connection.execute(
                        "SELECT sum(calls), sum(shared_blks_hit), sum(total_exec_time) FROM monitoring.statements "
                        "WHERE tier = '1m'"
                    ).fetchone()
                )
    assert sums[0] == sums[1]
    assert sums[0] is not None
    assert sums[0][0] > 0
