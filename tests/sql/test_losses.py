"""The rules for what a server drops, for resets that may be of a part, and for counters that are another's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sbpgmon.catalog.catalog import Catalog, load_catalog
from sbpgmon.catalog.metrics import parse_metric
from sbpgmon.model import GAP, PARTIAL, UNKNOWN
from sbpgmon.store.upgrade import init
from tests.conftest import Server
from tests.sql.lab import Lab, Row, at, scratch

pytestmark = pytest.mark.matrix

EVICTED = """\
-- Rows that the server evicts.
-- interval: 60s
-- missing: zero
-- columns:
--   id       key      integer      id
--   calls    counter  bigint       calls
--   since    reset    timestamptz  when the row began
--   emptied  loss     timestamptz  when all rows began anew
--   evicted  loss     bigint       how many rows were dropped
select 1
"""
TOUCHED = """\
-- Rows with a reset that may be of something else.
-- interval: 60s
-- resets: possible
-- columns:
--   id           key      integer      id
--   calls        counter  bigint       calls
--   stats_reset  reset    timestamptz  when something was reset
select 1
"""
RESTARTED = {"postmaster_start_time": at(10)}


@pytest.fixture(scope="module")
def shared(cluster: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("losses")
    metrics = {}
    for name, text in (("evicted", EVICTED), ("touched", TOUCHED)):
        (folder / f"{name}.sql").write_text(text)
        metrics[name] = parse_metric([folder / f"{name}.sql"])
    with scratch(cluster) as database:
        lab = Lab(database, Catalog(metrics, {"snapshot": load_catalog().views["snapshot"]}), folder / "state")
        init(lab.store, lab.catalog, [])
        yield lab
        lab.store.close()


@pytest.fixture
def lab(shared: Lab) -> Iterator[Lab]:
    fresh = shared.another()
    yield fresh
    fresh.store.close()


def row(number: int, calls: int, *, since: float = -1000, emptied: float = -1000, evicted: int = 0) -> Row:
    """A row whose start is not its own, unless `since` is later than `emptied`."""
    return number, calls, at(since), at(emptied), evicted


def deltas(lab: Lab, metric: str = "evicted") -> list[tuple[float, int, int | None, int]]:
    return [(r["at"], r["id"], r["calls"], r["quality"]) for r in lab.rows(metric, "id, calls, quality")]


def qualities(lab: Lab, metric: str = "evicted") -> list[int]:
    return [snapshot["quality"] for snapshot in lab.snapshots(metric)]


def test_a_row_that_may_be_another_is_a_lower_bound(lab: Lab) -> None:
    lab.write("evicted", [row(1, 10), row(2, 10)], 0)
    lab.write("evicted", [row(1, 15, evicted=1), row(2, 10, evicted=1)], 60)
    lab.write("evicted", [row(1, 15, evicted=1), row(2, 11, evicted=1)], 120)
    # The second one was idle while rows were dropped: it is as it was, and not in doubt later.
    assert deltas(lab) == [(60, 1, 5, PARTIAL), (120, 2, 1, 0)]
    assert qualities(lab) == [UNKNOWN, PARTIAL, 0]


def test_a_row_with_a_start_of_its_own_is_not_in_doubt(lab: Lab) -> None:
    lab.write("evicted", [row(1, 10, since=-500)], 0)
    lab.write("evicted", [row(1, 15, since=-500, evicted=1), row(2, 7, since=30, evicted=1)], 60)
    # What is new may have been dropped before, and have come back.
    assert deltas(lab) == [(60, 1, 5, 0), (60, 2, 7, PARTIAL)]
    assert qualities(lab) == [UNKNOWN, PARTIAL]


def test_losses_that_stand_in_one_row(lab: Lab) -> None:
    def sent(*rows: Row) -> list[Row]:
        """The losses in the last row alone, NULL in the others."""
        return [*((*row[:3], None, None) for row in rows[:-1]), rows[-1]]

    lab.write("evicted", sent(row(1, 10, since=-500), row(2, 10)), 0)
    lab.write("evicted", sent(row(1, 15, since=-500), row(2, 11)), 60)
    lab.write("evicted", sent(row(1, 16, since=-500, evicted=1), row(2, 12, evicted=1)), 120)
    lab.write("evicted", [row(1, 17, since=-500, evicted=1), row(2, 13, evicted=1)], 180)
    assert deltas(lab) == [
        (60, 1, 5, 0),
        (60, 2, 1, 0),
        (120, 1, 1, 0),
        (120, 2, 1, PARTIAL),
        (180, 1, 1, 0),
        (180, 2, 1, 0),
    ]
    assert qualities(lab) == [UNKNOWN, 0, PARTIAL, 0]


def test_when_all_began_anew(lab: Lab) -> None:
    lab.write("evicted", [row(1, 10), row(2, 10)], 0)
    lab.write("evicted", [row(1, 15, since=20, emptied=20), row(3, 4, since=20, emptied=20)], 60)
    assert deltas(lab) == [(60, 1, 15, PARTIAL), (60, 3, 4, PARTIAL)]


def test_a_row_that_is_gone_marks_the_snapshot(lab: Lab) -> None:
    lab.write("evicted", [row(1, 10), row(2, 10)], 0)
    lab.write("evicted", [row(1, 15)], 60)
    lab.write("evicted", [row(1, 16), row(2, 4)], 120)
    assert deltas(lab) == [(60, 1, 5, 0), (120, 1, 1, 0), (120, 2, 4, 0)]
    assert qualities(lab) == [UNKNOWN, PARTIAL, 0]


def test_losses_while_no_snapshot_succeeds(lab: Lab) -> None:
    lab.write("evicted", [row(1, 10)], 0)
    lab.write("evicted", None, 60)
    lab.write("evicted", [row(1, 15, evicted=1)], 120)
    assert [delta[2:] for delta in deltas(lab)] == [(5, PARTIAL)]


def test_losses_after_a_crash_of_the_store(lab: Lab) -> None:
    lab.write("evicted", [row(1, 10, evicted=4)], 0)
    lab.store.raw.execute("TRUNCATE monitoring.evicted_last, monitoring.last_state")
    lab.write("evicted", [row(1, 15, evicted=4)], 60)
    lab.write("evicted", [row(1, 16, evicted=5)], 120)
    assert deltas(lab) == [(60, 1, 5, 0), (120, 1, 1, PARTIAL)]


def test_a_new_row_after_a_restart_may_have_begun_before_it(lab: Lab) -> None:
    for metric, rows in (("evicted", [row(1, 10)]), ("touched", [(1, 10, None)])):
        lab.write(metric, rows, 0)
        lab.write(metric, [*rows, (2, 5, *rows[0][2:])], 60, marks=RESTARTED)
        assert deltas(lab, metric) == [(60, 2, 5, PARTIAL)]


def test_a_possible_reset_leaves_an_ordinary_difference(lab: Lab) -> None:
    lab.write("touched", [(1, 1000, at(-500)), (3, 1000, None)], 0)
    lab.write("touched", [(1, 1003, at(30)), (3, 8, at(30)), (4, 5, at(30)), (5, 5, None)], 60)
    # Only a counter that fell proves it; a new row may have been reset before.
    expected = [(60, 1, 3, PARTIAL), (60, 3, 8, PARTIAL), (60, 4, 5, PARTIAL), (60, 5, 5, 0)]
    assert deltas(lab, "touched") == expected
    assert qualities(lab, "touched") == [UNKNOWN, PARTIAL]


@pytest.mark.parametrize("calls", [5, 500])
def test_a_reset_from_before_the_interval_is_another_servers(lab: Lab, calls: int) -> None:
    """Also where a counter fell, or the server has just started: what it counts began before our last reading."""
    lab.write("evicted", [row(1, 100, since=-500), row(2, 100, since=-500)], 0)
    lab.write("evicted", [row(1, calls, since=-400), row(2, 101, since=-500)], 60, marks=RESTARTED)
    assert deltas(lab) == [(60, 1, None, PARTIAL | UNKNOWN), (60, 2, 1, PARTIAL)]


def test_a_primary_on_another_timeline_is_another_host(lab: Lab) -> None:
    lab.write("evicted", [row(1, 100)], 0)
    result = lab.write("evicted", [row(1, 500)], 60, marks={**RESTARTED, "timeline": 2})
    assert [metric for metric, _ in result.notes] == ["evicted"]
    lab.write("evicted", [row(1, 503)], 120, marks={**RESTARTED, "timeline": 2})
    assert deltas(lab) == [(120, 1, 3, 0)]


def test_an_interval_over_which_the_clock_went_back_is_a_gap(lab: Lab) -> None:
    for calls, seconds in ((100, 0), (110, -30), (120, -10), (130, 20), (140, 80)):
        lab.write("evicted", [row(1, calls)], seconds)
    assert deltas(lab) == [(20, 1, 30, GAP), (80, 1, 10, 0)]
