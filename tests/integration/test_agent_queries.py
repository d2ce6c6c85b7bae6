"""Statements of an application through the agent: judged beside the polls, counted, found and closed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.support import CHECKS, METRICS, TARGET, Site
from tests.isolation.test_queries import EXTENSION, OFF, ON, run_as
from tests.isolation.world import World

pytestmark = pytest.mark.matrix

COUNTED = (
    "SELECT verdict, sum(calls)::bigint FROM monitoring.tenant_queries WHERE tier = '1m' AND userid <> 10 GROUP BY 1"
)
OPEN = "SELECT check_name, object, severity FROM monitoring.finding WHERE is_open"
READ = ("server", "stat_statements", "stat_database", "roles")


@pytest.fixture
def tenanted(monitored: Site, make_world: Callable[[str], World]) -> tuple[Site, World]:
    """A store, and a target of many tenants whose statements are read."""
    world = make_world("pool")
    world.run(EXTENSION)
    monitored.targets = {TARGET: world.target.dsn}
    configure(monitored, world)
    return monitored, world


def configure(site: Site, world: World, **more: Any) -> None:
    site.configure(
        metrics={name: {"enabled": name in READ, "interval": "100ms"} for name in METRICS},
        checks={name: {"interval": "100ms", "enabled": name == "rls_disabled"} for name in CHECKS},
        tenancy=world.tenancy().model_dump(mode="json", exclude_none=True),
        **more,
    )


def calls(site: Site) -> dict[str, int]:
    return dict(site.ask(COUNTED))


def test_an_unscoped_statement_is_counted_found_and_closed(tenanted: tuple[Site, World]) -> None:
    site, world = tenanted
    statement = "SELECT sum(stake) FROM app.bets"
    run_as(world, "app", statement)
    # The look, the texts, the verdicts.
    for _ in range(3):
        assert site.polled().worst is None
    for _ in range(2):
        run_as(world, "app", statement)
    site.polled()
    assert site.ask(OPEN) == []
    assert calls(site)["rls_covered"] == 2
    world.run(OFF)
    for _ in range(3):
        run_as(world, "app", statement)
    site.polled()
    assert ("cross_tenant_queries", "app.bets", "P0") in site.ask(OPEN)
    # The calls were made before the look, and after the last one that found it well.
    assert calls(site)["cross_tenant"] == 3
    assert calls(site)["rls_covered"] == 2
    world.run(ON)
    run_as(world, "app", statement)
    site.polled()
    run_as(world, "app", statement)
    site.polled()
    assert site.ask(OPEN) == []
    assert site.value("SELECT count(*) FROM monitoring.finding WHERE closed_because = 'gone'") == 2
    # The one that was called before the look that found it mended counts as one that was not.
    assert calls(site)["cross_tenant"] == 4
    assert calls(site)["rls_covered"] == 3
    assert site.ask(
        "SELECT sum(cross_tenant_queries)::bigint, count(*) FILTER (WHERE usename IS NULL) "
        "FROM monitoring.cross_tenant_queries WHERE tier = '1m'"
    ) == [(4, 0)]
    verdicts = site.ask(
        "SELECT verdict, calls FROM monitoring.statement_verdict WHERE query = 'SELECT sum(stake) FROM app.bets' "
        "ORDER BY valid_from"
    )
    assert verdicts == [("rls_covered", None), ("cross_tenant", 4), ("rls_covered", None)]


def test_without_texts_it_is_unknown(tenanted: tuple[Site, World]) -> None:
    site, world = tenanted
    configure(site, world, texts="off")
    site.polled()
    site.polled()
    assert site.ask("SELECT check_name, status FROM monitoring.finding") == [("cross_tenant_queries", "unknown")]
    assert set(calls(site)) <= {"unjudged"}


def test_where_statements_are_not_read_nothing_is_said_of_them(tenanted: tuple[Site, World]) -> None:
    site, world = tenanted
    site.configure(
        metrics={name: {"enabled": name == "server", "interval": "100ms"} for name in METRICS},
        checks={name: {"interval": "100ms", "enabled": name == "rls_disabled"} for name in CHECKS},
        tenancy=world.tenancy().model_dump(mode="json", exclude_none=True),
    )
    site.polled()
    assert site.ask("SELECT check_name FROM monitoring.isolation_check WHERE check_name LIKE 'cross%'") == []
    assert site.ask("SELECT * FROM monitoring.tenancy_look") == []


def test_the_plan_confirms_where_there_is_a_probe(tenanted: tuple[Site, World]) -> None:
    site, world = tenanted
    world.run("CREATE ROLE probe_{suffix} LOGIN NOINHERIT; GRANT {app} TO probe_{suffix}")
    world.run(OFF)
    login = world.database.dsn(f"probe_{world.suffix}")
    tenancy = world.tenancy({"probe": {"dsn": login, "interval": "10000d"}})
    site.configure(
        metrics={name: {"enabled": name in READ, "interval": "100ms"} for name in METRICS},
        checks={name: {"interval": "100ms", "enabled": name == "rls_disabled"} for name in CHECKS},
        tenancy=tenancy.model_dump(mode="json", exclude_none=True),
    )
    # The judge takes a function for no binding; the plan compares the key with it.
    run_as(world, "app", "SELECT sum(stake) FROM app.bets WHERE tenant_id = app.current_tenant()")
    run_as(world, "app", "SELECT max(stake) FROM app.bets")
    for _ in range(4):
        site.polled()
    rows = site.ask("SELECT query, verdict FROM monitoring.statement_verdict WHERE valid_to = 'infinity'")
    found = {query.split("(")[0]: verdict for query, verdict in rows if "sbpgmon:probe" not in query}
    assert (found["SELECT sum"], found["SELECT max"]) == ("suspected", "cross_tenant")
    # What the probe does is not the application's doing.
    own = [verdict for query, verdict in rows if "sbpgmon:probe" in query]
    assert own
    assert {*own} <= {"operator", "not_applicable"}
