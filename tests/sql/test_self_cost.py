"""What the agent weighs: whose statements are counted, as what, and what is not known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import pytest

from sbpgmon.collect.guard import judge
from sbpgmon.model import StatementText, TargetPoll
from sbpgmon.store.weight import last_words, note_words, read_weight
from tests.sql.lab import Lab, at
from tests.sql.test_views import CATALOG, row
from tests.unit.catalog_files import server

pytestmark = pytest.mark.matrix

POLLER, OWNER, SOMEBODY = 90_001, 0, 90_003  # 0: the owner of `monitoring`, whoever that is here
COPY = "COPY (/* sbpgmon:{} */ select ?) TO STDOUT (FORMAT binary)"
# queryid, role, text, top level
POLLED = (1, POLLER, COPY.format("stat_statements"), True)
INSIDE = (2, POLLER, COPY.format("stat_statements"), False)
LOCKS = (3, POLLER, COPY.format("locks"), True)
BEGIN = (4, POLLER, "BEGIN READ ONLY", True)
PROBE = (5, POLLER, "select /* sbpgmon:probe */ current_setting($1)", True)
WRITE = (6, OWNER, "INSERT INTO monitoring.event SELECT $1", True)
OWNERS = (7, OWNER, "select * from app.bets", True)
OTHER = (8, SOMEBODY, COPY.format("locks"), True)
Statement = tuple[int, int, str, bool]
Calls = Mapping[Statement, tuple[int, float]]


@pytest.fixture
def lab(shipped: Lab) -> Iterator[Lab]:
    fresh = shipped.another()
    yield fresh
    fresh.store.close()


def value(lab: Lab, query: str) -> Any:
    found = lab.store.raw.execute(query.encode()).fetchone()
    assert found is not None
    return found[0]


class Target:
    """A target whose statements have run; each reading adds calls and ms to some."""

    def __init__(self, lab: Lab, *, role: int = POLLER, system: int | None = None, **settings: Any) -> None:
        self.lab = lab
        self.owner = value(lab, "SELECT nspowner FROM pg_namespace WHERE nspname = 'monitoring'")
        self.system = system or value(lab, "SELECT system_identifier FROM pg_control_system()")
        self.totals: dict[Statement, tuple[int, float]] = {}
        self.began: dict[Statement, datetime] = {}
        self.settings = {"userid": role, "usesuper": False, "server_version_num": 180000} | settings
        self.serve(0)

    def serve(self, seconds: float, **settings: Any) -> None:
        """The metric `server`, which says who polls."""
        self.settings |= settings
        marks = {"system_identifier": self.system}
        self.lab.write("server", [row("server", up=1, **self.settings)], seconds, marks=marks)

    def read(self, seconds: float, calls: Calls, *, texts: bool = True) -> None:
        """One reading; `calls` are statements, with the calls and ms that they took since."""
        for statement, (count, ms) in calls.items():
            before = self.totals.get(statement, (0, 0.0))
            self.totals[statement] = before[0] + count, before[1] + ms
        rows, found = [], []
        for (queryid, userid, text, toplevel), (count, ms) in self.totals.items():
            identity = {"dbid": 1, "userid": userid or self.owner, "queryid": queryid, "toplevel": toplevel}
            began = self.began.get((queryid, userid, text, toplevel), at(-600))
            more = {"total_plan_time": ms / 5, "shared_blks_hit": count, "stats_since": began}
            rows.append(row("stat_statements", **identity, calls=count, total_exec_time=ms, **more))
            found.append(StatementText(1, userid or self.owner, queryid, toplevel, text))
        reading = self.lab.reading("stat_statements", rows, seconds)
        marks = server(system_identifier=self.system)
        poll = TargetPoll(self.lab.target, marks, (reading,), tuple(found) if texts else (), texts_read=texts)
        self.lab.writer.write(poll)

    def costs(self, columns: str = "part, metric, calls, total_exec_time") -> list[tuple[Any, ...]]:
        return self.lab.store.raw.execute(
            f"SELECT extract(epoch FROM time - %s)::integer, {columns} FROM monitoring.self_cost "
            "WHERE target = %s AND tier = '1m' ORDER BY time, part, metric".encode(),
            (at(0), self.lab.target),
        ).fetchall()


ALL: Calls = dict.fromkeys((POLLED, INSIDE, LOCKS, BEGIN, PROBE, WRITE, OWNERS, OTHER), (1, 10.0))


def test_each_statement_of_ours_is_counted_once_and_nobody_elses(lab: Lab) -> None:
    target = Target(lab)
    target.read(0, ALL)
    target.read(60, {**ALL, POLLED: (2, 50.0), BEGIN: (4, 1.0)})
    assert target.costs() == [
        (60, "poll", "", 4, 1.0),
        (60, "poll", "locks", 1, 10.0),
        (60, "poll", "probe", 1, 10.0),
        (60, "poll", "stat_statements", 2, 50.0),
        (60, "store", "", 1, 10.0),
    ]


def test_the_share_is_of_all_top_level_statements(lab: Lab) -> None:
    target = Target(lab)
    target.read(0, ALL)
    target.read(60, {POLLED: (1, 10.0), INSIDE: (1, 9.0), OTHER: (1, 30.0)})
    columns = "metric, total_plan_time, shared_blks_hit, all_time, share_ratio, covered_seconds, quality"
    assert target.costs(columns) == [(60, "stat_statements", 2.0, 1, 48.0, 0.25, 60.0, 0)]


def test_where_the_store_is_on_another_server_its_owner_is_somebody_else(lab: Lab) -> None:
    target = Target(lab, system=4711)
    for seconds in (0, 60):
        target.read(seconds, ALL)
    assert [part for _, part, _, _, _ in target.costs()] == ["poll"] * 4


def test_one_role_that_polls_and_owns(lab: Lab) -> None:
    target = Target(lab, role=value(lab, "SELECT nspowner FROM pg_namespace WHERE nspname = 'monitoring'"))
    for seconds in (0, 60):
        target.read(seconds, ALL)
    # What it does besides is ours as well: it is the agent's own role.
    assert target.costs() == [(60, "poll", "", 1, 10.0), (60, "store", "", 1, 10.0)]


def test_of_a_superuser_only_what_bears_the_marker_is_ours(lab: Lab) -> None:
    target = Target(lab, usesuper=True)
    for seconds in (0, 60):
        target.read(seconds, ALL)
    assert [metric for _, part, metric, _, _ in target.costs() if part == "poll"] == [
        "locks",
        "probe",
        "stat_statements",
    ]


def test_without_texts_the_role_tells(lab: Lab) -> None:
    target = Target(lab)
    for seconds in (0, 60):
        target.read(seconds, ALL, texts=False)
    assert target.costs() == [(60, "poll", "", 4, 40.0)]


def test_nothing_is_said_where_the_role_is_not_known(lab: Lab) -> None:
    target = Target(lab, userid=None)
    for seconds in (0, 60):
        target.read(seconds, ALL)
    assert [row_ for row_ in target.costs() if row_[1] == "poll"] == []


@pytest.mark.parametrize(("version", "is_shown"), [(160000, True), (170000, False)])
def test_nothing_is_said_where_copy_is_not_tracked(lab: Lab, version: int, is_shown: bool) -> None:
    target = Target(lab, server_version_num=version)
    for seconds in (0, 60):
        target.read(seconds, ALL)
    # From 17 on the query inside is hidden with it, and what is left would look like next to nothing.
    target.serve(90, pg_stat_statements_track_utility="off")
    target.read(120, ALL)
    assert [row_[0] for row_ in target.costs("metric") if row_[1] == "locks"] == ([60, 120] if is_shown else [60])


@pytest.mark.parametrize(
    ("lost", "known"),
    [(OTHER, (1, 10.0, None, None)), (LOCKS, (None, None, None, None))],
)
def test_what_is_not_known_is_null(lab: Lab, lost: Statement, known: tuple[Any, ...]) -> None:
    target = Target(lab)
    target.read(0, {LOCKS: (1, 10.0), OTHER: (1, 10.0)})
    # Its counters are not those of the last reading, and did not begin since.
    target.began[lost] = at(-60)
    target.read(60, {LOCKS: (1, 10.0), OTHER: (1, 10.0)})
    assert target.costs("calls, total_exec_time, all_time, share_ratio") == [(60, *known)]
    assert read_weight(lab.store.raw, lab.target, "1m", 10.0**9) is None


# What the guard reads


def test_the_weight_is_summed_over_known_intervals(lab: Lab) -> None:
    target = Target(lab)
    for seconds in (0, 60, 120):
        target.read(seconds, ALL)
    far = 10.0**9
    weight = read_weight(lab.store.raw, lab.target, CATALOG.metrics["stat_statements"].tier, far)
    assert weight is not None
    assert (weight.seconds, weight.own_calls) == (120, 10)
    assert weight.own_ms == pytest.approx(2 * 5 * 12.0)
    assert weight.store_ms == pytest.approx(2 * 12.0)
    assert weight.all_ms == pytest.approx(2 * 7 * 12.0)
    assert {name: count for name, (count, _) in weight.readings.items()} == {
        "stat_statements": 2,
        "locks": 2,
        "probe": 2,
    }
    assert weight.waited == {}
    assert read_weight(lab.store.raw, lab.target, "1m", 1.0) is None
    assert read_weight(lab.store.raw, "nobody", "1m", far) is None


def test_without_texts_the_weight_says_how_long_the_readings_took(lab: Lab) -> None:
    target = Target(lab)
    for seconds in (0, 60):
        target.read(seconds, ALL, texts=False)
    weight = read_weight(lab.store.raw, lab.target, "1m", 10.0**9)
    assert weight is not None
    assert weight.readings == {}
    assert {name: (count, round(ms)) for name, (count, ms) in weight.waited.items()} == {
        "server": (1, 10),
        "stat_statements": (2, 20),
        # Made of the same readings; the guard looks at metrics that are asked.
        "statement_totals": (2, 20),
    }


def test_the_last_words_are_what_holds(lab: Lab) -> None:
    assert last_words(lab.store.raw, lab.target) == ""
    assert note_words(lab.store.raw, lab.target, "the target is not known yet") == ""
    Target(lab)
    for words in ("first", "then"):
        assert note_words(lab.store.raw, lab.target, words)
    assert last_words(lab.store.raw, lab.target) == "then"


def test_from_the_readings_to_the_decision(lab: Lab) -> None:
    target = Target(lab)
    for minute in range(7):
        target.read(60 * minute, {POLLED: (1, 900.0), LOCKS: (4, 40.0), OTHER: (1, 10_000.0)})
    weight = read_weight(lab.store.raw, lab.target, "1m", 10.0**9)
    factors, words = judge(weight, {"stat_statements": 60, "locks": 15}, {}, 0.01)
    # 1,128 ms a minute, with the planning; the other statements take less than one core.
    assert factors == {"stat_statements": 2}
    assert "took 1,128 ms a minute, 1.88% of one core's time" in words
