"""The counter rules, on a real server: what the generated SQL makes of synthetic readings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal, localcontext
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sbpgmon.catalog.catalog import Catalog, load_catalog
from sbpgmon.catalog.metrics import parse_metric
from sbpgmon.model import GAP, PARTIAL, UNKNOWN, Metric
from sbpgmon.store.upgrade import init
from tests.conftest import Server
from tests.sql.lab import Lab, Row, at, scratch

pytestmark = pytest.mark.matrix

COUNTED = """\
-- Counters alone, with a reset of their own.
-- interval: 60s
-- missing: zero
-- columns:
--   name         key      text              name
--   calls        counter  bigint            calls
--   bytes        counter  numeric           bytes [bytes]
--   spent        counter  double precision  time [ms]
--   stats_reset  reset    timestamptz       reset
select 1
"""
MEASURED = """\
-- A gauge, a counter and an info column.
-- interval: 15s
-- columns:
--   name   key      text     name
--   size   gauge    integer  size
--   count  counter  bigint   count
--   owner  info     text     owner
select 1
"""
ZEROED = """\
-- A counter whose zeros are not sent, and nothing that tells of resets.
-- interval: 60s
-- missing: zero
-- nulls: zero
-- columns:
--   id     key      integer  id
--   calls  counter  bigint   calls
--   rows   counter  bigint   rows
select 1
"""
KEYLESS = """\
-- One row.
-- interval: 60s
-- columns:
--   up     gauge    smallint  up
--   count  counter  integer   count
select 1
"""
NOTED = """\
-- Info columns alone.
-- interval: 5m
-- columns:
--   id      key   oid      id
--   name    info  text     name
--   active  info  boolean  active
select 1
"""
OLD = """\
-- Columns that came with a version.
-- interval: 60s
-- columns:
--   id     key      integer  id
--   calls  counter  bigint   calls
--   late   counter  bigint   came later
--   size   gauge    bigint   came later as well
select 1::integer as id, 1::bigint as calls, null::bigint as late, null::bigint as size
"""
NEW = "-- From 18 on.\nselect 1::integer as id, 1::bigint as calls, 1::bigint as late, 1::bigint as size\n"
RESTARTED = {"postmaster_start_time": at(30)}


@pytest.fixture(scope="module")
def shared(cluster: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    metrics: list[Metric] = []
    for name, text in (
        ("counted", COUNTED), ("measured", MEASURED), ("zeroed", ZEROED), ("keyless", KEYLESS), ("noted", NOTED),
    ):  # fmt: skip
        (folder / f"{name}.sql").write_text(text)
        metrics.append(parse_metric([folder / f"{name}.sql"]))
    (folder / "versioned.sql").write_text(OLD)
    (folder / "versioned.pg18.sql").write_text(NEW)
    metrics.append(parse_metric([folder / "versioned.sql", folder / "versioned.pg18.sql"]))
    views = {name: load_catalog().views[name] for name in ("snapshot",)}
    with scratch(cluster) as database:
        lab = Lab(database, Catalog({m.name: m for m in metrics}, views), folder / "state")
        init(lab.store, lab.catalog, [])
        yield lab
        lab.store.close()


@pytest.fixture
def lab(shared: Lab) -> Iterator[Lab]:
    fresh = shared.another()
    yield fresh
    fresh.store.close()


def deltas(lab: Lab, metric: str = "counted", columns: str = "name, calls, quality") -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in lab.rows(metric, columns)]


def counted(name: str, calls: int | None, reset: float | None = None, bytes_: Any = 0, spent: Any = 0) -> Row:
    return name, calls, bytes_, spent, None if reset is None else at(reset)


# Ordinary differences


def test_the_first_reading_is_a_baseline_and_says_so(lab: Lab) -> None:
    result = lab.write("counted", [counted("a", 100)], 0)
    assert (result.facts, result.snapshots, result.rows_read, result.failures, result.notes) == (0, 1, 1, [], [])
    assert deltas(lab) == []
    [snapshot] = lab.snapshots("counted")
    assert (snapshot["status"], snapshot["interval_seconds"], snapshot["quality"]) == ("ok", None, UNKNOWN)


def test_a_difference(lab: Lab) -> None:
    lab.write("counted", [counted("a", 100, None, 5, 1.5), counted("b", 7)], 0)
    lab.write("counted", [counted("a", 130, None, 5, 4.0), counted("b", 8)], 60)
    assert lab.rows("counted", "tier, name, calls, bytes, spent, quality") == [
        {"at": 60, "tier": "1m", "name": "a", "calls": 30, "bytes": 0, "spent": 2.5, "quality": 0},
        {"at": 60, "tier": "1m", "name": "b", "calls": 1, "bytes": 0, "spent": 0, "quality": 0},
    ]
    assert [s["interval_seconds"] for s in lab.snapshots("counted")] == [None, 60]


def test_what_did_not_change_is_not_written(lab: Lab) -> None:
    lab.write("counted", [counted("a", 100), counted("b", 7)], 0)
    assert lab.write("counted", [counted("a", 100), counted("b", 8)], 60).facts == 1
    assert lab.write("counted", [counted("a", 100), counted("b", 8)], 120).facts == 0
    lab.write("counted", [counted("a", 101), counted("b", 8)], 180)
    assert deltas(lab) == [(60, "b", 1, 0), (180, "a", 1, 0)]


def test_zeros_are_stored_as_null_and_shown_as_zero(lab: Lab) -> None:
    lab.write("counted", [counted("a", 1)], 0)
    lab.write("counted", [counted("a", 2)], 60)
    [(calls, stored)] = lab.store.raw.execute(
        "SELECT calls, bytes FROM monitoring.counted_1m JOIN monitoring.target USING (target_id) WHERE name = %s",
        (lab.target,),
    ).fetchall()
    assert (calls, stored) == (1, None)
    assert deltas(lab, columns="calls, bytes, spent") == [(60, 1, 0, 0)]


def test_numeric_counters_are_exact(lab: Lab) -> None:
    big = Decimal("123456789012345678901234567890.000000001")
    lab.write("counted", [counted("a", 0, None, big)], 0)
    with localcontext(prec=100):
        lab.write("counted", [counted("a", 0, None, big + Decimal("0.000000002"))], 60)
        lab.write("counted", [counted("a", 0, None, big * 3)], 120)
    with localcontext(prec=100):
        expected = [Decimal("0.000000002"), big * 2 - Decimal("0.000000002")]
    assert [row["bytes"] for row in lab.rows("counted", "bytes")] == expected


def test_bigint_counters_to_their_end(lab: Lab) -> None:
    lab.write("counted", [counted("a", 0)], 0)
    lab.write("counted", [counted("a", 2**63 - 1)], 60)
    assert deltas(lab) == [(60, "a", 2**63 - 1, 0)]


def test_keys_of_any_length_and_content(lab: Lab) -> None:
    names = ["", "a" * 20_000, "'; DROP TABLE x; --", 'quo"ted', "ä\u0001\t\n", "a", "A", "%s"]
    lab.write("counted", [counted(name, 1) for name in names], 0)
    lab.write("counted", [counted(name, 1 + n) for n, name in enumerate(names, start=1)], 60)
    assert sorted((row["name"], row["calls"]) for row in lab.rows("counted", "name, calls")) == sorted(
        (name, n) for n, name in enumerate(names, start=1)
    )


def test_no_rows_at_all(lab: Lab) -> None:
    assert lab.write("counted", [], 0).facts == 0
    assert lab.write("counted", [counted("a", 5)], 60).facts == 1
    assert lab.write("counted", [], 120).facts == 0
    assert deltas(lab) == [(60, "a", 5, 0)]
    assert [s["status"] for s in lab.snapshots("counted")] == ["ok"] * 3


def test_targets_do_not_meet(lab: Lab) -> None:
    other = lab.another()
    lab.write("counted", [counted("a", 10)], 0)
    other.write("counted", [counted("a", 1000)], 0)
    lab.write("counted", [counted("a", 11)], 60)
    other.write("counted", [counted("a", 1002)], 61)
    assert deltas(lab) == [(60, "a", 1, 0)]
    assert deltas(other) == [(61, "a", 2, 0)]
    other.store.close()


def test_a_metric_without_keys(lab: Lab) -> None:
    lab.write("keyless", [(1, 10)], 0)
    lab.write("keyless", [(1, 15)], 60)
    lab.write("keyless", [(1, 15)], 120)
    columns = "up, count, quality"
    assert deltas(lab, "keyless", columns) == [(0, 1, None, UNKNOWN), (60, 1, 5, 0), (120, 1, 0, 0)]


# Resets


def test_a_reset_within_the_interval_counts_from_zero(lab: Lab) -> None:
    lab.write("counted", [counted("a", 100, -500)], 0)
    lab.write("counted", [counted("a", 30, 20)], 60)
    lab.write("counted", [counted("a", 31, 20)], 120)
    assert deltas(lab) == [(60, "a", 30, PARTIAL), (120, "a", 1, 0)]


def test_a_reset_that_is_overtaken_is_still_one(lab: Lab) -> None:
    lab.write("counted", [counted("a", 100, -500)], 0)
    lab.write("counted", [counted("a", 150, 20)], 60)
    assert deltas(lab) == [(60, "a", 150, PARTIAL)]


def test_the_first_reset_of_all(lab: Lab) -> None:
    lab.write("counted", [counted("a", 100, None)], 0)
    lab.write("counted", [counted("a", 150, 20)], 60)
    assert deltas(lab) == [(60, "a", 150, PARTIAL)]


def test_a_reset_mark_that_moves_outside_the_interval_tells_nothing(lab: Lab) -> None:
    lab.write("counted", [counted("a", 100, -500)], 0)
    lab.write("counted", [counted("a", 150, -400)], 60)
    lab.write("counted", [counted("a", 151, -400)], 120)
    assert deltas(lab) == [(60, "a", None, PARTIAL | UNKNOWN), (120, "a", 1, 0)]


def test_a_reset_mark_that_goes_away_tells_nothing(lab: Lab) -> None:
    lab.write("counted", [counted("a", 100, -500)], 0)
    lab.write("counted", [counted("a", 150, None)], 60)
    assert deltas(lab) == [(60, "a", None, PARTIAL | UNKNOWN)]


def test_a_reset_mark_that_moves_alone_is_stored_once(lab: Lab) -> None:
    lab.write("counted", [counted("a", 100, -500)], 0)
    lab.write("counted", [counted("a", 0, 30)], 60)
    lab.write("counted", [counted("a", 0, 30)], 120)
    assert deltas(lab) == [(60, "a", 0, PARTIAL)]


def test_a_counter_that_fell_was_reset_whatever_the_mark_says(lab: Lab) -> None:
    lab.write("counted", [counted("a", 100, -500), counted("b", 5, -500)], 0)
    lab.write("counted", [counted("a", 99, -500), counted("b", 6, -500)], 60)
    assert deltas(lab) == [(60, "a", 99, PARTIAL), (60, "b", 1, 0)]


def test_one_counter_that_fell_resets_the_whole_row(lab: Lab) -> None:
    lab.write("counted", [counted("a", 100, None, 50, 7)], 0)
    lab.write("counted", [counted("a", 120, None, 3, 8)], 60)
    assert deltas(lab, columns="calls, bytes, spent, quality") == [(60, 120, 3, 8, PARTIAL)]


def test_a_delta_is_never_negative_nor_clamped(lab: Lab) -> None:
    lab.write("zeroed", [(1, 100, 10)], 0)
    lab.write("zeroed", [(1, None, 10)], 60)
    assert deltas(lab, "zeroed", "id, calls, rows, quality") == [(60, 1, 0, 10, PARTIAL)]


@pytest.mark.parametrize(
    "marks",
    [RESTARTED, {"checkpointer_start_time": at(-1000)}, {"checkpointer_start_time": None}, {"timeline": 2},
     {"is_standby": True}],
)  # fmt: skip
def test_a_new_start_makes_a_reset_possible(lab: Lab, marks: dict[str, Any]) -> None:
    lab.write("counted", [counted("a", 100, -500), counted("b", 100, -500)], 0)
    lab.write("counted", [counted("a", 150, -500), counted("b", 20, -500)], 60, marks=marks)
    lab.write("counted", [counted("a", 151, -500), counted("b", 21, -500)], 120, marks=marks)
    assert deltas(lab) == [(60, "a", 50, PARTIAL), (60, "b", 20, PARTIAL), (120, "a", 1, 0), (120, "b", 1, 0)]
    assert [s["quality"] for s in lab.snapshots("counted")] == [UNKNOWN, PARTIAL, 0]


def test_a_restart_that_took_the_reset_mark_away(lab: Lab) -> None:
    lab.write("counted", [counted("a", 100, -500)], 0)
    lab.write("counted", [counted("a", 150, None)], 60, marks=RESTARTED)
    assert deltas(lab) == [(60, "a", 150, PARTIAL)]


def test_another_server_is_a_baseline(lab: Lab) -> None:
    lab.write("counted", [counted("a", 100)], 0)
    result = lab.write("counted", [counted("a", 150)], 60, marks={"system_identifier": 42})
    assert [metric for metric, _ in result.notes] == ["counted"]
    lab.write("counted", [counted("a", 151)], 120, marks={"system_identifier": 42})
    assert deltas(lab) == [(120, "a", 1, 0)]


def test_another_host_of_the_same_cluster_is_a_baseline(lab: Lab) -> None:
    """A standby that took over: it started before the last snapshot, and its counters are its own."""
    lab.write("counted", [counted("a", 100)], 0, marks={"postmaster_start_time": at(-500)})
    lab.write("counted", [counted("a", 9000)], 60, marks={"postmaster_start_time": at(-1000), "timeline": 2})
    lab.write("counted", [counted("a", 9001)], 120, marks={"postmaster_start_time": at(-1000), "timeline": 2})
    assert deltas(lab) == [(120, "a", 1, 0)]


# Series that come and go


def test_a_new_series_counts_in_full(lab: Lab) -> None:
    lab.write("counted", [counted("a", 100)], 0)
    lab.write("counted", [counted("a", 100), counted("b", 40)], 60)
    assert deltas(lab) == [(60, "b", 40, 0)]


def test_a_series_of_the_first_reading_that_began_in_time_is_still_a_baseline(lab: Lab) -> None:
    lab.write("counted", [counted("a", 100, -1)], 0)
    assert deltas(lab) == []


def test_an_absent_series_that_comes_back_is_new(lab: Lab) -> None:
    lab.write("counted", [counted("a", 100), counted("b", 1)], 0)
    lab.write("counted", [counted("b", 1)], 60)
    lab.write("counted", [counted("a", 120), counted("b", 1)], 120)
    lab.write("counted", [counted("a", 130), counted("b", 1)], 180)
    assert deltas(lab) == [(120, "a", 120, 0), (180, "a", 10, 0)]
    series = lab.store.raw.execute(
        "SELECT count(*) FROM monitoring.counted_series s JOIN monitoring.target t USING (target_id) WHERE t.name = %s",
        (lab.target,),
    ).fetchone()
    assert series == (2,)


def test_where_absence_says_nothing_what_comes_back_is_a_baseline(lab: Lab) -> None:
    lab.write("measured", [("a", 1, 100, "x"), ("b", 1, 1, "x")], 0)
    lab.write("measured", [("b", 1, 1, "x")], 15)
    lab.write("measured", [("a", 1, 130, "x"), ("b", 1, 1, "x"), ("c", 1, 5, "x")], 30)
    found = deltas(lab, "measured", "name, count, quality")
    assert found[-3:] == [(30, "a", None, UNKNOWN), (30, "b", 0, 0), (30, "c", 5, 0)]


def test_one_comes_as_another_goes(lab: Lab) -> None:
    lab.write("counted", [counted("a", 100), counted("b", 1)], 0)
    lab.write("counted", [counted("c", 7), counted("b", 1)], 60)
    lab.write("counted", [counted("a", 3), counted("b", 1)], 120)
    assert deltas(lab) == [(60, "c", 7, 0), (120, "a", 3, 0)]


def test_after_a_failure_the_difference_spans_it(lab: Lab) -> None:
    lab.write("counted", [counted("a", 100)], 0)
    lab.write("counted", None, 60)
    lab.write("counted", [counted("a", 130), counted("b", 9)], 120)
    assert deltas(lab) == [(120, "a", 30, 0), (120, "b", 9, 0)]
    assert [(s["status"], s["error"], s["interval_seconds"]) for s in lab.snapshots("counted")] == [
        ("ok", None, None),
        ("error", "boom", None),
        ("ok", None, 120),
    ]


def test_a_metric_that_began_with_failures_has_its_baseline_after_them(lab: Lab) -> None:
    lab.write("counted", None, 0)
    lab.write("counted", [counted("a", 130)], 60)
    lab.write("counted", [counted("a", 131)], 120)
    assert deltas(lab) == [(120, "a", 1, 0)]


# Time


@pytest.mark.parametrize(("seconds", "quality"), [(180, 0), (181, GAP)])
def test_a_gap_is_more_than_three_intervals(lab: Lab, seconds: int, quality: int) -> None:
    lab.write("counted", [counted("a", 100)], 0)
    lab.write("counted", [counted("a", 130), counted("b", 1)], seconds)
    assert deltas(lab) == [(seconds, "a", 30, quality), (seconds, "b", 1, quality)]
    assert lab.snapshots("counted")[-1]["quality"] == quality
    assert lab.snapshots("counted")[-1]["interval_seconds"] == seconds


def test_a_gap_and_a_reset(lab: Lab) -> None:
    lab.write("counted", [counted("a", 100, -500)], 0)
    lab.write("counted", [counted("a", 130, 200)], 300)
    assert deltas(lab) == [(300, "a", 130, GAP | PARTIAL)]


@pytest.mark.parametrize("seconds", [0, -5])
def test_a_clock_that_went_back_is_rejected(lab: Lab, seconds: float) -> None:
    lab.write("counted", [counted("a", 100)], 0)
    result = lab.write("counted", [counted("a", 130)], seconds)
    assert [metric for metric, _ in result.failures] == ["counted"]
    assert "the clock went back" in result.failures[0][1]
    lab.write("counted", [counted("a", 131)], 60)
    assert deltas(lab) == [(60, "a", 31, 0)]
    assert sorted(s["status"] for s in lab.snapshots("counted")) == ["error", "ok", "ok"]


@pytest.mark.parametrize(("skew", "expected"), [(4.0, 64), (-4.0, 56), (6.0, 60), (-600.0, 60), (None, 60)])
def test_the_targets_clock_counts_where_it_is_near_the_agents(lab: Lab, skew: float | None, expected: float) -> None:
    lab.write("counted", [counted("a", 100)], 0, skew=skew)
    lab.write("counted", [counted("a", 101)], 60, skew=skew)
    assert deltas(lab) == [(expected, "a", 1, 0)]
    assert lab.snapshots("counted")[-1]["skew_seconds"] == skew


def test_a_reset_is_held_against_the_targets_own_clock(lab: Lab) -> None:
    """The target is ten minutes ahead: its reset of 12:10:20 lies within its interval, not within ours."""
    lab.write("counted", [counted("a", 100, -500), counted("b", 100, -500)], 0, skew=600.0)
    lab.write("counted", [counted("a", 150, 620), counted("b", 150, 30)], 60, skew=600.0)
    assert deltas(lab) == [(60, "a", 150, PARTIAL), (60, "b", None, PARTIAL | UNKNOWN)]


# NULL


def test_a_null_counter_is_unknown_and_so_is_what_follows_it(lab: Lab) -> None:
    lab.write("counted", [counted("a", 100)], 0)
    lab.write("counted", [counted("a", None)], 60)
    lab.write("counted", [counted("a", 150)], 120)
    lab.write("counted", [counted("a", 151)], 180)
    values = [(time, name, calls, quality & UNKNOWN) for time, name, calls, quality in deltas(lab)]
    assert values == [(60, "a", None, UNKNOWN), (120, "a", None, UNKNOWN), (180, "a", 1, 0)]


def test_a_new_series_with_a_null_counter_is_unknown(lab: Lab) -> None:
    lab.write("counted", [], 0)
    lab.write("counted", [counted("a", None, None, 5)], 60)
    lab.write("counted", [counted("a", 7, None, 6)], 120)
    lab.write("counted", [counted("a", 8, None, 6)], 180)
    assert deltas(lab, columns="calls, bytes, quality") == [
        (60, None, None, UNKNOWN),
        (120, None, None, UNKNOWN),
        (180, 1, 0, 0),
    ]


def test_a_null_counter_is_zero_where_the_header_says_so(lab: Lab) -> None:
    lab.write("zeroed", [(1, 5, None), (2, None, None)], 0)
    lab.write("zeroed", [(1, 6, 3), (2, 4, None)], 60)
    assert deltas(lab, "zeroed", "id, calls, rows, quality") == [(60, 1, 1, 3, 0), (60, 2, 4, 0, 0)]


def test_a_null_key_is_refused_and_named(lab: Lab) -> None:
    lab.write("counted", [counted("a", 1)], 0)
    result = lab.write("counted", [(None, 1, 1, 1, None)], 60)
    assert result.failures == [("counted", "the key name is NULL in a row: write COALESCE")]
    lab.write("counted", [counted("a", 3)], 120)
    assert deltas(lab) == [(120, "a", 2, 0)]


# Keys that stand twice


@pytest.mark.parametrize(
    ("before", "doubles"),
    [
        ([], [5, 5]),
        ([], [5, 6]),
        ([5], [5, 5]),
        ([5], [5, 7]),
        ([5], [7, 5]),
        ([5], [7, 7]),
        ([5], [7, 8]),
        ([5], [1, 8]),
    ],
)
def test_two_rows_with_the_same_key_are_refused(lab: Lab, before: list[int], doubles: list[int]) -> None:
    def measured(name: str, count: int) -> Row:
        return name, 1, count, "o"

    shapes: list[tuple[str, Callable[[str, int], Row]]] = [("counted", counted), ("measured", measured)]
    for metric, row in shapes:
        other = row("z", 1)
        lab.write(metric, [*(row("a", n) for n in before), other], 0)
        result = lab.write(metric, [*(row("a", n) for n in doubles), other], 60)
        assert result.failures == [(metric, "two rows have the same key")]
        lab.write(metric, [row("a", 9), other], 120)
        found = [r for r in lab.rows(metric) if r["name"] == "a" and r["at"] > 0]
        assert [(r["at"], r["calls" if metric == "counted" else "count"]) for r in found] == [(120, 9 - sum(before))]


def test_a_double_is_seen_when_other_series_went(lab: Lab) -> None:
    lab.write("counted", [counted("a", 5), counted("b", 5), counted("c", 5)], 0)
    result = lab.write("counted", [counted("a", 5), counted("a", 7)], 60)
    assert result.failures == [("counted", "two rows have the same key")]


# Gauges and info columns


def test_a_gauge_is_stored_at_every_reading(lab: Lab) -> None:
    for seconds in (0, 15, 30):
        lab.write("measured", [("a", 3, 10, "bob"), ("b", None, 0, "bob")], seconds)
    assert deltas(lab, "measured", "name, size, size_min, size_max, count") == [
        (0, "a", 3, 3, 3, None),
        (0, "b", None, None, None, None),
        (15, "a", 3, 3, 3, 0),
        (15, "b", None, None, None, 0),
        (30, "a", 3, 3, 3, 0),
        (30, "b", None, None, None, 0),
    ]


def test_an_info_column_is_stored_when_it_changes(lab: Lab) -> None:
    owners = ["bob", "bob", None, None, "eve", "bob"]
    for number, owner in enumerate(owners):
        lab.write("measured", [("a", number, 0, owner)], 15 * number)
    assert [row["owner"] for row in lab.rows("measured", "owner")] == owners
    stored = lab.store.raw.execute(
        "SELECT owner, extract(epoch FROM valid_from - %(noon)s)::int, "
        "CASE WHEN valid_to < 'infinity' THEN extract(epoch FROM valid_to - %(noon)s)::int END "
        "FROM monitoring.measured_attributes JOIN monitoring.target t USING (target_id) "
        "WHERE t.name = %(target)s ORDER BY valid_from",
        {"noon": at(0), "target": lab.target},
    ).fetchall()
    assert stored == [("bob", 0, 30), (None, 30, 60), ("eve", 60, 75), ("bob", 75, None)]


def test_a_metric_of_info_columns_alone(lab: Lab) -> None:
    lab.write("noted", [(10, "one", True), (11, "two", False)], 0)
    lab.write("noted", [(10, "one", True), (11, "second", False)], 300)
    lab.write("noted", [(11, "second", False)], 600)
    columns = "id, name, active, valid_to = 'infinity' AS holds"
    assert deltas(lab, "noted", columns) == [
        (0, 10, "one", True, True),
        (0, 11, "two", False, False),
        (300, 11, "second", False, True),
    ]
    result = lab.write("noted", [(11, "x", True), (11, "y", True)], 900)
    assert result.failures == [("noted", "two rows have the same key")]


# Columns that come with a version


def test_a_column_that_a_server_lacks_is_null_until_it_comes(lab: Lab) -> None:
    lacks = ("late", "size")
    lab.write("versioned", [(1, 10, None, None)], 0, lacks=lacks)
    lab.write("versioned", [(1, 11, None, None)], 60, lacks=lacks)
    # The server is upgraded: the counter has a history that was never seen.
    lab.write("versioned", [(1, 12, 500, 8)], 120)
    lab.write("versioned", [(1, 13, 503, 9), (2, 1, 2, 3)], 180)
    lab.write("versioned", [(1, 14, 503, 9)], 240)
    assert deltas(lab, "versioned", "id, calls, late, size, quality") == [
        (0, 1, None, None, None, UNKNOWN),
        (60, 1, 1, None, None, 0),
        (120, 1, 1, None, 8, 0),
        (180, 1, 1, 3, 9, 0),
        (180, 2, 1, 2, 3, 0),
        (240, 1, 1, 0, 9, 0),
    ]


def test_a_column_that_goes_again_is_unknown_rather_than_wrong(lab: Lab) -> None:
    lab.write("versioned", [(1, 10, 5, 1)], 0)
    lab.write("versioned", [(1, 11, 6, 1)], 60)
    lab.write("versioned", [(1, 12, None, None)], 120, lacks=("late", "size"), marks={"postmaster_start_time": at(90)})
    lab.write("versioned", [(1, 13, 90, 1)], 180, marks={"postmaster_start_time": at(90)})
    lab.write("versioned", [(1, 14, 91, 1)], 240, marks={"postmaster_start_time": at(90)})
    rows = deltas(lab, "versioned", "calls, late")
    assert [late for _, _, late in rows][2:] == [None, None, 1]
    assert rows[1][2] in (None, 1)


def test_a_reading_of_fewer_columns_is_taken(lab: Lab) -> None:
    """As a spooled reading has it that was taken before an upgrade."""
    columns = ["id", "calls"]
    lab.write("versioned", [(1, 10)], 0, columns=columns)
    lab.write("versioned", [(1, 12)], 60, columns=columns)
    lab.write("versioned", [(1, 15, 100, 1)], 120)
    rows = deltas(lab, "versioned", "calls, late")
    assert [(time, calls) for time, calls, _ in rows] == [(60, 2), (120, 3)]
    assert [late for _, _, late in rows] == [None, None]


def test_columns_in_another_order(lab: Lab) -> None:
    columns = ["stats_reset", "spent", "bytes", "calls", "name"]
    lab.write("counted", [(None, 1, 2, 3, "a")], 0, columns=columns)
    lab.write("counted", [(None, 2, 4, 6, "a")], 60, columns=columns)
    assert deltas(lab, columns="calls, bytes, spent") == [(60, 3, 2, 1)]


# Any history

EVENTS = st.tuples(
    st.integers(0, 50),  # counted before the event
    st.sampled_from(["none", "none", "reset", "crash", "restart", "evict", "fail"]),
    st.integers(0, 50),  # counted after it
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(EVENTS, min_size=1, max_size=8))
def test_a_wrong_delta_is_never_shown_as_a_right_one(shared: Lab, history: list[tuple[int, str, int]]) -> None:
    """Quality 0 means exact; PARTIAL means a lower bound; and nothing is counted twice."""
    lab = shared.another()
    marks = dict(RESTARTED)
    value: int | None = 1000
    reset: float | None = None
    truth: list[tuple[float, int]] = []
    lab.write("counted", [counted("a", value), counted("z", 1)], 0, marks=marks)
    happened = 0
    for number, (before, event, after) in enumerate(history, start=1):
        now = 60.0 * number
        happened += before + after
        if event == "evict":
            value = None if number % 2 else after
        elif event == "reset":
            value, reset = after, now - 30
        elif event == "crash":
            value, marks = after, {"checkpointer_start_time": at(now)}
        else:
            value = (value or 0) + before + after
            if event == "restart":
                marks = {"postmaster_start_time": at(now)}
        rows = [counted("z", 1)] if value is None else [counted("a", value, reset), counted("z", 1)]
        lab.write("counted", None if event == "fail" else rows, now, marks=marks)
        if event != "fail":
            truth.append((now, happened))
            happened = 0
    shown = {row["at"]: row for row in lab.rows("counted", "name, calls, quality") if row["name"] == "a"}
    assert shown.keys() <= {time for time, _ in truth}
    evicted = "evict" in {event for _, event, _ in history}
    for time, right in truth:
        if time not in shown:
            continue
        row = shown[time]
        quality = row["quality"] & ~GAP
        if quality & UNKNOWN:
            assert row["calls"] is None
        elif quality == 0 and not evicted:
            assert row["calls"] == right
        else:
            assert 0 <= row["calls"] <= right
    assert [s["status"] for s in lab.snapshots("counted")].count("error") == sum(e == "fail" for _, e, _ in history)
    lab.store.close()
