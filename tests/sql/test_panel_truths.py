"""Figures that once misled: what is not known is never shown as good, and what was missed is never shown as watched."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg.rows import dict_row

from sbpgmon.model import Status, TargetPoll
from sbpgmon.present.macros import Scope, expand
from sbpgmon.store.upgrade import init
from tests.conftest import Server
from tests.sql import lab as laboratory
from tests.sql.lab import Lab, at, scratch
from tests.sql.test_self_cost import ALL, POLLED, Target
from tests.sql.test_tiers import forever, maintain
from tests.sql.test_views import CATALOG, row
from tests.unit.catalog_files import server

pytestmark = pytest.mark.matrix
HOUR = 3600


@pytest.fixture
def lab(cluster: Server, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A store of its own; its noon was six hours ago, at a full hour."""
    noon = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=6)
    monkeypatch.setattr(laboratory, "NOON", noon)
    with scratch(cluster) as database:
        made = Lab(database, CATALOG, tmp_path_factory.mktemp("truths"))
        init(made.store, CATALOG, [], retention_of=forever)
        yield made
        made.store.close()


def panel(
    lab: Lab, name: str, since: float, until: float, *, seconds: float = 15, targets: Sequence[str] = (), **values: str
) -> list[dict[str, Any]]:
    """The rows of `DASHBOARD/PANEL` over a range in seconds after noon, one point every `seconds`; times likewise."""
    dashboard = CATALOG.dashboards[name.partition("/")[0]]
    sql = next(p.sql for p in dashboard.panels if p.name == name.partition("/")[2])
    chosen: dict[str, str | Sequence[str]] = {
        v.name: list(targets or [lab.target]) if v.is_multi else lab.target
        for v in dashboard.variables
        if v.name == "target"
    }
    scope = Scope(at(since), at(until), round(seconds * 1000), chosen | values)
    with lab.store.raw.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(expand(sql, dashboard.variables, scope).encode()).fetchall()
    return [r | {"time": (r["time"] - at(0)).total_seconds()} if "time" in r else r for r in rows]


def up(lab: Lab, *seconds: float) -> None:
    """Polls of a target that is polled every minute."""
    for second in seconds:
        reading = dataclasses.replace(lab.reading("server", [row("server", up=1)], second), interval_seconds=60)
        lab.writer.write(TargetPoll(lab.target, server(), (reading,)))


def lost(lab: Lab, *seconds: float) -> None:
    for second in seconds:
        reading = dataclasses.replace(
            lab.reading("server", None, second), status=Status.UNREACHABLE, error="gone", interval_seconds=60
        )
        lab.writer.write(TargetPoll(lab.target, None, (reading,), error="gone"))


def began(lab: Lab, second: float) -> None:
    """When the target was first polled; the writer has the clock's time there."""
    lab.store.raw.execute(b"UPDATE monitoring.target SET first_seen = %s WHERE name = %s", (at(second), lab.target))


# What was watched


@pytest.mark.parametrize("width", [15, 300, HOUR])
def test_an_outage_within_an_hour_is_missed_in_every_tier(lab: Lab, width: float) -> None:
    """The interval after an outage covers it, for counters; nobody has watched it all the same."""
    up(lab, *range(0, 2 * HOUR, 60))
    lost(lab, *range(2 * HOUR, 2 * HOUR + 1200, 60))
    up(lab, *range(2 * HOUR + 1200, 4 * HOUR, 60))
    began(lab, 0)
    maintain(lab)
    [found] = panel(lab, "agent/watched_by_target", 0, 4 * HOUR, seconds=width)
    assert (found["watched_ratio"], found["missed_seconds"]) == (pytest.approx(1 - 1200 / (4 * HOUR)), 1200)
    watched = {r["time"]: r["watched_ratio"] for r in panel(lab, "agent/watched", 0, 4 * HOUR, seconds=width)}
    step = max(width, 300)
    assert watched == {
        time: pytest.approx(1 - max(0, min(time + step, 2 * HOUR + 1200) - max(time, 2 * HOUR)) / step)
        for time in [step * number for number in range(round(4 * HOUR / step))]
    }
    [levels] = panel(lab, "overview/service_levels", 0, 4 * HOUR, seconds=width)
    assert levels["down_seconds"] == 1200


def test_a_target_that_is_down_at_the_end_has_missed_it(lab: Lab) -> None:
    """What is not rolled up yet is not left out: an outage of now is in the figures of a week."""
    up(lab, *range(0, 3 * HOUR + 600, 60))
    lost(lab, *range(3 * HOUR + 600, 3 * HOUR + 1800, 60))
    began(lab, 0)
    maintain(lab)
    [found] = panel(lab, "agent/watched_by_target", -7 * 86400, 3 * HOUR + 1800, seconds=600)
    assert found["missed_seconds"] == 1200
    assert panel(lab, "agent/watched", -7 * 86400, 3 * HOUR + 1800, seconds=600)[-1]["watched_ratio"] == pytest.approx(
        1 / 3, abs=0.01
    )


def test_a_range_that_the_agent_did_not_begin_or_end_is_not_whole(lab: Lab) -> None:
    up(lab, 0, *range(HOUR, 2 * HOUR, 60))
    began(lab, 0)
    maintain(lab)
    [found] = panel(lab, "agent/watched_by_target", 0, 4 * HOUR, seconds=300)
    assert found["watched_ratio"] == pytest.approx(0.25, abs=0.01)
    ratios = [r["watched_ratio"] for r in panel(lab, "agent/watched", 0, 4 * HOUR, seconds=HOUR)]
    assert ratios == [pytest.approx(0, abs=0.02), 1, 0, 0]


# Statements


STATEMENT = {"dbid": 16384, "userid": 10, "toplevel": True, "queryid": 1}
UNTIL_16 = ("local_blk_read_time", "local_blk_write_time")
UNTIL_14 = (*UNTIL_16, "temp_blk_read_time", "temp_blk_write_time")


@pytest.mark.parametrize("lacks", [(), UNTIL_16, UNTIL_14])
def test_time_is_split_where_a_server_lacks_some_of_its_parts(lab: Lab, lacks: tuple[str, ...]) -> None:
    lab.write("stat_statements", [row("stat_statements", **STATEMENT)], 0, lacks=lacks)
    spent = {"calls": 60, "total_exec_time": 6000.0, "shared_blk_read_time": 2000.0, "shared_blk_write_time": 1000.0}
    lab.write("stat_statements", [row("stat_statements", **STATEMENT, **spent)], 60, lacks=lacks)
    [split] = panel(lab, "query_detail/time_split", 60, 120, seconds=60, queryid="1")
    assert [split[part] for part in ("rest", "reading", "writing", "planning")] == [
        0.05,
        pytest.approx(2 / 60),
        pytest.approx(1 / 60),
        0,
    ]
    profile = panel(lab, "query_detail/profile", 60, 120, seconds=60, queryid="1")
    assert [r["share"] for r in profile] == [0.5, pytest.approx(1 / 3), pytest.approx(1 / 6), 0]


def test_calls_that_are_not_known_are_not_none(lab: Lab) -> None:
    """Counters that began anew before the reading before: what they counted since is not known."""
    for second, calls, since in ((60, 60, -600), (120, 120, -300), (180, 120, -300), (240, 180, -300)):
        spent = {"calls": calls, "total_exec_time": calls * 10.0, "stats_since": at(since)}
        lab.write("stat_statements", [row("stat_statements", **STATEMENT, **spent)], second)
    for name, rate in {"calls/calls_per_second": 1, "busy_sessions/busy_sessions": 0.01}.items():
        found = panel(lab, f"query_detail/{name.partition('/')[0]}", 120, 300, seconds=60, queryid="1")
        assert [r[name.partition("/")[2]] for r in found] == [None, 0, rate], name
    split = panel(lab, "query_detail/time_split", 120, 300, seconds=60, queryid="1")
    assert [r["rest"] for r in split] == [None, 0, pytest.approx(0.01)]


# A history that has just begun


def test_a_history_of_a_minute_is_on_every_chart(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A month is asked for in hours, of which there is none yet; what there is comes from the finest tier."""
    monkeypatch.setattr(laboratory, "NOON", datetime.now(UTC) - timedelta(seconds=61))
    used = {"client_backends": 50, "max_connections": 103, "superuser_reserved_connections": 3}
    for second in (0, 30, 60):
        lab.write("server", [row("server", up=1)], second)
        lab.write("stat_database", [row("stat_database", datid=1, datname="app", xact_commit=second * 10)], second)
        lab.write("connection_slots", [row("connection_slots", **used)], second)
        lab.write("connections", [row("connections", state="active", connections=50)], second)
        lab.write("database_size", [row("database_size", datid=1, datname="app", size_bytes=1000)], second)
        spent = {"calls": second, "total_exec_time": second * 10.0}
        lab.write("stat_statements", [row("stat_statements", **STATEMENT, **spent)], second)
    began(lab, 0)
    for days in (1, 7, 30, 365):
        since, step = 61 - days * 86400, days * 86.4
        assert panel(lab, "infrastructure/load", since, 61, seconds=step, queryid="1")[0]["tps"] == 10
        assert {
            r["commits"] for r in panel(lab, "infrastructure/transactions", since, 61, seconds=step, queryid="1")
        } >= {10}
        assert panel(lab, "infrastructure/connection_use", since, 61, seconds=step, queryid="1") == [
            {"utilisation_ratio": 0.5}
        ]
        assert panel(lab, "infrastructure/connections", since, 61, seconds=step, queryid="1")[-1]["connections"] == 50
        assert panel(lab, "infrastructure/sizes", since, 61, seconds=step, queryid="1")[-1]["size_bytes"] == 1000
        assert panel(lab, "query_detail/calls", since, 61, seconds=step, queryid="1")[-1]["calls_per_second"] == 1
        assert panel(lab, "executive/connections", since, 61, seconds=step, queryid="1")[0]["peak_ratio"] == 0.5
        assert panel(lab, "executive/size", since, 61, seconds=step, queryid="1")[-1]["size_bytes"] == 1000
        assert panel(lab, "executive/growth", since, 61, seconds=step, queryid="1")[0]["size_bytes"] == 1000
        assert panel(lab, "overview/targets", since, 61, seconds=step, queryid="1")[0]["tps"] == 10
        assert panel(lab, "agent/watched_by_target", since, 61, seconds=step, queryid="1")[0]["watched_ratio"] == 1


# Sums over targets that are read at different times


def test_a_sum_over_targets_does_not_swing_with_their_polls(lab: Lab) -> None:
    """Each is read once a minute, 30 s apart: points of 15 s would have one of them, or none."""
    for name, offset, tps in (("a", 10, 10), ("b", 40, 20)):
        lab.target = name
        for number in range(31):
            done = {"datid": 1, "datname": "app", "xact_commit": number * 60 * tps}
            lab.write("stat_database", [row("stat_database", **done)], 60 * number + offset)
    found = panel(lab, "executive/transactions", 70, 1470, targets=["a", "b"])
    assert {r["tps"] for r in found} == {30}
    assert found[-1]["time"] == 1320  # of the next point, one is not there yet


def test_the_slowest_target_is_found_though_another_was_read_later(lab: Lab) -> None:
    for name, second, taken in (("a", 0, 0.5), ("b", 40, 0.001)):
        lab.target = name
        kinds = [row("tenant_switch", kind=kind, switch_seconds=taken) for kind in ("warm", "cold")]
        lab.write("tenant_switch", kinds, second)
    found = panel(lab, "tenants/switch_time", 0, 60, targets=["a", "b"], tenant="x")
    assert {r["kind"]: r["slowest_seconds"] for r in found} == {"warm": 0.5, "cold": 0.5}


# What nobody looked at


def test_failures_are_not_none_where_the_log_does_not_reach(lab: Lab) -> None:
    up(lab, 7200, 7260)
    lost(lab, 7320)
    began(lab, 7200)
    found = panel(lab, "agent/failed_readings", 0, 7800, seconds=600)
    assert [(r["time"], r["readings"]) for r in found] == [(7200, 1)]


def test_no_findings_where_no_check_has_run_is_no_good_news(lab: Lab) -> None:
    up(lab, 0, 60)
    assert panel(lab, "overview/findings", 0, 120) == [dict.fromkeys(("urgent", "others", "unknowns"))]
    assert panel(lab, "executive/incidents", 0, 120)[0]["findings"] is None
    [isolation] = panel(lab, "overview/isolation", 0, 120)
    assert isolation == {"target": lab.target} | dict.fromkeys(list(isolation)[1:])


def test_a_target_that_nobody_polled_is_listed_as_such(lab: Lab) -> None:
    lab.target = "forgotten"
    up(lab, 0, 60)
    lab.target = "polled"
    up(lab, *range(7200, 10800, 60))
    polled, forgotten = panel(lab, "overview/service_levels", 7200, 10800, targets=["forgotten", "polled"])
    assert (polled["target"], polled["availability_ratio"], polled["watched_ratio"]) == ("polled", 1, 1)
    assert list(forgotten.values()) == ["forgotten", None, None, 0]


def test_hours_in_which_nobody_looked_are_between_two_outages(lab: Lab) -> None:
    lost(lab, 0, 60, 5 * HOUR, 5 * HOUR + 60)
    found = panel(lab, "executive/outages", -HOUR, 6 * HOUR, seconds=60)
    assert sorted((r["since"] - at(0)).total_seconds() / HOUR for r in found) == [0, 5]


def test_the_cost_of_a_target_on_which_it_is_not_known_is_not_0(lab: Lab) -> None:
    """Two minutes of one target are watched, and of the other too, which has no statements of ours."""
    own, lab.target = lab.target, "blind"
    for second in (0, 60):
        lab.write("stat_statements", [row("stat_statements", **STATEMENT, calls=second)], second)
    lab.target = own
    seen = Target(lab)
    seen.read(0, ALL)
    seen.read(60, {POLLED: (2, 100.0)})
    [bar] = panel(lab, "agent/own_cost_by_metric", 60, 120, targets=["blind", lab.target])
    assert bar["ms_per_minute"] == pytest.approx(120)
