"""The sample sportsbook: tenants are isolated, wallets balance, and sbpgmon's roles can do little."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from sbpgmon.demo import sportsbook
from sbpgmon.demo.server import Cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("demo") / "pg") as made:
        dsn = sportsbook.load(made.dsn())
        sportsbook.create_roles(dsn)
        sportsbook.create_roles(dsn)  # twice does no harm
        yield made


def test_wallets_are_the_sum_of_the_ledger(cluster: Cluster) -> None:
    with psycopg.connect(cluster.dsn(sportsbook.DATABASE)) as connection:
        row = connection.execute(
            "select count(*) from app.wallets natural left join"
            " (select tenant_id, user_id, sum(amount_cents) as booked from app.ledger group by 1, 2) as l"
            " where balance_cents is distinct from booked"
        ).fetchone()
    assert row == (0,)


def test_the_application_sees_one_tenant_or_nothing(cluster: Cluster) -> None:
    with psycopg.connect(cluster.dsn(sportsbook.DATABASE, "sportsbook_app")) as connection:
        assert connection.execute("select count(*) from app.users").fetchone() == (0,)
        connection.execute("set local app.tenant_id = 3")
        assert connection.execute("select array_agg(distinct tenant_id) from app.users").fetchone() == ([3],)
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            connection.execute("insert into app.audit_log (tenant_id, actor, action) values (4, 'x', 'y')")


@pytest.mark.parametrize("role", ["sbpgmon_reader", "sbpgmon_owner", "grafana_reader"])
def test_roles_of_sbpgmon_see_no_data(cluster: Cluster, role: str) -> None:
    with (
        psycopg.connect(cluster.dsn(sportsbook.DATABASE, role)) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("select * from app.users")


def test_only_the_owner_may_create_a_schema(cluster: Cluster) -> None:
    for role, may in (("sbpgmon_reader", False), ("sbpgmon_owner", True), ("grafana_reader", False)):
        with psycopg.connect(cluster.dsn(sportsbook.DATABASE, role)) as connection:
            row = connection.execute("select has_database_privilege(current_database(), 'create')").fetchone()
            assert row == (may,)
