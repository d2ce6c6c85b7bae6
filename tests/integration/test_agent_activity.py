"""What each tenant does, through the agent: differences, sessions, sizes, and what is not known."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.support import CHECKS, METRICS, TARGET, Site, wait_for
from tests.isolation.world import World

pytestmark = pytest.mark.matrix
LOAD = "SELECT tup_read, tup_written, quality & 2 FROM monitoring.tenant_load WHERE tenant = %s AND tier = '1m' "
LAST = LOAD + "ORDER BY time DESC LIMIT 1"


@pytest.fixture
def watched(monitored: Site, make_world: Callable[[str], World]) -> tuple[Site, World]:
    """A store, and a target of a schema for each tenant."""
    world = make_world("schemas")
    monitored.targets = {TARGET: world.target.dsn}
    _configure(monitored, world)
    return monitored, world


def _configure(site: Site, world: World, **tenancy: Any) -> None:
    site.configure(
        metrics={name: {"enabled": False} for name in METRICS} | {"tenant_activity": {"interval": "100ms"}},
        tenancy=world.tenancy(tenancy).model_dump(mode="json", exclude_none=True),
    )


def _work(world: World, tenant: str, rows: int) -> None:
    """Writes rows, and reads them once."""
    with world.database.connect(world.text(f"{{t_{tenant}_app}}")) as app:
        app.execute(f"INSERT INTO t_{tenant}.employees (name) SELECT 'e' FROM generate_series(1, {rows})".encode())
        if app.info.server_version >= 150000:
            app.execute("SELECT pg_stat_force_next_flush()")
            app.execute("SELECT 1")
    if world.major < 15:
        time.sleep(1.5)  # the collector's messages have no end that could be waited for


def test_load_of_each_tenant(watched: tuple[Site, World]) -> None:
    site, world = watched
    site.polled()
    # The first reading has nothing to be compared with.
    assert site.ask(LAST, "acme") == [(None, None, 2)]
    _work(world, "acme", 300)
    site.polled()
    assert site.ask(LAST, "acme") == [(0, 300, 0)]
    assert site.ask(LAST, "beta") == [(0, 0, 0)]
    assert site.ask("SELECT active, known, tenants FROM monitoring.active_tenants ORDER BY time") == [
        (0, 3, 3),
        (1, 3, 3),
    ]
    share = (
        "SELECT share, load > 0, sessions FROM monitoring.tenant_load WHERE tenant = 'acme' ORDER BY time DESC LIMIT 1"
    )
    assert site.ask(share) == [(1.0, True, 0)]
    with world.database.connect(world.text("{t_beta_app}")):
        site.polled()
        assert site.value(
            "SELECT sessions FROM monitoring.tenant_load WHERE tenant = 'beta' ORDER BY time DESC LIMIT 1"
        ) == 1  # fmt: skip
    assert site.is_consistent()


def test_tables_that_come_and_go_are_no_load(watched: tuple[Site, World]) -> None:
    site, world = watched
    _work(world, "acme", 1000)
    site.polled()
    _work(world, "acme", 20)
    world.run("DROP TABLE t_acme.payslips CASCADE")
    site.polled()
    # Not 20, and above all not 1,020.
    assert site.ask(LAST, "acme") == [(None, None, 2)]
    _work(world, "acme", 7)
    site.polled()
    assert site.ask(LAST, "acme") == [(0, 7, 0)]
    # A schema that was renamed is a new tenant, whose counters say nothing of this interval.
    world.run("ALTER SCHEMA t_acme RENAME TO t_delta")
    site.polled()
    assert site.ask(LAST, "delta") == [(None, None, 2)]


def test_statistics_that_are_reset(watched: tuple[Site, World]) -> None:
    site, world = watched
    _work(world, "acme", 1000)
    site.polled()
    reset = "SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()"
    with world.database.connect() as admin:
        before = admin.execute(reset).fetchall()
        admin.execute("SELECT pg_stat_reset_single_table_counters('t_acme.payslips'::regclass)")
        wait_for(lambda: admin.execute(reset).fetchall() != before)
    site.polled()
    assert site.ask(LAST, "acme") == [(None, None, 2)]
    _work(world, "acme", 3)
    site.polled()
    assert site.ask(LAST, "acme") == [(0, 3, 0)]


def test_nothing_is_asked_where_no_tenancy_is_known(monitored: Site) -> None:
    monitored.configure(
        metrics={name: {"enabled": name == "server"} for name in METRICS} | {"tenant_activity": {"interval": "100ms"}},
    )
    monitored.polled()
    assert monitored.ask("SELECT DISTINCT metric FROM monitoring.snapshot") == [("server",)]
    # Something is said, and nothing is found.
    monitored.configure(
        metrics={name: {"enabled": name == "server"} for name in METRICS} | {"tenant_activity": {"interval": "100ms"}},
        tenancy={"confirmed": True},
    )
    monitored.polled()
    query = "SELECT status, error FROM monitoring.snapshot WHERE metric = 'tenant_activity'"
    assert monitored.ask(query) == [("skipped", "no tenancy is known")]


def test_sql_that_is_wrong_is_said(watched: tuple[Site, World]) -> None:
    site, world = watched
    _configure(site, world, activity={"sql": "select tenant from common.nothing"})
    outcome = site.collect()
    assert f"GRANT USAGE ON SCHEMA common TO {world.names['reader']};" in str(outcome.worst)
    _configure(site, world, activity={"sql": "select 'acme' as tenant, 5 as rows"})
    site.polled()
    assert site.value("SELECT row_count FROM monitoring.tenant_activity WHERE tenant = 'acme'") == 5


def test_switches_have_a_history(monitored: Site, make_world: Callable[[str], World]) -> None:
    world = make_world("pool")
    login = f"probe_{world.suffix}"
    world.run(f"CREATE ROLE {login} LOGIN NOINHERIT; GRANT {{app}} TO {login}")
    monitored.targets = {TARGET: world.target.dsn}
    checks = {name: {"enabled": False} for name in CHECKS}

    def configure(role: str) -> None:
        probe = {"dsn": world.database.dsn(role), "interval": 1}
        monitored.configure(
            metrics={name: {"enabled": False} for name in METRICS} | {"tenant_activity": {"enabled": False}},
            checks=checks,
            tenancy=world.tenancy({"probe": probe}).model_dump(mode="json", exclude_none=True),
        )

    def measured() -> list[tuple[Any, ...]]:
        return monitored.ask(
            "SELECT DISTINCT ON (kind) kind, switch_seconds FROM monitoring.tenant_switch ORDER BY kind, time DESC"
        )

    configure(login)
    wait_for(lambda: monitored.collect() and measured())
    (cold, cold_seconds), (warm, warm_seconds) = measured()
    assert (cold, warm) == ("cold", "warm")
    assert min(cold_seconds, warm_seconds) >= 0
    assert monitored.value("SELECT tier FROM monitoring.tenant_switch LIMIT 1") == "5m"
    # What cannot be measured is not 0.
    world.run(f"REVOKE {{app}} FROM {login}")
    wait_for(lambda: monitored.collect() and measured() == [("cold", None), ("warm", None)])
    assert monitored.is_consistent()


def test_changes_of_an_audit_table(monitored: Site, make_world: Callable[[str], World]) -> None:
    world = make_world("pool")
    monitored.targets = {TARGET: world.target.dsn}
    monitored.configure(
        metrics={name: {"enabled": False} for name in METRICS}
        | {"tenant_activity": {"enabled": False}, "audit_table": {"interval": "100ms"}},
        checks={name: {"enabled": name == "audit_table_changed", "interval": "100ms"} for name in CHECKS},
        tenancy=world.tenancy({"audit_tables": ["app.audit_log"]}).model_dump(mode="json", exclude_none=True),
    )
    monitored.polled()

    def changes() -> list[tuple[Any, ...]]:
        return monitored.ask(
            "SELECT sum(added)::bigint, sum(changed)::bigint, sum(removed)::bigint FROM monitoring.audit_changes "
            "WHERE audit_table = 'app.audit_log' AND tier = '1m' AND quality & 2 = 0"
        )

    findings = "SELECT object, severity, is_open FROM monitoring.finding WHERE check_name = 'audit_table_changed'"
    assert monitored.ask(findings) == []
    world.run("INSERT INTO app.audit_log (tenant_id, ts, what) SELECT id, '2027-02-03', 'out' FROM app.tenants")
    world.run("UPDATE app.audit_log SET what = 'in' WHERE ts = '2027-02-03'")
    world.run("DELETE FROM app.audit_log WHERE ts = '2026-06-01'")
    with world.database.connect() as admin:
        [(tenants,)] = admin.execute("SELECT count(*) FROM app.tenants").fetchall()
    wait_for(lambda: monitored.polled() and changes() == [(tenants, tenants, tenants)])
    wait_for(lambda: monitored.polled() and monitored.ask(findings))
    assert monitored.ask(findings) == [("app.audit_log", "P1", True)]
    tables = monitored.ask("SELECT DISTINCT table_name, audit_table FROM monitoring.audit_table ORDER BY 1")
    assert tables == [(f"app.audit_log_{year}", "app.audit_log") for year in (2026, 2027)]
    world.run("SELECT pg_stat_reset_single_table_counters(c.oid) FROM pg_class AS c WHERE relname ~ '^audit_log_'")
    wait_for(lambda: monitored.polled() and monitored.ask(findings) == [("app.audit_log", "P1", False)])
    # A reset is no change of rows.
    assert changes() == [(tenants, tenants, tenants)]
