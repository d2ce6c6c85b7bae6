"""What a check locks while it runs: no table of the application, so that no DDL waits and others find locks."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sbpgmon.catalog.catalog import render_check
from sbpgmon.collect.isolation import is_for
from sbpgmon.collect.tenancy import know
from sbpgmon.sources.probe import probe
from sbpgmon.sources.session import Session
from tests.isolation.world import CATALOG, World

VIEWS = """
DO $$ BEGIN FOR n IN 1..50 LOOP
  EXECUTE format('CREATE TABLE app.extra_%s (id int PRIMARY KEY, tenant_id uuid NOT NULL)', n);
  EXECUTE format('CREATE VIEW app.view_%s AS SELECT * FROM app.extra_%s WHERE id > 0', n, n);
END LOOP; END $$
"""
LOCKS = """
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation' AND relation >= 16384
"""


@pytest.mark.parametrize("kind", ["pool", "schemas"])
def test_a_check_locks_no_table(make_world: Callable[[str], World], kind: str) -> None:
    world = make_world(kind)
    world.run(VIEWS.replace("app.", "app." if kind == "pool" else "t_acme."))
    tenancy = world.tenancy({"data": {"enabled": True}})
    locked = {}
    with Session(world.target, 5.0) as session:
        server = probe(session)
        known = know(session, server, tenancy)
        for name, check in CATALOG.checks.items():
            if is_for(check, known, tenancy):
                with session.transaction(5.0) as (cursor, _):
                    cursor.execute(render_check(check, CATALOG.parts, known.sql(), server).encode())
                    [(locked[name],)] = cursor.execute(LOCKS).fetchall()
    assert len(locked) > 10
    assert {name: count for name, count in locked.items() if count} == {}
