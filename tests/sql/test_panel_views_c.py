"""What the dashboards of tenants and of security show: calls up to now in every tier, loads, shares, growth, events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.model import TargetPoll, Window
from sbpgmon.present.macros import Scope
from sbpgmon.store.upgrade import init
from tests.conftest import Server
from tests.sql.lab import Lab, at, scratch
from tests.sql.panels import ask, faults, panels_of
from tests.sql.test_tenant_queries import APP, GROUND, OTHER, Site
from tests.sql.test_tiers import forever, maintain
from tests.sql.test_views import row
from tests.unit.catalog_files import server

CATALOG = load_catalog()
PANELS = {f"{dashboard.name}/{panel.name}": (dashboard, panel) for dashboard, panel in panels_of(CATALOG).values()}
DAY = 86400


@pytest.fixture
def lab(cluster: Server, tmp_path: Path) -> Iterator[Lab]:
    """A store of the test's own: its roll-ups go by its polls alone."""
    with scratch(cluster) as database:
        made = Lab(database, CATALOG, tmp_path)
        init(made.store, CATALOG, [], retention_of=forever)
        yield made
        made.store.close()


@pytest.fixture
def site(lab: Lab) -> Iterator[Site]:
    site = Site(lab)
    yield site
    site.judge.close()


def shown(
    lab: Lab, name: str, end: int, *, start: int = 0, interval_ms: int = 15000, **values: Any
) -> list[dict[str, Any]]:
    """The rows of a panel between two times, in seconds after noon; held to what every answer must be like."""
    dashboard, panel = PANELS[name]
    chosen: dict[str, str | Sequence[str]] = (
        {v.name: [] for v in dashboard.variables} | {"target": [lab.target]} | values
    )
    scope = Scope(at(start), at(end), interval_ms, chosen)
    answer = ask(lab.store.raw, panel.sql, dashboard, scope)
    assert list(faults(panel, answer, scope)) == []
    return [dict(zip(answer.names, found, strict=True)) for found in answer.rows]


def only(rows: list[dict[str, Any]]) -> dict[str, Any]:
    assert len(rows) == 1
    return rows[0]


# Calls by what they do about tenants


def verdicts(lab: Lab, tier: str) -> dict[str, int]:
    found: Counter[str] = Counter()
    for verdict, calls in lab.store.raw.execute(
        "SELECT verdict, calls FROM monitoring.verdict_calls WHERE target = %s AND tier = %s", (lab.target, tier)
    ):
        found[verdict] += calls
    return dict(found)


def leak(site: Site) -> None:
    """Two days of few polls; the last calls are some minutes old, and of no coarse tier yet."""
    site.poll(0, ground=GROUND)
    site.poll(60, {(APP, 2): 5, (OTHER, 1): 1}, (1, 2))
    site.passed()
    for seconds in (120, 3700, 7300, DAY, 2 * DAY, 2 * DAY + 3600, 2 * DAY + 7000, 2 * DAY + 7400):
        site.poll(seconds, {(APP, 2): 7, (OTHER, 1): 1})
    site.poll(2 * DAY + 7460, {(APP, 1): 3, (APP, 2): 2}, (1,))
    site.passed()


def test_calls_are_up_to_now_in_every_tier(site: Site) -> None:
    leak(site)
    expected = {"scoped": 5 + 8 * 7 + 2, "suspected": 9, "cross_tenant": 3}
    # Before anything is rolled up each tier is made of the finest one.
    assert [verdicts(site.lab, tier) for tier in ("1m", "5m", "1h", "1d")] == [expected] * 4
    maintain(site.lab)
    assert "cross_tenant" not in site.total("1h")
    assert site.total("1d")
    assert [verdicts(site.lab, tier) for tier in ("1m", "5m", "1h", "1d")] == [expected] * 4


def test_a_leak_of_this_minute_is_in_every_range(site: Site) -> None:
    leak(site)
    maintain(site.lab)
    end = 2 * DAY + 7500
    for start in (2 * DAY + 7000, DAY + 7500, end - 30 * DAY):
        found = only(shown(site.lab, "security/cross_tenant_queries", end, start=start))
        assert found["cross_tenant"] == 3
        assert found["idor_prone"] == found["not_judged"] == 0
        trend = shown(site.lab, "security/cross_tenant_trend", end, start=start)
        assert sum(found["cross_tenant"] for found in trend) == 3
        states = shown(site.lab, "security/activity", end, start=start)
        assert states[-1]["state"] == 3
    assert only(shown(site.lab, "security/cross_tenant_queries", end + 999, start=end))["cross_tenant"] is None


def test_calls_a_second_by_verdict(site: Site) -> None:
    leak(site)
    rates = {found["verdict"]: found["calls"] for found in shown(site.lab, "tenants/calls_by_verdict", 100)}
    assert rates == {"scoped": 5 / 60, "suspected": 1 / 60}


# Tenants


def activity(tenant: str, **values: Any) -> tuple[Any, ...]:
    nothing = dict.fromkeys(("tables", "row_count", "size_bytes", "sessions", "active_sessions"))
    return row("tenant_activity", **{"tenant": tenant} | nothing | values)


def busy(lab: Lab) -> None:
    """Three tenants over four minutes. Of `c` only the sessions are known; `b` becomes loud after two minutes."""
    read, written = {"a": 0, "b": 0}, 0
    for minute in range(5):
        lab.write(
            "tenant_activity",
            [
                activity(
                    "a", tup_read=read["a"], tup_written=written, size_bytes=1000 + 60 * minute, active_sessions=0
                ),
                activity("b", tup_read=read["b"], tup_written=0, size_bytes=500, sessions=minute),
                activity("c", tup_read=None, tup_written=None, scans=None, sessions=2, active_sessions=1),
            ],
            60 * minute,
        )
        read["a"] += 540
        written += 60
        read["b"] += 60 if minute < 2 else 2400


def test_tenants_by_load(lab: Lab) -> None:
    busy(lab)
    rows = shown(lab, "tenants/tenants", 241, tenant=["a", "b", "c"])
    assert [found["tenant"] for found in rows] == ["b", "a", "c"]
    loud, quiet, unknown = rows
    # Rows over the 240 s that were watched; the first reading has no interval.
    assert loud["load"] == pytest.approx((2 * 60 + 2 * 2400) / 240)
    assert quiet["load"] == pytest.approx(4 * 600 / 240)
    assert quiet["share"] == pytest.approx(2400 / (2400 + 4920))
    assert quiet["read_ratio"] == pytest.approx(0.9)
    assert quiet["growth_bytes_per_day"] == pytest.approx(60 * 1440)
    assert (quiet["size_bytes"], loud["size_bytes"], loud["growth_bytes_per_day"]) == (1240, 500, 0)
    assert loud["sessions"] == 2
    assert (unknown["load"], unknown["share"], unknown["size_bytes"], unknown["sessions"]) == (None, None, None, 2)


def test_active_tenants(lab: Lab) -> None:
    busy(lab)
    assert only(shown(lab, "tenants/active_tenants", 241)) == {"active": 3, "known": 3, "tenants": 3}
    assert only(shown(lab, "tenants/active_tenants", 999, start=500)) == dict.fromkeys(("active", "known", "tenants"))


def test_load_of_the_chosen_and_of_the_others(lab: Lab) -> None:
    busy(lab)
    found = shown(lab, "tenants/load_over_time", 241, tenant=["a"])
    loads = {(x["time"], x["tenant"]): x["load"] for x in found}
    mine = f"a ({lab.target})"
    # Points of two minutes: the first reading has no interval, the others got loud from the third minute on.
    assert [loads[at(120 * number), mine] for number in range(3)] == [pytest.approx(10)] * 3
    assert [loads[at(120 * number), "All others"] for number in range(3)] == [1, 20.5, 40]


def test_a_noisy_neighbour_is_one_that_was_not_before(lab: Lab) -> None:
    busy(lab)
    noisy = only(shown(lab, "tenants/noisy_neighbours", 241, start=121))
    assert noisy["tenant"] == "b"
    assert noisy["share"] == pytest.approx(4800 / 6000)
    assert noisy["share_before"] == pytest.approx(120 / 1320)
    assert noisy["times_before"] == pytest.approx(8.8)
    assert noisy["times_median"] == pytest.approx(4800 / 3000)


def test_growth(lab: Lab) -> None:
    busy(lab)
    first, second = shown(lab, "tenants/growing_tenants", 241, tenant=["a", "b", "c"])
    assert (first["tenant"], first["size_bytes"], second["tenant"]) == ("a", 1240, "b")
    assert first["growth_bytes_per_day"] == pytest.approx(86400)
    assert first["growth_ratio"] == pytest.approx(0.24)
    assert first["size_in_30_days"] == pytest.approx(1240 + 30 * 86400)


def test_activity_is_of_a_tenants_own_peak(lab: Lab) -> None:
    busy(lab)
    found = shown(lab, "tenants/heatmap", 241, tenant=["a", "b", "c"])
    ratios = [(x["time"], x["tenant"][0], x["ratio"]) for x in found]
    assert [ratio for _, tenant, ratio in ratios if tenant == "b"] == [pytest.approx(x) for x in (0.025, 0.025, 1, 1)]
    assert {tenant for _, tenant, _ in ratios} == {"a", "b"}


# Events and audit


def events(lab: Lab) -> None:
    for minute, (failed, attempts) in enumerate([(0, 10), (3, 20), (0, 10)]):
        rows = [row("tenant_events", event="failed_logins", tenant="", window_seconds=60.0)]
        if failed:
            rows.append(row("tenant_events", event="failed_logins", tenant="acme", count=failed, attempts=5))
        rows.append(row("tenant_events", event="failed_logins", tenant="zeta", attempts=attempts))
        end = at(60 * minute)
        window = Window("failed_logins", end - timedelta(minutes=1), end, at(60 * (minute - 1)) if minute else None)
        reading = replace(lab.reading("tenant_events", rows, 60 * minute), windows=(window,))
        lab.writer.write(TargetPoll(lab.target, server(), (reading,)))


def test_failed_logins(lab: Lab) -> None:
    events(lab)
    assert only(shown(lab, "security/failed_logins", 181, start=170)) == {"failed": 3, "share": 3 / 45, "tenants": 1}
    assert only(shown(lab, "security/failed_logins", 9000, start=8000))["failed"] is None
    # Points of two minutes.
    assert [found["per_minute"] for found in shown(lab, "security/events_over_time", 181)] == [1.5, 0]
    by_tenant = only(shown(lab, "security/events_by_tenant", 181))
    assert (by_tenant["tenant"], by_tenant["count"]) == ("acme", 3)
    assert only(shown(lab, "security/idor_rejections", 181)) == {"rejected": None, "tenants": None}


def test_audit_rows_that_were_changed(lab: Lab) -> None:
    for minute, (added, changed) in enumerate([(0, 0), (120, 0), (240, 2)]):
        table = {"relid": 7, "table_name": "app.audit", "audit_table": "app.audit", "table_bytes": 1000 + minute}
        lab.write("audit_table", [row("audit_table", n_tup_ins=added, n_tup_upd=changed, **table)], 60 * minute)
    assert only(shown(lab, "security/audit_changes", 181)) == {"changed": 2, "removed": 0, "added": 240}
    assert [found["added"] for found in shown(lab, "security/audit_volume", 181)] == [None, 2, 2]
    table = only(shown(lab, "security/audit_tables", 181))
    assert (table["changed"], table["table_bytes"]) == (2, 1002)
    assert table["growth_bytes_per_day"] == pytest.approx(1440)
