"""What the generated SQL makes of synthetic readings, on a real server: all but resets, comings, goings and time."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext

import pytest

from sbpgmon.model import UNKNOWN
from tests.sql.counters import counted, deltas
from tests.sql.lab import Lab, Row, at

pytestmark = pytest.mark.matrix

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
