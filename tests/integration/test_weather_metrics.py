"""A user's metric that breaks its contract: it fails, says how, and the others are stored."""

from __future__ import annotations

import pytest

from sbpgmon.errors import TargetError
from tests.integration.support import SNAPSHOTS, TARGET, Site

pytestmark = pytest.mark.matrix

FILE = """-- A metric of the user's.
--
-- interval: 15s
{more}-- columns:
--   shop    key      text     shop
--   orders  {kind}  bigint   orders
{sql}
"""
INTERVAL = {"orders": {"interval": "100ms"}}


def _write(site: Site, sql: str, kind: str = "counter", more: str = "") -> str:
    path = site.add_file("metrics/orders.sql", FILE.format(sql=sql, kind=kind, more=more))
    site.configure(queries_dir="queries", metrics=INTERVAL)
    return str(path)


def _fails(site: Site, message: str) -> None:
    """`collect` says it and goes on; the snapshot says it; `metrics test` would have said it."""
    before = site.value("SELECT count(*) FROM monitoring.snapshot WHERE status = 'ok' AND metric <> 'orders'")
    outcome = site.collect()
    assert isinstance(outcome.worst, TargetError)
    assert outcome.worst.exit_code == 10
    assert message in outcome.worst.what
    assert f"orders on {TARGET}: " in outcome.worst.what
    status, error = site.ask("SELECT status, error FROM monitoring.snapshot WHERE metric = 'orders' ORDER BY time")[-1]
    assert status == "error"
    assert message in error
    after = site.value("SELECT count(*) FROM monitoring.snapshot WHERE status = 'ok' AND metric <> 'orders'")
    assert after == before + len(SNAPSHOTS)
    assert site.is_consistent()


def _test_says(site: Site, path: str, message: str, code: int = 2) -> None:
    done = site.run("metrics", "test", path, check=code)
    assert message in done.stderr
    assert "→" in done.stderr
    assert "orders" in done.stderr


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("select 'a'::text as shop, 1::integer as orders", "orders is integer, the header says bigint: write orders::"),
        ("select 'a'::text as shop, 1::numeric as orders", "orders is numeric, the header says bigint"),
        ("select 'a' as shop, 1::bigint as other", "the query does not return orders; the header does not declare"),
        ("select 'a'::text as shop", "the query does not return orders"),
        ("select 'a'::text as shop, 1::bigint as orders, 2 as more", "the header does not declare more"),
        ("select 'a'::text as shop, 1::bigint as orders, 2::bigint as orders", "two columns of one name"),
        ("select 'a'::name as shop, 1::bigint as orders", "shop is type 19, the header says text"),
    ],
)
def test_columns_that_are_not_those_of_the_header(monitored: Site, sql: str, message: str) -> None:
    path = _write(monitored, sql)
    _fails(monitored, message)
    _test_says(monitored, path, message)


def test_columns_in_another_order_are_fine(monitored: Site) -> None:
    # Binary COPY matches by position, and would take one for the other in silence.
    for orders in (10, 17):
        _write(monitored, f"select {orders}::bigint as orders, 'a'::text as shop")
        monitored.polled()
    assert monitored.ask("SELECT shop, orders FROM monitoring.orders ORDER BY time") == [("a", 7)]


@pytest.mark.parametrize("kind", ["counter", "gauge"])
@pytest.mark.parametrize(
    ("rows", "stored", "tested"),
    [
        ("('a', 1), ('a', 2)", "two rows have the same key", "1 rows have the key of another row"),
        ("('a', 1), (null, 2)", "the key shop is NULL in a row: write COALESCE", "the key shop is NULL in 1 rows"),
    ],
)
def test_keys_that_are_none(monitored: Site, rows: str, stored: str, tested: str, kind: str) -> None:
    _write(monitored, "select * from (values ('a'::text, 5::bigint)) as v (shop, orders)", kind)
    monitored.polled()
    path = _write(monitored, f"select shop::text, orders::bigint from (values {rows}) as v (shop, orders)", kind)
    _fails(monitored, stored)
    _test_says(monitored, path, tested)
    # It comes back, and goes on where it was.
    _write(monitored, "select * from (values ('a'::text, 9::bigint)) as v (shop, orders)", kind)
    monitored.polled()
    expected = [4] if kind == "counter" else [5, 9]
    assert [row[0] for row in monitored.ask("SELECT orders FROM monitoring.orders ORDER BY time")] == expected


def test_several_rows_without_a_key(monitored: Site) -> None:
    text = "-- No key.\n--\n-- interval: 15s\n-- columns:\n--   orders  {}  bigint  orders\n"
    for kind in ("gauge", "counter"):
        site_file = monitored.add_file(
            "metrics/orders.sql", text.format(kind) + "select n::bigint as orders from generate_series(1, 3) as n\n"
        )
        monitored.configure(queries_dir="queries", metrics=INTERVAL)
        monitored.run("init")
        _fails(monitored, "two rows have the same key")
        _test_says(monitored, str(site_file), "without keys there is one row only")


def test_a_null_counter_is_unknown(monitored: Site) -> None:
    # Not a constant NULL, which would say that the server lacks the column.
    for orders in ("5", "nullif(5, 5)", "9", "12"):
        _write(monitored, f"select 'a'::text as shop, {orders}::bigint as orders")
        monitored.polled()
    rows = [row[0] for row in monitored.ask("SELECT orders FROM monitoring.orders ORDER BY time")]
    assert rows == [None, None, 3]


def test_a_snapshot_that_is_too_large(monitored: Site) -> None:
    _write(monitored, "select n::text as shop, n::bigint as orders from generate_series(1, 200000) n", "gauge")
    monitored.configure(queries_dir="queries", metrics=INTERVAL, agent={"max_snapshot_bytes": 1024 * 1024})
    _fails(monitored, f"Target {TARGET}: the snapshot is larger than 1048576 bytes.")
    assert monitored.value("SELECT count(*) FROM monitoring.orders") == 0


def test_many_long_keys(monitored: Site) -> None:
    # A btree holds 2,704 bytes of a key; ours are hashed.
    sql = "select repeat(md5(n::text), 300) || n as shop, n::bigint as orders from generate_series(1, 50) n"
    for _ in range(2):
        _write(monitored, sql)
        monitored.polled()
    assert monitored.ask("SELECT count(*), min(length(shop)) FROM monitoring.orders_series") == [(50, 9601)]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("select 'a'::text as shop, 1::bigint as orders from nowhere", 'relation "nowhere" does not exist'),
        ("select 'a'::text as shop 1::bigint as orders", "syntax error"),
        ("select pg_reload_conf()::text as shop, 1::bigint as orders", "permission denied for function pg_reload_conf"),
        ("select 'a'::text as shop, nextval('public.s') as orders", "cannot execute nextval() in a read-only"),
        ("select set_config('x.y', 'z', false) as shop, 1 / (random() * 0)::bigint as orders", "division by zero"),
    ],
)
def test_what_the_server_refuses(monitored: Site, sql: str, message: str) -> None:
    with monitored.database.connect() as connection:
        connection.execute("CREATE SEQUENCE public.s; GRANT USAGE ON SEQUENCE public.s TO pg_monitor")
    path = _write(monitored, sql)
    _fails(monitored, message)
    _test_says(monitored, path, message, 10)


def test_two_statements_are_refused(monitored: Site) -> None:
    path = _write(monitored, "select 'a'::text as shop, 1::bigint as orders; commit; drop table x")
    done = monitored.run("collect", check=2)
    assert f"{path}:" in done.stderr
    assert "more than one statement" in done.stderr
    assert monitored.value("SELECT count(*) FROM monitoring.snapshot WHERE status = 'ok'") == len(SNAPSHOTS)


def test_a_quote_that_ends_the_copy_does_not_get_out(monitored: Site) -> None:
    with monitored.database.connect() as connection:
        connection.execute("CREATE TABLE public.prey (id int); GRANT ALL ON public.prey TO public")
    monitored.variables = {"SBPGMON_ALLOW_SUPERUSER": "1"}
    _write(monitored, "select 'a'::text as shop, 1::bigint as orders) to stdout -- ")
    done = monitored.run("collect", check=10)
    assert "metric=orders" in done.stderr
    assert monitored.value("SELECT count(*) FROM public.prey") == 0


def test_an_extension_that_is_not_there(monitored: Site) -> None:
    path = _write(
        monitored, "select 'a'::text as shop, 1::bigint as orders", more="-- requires: extension hstore 1.1\n"
    )
    message = f"the extension hstore is not in database {monitored.database.name}: CREATE EXTENSION hstore"
    _fails(monitored, message)
    _test_says(monitored, path, "the extension hstore is not in database", 10)
    with monitored.database.connect() as connection:
        connection.execute("CREATE EXTENSION hstore")
    monitored.polled()


def test_a_role_that_is_needed(monitored: Site) -> None:
    _write(monitored, "select 'a'::text as shop, 1::bigint as orders", more="-- requires: pg_checkpoint_more\n")
    done = monitored.run("collect", check=None)
    assert done.returncode in (2, 10)
    assert "pg_checkpoint_more" in done.stderr
    assert monitored.value("SELECT count(*) FROM monitoring.snapshot WHERE status = 'ok'") == len(SNAPSHOTS)


def test_metrics_test_of_a_good_file(monitored: Site) -> None:
    path = _write(monitored, "select 'a'::text as shop, 42::bigint as orders")
    done = monitored.run("metrics", "test", path)
    assert f"orders on {TARGET} (PostgreSQL " in done.stdout
    assert "): fine" in done.stdout
    assert "42" in done.stdout
    # It stores nothing.
    assert monitored.ask("SELECT FROM monitoring.snapshot") == []
    assert monitored.value("SELECT to_regclass('monitoring.orders')") is None
