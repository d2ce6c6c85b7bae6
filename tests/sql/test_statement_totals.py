"""The totals of a target's statements: the sums of the statements' own rows, in every tier, whatever happens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.store.upgrade import init
from tests.conftest import Server
from tests.sql.lab import Lab, at, scratch
from tests.sql.test_tiers import forever, maintain

COLUMNS = (
    "dbid", "userid", "queryid", "toplevel", "calls", "total_exec_time", "rows", "shared_blks_hit",
    "shared_blk_read_time", "local_blk_read_time", "temp_blk_read_time", "wal_bytes", "stats_since",
)  # fmt: skip
TIERS = ("1m", "5m", "1h", "1d")
FIRST, SECOND = 16384, 16385  # databases
UNKNOWN, PARTIAL = 2, 1
SUMS = (
    "sum(calls), sum(total_exec_time), sum(rows), sum(shared_blks_hit), "
    "sum(shared_blk_read_time + local_blk_read_time + temp_blk_read_time), sum(wal_bytes)"
)
TOTALS = ("calls", "total_exec_time", "rows", "shared_blks_hit", "blk_read_time", "wal_bytes")


@pytest.fixture
def lab(cluster: Server, tmp_path: Path) -> Iterator[Lab]:
    with scratch(cluster) as database:
        lab = Lab(database, load_catalog(), tmp_path)
        init(lab.store, lab.catalog, [], retention_of=forever)
        yield lab
        lab.store.close()


def poll(
    lab: Lab,
    seconds: float,
    calls: Mapping[tuple[int, int, bool], int],
    since: Mapping[tuple[int, int, bool], float] | None = None,
) -> None:
    """(database, queryid, is top-level) -> calls; `since`: when the statement's counters began, if not long ago."""
    rows = [
        (dbid, 10, queryid, is_top, n, n / 8, n * 2, n * 3, n / 16, n / 32, n / 64, n * 100, at(began))
        for (dbid, queryid, is_top), n in calls.items()
        for began in [(since or {}).get((dbid, queryid, is_top), -9000)]
    ]
    lab.write("stat_statements", rows, seconds, columns=COLUMNS)


def totals(lab: Lab, tier: str) -> dict[tuple[float, int], tuple[Any, ...]]:
    """Seconds after noon, database -> what the metric says (late rows are rows of their own at first), quality."""
    rows = lab.store.raw.execute(
        f"SELECT extract(epoch FROM time - %s::timestamptz)::float8, dbid, {', '.join(f'sum({n})' for n in TOTALS)}, "
        "bit_or(quality) FROM monitoring.statement_totals WHERE target = %s AND tier = %s GROUP BY 1, 2".encode(),
        (at(0), lab.target, tier),
    )
    return {(seconds, int(dbid)): tuple(values) for seconds, dbid, *values in rows}


def hold_to_the_statements(lab: Lab, tiers: tuple[str, ...] = TIERS) -> None:
    for tier in tiers:
        found = lab.store.raw.execute(
            f"SELECT extract(epoch FROM time - %s::timestamptz)::float8, dbid, {SUMS} FROM monitoring.stat_statements "
            "WHERE target = %s AND tier = %s AND toplevel GROUP BY 1, 2".encode(),
            (at(0), lab.target, tier),
        ).fetchall()
        assert found, tier
        wanted = {(seconds, int(dbid)): tuple(sums) for seconds, dbid, *sums in found}
        told = {key: row[:-1] for key, row in totals(lab, tier).items()}
        assert told.keys() == wanted.keys(), tier
        for key, sums in wanted.items():
            assert told[key] == pytest.approx(sums), (tier, key)


def test_top_level_statements_are_added_up_by_database(lab: Lab) -> None:
    poll(lab, 0, {(FIRST, 1, True): 0, (FIRST, 2, True): 0, (FIRST, 3, False): 0, (SECOND, 1, True): 0})
    poll(lab, 60, {(FIRST, 1, True): 8, (FIRST, 2, True): 24, (FIRST, 3, False): 800, (SECOND, 1, True): 16})
    poll(lab, 120, {(FIRST, 1, True): 8, (FIRST, 2, True): 24, (FIRST, 3, False): 900, (SECOND, 1, True): 16})
    assert totals(lab, "1m") == {
        (60.0, FIRST): (32, 4.0, 64, 96, 3.5, 3200, 0),
        (60.0, SECOND): (16, 2.0, 32, 48, 1.75, 1600, 0),
    }
    assert [s["status"] for s in lab.snapshots("statement_totals")] == ["ok"] * 3


def test_what_is_not_known_is_left_out_and_said(lab: Lab) -> None:
    one, two = (FIRST, 1, True), (FIRST, 2, True)
    poll(lab, 0, {one: 0, two: 0})
    poll(lab, 60, {one: 8, two: 8})
    # Counters that began before the interval, and are not those that were read then.
    poll(lab, 120, {one: 16, two: 16}, {two: 10})
    poll(lab, 180, {one: 24, two: 24}, {one: 20, two: 20})
    poll(lab, 240, {one: 32, two: 40}, {one: 20, two: 20})
    said = {seconds: (calls, quality) for (seconds, _), (calls, *_, quality) in totals(lab, "1m").items()}
    assert said == {60: (16, 0), 120: (8, PARTIAL), 180: (None, PARTIAL | UNKNOWN), 240: (24, 0)}
    for minute in (*range(5, 12), 65):
        poll(lab, 60 * minute, {one: 40 + minute, two: 40 + minute}, {one: 20, two: 20})
    maintain(lab)
    hold_to_the_statements(lab, TIERS[:3])
    assert totals(lab, "5m")[0.0, FIRST][0] == 48
    assert totals(lab, "5m")[0.0, FIRST][-1] == PARTIAL


def test_a_reset_and_a_failed_reading(lab: Lab) -> None:
    one, two = (FIRST, 1, True), (FIRST, 2, True)
    poll(lab, 0, {one: 100, two: 0})
    poll(lab, 60, {one: 108, two: 8})
    poll(lab, 120, {one: 4, two: 2})
    lab.write("stat_statements", None, 180)
    poll(lab, 240, {one: 12, two: 2})
    assert {seconds: row[0] for (seconds, _), row in totals(lab, "1m").items()} == {60: 16, 120: 6, 240: 8}
    hold_to_the_statements(lab, TIERS[:1])
    assert [(s["status"], s["interval_seconds"]) for s in lab.snapshots("statement_totals")] == [
        ("ok", None), ("ok", 60.0), ("ok", 60.0), ("error", None), ("ok", 120.0),
    ]  # fmt: skip


def test_times_are_added_up_in_full(lab: Lab) -> None:
    """One statement takes a billion times what each of the others does, and these are as much as a hundredth of it."""
    keys = [(FIRST, number, True) for number in range(2001)]
    poll(lab, 0, dict.fromkeys(keys, 0))
    poll(lab, 60, {key: 8 * (10**9 if key[1] == 0 else 10) for key in keys})
    assert totals(lab, "1m")[60.0, FIRST][1] == pytest.approx(10**9 + 2000 * 10, rel=1e-7)


def test_late_snapshots_are_in_every_tier(lab: Lab) -> None:
    one, two = (FIRST, 1, True), (SECOND, 2, True)
    late = Lab(lab.database, lab.catalog, lab.folder / "late")
    late.target = "late"
    # A day and more: each tier has a bucket that is rolled up.
    for hour in range(0, 28, 3):
        poll(lab, 3600 * hour, {one: 8 * hour, two: 16 * hour})
    maintain(lab)
    hold_to_the_statements(lab)
    for hour in range(0, 28, 3):
        poll(late, 3600 * hour + 30, {one: 24 * hour, two: 8 * hour})
    hold_to_the_statements(late)
    for hour in (28, 29):
        poll(late, 3600 * hour + 30, {one: 24 * hour, two: 8 * hour})
    maintain(lab)
    hold_to_the_statements(late)
    hold_to_the_statements(lab)
    late.store.close()
