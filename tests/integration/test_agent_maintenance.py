"""The agent rolls up and ages the history, as a daemon and under cron, and charts read it as Grafana's role."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sbpgmon.catalog.catalog import load_catalog
from tests.conftest import Database
from tests.integration.support import GRAFANA, METRICS, OWNER, TARGET, Site, wait_for
from tests.sql.lab import NOON, Lab

BEFORE = "before"
COLUMNS = (
    "dbid", "userid", "queryid", "toplevel", "calls", "total_exec_time", "rows", "stats_since", "stats_reset", "dealloc"
)  # fmt: skip


@pytest.fixture
def hours(monitored: Site, tmp_path: Path) -> Site:
    """A store that has the last three hours of another target, not rolled up."""
    lab = Lab(monitored.database, load_catalog(), tmp_path / "lab", role=OWNER, target=BEFORE)
    begin = (datetime.now(UTC) - timedelta(hours=3) - NOON).total_seconds()
    for number in range(36):
        row = (5, 10, 1, True, number * 7, number * 1.5, number, None, None, None)
        lab.write("stat_statements", [row], begin + 300 * number, columns=COLUMNS)
    lab.writer._store.close()
    lab.store.close()
    monitored.configure(metrics={name: {"enabled": name == "server"} for name in METRICS})
    return monitored


def rolled(site: Site) -> int:
    return int(site.value("SELECT count(*) FROM monitoring.stat_statements WHERE target = %s AND tier = '1h'", BEFORE))


def test_collect_maintains_the_store_once_in_five_minutes(hours: Site, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        hours.polled()
    assert "rolled up" in caplog.text
    # An hour's bucket is there when the hour is over.
    assert rolled(hours) in (2, 3)
    caplog.clear()
    with caplog.at_level(logging.INFO):
        hours.polled()
    assert "rolled up" not in caplog.text
    assert hours.value("SELECT count(*) FROM monitoring.lease WHERE target_id = 0") == 1


def test_the_daemon_maintains_the_store_beside_the_polls(hours: Site) -> None:
    with hours.start("run") as process:
        wait_for(lambda: rolled(hours) in (2, 3))
        wait_for(lambda: "rolled up" in hours.log)
        process.terminate()
        assert process.wait(30) == 0
    assert "Traceback" not in hours.log
    assert hours.is_consistent()


def test_who_reads_the_views_may_ask_for_tiers_and_totals(hours: Site) -> None:
    hours.polled()
    with Database(hours.database.server, hours.database.name).connect(GRAFANA) as grafana:
        query = "SELECT monitoring.tier('stat_statements', 60000, now() - interval '1 hour')"
        assert grafana.execute(query).fetchone() == ("1m",)
        total = grafana.execute(
            "SELECT calls, rows FROM monitoring.top_statements(%s, now() - interval '4 hours', now())", (BEFORE,)
        ).fetchall()
        assert total == [(35 * 7, 35)]
        assert grafana.execute(
            "SELECT sum(calls) FROM monitoring.statements WHERE target = %s AND tier = '1m'", (BEFORE,)
        ).fetchone() == (35 * 7,)
    with hours.database.connect() as admin:
        admin.execute("CREATE ROLE nobody_special LOGIN")
        try:
            assert not admin.execute(
                "SELECT has_function_privilege('nobody_special', p.oid, 'EXECUTE') FROM pg_proc p "
                "WHERE proname = 'top_statements' AND pronamespace = 'monitoring'::regnamespace"
            ).fetchall()[0][0]
        finally:
            admin.execute("DROP ROLE nobody_special")


def test_another_retention_holds_with_the_next_start(hours: Site) -> None:
    hours.polled()
    query = (
        "SELECT r.retention_seconds FROM monitoring.rollup r JOIN monitoring.metric m USING (metric_id) "
        "WHERE m.name = 'stat_statements' AND r.tier = '1m'"
    )
    assert hours.value(query) == 7 * 86400
    hours.configure(metrics={"stat_statements": {"retention": {"1m": "2h"}, "interval": "100ms"}})
    hours.polled()
    assert hours.value(query) == 2 * 3600
    # A history that has just begun is read from the finest tier, whatever its retention.
    hours.ask("UPDATE monitoring.target SET first_seen = now() - interval '1 day' RETURNING 1")
    ask = "SELECT monitoring.tier('stat_statements', 60000, now() - interval '3 hours')"
    assert hours.value(ask) == "5m"
    assert TARGET in hours.targets
