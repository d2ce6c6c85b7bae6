"""Sweeps of tenants' rows through the agent: the store keeps how far each has come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.support import CHECKS, METRICS, TARGET, Site
from tests.isolation.test_data_rows import DATA, grants
from tests.isolation.world import World

pytestmark = pytest.mark.matrix

SWEEPS = "SELECT finding, coverage_ratio, finished_at, bad_rows FROM monitoring.isolation_sweep"
KEY = "tenant_key_null:app.notes"
FINDINGS = "SELECT key, is_open FROM monitoring.finding WHERE check_name = 'tenant_key_null'"


@pytest.fixture
def swept(monitored: Site, make_world: Callable[[str], World]) -> tuple[Site, World]:
    """A store, and a target whose reader may read what checks of data need."""
    world = make_world("pool")
    world.run("CREATE TABLE app.notes (id int PRIMARY KEY, tenant_id uuid REFERENCES app.tenants)")
    world.run(grants(world, DATA))
    monitored.targets = {TARGET: world.target.dsn}
    checks: dict[str, Any] = {name: {"interval": "100ms", "enabled": name == "tenant_key_null"} for name in CHECKS}
    monitored.configure(
        metrics={name: {"enabled": name == "server"} for name in METRICS},
        checks=checks,
        tenancy=world.tenancy(DATA).model_dump(mode="json", exclude_none=True),
    )
    return monitored, world


def test_each_poll_goes_on_where_the_last_one_ended(swept: tuple[Site, World]) -> None:
    site, world = swept
    site.polled()
    [(key, share, first, bad_rows)] = site.ask(SWEEPS)
    assert (key, share, bad_rows) == (KEY, 1.0, 0)
    world.run("INSERT INTO app.notes VALUES (1, NULL)")
    site.polled()
    [(_, _, second, bad_rows)] = site.ask(SWEEPS)
    assert second > first
    assert bad_rows == 1
    assert site.ask(FINDINGS) == [(KEY, True)]
    # Not seen is not gone.
    world.run("REVOKE SELECT (tenant_id) ON app.notes FROM {reader}")
    site.polled()
    assert site.ask(FINDINGS) == [(KEY, True)]
    assert site.ask(SWEEPS) == [(KEY, 1.0, second, 1)]
    world.run(grants(world, DATA) + "UPDATE app.notes SET tenant_id = '{acme}'")
    site.polled()
    assert site.ask(FINDINGS) == [(KEY, False)]
