"""Another system_identifier: refused until it is accepted, and then a new epoch of the same history."""

from __future__ import annotations

import pytest

from sbpgmon.errors import ConfigError, OtherServerError
from sbpgmon.model import UNKNOWN, TargetPoll, WriteResult
from sbpgmon.store.targets import accept
from tests.sql.counters import counted, deltas
from tests.sql.lab import Lab
from tests.unit.catalog_files import server

pytestmark = pytest.mark.matrix

OLD = server().system_identifier
NEW, THIRD = 42, 43


def _write(lab: Lab, calls: int, seconds: float, identifier: int = OLD) -> WriteResult:
    return lab.write("counted", [counted("a", calls)], seconds, marks={"system_identifier": identifier})


def _identifiers(lab: Lab) -> tuple[int | None, int | None]:
    query = "SELECT system_identifier, refused_identifier FROM monitoring.target WHERE name = %s"
    [(known, refused)] = lab.store.raw.execute(query, (lab.target,)).fetchall()
    return known, refused


def _events(lab: Lab) -> list[str]:
    query = (
        "SELECT detail FROM monitoring.event JOIN monitoring.target USING (target_id) WHERE name = %s ORDER BY event_id"
    )
    return [detail for (detail,) in lab.store.raw.execute(query.encode(), (lab.target,))]


def _accept(lab: Lab) -> tuple[int, int]:
    with lab.store.transaction() as conn:
        return accept(conn, lab.target)


def test_another_server_is_refused(lab: Lab) -> None:
    _write(lab, 100, 0)
    for seconds in (60, 120):
        result = _write(lab, 150, seconds, NEW)
        assert isinstance(result.refusal, OtherServerError)
        assert (result.facts, result.rows_read, result.notes) == (0, 0, [])
    assert deltas(lab) == []
    assert _identifiers(lab) == (OLD, NEW)
    # Once, and not for each poll.
    [event] = _events(lab)
    assert event == f"Target {lab.target}: another server answers, system_identifier {NEW}; the history is of {OLD}."
    assert [(s["status"], s["error"]) for s in lab.snapshots("counted")] == [
        ("ok", None),
        ("refused", event),
        ("refused", event),
    ]


def test_nothing_of_it_is_stored(lab: Lab) -> None:
    """No gauges, no names, no series, no version."""
    lab.write("measured", [("a", 1, 1, "me")], 0)
    lab.write("measured", [("b", 2, 2, "you")], 15, marks={"system_identifier": NEW, "version": "99.1"})
    query = (
        "SELECT count(*) FROM monitoring.measured_series JOIN monitoring.target t USING (target_id) WHERE t.name = %s"
    )
    assert lab.store.raw.execute(query.encode(), (lab.target,)).fetchall() == [(1,)]
    query = "SELECT server_version FROM monitoring.target WHERE name = %s"
    assert lab.store.raw.execute(query.encode(), (lab.target,)).fetchall() == [(server().version,)]


def test_accepted_it_is_a_new_epoch_of_the_same_history(lab: Lab) -> None:
    _write(lab, 100, 0)
    _write(lab, 130, 60)
    _write(lab, 150, 120, NEW)
    assert _accept(lab) == (OLD, NEW)
    assert _identifiers(lab) == (NEW, None)
    for calls, seconds in ((160, 180), (161, 240)):
        assert _write(lab, calls, seconds, NEW).refusal is None
    assert deltas(lab) == [(60, "a", 30, 0), (240, "a", 1, 0)]
    good = [s["quality"] for s in lab.snapshots("counted") if s["status"] == "ok"]
    assert good == [UNKNOWN, 0, UNKNOWN, 0]
    assert any("a new epoch begins" in event for event in _events(lab))
    # Now the old one is the other.
    assert _write(lab, 200, 300, OLD).refusal is not None
    assert _identifiers(lab) == (NEW, OLD)


def test_the_known_one_answers_again(lab: Lab) -> None:
    """An address that pointed elsewhere for a while: the history goes on as if it had not been reached."""
    _write(lab, 100, 0)
    _write(lab, 5, 60, NEW)
    assert _write(lab, 120, 120).refusal is None
    assert deltas(lab) == [(120, "a", 20, 0)]
    assert _identifiers(lab) == (OLD, None)
    assert _events(lab)[1:] == ["the server that the history is of answers again"]
    with pytest.raises(ConfigError, match="Nothing to accept"):
        _accept(lab)


def test_a_third_one(lab: Lab) -> None:
    for seconds, identifier in ((0, OLD), (60, NEW), (120, THIRD), (180, THIRD)):
        _write(lab, 100, seconds, identifier)
    assert _identifiers(lab) == (OLD, THIRD)
    assert len(_events(lab)) == 2


def test_what_waited_is_stored_up_to_the_other_server(lab: Lab) -> None:
    _write(lab, 100, 0)
    waiting = [(110, 60, OLD), (120, 120, OLD), (7, 180, NEW)]
    results = []
    for calls, seconds, identifier in waiting:
        reading = lab.reading("counted", [counted("a", calls)], seconds)
        poll = TargetPoll(lab.target, server(system_identifier=identifier), (reading,))
        results.append(lab.writer.write(poll, is_replay=True))
    assert [result.refusal is None for result in results] == [True, True, False]
    assert deltas(lab) == [(60, "a", 10, 0), (120, "a", 10, 0)]


def test_what_waited_elsewhere_until_another_was_accepted(lab: Lab) -> None:
    """Another agent's spool, of the old server: too late to be stored, and no reason to refuse the new one."""
    _write(lab, 100, 0)
    _write(lab, 5, 120, NEW)
    _accept(lab)
    _write(lab, 6, 180, NEW)
    late = TargetPoll(lab.target, server(system_identifier=OLD), (lab.reading("counted", [counted("a", 110)], 60),))
    result = lab.writer.write(late, is_replay=True)
    assert result.refusal is None
    assert [note for _, note in result.notes] == ["a poll of another server, older than what is stored: dropped"]
    assert _identifiers(lab) == (NEW, None)
    _write(lab, 8, 240, NEW)
    assert deltas(lab) == [(240, "a", 2, 0)]


def test_a_target_that_is_not_known(lab: Lab) -> None:
    lab.target = "nobody"
    with pytest.raises(ConfigError, match="no target 'nobody'") as caught:
        _accept(lab)
    assert "There are: " in caught.value.way_out
