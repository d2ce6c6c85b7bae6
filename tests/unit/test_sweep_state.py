"""How far a sweep has come, as the store keeps it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbpgmon.collect.sweep import SweepState

_TIMES = st.none() | st.datetimes(timezones=st.just(UTC))
_COUNTS = st.integers(min_value=0, max_value=2**40)
_NAMES = st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=3).map(tuple)
STATES = st.builds(
    SweepState,
    next_block=_COUNTS,
    pages=_COUNTS,
    window_blocks=_COUNTS,
    files=st.dictionaries(_COUNTS.map(str), _COUNTS, max_size=3),
    cycle_started_at=_TIMES,
    cycle_finished_at=_TIMES,
    bad_rows=_COUNTS,
    examples=_NAMES,
    last_bad_rows=_COUNTS,
    last_examples=_NAMES,
    definition=st.text("0123456789abcdef", max_size=16),
)


@given(STATES)
def test_a_state_comes_back_from_json_as_it_was(state: SweepState) -> None:
    assert SweepState.from_json(json.loads(json.dumps(state.to_json()))) == state


@given(STATES)
def test_the_share_is_a_share_and_full_only_where_a_cycle_is(state: SweepState) -> None:
    assert 0 <= state.coverage_ratio <= 1
    if state.cycle_started_at is None and state.cycle_finished_at is None:
        assert state.coverage_ratio == 0


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"next_block": 5},
        {**SweepState().to_json(), "next_block": "five"},
        {**SweepState().to_json(), "files": None},
        {**SweepState().to_json(), "cycle_started_at": "yesterday"},
        {**SweepState(cycle_started_at=datetime(2026, 1, 1, tzinfo=UTC)).to_json(), "examples": None},
    ],
)
def test_what_is_no_state_begins_anew(values: dict[str, object]) -> None:
    assert SweepState.from_json(values) == SweepState()
