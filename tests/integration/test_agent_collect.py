"""`collect`: what one pass leaves in the store, and that the figures are right."""

from __future__ import annotations

import threading

import psycopg
import pytest

from tests.integration.support import GAP, GRAFANA, METRICS, ONLY_ONCE, READER, SNAPSHOTS, TARGET, Site, settle

pytestmark = pytest.mark.matrix

VIEWS = {
    "cache_hit_rate": "time tier target datname blks_hit blks_read cache_hit_ratio quality",
    "connection_utilisation": "time tier target client_backends available utilisation_ratio",
    "deadlocks": "time tier target datname deadlocks quality",
    "statements": "time tier target datname usename queryid toplevel query calls total_exec_time rows",
    "tps": "time tier target datname tps rollback_ratio quality",
}


def test_every_metric_leaves_a_snapshot(monitored: Site) -> None:
    done = monitored.run("collect")
    assert f"1 targets polled: {len(SNAPSHOTS)} snapshots stored" in done.stderr
    assert done.stdout == ""
    rows = monitored.ask("SELECT metric, target, status, error, quality, interval_seconds FROM monitoring.snapshot")
    assert sorted(row[0] for row in rows) == sorted(SNAPSHOTS)
    assert {row[1:4] for row in rows} == {(TARGET, "ok", None)}
    assert {row[5] for row in rows} == {None}
    assert monitored.is_consistent()
    # Nothing to say, nothing said: cron would send a mail.
    assert monitored.run("collect", "-q").stderr == ""


def test_the_same_slot_is_read_once(monitored: Site) -> None:
    monitored.configure(**ONLY_ONCE)
    assert monitored.polled().snapshots == len(SNAPSHOTS)
    again = monitored.collect()
    assert (again.targets, again.snapshots, again.worst) == (0, 0, None)
    assert monitored.value("SELECT count(*) FROM monitoring.snapshot") == len(SNAPSHOTS)
    # The state folder knows it too, and so does the store without it.
    for path in (monitored.state_dir / "state").iterdir():
        path.unlink()
    assert monitored.collect().snapshots == 0


def test_a_metric_that_is_off_is_not_read(monitored: Site) -> None:
    monitored.configure(metrics={"locks": {"enabled": False}})
    monitored.polled()
    assert monitored.ask("SELECT FROM monitoring.snapshot WHERE metric = 'locks'") == []


def test_calls_are_counted_exactly(monitored: Site) -> None:
    query = "SELECT generate_series(1, 3), 'test_calls_are_counted_exactly'"
    monitored.polled()
    for times in (7, 0, 11):
        with monitored.database.connect() as connection:
            for _ in range(times):
                connection.execute(query.encode())
        monitored.polled()
    rows = monitored.ask(
        "SELECT calls, rows, datname, usename, tier, target, quality FROM monitoring.statements "
        "WHERE query LIKE 'SELECT generate_series($1%%' AND datname = %s ORDER BY time",
        monitored.database.name,
    )
    # A statement that did not run has no row.
    assert [row[:2] for row in rows] == [(7, 21), (11, 33)]
    superuser = monitored.value("SELECT current_user::text")
    assert {row[2:6] for row in rows} == {(monitored.database.name, superuser, "1m", TARGET)}
    assert {row[6] & ~GAP for row in rows} == {0}
    assert monitored.is_consistent()


def test_transactions_are_counted_exactly(monitored: Site, own: Site) -> None:
    # Read from another database and stored on another server: our own transactions are not among them.
    own.targets = {TARGET: monitored.database.server.dsn("postgres", READER)}
    own.configure(metrics={name: {"enabled": name == "stat_database"} for name in METRICS})
    settle(monitored.database)
    own.polled()
    with monitored.database.connect() as connection:
        for number in range(20):
            with connection.transaction(force_rollback=number % 4 == 0):
                connection.execute("SELECT 1")
    settle(monitored.database)
    own.polled()
    [(commits, rollbacks)] = own.ask(
        "SELECT sum(xact_commit), sum(xact_rollback) FROM monitoring.stat_database WHERE datname = %s",
        monitored.database.name,
    )
    # To connect is a transaction too.
    assert (commits, rollbacks) == (16, 5)
    [(tps, ratio, seconds)] = own.ask(
        "SELECT t.tps, t.rollback_ratio, s.interval_seconds FROM monitoring.tps t JOIN monitoring.snapshot s "
        "USING (time, target) WHERE t.datname = %s AND s.metric = 'stat_database' AND t.tps IS NOT NULL",
        monitored.database.name,
    )
    assert tps == pytest.approx(21 / seconds)
    assert ratio == pytest.approx(5 / 21)


def _deadlock(site: Site) -> None:
    with site.database.connect() as connection:
        connection.execute("CREATE TABLE account (id int PRIMARY KEY); INSERT INTO account VALUES (1), (2)")
    both = threading.Barrier(2, timeout=30)
    victims = []

    def lock(first: int, second: int) -> None:
        with site.database.connect() as connection:
            try:
                with connection.transaction():
                    connection.execute("SELECT FROM account WHERE id = %s FOR UPDATE", (first,))
                    both.wait()
                    connection.execute("SELECT FROM account WHERE id = %s FOR UPDATE", (second,))
            except psycopg.errors.DeadlockDetected:
                victims.append(first)

    threads = [threading.Thread(target=lock, args=pair) for pair in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(victims) == 1


def test_a_deadlock_is_seen_once(monitored: Site) -> None:
    monitored.polled()
    _deadlock(monitored)
    settle(monitored.database)
    monitored.polled()
    monitored.polled()
    rows = monitored.ask("SELECT datname, deadlocks FROM monitoring.deadlocks WHERE deadlocks > 0")
    assert rows == [(monitored.database.name, 1)]


def test_derived_views_are_what_people_rely_on(monitored: Site) -> None:
    monitored.polled()
    with monitored.database.connect() as connection:
        connection.execute("CREATE TABLE t AS SELECT n FROM generate_series(1, 10000) n; SELECT count(*) FROM t")
    settle(monitored.database)
    monitored.polled()
    with monitored.database.connect(GRAFANA) as connection:
        for view, columns in VIEWS.items():
            cursor = connection.execute(f"SELECT * FROM monitoring.{view}".encode())
            names = [column.name for column in cursor.description or ()]
            assert names[: len(columns.split())] == columns.split(), view
            assert view == "statements" or len(names) == len(columns.split()), view
        where = "WHERE datname = current_database() AND blks_hit IS NOT NULL"
        [(hit, read, ratio)] = connection.execute(
            f"SELECT blks_hit, blks_read, cache_hit_ratio FROM monitoring.cache_hit_rate {where}".encode()
        ).fetchall()
        assert hit > 0
        assert ratio == pytest.approx(float(hit / (hit + read)))
        for backends, available, used in connection.execute(
            "SELECT client_backends, available, utilisation_ratio FROM monitoring.connection_utilisation"
        ):
            assert backends > 0
            assert available == _available(connection)
            assert used == pytest.approx(backends / available)


def _available(connection: psycopg.Connection[object]) -> int:
    row = connection.execute(
        "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int "
        "- coalesce(current_setting('reserved_connections', true), '0')::int AS available"
    ).fetchone()
    assert isinstance(row, tuple)
    return int(row[0])


def test_nothing_asked_for_is_no_ratio(monitored: Site) -> None:
    monitored.polled()
    monitored.polled()
    # Nobody connects to template0.
    where = "WHERE datname = 'template0' ORDER BY time DESC LIMIT 1"
    assert monitored.ask(f"SELECT blks_hit, blks_read, cache_hit_ratio FROM monitoring.cache_hit_rate {where}") == [
        (0, 0, None)
    ]
    assert monitored.ask(f"SELECT tps, rollback_ratio FROM monitoring.tps {where}") == [(0, None)]
