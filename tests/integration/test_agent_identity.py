"""Another server at a target's address: refused by the real program, until `targets accept`."""

from __future__ import annotations

import json
from typing import Any

from sbpgmon.demo.server import Cluster
from sbpgmon.errors import OtherServerError
from tests.conftest import Database
from tests.integration.support import METRICS, READER, SNAPSHOTS, TARGET, Site, wait_for

OTHER = OtherServerError.exit_code


def _identifier(database: Database) -> int:
    with database.connect() as connection:
        [(identifier,)] = connection.execute("SELECT system_identifier FROM pg_control_system()").fetchall()
    return int(identifier)


def _move(site: Site, other: Site, **more: Any) -> None:
    """The target's name leads to another server now."""
    site.targets = {TARGET: other.database.dsn(READER)}
    site.configure(**more)


def _targets(site: Site) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(site.run("targets", "list", "--format", "json").stdout)
    return rows


def _good(site: Site) -> int:
    return int(site.value("SELECT count(*) FROM monitoring.snapshot WHERE status = 'ok'"))


def test_another_server_is_refused_until_it_is_accepted(monitored: Site, own: Site) -> None:
    was, now = _identifier(monitored.database), _identifier(own.database)
    for _ in range(2):
        monitored.polled()
    _move(monitored, own)
    done = monitored.run("collect", check=OTHER)
    what = f"Target {TARGET}: another server answers, system_identifier {now}; the history is of {was}."
    assert f"error: {what}" in done.stderr
    assert f"`sbpgmon targets accept {TARGET}`" in done.stderr
    monitored.run("collect", check=OTHER)
    rows = monitored.ask("SELECT DISTINCT status, error, rows FROM monitoring.snapshot WHERE status <> 'ok'")
    assert rows == [("refused", what, None)]
    assert monitored.ask("SELECT kind, detail FROM monitoring.event") == [("identity", what)]
    assert monitored.is_consistent()

    # It is said wherever one looks.
    assert monitored.value("SELECT up FROM monitoring.up ORDER BY time DESC LIMIT 1") == 0
    status = " ".join(monitored.run("status").stdout.split())
    assert "REFUSED" in status
    [row] = _targets(monitored)
    assert (row["target"], row["system_identifier"], row["refused_identifier"]) == (TARGET, was, now)
    assert (row["state"], row["database"]) == ("refused", monitored.database.name)
    table = " ".join(monitored.run("targets", "list").stdout.split())
    assert f"As {TARGET} another server answers, {now}" in table
    doctor = " ".join(monitored.run("doctor", check=None).stdout.split())
    assert f"fail {TARGET}: identity: {what}" in doctor

    done = monitored.run("targets", "accept", TARGET)
    assert f"accepted {TARGET}: system_identifier {now} in place of {was}" in done.stdout
    before = _good(monitored)
    # At once, whatever the interval.
    monitored.configure(metrics={name: {"interval": "1h"} for name in METRICS})
    monitored.polled()
    assert _good(monitored) == before + len(SNAPSHOTS)
    query = (
        "SELECT metric, interval_seconds FROM monitoring.snapshot WHERE metric IN ('stat_database', 'stat_statements') "
        "ORDER BY time DESC LIMIT 2"
    )
    assert sorted(monitored.ask(query)) == [("stat_database", None), ("stat_statements", None)]
    monitored.configure()
    monitored.polled()
    [row] = _targets(monitored)
    assert (row["system_identifier"], row["refused_identifier"], row["state"]) == (now, None, "polled")
    assert monitored.value("SELECT count(*) FROM monitoring.target") == 1
    assert "REFUSED" not in monitored.run("status").stdout
    assert f"{TARGET}: identity: the server that the history is of" in " ".join(monitored.run("doctor").stdout.split())
    assert monitored.is_consistent()


def test_nothing_is_read_from_another_server(monitored: Site, own: Site) -> None:
    monitored.polled()
    _move(monitored, own)
    with own.database.connect() as connection:
        connection.execute("SELECT pg_stat_statements_reset()")
        monitored.run("collect", check=OTHER)
        # It is asked who it is, and no more.
        query = "SELECT DISTINCT substring(query FROM 'sbpgmon:(\\w+)') FROM pg_stat_statements"
        asked = {name for (name,) in connection.execute(query)}
        assert not asked & {*METRICS, "describe", "texts"}


def test_a_daemon_goes_on_when_it_is_accepted(monitored: Site, own: Site) -> None:
    monitored.polled()
    hourly = {name: {"interval": "1h"} for name in METRICS}
    _move(monitored, own, metrics={"server": {"interval": "1s"}} | {n: i for n, i in hourly.items() if n != "server"})
    before = _good(monitored)
    with monitored.start("run") as process:
        refused = "SELECT count(DISTINCT time) FROM monitoring.snapshot WHERE status = 'refused' AND metric = 'server'"
        wait_for(lambda: monitored.value(refused) >= 3)
        assert _good(monitored) == before
        monitored.run("targets", "accept", TARGET)
        # All metrics, without waiting for their hour.
        wait_for(lambda: _good(monitored) >= before + len(SNAPSHOTS))
        process.terminate()
        assert process.wait(30) == 0
    assert [line.split()[1] for line in monitored.log.splitlines()].count("ERROR") == 1
    assert "ended after" in monitored.log
    assert "the other server was accepted: a new epoch begins" in monitored.log


def test_the_known_server_answers_again(monitored: Site, own: Site) -> None:
    home = dict(monitored.targets)
    monitored.polled()
    _move(monitored, own)
    monitored.run("collect", check=OTHER)
    monitored.targets = home
    monitored.configure()
    monitored.polled()
    intervals = monitored.ask("SELECT interval_seconds FROM monitoring.snapshot WHERE metric = 'stat_database' "
                              "AND status = 'ok' ORDER BY time")  # fmt: skip
    assert len(intervals) == 2
    assert intervals[1][0] > 0
    assert [row["state"] for row in _targets(monitored)] == ["polled"]


def test_what_waited_of_the_known_server_is_stored(outage: Site, own_cluster: Cluster, monitored: Site) -> None:
    outage.polled()
    own_cluster.stop()
    assert outage.collect().spooled == len(METRICS)
    own_cluster.start()
    # The store's own server answers as the target now.
    _move(outage, outage)
    done = outage.run("collect", check=OTHER)
    assert "spool: replayed" in done.stderr
    assert outage.spooled == []
    assert _good(outage) == 2 * len(SNAPSHOTS)
    assert outage.value("SELECT count(*) FROM monitoring.snapshot WHERE status = 'refused'") == len(SNAPSHOTS)


def test_nothing_to_accept(monitored: Site) -> None:
    done = monitored.run("targets", "accept", "nobody", check=2)
    assert "The store has no target 'nobody'" in done.stderr
    monitored.polled()
    done = monitored.run("targets", "accept", TARGET, check=2)
    assert f"Nothing to accept: no other server has answered as target {TARGET}." in done.stderr
    assert "→ `sbpgmon targets list`" in done.stderr
    monitored.targets |= {"later": monitored.database.dsn(READER)}
    monitored.configure()
    assert [(row["target"], row["state"]) for row in _targets(monitored)] == [
        (TARGET, "polled"),
        ("later", "no poll yet"),
    ]
