"""What the overview and the executive summary rest on: availability, readings' health, roll-ups, totals up to now."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.model import Status, TargetPoll
from sbpgmon.present.macros import Scope
from sbpgmon.store.upgrade import init
from tests.conftest import Server
from tests.sql.lab import NOON, Lab, at, scratch
from tests.sql.panels import ask, faults
from tests.sql.test_tiers import forever, maintain
from tests.sql.test_views import row
from tests.unit.catalog_files import server

CATALOG = load_catalog()
HOUR, DAY = 3600, 86400
TEN_MINUTES = 600.0


@pytest.fixture
def lab(cluster: Server, tmp_path: Path) -> Iterator[Lab]:
    """A store of the test's own: its roll-ups go by its polls alone."""
    with scratch(cluster) as database:
        made = Lab(database, CATALOG, tmp_path)
        init(made.store, CATALOG, [], retention_of=forever)
        yield made
        made.store.close()


def poll(lab: Lab, seconds: float, status: Status = Status.OK, interval_seconds: float = TEN_MINUTES) -> None:
    """A poll of `server`, as if it were configured for that interval."""
    rows = [row("server", up=1, version="18.1")] if status is Status.OK else None
    reading = dataclasses.replace(
        lab.reading("server", rows, seconds), status=status, interval_seconds=interval_seconds
    )
    is_met = status not in (Status.UNREACHABLE, Status.REFUSED)
    lab.writer.write(TargetPoll(lab.target, server() if is_met else None, (reading,), error="" if is_met else "gone"))


def availability(lab: Lab, tier: str) -> list[tuple[Any, ...]]:
    """Hours after noon, good polls, lost polls, of our target."""
    return lab.store.raw.execute(
        b"SELECT extract(epoch FROM time - %s)::float8 / 3600, polls::integer, lost::integer, interval_seconds "
        b"FROM monitoring.availability WHERE target = %s AND tier = %s ORDER BY 1",
        (NOON, lab.target, tier),
    ).fetchall()


def shown(
    lab: Lab, name: str, start: float, end: float, *, interval_ms: int = 60000, **values: Any
) -> list[dict[str, Any]]:
    """The rows of a panel between two times, in seconds after noon; held to what every answer must be like."""
    dashboard = CATALOG.dashboards[name.split("/")[0]]
    panel = next(panel for panel in dashboard.panels if panel.name == name.split("/")[1])
    chosen: dict[str, str | Sequence[str]] = {
        v.name: [lab.target] if v.is_multi else lab.target for v in dashboard.variables if v.name == "target"
    }
    scope = Scope(at(start), at(end), interval_ms, chosen | values)
    answer = ask(lab.store.raw, panel.sql, dashboard, scope)
    assert list(faults(panel, answer, scope)) == []
    return [dict(zip(answer.names, found, strict=True)) for found in answer.rows]


# Availability


def test_availability_counts_every_poll_once(lab: Lab) -> None:
    # A full hour; one that lost two; one in which nobody looked; one that lost all; a full one; the running one.
    lost = {7, 8, *range(18, 24)}
    for slot in [*range(12), *range(18, 33)]:
        poll(lab, slot * TEN_MINUTES, Status.UNREACHABLE if slot in lost else Status.OK)
    expected = [(0, 6, 0), (1, 4, 2), (3, 0, 6), (4, 6, 0), (5, 3, 0)]
    assert [found[:3] for found in availability(lab, "1h")] == expected, "before anything was rolled up"
    maintain(lab)
    found = availability(lab, "1h")
    assert [hour[:3] for hour in found] == expected
    assert {hour[3] for hour in found} == {TEN_MINUTES}
    raw = availability(lab, "raw")
    assert (sum(good for _, good, _, _ in raw), sum(bad for _, _, bad, _ in raw)) == (19, 8)


def test_a_refused_server_is_not_available_and_a_failed_reading_says_nothing(lab: Lab) -> None:
    for slot, status in enumerate([Status.OK, Status.REFUSED, Status.ERROR, *[Status.OK] * 4]):
        poll(lab, slot * TEN_MINUTES, status)
    for _ in range(2):
        assert [found[:3] for found in availability(lab, "1h")] == [(0, 4, 1), (1, 1, 0)]
        assert sum(good + bad for _, good, bad, _ in availability(lab, "raw")) == 6
        maintain(lab)


def test_a_target_that_was_never_reached_is_down(lab: Lab) -> None:
    for slot in range(9):
        poll(lab, slot * TEN_MINUTES, Status.UNREACHABLE)
    maintain(lab)
    assert [found[:3] for found in availability(lab, "1h")] == [(0, 0, 6), (1, 0, 3)]


def test_hours_of_another_interval(lab: Lab) -> None:
    for second in range(0, HOUR, 1200):
        poll(lab, second, Status.UNREACHABLE if second else Status.OK, 1200.0)
    for second in range(HOUR, 2 * HOUR + 1, 600):
        poll(lab, second)
    maintain(lab)
    assert [found[:3] for found in availability(lab, "1h")] == [(0, 1, 2), (1, 6, 0), (2, 1, 0)]
    for second in range(2 * HOUR + 1200, 4 * HOUR, 1200):
        poll(lab, second, interval_seconds=1200.0)
    # No more time than an hour has, where polls were more frequent than they are now.
    assert {hour: seconds for hour, _, _, seconds in availability(lab, "1h")} == {0: 1200, 1: 600, 2: 1200, 3: 1200}


def test_availability_reaches_beyond_the_log(lab: Lab) -> None:
    lost = {7, 8, *range(18, 24)}
    for slot in range(100):
        poll(lab, slot * TEN_MINUTES, Status.UNREACHABLE if slot in lost else Status.OK)
    before = availability(lab, "1h"), availability(lab, "5m")
    maintain(lab)
    lab.store.raw.execute(b"DELETE FROM monitoring.snapshot_log WHERE ts < %s", (at(15 * HOUR),))
    assert (availability(lab, "1h"), availability(lab, "5m")) == before
    assert [found[1:3] for found in before[0]][:4] == [(6, 0), (4, 2), (6, 0), (0, 6)]
    (level,) = shown(lab, "overview/service_levels", 0, 100 * TEN_MINUTES)
    assert level == {
        "target": lab.target, "availability_ratio": 0.92, "down_seconds": 4800.0, "watched_ratio": 1.0
    }  # fmt: skip
    assert [outage["down_seconds"] for outage in shown(lab, "executive/outages", 0, 10 * HOUR)] == [3600, 1200]


def test_what_was_lost_before_it_was_kept_is_not_known(lab: Lab) -> None:
    for slot in range(30):
        poll(lab, slot * TEN_MINUTES, Status.UNREACHABLE if slot in (2, 20) else Status.OK)
    maintain(lab)
    lab.store.raw.execute(b"UPDATE monitoring.metric SET lost_known_since = %s", (at(2 * HOUR),))
    assert [found[:3] for found in availability(lab, "1h")] == [(2, 6, 0), (3, 5, 1), (4, 6, 0)]
    (level,) = shown(lab, "overview/service_levels", 0, 10 * HOUR)
    assert (level["availability_ratio"], level["watched_ratio"]) == (17 / 18, pytest.approx(0.3))
    assert lab.lost_polls("server")["1h"] == {0: None, HOUR: None, 2 * HOUR: 0, 3 * HOUR: 1}


def test_an_hour_that_was_lost_is_no_reading_of_anything(lab: Lab) -> None:
    """Panels that ask whether, and how often, something was read."""
    names = {
        "infrastructure/connections": "connections", "infrastructure/blocked": "blocked_sessions",
        "infrastructure/locks": "locks",
    }  # fmt: skip
    for slot in range(30):
        is_lost = 6 <= slot < 12
        poll(lab, slot * TEN_MINUTES, Status.UNREACHABLE if is_lost else Status.OK)
        for metric in names.values():
            rows = [row(metric)]
            reading = lab.reading(metric, None if is_lost else rows, slot * TEN_MINUTES, failed=Status.UNREACHABLE)
            lab.writer.write(TargetPoll(lab.target, None if is_lost else server(), (reading,), error="gone"))
    maintain(lab)
    for name, metric in names.items():
        assert lab.rows_of_coverage(metric)["1h"][HOUR] == (0, 0), metric
        found = shown(lab, name, 0, 4 * HOUR, interval_ms=HOUR * 1000)
        assert {each["time"] for each in found} == {at(0), at(2 * HOUR), at(3 * HOUR)}, name
    lab.store.raw.execute(b"UPDATE monitoring.target SET first_seen = %s", (NOON,))
    watched = shown(lab, "agent/watched", 0, 4 * HOUR, interval_ms=HOUR * 1000)
    assert len(watched) == 4
    assert watched[1]["watched_ratio"] == 0
    (total,) = shown(lab, "agent/watched_by_target", 0, 4 * HOUR, interval_ms=HOUR * 1000)
    assert total["polls"] == 18


def test_the_panels_of_availability(lab: Lab) -> None:
    for slot in range(72):  # twelve hours, of which the fifth loses three polls, and the sixth all
        poll(lab, slot * TEN_MINUTES, Status.UNREACHABLE if slot in range(27, 36) else Status.OK)
    maintain(lab)
    (level,) = shown(lab, "overview/service_levels", 600, 12 * HOUR)
    assert level == {
        "target": lab.target, "availability_ratio": 63 / 72, "down_seconds": 5400.0, "watched_ratio": 1.0
    }  # fmt: skip
    states = shown(lab, "overview/availability", 0, 12 * HOUR)
    assert [found["time"] for found in states] == [at(hour * HOUR) for hour in range(12)]
    assert [found["state"] for found in states] == [1, 1, 1, 1, 2, 0, *[1] * 6]
    # Five minutes in which there was no poll are not known.
    states = shown(lab, "overview/availability", 4 * HOUR, 4 * HOUR + 5400)
    assert [found["state"] for found in states] == [1, None, 1, None, 1, *[None, 0] * 6]
    (outage,) = shown(lab, "executive/outages", 0, 12 * HOUR)
    assert outage == {
        "target": lab.target, "since": at(4 * HOUR), "until": at(6 * HOUR), "down_seconds": 5400.0
    }  # fmt: skip
    (outage,) = shown(lab, "executive/outages", 3 * HOUR, 7 * HOUR)
    assert (outage["since"], outage["until"]) == (at(27 * 600), at(36 * 600))
    (figures,) = shown(lab, "executive/availability", 0, 24 * HOUR)
    assert figures == {
        "availability_ratio": 63 / 72, "worst_ratio": 63 / 72, "down_seconds": 5400.0, "watched_ratio": 0.5
    }  # fmt: skip


# Readings' health, roll-ups


def test_metric_health(lab: Lab) -> None:
    now = time.time() - NOON.timestamp()
    poll(lab, now)
    lab.write("connection_slots", [row("connection_slots", max_connections=100)], now - 3 * 15 - 90)
    lab.write("locks", None, now)
    found = lab.store.raw.execute(
        b"SELECT metric, status, interval_seconds, is_failing, is_stale FROM monitoring.metric_health ORDER BY 1"
    ).fetchall()
    assert found == [
        ("connection_slots", "ok", 15.0, False, True),
        ("locks", "error", 15.0, True, False),
        ("server", "ok", TEN_MINUTES, False, False),
    ]
    (figures,) = shown(lab, "overview/collection", now - HOUR, now + 60)
    assert figures == {"failing": 1, "stale": 1}


def test_rollups_say_how_far_each_tier_is(lab: Lab) -> None:
    for slot in range(8):
        poll(lab, slot * TEN_MINUTES)
    maintain(lab)
    found = lab.store.raw.execute(
        b"SELECT tier, watermark, retention_seconds FROM monitoring.rollups WHERE metric = 'server' ORDER BY 1"
    ).fetchall()
    assert found == [("1h", at(HOUR), None), ("5m", at(HOUR + 300), None), ("raw", None, None)]


# Totals, out of as many tiers as it takes


def totals(lab: Lab, start: float, end: float) -> tuple[Any, ...]:
    (found,) = shown(lab, "overview/targets", start, end)
    return found["tps"], found["deadlocks"], found["cache_hit_ratio"], found["rollback_ratio"]


def count(lab: Lab, second: float, number: int) -> None:
    """A reading of two databases, each of which does the same between two readings."""
    values = {
        "xact_commit": 540 * number, "xact_rollback": 60 * number, "deadlocks": number, "blks_hit": 950 * number,
        "blks_read": 50 * number,
    }  # fmt: skip
    databases = [row("stat_database", datid=oid, datname=f"db{oid}", **values) for oid in (0, 16384)]
    lab.write("stat_database", databases, second)


def test_the_table_of_targets_counts_up_to_now_and_everything_once(lab: Lab) -> None:
    """Out of days, hours, five minutes, and what no tier has yet: rolled up up to a day before noon."""
    begin = -7 * DAY
    rolled = [*range(begin, -DAY, 2 * HOUR), -DAY + 1200, -DAY + 1500, -DAY + 1860]
    times = [*rolled, -DAY + 1875, -DAY + 1890]
    for number, second in enumerate(times):
        if second > rolled[-1] >= times[number - 1]:
            maintain(lab)
        count(lab, second, number)
    end = times[-1] + 1

    def deadlocks(since: float, until: float = end) -> int:
        return 2 * len([second for second in times[1:] if since <= second < until])

    tps, found, cache_hit_ratio, rollback_ratio = totals(lab, begin, end)
    assert (found, cache_hit_ratio, rollback_ratio) == (deadlocks(begin), 0.95, 0.1)
    assert tps == pytest.approx(600 * deadlocks(begin) / (times[-1] - begin))
    start = begin + DAY + 7 * HOUR + 1234
    assert totals(lab, start, end)[1] == deadlocks(start // HOUR * HOUR), "hours, whole days, and the rest"
    start = end - DAY
    assert totals(lab, start, end)[1] == deadlocks(start // HOUR * HOUR), "whole hours, and the rest"
    start = end - 1000
    assert totals(lab, start, end)[1] == deadlocks(start // 300 * 300), "five minutes, and the rest"
    assert totals(lab, begin + 2 * DAY, begin + 3 * DAY)[1] == deadlocks(begin + 2 * DAY, begin + 3 * DAY)
    (figures,) = shown(lab, "executive/incidents", begin, end)
    assert figures == {"restarts": 0, "findings": None, "deadlocks": deadlocks(begin)}
