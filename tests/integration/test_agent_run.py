"""`run`: what the daemon does with signals, with systemd, and when the schema goes."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Database
from tests.integration.support import GAP, METRICS, READER, SNAPSHOTS, TARGET, Site, make_roles, wait_for
from tests.integration.test_agent_targets import SLOW

pytestmark = pytest.mark.matrix
EVERY_SECOND = {name: {"interval": "1s"} for name in METRICS}


def _snapshots(site: Site, target: str = TARGET) -> int:
    return int(site.value("SELECT count(*) FROM monitoring.snapshot WHERE target = %s AND status = 'ok'", target))


@contextlib.contextmanager
def _running(site: Site) -> Iterator[subprocess.Popen[str]]:
    """The daemon, once it has stored something."""
    with site.start("run") as process:
        wait_for(lambda: _snapshots(site) > 0)
        yield process
    assert "Traceback" not in site.log


def test_sigterm_finishes_the_poll_in_hand(monitored: Site) -> None:
    monitored.add_file("metrics/slow.sql", SLOW.replace("pg_sleep(60)", "pg_sleep(2)"))
    monitored.configure(queries_dir="queries", metrics=EVERY_SECOND | {"slow": {"interval": "1s"}})
    query = "SELECT FROM pg_stat_activity WHERE query LIKE '%%sbpgmon:slow%%' AND state = 'active'"
    with monitored.start("run") as process:
        wait_for(lambda: monitored.ask(f"{query} AND datname = current_database() AND pid <> pg_backend_pid()"))
        process.terminate()
        assert process.wait(30) == 0
    assert "Traceback" not in monitored.log
    assert f"stopped: {len(SNAPSHOTS) + 1} snapshots were stored" in monitored.log
    assert monitored.value("SELECT count(*) FROM monitoring.snapshot WHERE metric = 'slow' AND status = 'ok'") == 1
    # Its lease is given up, so that the next one need not wait.
    assert monitored.ask("SELECT FROM monitoring.lease WHERE target_id > 0") == []
    assert monitored.is_consistent()


def test_ticks_are_on_the_grid_and_no_metric_runs_oftener_than_its_interval(monitored: Site) -> None:
    chosen: dict[str, dict[str, Any]] = {name: {"enabled": False} for name in METRICS}
    chosen |= {"server": {"interval": "1s"}, "locks": {"interval": "4s"}}
    monitored.configure(metrics=chosen, environment={"tick": "2s"})
    query = (
        "SELECT extract(epoch FROM time)::float8, nominal_interval_seconds, quality FROM monitoring.snapshot "
        "WHERE metric = %s ORDER BY time"
    )
    with monitored.start("run") as process:
        wait_for(lambda: len(monitored.ask(query, "locks")) >= 3)
        process.terminate()
        assert process.wait(30) == 0
    slots = [int(time // 4) for time, _, _ in monitored.ask(query, "locks")]
    assert slots == list(range(slots[0], slots[0] + len(slots)))
    quick = monitored.ask(query, "server")
    ticks = [int(time // 2) for time, _, _ in quick]
    assert ticks == list(range(ticks[0], ticks[0] + len(ticks)))
    # What is read once a tick can have no gap of a tick; the first was read at the start, between two ticks.
    assert {nominal for _, nominal, _ in quick} == {2}
    assert max(time % 2 for time, _, _ in quick[1:]) < 1
    assert [quality & ~GAP for _, _, quality in quick[1:]] == [0] * len(quick[1:])


def test_sigint_ends_it_too(monitored: Site) -> None:
    monitored.configure(metrics=EVERY_SECOND)
    with _running(monitored) as process:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def test_sighup_reads_the_configuration_again(monitored: Site, database: Database) -> None:
    make_roles(database)
    monitored.configure(metrics=EVERY_SECOND)
    with _running(monitored) as process:
        good = monitored.config.read_text()
        monitored.config.write_text(good + "\nnonsense = [")
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: "the old one holds" in monitored.log)
        before = _snapshots(monitored)
        wait_for(lambda: _snapshots(monitored) > before)

        monitored.config.write_text(good.replace("[agent]", "[agent]\nunheard_of = 1"))
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: monitored.log.count("the old one holds") == 2)
        assert "agent.unheard_of: unknown key" in monitored.log

        monitored.targets |= {"second": database.dsn(READER)}
        monitored.configure(metrics=EVERY_SECOND)
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: "the configuration was read again: 2 targets" in monitored.log)
        wait_for(lambda: _snapshots(monitored, "second") > 0)

        del monitored.targets[TARGET]
        monitored.configure(metrics=EVERY_SECOND)
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: "the configuration was read again: 1 targets" in monitored.log)
        before = _snapshots(monitored)
        second = _snapshots(monitored, "second")
        wait_for(lambda: _snapshots(monitored, "second") > second)
        assert _snapshots(monitored) == before
        process.terminate()
        assert process.wait(30) == 0


def test_what_systemd_hears(monitored: Site, tmp_path: Path) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(path))
        server.settimeout(30)
        monitored.variables = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "400000"}
        monitored.configure(metrics=EVERY_SECOND)
        with monitored.start("run") as process:
            assert server.recv(100) == b"READY=1"
            for _ in range(3):
                assert server.recv(100) == b"WATCHDOG=1"
            process.terminate()
            heard = b"WATCHDOG=1"
            while heard == b"WATCHDOG=1":
                heard = server.recv(100)
            assert heard == b"STOPPING=1"
            assert process.wait(30) == 0


def test_the_abstract_socket_of_systemd(monitored: Site) -> None:
    name = f"sbpgmon-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(f"\0{name}")
        server.settimeout(30)
        monitored.variables = {"NOTIFY_SOCKET": f"@{name}"}
        with monitored.start("run"):
            assert server.recv(100) == b"READY=1"


def test_a_socket_that_is_gone_is_no_reason_to_end(monitored: Site, tmp_path: Path) -> None:
    monitored.variables = {"NOTIFY_SOCKET": str(tmp_path / "nobody"), "WATCHDOG_USEC": "400000"}
    monitored.configure(metrics=EVERY_SECOND)
    with _running(monitored) as process:
        process.terminate()
        assert process.wait(30) == 0


def _drop(site: Site) -> None:
    with site.database.connect() as connection:
        connection.execute("SET client_min_messages = warning; DROP SCHEMA monitoring CASCADE")


def _stop(site: Site) -> None:
    with site.database.connect() as connection:
        connection.execute("UPDATE monitoring.control SET stop_requested_at = now(), stop_reason = 'a test'")


@pytest.mark.parametrize(("away", "message"), [(_drop, "The schema monitoring is not"), (_stop, "asked all agents")])
def test_the_schema_goes_under_it(monitored: Site, away: Callable[[Site], None], message: str) -> None:
    monitored.configure(metrics=EVERY_SECOND)
    with _running(monitored) as process:
        away(monitored)
        assert process.wait(30) == 21
    assert monitored.log.count(message) == 1
    assert "→" in monitored.log
    left = monitored.value("SELECT to_regnamespace('monitoring') IS NOT NULL")
    assert left is (away is _stop)
    # Neither it nor cron makes the schema anew.
    for command in ("collect", "run"):
        done = monitored.run(command, check=21)
        assert message in done.stderr
    assert monitored.value("SELECT to_regnamespace('monitoring') IS NOT NULL") is left


def test_a_schema_without_its_tables(monitored: Site) -> None:
    monitored.polled()
    with monitored.database.connect() as connection:
        connection.execute("DROP TABLE monitoring.snapshot_log CASCADE")
    done = monitored.run("collect", check=20)
    assert 'A table of monitoring is missing: relation "monitoring.snapshot_log" does not exist' in done.stderr


def test_init_after_a_stop_goes_on(monitored: Site) -> None:
    _stop(monitored)
    monitored.run("collect", check=21)
    monitored.run("init")
    monitored.polled()


def test_a_real_rollback_ends_a_real_agent(monitored: Site) -> None:
    monitored.configure(metrics=EVERY_SECOND)
    with _running(monitored) as process:
        done = monitored.run("rollback", "--yes")
        assert "monitoring is gone." in done.stdout
        assert process.wait(30) == 21
    assert monitored.value("SELECT to_regnamespace('monitoring')") is None
