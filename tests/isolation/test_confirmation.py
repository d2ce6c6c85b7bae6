"""A statement that no tenant key binds is confirmed by its plan, as the role that runs it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sbpgmon.collect.confirmation import Planner
from sbpgmon.collect.queries import read_ground
from sbpgmon.collect.tenancy import know
from sbpgmon.judge.ground import Ground
from sbpgmon.sources.probe import probe
from sbpgmon.sources.session import Session
from tests.isolation.world import CATALOG, World

Asked = tuple[World, Planner, Ground, int]


@pytest.fixture
def asked(pool: World) -> Iterator[Asked]:
    """A pool without row level security on bets, and its planner."""
    pool.run("CREATE ROLE probe_{suffix} LOGIN NOINHERIT; GRANT {app} TO probe_{suffix}")
    pool.run("ALTER TABLE app.bets DISABLE ROW LEVEL SECURITY; ALTER TABLE app.audit_log DISABLE ROW LEVEL SECURITY")
    pool.run("ALTER TABLE app.accounts DISABLE ROW LEVEL SECURITY")
    tenancy = pool.tenancy({"probe": {"dsn": pool.database.dsn(f"probe_{pool.suffix}")}})
    with Session(pool.target, 5.0) as session, Planner("app", tenancy.probe, 5.0) as planner:
        server = probe(session)
        known = know(session, server, tenancy)
        ground = read_ground(session, server, CATALOG, known, tenancy, has_texts=True)
        userid = next(oid for oid, role in ground.roles.items() if role.name == pool.names["app"])
        yield pool, planner, ground, userid


@pytest.mark.parametrize(
    "text",
    [
        "select * from app.bets where stake > $1",
        "select count(*) from app.bets",
        "update app.bets set stake = $1 where id = $2",
        "delete from app.bets where account_id = $1",
        "select * from app.audit_log where ts > $1",
        "select b.id from app.bets b join app.accounts a on a.id = b.account_id where a.tenant_id <> $1",
    ],
)
def test_a_plan_that_reads_all_tenants(asked: Asked, text: str) -> None:
    _, planner, ground, userid = asked
    assert planner.confirm(ground, userid, text) is True


@pytest.mark.parametrize(
    "text",
    [
        "select * from app.bets where tenant_id = $1 and stake > $2",
        "select * from app.bets where tenant_id in ($1, $2)",
        "select * from app.bets where (tenant_id, id) = ($1, $2)",
        "select b.id from app.bets b join app.accounts a using (tenant_id) where a.tenant_id = $1",
        "select * from app.audit_log where tenant_id = $1 and ts > $2",
        "select * from app.events",
    ],
)
def test_a_plan_that_keeps_to_one(asked: Asked, text: str) -> None:
    _, planner, ground, userid = asked
    assert planner.confirm(ground, userid, text) is False


@pytest.mark.parametrize(
    "text",
    [
        "select * from app.bets where",
        "select * from app.gone where id = $1",
        "select 1; drop table app.bets",
        "commit; drop table app.bets",
        "set app.tenant_id = 'x'",
        "",
        # Row level security is on here, and its policy raises an error without a context.
        "select * from app.users where email like $1",
    ],
)
def test_what_has_no_plan_is_not_known(asked: Asked, text: str) -> None:
    world, planner, ground, userid = asked
    assert planner.confirm(ground, userid, text) is None
    assert world.read_as("{admin}", "select 1 from app.bets")
    # The next one is not disturbed by it.
    assert planner.confirm(ground, userid, "select count(*) from app.bets") is True


def test_a_role_that_the_login_may_not_become(asked: Asked) -> None:
    world, planner, ground, _ = asked
    userid = next(oid for oid, role in ground.roles.items() if role.name == world.names["admin"])
    assert planner.confirm(ground, userid, "select count(*) from app.bets") is None
    assert planner.confirm(ground, 1, "select count(*) from app.bets") is None


def test_nothing_stays_in_the_session(asked: Asked) -> None:
    _, planner, ground, userid = asked
    planner.confirm(ground, userid, "select count(*) from app.bets where id = $1")
    planner.confirm(ground, userid, "select count(*) from app.bets where nothing = $1")
    session = planner._session
    assert session is not None
    with session.transaction(5) as (cursor, _):
        assert cursor.execute("select count(*) from pg_prepared_statements").fetchone() == (0,)
