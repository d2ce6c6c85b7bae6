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

SHAPE = Shape(targets=2, busy=1, statements=60, seed=3)
METRICS = load_catalog().metrics


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
    # Something is blocked now and then.
    tables -= {f"blocked_sessions_{tier}" for tier in METRICS["blocked_sessions"].tiers}
    assert tables <= {name for name, rows in filled.rows.items() if rows}


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
