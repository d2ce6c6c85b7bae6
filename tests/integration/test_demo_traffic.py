"""The traffic does what it says, and its counts are what the server saw."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import psycopg
import pytest

from sbpgmon.demo import errands, sportsbook
from sbpgmon.demo.binaries import ClusterError
from sbpgmon.demo.errands import COUNTED_STATEMENTS, Connection, World
from sbpgmon.demo.server import Cluster
from sbpgmon.demo.traffic import CROWDS, Crowd, Traffic, TrafficError


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("demo") / "pg") as made:
        sportsbook.load(made.dsn())
        yield made


def _app(cluster: Cluster) -> str:
    return cluster.dsn(sportsbook.DATABASE, "sportsbook_app")


def test_counts_are_what_the_server_saw(cluster: Cluster) -> None:
    hurried = tuple(Crowd(crowd.errand, crowd.sessions, crowd.pause_seconds / 4) for crowd in CROWDS)
    with psycopg.connect(cluster.dsn(sportsbook.DATABASE), autocommit=True) as connection:
        connection.execute("select pg_stat_statements_reset()")
        traffic = Traffic(_app(cluster), crowds=hurried)
        traffic.start()
        deadline = time.monotonic() + 30
        while traffic.counts().deadlocks < 2 or traffic.counts().reports < 2:
            assert time.monotonic() < deadline
            traffic.check()
            time.sleep(0.2)
        counts = traffic.stop()
        assert min(counts.bets_placed, counts.wallets_read, counts.settlements, counts.deposits) > 0
        assert counts.idle_transactions == 1  # it was told to stop, and did so
        for field, beginning in COUNTED_STATEMENTS.items():
            row = connection.execute(
                "select sum(calls)::bigint from pg_stat_statements where starts_with(query, %s)", [beginning]
            ).fetchone()
            assert row == (getattr(counts, field),), field
        row = connection.execute(
            "select deadlocks, temp_bytes > 0 from pg_stat_database where datname = current_database()"
        ).fetchone()
        assert row == (counts.deadlocks, True)
        row = connection.execute(
            "select count(*) from app.wallets natural left join"
            " (select tenant_id, user_id, sum(amount_cents) as booked from app.ledger group by 1, 2) as l"
            " where balance_cents is distinct from booked"
        ).fetchone()
        assert row == (0,)
        row = connection.execute("select count(*) from pg_stat_activity where usename = 'sportsbook_app'").fetchone()
        assert row == (0,)


def test_a_failed_session_is_told(cluster: Cluster) -> None:
    def fail(connection: Connection, world: World) -> Counter[str]:
        connection.execute("select * from app.no_such_table")
        return Counter()

    traffic = Traffic(_app(cluster), crowds=(Crowd(fail, 1, 0.01),), pgbench=False)
    traffic.start()
    time.sleep(0.5)
    with pytest.raises(TrafficError, match="no_such_table"):
        traffic.check()
    with pytest.raises(TrafficError, match="no_such_table"):
        traffic.stop()


def test_a_failed_pgbench_is_told(cluster: Cluster) -> None:
    traffic = Traffic(cluster.dsn("no_such_database", "sportsbook_app"), crowds=(Crowd(errands.deposit, 0, 1),))
    traffic.start()
    time.sleep(0.5)
    with pytest.raises(ClusterError, match="no_such_database"):
        traffic.stop()


def test_stop_at_once(cluster: Cluster) -> None:
    with Traffic(_app(cluster)):
        pass
