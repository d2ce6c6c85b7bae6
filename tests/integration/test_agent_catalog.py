"""A metric is a file: the user's own, from a new file to a changed one."""

from __future__ import annotations

import json

import psycopg
import pytest

from tests.integration.support import GRAFANA, SNAPSHOTS, TARGET, Site

pytestmark = pytest.mark.matrix

ORDERS = """-- Orders of the shop.
--
-- interval: 15s
-- missing: zero
-- columns:
--   shop    key      text     the shop
--   orders  counter  bigint   orders placed
--   open    gauge    integer  orders open
{more_header}select 'north'::text as shop, {orders}::bigint as orders, {open}::integer as open{more}
"""
VIEW = """-- Orders a minute.
--
-- needs: orders
-- columns:
--   time    end of the interval
--   orders  orders in it
select time, orders from monitoring.orders
"""
COLOUR = """-- A setting.
--
-- interval: 15s
-- columns:
--   name     key   text  name of the setting
--   setting  info  text  its value
select 'colour'::text as name, '{colour}'::text as setting
"""
INTERVAL = {"orders": {"interval": "100ms"}}


def _orders(site: Site, orders: int, more_header: str = "", more: str = "", kind: str = "integer") -> None:
    text = ORDERS.format(orders=orders, open=orders % 7, more_header=more_header, more=more)
    text = text.replace("gauge    integer", f"gauge    {kind}").replace("::integer as open", f"::{kind} as open")
    site.add_file("metrics/orders.sql", text)
    site.configure(queries_dir="queries", metrics=INTERVAL)


def _init(site: Site) -> None:
    site.run("init")


def test_one_file_is_all(monitored: Site) -> None:
    _orders(monitored, 10)
    assert "orders" in monitored.run("metrics", "list").stdout
    monitored.run("collect")
    _orders(monitored, 25)
    monitored.run("collect")
    with monitored.database.connect(GRAFANA) as connection:
        rows = connection.execute("SELECT target, shop, orders, open FROM monitoring.orders ORDER BY time").fetchall()
    assert rows == [(TARGET, "north", None, 3), (TARGET, "north", 15, 4)]
    status = json.loads(monitored.run("status", "--format", "json").stdout)
    [snapshot] = [s for s in status["snapshots"] if s["metric"] == "orders"]
    assert (snapshot["status"], snapshot["rows"]) == ("ok", 1)
    assert "orders" in monitored.run("status").stdout
    comments = monitored.ask(
        "SELECT obj_description('monitoring.orders'::regclass), col_description('monitoring.orders'::regclass, attnum) "
        "FROM pg_attribute WHERE attrelid = 'monitoring.orders'::regclass AND attname = 'open'"
    )
    assert comments == [("Orders of the shop.", "orders open (mean of a bucket)")]


def test_a_view_of_the_users_own(monitored: Site) -> None:
    monitored.add_file("views/orders_a_minute.sql", VIEW)
    _orders(monitored, 10)
    monitored.polled()
    _orders(monitored, 12)
    monitored.polled()
    with monitored.database.connect(GRAFANA) as connection:
        rows = connection.execute("SELECT orders FROM monitoring.orders_a_minute ORDER BY time").fetchall()
    assert rows == [(None,), (2,)]


def test_a_view_whose_sql_is_wrong_stops_nothing_else(monitored: Site) -> None:
    monitored.add_file("views/orders_a_minute.sql", VIEW.replace("select time", "select tyme"))
    _orders(monitored, 10)
    for _ in range(2):
        done = monitored.run("collect", check=2)
        assert "views/orders_a_minute.sql:1:" in done.stderr
        assert "tyme" in done.stderr
    assert monitored.value("SELECT count(*) FROM monitoring.snapshot WHERE status = 'ok'") == 2 * (len(SNAPSHOTS) + 1)
    done = monitored.run("init", check=2)
    assert "views/orders_a_minute.sql:1:" in done.stderr
    monitored.add_file("views/orders_a_minute.sql", VIEW)
    monitored.polled()
    assert monitored.value("SELECT count(*) FROM monitoring.orders_a_minute") == 3


def test_a_new_column_is_added(monitored: Site) -> None:
    for orders in (10, 11):
        _orders(monitored, orders)
        monitored.polled()
    for orders in (13, 16):
        _orders(monitored, orders, "--   paid    counter  bigint   orders paid\n", f", {orders * 100}::bigint as paid")
        monitored.polled()
    rows = monitored.ask("SELECT orders, paid FROM monitoring.orders ORDER BY time")
    # What was not read is not 0; what has no predecessor is not counted.
    assert rows == [(None, None), (1, None), (2, None), (3, 300)]
    assert monitored.value("SELECT table_version FROM monitoring.metric WHERE name = 'orders'") == 1
    assert monitored.is_consistent()


def test_a_column_that_goes_leaves_its_history(monitored: Site) -> None:
    for orders in (10, 11):
        _orders(monitored, orders, "--   paid    counter  bigint   orders paid\n", f", {orders * 100}::bigint as paid")
        monitored.polled()
    _orders(monitored, 13)
    monitored.polled()
    # An agent of another version may still send it: that it is gone is for `init` to say.
    assert monitored.ask("SELECT orders FROM monitoring.orders ORDER BY time") == [(None,), (1,), (2,)]
    _init(monitored)
    for orders in (15, 18):
        _orders(monitored, orders)
        monitored.polled()
    assert monitored.ask("SELECT orders FROM monitoring.orders_v1 WHERE tier = 'raw' ORDER BY time") == [
        (None,),
        (1,),
        (2,),
    ]
    assert monitored.ask("SELECT paid FROM monitoring.orders_v1 WHERE tier = 'raw' ORDER BY time LIMIT 2") == [
        (None,),
        (100,),
    ]
    assert monitored.ask("SELECT orders FROM monitoring.orders ORDER BY time") == [(None,), (3,)]


def test_a_changed_type_makes_new_tables_and_keeps_the_old(monitored: Site) -> None:
    monitored.add_file("views/orders_a_minute.sql", VIEW)
    for orders in (10, 11):
        _orders(monitored, orders)
        monitored.polled()
    _orders(monitored, 12, kind="bigint")
    # Nothing changes under the feet of an agent of another version.
    done = monitored.run("collect", check=2)
    assert "orders.sql:1: the columns of orders are not those of its tables." in done.stderr
    assert "Run `sbpgmon init`" in done.stderr
    assert monitored.value("SELECT count(*) FROM monitoring.snapshot WHERE metric = 'locks' AND status = 'ok'") == 3
    _init(monitored)
    for orders in (13, 16):
        _orders(monitored, orders, kind="bigint")
        monitored.polled()
    assert monitored.ask("SELECT orders, open FROM monitoring.orders_v1 WHERE tier = 'raw' ORDER BY time") == [
        (None, 3),
        (1, 4),
    ]
    assert monitored.ask("SELECT orders, open FROM monitoring.orders ORDER BY time") == [(None, 6), (3, 2)]
    # The view on it follows the new one.
    assert monitored.ask("SELECT orders FROM monitoring.orders_a_minute ORDER BY time") == [(None,), (3,)]
    with monitored.database.connect(GRAFANA) as connection:
        assert connection.execute("SELECT count(*) FROM monitoring.orders_v1 WHERE tier = 'raw'").fetchone() == (2,)
        # What was not rolled up yet is, before nothing more comes.
        assert connection.execute("SELECT sum(orders) FROM monitoring.orders_v1 WHERE tier = '1h'").fetchone() == (1,)
    # And once more.
    _orders(monitored, 17)
    _init(monitored)
    monitored.polled()
    assert monitored.value("SELECT count(*) FROM monitoring.orders_v2 WHERE tier = 'raw'") == 2
    assert monitored.is_consistent()


def test_other_tiers_wait_for_init(monitored: Site) -> None:
    for orders in (10, 11):
        _orders(monitored, orders)
        monitored.polled()
    path = monitored.folder / "queries" / "metrics" / "orders.sql"
    path.write_text(path.read_text().replace("-- interval: 15s\n", "-- interval: 15s\n-- tiers: raw 1h 1d\n"))
    monitored.polled()
    assert monitored.value("SELECT to_regclass('monitoring.orders_1d')") is None
    _init(monitored)
    monitored.polled()
    assert monitored.value("SELECT to_regclass('monitoring.orders_1d')") is not None
    # A history that has just begun is read from the finest tier.
    monitored.ask("UPDATE monitoring.target SET first_seen = now() - interval '1 year' RETURNING 1")
    assert monitored.value("SELECT monitoring.tier('orders', 86400000, now())") == "1d"
    assert monitored.value("SELECT count(*) FROM monitoring.orders WHERE tier = 'raw'") == 4
    assert monitored.value("SELECT table_version FROM monitoring.metric WHERE name = 'orders'") == 1


def test_a_view_outside_is_not_in_the_way(monitored: Site) -> None:
    _orders(monitored, 10)
    monitored.polled()
    with monitored.database.connect() as connection:
        connection.execute("CREATE VIEW public.mine AS SELECT orders, open, tier FROM monitoring.orders")
    _orders(monitored, 12, "--   paid    counter  bigint   orders paid\n", ", 7::bigint as paid")
    monitored.polled()
    assert monitored.ask("SELECT orders, open FROM public.mine WHERE tier = 'raw' ORDER BY 1 NULLS FIRST") == [
        (None, 3),
        (2, 5),
    ]
    # The old tables keep their view, and so do those who look at it.
    _orders(monitored, 13, kind="bigint")
    _init(monitored)
    monitored.polled()
    assert monitored.ask("SELECT orders, open FROM public.mine WHERE tier = 'raw' ORDER BY 1 NULLS FIRST") == [
        (None, 3),
        (2, 5),
    ]


def test_a_view_that_loses_a_column_under_another(monitored: Site) -> None:
    lower = VIEW.replace("Orders a minute", "Orders at all")
    upper = VIEW.replace("needs: orders", "needs: lower").replace("monitoring.orders", "monitoring.lower")
    monitored.add_file("views/lower.sql", lower.replace("select time,", "select time, open,"))
    monitored.add_file("views/above.sql", upper)
    _orders(monitored, 10)
    monitored.polled()
    monitored.add_file("views/lower.sql", lower)
    _init(monitored)
    monitored.polled()
    assert monitored.value("SELECT count(*) FROM monitoring.above") == 2
    # A view of somebody else's is not taken away for it: the old one stays, and the file is named.
    with monitored.database.connect() as connection:
        connection.execute("CREATE VIEW public.mine AS SELECT orders FROM monitoring.above")
    monitored.add_file("views/lower.sql", lower.replace("select time, orders", "select orders"))
    done = monitored.run("init", check=2)
    monitored.polled()
    assert "views/lower.sql:1:" in done.stderr
    assert "view public.mine depends on" in done.stderr
    assert monitored.value("SELECT count(*) FROM public.mine") == 3


def test_a_file_that_is_gone_keeps_its_history(monitored: Site) -> None:
    for orders in (10, 11):
        _orders(monitored, orders)
        monitored.polled()
    (monitored.folder / "queries/metrics/orders.sql").unlink()
    monitored.configure(queries_dir="queries")
    monitored.polled()
    assert monitored.ask("SELECT orders FROM monitoring.orders ORDER BY time") == [(None,), (1,)]


def test_a_metric_of_info_alone(monitored: Site) -> None:
    for colour in ("red", "red", "blue"):
        monitored.add_file("metrics/colour.sql", COLOUR.format(colour=colour))
        monitored.configure(queries_dir="queries", metrics={"colour": {"interval": "100ms"}})
        monitored.polled()
    rows = monitored.ask("SELECT setting, valid_to = 'infinity' FROM monitoring.colour ORDER BY time")
    assert rows == [("red", False), ("blue", True)]


def test_the_name_of_a_shipped_metric_is_taken(monitored: Site) -> None:
    monitored.add_file("metrics/locks.sql", ORDERS.format(orders=1, open=1, more_header="", more=""))
    monitored.configure(queries_dir="queries")
    done = monitored.run("metrics", "list", check=2)
    assert "locks.sql:1: there is already a metric or view named locks" in done.stderr


@pytest.mark.parametrize("column", ["order", "select", "user", "table"])
def test_a_column_may_be_a_word_of_sql(monitored: Site, column: str) -> None:
    text = ORDERS.replace("orders  counter", f"{column}  counter").replace("as orders", f'as "{column}"')
    monitored.add_file("metrics/orders.sql", text.format(orders=1, open=1, more_header="", more=""))
    monitored.configure(queries_dir="queries", metrics=INTERVAL)
    monitored.polled()
    monitored.polled()
    with monitored.database.connect() as connection:
        query = psycopg.sql.SQL("SELECT {} FROM monitoring.orders ORDER BY time").format(psycopg.sql.Identifier(column))
        assert connection.execute(query).fetchall() == [(None,), (0,)]


def test_a_counter_that_comes_with_an_upgrade_is_not_counted_from_zero(monitored: Site) -> None:
    with monitored.database.connect() as connection:
        connection.execute("DROP EXTENSION pg_stat_statements; CREATE EXTENSION pg_stat_statements VERSION '1.9'")
    sort = "SELECT count(*) FROM (SELECT n FROM generate_series(1, 50000) n ORDER BY n DESC OFFSET 0) came_with_upgrade"

    def work() -> None:
        with monitored.database.connect() as connection:
            connection.execute("SET work_mem = '64kB'; SET track_io_timing = on")
            connection.execute(sort.encode())

    work()
    for _ in range(2):
        work()
        monitored.polled()
    with monitored.database.connect() as connection:
        connection.execute("ALTER EXTENSION pg_stat_statements UPDATE")
    for _ in range(2):
        work()
        monitored.polled()
    rows = monitored.ask(
        "SELECT calls, temp_blk_write_time FROM monitoring.statements "
        "WHERE query LIKE '%came_with_upgrade%' ORDER BY time"
    )
    (calls, lacking), (also, came), (last, counted) = rows
    assert (calls, last) == (1, 1)
    # From 17 on the entry's own start takes the place of the last reset of all: another epoch, for all one knows.
    assert also in (1, None)
    assert (lacking, came) == (None, None)
    # 14 has no version after 1.9.
    is_upgraded = monitored.value("SELECT extversion FROM pg_extension WHERE extname = 'pg_stat_statements'") != "1.9"
    assert (counted is not None) == is_upgraded
    assert not is_upgraded or counted > 0
