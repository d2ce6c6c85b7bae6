"""The figures of panels against the definitions (DESIGN §6, §7), computed here from the readings themselves.

A rate is the sum of the known differences by the covered seconds; the mean of a gauge of which an absent row means 0 is
the sum over the polls that saw it by all polls; what is not known is NULL. The history has a gap, a reset, an interval
that is not known, and a lost poll, and it is looked at in its finest tier, at 5m and at 1h.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.model import Reading, Status, TargetPoll
from sbpgmon.present.macros import Scope
from sbpgmon.store.upgrade import init
from tests.conftest import Server
from tests.sql.lab import NOON, Lab, at, scratch
from tests.sql.panels import Answer, Values, ask, faults, panels_of
from tests.sql.test_tiers import forever, maintain
from tests.sql.test_views import row
from tests.unit.catalog_files import server

CATALOG = load_catalog()
PANELS = panels_of(CATALOG)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
WIDTHS = {"finest": 15, "5m": 300, "1h": 3600}
HOURS = 5000  # seconds after noon at which it all ends
# Every half minute, then hours with few polls: each of these is a gap.
TIMES = [*range(0, 601, 30), *range(1200, 1501, 30), *range(2100, HOURS, 600)]
MINUTES = [*range(0, 601, 60), *range(1200, 1501, 60), *range(2100, HOURS, 600)]
RESET, UNKNOWN_AT, LOST = 1230, 1290, 1410
IDLE, ACTIVE = 12, 4
STATEMENT = {"dbid": 16384, "userid": 10, "toplevel": True}


@dataclass
class Interval:
    """What happened between two good readings. A difference that is not known is None."""

    at: int
    seconds: int
    deltas: dict[str, float] | None


@dataclass
class History:
    """A counter series as it is read, and what its intervals are by definition."""

    intervals: list[Interval] = field(default_factory=list)
    readings: dict[int, dict[str, float | None]] = field(default_factory=dict)


def counted(times: Sequence[int], growth: Callable[[int], dict[str, float]], *, null_at: int = -1) -> History:
    """Counters that grow by `growth(second)` up to each reading, begin anew at RESET, and are NULL once."""
    made = History()
    total: dict[str, float] = defaultdict(float)
    before: int | None = None
    is_known = False
    for second in times:
        if second == LOST:
            continue
        grown = growth(second)
        if second == RESET:
            total.clear()
        for name, value in grown.items():
            total[name] += value
        made.readings[second] = dict.fromkeys(grown) if second == null_at else dict(total)
        if before is not None:
            # After a reset a counter is what it has counted since; next to a NULL nothing is known.
            known = is_known and second != null_at
            made.intervals.append(Interval(second, second - before, grown if known else None))
        before, is_known = second, second != null_at
    return made


DATABASE = counted(
    TIMES,
    lambda s: {
        "blks_hit": 900.0 + s, "blks_read": 100.0, "xact_commit": 60.0 + s % 7, "xact_rollback": float(s % 90 == 60),
        "deadlocks": float(s in (300, 2700)), "temp_files": float(s % 4 == 0), "temp_bytes": 8192.0 * (s % 4 == 0),
    },
    null_at=UNKNOWN_AT,
)  # fmt: skip
SHARED = counted(TIMES, lambda _: {"xact_commit": 0.0})  # what all databases share: known throughout
FAST = counted(
    MINUTES,
    lambda s: {
        "calls": 120.0 + s % 11, "total_exec_time": 240.0, "rows": 240.0, "shared_blks_hit": 90.0,
        "shared_blks_read": 10.0, "wal_bytes": 4096.0, "shared_blk_read_time": 40.0, "temp_blks_written": 6.0,
    },
)  # fmt: skip
SLOW = counted(
    MINUTES, lambda s: {"calls": 3.0, "total_exec_time": 3000.0 + s, "shared_blks_hit": 0.0, "shared_blks_read": 300.0}
)
NESTED = counted(MINUTES, lambda _: {"calls": 50.0, "total_exec_time": 100.0})


def connected(second: int) -> dict[str, int]:
    """State -> connections, at one poll; a state without any has no row."""
    return {"idle": IDLE + second % 90 // 30} | ({"active": ACTIVE} if second % 150 == 60 else {})


def blocked(second: int) -> list[tuple[Any, ...]]:
    """Two sessions behind one, seldom; else no row."""
    if second % 150 != 120:
        return []
    who = {"datname": "app", "blocked_usename": "u", "blocking_usename": "v", "blocking_state": "active"}
    return [row("blocked_sessions", **who, blocked_sessions=2, longest_wait_seconds=second / 10)]


def size(second: int) -> int:
    return 10**9 + second * 1000


@pytest.fixture(scope="module")
def lab(cluster: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with scratch(cluster) as database:
        lab = Lab(database, CATALOG, tmp_path_factory.mktemp("values"))
        init(lab.store, CATALOG, [], retention_of=forever)
        for second in sorted({*TIMES, *MINUTES}):
            _poll(lab, second)
        # The writer has the clock's time there: a history that is so young has no hours.
        lab.store.raw.execute(b"UPDATE monitoring.target SET first_seen = %s", (LONG_AGO,))
        maintain(lab)
        yield lab
        lab.store.close()


def _poll(lab: Lab, second: int) -> None:
    since = {"stats_reset": at(RESET - 10) if second >= RESET else LONG_AGO}
    readings: list[Reading] = []
    if second == LOST:
        readings = [
            dataclasses.replace(lab.reading(metric, None, second), status=Status.UNREACHABLE)
            for metric in ("server", "stat_database", "connections", "connection_slots", "blocked_sessions")
        ]
        lab.writer.write(TargetPoll(lab.target, None, tuple(readings), error="gone"))
        return
    if second in TIMES:
        values = DATABASE.readings[second]
        databases = [
            row("stat_database", datid=0, datname="(shared)", stats_reset=LONG_AGO),
            row("stat_database", datid=16384, datname="app", **values, **since),
        ]
        groups = [
            row("connections", datname="app", usename="u", state=state, connections=count)
            for state, count in connected(second).items()
        ]
        slots = {"client_backends": sum(connected(second).values()), "max_connections": 100}
        slots |= {"superuser_reserved_connections": 3, "reserved_connections": 17}
        readings += [
            lab.reading("server", [row("server", up=1, version="18.1")], second),
            lab.reading("stat_database", databases, second),
            lab.reading("connections", groups, second),
            lab.reading("connection_slots", [row("connection_slots", **slots)], second),
            lab.reading("blocked_sessions", blocked(second), second),
        ]
    if second % 600 == 0:
        sizes = [row("database_size", datid=16384, datname="app", size_bytes=size(second))]
        readings.append(lab.reading("database_size", sizes, second))
    if second in MINUTES:
        found = {1: (FAST, True), 2: (SLOW, True), 3: (NESTED, False)}
        statements = [
            row(
                "stat_statements",
                **(STATEMENT | {"queryid": queryid, "toplevel": toplevel}),
                **history.readings[second],
            )
            for queryid, (history, toplevel) in found.items()
        ]
        readings.append(lab.reading("stat_statements", statements, second))
    lab.writer.write(TargetPoll(lab.target, server(), tuple(readings)))


# -- the definitions -----------------------------------------------------------------------------------------------


def buckets(history: History, width: int, end: int) -> dict[int, list[Interval]]:
    found: dict[int, list[Interval]] = defaultdict(list)
    for interval in history.intervals:
        if interval.at // width * width + width <= end or width == WIDTHS["finest"]:
            found[interval.at // width * width].append(interval)
    return dict(found)


def total(intervals: Sequence[Interval], *names: str) -> float | None:
    known = [sum(i.deltas.get(name, 0.0) for name in names) for i in intervals if i.deltas is not None]
    return sum(known) if known else None


def rate(intervals: Sequence[Interval], *names: str) -> float | None:
    whole = total(intervals, *names)
    return None if whole is None else whole / sum(i.seconds for i in intervals)


def ratio(intervals: Sequence[Interval], part: Sequence[str], whole: Sequence[str]) -> float | None:
    over, under = total(intervals, *part), total(intervals, *whole)
    return None if over is None or not under else over / under


def together(*histories: History) -> History:
    """Series of one metric, added up: those that are known."""
    summed = History()
    for parts in zip(*(h.intervals for h in histories), strict=True):
        deltas: dict[str, float] = defaultdict(float)
        for part in parts:
            for name, value in (part.deltas or {}).items():
                deltas[name] += value
        is_known = any(part.deltas is not None for part in parts)
        summed.intervals.append(Interval(parts[0].at, parts[0].seconds, deltas if is_known else None))
    return summed


def polls_of(width: int, end: int) -> set[int]:
    """The buckets in which there was a good poll."""
    return set(mean(lambda _: 0.0, width, end))


def mean(of_poll: Callable[[int], float], width: int, end: int) -> dict[int, float]:
    """By bucket: the sum over the polls by all polls, those that saw none among them."""
    found: dict[int, list[float]] = defaultdict(list)
    for second in TIMES:
        if second != LOST and (second // width * width + width <= end or width == WIDTHS["finest"]):
            found[second // width * width].append(of_poll(second))
    return {bucket: sum(values) / len(values) for bucket, values in found.items()}


# -- asking --------------------------------------------------------------------------------------------------------


def answer(lab: Lab, name: str, width: int, start: int = 0, end: int = HOURS, queryid: str = "") -> Answer:
    """A panel's answer over a range in seconds after noon; skips where the catalog has no such panel."""
    if name not in PANELS:
        pytest.skip(f"there is no panel {name}")
    dashboard, panel = PANELS[name]
    given = {"target": lab.target, "datname": "app", "queryid": queryid}
    values: Values = {
        v.name: [given[v.name]] if v.is_multi else given[v.name] for v in dashboard.variables if v.name in given
    }
    scope = Scope(at(start), at(end), width * 1000, values)
    found = ask(lab.store.raw, panel.sql, dashboard, scope)
    assert list(faults(panel, found, scope)) == []
    return found


def series(found: Answer, column: str, **labels: str) -> dict[int, Any]:
    """Second after noon -> value, of the rows with these labels."""
    places = {name: place for place, name in enumerate(found.names)}
    return {
        round((r[0] - NOON).total_seconds()): r[places[column]]
        for r in found.rows
        if all(r[places[name]] == value for name, value in labels.items())
    }


def figures(found: Answer, **labels: str) -> dict[str, Any]:
    [one] = [
        dict(zip(found.names, r, strict=True))
        for r in found.rows
        if all(r[found.names.index(name)] == value for name, value in labels.items())
    ]
    return one


def watermark(lab: Lab, metric: str, tier: str) -> int:
    """Up to where a coarse tier is rolled up, in seconds after noon."""
    found = lab.store.raw.execute(
        "SELECT r.watermark FROM monitoring.rollup AS r JOIN monitoring.metric AS m USING (metric_id) "
        "WHERE m.name = %s AND r.tier = %s",
        (metric, tier),
    ).fetchone()
    assert found is not None
    return int((found[0] - NOON).total_seconds())


def close(found: dict[int, Any], expected: dict[int, Any]) -> None:
    """The same buckets with the same values; a bucket that is NULL may as well be left out."""
    assert {k: v for k, v in found.items() if v is not None} == pytest.approx(
        {k: v for k, v in expected.items() if v is not None}, rel=1e-6
    )


each_tier = pytest.mark.parametrize("tier", WIDTHS)


def held(lab: Lab, history: History, metric: str, tier: str) -> tuple[int, dict[int, list[Interval]]]:
    width = WIDTHS[tier]
    return width, buckets(history, width, HOURS if tier == "finest" else watermark(lab, metric, tier))


# -- statements ----------------------------------------------------------------------------------------------------

ALL = together(FAST, SLOW)  # the top-level ones


@each_tier
def test_query_performance_rates(lab: Lab, tier: str) -> None:
    width, expected = held(lab, ALL, "stat_statements", tier)
    found = answer(lab, "query_performance/03_calls", width)
    close(series(found, "calls_per_second"), {b: rate(i, "calls") for b, i in expected.items()})
    found = answer(lab, "query_performance/04_busy_sessions", width)
    busy = {b: (rate(i, "total_exec_time") or 0) / 1000 for b, i in expected.items()}
    close(series(found, found.names[-1]), busy)
    found = answer(lab, "query_performance/05_mean_time", width)
    close(series(found, "mean_exec_time"), {b: ratio(i, ["total_exec_time"], ["calls"]) for b, i in expected.items()})


@each_tier
def test_the_first_reading_has_no_rate(lab: Lab, tier: str) -> None:
    found = series(answer(lab, "query_performance/03_calls", WIDTHS[tier], 0, 60), "calls_per_second")
    if tier == "finest":
        assert found.get(0) is None
    assert None not in [v for t, v in found.items() if t >= 60]


@each_tier
def test_query_performance_by_statement(lab: Lab, tier: str) -> None:
    width, expected = held(lab, FAST, "stat_statements", tier)
    # This panel takes a tier that is three times as coarse as it is asked for.
    found = answer(lab, "query_performance/02_time_by_statement", max(5, width // 3))
    assert {r[1] for r in found.rows} == {"statement · 1", "statement · 2"}
    busy = {b: (rate(i, "total_exec_time") or 0) / 1000 for b, i in expected.items()}
    close(series(found, "busy_sessions", statement="statement · 1"), busy)


def test_query_performance_figures(lab: Lab) -> None:
    end = 1560
    within = [i for i in ALL.intervals if i.at < end]
    found = figures(answer(lab, "query_performance/01_load", 15, 0, end))
    assert found == pytest.approx({
        "calls_per_second": rate(within, "calls"),
        "busy_sessions": (rate(within, "total_exec_time") or 0) / 1000,
        "mean_exec_time": ratio(within, ["total_exec_time"], ["calls"]),
        "io_ratio": ratio(within, ["shared_blk_read_time"], ["total_exec_time"]),
        "hit_ratio": ratio(within, ["shared_blks_hit"], ["shared_blks_hit", "shared_blks_read"]),
    }, rel=1e-6)  # fmt: skip


def test_query_performance_top(lab: Lab) -> None:
    end = 1560
    within = {q: [i for i in h.intervals if i.at < end] for q, h in (("1", FAST), ("2", SLOW), ("3", NESTED))}
    whole = total([*within["1"], *within["2"]], "total_exec_time")
    found = answer(lab, "query_performance/07_top_by_total_time", 15, 0, end)
    assert [r[found.names.index("queryid")] for r in found.rows] == ["2", "1", "3"]
    for queryid, intervals in within.items():
        one = figures(found, queryid=queryid)
        assert one["calls"] == total(intervals, "calls")
        assert one["total_exec_time"] == pytest.approx(total(intervals, "total_exec_time"))
        assert one["share"] == pytest.approx((total(intervals, "total_exec_time") or 0) / (whole or 1))
        assert one["mean_exec_time"] == pytest.approx(ratio(intervals, ["total_exec_time"], ["calls"]))
        hits = ratio(intervals, ["shared_blks_hit"], ["shared_blks_hit", "shared_blks_read"])
        assert one["hit_ratio"] == (None if hits is None else pytest.approx(hits))
        assert (one["nested"] is not None) is (queryid == "3")


def test_a_statement_that_became_slower(lab: Lab) -> None:
    """Of SLOW too few calls; FAST's mean is as before."""
    assert answer(lab, "query_performance/09_regressed_statements", 15, 1260, 1560).rows == []
    assert answer(lab, "query_performance/08_new_statements", 15, 1260, 1560).rows == []


@each_tier
def test_query_detail(lab: Lab, tier: str) -> None:
    width, expected = held(lab, FAST, "stat_statements", tier)
    found = answer(lab, "query_detail/03_calls", width, queryid="1")
    close(series(found, found.names[-1]), {b: rate(i, "calls") for b, i in expected.items()})
    found = answer(lab, "query_detail/05_mean_time", width, queryid="1")
    close(series(found, "mean_exec_time"), {b: ratio(i, ["total_exec_time"], ["calls"]) for b, i in expected.items()})
    found = answer(lab, "query_detail/07_blocks_per_call", width, queryid="1")
    close(series(found, "hit"), {b: ratio(i, ["shared_blks_hit"], ["calls"]) for b, i in expected.items()})
    close(series(found, "read"), {b: ratio(i, ["shared_blks_read"], ["calls"]) for b, i in expected.items()})
    found = answer(lab, "query_detail/10_time_split", width, queryid="1")
    reading = {b: (rate(i, "shared_blk_read_time") or 0) / 1000 for b, i in expected.items()}
    busy = {b: (rate(i, "total_exec_time") or 0) / 1000 for b, i in expected.items()}
    close(series(found, "reading"), reading)
    close(series(found, "rest"), {b: busy[b] - reading[b] for b in busy})


def test_query_detail_figures(lab: Lab) -> None:
    within = [i for i in FAST.intervals if i.at < 1560]
    found = figures(answer(lab, "query_detail/02_figures", 15, 0, 1560, queryid="1"))
    assert found == pytest.approx({
        "calls_per_second": rate(within, "calls"),
        "mean_exec_time": ratio(within, ["total_exec_time"], ["calls"]),
        "rows_per_call": ratio(within, ["rows"], ["calls"]),
        "blocks_per_call": ratio(within, ["shared_blks_hit", "shared_blks_read"], ["calls"]),
        "wal_per_call": ratio(within, ["wal_bytes"], ["calls"]),
        "hit_ratio": 0.9,
    }, rel=1e-6)  # fmt: skip
    shares = {r[0]: r[1] for r in answer(lab, "query_detail/11_profile", 15, 0, 1560, queryid="1").rows}
    assert shares["Reading blocks"] == pytest.approx(ratio(within, ["shared_blk_read_time"], ["total_exec_time"]))
    assert sum(shares.values()) == pytest.approx(1)


# -- overview ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [900, 3600, HOURS])
def test_overview_totals(lab: Lab, end: int) -> None:
    within = [i for i in DATABASE.intervals if i.at < end]
    found = figures(answer(lab, "overview/05_targets", 15, 0, end), target=lab.target)
    hits = ratio(within, ["blks_hit"], ["blks_hit", "blks_read"])
    assert found["cache_hit_ratio"] == pytest.approx(hits)
    assert found["tps"] == pytest.approx(rate(within, "xact_commit", "xact_rollback"))
    assert found["rollback_ratio"] == pytest.approx(ratio(within, ["xact_rollback"], ["xact_commit", "xact_rollback"]))
    assert found["deadlocks"] == total(within, "deadlocks")


def test_overview_connections_are_the_last_known(lab: Lab) -> None:
    found = figures(answer(lab, "overview/05_targets", 15, 0, 600), target=lab.target)
    # The tier of 5m: the mean of the last bucket that began before the end.
    values = [sum(connected(s).values()) for s in TIMES if 300 <= s < 600]
    assert found["connections_ratio"] == pytest.approx(sum(values) / len(values) / 80)


def test_availability(lab: Lab) -> None:
    """One poll of those between 1200 and 1500 was lost."""
    polls = [s for s in TIMES if 1200 <= s <= 1500]
    found = figures(answer(lab, "overview/07_service_levels", 15, 1200, 1501), target=lab.target)
    assert found["availability_ratio"] == pytest.approx((len(polls) - 1) / len(polls))
    assert found["down_seconds"] == 15
    assert found["watched_ratio"] == pytest.approx(len(polls) * 15 / 301)


def test_up_and_down(lab: Lab) -> None:
    """In stretches of two minutes: up, partly, and nothing where nobody looked."""
    found = series(answer(lab, "overview/06_availability", 15, 0, 1560), "state", target=lab.target)
    for stretch in range(0, 1560, 120):
        polls = [s for s in TIMES if stretch <= s < stretch + 120]
        assert found.get(stretch) == (2 if LOST in polls else 1 if polls else None), stretch


# -- infrastructure ------------------------------------------------------------------------------------------------

DATABASES = together(DATABASE, SHARED)


@each_tier
def test_infrastructure_rates(lab: Lab, tier: str) -> None:
    width, expected = held(lab, DATABASES, "stat_database", tier)
    found = answer(lab, "infrastructure/05_transactions", width)
    close(series(found, "commits"), {b: rate(i, "xact_commit") for b, i in expected.items()})
    close(series(found, "rollbacks"), {b: rate(i, "xact_rollback") for b, i in expected.items()})
    found = answer(lab, "infrastructure/11_block_reads", width)
    close(series(found, "hits"), {b: rate(i, "blks_hit") for b, i in expected.items()})
    close(series(found, "reads"), {b: rate(i, "blks_read") for b, i in expected.items()})


@each_tier
def test_infrastructure_by_database(lab: Lab, tier: str) -> None:
    """One database alone: what is not known of it is NULL, and not 0."""
    width, expected = held(lab, DATABASE, "stat_database", tier)
    found = answer(lab, "infrastructure/15_temp_bytes", width)
    close(series(found, "temp_bytes", datname="app"), {b: rate(i, "temp_bytes") for b, i in expected.items()})
    found = answer(lab, "infrastructure/14_deadlocks", width)
    close(series(found, "deadlocks", datname="app"), {b: total(i, "deadlocks") for b, i in expected.items()})
    found = answer(lab, "infrastructure/10_cache_hit_rate", width)
    hits = {b: ratio(i, ["blks_hit"], ["blks_hit", "blks_read"]) for b, i in expected.items()}
    close(series(found, "cache_hit_ratio", datname="app"), hits)


@each_tier
def test_infrastructure_means_are_over_all_polls(lab: Lab, tier: str) -> None:
    width = WIDTHS[tier]
    end = HOURS if tier == "finest" else watermark(lab, "connections", tier)
    found = answer(lab, "infrastructure/04_connections", width)
    for state in ("idle", "active"):
        expected = mean(lambda s, state=state: connected(s).get(state, 0), width, end)  # type: ignore[misc]
        close(series(found, "connections", state=state), expected)
    found = answer(lab, "infrastructure/06_blocked", width)
    close(series(found, "blocked_sessions"), mean(lambda s: 2.0 * len(blocked(s)), width, end))
    assert max(series(found, "longest_wait_seconds").values()) == max(
        s / 10 for s in TIMES if blocked(s) and s // width * width in polls_of(width, end)
    )


def test_infrastructure_figures(lab: Lab) -> None:
    within = [i for i in DATABASES.intervals if i.at < 1560]
    found = figures(answer(lab, "infrastructure/03_load", 15, 0, 1560))
    assert found["tps"] == pytest.approx(rate(within, "xact_commit", "xact_rollback"))
    assert found["rollback_ratio"] == pytest.approx(ratio(within, ["xact_rollback"], ["xact_commit", "xact_rollback"]))
    assert found["cache_hit_ratio"] == pytest.approx(ratio(within, ["blks_hit"], ["blks_hit", "blks_read"]))
    assert found["deadlocks"] == total(within, "deadlocks")
    [[used]] = answer(lab, "infrastructure/02_connection_use", 15, 0, 1501).rows
    assert used == pytest.approx(sum(connected(1500).values()) / 80)


def test_infrastructure_growth(lab: Lab) -> None:
    found = figures(answer(lab, "infrastructure/18_growth", 15, 0, 4000), datname="app")
    assert found["size_bytes"] == size(1200)
    assert found["growth_bytes"] == 1200 * 1000
    assert found["growth_bytes_per_day"] == pytest.approx(86400 * 1000)
