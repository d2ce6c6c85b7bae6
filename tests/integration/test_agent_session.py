"""What the agent leaves on a target's session: nothing. And a standby, read like any other."""

from __future__ import annotations

import json

import pytest

from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.collect.due import due_metrics
from sbpgmon.collect.poll import poll_target
from sbpgmon.config import Target, load
from sbpgmon.model import Status
from sbpgmon.sources.session import Session
from tests.conftest import Server
from tests.integration.support import ONLY_ONCE, READER, SNAPSHOTS, TARGET, Site, wait_for
from tests.integration.test_agent_targets import BROKEN

pytestmark = pytest.mark.matrix


def test_polls_leave_no_session_state(monitored: Site) -> None:
    monitored.add_file("metrics/broken.sql", BROKEN)
    monitored.configure(queries_dir="queries")
    settings = load(monitored.config)
    catalog = load_catalog(settings.queries_dir)
    target = Target(name=TARGET, dsn=monitored.database.dsn(READER))
    with Session(target, 5.0) as session:
        connection = session._conn  # the very session, which nobody else can ask

        def state() -> list[tuple[object, ...]]:
            return [
                *connection.execute("SELECT name, setting FROM pg_settings ORDER BY 1").fetchall(),
                *connection.execute("SELECT locktype, mode FROM pg_locks WHERE locktype = 'advisory'").fetchall(),
                *connection.execute("SELECT name, statement FROM pg_prepared_statements").fetchall(),
                *connection.execute("SELECT name FROM pg_cursors WHERE name <> ''").fetchall(),
                *connection.execute("SELECT pg_my_temp_schema()").fetchall(),
            ]

        before = state()
        for second in (0, 1):
            due = due_metrics(catalog, {}, {}, second)
            texts = [1] if second else []
            poll = poll_target(session, due, settings, {}, texts)
            failed = {r.metric for r in poll.readings if r.status not in (Status.OK, Status.SKIPPED)}
            assert failed == {"broken"}
        assert state() == before
        sources = connection.execute("SELECT name FROM pg_settings WHERE source = 'session'").fetchall()
        assert sources == []


def test_a_daemon_holds_a_connection_and_no_transaction(monitored: Site) -> None:
    monitored.configure(**ONLY_ONCE)
    with monitored.start("run"):
        wait_for(lambda: monitored.value("SELECT count(*) FROM monitoring.snapshot") == len(SNAPSHOTS))
        # What has been stored has been read: between two polls now.
        held = monitored.ask(
            "SELECT state, xact_start, backend_xmin::text, (SELECT count(*) FROM pg_locks l WHERE l.pid = a.pid) "
            "FROM pg_stat_activity a WHERE usename = %s AND datname = current_database()",
            READER,
        )
    assert held == [("idle", None, None, 0)]


def test_a_standby_is_a_target(own: Site, standby: Server) -> None:
    own.targets |= {"replica": standby.dsn(own.database.name, READER)}
    own.configure()
    for _ in range(2):
        done = own.run("collect")
    assert f"2 targets polled: {2 * len(SNAPSHOTS)} snapshots stored" in done.stderr
    status = json.loads(own.run("status", "--format", "json").stdout)
    standbys = {target["target"]: target["is_standby"] for target in status["targets"]}
    assert standbys == {TARGET: False, "replica": True}
    assert "up, standby" in own.run("status").stdout
    found = own.ask("SELECT DISTINCT target, in_recovery FROM monitoring.server ORDER BY 1")
    assert found == [(TARGET, False), ("replica", True)]


def test_a_metric_for_primaries_is_skipped_on_a_standby(own: Site, standby: Server) -> None:
    own.targets = {"replica": standby.dsn(own.database.name, READER)}
    for role in ("primary", "standby"):
        text = f"-- For a {role}.\n--\n-- interval: 15s\n-- role: {role}\n-- columns:\n--   v  gauge  integer  value\n"
        own.add_file(f"metrics/for_{role}.sql", text + "select 1 as v\n")
    own.configure(queries_dir="queries")
    own.run("collect", check=None)
    rows = own.ask("SELECT metric, status, error FROM monitoring.snapshot WHERE metric LIKE 'for_%' ORDER BY 1")
    assert rows == [("for_primary", "skipped", "only on a primary"), ("for_standby", "ok", None)]


def test_a_standby_is_no_store(own: Site, standby: Server) -> None:
    own.configure(store=standby.dsn(own.database.name, "sbpgmon_owner"))
    for command in ("init", "collect", "run"):
        done = own.run(command, check=23)
        assert "read-only" in done.stderr
        assert "→" in done.stderr
    doctor = own.run("doctor", check=13)
    assert "hot standby" in " ".join(doctor.stdout.split())
