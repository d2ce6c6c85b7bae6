"""Values in Grafana's units, in Python and in the page's JavaScript."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from py_mini_racer import MiniRacer

from sbpgmon.panels import UNITS
from sbpgmon.present.report.page import asset
from sbpgmon.present.report.svg import written
from sbpgmon.present.report.tables import Column, state_of
from sbpgmon.present.report.units import show
from tests.unit.report_panels import UP, WORSE

NOW = 1_790_000_000_000.0
NUMBERS = st.one_of(
    st.floats(-1e15, 1e15, allow_nan=False),
    st.floats(-2, 2, allow_nan=False),
    st.integers(-(10**15), 10**15).map(float),
    st.sampled_from(
        [0.0, 0.5, 1.5, 2.5, 0.05, 0.995, 999.5, 1000.0, 1023.5, 1024.0, 1e-7, -0.0, 59.9999, 60.0, 86400.0]
    ),
)


@pytest.fixture(scope="module")
def call() -> Iterator[Callable[..., object]]:
    """Calls a function of assets/charts.js."""
    with MiniRacer() as racer:
        racer.eval(asset("charts.js"))

        def run(name: str, *args: object) -> object:
            given = json.dumps(json.dumps(args))
            return json.loads(str(racer.eval(f"JSON.stringify(sbpgmon.{name}(...JSON.parse({given})) ?? null)")))

        yield run


@pytest.mark.parametrize(
    ("value", "unit", "decimals", "text"),
    [
        (0.9964, "percentunit", None, "99.6%"), (0.5, "percentunit", 0, "50%"), (1234.5, "short", None, "1.23 K"),
        (5_000_000, "short", None, "5 Mil"), (5_000_000, "none", None, "5000000"), (1536, "bytes", None, "1.50 KiB"),
        (10, "bytes", None, "10 B"), (3 * 2**30, "binBps", None, "3 GiB/s"), (1500, "ops", None, "1.50K ops/s"),
        (2, "reqps", None, "2 req/s"), (3, "cpm", 1, "3.0 c/m"), (12.34, "ms", None, "12.3 ms"),
        (90_000, "ms", None, "1.50 min"), (0, "s", None, "0 s"), (0.0021, "s", None, "2.10 ms"),
        (7200, "s", None, "2 hour"), (93_784, "dtdurations", None, "1 day, 2 hours"),
        (0, "dtdurations", None, "0 seconds"),
        (0.25, "dtdurations", None, "250 milliseconds"), (3600, "dtdurations", 0, "1 hour"),
        (1_790_000_000_000, "dateTimeAsIso", None, "2026-09-21 14:13:20"),
        (NOW - 3 * 3_600_000, "dateTimeFromNow", None, "3 hours ago"),
        (NOW + 86_400_000 * 2, "dateTimeFromNow", None, "in 2 days"),
        (None, "bytes", None, "No data"), (0.0, "percentunit", 2, "0.00%"), (-1.234, "none", None, "-1.23"),
    ],
)  # fmt: skip
def test_a_value_in_its_unit(
    value: float | None, unit: str, decimals: int | None, text: str, call: Callable[..., object]
) -> None:
    assert show(value, unit, decimals, NOW) == text
    assert call("show", value, unit, decimals, NOW) == text


@example(value=70368744177664.625, unit="none", decimals=2)
@settings(max_examples=600, deadline=None)
@given(value=NUMBERS, unit=st.sampled_from(UNITS), decimals=st.one_of(st.none(), st.integers(0, 4)))
def test_the_page_writes_what_the_program_writes(
    call: Callable[..., object], value: float, unit: str, decimals: int | None
) -> None:
    if unit != "string":
        assert call("show", value, unit, decimals, NOW) == show(value, unit, decimals, NOW)


@settings(max_examples=300, deadline=None)
@given(value=st.one_of(st.none(), st.sampled_from([0, 1, 0.9, 0.99, 0.5, 2, "1", "x", ""]), st.floats(-2, 2)))
@pytest.mark.parametrize("has", ["states", "thresholds", "both"])
def test_states_are_the_same(call: Callable[..., object], has: str, value: float | str | None) -> None:
    column = Column(
        "C", "value", "none", states=UP if has != "thresholds" else (), thresholds=WORSE if has != "states" else ()
    )
    told = {
        "kind": "value", "unit": "none",
        "states": [[each.value, each.state, each.text] for each in column.states],
        "thresholds": [[each.value, each.state] for each in column.thresholds],
    }  # fmt: skip
    found = state_of(column, value)
    assert call("stateOf", told, value) == (None if found is None else {"state": found[0], "text": found[1]})
    assert call("written", told, value) == written(column, value)


@given(first=st.integers(-(10**9), 4 * 10**9), steps=st.lists(st.integers(1, 10**6), min_size=1, max_size=50))
@settings(deadline=None)
def test_times_are_packed_and_unpacked(call: Callable[..., object], first: int, steps: list[int]) -> None:
    from sbpgmon.present.report.tables import packed

    times = [first * 1000.0]
    for step in steps:
        times.append(times[-1] + step * 1000)
    assert call("unpack", packed(Column("Time", "time"), times)) == times
