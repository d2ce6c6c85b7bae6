"""`store`: its sizes are those of the server, its rows and rates those that were put in, and it is quick."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sbpgmon.present.store import measure
from sbpgmon.store.connection import StoreConnection
from sbpgmon.store.maintenance import Maintenance
from sbpgmon.store.partitions import partitions
from tests.integration.support import OWNER, Site

pytestmark = pytest.mark.matrix

DAY = timedelta(days=1)
# Partitions of `length` from `since` on, of 60 series with a row each `step`.
_FILL = """
DO $$
DECLARE
  since timestamptz := '{since}';
  place text;
BEGIN
  WHILE since < '{until}' LOOP
    place := format('{table}_p%s', to_char(since, 'YYYYMMDD'));
    EXECUTE format('CREATE TABLE monitoring.%I PARTITION OF monitoring.{table} FOR VALUES FROM (%L) TO (%L)',
                   place, since, since + interval '{length}');
    EXECUTE format('INSERT INTO monitoring.%I (ts, series_id, target_id, calls) SELECT t, s, 1, 5
                    FROM generate_series(%L::timestamptz, %L::timestamptz - interval ''{step}'', ''{step}'') AS t,
                         generate_series(1, 60) AS s', place, since, since + interval '{length}');
    since := since + interval '{length}';
  END LOOP;
END $$
"""


def _fill(site: Site, tier: str, since: datetime, until: datetime, length: str, step: str) -> None:
    table = f"stat_statements_{tier}"
    query = _FILL.format(table=table, since=since, until=until, length=length, step=step)
    with site.database.connect() as connection:
        connection.execute(f"SET ROLE {OWNER}".encode())
        connection.execute(query.encode())


def _before(site: Site, tier: str) -> datetime:
    """Where the partitions begin that are there."""
    with site.database.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return min(place.start for place in partitions(connection, [f"stat_statements_{tier}"]))


def _measure(site: Site) -> dict[str, Any]:
    store = StoreConnection(site.database.dsn(OWNER))
    try:
        return measure(store)
    finally:
        store.close()


def _parts(found: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(part["metric"], part["part"]): part for part in found["metrics"]}


def _today() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def test_the_sum_is_the_size_of_the_schema(monitored: Site) -> None:
    monitored.polled()
    monitored.polled()
    until = _before(monitored, "1h")
    _fill(monitored, "1h", until - 90 * DAY, until, "45 days", "1 hour")
    found = _measure(monitored)
    relations = "FROM pg_class WHERE relnamespace = 'monitoring'::regnamespace"
    total = monitored.value(f"SELECT sum(pg_total_relation_size(oid))::bigint {relations} AND relkind IN ('r', 'S')")
    assert found["total_bytes"] == total
    assert sum(part["total_bytes"] for part in found["metrics"]) == total
    assert sum(tier["total_bytes"] for tier in found["tiers"]) == total
    assert found["is_exact"]
    for (metric, part), of in _parts(found).items():
        assert of["total_bytes"] == of["table_bytes"] + of["index_bytes"]
        if metric not in ("(fixed)", "snapshot_log") and part != "other":
            size = monitored.value(
                "SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint FROM pg_inherits "
                "WHERE inhparent = to_regclass(%s)",
                f"monitoring.{metric}_{part}",
            )
            assert of["total_bytes"] == size, (metric, part)
    # What a rollback would say is what a rollback says.
    assert sum(found["relations"].values()) == monitored.value(f"SELECT count(*) {relations}")
    assert f"{found['locks']['needed']:,} locks are needed" in monitored.run("rollback", input="n\n", check=130).stdout


def test_rows_and_what_comes_a_day(monitored: Site) -> None:
    monitored.polled()
    until = _before(monitored, "1h")
    _fill(monitored, "1h", until - 90 * DAY, until, "30 days", "1 hour")
    with monitored.database.connect() as connection:
        connection.execute("ANALYZE monitoring.stat_statements_1h")
    found = _measure(monitored)
    part = _parts(found)["stat_statements", "1h"]
    assert part["rows"] == 60 * 24 * 90
    assert (part["oldest"], part["newest"]) == (until - 90 * DAY, until - timedelta(hours=1))
    assert part["rows_per_day"] == pytest.approx(60 * 24)
    # But for the partitions that are made ahead, and are empty.
    assert part["bytes_per_day"] == pytest.approx(part["total_bytes"] / 90, rel=0.05)
    assert part["retention_seconds"] == 365 * 86400
    assert part["full_bytes"] == pytest.approx(part["bytes_per_day"] * (365 + 90), rel=0.1)
    assert not part["is_estimated"]
    coming = found["forecast"]
    # The oldest row is not as old yet as it may become.
    days = _parts(found)["stat_statements", "1d"]
    assert days["is_estimated"]
    assert days["full_bytes"] is None
    assert 0 < days["bytes_per_day"] <= part["bytes_per_day"] / 20
    more = coming["in_30_days_bytes"] - found["total_bytes"]
    assert more == pytest.approx(30 * (part["bytes_per_day"] + days["bytes_per_day"]), rel=0.01)
    assert found["total_bytes"] < coming["in_30_days_bytes"] < coming["in_a_year_bytes"]
    assert coming["forever_bytes_per_day"] == days["bytes_per_day"]


def test_a_tier_that_is_too_young_is_estimated_by_the_finer_one(monitored: Site) -> None:
    monitored.polled()
    _fill(monitored, "1m", _today() - 8 * DAY, _today() - 4 * DAY, "2 days", "1 minute")
    with monitored.database.connect() as connection:
        connection.execute("ANALYZE monitoring.stat_statements_1m")
    parts = _parts(_measure(monitored))
    series = parts["stat_statements", "other"]["rows"]
    assert series > 0
    fine, middle, coarse = (parts["stat_statements", tier] for tier in ("1m", "5m", "1h"))
    assert fine["rows_per_day"] == pytest.approx(60 * 1440)
    assert (fine["is_estimated"], middle["is_estimated"], coarse["is_estimated"]) == (False, True, True)
    assert 0 < coarse["rows_per_day"] <= middle["rows_per_day"] <= fine["rows_per_day"]
    assert coarse["bytes_per_day"] / coarse["rows_per_day"] == pytest.approx(fine["bytes_per_day"] / (60 * 1440))


def test_retention_and_how_far_the_roll_up_lags_behind(monitored: Site) -> None:
    kept = {"stat_database": {"retention": {"raw": "12h", "1h": "2y"}}}
    monitored.configure(metrics=kept, environment={"profile": "staging", "retention": {"1d": "forever"}})
    monitored.run("init")
    monitored.polled()
    parts = _parts(_measure(monitored))
    ages = {tier: parts["stat_database", tier]["retention_seconds"] for tier in ("raw", "1m", "5m", "1h")}
    assert ages == {"raw": 12 * 3600, "1m": 7 * 86400, "5m": 14 * 86400, "1h": 730 * 86400}
    assert parts["locks", "1h"]["retention_seconds"] == 14 * 86400
    assert parts["coverage", "1d"]["retention_seconds"] is None
    assert parts["snapshot_log", "log"]["retention_seconds"] == 7 * 86400

    # Five hours that nobody has rolled up.
    with monitored.database.connect() as connection:
        connection.execute(
            "UPDATE monitoring.rollup SET watermark = date_trunc('hour', now()) - interval '5 hours' WHERE watermark "
            "IS NOT NULL OR tier <> 'raw'"
        )
    behind = _parts(_measure(monitored))["stat_database", "1h"]["behind_seconds"]
    assert behind == 5 * 3600
    assert _parts(_measure(monitored))["stat_database", "raw"]["behind_seconds"] is None
    with monitored.database.connect() as connection:
        connection.execute("DELETE FROM monitoring.lease")
    Maintenance(monitored.database.dsn(OWNER), "test").run()
    parts = _parts(_measure(monitored))
    assert parts["stat_database", "1h"]["behind_seconds"] <= 3600
    assert parts["stat_database", "1m"]["behind_seconds"] <= 120


def test_a_table_that_somebody_has_locked_is_not_waited_for(monitored: Site) -> None:
    monitored.polled()
    [(table,)] = monitored.ask(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'monitoring.server_raw'::regclass LIMIT 1"
    )
    with monitored.database.connect() as connection:
        connection.execute("VACUUM monitoring.stat_statements_series")
        with connection.transaction():
            connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
            found = _measure(monitored)
            assert not found["is_exact"]
            assert found["total_bytes"] > 0
            assert "estimates: a table is locked" in monitored.run("store").stdout


def test_large_tables_are_not_read(monitored: Site) -> None:
    monitored.polled()
    _fill(monitored, "1m", _today() - 8 * DAY, _today() - 4 * DAY, "4 days", "1 minute")
    [(place, index)] = monitored.ask(
        "SELECT i.inhrelid::regclass::text, x.indexrelid::regclass::text FROM pg_inherits AS i "
        "JOIN pg_index AS x ON x.indrelid = i.inhrelid "
        "WHERE i.inhparent = 'monitoring.stat_statements_1m'::regclass AND pg_relation_size(i.inhrelid) > 16000000"
    )
    scans = "SELECT seq_scan FROM pg_stat_user_tables WHERE relid = %s::regclass"
    with monitored.database.connect() as connection:
        before = monitored.value(scans, place)
        by_index = _parts(_measure(monitored))["stat_statements", "1m"]
        # Without an index its bounds have to do.
        connection.execute(f"ALTER TABLE monitoring.stat_statements_1m DETACH PARTITION {place}".encode())
        connection.execute(f"DROP INDEX {index}".encode())
        without = _parts(_measure(monitored))["stat_statements", "1m"]
    assert by_index["oldest"] == _today() - 8 * DAY
    assert monitored.value(scans, place) == before
    assert without["rows"] <= by_index["rows"]


def test_on_80_columns_and_as_json(monitored: Site) -> None:
    monitored.polled()
    monitored.polled()
    until = _before(monitored, "1h")
    _fill(monitored, "1h", until - 90 * DAY, until, "45 days", "1 hour")
    shown = monitored.run("store").stdout
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= 80
    assert "other  " in shown
    for text in (
        "stat_statements ",
        "snapshot_log ",
        "coverage ",
        "365 d",
        "forever",
        "In 30 days",
        "A rollback takes",
    ):
        assert text.lower() in shown.lower()
    found = json.loads(monitored.run("store", "--format", "json").stdout)
    assert found.keys() == {
        "total_bytes", "is_exact", "rows", "tiers", "metrics", "forecast", "relations", "locks", "outside"
    }  # fmt: skip
    assert {"raw", "1m", "5m", "1h", "1d", "log", "other"} == {tier["tier"] for tier in found["tiers"]}


def test_a_store_in_which_nothing_is_yet(monitored: Site) -> None:
    shown = monitored.run("store").stdout
    assert "Forecast: not yet" in shown
    assert "A rollback takes" in shown


def test_a_store_without_the_schema(bare: Site) -> None:
    assert "The schema monitoring is not" in bare.run("store", check=21).stderr
