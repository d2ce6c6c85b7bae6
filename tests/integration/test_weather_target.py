"""Bad weather on a target: each one message, a failed snapshot, the documented code; the store is consistent."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from sbpgmon.config import Target
from sbpgmon.demo.server import Cluster
from sbpgmon.errors import UnsupportedError
from sbpgmon.sources.probe import probe
from sbpgmon.sources.session import Session
from tests.integration.support import METRICS, OWNER, READER, SNAPSHOTS, TARGET, Site, wait_for
from tests.integration.test_agent_targets import SLOW

pytestmark = pytest.mark.matrix


def _collect(site: Site, dsn: str, code: int, *messages: str) -> None:
    """`collect` with one target that is in trouble: the code, the messages, a failed snapshot of every metric."""
    site.targets = {TARGET: dsn}
    site.configure()
    done = site.run("collect", check=code)
    for message in messages:
        assert message in done.stderr
    assert site.ask("SELECT status, count(*) FROM monitoring.snapshot GROUP BY 1") == [("unreachable", len(SNAPSHOTS))]
    assert site.is_consistent()
    # And the doctor says the same.
    doctor = site.run("doctor", check=13)
    assert messages[0] in " ".join(doctor.stdout.split())


def test_a_wrong_password(monitored: Site, own_cluster: Cluster, tmp_path: Path) -> None:
    secret = f"hush{secrets.token_hex(8)}"
    pgpass = tmp_path / "pgpass"
    pgpass.write_text(f"127.0.0.1:*:*:*:{secret}\n")
    pgpass.chmod(0o600)
    monitored.variables = {"PGPASSFILE": str(pgpass)}
    dsn = own_cluster.tcp_dsn("postgres", READER)
    _collect(monitored, dsn, 10, f'password authentication failed for user "{READER}"', "Check the role and its")
    assert secret not in (monitored.run("doctor", check=13).stdout)


def test_no_password(monitored: Site, own_cluster: Cluster) -> None:
    _collect(monitored, own_cluster.tcp_dsn("postgres", READER), 10, "no password supplied", "~/.pgpass")


def test_a_right_password_from_pgpass(monitored: Site, own_cluster: Cluster, tmp_path: Path) -> None:
    secret = f"hush{secrets.token_hex(8)}"
    with psycopg.connect(own_cluster.dsn(), autocommit=True) as connection:
        connection.execute(f"ALTER ROLE {READER} PASSWORD '{secret}'".encode())
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    pgpass = tmp_path / "pgpass"
    pgpass.write_text(f"127.0.0.1:*:*:{READER}:{secret}\n")
    pgpass.chmod(0o600)
    monitored.variables = {"PGPASSFILE": str(pgpass)}
    monitored.targets = {TARGET: own_cluster.tcp_dsn("postgres", READER)}
    monitored.configure()
    done = monitored.run("collect")
    assert secret not in done.stderr


def test_no_such_database(monitored: Site) -> None:
    dsn = monitored.database.server.dsn("nowhere", READER)
    _collect(monitored, dsn, 10, 'database "nowhere" does not exist', "Check the name")


def test_no_such_role(monitored: Site) -> None:
    _collect(monitored, monitored.database.dsn("nobody"), 10, 'role "nobody" does not exist', "`sbpgmon grants`")


def test_no_such_host(monitored: Site) -> None:
    _collect(monitored, "host=nowhere.invalid dbname=x", 10, "nowhere.invalid", "Check that the server runs")


def test_a_role_without_pg_monitor(monitored: Site, make_role: Callable[..., str]) -> None:
    role = make_role("plain")
    dsn = monitored.database.dsn(role)
    _collect(monitored, dsn, 12, f"the role {role} is not a member of pg_monitor", f"GRANT pg_monitor TO {role};")


def test_a_superuser_is_refused_unless_told(monitored: Site) -> None:
    dsn = monitored.database.dsn()
    _collect(monitored, dsn, 11, "is a superuser, which a read-only transaction does not stop", "--allow-superuser")
    done = monitored.run("--allow-superuser", "collect")
    assert "--allow-superuser: roles that can write are let through" in done.stderr
    assert f"{len(SNAPSHOTS)} snapshots stored" in done.stderr


def test_a_role_that_may_write_is_refused(monitored: Site, make_role: Callable[..., str]) -> None:
    role = make_role("writer")
    with monitored.database.connect() as connection:
        connection.execute("CREATE SCHEMA shop; CREATE TABLE shop.bet (id int, note text)")
        connection.execute(f"GRANT pg_monitor TO {role}; GRANT UPDATE (note) ON shop.bet TO {role}".encode())
    _collect(monitored, monitored.database.dsn(role), 11, f"the role {role} may write to shop.bet", "pg_monitor alone")


def test_a_role_that_inherits_write_is_refused(monitored: Site, make_role: Callable[..., str]) -> None:
    role, app = make_role("reader"), make_role("app", "NOLOGIN")
    with monitored.database.connect() as connection:
        connection.execute(f"CREATE TABLE public.bet (id int); ALTER TABLE public.bet OWNER TO {app}".encode())
        connection.execute(f"GRANT pg_monitor, {app} TO {role}".encode())
    _collect(
        monitored, monitored.database.dsn(role), 11, f"the role {role} may write to public.bet", "pg_monitor alone"
    )


def test_our_own_schema_is_no_reason_to_refuse(monitored: Site) -> None:
    with monitored.database.connect() as connection:
        connection.execute(f"GRANT pg_monitor TO {OWNER}")
    try:
        monitored.targets = {TARGET: monitored.database.dsn(OWNER)}
        monitored.configure()
        monitored.run("collect")
    finally:
        with monitored.database.connect() as connection:
            connection.execute(f"REVOKE pg_monitor FROM {OWNER}")


def test_pg_stat_statements_is_not_created(monitored: Site) -> None:
    with monitored.database.connect() as connection:
        connection.execute("DROP EXTENSION pg_stat_statements")
    done = monitored.run("collect", check=10)
    assert "the extension pg_stat_statements is not in database" in done.stderr
    assert "CREATE EXTENSION pg_stat_statements" in done.stderr
    statuses = dict(monitored.ask("SELECT metric, status FROM monitoring.snapshot"))
    failed = {metric for metric, status in statuses.items() if status != "ok"}
    assert failed == {"stat_statements", "stat_statements_info", "statement_totals"}
    doctor = " ".join(monitored.run("doctor", check=13).stdout.split())
    assert "pg_stat_statements: the extension is not in database" in doctor
    assert "CREATE EXTENSION pg_stat_statements (not in monitoring)" in doctor


def test_pg_stat_statements_is_not_loaded(own: Site, own_cluster: Cluster) -> None:
    own_cluster.configure(shared_preload_libraries="")
    own_cluster.restart()
    try:
        done = own.run("collect", check=10)
        assert "pg_stat_statements is not loaded: shared_preload_libraries" in done.stderr
        ok = own.value("SELECT count(*) FROM monitoring.snapshot WHERE status = 'ok'")
        assert ok == len(SNAPSHOTS) - 3
        doctor = " ".join(own.run("doctor", check=13).stdout.split())
        assert "the extension is created, but its library is not loaded" in doctor
    finally:
        own_cluster.configure(shared_preload_libraries="pg_stat_statements")
        own_cluster.restart()


def test_a_server_that_is_too_old(monitored: Site) -> None:
    class Old(Session):
        # No server that old can be had everywhere; all else is real.
        server_version_num = 130014

    with Old(Target(name="old", dsn=monitored.database.dsn(READER)), 5.0) as session:
        with pytest.raises(UnsupportedError, match="Target old: PostgreSQL 13 is too old") as caught:
            probe(session)
        assert "PostgreSQL 14 or newer is needed" in caught.value.way_out
        assert caught.value.exit_code == 12


def test_the_server_goes_away_during_a_poll(monitored: Site) -> None:
    monitored.add_file("metrics/a_slow.sql", SLOW)
    monitored.configure(queries_dir="queries", metrics={"a_slow": {"interval": "100ms"}})
    find = (
        "SELECT pid FROM pg_stat_activity WHERE query LIKE '%%sbpgmon:a_slow%%pg_sleep%%' AND usename = %s "
        "AND datname = current_database()"
    )
    with monitored.start("collect") as process:
        wait_for(lambda: monitored.ask(find, READER))
        monitored.ask("SELECT pg_terminate_backend(%s)", monitored.value(find, READER))
        assert process.wait(30) == 10
    assert "Traceback" not in monitored.log
    assert "terminating connection due to administrator command" in monitored.log
    statuses = dict(monitored.ask("SELECT metric, status FROM monitoring.snapshot"))
    assert len(statuses) == len(SNAPSHOTS) + 1
    assert statuses["a_slow"] == "unreachable"
    assert set(statuses.values()) <= {"ok", "unreachable"}
    assert monitored.is_consistent()
    monitored.configure()
    monitored.polled()


def test_a_metric_that_takes_too_long_stops_no_other(monitored: Site) -> None:
    monitored.add_file("metrics/a_slow.sql", SLOW)
    chosen = {"a_slow": {"interval": "100ms", "timeout": "200ms"}}
    monitored.configure(queries_dir="queries", metrics=chosen)
    done = monitored.run("collect", check=10)
    assert "canceling statement due to statement timeout (SQLSTATE 57014)" in done.stderr
    assert "[metrics.NAME] timeout" in done.stderr
    assert dict(monitored.ask("SELECT status, count(*) FROM monitoring.snapshot GROUP BY 1")) == {
        "ok": len(SNAPSHOTS),
        "error": 1,
    }


@pytest.mark.parametrize("who", ["postmaster", "backend"])
def test_a_server_that_hangs_holds_up_nobody(monitored: Site, own: Site, own_cluster: Cluster, who: str) -> None:
    if who == "backend":
        monitored.add_file("metrics/a_slow.sql", SLOW)
    monitored.targets |= {"hangs": own.database.dsn(READER)}
    agent = {"connect_timeout": "2s", "deadline": "2s"}
    chosen = {name: {"interval": "100ms", "enabled": name == "server"} for name in METRICS}
    if who == "backend":
        chosen |= {"a_slow": {"interval": "100ms"}}
    (monitored.folder / "queries").mkdir(exist_ok=True)
    monitored.configure(queries_dir="queries", agent=agent, metrics=chosen)
    find = "SELECT pid FROM pg_stat_activity WHERE usename = %s AND query LIKE '%%pg_sleep%%'"
    stopped: list[int] = []
    try:
        if who == "postmaster":
            assert own_cluster.pid is not None
            stopped.append(own_cluster.pid)
            os.kill(own_cluster.pid, signal.SIGSTOP)
        with monitored.start("collect") as process:
            if who == "backend":
                wait_for(lambda: own.ask(find, READER))
                stopped.append(own.value(find, READER))
                os.kill(stopped[0], signal.SIGSTOP)
            assert process.wait(60) == 10
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    assert "Traceback" not in monitored.log
    assert "Target hangs: " in monitored.log
    if who == "backend":
        assert "no answer within 2 s" in monitored.log
    query = "SELECT status FROM monitoring.snapshot WHERE target = %s AND metric = %s"
    assert monitored.value(query, "hangs", "a_slow" if who == "backend" else "server") == "unreachable"
    assert monitored.value(query, TARGET, "server") == "ok"
    assert monitored.is_consistent()


def test_a_table_that_is_locked_is_not_waited_for(monitored: Site) -> None:
    with monitored.database.connect() as connection:
        connection.execute("CREATE TABLE public.orders (id int); GRANT SELECT ON public.orders TO pg_monitor")
    monitored.add_file(
        "metrics/counted.sql",
        "-- Orders.\n--\n-- interval: 15s\n-- timeout: 60s\n-- columns:\n--   n  gauge  bigint  orders\n"
        "select count(*) as n from public.orders\n",
    )
    monitored.configure(queries_dir="queries", metrics={"counted": {"interval": "100ms"}})
    with monitored.database.connect() as connection, connection.transaction():
        connection.execute("LOCK TABLE public.orders IN ACCESS EXCLUSIVE MODE")
        done = monitored.run("collect", check=10)
    assert "lock timeout" in done.stderr
    error = monitored.value("SELECT error FROM monitoring.snapshot WHERE metric = 'counted'")
    assert "lock timeout" in error
    monitored.polled()


def test_what_a_deadline_cuts_off_is_said(monitored: Site) -> None:
    monitored.add_file("metrics/a_slow.sql", SLOW)
    monitored.add_file("metrics/b_next.sql", SLOW.replace("pg_sleep(60)", "pg_sleep(0)"))
    chosen = {name: {"interval": "100ms"} for name in ("a_slow", "b_next")}
    monitored.configure(queries_dir="queries", metrics=chosen, agent={"deadline": "2s"})
    done = monitored.run("collect", check=10)
    assert f"Target {TARGET}: no answer within 2 s. See whether the server hangs" in done.stderr
    errors = dict(monitored.ask("SELECT metric, error FROM monitoring.snapshot WHERE status = 'error'"))
    assert errors["a_slow"].startswith(f"Target {TARGET}: no answer within 2 s.")
    assert errors["b_next"] == f"not read: the deadline of target {TARGET} was over"
    assert monitored.value("SELECT count(*) FROM monitoring.snapshot WHERE status = 'ok'") == len(SNAPSHOTS)
