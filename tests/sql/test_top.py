"""Totals of statements over any range are composed of tiers, and equal to the plain sum over the finest one."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.model import TIER_SECONDS
from sbpgmon.present.top import top
from sbpgmon.store import retention
from sbpgmon.store.upgrade import init
from tests.conftest import Server
from tests.sql.lab import Lab, at, scratch
from tests.sql.test_tiers import maintain

HOUR = 3600
COLUMNS = (
    "dbid", "userid", "queryid", "toplevel", "calls", "total_exec_time", "rows", "stats_since", "stats_reset", "dealloc"
)  # fmt: skip
AGES: dict[str, float | None] = {"raw": 4.0 * HOUR, "1m": 4.0 * HOUR, "5m": 9.0 * HOUR, "1h": 36.0 * HOUR, "1d": None}
FIRST, LAST = -80 * HOUR, -12 * HOUR
STEP = 450  # neither a part of a bucket nor its multiple


@pytest.fixture(scope="module")
def lab(cluster: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with scratch(cluster) as database:
        folder: Path = tmp_path_factory.mktemp("top")
        lab = Lab(database, load_catalog(), folder)
        init(lab.store, lab.catalog, [], retention_of=lambda _: AGES)
        other = lab.another()
        chance = random.Random(7)
        for each in (lab, other):
            counts = dict.fromkeys(range(12), 0)
            for number, seconds in enumerate(range(FIRST, LAST, STEP)):
                for query in chance.sample(sorted(counts), 4):
                    counts[query] += chance.randrange(1, 10**6)
                rows = [
                    (
                        5,
                        10,
                        query,
                        query % 3 > 0,
                        count,
                        count / 7,
                        count * 3,
                        None,
                        None,
                        number if query == 0 else None,
                    )
                    for query, count in counts.items()
                ]
                each.write("stat_statements", rows, seconds, columns=COLUMNS)
        with pytest.MonkeyPatch.context() as patch:
            # Nothing goes yet.
            patch.setattr(retention, "drop_old", lambda *_: retention.Retained())
            maintain(lab)
        other.store.close()
        yield lab
        lab.store.close()


def finest(lab: Lab) -> list[dict[str, Any]]:
    return [r for r in lab.rows("stat_statements") if r["tier"] == "1m"]


def plain(rows: list[dict[str, Any]], since: datetime, until: datetime) -> dict[int, tuple[int, float]]:
    calls: dict[int, int] = defaultdict(int)
    times: dict[int, float] = defaultdict(float)
    for row in rows:
        if since <= row["time"] < until:
            calls[row["queryid"]] += row["calls"] or 0
            times[row["queryid"]] += row["total_exec_time"] or 0.0
    return {query: (calls[query], times[query]) for query in calls if calls[query]}


def composed(lab: Lab, since: datetime, until: datetime, by: str = "calls") -> list[dict[str, Any]]:
    metric = lab.catalog.metrics["stat_statements"]
    return top(lab.store, metric, since=since, until=until, by=by, limit=50, target=lab.target)


def check(lab: Lab, rows: list[dict[str, Any]], since: datetime, until: datetime) -> None:
    expected = plain(rows, since, until)
    found = composed(lab, since, until)
    assert {r["queryid"]: r["calls"] for r in found} == {query: calls for query, (calls, _) in expected.items()}
    for row in found:
        assert row["total_exec_time"] == pytest.approx(expected[row["queryid"]][1], rel=1e-6)
        assert row["rows"] == 3 * row["calls"]
    assert [r["calls"] for r in found] == sorted((r["calls"] for r in found), reverse=True)
    top_level = sum(r["calls"] for r in found if r["toplevel"])
    for row in found:
        assert row["share"] == pytest.approx(row["calls"] / top_level)


def test_totals_over_any_range_are_those_of_the_finest_tier(lab: Lab) -> None:
    rows = finest(lab)
    chance = random.Random(11)
    tiers = {r["tier"] for r in lab.rows("stat_statements")}
    assert tiers == {"1m", "5m", "1h", "1d"}
    for _ in range(60):
        since, until = sorted(chance.uniform(FIRST - 2 * HOUR, LAST + 2 * HOUR) for _ in range(2))
        check(lab, rows, at(since), at(until))
    for hours in (1, 24, 60):  # the ends on buckets
        check(lab, rows, at(-14 * HOUR - hours * HOUR), at(-14 * HOUR))
    check(lab, rows, rows[0]["time"], rows[-1]["time"])
    check(lab, rows, rows[0]["time"], rows[-1]["time"] + timedelta(microseconds=1))


def test_a_range_without_a_row_has_no_total(lab: Lab) -> None:
    assert composed(lab, at(FIRST - 20 * HOUR), at(FIRST - 10 * HOUR)) == []
    assert composed(lab, at(LAST), at(FIRST)) == []


def test_only_buckets_of_coarse_tiers_are_read_for_the_inside_of_a_range(lab: Lab) -> None:
    # A bucket that is not what its rows were: only who reads the coarse tier sees it.
    before = composed(lab, at(-70 * HOUR + 1), at(-20 * HOUR - 1))
    with lab.store.raw.transaction(force_rollback=True):
        lab.store.raw.execute("UPDATE monitoring.stat_statements_1d SET calls = 2 * calls")
        found = lab.store.raw.execute(
            "SELECT sum(calls) FROM monitoring.top_statements(%s, %s, %s, 'calls', 50)",
            (lab.target, at(-70 * HOUR + 1), at(-20 * HOUR - 1)),
        ).fetchone()
    assert found is not None
    assert found[0] > sum(r["calls"] for r in before)


def test_a_wrong_counter_is_refused(lab: Lab) -> None:
    with pytest.raises(psycopg.errors.UndefinedColumn, match="no such counter"):
        lab.store.raw.execute("SELECT * FROM monitoring.top_statements(NULL, now(), now(), 'pg_class')")


def test_only_some_counters_are_added_up(lab: Lab) -> None:
    query = (
        "SELECT queryid, calls, total_exec_time, mean_exec_time, rows, shared_blks_hit "
        "FROM monitoring.top_statements(%s, %s, %s, 'calls', 50, %s)"
    )
    span = (lab.target, at(-60 * HOUR + 7), at(-20 * HOUR + 11))
    everything = lab.store.raw.execute(query.encode(), (*span, None)).fetchall()
    assert len(everything) == 12
    assert all(None not in row for row in everything)
    some = lab.store.raw.execute(query.encode(), (*span, ["rows"])).fetchall()
    assert some == [(*row[:-1], None) for row in everything]
    assert lab.store.raw.execute(query.encode(), (*span, [])).fetchall() == [(*r[:-2], None, None) for r in everything]
    for wrong in (["rows", "pg_class"], [None], ["rows FROM pg_class --"]):
        with pytest.raises(psycopg.errors.UndefinedColumn, match="no such counter"):
            lab.store.raw.execute(query.encode(), (*span, wrong))


def test_what_the_same_statements_did_before(lab: Lab) -> None:
    query = (
        "SELECT queryid, calls, total_exec_time, calls_before, total_exec_time_before "
        "FROM monitoring.top_statements(%s, %s, %s, 'calls', 50, '{}', %s)"
    )
    rows = finest(lab)
    chance = random.Random(17)
    for _ in range(30):
        moments = sorted(chance.uniform(FIRST - 2 * HOUR, LAST + 2 * HOUR) for _ in range(3))
        before, since, until = (at(seconds) for seconds in moments)
        now, then = plain(rows, since, until), plain(rows, before, since)
        found = lab.store.raw.execute(query.encode(), (lab.target, since, until, before)).fetchall()
        assert {queryid: calls for queryid, calls, *_ in found} == {q: calls for q, (calls, _) in now.items()}
        for queryid, _, _, calls_before, time_before in found:
            calls, time = then.get(queryid, (0, 0.0))
            assert calls_before == calls
            assert time_before == pytest.approx(time, rel=1e-6)
    alone = lab.store.raw.execute(query.encode(), (lab.target, at(FIRST), at(LAST), None)).fetchall()
    assert {row[3:] for row in alone} == {(None, None)}
    # Nothing is known of that stretch.
    found = lab.store.raw.execute(query.encode(), (lab.target, at(FIRST - 1), at(LAST), at(FIRST - HOUR))).fetchall()
    assert {row[3:] for row in found} == {(0, 0.0)}


def test_where_the_finest_tier_is_gone_whole_buckets_of_the_next_are_taken(lab: Lab) -> None:
    rows = finest(lab)
    maintain(lab)
    gone = dict(
        lab.store.raw.execute(
            "SELECT r.tier, r.dropped_until FROM monitoring.rollup r JOIN monitoring.metric m USING (metric_id) "
            "WHERE m.name = 'stat_statements'"
        ).fetchall()
    )
    assert gone["1m"] > gone["5m"] > gone["1h"]
    assert gone["1d"] is None

    def living(time: datetime) -> int:
        """Seconds of the finest tier that still reaches back to it."""
        tiers = ("1m", "5m", "1h", "1d")
        return next(TIER_SECONDS[t] if t != "1m" else 0 for t in tiers if gone[t] is None or time >= gone[t])

    chance = random.Random(13)
    for _ in range(40):
        since, until = (at(s) for s in sorted(chance.uniform(FIRST, LAST) for _ in range(2)))
        outward = []
        for moment, is_end in ((since, False), (until, True)):
            width = living(moment)
            if width:
                step = timedelta(seconds=width)
                epoch = at(-12 * HOUR)  # midnight
                start = epoch + (moment - epoch) // step * step
                moment = start + step if is_end and moment > start else start
            outward.append(moment)
        check(lab, rows, *outward) if outward == [since, until] else _check_outward(lab, rows, since, until, outward)


def _check_outward(
    lab: Lab, rows: list[dict[str, Any]], since: datetime, until: datetime, outward: list[datetime]
) -> None:
    expected = plain(rows, outward[0], outward[1])
    found = {r["queryid"]: r["calls"] for r in composed(lab, since, until)}
    assert found == {query: calls for query, (calls, _) in expected.items()}


def test_a_reader_cannot_run_anything_as_the_owner(lab: Lab, make_role: Callable[..., str]) -> None:
    reader = make_role("reader")
    init(lab.store, lab.catalog, [reader], retention_of=lambda _: AGES)
    types = {"jsonb": "jsonb", "text": "text", "timestamptz": "timestamptz", "numeric": "numeric", "bigint": "bigint"}
    try:
        with lab.database.connect(reader) as conn:
            for name, base in types.items():
                # Checks that run as whoever makes a value of the type.
                conn.execute(
                    f"CREATE FUNCTION pg_temp.look_{name}(x pg_catalog.{base if base != 'bigint' else 'int8'}) "
                    "RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN IF current_user <> session_user THEN "
                    "RAISE EXCEPTION 'I am the owner'; END IF; RETURN true; END $$".encode()
                )
                conn.execute(
                    f'CREATE DOMAIN pg_temp."{name}" AS pg_catalog.{base if base != "bigint" else "int8"} '
                    f"CHECK (pg_temp.look_{name}(VALUE))".encode()
                )
            query = "SELECT count(*) FROM monitoring.top_statements(%s, %s, %s, 'calls', 50)"
            found = conn.execute(query, (lab.target, at(FIRST), at(LAST))).fetchone()
        assert found is not None
        assert found[0] > 0
    finally:
        lab.store.raw.execute(f"DROP OWNED BY {reader}".encode())
