"""An outage of the store, a crash of it, and kill -9: nothing is lost, and no figure is wrong."""

from __future__ import annotations

import secrets
import shutil
from typing import Any

import pytest

from sbpgmon.demo.server import Cluster
from sbpgmon.errors import StoreError
from tests.integration.support import METRICS, Site, wait_for

pytestmark = pytest.mark.matrix
PARTIAL, UNKNOWN = 1, 2


class Work:
    """Calls of one statement on the target, as many as asked for."""

    def __init__(self, site: Site, target: Site) -> None:
        self._site, self._target = site, target
        self._name = f"work_{secrets.token_hex(4)}"

    def __call__(self, calls: int) -> None:
        with self._target.database.connect() as connection:
            for _ in range(calls):
                connection.execute(f"SELECT 1 AS {self._name}".encode())

    def counted(self) -> list[tuple[Any, ...]]:
        """Calls and quality of each interval, without the bit for a gap."""
        return self._site.ask(
            "SELECT calls, quality & 3 FROM monitoring.statements WHERE query LIKE %s AND tier = '1m' ORDER BY time",
            f"%{self._name}",
        )


def _away(site: Site) -> None:
    outcome = site.collect()
    assert isinstance(outcome.worst, StoreError)
    assert (outcome.snapshots, outcome.spooled) == (0, len(METRICS))


def test_what_is_read_in_an_outage_is_not_lost(outage: Site, own_cluster: Cluster, monitored: Site) -> None:
    work = Work(outage, monitored)
    outage.polled()
    work(3)
    outage.polled()
    own_cluster.stop()
    work(5)
    done = outage.run("collect", check=20)
    assert "Readings go to the spool" in done.stderr
    assert "10 wait in the spool" in done.stderr
    work(7)
    _away(outage)
    assert len(outage.spooled) == 2
    own_cluster.start()
    work(11)
    done = outage.run("collect")
    assert done.stderr.count("spool: replayed") == 2
    outage.polled()
    # The same as if the store had been there all the time.
    assert work.counted() == [(3, 0), (5, 0), (7, 0), (11, 0)]
    assert outage.spooled == []
    times = outage.ask("SELECT time FROM monitoring.snapshot WHERE metric = 'stat_statements' ORDER BY time")
    assert len(times) == 6
    assert outage.is_consistent()


def test_a_daemon_outlives_an_outage(outage: Site, own_cluster: Cluster, monitored: Site) -> None:
    work = Work(outage, monitored)
    outage.configure(metrics={name: {"interval": "1s"} for name in METRICS})

    def snapshots() -> int:
        return int(outage.value("SELECT count(*) FROM monitoring.snapshot WHERE metric = 'stat_statements'"))

    with outage.start("run") as process:
        wait_for(lambda: snapshots() >= 2)
        work(4)
        own_cluster.stop()
        wait_for(lambda: len(outage.spooled) >= 2)
        work(6)
        own_cluster.start()
        wait_for(lambda: not outage.spooled)
        before = snapshots()
        wait_for(lambda: snapshots() >= before + 2)
        process.terminate()
        assert process.wait(30) == 0
    assert sum(calls for calls, _ in work.counted()) == 10
    assert {quality for _, quality in work.counted()} == {0}
    assert "Traceback" not in outage.log
    # Each said once and counted, and its end said.
    errors = [line.split(" ERROR ")[1] for line in outage.log.splitlines() if " ERROR " in line]
    assert errors
    assert len(errors) == len(set(errors))
    assert "ended after" in outage.log
    assert outage.is_consistent()


def test_a_spooled_poll_is_stored_once(outage: Site, own_cluster: Cluster, monitored: Site) -> None:
    work = Work(outage, monitored)
    outage.polled()
    own_cluster.stop()
    work(5)
    _away(outage)
    [path] = outage.spooled
    kept = path.read_bytes()
    own_cluster.start()
    outage.polled()
    # As after kill -9 between the commit and the end of the file.
    path.write_bytes(kept)
    outage.polled()
    outage.polled()
    assert work.counted() == [(5, 0)]
    assert outage.spooled == []
    assert outage.is_consistent()


def test_a_file_that_is_no_poll_is_put_aside(outage: Site, own_cluster: Cluster, monitored: Site) -> None:
    work = Work(outage, monitored)
    outage.polled()
    own_cluster.stop()
    for calls in (2, 3):
        work(calls)
        _away(outage)
    first, _ = outage.spooled
    first.write_bytes(first.read_bytes()[:-100])
    own_cluster.start()
    done = outage.run("collect")
    assert f"{first.name} is cut short; put aside" in done.stderr
    assert [path.suffix for path in outage.spooled] == [".broken"]
    outage.polled()
    # The difference spans what was lost.
    assert work.counted() == [(5, 0)]


def test_a_full_spool_drops_the_oldest(outage: Site, own_cluster: Cluster, monitored: Site) -> None:
    work = Work(outage, monitored)
    outage.configure(agent={"spool_bytes": 1024 * 1024})
    outage.polled()
    own_cluster.stop()
    work(1)
    _away(outage)
    [path] = outage.spooled
    with path.open("ab") as file:
        file.truncate(1024 * 1024)
    work(2)
    outcome = outage.collect()
    assert isinstance(outcome.worst, StoreError)
    assert path not in outage.spooled
    own_cluster.start()
    outage.polled()
    outage.polled()
    assert work.counted() == [(3, 0)]


def test_a_crash_of_the_store_is_mended_from_the_state_folder(
    outage: Site, own_cluster: Cluster, monitored: Site
) -> None:
    work = Work(outage, monitored)
    outage.polled()
    work(3)
    outage.polled()
    own_cluster.crash()
    own_cluster.start()
    assert outage.value("SELECT count(*) FROM monitoring.stat_statements_last") == 0
    work(5)
    done = outage.run("collect", check=None)
    assert "rebuilt from the state folder" in done.stderr
    work(7)
    outage.polled()
    assert work.counted() == [(3, 0), (5, 0), (7, 0)]
    assert outage.value("SELECT count(*) FROM monitoring.event WHERE kind = 'rebuilt'") > 0
    assert outage.is_consistent()


def test_a_crash_without_the_state_folder_is_a_baseline(outage: Site, own_cluster: Cluster, monitored: Site) -> None:
    work = Work(outage, monitored)
    outage.polled()
    work(3)
    outage.polled()
    own_cluster.crash()
    own_cluster.start()
    shutil.rmtree(outage.state_dir)
    work(5)
    done = outage.run("collect", check=None)
    assert "this snapshot is a baseline" in done.stderr
    work(7)
    outage.polled()
    # The five are not known: not 5, not 0, and above all not 8.
    assert work.counted() == [(3, 0), (7, 0)]
    quality = "SELECT quality & 2, interval_seconds FROM monitoring.snapshot WHERE metric = 'stat_statements'"
    assert [row[0] for row in outage.ask(f"{quality} ORDER BY time")] == [2, 0, 2, 0]
    assert outage.is_consistent()


def test_a_crash_within_an_outage(outage: Site, own_cluster: Cluster, monitored: Site) -> None:
    work = Work(outage, monitored)
    outage.polled()
    own_cluster.crash()
    for calls in (2, 3):
        work(calls)
        _away(outage)
    own_cluster.start()
    work(4)
    outage.collect()
    outage.polled()
    assert work.counted() == [(2, 0), (3, 0), (4, 0)]


def test_a_crash_of_the_target_is_a_reset(own: Site, own_cluster: Cluster, monitored: Site) -> None:
    # The store is the other server here.
    monitored.targets = dict(own.targets)
    monitored.configure()
    work = Work(monitored, own)
    monitored.polled()
    work(3)
    monitored.polled()
    own_cluster.crash()
    own_cluster.start()
    work(5)
    monitored.polled()
    work(7)
    monitored.polled()
    assert work.counted() == [(3, 0), (5, PARTIAL), (7, 0)]


@pytest.mark.parametrize("moment", [0.0, 0.05, 0.15, 0.35])
def test_kill_9_leaves_whole_snapshots(monitored: Site, moment: float) -> None:
    monitored.configure(metrics={name: {"interval": "1s"} for name in METRICS})
    work = Work(monitored, monitored)
    with monitored.start("run") as process:
        wait_for(lambda: monitored.ask("SELECT FROM monitoring.snapshot LIMIT 1"))
        work(6)
        monitored.ask("SELECT pg_sleep(%s)", moment)
        process.kill()
        process.wait()
    assert monitored.is_consistent()
    with monitored.database.connect() as connection:
        connection.execute("DELETE FROM monitoring.lease")
    monitored.configure()
    monitored.polled()
    monitored.polled()
    assert sum(calls for calls, _ in work.counted()) == 6
    assert monitored.is_consistent()
    assert not list(monitored.state_dir.rglob("*.new"))
