"""The fingerprint: the same while nothing changes, and another one for whatever could open a hole."""

from __future__ import annotations

import pytest

from sbpgmon.catalog.checks import FINGERPRINT
from sbpgmon.collect.fingerprint import Elements, read_fingerprint
from sbpgmon.collect.tenancy import know
from sbpgmon.sources.probe import probe
from sbpgmon.sources.session import Session
from tests.isolation.world import CATALOG, World

VIEW = "CREATE OR REPLACE VIEW app.acme_bets AS SELECT id FROM app.bets WHERE id > {n}"


def _read(world: World, before: str | None = None) -> tuple[str, Elements]:
    with Session(world.target, 5.0) as session:
        server = probe(session)
        known = know(session, server, world.tenancy())
        run, digest, elements = read_fingerprint(session, server, CATALOG, CATALOG.checks[FINGERPRINT], known, before)
    assert run.findings == ()
    assert digest is not None
    assert len({(kind, name) for kind, name, _ in elements}) == len(elements)
    return digest, elements


@pytest.mark.parametrize(
    ("sql", "changed"),
    [
        ("ALTER TABLE app.bets NO FORCE ROW LEVEL SECURITY", "table app.bets"),
        ("ALTER TABLE app.bets OWNER TO {app}", "table app.bets"),
        ("GRANT TRUNCATE ON app.bets TO {app}", "table app.bets"),
        ("GRANT SELECT (id) ON app.bets TO {report}", "column privileges app.bets.id"),
        ("ALTER POLICY tenant_isolation ON app.bets USING (true)", "policy tenant_isolation on app.bets"),
        ('CREATE POLICY "o\'pen %s" ON app.bets USING (true)', 'policy "o\'pen %s" on app.bets'),
        ("ALTER SCHEMA app OWNER TO {app}", "schema app"),
        ("ALTER ROLE {app} BYPASSRLS", "role {app}"),
        ("GRANT {admin} TO {app}", "membership {app} in {admin}"),
        ("ALTER ROLE {app} SET app.tenant_id = '{acme}'", "setting role {app}"),
        (
            "CREATE FUNCTION app.\"f(x)\"(a text) RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
            'function app."f(x)"(a text)',
        ),
        ("CREATE PUBLICATION pub_{suffix} FOR TABLE app.bets", "publication pub_{suffix}"),
    ],
)
def test_what_it_is_made_of(pool: World, sql: str, changed: str) -> None:
    before, elements = _read(pool)
    assert _read(pool, before) == (before, ())
    pool.run(sql)
    after, now = _read(pool, before)
    assert after != before
    assert pool.text(changed) in {f"{kind} {name}" for kind, name, _ in set(now) - set(elements)}
    assert _read(pool)[0] == after


def test_a_view_that_is_another_one(pool: World) -> None:
    pool.run(VIEW.replace("{n}", "1"))
    before, elements = _read(pool)
    pool.run(VIEW.replace("{n}", "1"))
    assert _read(pool)[0] == before
    pool.run(VIEW.replace("{n}", "0"))
    after, now = _read(pool)
    assert after != before
    assert [f"{kind} {name}" for kind, name, _ in set(now) - set(elements)] == ["view app.acme_bets"]
