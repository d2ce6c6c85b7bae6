"""Tenant isolation through the agent: findings are opened, seen and closed in the store."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from sbpgmon.demo.server import Cluster
from sbpgmon.errors import StoreError
from tests.integration.support import CHECKS, METRICS, TARGET, Site
from tests.isolation.world import World

pytestmark = pytest.mark.matrix


@pytest.fixture
def tenanted(monitored: Site, make_world: Callable[[str], World]) -> tuple[Site, World]:
    """A store, and a target of many tenants."""
    world = make_world("pool")
    monitored.targets = {TARGET: world.target.dsn}
    _configure(monitored, world)
    return monitored, world


# What it says is the server's and not the database's.
CHECKS_HERE: dict[str, Any] = {name: {"interval": "100ms"} for name in CHECKS} | {"server_rls_cve": {"enabled": False}}


def _configure(site: Site, world: World, **tenancy: Any) -> None:
    declared = world.tenancy(tenancy).model_dump(mode="json", exclude_none=True)
    site.configure(
        metrics={name: {"enabled": name == "server"} for name in METRICS},
        checks=CHECKS_HERE,
        tenancy=declared,
    )


def test_a_finding_is_opened_seen_and_closed(tenanted: tuple[Site, World]) -> None:
    site, world = tenanted
    assert site.polled().worst is None
    assert site.ask("SELECT * FROM monitoring.finding") == []
    before = site.ask("SELECT check_name, status FROM monitoring.isolation_check ORDER BY 1")
    assert {status for _, status in before} == {"pass"}
    world.run("ALTER TABLE app.bets DISABLE ROW LEVEL SECURITY")
    site.polled()
    site.polled()
    query = "SELECT object, severity, status, is_open, seen, closed_because FROM monitoring.finding"
    assert site.ask(query) == [("app.bets", "P0", "fail", True, 2, None)]
    assert site.value("SELECT fails FROM monitoring.isolation") == 1
    world.run("ALTER TABLE app.bets ENABLE ROW LEVEL SECURITY")
    site.polled()
    assert site.ask(query) == [("app.bets", "P0", "fail", False, 2, "gone")]
    assert site.value("SELECT isolation_ratio FROM monitoring.isolation") == 1
    # It comes back as itself.
    world.run("ALTER TABLE app.bets DISABLE ROW LEVEL SECURITY")
    site.polled()
    assert site.value("SELECT count(DISTINCT key) FROM monitoring.finding") == 1
    assert site.value("SELECT count(DISTINCT first_seen) FROM monitoring.finding") == 1
    events = site.ask("SELECT detail FROM monitoring.event WHERE kind = 'isolation' ORDER BY event_id")
    assert len(events) == 3
    assert all("table app.bets" in detail and "row level security" in detail for (detail,) in events)


def test_what_cannot_be_seen_closes_nothing(tenanted: tuple[Site, World]) -> None:
    site, world = tenanted
    world.run("ALTER TABLE app.bets DISABLE ROW LEVEL SECURITY")
    site.polled()
    assert site.value("SELECT count(*) FROM monitoring.finding WHERE is_open") == 1
    file = site.add_file("checks/parts/tenant_things.sql", "-- Nothing.\n\nselect 1 / 0 as oid\n")
    site.add_file(
        "checks/things.sql",
        "-- Things.\n--\n-- model: all\n-- severity: P1\n-- uses: tenant_things\n"
        "select oid::text as object, '' as role, 'A thing.' as detail, 'Mend it.' as remedy from tenant_things\n",
    )
    assert file.exists()
    declared = world.tenancy().model_dump(mode="json", exclude_none=True)
    site.configure(
        metrics={name: {"enabled": name == "server"} for name in METRICS},
        checks=CHECKS_HERE | {"things": {"interval": "100ms"}},
        tenancy=declared,
        queries_dir="queries",
    )
    site.polled()
    rows = site.ask("SELECT check_name, status, detail FROM monitoring.finding WHERE is_open ORDER BY 1")
    assert ("rls_disabled", "fail") in [row[:2] for row in rows]
    assert [row[1] for row in rows if row[0] == "things"] == ["unknown"]
    assert "division by zero" in next(row[2] for row in rows if row[0] == "things")


def test_allowances(tenanted: tuple[Site, World]) -> None:
    site, world = tenanted
    world.run("ALTER TABLE app.bets DISABLE ROW LEVEL SECURITY")
    allowance = {"check": "rls_disabled", "object": "app.bets", "reason": "moved next week"}
    _configure(site, world, allow=[{**allowance, "expires": "2999-01-01"}])
    site.polled()
    assert site.ask("SELECT check_name, allowed FROM monitoring.finding") == [
        ("rls_disabled", "moved next week (until 2999-01-01)")
    ]
    assert site.ask("SELECT fails, unknowns, allowed FROM monitoring.isolation") == [(0, 0, 1)]
    _configure(site, world, allow=[{**allowance, "expires": "2026-01-01"}])
    site.polled()
    rows = site.ask("SELECT check_name, allowed, status FROM monitoring.finding WHERE is_open ORDER BY 1")
    assert rows == [("allowance_expired", None, "fail"), ("rls_disabled", None, "fail")]


def test_a_check_that_is_off_is_not_looked_for(tenanted: tuple[Site, World]) -> None:
    site, world = tenanted
    world.run("ALTER TABLE app.bets DISABLE ROW LEVEL SECURITY")
    site.polled()
    declared = world.tenancy({"model": ["schema"]}).model_dump(mode="json", exclude_none=True)
    site.configure(
        metrics={name: {"enabled": name == "server"} for name in METRICS},
        checks=CHECKS_HERE,
        tenancy=declared,
    )
    site.polled()
    rows = site.ask("SELECT check_name, closed_because FROM monitoring.finding WHERE check_name = 'rls_disabled'")
    assert rows == [("rls_disabled", "not looked for any more")]


def test_the_command(tenanted: tuple[Site, World]) -> None:
    site, world = tenanted
    found = json.loads(site.run("tenants", "check", "--format", "json").stdout)
    assert found["summary"]["fail"] == found["summary"]["unknown"] == 0
    assert found["findings"] == []
    world.run("ALTER TABLE app.bets DISABLE ROW LEVEL SECURITY")
    done = site.run("tenants", "check", "--format", "json", check=3)
    (finding,) = json.loads(done.stdout)["findings"]
    assert {key: finding[key] for key in ("check", "status", "severity", "object", "role")} == {
        "check": "rls_disabled",
        "status": "fail",
        "severity": "P0",
        "object": "app.bets",
        "role": world.names["app"],
    }
    assert finding["key"] == f"rls_disabled:app.bets:{world.names['app']}"
    table = site.run("tenants", "check", check=3).stdout
    assert max(map(len, table.splitlines())) <= 80
    assert "ALTER TABLE app.bets ENABLE ROW LEVEL SECURITY;" in " ".join(table.split())


def test_what_the_store_knows(tenanted: tuple[Site, World]) -> None:
    site, world = tenanted
    assert "No check of tenant isolation has run yet" in site.run("tenants", "show").stdout
    world.run("ALTER TABLE app.bets DISABLE ROW LEVEL SECURITY")
    site.polled()
    found = json.loads(site.run("tenants", "show", "--format", "json").stdout)
    (finding,) = found["findings"]
    assert (finding["check"], finding["status"], finding["seen"]) == ("rls_disabled", "fail", 1)
    table = site.run("tenants", "show").stdout
    assert max(map(len, table.splitlines())) <= 80
    assert "app.bets" in table
    by_id, by_key = (site.run("tenants", "explain", finding[name]).stdout for name in ("id", "key"))
    assert by_id == by_key
    assert "open since" in by_id
    assert "without row level security" in by_id
    assert "without row level security" in site.run("tenants", "explain", "rls_disabled").stdout
    world.run("ALTER TABLE app.bets ENABLE ROW LEVEL SECURITY")
    site.polled()
    assert json.loads(site.run("tenants", "show", "--format", "json").stdout)["findings"] == []
    assert "closed" in site.run("tenants", "show", "--closed").stdout
    assert "There is no finding" in site.run("tenants", "explain", "nonsense", check=2).stderr
    assert "no isolation history" in site.run("tenants", "show", "--target", "nobody", check=2).stderr


def test_a_role_without_any_grant(tenanted: tuple[Site, World]) -> None:
    site, world = tenanted
    world.run("REVOKE pg_monitor FROM {reader}; CREATE EXTENSION pg_stat_statements")
    declared = world.tenancy({"data": {"enabled": True}}).model_dump(mode="json", exclude_none=True)
    site.configure(checks=CHECKS_HERE, tenancy=declared)
    found = json.loads(site.run("tenants", "check", "--format", "json", check=4).stdout)
    unknown = {finding["check"] for finding in found["findings"] if finding["status"] == "unknown"}
    assert "cross_tenant_queries" in unknown
    assert found["summary"]["fail"] == 0
    assert found["summary"]["cross_tenant_queries"] is None
    assert all("GRANT" in finding["remedy"] for finding in found["findings"])


def test_mistakes_of_the_command(tenanted: tuple[Site, World]) -> None:
    site, _ = tenanted
    assert "There is no check nonsense" in site.run("tenants", "check", "--check", "nonsense", check=2).stderr
    assert "There is no target nobody" in site.run("tenants", "check", "--target", "nobody", check=2).stderr
    assert "rls_disabled" in site.run("tenants", "checks").stdout


def test_a_hole_of_an_outage_is_told(outage: Site, own_cluster: Cluster, make_world: Callable[[str], World]) -> None:
    world = make_world("pool")
    outage.targets = {TARGET: world.target.dsn}
    _configure(outage, world)
    outage.polled()
    own_cluster.stop()
    world.run("ALTER TABLE app.bets DISABLE ROW LEVEL SECURITY")
    assert isinstance(outage.collect().worst, StoreError)
    world.run("ALTER TABLE app.bets ENABLE ROW LEVEL SECURITY")
    assert isinstance(outage.collect().worst, StoreError)
    own_cluster.start()
    outage.polled()
    rows = outage.ask("SELECT check_name, is_open, closed_at > opened_at FROM monitoring.finding")
    assert rows == [("rls_disabled", False, True)]
