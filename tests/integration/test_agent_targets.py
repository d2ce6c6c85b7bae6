"""Several targets, one store: what goes wrong on one, or in one metric, stops nothing else; one agent at a time."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from sbpgmon.errors import LeaseTakenError
from tests.conftest import Database
from tests.integration.support import OWNER, READER, SNAPSHOTS, TARGET, Site, make_roles, wait_for

pytestmark = pytest.mark.matrix

BROKEN = """-- A query that the server refuses.
--
-- interval: 15s
-- columns:
--   value  gauge  bigint  value
select 1 / (select count(*) from pg_class where relname = '')::bigint as value
"""
SLOW = """-- A query that takes its time.
--
-- interval: 15s
-- timeout: 60s
-- columns:
--   value  gauge  bigint  value
select count(*) as value from pg_sleep(60)
"""


def _statuses(site: Site) -> dict[tuple[str, str], tuple[str, str | None]]:
    rows = site.ask("SELECT target, metric, status, error FROM monitoring.snapshot")
    return {(target, metric): (status, error) for target, metric, status, error in rows}


def test_several_targets_one_store(monitored: Site, database: Database) -> None:
    make_roles(database)
    with database.connect() as connection:
        connection.execute("CREATE EXTENSION pg_stat_statements")
    monitored.targets |= {"second": database.dsn(READER)}
    monitored.configure()
    for _ in range(2):
        done = monitored.run("collect")
    assert f"2 targets polled: {2 * len(SNAPSHOTS)} snapshots stored" in done.stderr
    counts = monitored.ask("SELECT target, count(*) FROM monitoring.snapshot WHERE status = 'ok' GROUP BY 1 ORDER BY 1")
    assert counts == [(TARGET, 2 * len(SNAPSHOTS)), ("second", 2 * len(SNAPSHOTS))]
    databases = monitored.ask("SELECT name, database FROM monitoring.target ORDER BY 1")
    assert databases == [(TARGET, monitored.database.name), ("second", database.name)]
    assert monitored.is_consistent()
    out = monitored.run("status").stdout
    assert TARGET in out
    assert "second" in out


def test_a_target_that_is_down_stops_no_other(monitored: Site) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monitored.targets = {"down": f"host=127.0.0.1 port={port} dbname=x user=y"} | monitored.targets
    monitored.configure()
    done = monitored.run("collect", check=10)
    assert "Target down: connection failed" in done.stderr
    assert "Check that the server runs" in done.stderr
    statuses = _statuses(monitored)
    assert {status for (target, _), (status, _) in statuses.items() if target == TARGET} == {"ok"}
    down = {metric: error for (target, metric), (status, error) in statuses.items() if status == "unreachable"}
    assert sorted(down) == sorted(SNAPSHOTS)
    assert all("refused" in str(error) for error in down.values())
    assert set(monitored.ask("SELECT target, up FROM monitoring.up")) == {(TARGET, 1), ("down", 0)}
    assert "DOWN" in monitored.run("status").stdout


def test_a_metric_that_is_broken_stops_no_other(monitored: Site) -> None:
    monitored.add_file("metrics/broken.sql", BROKEN)
    monitored.configure(queries_dir="queries", metrics={"broken": {"interval": "100ms"}})
    done = monitored.run("collect", check=10)
    assert "division by zero" in done.stderr
    assert "metric=broken" in done.stderr
    statuses = _statuses(monitored)
    assert statuses.pop((TARGET, "broken")) == (
        "error",
        f"Target {TARGET}: division by zero (SQLSTATE 22012). Mend the query.",
    )
    assert {status for status, _ in statuses.values()} == {"ok"}
    assert len(statuses) == len(SNAPSHOTS)
    # One row that says so, not one of many a minute.
    assert monitored.value("SELECT count(*) FROM monitoring.broken") == 0
    assert monitored.is_consistent()
    assert "division" in monitored.run("status").stdout


def test_one_agent_at_a_time_in_a_folder(monitored: Site) -> None:
    monitored.add_file("metrics/slow.sql", SLOW)
    monitored.configure(queries_dir="queries", metrics={"slow": {"interval": "100ms"}})
    with monitored.start("collect"):
        wait_for(lambda: monitored.ask("SELECT FROM pg_stat_activity WHERE query LIKE '%%sbpgmon:slow%%pg_sleep%%' "
                                       "AND application_name = 'sbpgmon'"))  # fmt: skip
        done = monitored.run("collect", check=30)
        assert "Another agent works with the state folder" in done.stderr
        assert "→ Wait for it to end" in done.stderr


def test_one_agent_at_a_time_on_a_target(monitored: Site, tmp_path: Path) -> None:
    monitored.add_file("metrics/slow.sql", SLOW)
    monitored.configure(queries_dir="queries", metrics={"slow": {"interval": "100ms"}})
    other = Site(monitored.database, tmp_path / "other")
    with monitored.start("collect") as process:
        wait_for(lambda: monitored.ask("SELECT FROM monitoring.lease WHERE target_id > 0"))
        holder = monitored.value("SELECT holder FROM monitoring.lease WHERE target_id > 0")
        assert holder.startswith(f"{socket.gethostname()}:")
        done = other.run("collect", check=30)
        assert f"Another agent polls {TARGET}: {holder}." in done.stderr
        assert monitored.value("SELECT count(*) FROM monitoring.snapshot") == 0
        # kill -9: the lease stays, until its time is over.
        process.kill()
        process.wait()
    with pytest.raises(LeaseTakenError):
        other.collect()
    with monitored.database.connect() as connection:
        connection.execute("UPDATE monitoring.lease SET expires_at = clock_timestamp() - interval '1 s'")
    other.polled()
    # And who ends well gives it up.
    assert monitored.ask("SELECT FROM monitoring.lease WHERE target_id > 0") == []


def test_an_agent_that_was_killed_finds_its_own_lease_again(monitored: Site) -> None:
    monitored.add_file("metrics/slow.sql", SLOW)
    monitored.configure(queries_dir="queries", metrics={"slow": {"interval": "100ms"}})
    with monitored.start("collect") as process:
        wait_for(lambda: monitored.ask("SELECT FROM monitoring.lease WHERE target_id > 0"))
        process.kill()
        process.wait()
    assert monitored.ask("SELECT FROM monitoring.lease WHERE target_id > 0") != []
    monitored.configure()
    monitored.polled()


def test_targets_that_nobody_holds_are_polled(monitored: Site, tmp_path: Path) -> None:
    monitored.polled()
    with monitored.database.connect() as connection:
        connection.execute(
            "INSERT INTO monitoring.lease SELECT target_id, 'elsewhere:1:x', clock_timestamp() + interval '1 h' "
            "FROM monitoring.target"
        )
    other = Site(monitored.database, tmp_path / "other")
    other.targets |= {"free": monitored.database.dsn(READER)}
    other.configure()
    done = other.run("collect")
    assert f"another agent polls this target: elsewhere:1:x target={TARGET}" in done.stderr
    assert "1 targets polled" in done.stderr
    assert monitored.value("SELECT count(*) FROM monitoring.snapshot WHERE target = 'free'") == len(SNAPSHOTS)


def test_dsn_alone_is_target_and_store(monitored: Site) -> None:
    with monitored.database.connect() as connection:
        connection.execute(f"GRANT pg_monitor TO {OWNER}")
    try:
        monitored.config.unlink()
        monitored.variables = {"SBPGMON_DSN": monitored.database.dsn(OWNER), "SBPGMON_STATE_DIR": "state"}
        command = [arg for arg in monitored.command("collect") if arg not in ("--config", str(monitored.config))]
        done = monitored.run(command=command, cwd=monitored.folder)
        assert f"1 targets polled: {len(SNAPSHOTS)} snapshots stored" in done.stderr
        assert (monitored.folder / "state").is_dir()
        doctor = monitored.run(command=[*command[:-1], "doctor"], cwd=monitored.folder)
        assert "both reads the target and owns the schema" in " ".join(doctor.stdout.split())
    finally:
        with monitored.database.connect() as connection:
            connection.execute(f"REVOKE pg_monitor FROM {OWNER}")
