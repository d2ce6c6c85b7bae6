"""Windows of the application's events, the text that is asked, and rows that the agent makes itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.collect import events
from sbpgmon.collect.binary import binary_copy
from sbpgmon.collect.events import Count, next_window
from sbpgmon.errors import QueryFileError
from sbpgmon.tenancy import Event, Tenancy

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SQL = "select t as tenant, 1 as count from app.login where at::timestamptz > :from and at <= :to"


def event(**more: Any) -> Event:
    return Event(**{"name": "logins", "sql": SQL, "interval": "1m", "lag": "10s"} | more)


def seconds(start: datetime, end: datetime) -> float:
    return (end - start).total_seconds()


def test_the_first_window_is_one_interval() -> None:
    window = next_window(event(), NOON, None, is_due=False)
    assert window is not None
    assert (window.since, window.until, window.after) == (
        NOON - timedelta(seconds=70),
        NOON - timedelta(seconds=10),
        None,
    )


def test_a_window_begins_where_the_last_one_ended() -> None:
    last = NOON - timedelta(seconds=75)
    window = next_window(event(), NOON, last, is_due=False)
    assert window is not None
    assert (window.since, window.until, window.after) == (last, NOON - timedelta(seconds=10), last)


@pytest.mark.parametrize(("ago", "is_due"), [(10, False), (5, False), (0, False), (-5, False), (11, True), (69, True)])
def test_one_window_a_slot(ago: float, is_due: bool) -> None:
    """Up to `ago` seconds before now it is counted: within the slot of now no second one is due."""
    assert (next_window(event(), NOON, NOON - timedelta(seconds=ago), is_due=False) is not None) is is_due


def test_an_outage_is_caught_up_with_in_hours() -> None:
    counted, windows = NOON - timedelta(hours=3, minutes=20), []
    while (window := next_window(event(), NOON, counted, is_due=False)) is not None:
        assert window.since == counted
        windows.append(seconds(window.since, window.until))
        counted = window.until
    assert windows == [3600, 3600, 3600, 20 * 60 - 10]


def test_what_is_too_long_ago_is_left_out() -> None:
    long_ago = NOON - timedelta(days=400)
    window = next_window(event(), NOON, long_ago, is_due=False)
    assert window is not None
    assert window.after == long_ago
    assert window.since == NOON - timedelta(seconds=10) - events.FURTHEST_BACK


def test_a_cast_is_no_window() -> None:
    sql = "select a::from_t, b::to_x from t where x > :from and x <= :to and y = :from"
    assert events._between(sql, "F", "T") == "select a::from_t, b::to_x from t where x > F and x <= T and y = F"


def test_what_is_explained_has_few_texts() -> None:
    texts = set()
    for length in (*range(50, 70), 3600, 3599):
        window = next_window(event(), NOON, NOON - timedelta(seconds=10 + length), is_due=True)
        assert window is not None
        texts.add(events._explained(event(), window))
    assert len(texts) == 3


@pytest.mark.parametrize(
    "sql",
    ["select 1 as tenant", "select :from", "select a::from, b::to from t where at > :from"],
)
def test_sql_without_a_window_is_refused(sql: str) -> None:
    with pytest.raises(ValidationError, match="the SQL has no :"):
        event(sql=sql)


def test_two_events_of_one_name_are_refused() -> None:
    with pytest.raises(ValidationError, match="two events are called logins"):
        Tenancy(events=[event(), event()])


def test_counts_are_added_up_by_tenant() -> None:
    rows = [("a", 1, 4), (None, 2, None), ("a", Decimal(3), 5), (7, None, 1)]
    assert events._counts(event(), ["tenant", "count", "attempts"], rows) == (
        Count("a", 4, 9),
        Count("", 2, 0),
        Count("7", 0, 1),
    )


def test_more_tenants_than_are_told_apart() -> None:
    rows = [(f"t{number}", 2) for number in range(events.MAX_TENANTS)] + [("other", 5), ("last", 1)]
    counts = events._counts(event(), ["tenant", "count"], rows)
    assert len(counts) <= events.MAX_TENANTS + 1
    assert sum(item.count for item in counts) == 2 * events.MAX_TENANTS + 6
    assert len({item.tenant for item in counts}) == len(counts)


@pytest.mark.parametrize(
    ("names", "row", "message"),
    [
        (["tenant"], ("a",), "does not return count"),
        (["count"], (1,), "does not return tenant"),
        (["tenant", "count", "more"], ("a", 1, 1), "returns more"),
        (["tenant", "count"], ("a", -1), "no count"),
        (["tenant", "count"], ("a", 1.5), "no count"),
        (["tenant", "count"], ("a", Decimal("1.5")), "no count"),
        (["tenant", "count"], ("a", "1"), "no count"),
        (["tenant", "count"], ("a", True), "no count"),
    ],
)
def test_what_is_no_count_is_refused(names: list[str], row: tuple[Any, ...], message: str) -> None:
    with pytest.raises(QueryFileError, match=message):
        events._counts(event(), names, [row])


def test_numbers_that_do_not_fit_are_refused() -> None:
    metric = load_catalog().metrics["tenant_events"]
    with pytest.raises(OverflowError):
        binary_copy(metric, [("logins", "a", 2**63, 0, None)])
