"""A panel's SQL becomes what Grafana would send; a value never leaves its quotes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sbpgmon.errors import PanelError
from sbpgmon.panels import Variable
from sbpgmon.present.macros import Scope, expand, for_grafana, interval_ms, interval_text

START = datetime(2018, 4, 12, 18, tzinfo=UTC)
END = START + timedelta(minutes=5)
TARGET = Variable("target", "Target", "", "", Path("target.sql"), is_multi=True)
DATNAME = Variable("datname", "Database", "", "", Path("datname.sql"))
# What breaks out of something, somewhere; Grafana's own macros among it.
PIECES = ["'", '"', "\\", "$1", "$$", "$", "{", "}", "(", ")", ",", "--", "/*", ";", "\n", " ", "a", "$target",
          "${datname}", "[[target]]", "$__timeFrom()", "$__time(", "$__interval", "\0", "é"]  # fmt: skip
VALUES = st.lists(st.sampled_from(PIECES), max_size=6).map("".join) | st.text()


def expanded(sql: str, start: datetime = START, end: datetime = END, **values: str | Sequence[str]) -> str:
    return expand(sql, [TARGET, DATNAME], Scope(start, end, 60000, values))


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select $__time(time_column)", 'select time_column AS "time"'),
        ("select min($__time(time_column))", 'select min(time_column AS "time")'),
        ("$__timeEpoch(t)", 'extract(epoch from t) as "time"'),
        (
            "WHERE $__timeFilter(time_column)",
            "WHERE time_column BETWEEN '2018-04-12T18:00:00Z' AND '2018-04-12T18:05:00Z'",
        ),
        ("select $__timeFrom()", "select '2018-04-12T18:00:00Z'"),
        ("select $__timeTo()::timestamptz", "select '2018-04-12T18:05:00Z'::timestamptz"),
        # The comma behind it names the column, as it did once.
        ("SELECT $__timeGroup(t,'5m'), value", 'SELECT floor(extract(epoch from t)/300)*300 AS "time", value'),
        ("SELECT $__timeGroup(t,'5m') as time, v", "SELECT floor(extract(epoch from t)/300)*300 as time, v"),
        (
            "$__timeGroup(t,5m), v ORDER BY $__timeGroup(t,5m)",
            'floor(extract(epoch from t)/300)*300 AS "time", v ORDER BY floor(extract(epoch from t)/300)*300 AS "time"',
        ),
        ("$__timeGroup(t , '5m')", "floor(extract(epoch from t)/300)*300"),
        ("$__timeGroupAlias(t , '5m')", 'floor(extract(epoch from t)/300)*300 AS "time"'),
        ("$__timeGroup(t,12d)", "floor(extract(epoch from t)/1036800)*1036800"),
        ("$__timeGroup(t,20ms)", "floor(extract(epoch from t)/0.02)*0.02"),
        ("$__timeGroup(t,1h30m)", "floor(extract(epoch from t)/5400)*5400"),
        ("$__timeGroup(t,$__interval)", "floor(extract(epoch from t)/60)*60"),
        ("select $__unixEpochFilter(time)", "select time >= 1523556000 AND time <= 1523556300"),
        ("$__unixEpochFrom() $__unixEpochTo()", "1523556000 1523556300"),
        ("$__unixEpochNanoFilter(t)", "t >= 1523556000000000000 AND t <= 1523556300000000000"),
        ("$__unixEpochNanoFrom() $__unixEpochNanoTo()", "1523556000000000000 1523556300000000000"),
        ("$__unixEpochGroup(a+b,'5m')", "floor((a+b)/300)*300"),
        ("$__unixEpochGroupAlias(a+b,'5m')", 'floor((a+b)/300)*300 AS "time"'),
        ("'$__interval_ms ms' ${__interval_ms} $__interval [[__interval]]", "'60000 ms' 60000 1m 1m"),
    ],
)
def test_macros(sql: str, expected: str) -> None:
    assert expanded(sql) == expected


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(1960, 2, 1, 7, 0, 0, 500000, tzinfo=UTC), "1960-02-01T07:00:00.5Z"),
        (datetime(2026, 11, 22, 7, 53, 16, 120, tzinfo=UTC), "2026-11-22T07:53:16.00012Z"),
        (datetime(2026, 11, 22, 1, tzinfo=timezone(timedelta(hours=2))), "2026-11-21T23:00:00Z"),
    ],
)
def test_times_are_in_utc_without_the_zeros_of_a_fraction(moment: datetime, text: str) -> None:
    assert expanded("$__timeFrom()", start=moment) == f"'{text}'"


@pytest.mark.parametrize(
    ("sql", "value", "expected"),
    [
        ("in ($target)", ["a"], "in ('a')"),
        ("in ($target)", ["a", "b'c", "d"], "in ('a','b''c','d')"),
        ("in (${target})", ("a", "b"), "in ('a','b')"),
        ("in ([[target]])", "a", "in ('a')"),
        ("in (${target:sqlstring})", ["a'b", 'c"d'], "in ('a''b','c\\\"d')"),
        ("in ([[target:sqlstring]])", "a", "in ('a')"),
        ("in ($target)", [], "in (NULL)"),
        ("array[$target]::text[]", [], "array[NULL]::text[]"),
    ],
)
def test_variables_of_several_values(sql: str, value: str | Sequence[str], expected: str) -> None:
    assert expanded(sql, target=value) == expected


@pytest.mark.parametrize(
    ("sql", "value", "expected"),
    [
        ("= '$datname'", "O'Brien", "= 'O''Brien'"),
        ("= '${datname}x'", 'a"b', "= 'a\"bx'"),
        ("= ${datname:sqlstring}", "O'Brien", "= 'O''Brien'"),
        # So Grafana writes it, and so PostgreSQL does not find it: two characters.
        ("= ${datname:sqlstring}", 'a"b', "= 'a\\\"b'"),
        ("= ${datname:sqlstring}", "", "= ''"),
        ("= '$datname'", "", "= ''"),
    ],
)
def test_variables_of_one_value(sql: str, value: str, expected: str) -> None:
    assert expanded(sql, datname=value) == expected


def test_a_dashboard_carries_lists_that_may_be_empty() -> None:
    sql = "where t.target in ($target) and a in (1, 2) and b IN ($datname) and c in ($__interval_ms)"
    assert for_grafana(sql) == (
        "where t.target = any (array[$target]::text[]) and a in (1, 2) and b = any (array[$datname]::text[]) "
        "and c in ($__interval_ms)"
    )
    assert for_grafana(for_grafana(sql)) == for_grafana(sql)


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("$__timeFirst()", r"\$__timeFirst, which is no macro"),
        ("$__range_ms", r"\$__range_ms, which is no macro"),
        ("$nobody", r"\$nobody, which is no variable .* There are: datname, target"),
        ("${nobody:sqlstring}", "which is no variable"),
        ("${target.name}", "which is no variable"),
        ("[[nobody]]", "which is no variable"),
        ("where a = $1", r"\$1, which is no variable"),
        ("$datname", "variable datname has no value"),
        ("$__timeGroup(t)", "needs a column and an interval, and has 1 arguments"),
        ("$__timeGroup(t,'5m',0)", "has 3 arguments"),
        ("$__timeGroup(t,'often')", "cannot read the interval 'often'"),
        ("$__timeGroup(t,'0s')", "cannot read the interval"),
        ("$__timeGroup(t,5)", "cannot read the interval"),
        ("${target:csv}", "format csv, which does not quote"),
        ("${target:singlequote}", "format singlequote"),
    ],
)
def test_what_is_not_known_is_an_error(sql: str, what: str) -> None:
    with pytest.raises(PanelError, match=what):
        expanded(sql, target=["a"])


@given(st.lists(VALUES, min_size=1, max_size=4), VALUES)
@example(["$__time(", ")", " union select 1 --"], "$__unixEpochFilter(")
def test_a_value_never_leaves_its_quotes(values: list[str], value: str) -> None:
    sql = "t in ($target) and d = '$datname' and e = ${datname:sqlstring} and x > $__timeFrom() and $__timeFilter(x)"
    text = expanded(sql, target=values, datname=value)
    literals = re.findall(r"'((?:[^']|'')*)'", text)  # as PostgreSQL reads them with standard_conforming_strings
    times = ["2018-04-12T18:00:00Z", "2018-04-12T18:00:00Z", "2018-04-12T18:05:00Z"]
    assert [found.replace("''", "'") for found in literals] == [*values, value, value.replace('"', '\\"'), *times]
    listed = ",".join("?" for _ in values)
    outside = re.sub(r"'(?:[^']|'')*'", "?", text)
    assert outside == f"t in ({listed}) and d = ? and e = ? and x > ? and x BETWEEN ? AND ?"


@pytest.mark.parametrize(
    ("seconds", "points", "minimum", "expected", "text"),
    [
        (3600, 1000, 1, 5000, "5s"),
        (3600, 1000, 15000, 15000, "15s"),
        (6 * 3600, 1000, 15000, 20000, "20s"),
        (86400, 1000, 15000, 60000, "1m"),
        (7 * 86400, 1000, 15000, 600000, "10m"),
        (30 * 86400, 1000, 15000, 1800000, "30m"),
        (365 * 86400, 1000, 15000, 21600000, "6h"),
        (365 * 86400, 100, 15000, 86400000, "1d"),
        (365 * 86400, 12, 15000, 2592000000, "30d"),
        (10 * 365 * 86400, 10, 15000, 31536000000, "1y"),
        (1, 1000, 1, 1, "1ms"),
        (20, 100, 1, 200, "200ms"),
    ],
)
def test_intervals(seconds: float, points: int, minimum: int, expected: int, text: str) -> None:
    assert interval_ms(seconds, points, minimum) == expected
    assert interval_text(expected) == text


@given(st.floats(0, 1e10), st.integers(1, 5000), st.integers(1, 10**6))
def test_an_interval_is_never_below_its_minimum(seconds: float, points: int, minimum: int) -> None:
    assert interval_ms(seconds, points, minimum) >= minimum
