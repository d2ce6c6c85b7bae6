"""What the commands print, for people and for programs."""

from __future__ import annotations

import csv
import io
import json
import secrets
import subprocess
from typing import Any

import psycopg
import pytest

from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.errors import exit_codes
from tests.integration.support import METRICS, SNAPSHOTS, TARGET, Site

pytestmark = pytest.mark.matrix


def _flat(text: str) -> str:
    return " ".join(text.split())


def _json(site: Site, *args: str) -> Any:
    return json.loads(site.run(*args, "--format", "json").stdout)


@pytest.fixture
def busy(monitored: Site) -> tuple[Site, str]:
    """A site with some history: twelve calls of a statement, and its name."""
    name = f"busy_{secrets.token_hex(4)}"
    monitored.polled()
    for calls in (5, 7):
        with monitored.database.connect() as connection:
            for _ in range(calls):
                connection.execute(f"SELECT 1 AS {name}, 'it\\''s, \"quoted\"'".replace("\\'", "'").encode())
        monitored.polled()
    monitored.polled()
    return monitored, name


def test_help_lists_every_command_and_exit_code(offline: Site) -> None:
    text = _flat(offline.run("--help").stdout)
    for command in ("grants", "doctor", "init", "collect", "run", "status", "top", "metrics", "store", "rollback"):
        assert f" {command} " in text
    for code, meaning in exit_codes().items():
        assert f"{code} {meaning}" in text
    assert offline.run("--version").stdout.startswith("sbpgmon, version ")


def test_status(busy: tuple[Site, str]) -> None:
    site, _ = busy
    found = _json(site, "status")
    [target] = found["targets"]
    assert (target["target"], target["up"], target["is_standby"]) == (TARGET, True, False)
    assert target["database"] == site.database.name
    assert 0 < target["cache_hit_ratio"] <= 1
    assert target["client_backends"] > 0
    assert target["available"] > target["client_backends"]
    assert target["tps"] > 0
    assert target["deadlocks"] == 0
    assert sorted(snapshot["metric"] for snapshot in found["snapshots"]) == sorted(SNAPSHOTS)
    assert {snapshot["status"] for snapshot in found["snapshots"]} == {"ok"}
    table = site.run("status").stdout
    assert "up, primary" in table
    assert f"{target['client_backends']:.0f}/{target['available']:.0f}" in table
    assert all(metric in table for metric in METRICS)
    assert max(map(len, table.splitlines())) <= 80


def test_status_before_the_first_poll(monitored: Site) -> None:
    assert "No target has been polled yet" in monitored.run("status").stdout
    assert _json(monitored, "status") == {"window_seconds": 900.0, "targets": [], "snapshots": []}


def test_top(busy: tuple[Site, str]) -> None:
    site, name = busy
    rows = _json(site, "top", "--limit", "10000")
    [row] = [row for row in rows if name in (row["query"] or "")]
    assert (row["target"], row["calls"], row["rows"]) == (TARGET, 12, 12)
    assert row["mean_exec_time"] == pytest.approx(row["total_exec_time"] / 12, rel=1e-3)
    # Dearest first, and shares of the whole.
    times = [row["total_exec_time"] for row in rows]
    assert times == sorted(times, reverse=True)
    assert 0.99 < sum(row["share"] for row in rows if row["share"]) <= 1.001
    assert len(_json(site, "top", "--limit", "3")) == 3
    by_calls = _json(site, "top", "--by", "calls", "--limit", "10000")
    calls = [row["calls"] for row in by_calls]
    assert calls == sorted(calls, reverse=True)
    table = site.run("top", "--limit", "5").stdout
    assert "Top 5 statements by total_exec_time" in table
    assert max(map(len, table.splitlines())) <= 80


def test_top_as_csv(busy: tuple[Site, str]) -> None:
    site, name = busy
    rows = list(csv.DictReader(io.StringIO(site.run("top", "--limit", "10000", "--format", "csv").stdout)))
    [row] = [row for row in rows if name in row["query"]]
    assert (row["target"], row["calls"]) == (TARGET, "12")
    assert row["query"] == f"SELECT $1 AS {name}, $2"


def test_top_over_a_stretch(busy: tuple[Site, str]) -> None:
    site, name = busy
    times = [
        time.isoformat()
        for (time,) in site.ask("SELECT time FROM monitoring.snapshot WHERE metric = 'stat_statements' ORDER BY time")
    ]

    def calls(*args: str) -> int:
        rows = _json(site, "top", "--limit", "10000", *args)
        return sum(row["calls"] for row in rows if name in (row["query"] or ""))

    # A snapshot stands for the interval that ends with it; the end of the stretch is not in it.
    assert calls("--since", times[0]) == 12
    assert calls("--since", times[2]) == 7
    assert calls("--since", times[1], "--until", times[2]) == 5
    assert calls("--since", "2000-01-01", "--until", times[0]) == 0
    assert calls("--target", TARGET) == 12


def test_top_with_nothing_to_show(monitored: Site) -> None:
    monitored.polled()
    assert "No statement ran in this stretch" in _flat(monitored.run("top").stdout)
    assert _json(monitored, "top") == []
    assert monitored.run("top", "--format", "csv").stdout == ""


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--by", "nothing"), "total_exec_time"),
        (("--by", "query; DROP TABLE x"), "total_exec_time"),
        (("--since", "yesterday"), "neither a duration"),
        (("--since", "1m", "--until", "1h"), "--since is not before --until"),
        (("--limit", "0"), "0 is not in the range"),
        (("--target", "nobody"), "nobody"),
    ],
)
def test_top_asked_for_the_impossible(monitored: Site, args: tuple[str, ...], message: str) -> None:
    assert message in _flat(monitored.run("top", *args, check=2).stderr)


@pytest.mark.parametrize("form", ["json", "table"])
def test_top_into_head(busy: tuple[Site, str], form: str) -> None:
    site, _ = busy
    # More than fits into a pipe, whose buffer is 64 kB.
    site.variables = {"COLUMNS": "2000"}
    with site.database.connect() as connection:
        for number in range(50):
            columns = ", ".join(f"{n} AS column_{number}_{n}" for n in range(200))
            connection.execute(f"SELECT {columns}".encode())
    site.polled()
    site.polled()
    reader = subprocess.Popen(["head", "-c", "1"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert reader.stdin is not None
    with reader, reader.stdin:
        done = subprocess.run(
            site.command("top", "--limit", "10000", "--format", form), env=site.environment(), stdout=reader.stdin,
            stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_metrics_list_and_show(offline: Site) -> None:
    rows = _json(offline, "metrics", "list")
    assert [row["name"] for row in rows] == sorted(load_catalog().metrics)
    assert all(name in offline.run("metrics", "list").stdout for name in METRICS)
    shown = _json(offline, "metrics", "show", "stat_database")
    assert "deadlocks" in [column["name"] for column in shown["columns"]]
    assert "deadlocks" in offline.run("metrics", "show", "stat_database").stdout
    done = offline.run("metrics", "show", "nothing", check=2)
    assert "There is no metric 'nothing'." in done.stderr
    assert "stat_database" in done.stderr


def test_doctor_when_all_is_well(monitored: Site) -> None:
    done = monitored.run("doctor")
    assert "0 failed" in done.stdout
    assert "fail " not in done.stdout
    checks = _json(monitored, "doctor")
    assert {check["status"] for check in checks} <= {"ok", "warn"}
    assert {(check["where"], check["check"]) for check in checks} >= {
        ("store", "connection"), ("store", "schema"), ("store", "suitable"), (TARGET, "connection"),
        (TARGET, "role"), (TARGET, "pg_stat_statements"), (TARGET, "clock"), (TARGET, "TLS"), ("agent", "free disk"),
    }  # fmt: skip


def test_doctor_changes_nothing(bare: Site) -> None:
    bare.run("doctor", check=None)
    assert bare.value("SELECT count(*) FROM pg_class WHERE relnamespace NOT IN (SELECT oid FROM pg_namespace "
                      "WHERE nspname LIKE 'pg%%' OR nspname = 'information_schema')") == 0  # fmt: skip
    assert not bare.state_dir.exists()


def test_logs_as_json(monitored: Site) -> None:
    monitored.targets |= {"down": "host=127.0.0.1 port=1 dbname=x"}
    monitored.configure()
    done = monitored.run("--log-format", "json", "collect", check=10)
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    [error] = [line for line in lines if line["level"] == "error"]
    assert error["target"] == "down"
    assert "Connection refused" in error["message"]


def test_grants_that_psql_takes(bare: Site) -> None:
    bare.database.server.dsn()
    text = bare.run("grants").stdout
    assert f'GRANT CONNECT ON DATABASE "{bare.database.name}"' in text
    with bare.database.connect() as connection:
        for _ in range(2):
            connection.execute(text.encode())
    bare.run("init")
    with bare.database.connect("grafana_reader") as connection:
        assert connection.execute("SELECT count(*) FROM monitoring.snapshot").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT FROM monitoring.snapshot_log")


def test_init_prints_the_ddl(bare: Site) -> None:
    script = bare.run("init", "--sql").stdout
    with bare.database.connect() as connection:
        connection.execute(f"GRANT CREATE ON DATABASE {bare.database.name} TO sbpgmon_owner".encode())
    with psycopg.connect(bare.database.dsn("sbpgmon_owner"), autocommit=True) as connection:
        connection.execute(script.encode())
    assert "monitoring is up to date" in bare.run("init").stdout
    bare.configure(metrics={name: {"enabled": False} for name in METRICS if name.startswith("stat_statements")})
    bare.polled()


def test_collect_is_quiet_for_cron(monitored: Site) -> None:
    done = monitored.run("collect", "--quiet")
    assert (done.stdout, done.stderr) == ("", "")
    monitored.targets |= {"down": "host=127.0.0.1 port=1 dbname=x"}
    monitored.configure()
    assert "Target down" in monitored.run("collect", "--quiet", check=10).stderr
