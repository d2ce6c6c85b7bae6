"""The counter rules of the design, on a real server: resets, series that come and go, time, and any history."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sbpgmon.model import GAP, PARTIAL, UNKNOWN
from tests.sql.counters import RESTARTED, counted, deltas
from tests.sql.lab import Lab, at

pytestmark = pytest.mark.matrix

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
    # Where it stood before, more than a minute may have passed.
    assert deltas(lab) == [(60, "a", 31, GAP if seconds < 0 else 0)]
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


# Any history

EVENTS = st.tuples(
    st.integers(0, 50),  # counted before the event
    st.sampled_from(["none", "none", "reset", "crash", "restart", "evict", "fail"]),
    st.integers(0, 50),  # counted after it
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(EVENTS, min_size=1, max_size=8))
def test_a_wrong_delta_is_never_shown_as_a_right_one(counters: Lab, history: list[tuple[int, str, int]]) -> None:
    """Quality 0 means exact; PARTIAL means a lower bound; and nothing is counted twice."""
    lab = counters.another()
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
