"""What the dashboards of statements and of the agent stand on: their views, and figures of their panels."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg.rows import dict_row

from sbpgmon.model import StatementText, Status, TargetPoll
from sbpgmon.present.forecast import Growth
from sbpgmon.present.macros import Scope, expand
from sbpgmon.present.store import measure
from sbpgmon.store.upgrade import init
from tests.conftest import Server
from tests.sql import lab as laboratory
from tests.sql.lab import Lab, at, scratch
from tests.sql.test_self_cost import ALL, BEGIN, OWNERS, POLLED, Target
from tests.sql.test_views import CATALOG, row
from tests.unit.catalog_files import server

pytestmark = pytest.mark.matrix


@pytest.fixture(scope="module")
def own(cluster: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A store of this module: its sizes and its tier() are nobody else's."""
    with scratch(cluster) as database:
        made = Lab(database, CATALOG, tmp_path_factory.mktemp("own"))
        init(made.store, CATALOG, [])
        yield made
        made.store.close()


@pytest.fixture
def lab(own: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A target of its own whose noon was an hour ago: charts of now find it in the finest tier."""
    now = datetime.now(UTC)
    noon = now.replace(minute=now.minute // 5 * 5, second=0, microsecond=0) - timedelta(hours=1)
    monkeypatch.setattr(laboratory, "NOON", noon)
    fresh = own.another()
    yield fresh
    fresh.store.close()


def panel(lab: Lab, name: str, since: float, until: float, **values: str) -> list[dict[str, Any]]:
    """The rows of `DASHBOARD/PANEL` over a range in seconds after noon, `time` in them in the same way."""
    dashboard = CATALOG.dashboards[name.partition("/")[0]]
    sql = next(p.sql for p in dashboard.panels if p.name == name.partition("/")[2])
    chosen: dict[str, str | Sequence[str]] = {
        v.name: [lab.target] if v.is_multi else lab.target for v in dashboard.variables if v.name == "target"
    }
    scope = Scope(at(since), at(until), 15_000, chosen | values)
    with lab.store.raw.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(expand(sql, dashboard.variables, scope).encode()).fetchall()
    return [r | {"time": (r["time"] - at(0)).total_seconds()} if "time" in r else r for r in rows]


def rows_of(lab: Lab, query: str) -> list[dict[str, Any]]:
    with lab.store.raw.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query.encode(), {"target": lab.target}).fetchall()


# Views


def test_metric_status_is_of_the_last_reading_and_of_the_last_good_one(lab: Lab) -> None:
    lab.write("server", [row("server", up=1)], 0)
    lab.write("locks", [], 0)
    lab.write("locks", None, 15)
    [locks, of_server] = rows_of(
        lab, "SELECT * FROM monitoring.metric_status WHERE target = %(target)s ORDER BY metric"
    )
    assert (locks["metric"], locks["status"], locks["is_failing"], locks["error"]) == ("locks", "error", True, "boom")
    assert (locks["last_snapshot"], locks["last_good_snapshot"]) == (at(15), at(0))
    assert (of_server["status"], of_server["is_failing"], of_server["rows"]) == ("ok", False, 1)


def test_own_cost_is_self_cost_without_the_others(lab: Lab) -> None:
    target = Target(lab)
    target.read(0, ALL)
    target.read(60, {**ALL, POLLED: (2, 50.0), BEGIN: (4, 1.0)})
    target.read(120, {OWNERS: (3, 9.0), POLLED: (1, 5.0)})
    columns = "time, tier, part, metric, calls, total_exec_time, total_plan_time, quality"
    query = f"SELECT {columns} FROM monitoring.{{}} WHERE target = %(target)s ORDER BY 1, 2, 3, 4"
    own = rows_of(lab, query.format("own_cost"))
    assert own == rows_of(lab, query.format("self_cost"))
    assert [(r["part"], r["metric"], r["calls"]) for r in own if r["time"] == at(120)] == [
        ("poll", "stat_statements", 1)
    ]


def test_own_cost_says_nothing_where_the_server_hides_it(lab: Lab) -> None:
    target = Target(lab, pg_stat_statements_track_utility="off")
    target.read(0, ALL)
    target.read(60, ALL)
    assert rows_of(lab, "SELECT FROM monitoring.own_cost WHERE target = %(target)s") == []


def test_own_statements_are_those_of_our_roles_at_top_level(lab: Lab) -> None:
    target = Target(lab)
    target.read(0, ALL)
    found = rows_of(
        lab,
        "SELECT o.part, o.metric FROM monitoring.own_statement AS o JOIN monitoring.target AS t USING (target_id) "
        "WHERE t.name = %(target)s ORDER BY 1, 2",
    )
    assert [tuple(r.values()) for r in found] == [
        ("poll", ""), ("poll", "locks"), ("poll", "probe"), ("poll", "stat_statements"), ("store", ""),
    ]  # fmt: skip


def test_store_size_is_what_the_command_says(lab: Lab) -> None:
    for number in range(3):
        lab.write("server", [row("server", up=1)], 15 * number)
    lab.store.raw.execute(b"ANALYZE")
    found = {
        (r["metric"], r["part"]): r
        for r in rows_of(lab, "SELECT *, extract(epoch FROM now() - since)::float8 AS age FROM monitoring.store_size")
    }
    said: dict[tuple[str, str], list[int]] = {}
    for part in measure(lab.store)["metrics"]:
        if part["metric"] != "(fixed)":
            counts = said.setdefault((part["metric"], part["part"]), [0, 0])
            counts[0] += part["tables"]
            counts[1] += part["total_bytes"]
    of_metrics = {key: [r["tables"], r["total_bytes"]] for key, r in found.items() if key[0]}
    # Sequences are the command's alone; tables of the other tests may grow meanwhile.
    assert of_metrics.keys() == said.keys()
    assert {key: counts for key, counts in of_metrics.items() if key[1] != "other"} == {
        key: counts for key, counts in said.items() if key[1] != "other"
    }
    whole = rows_of(
        lab,
        "SELECT sum(pg_total_relation_size(oid))::bigint AS bytes FROM pg_class "
        "WHERE relnamespace = 'monitoring'::regnamespace AND relkind IN ('r', 'm')",
    )
    assert sum(r["total_bytes"] for r in found.values()) == whole[0]["bytes"]


def test_store_size_grows_until_it_is_full(lab: Lab) -> None:
    for number in range(50):
        lab.write("server", [row("server", up=1, version=f"18.{number}")], 60 * number)
    lab.store.raw.execute(b"UPDATE monitoring.target SET first_seen = %s", (at(0),))
    [part] = rows_of(
        lab,
        "SELECT s.*, extract(epoch FROM now() - s.since)::float8 AS age, "
        "(SELECT retention_seconds FROM monitoring.rollup AS r JOIN monitoring.metric USING (metric_id) "
        " WHERE name = 'server' AND r.tier = 'raw') AS kept FROM monitoring.store_size AS s "
        "WHERE metric = 'server' AND part = 'raw'",
    )
    assert part["retention_seconds"] == part["kept"]
    assert part["bytes_per_day"] > 0
    [period] = rows_of(
        lab,
        "SELECT extract(epoch FROM max(b[2]::timestamptz - b[1]::timestamptz))::float8 AS seconds FROM pg_class AS c, "
        "regexp_match(obj_description(c.oid), '^Partition of server_raw from (.+) to (.+)$') AS m (b)",
    )
    growth = Growth(part["total_bytes"], part["bytes_per_day"], part["age"], part["kept"], period["seconds"])
    assert part["in_30_days_bytes"] == pytest.approx(growth.bytes_in(30))
    assert part["in_a_year_bytes"] == pytest.approx(growth.bytes_in(365))
    assert part["full_bytes"] == pytest.approx(growth.full_bytes)


def test_failures_are_found_without_reading_the_whole_log(lab: Lab) -> None:
    """What the panels ask for implies the condition of the partial index."""
    for where in ("status <> 'ok' AND status <> 'skipped'", "quality <> 0 AND quality & 4 <> 0"):
        with lab.store.transaction() as conn:
            conn.execute(b"SET LOCAL enable_seqscan = off")
            plan = conn.execute(f"EXPLAIN SELECT FROM monitoring.snapshot_log WHERE {where}".encode()).fetchall()
        assert any(" on snapshot_log_p" in line for (line,) in plan)
        assert not any("Seq Scan" in line for (line,) in plan)


# Panels: statements


STATEMENT = {"dbid": 1, "userid": 10, "toplevel": True}


class Statements:
    """Statements of a target that are read each minute; calls and times are added up."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.totals: dict[int, dict[str, float]] = {}

    def read(self, seconds: float, more: Mapping[int, Mapping[str, float]]) -> None:
        """`more`: queryid -> what came in the interval that ends now."""
        for queryid, values in more.items():
            known = self.totals.setdefault(queryid, {})
            for name, value in values.items():
                known[name] = known.get(name, 0) + value
        rows = [
            row("stat_statements", **STATEMENT, queryid=queryid, stats_since=at(-600), **values)
            for queryid, values in self.totals.items()
        ]
        texts = tuple(StatementText(1, 10, queryid, True, f"select {queryid}") for queryid in self.totals)
        reading = self.lab.reading("stat_statements", rows, seconds)
        self.lab.writer.write(TargetPoll(self.lab.target, server(), (reading,), texts, texts_read=True))


@pytest.fixture
def statements(lab: Lab) -> Statements:
    found = Statements(lab)
    lab.write("roles", [row("roles", userid=10, usename="bob")], 0)
    found.read(0, {1: {"calls": 1, "total_exec_time": 1.0}})
    return found


def spent(calls: float, ms: float, **more: float) -> dict[str, float]:
    return {"calls": calls, "total_exec_time": ms, **more}


def test_rates_of_statements_are_over_the_seconds_that_were_watched(lab: Lab, statements: Statements) -> None:
    statements.read(60, {1: spent(60, 6000, shared_blks_hit=90, shared_blks_read=10)})
    statements.read(180, {1: spent(60, 30_000), 2: spent(60, 30_000)})  # two minutes for one
    statements.read(240, {})
    assert panel(lab, "query_performance/load", 60, 300) == [
        {"calls_per_second": 0.75, "busy_sessions": 0.275, "mean_exec_time": pytest.approx(66_000 / 180),
         "io_ratio": 0.0, "hit_ratio": 0.9}
    ]  # fmt: skip
    calls = panel(lab, "query_performance/calls", 60, 300)
    assert [tuple(r.values()) for r in calls] == [(60, 1.0), (180, 1.0), (240, 0.0)]
    busy = panel(lab, "query_performance/busy_sessions", 60, 300)
    assert [tuple(r.values()) for r in busy] == [(60, 0.1), (180, 0.5), (240, 0.0)]
    mean = panel(lab, "query_performance/mean_time", 60, 300)
    assert [tuple(r.values()) for r in mean] == [(60, 100.0), (180, 500.0), (240, None)]


def test_the_stack_adds_up_to_the_load(lab: Lab, statements: Statements) -> None:
    statements.read(60, {queryid: spent(1, 600 * queryid) for queryid in range(1, 11)})
    found = panel(lab, "query_performance/time_by_statement", 60, 120)
    assert {r["statement"]: r["busy_sessions"] for r in found} == {
        **{f"select {queryid} · {queryid}": pytest.approx(0.01 * queryid) for queryid in range(3, 11)},
        "all others": pytest.approx(0.03),
    }


def test_the_top_by_time_has_shares_and_leads_to_the_statement(lab: Lab, statements: Statements) -> None:
    statements.read(60, {1: spent(10, 750, rows=20), 2: spent(5, 250)})
    first, second = panel(lab, "query_performance/top_by_total_time", 60, 120)
    assert (first["queryid"], first["target"], first["usename"]) == ("1", lab.target, "bob")
    assert (first["share"], first["mean_exec_time"], first["rows_per_call"], first["query"]) == (
        0.75,
        75,
        2,
        "select 1",
    )
    assert (second["queryid"], second["share"]) == ("2", 0.25)
    assert [r["queryid"] for r in panel(lab, "query_performance/top_by_mean_time", 60, 120)] == ["1", "2"]
    assert panel(lab, "query_performance/top_by_temp", 60, 120) == []


def test_new_and_slower_statements_are_told_by_the_stretch_before(lab: Lab, statements: Statements) -> None:
    for seconds in (60, 120, 180):
        statements.read(seconds, {1: spent(10, 100), 2: spent(10, 100), 3: spent(2, 20)})
    for seconds in (240, 300, 360):
        statements.read(seconds, {1: spent(10, 100), 2: spent(10, 400), 3: spent(2, 900), 4: spent(1, 5)})
    new = panel(lab, "query_performance/new_statements", 240, 420)
    assert [(r["queryid"], r["calls"]) for r in new] == [("4", 3)]
    slower = panel(lab, "query_performance/regressed_statements", 240, 420)
    assert [(r["queryid"], r["factor"], r["mean_before"], r["mean_now"], r["extra_time"]) for r in slower] == [
        ("2", pytest.approx(4.0), pytest.approx(10.0), pytest.approx(40.0), pytest.approx(900.0))
    ]


def test_nothing_is_new_where_the_stretch_before_was_not_watched(lab: Lab, statements: Statements) -> None:
    statements.read(60, {2: spent(1, 10)})
    assert panel(lab, "query_performance/new_statements", 60, 120) == []


def test_one_statement_in_detail(lab: Lab, statements: Statements) -> None:
    io = {"shared_blk_read_time": 150.0, "shared_blk_write_time": 50.0, "shared_blks_read": 40, "wal_bytes": 600}
    statements.read(60, {1: spent(10, 400, rows=30, total_plan_time=100.0, plans=10, **io), 2: spent(9, 9)})
    statements.read(120, {2: spent(1, 1)})
    of = {"queryid": "1"}
    [text] = panel(lab, "query_detail/statement", 60, 180, **of)
    assert (text["query"], text["usename"], text["calls"], text["mean_exec_time"]) == ("select 1", "bob", 10, 40)
    calls = panel(lab, "query_detail/calls", 60, 180, **of)
    assert [tuple(r.values()) for r in calls] == [(60, pytest.approx(10 / 60)), (120, 0.0)]
    assert {r["part"]: r["share"] for r in panel(lab, "query_detail/profile", 60, 180, **of)} == {
        "Processor and waits": 0.4, "Reading blocks": 0.3, "Writing blocks": 0.1, "Planning": 0.2,
    }  # fmt: skip
    blocks = panel(lab, "query_detail/blocks_per_call", 60, 180, **of)
    assert [(r["time"], r["read"]) for r in blocks] == [(60, 4.0), (120, None)]
    assert [r["wal_bytes_per_second"] for r in panel(lab, "query_detail/wal", 60, 180, **of)] == [10.0, 0.0]
    [figures] = panel(lab, "query_detail/figures", 60, 180, **of)
    assert (figures["calls_per_second"], figures["rows_per_call"]) == (pytest.approx(10 / 120), 3.0)
    for name in (p.name for p in CATALOG.dashboards["query_detail"].panels):
        panel(lab, f"query_detail/{name}", 60, 180, queryid="")


# Panels: the agent


def test_what_was_watched_and_what_failed(lab: Lab) -> None:
    for number in range(61):
        if 20 <= number < 40:
            continue
        lab.write("server", [row("server", up=1)], 15 * number)
    reading = lab.reading("server", None, 1200)
    lost = dataclasses.replace(reading, status=Status.UNREACHABLE, error="no route")
    lab.writer.write(TargetPoll(lab.target, None, (lost,), error="no route"))
    lab.store.raw.execute(b"UPDATE monitoring.target SET first_seen = %s WHERE name = %s", (at(0), lab.target))
    watched = panel(lab, "agent/watched", 0, 900)
    # The reading after the gap covers more than its bucket has: five minutes are missing all the same.
    assert [(r["time"], r["watched_ratio"]) for r in watched] == [(0, 1.0), (300, 0.0), (600, 1.0)]
    [of_target] = panel(lab, "agent/watched_by_target", 0, 900)
    assert of_target["watched_ratio"] == pytest.approx(600 / 900)
    assert (of_target["missed_seconds"], of_target["polls"]) == (300, 40)
    [gap] = panel(lab, "agent/gaps", 0, 900)
    assert (gap["time"], gap["interval_seconds"], gap["nominal_seconds"]) == (600, 315, 15)
    [failed] = panel(lab, "agent/failures", 0, 1300)
    assert (failed["metric"], failed["status"], failed["error"], failed["failed"]) == (
        "server", "unreachable", "no route", 1,
    )  # fmt: skip
    assert sum(r["readings"] for r in panel(lab, "agent/failed_readings", 0, 1300)) == 1
    [now] = panel(lab, "agent/now", 0, 1300)
    assert (now["targets"], now["unreached"], now["failing_metrics"]) == (1, 1, 1)


def test_what_the_agent_costs(lab: Lab) -> None:
    target = Target(lab)
    target.read(0, ALL)
    target.read(60, {POLLED: (2, 100.0), OWNERS: (5, 999.0)})
    [cost] = panel(lab, "agent/own_cost", 60, 120)
    # 100 ms executing and 20 planning in a minute.
    assert (cost["ms_per_minute"], cost["core_ratio"]) == (pytest.approx(120.0), pytest.approx(0.002))
    assert (cost["calls_per_minute"], cost["dearest"], cost["store_ratio"]) == (2.0, "stat_statements", 0.0)
    [bar] = panel(lab, "agent/own_cost_by_metric", 60, 120)
    assert (bar["metric"], bar["ms_per_minute"]) == ("stat_statements", pytest.approx(120.0))
    assert [r["ms_per_minute"] for r in panel(lab, "agent/own_time", 60, 120)] == [pytest.approx(120.0)]


def test_every_panel_of_ours_is_empty_of_errors_on_an_empty_target(lab: Lab) -> None:
    for name in ("query_performance", "query_detail", "agent"):
        for found in CATALOG.dashboards[name].panels:
            names = [column.name for column in found.columns]
            for r in panel(lab, f"{name}/{found.name}", 0, 3600, queryid="1"):
                assert list(r) == names
