"""Roll-ups: every tier says what the finest one says, however the snapshots came and whenever it was rolled up."""

from __future__ import annotations

import itertools
import logging
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sbpgmon.catalog.catalog import Catalog, load_catalog
from sbpgmon.catalog.metrics import parse_metric
from sbpgmon.errors import StoreError
from sbpgmon.model import GAP, PARTIAL, TIER_SECONDS, UNKNOWN, Status, TargetPoll
from sbpgmon.store.lease import target_ids
from sbpgmon.store.maintenance import Maintained, Maintenance
from sbpgmon.store.policy import stored_metrics
from sbpgmon.store.rollup import read_watermarks, roll_up
from sbpgmon.store.upgrade import init
from tests.conftest import Server
from tests.sql.lab import NOON, Lab, at, scratch

WORK = """\
-- Work done.
-- interval: 15s
-- missing: zero
-- nulls: unknown
-- columns:
--   name   key      text              who
--   done   counter  bigint            how much
--   took   counter  double precision  how long [ms]
--   exact  counter  numeric           how much, exactly
--   busy   gauge    integer           how many are at it
--   title  info     text              what they are called
select 1
"""
SLOW = """\
-- Seen a minute.
-- interval: 60s
-- tiers: 1m 5m 1h 1d
-- columns:
--   name   key    text    who
--   level  gauge  bigint  how high
select 1
"""
TIERS = {"work": ("raw", "1m", "5m", "1h"), "slow": ("1m", "5m", "1h", "1d")}


def catalog_in(folder: Path) -> Catalog:
    folder.mkdir(parents=True, exist_ok=True)
    metrics = {}
    for name, text in (("work", WORK), ("slow", SLOW)):
        path = folder / f"{name}.sql"
        path.write_text(text)
        metrics[name] = parse_metric([path])
    return Catalog(metrics, {name: load_catalog().views[name] for name in ("coverage", "snapshot")})


def forever(_metric: str) -> Mapping[str, float | None]:
    return dict.fromkeys(TIER_SECONDS)


@pytest.fixture
def lab(cluster: Server, tmp_path: Path) -> Iterator[Lab]:
    """A store of its own: watermarks are the store's."""
    with scratch(cluster) as database:
        lab = Lab(database, catalog_in(tmp_path / "queries"), tmp_path / "state")
        init(lab.store, lab.catalog, [], retention_of=forever)
        yield lab
        lab.store.close()


def maintain(lab: Lab) -> Maintained:
    done = Maintenance(lab.database.dsn(), "lab").run()
    assert done is not None
    return done


def work(name: str, done: int, busy: int | None = 1, title: str = "x") -> tuple[object, ...]:
    return name, done, done / 8, done * 10**20, busy, title


def facts(lab: Lab, metric: str, tier: str) -> list[dict[str, Any]]:
    return [row for row in lab.rows(metric) if row["tier"] == tier]


def buckets(rows: list[dict[str, Any]], tier: str, until: datetime) -> dict[tuple[float, str], list[dict[str, Any]]]:
    """Bucket and name -> the finest rows that lie in it, up to the watermark."""
    found = defaultdict(list)
    for row in rows:
        if at(row["at"]) < until:
            found[row["at"] // TIER_SECONDS[tier] * TIER_SECONDS[tier], row["name"]].append(row)
    return found


def watermarks(lab: Lab, metric: str) -> dict[str, datetime | None]:
    rows = lab.store.raw.execute(
        "SELECT r.tier, r.watermark FROM monitoring.rollup r JOIN monitoring.metric m USING (metric_id) "
        "WHERE m.name = %s",
        (metric,),
    )
    return dict(rows.fetchall())


def lose(lab: Lab, seconds: float, status: Status = Status.UNREACHABLE) -> None:
    """A poll that did not reach the target."""
    reading = lab.reading("work", None, seconds, failed=status)
    lab.writer.write(TargetPoll(lab.target, None, (reading,), error="gone"))


def hold_lost(lab: Lab, metric: str = "work") -> None:
    """Compares the lost polls of every bucket of every tier with those that the log has; there are no other rows."""
    finest, *coarse = TIERS[metric]
    logged = {
        (snapshot["time"] - NOON).total_seconds(): snapshot["status"] in ("unreachable", "refused")
        for snapshot in lab.snapshots(metric)
        if snapshot["status"] in ("ok", "unreachable", "refused")
    }
    marks, found = watermarks(lab, metric), lab.lost_polls(metric)
    assert found.get(finest, {}) == logged
    for tier in coarse:
        expected: dict[float, int] = {}
        for seconds, is_lost in logged.items():
            if (mark := marks[tier]) is not None and at(seconds) < mark:
                start = seconds // TIER_SECONDS[tier] * TIER_SECONDS[tier]
                expected[start] = expected.get(start, 0) + is_lost
        assert found.get(tier, {}) == expected


def hold_to_the_finest(lab: Lab, metric: str = "work") -> None:
    """Compares every bucket of every tier with the rows of the finest tier that lie in it."""
    hold_lost(lab, metric)
    finest, *coarse = TIERS[metric]
    rows = facts(lab, metric, finest)
    marks = watermarks(lab, metric)
    coverage = lab.rows_of_coverage(metric)
    for tier in coarse:
        mark = marks[tier]
        found = {(row["at"], row["name"]): row for row in facts(lab, metric, tier)}
        assert len(found) == len(facts(lab, metric, tier)), "two rows of one bucket"
        expected = buckets(rows, tier, mark) if mark is not None else {}
        assert found.keys() == expected.keys()
        for key, parts in expected.items():
            row = found[key]
            polls, seconds = coverage[tier][key[0]]
            below = [coverage[finest][p] for p in coverage[finest] if key[0] <= p < key[0] + TIER_SECONDS[tier]]
            assert polls == sum(p for p, _ in below)
            assert seconds == pytest.approx(sum(s for _, s in below))
            assert row["covered_seconds"] == pytest.approx(seconds)
            if metric == "work":
                known = [p for p in parts if not p["quality"] & UNKNOWN]
                for column in ("done", "exact"):
                    assert row[column] == (sum(p[column] for p in known) if known else None)
                if known:
                    assert row["took"] == pytest.approx(sum(p["took"] for p in known), rel=1e-6)
                lossy = PARTIAL if known and len(known) < len(parts) else 0
                expected_quality = (0 if known else UNKNOWN) | lossy
                for part in parts:
                    expected_quality |= part["quality"] & (PARTIAL | GAP)
                assert row["quality"] == expected_quality
                values = [p["busy"] for p in parts] + [0] * (polls - len(parts))
                assert row["busy"] == pytest.approx(sum(values) / len(values))
                assert (row["busy_min"], row["busy_max"]) == (min(values), max(values))
            else:
                values = [p["level"] for p in parts]
                assert row["level"] == pytest.approx(sum(values) / len(values))
                assert (row["level_min"], row["level_max"]) == (min(values), max(values))


def test_each_tier_is_the_sum_of_the_finest(lab: Lab) -> None:
    for number in range(330):
        rows = [work("a", number * 3), work("b", number * 5, busy=number % 7)]
        if number % 20 == 3:
            rows.append(work("c", 7 * number, busy=20))  # seen in one poll of twenty
        lab.write("work", rows, 15 * number)
        if number % 4 == 0:
            lab.write("slow", [("x", number), ("y", -number)], 15 * number)
        if number % 90 == 50:
            maintain(lab)
    maintain(lab)
    marks = watermarks(lab, "work")
    assert marks["1h"] == at(3600)
    assert marks["1m"] is not None
    assert marks["1m"] > at(4800)
    hold_to_the_finest(lab)
    hold_to_the_finest(lab, "slow")


def test_a_state_seen_in_one_of_twenty_polls_is_a_twentieth(lab: Lab) -> None:
    for number in range(60):
        rows = [work("a", number)] + ([work("rare", number, busy=20)] if number % 20 == 7 else [])
        lab.write("work", rows, 15 * number)
    maintain(lab)
    [row] = [r for r in facts(lab, "work", "5m") if r["name"] == "rare"][:1]
    assert (row["busy"], row["busy_min"], row["busy_max"]) == (1, 0, 20)


def test_late_snapshots_are_in_every_total_at_once_and_in_one_row_afterwards(lab: Lab) -> None:
    other = Lab(lab.database, lab.catalog, lab.folder / "other")
    other.target = "other"
    for number in range(300):
        lab.write("work", [work("a", number)], 15 * number)
        if not 100 <= number < 140:
            other.write("work", [work("a", number)], 15 * number)
    maintain(lab)
    before = sum(r["done"] for r in facts(other, "work", "1h"))
    # What another agent had in its spool: later than the roll-ups, older than the watermarks.
    late = Lab(lab.database, lab.catalog, lab.folder / "late")
    late.target = "late"
    for number in range(100, 140):
        late.write("work", [work("z", 10 * number), work("y", number, busy=4)], 15 * number)
    assert before > 0
    for tier in ("1m", "5m", "1h"):
        finest = [r for r in facts(late, "work", "raw") if r["name"] == "z"]
        assert sum(r["done"] or 0 for r in facts(late, "work", tier) if r["name"] == "z") == sum(
            r["done"] or 0 for r in finest
        )
    maintain(lab)
    hold_to_the_finest(late)
    hold_to_the_finest(lab)
    assert lab.store.raw.execute("SELECT count(*) FROM monitoring.late_bucket").fetchone() == (0,)
    late.store.close()
    other.store.close()


def test_lost_polls_are_in_every_tier_late_ones_too(lab: Lab) -> None:
    late = lab.another()
    for number in range(700):
        # Some of an hour, whole buckets of five minutes, and a whole hour, in which there is nothing else.
        if number in (7, 8, *range(60, 110)) or (number >= 240 and number < 480):
            lose(lab, 15 * number, Status.REFUSED if number == 8 else Status.UNREACHABLE)
        else:
            lab.write("work", [work("a", number, busy=number % 5)], 15 * number)
    maintain(lab)
    hold_to_the_finest(lab)
    assert lab.lost_polls("work")["1h"] == {0: 52, 3600: 240}
    assert lab.rows_of_coverage("work")["1h"][3600] == (0, 0)
    assert [r["at"] for r in facts(lab, "work", "1h")] == [0]
    # What another agent could not store in time.
    for number in range(300, 340):
        if number < 320:
            lose(late, 15 * number)
        else:
            late.write("work", [work("z", number)], 15 * number)
    assert sum(filter(None, late.lost_polls("work")["1h"].values())) == 20
    maintain(lab)
    hold_to_the_finest(lab)
    hold_to_the_finest(late)
    late.store.close()


def test_of_a_target_that_was_never_reached_the_lost_polls_are_kept(lab: Lab) -> None:
    for number in range(500):
        lose(lab, 15 * number)
    maintain(lab)
    assert lab.lost_polls("work")["1h"] == {0: 240, 3600: 240}
    hold_lost(lab)


def test_a_healthy_target_costs_no_row_and_no_byte(lab: Lab) -> None:
    for number in range(300):
        lab.write("work", [work("a", number)], 15 * number)
    maintain(lab)
    found = lab.store.raw.execute(
        b"SELECT count(*), count(lost), max(pg_column_size(c)) FROM monitoring.coverage_1m AS c"
    ).fetchone()
    assert found is not None
    assert found[:2] == (len(lab.rows_of_coverage("work")["1m"]), 0)
    assert found[2] == 24 + 32


def test_an_interrupted_roll_up_is_done_again(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(200):
        lab.write("work", [work("a", number)], 15 * number)
    [(metric_id, metric)] = [(i, m) for i, m in stored_metrics(lab.store.raw).items() if m.name == "work"]

    def fail(*_: object, **__: object) -> str:
        return "SELECT 1/0"

    # The coverage is in by then; the facts are not.
    monkeypatch.setattr("sbpgmon.store.rollup.roll_up_sql", fail)
    with pytest.raises(Exception, match="division"):
        roll_up(lab.store, metric, metric_id, "1m")
    monkeypatch.undo()
    assert watermarks(lab, "work")["1m"] is None
    assert lab.store.raw.execute("SELECT count(*) FROM monitoring.coverage_1m").fetchone() == (0,)
    maintain(lab)
    hold_to_the_finest(lab)


def test_a_roll_up_waits_for_the_snapshot_that_is_being_written(lab: Lab) -> None:
    for number in range(100):
        lab.write("work", [work("a", number)], 15 * number)
    done = threading.Event()

    def roll() -> None:
        Maintenance(lab.database.dsn(), "lab").run()
        done.set()

    with psycopg.connect(lab.database.dsn()) as writer:
        read_watermarks(writer)
        thread = threading.Thread(target=roll)
        thread.start()
        assert not done.wait(1.0)
        assert watermarks(lab, "work")["1m"] is None
    assert done.wait(30)
    thread.join()
    hold_to_the_finest(lab)


def test_a_store_whose_clock_is_behind_waits_and_says_so(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    ahead = int((datetime.now(UTC) - NOON).total_seconds() // 3600 + 2) * 3600
    for number in range(100):
        lab.write("work", [work("a", number)], ahead + 15 * number)
    with caplog.at_level(logging.WARNING):
        maintain(lab)
    assert "behind" in caplog.text
    assert "Set the clock" in caplog.text
    assert not facts(lab, "work", "1m")
    assert len(facts(lab, "work", "raw")) == 99 + 1  # nothing is lost


def test_a_filter_on_the_tier_leaves_the_other_tables_out(lab: Lab) -> None:
    for condition in ("tier = '5m'", "tier = monitoring.tier('work', 300000, now())"):
        [(plan,)] = lab.store.raw.execute(
            f"EXPLAIN (ANALYZE, FORMAT json) SELECT time, done FROM monitoring.work WHERE {condition}".encode()
        ).fetchall()
        ran = [name for name, loops in _scans(plan[0]["Plan"]) if loops and name.startswith("work_")]
        assert {name.split("_p")[0] for name in ran} <= {"work_5m", "work_series", "work_attributes"}, condition


def _scans(node: dict[str, Any]) -> Iterator[tuple[str, int]]:
    if "Relation Name" in node:
        yield node["Relation Name"], node["Actual Loops"]
    for child in node.get("Plans", ()):
        yield from _scans(child)


CHOICES = [
    ("work", 1, "1 hour", "raw"),
    ("work", 15, "1 hour", "raw"),
    ("work", 16, "1 hour", "1m"),
    ("work", 60, "1 hour", "1m"),
    ("work", 120, "1 hour", "5m"),
    ("work", 3600, "1 hour", "1h"),
    ("work", 86400, "1 hour", "1h"),
    ("slow", 15, "1 hour", "1m"),
    ("slow", 15, "6 hours", "1m"),
    ("slow", 15, "2 days", "5m"),
    ("slow", 15, "10 days", "1h"),
    ("slow", 15, "60 days", "1d"),
    ("slow", 86400, "1 hour", "1d"),
    ("work", 15, "90 minutes", "1m"),
    ("nothing", 15, "1 hour", None),
]


def test_the_tier_for_a_chart(lab: Lab) -> None:
    ages = {"raw": 3600.0, "1m": 86400.0, "5m": 7 * 86400.0, "1h": 30 * 86400.0, "1d": None}
    init(lab.store, lab.catalog, [], retention_of=lambda _: ages)
    for metric, interval_seconds, age, tier in CHOICES:
        query = "SELECT monitoring.tier(%s, %s, now() - %s::interval)"
        found = lab.store.raw.execute(query, (metric, interval_seconds * 1000, age)).fetchone()
        assert found == (tier,), (metric, interval_seconds, age)


def test_a_name_is_known_in_the_bucket_in_which_it_began(lab: Lab) -> None:
    lab.write("work", [work("a", 1)], 100)
    lab.write("work", [work("a", 2), work("b", 1, title="new")], 115)
    lab.write("work", [work("a", 3), work("b", 5, title="new")], 400)
    maintain(lab)
    assert {r["title"] for r in facts(lab, "work", "5m") if r["name"] == "b"} == {"new"}


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), max_size=3)),
        st.tuples(st.just("write"), st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), max_size=3)),
        st.tuples(st.just("fail"), st.none()),
        st.tuples(st.just("lose"), st.integers(1, 12)),
        st.tuples(st.just("reset"), st.sampled_from("abc")),
        st.tuples(st.just("wait"), st.sampled_from([15, 45, 200, 1000, 4000])),
        st.tuples(st.just("late"), st.integers(1, 40)),
        st.tuples(st.just("maintain"), st.none()),
    ),
    max_size=40,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(STEPS)
def test_any_history_is_the_same_in_every_tier(lab: Lab, steps: list[tuple[str, Any]]) -> None:
    lab.store.raw.execute(
        "DELETE FROM monitoring.snapshot_log; DELETE FROM monitoring.metric_state; DELETE FROM monitoring.late_bucket; "
        "UPDATE monitoring.rollup SET watermark = NULL; "
        + "".join(f"DELETE FROM monitoring.work_{tier}; " for tier in TIERS["work"])
        + "".join(f"DELETE FROM monitoring.coverage_{tier}; " for tier in TIERS["work"][1:])
    )
    now = lab.another()
    behind = lab.another()
    counts = dict.fromkeys("abc", 0)
    seconds, late_seconds = 6000.0, 0.0
    for kind, value in steps:
        if kind == "write":
            for name, more in value:
                counts[name] += more
            now.write("work", [work(name, counts[name], busy=more) for name, more in dict(value).items()], seconds)
            seconds += 15
        elif kind == "fail":
            now.write("work", None, seconds)
            seconds += 15
        elif kind == "lose":
            for _ in range(value):
                lose(now, seconds)
                seconds += 15
        elif kind == "reset":
            counts[value] = 0
        elif kind == "wait":
            seconds += value
        elif kind == "late":
            for number in range(value):
                late_seconds += 15
                if number % 7 == 5:
                    lose(behind, late_seconds)
                    continue
                behind.write("work", [work("z", number * 3, busy=number % 4)], late_seconds)
        else:
            maintain(lab)
            for each in (now, behind):
                hold_to_the_finest(each)
    for each in (now, behind):
        for tier, other in itertools.pairwise(TIERS["work"]):
            marks = watermarks(lab, "work")
            if (mark := marks[other]) is not None:
                sums = [
                    sum(r["done"] or 0 for r in facts(each, "work", t) if at(r["at"]) < mark) for t in (tier, other)
                ]
                assert sums[0] == sums[1]
        each.store.close()


def test_a_state_is_over_the_polls_before_it_was_first_seen_too(lab: Lab) -> None:
    for number in range(500):
        lab.write("work", [work("rare", 0, busy=20)] if number == 220 else [], 15 * number)
    maintain(lab)
    [row] = facts(lab, "work", "1h")
    assert row["busy"] == pytest.approx(20 / 240)
    assert lab.rows_of_coverage("work")["1h"][0] == (240, 239 * 15)
    # Polls that saw nothing were made all the same.
    assert sorted(lab.rows_of_coverage("work")["1m"])[0] == 0
    hold_to_the_finest_coverage(lab)


def hold_to_the_finest_coverage(lab: Lab) -> None:
    coverage = lab.rows_of_coverage("work")
    for tier in ("1m", "5m", "1h"):
        for start, (polls, seconds) in coverage[tier].items():
            below = [c for at_, c in coverage["raw"].items() if start <= at_ < start + TIER_SECONDS[tier]]
            assert polls == sum(p for p, _ in below)
            assert seconds == pytest.approx(sum(s for _, s in below))


def test_a_counter_may_be_called_polls(cluster: Server, tmp_path: Path) -> None:
    path = tmp_path / "work.sql"
    path.write_text(WORK.replace("done   counter", "polls  counter"))
    with scratch(cluster) as database:
        lab = Lab(database, Catalog({"work": parse_metric([path])}, {}), tmp_path / "state")
        init(lab.store, lab.catalog, [], retention_of=forever)
        for number in range(40):
            lab.write("work", [work("a", number)], 15 * number)
        maintain(lab)
        assert {row["polls"] for row in facts(lab, "work", "5m")} == {19}
        lab.store.close()


def test_nothing_is_made_for_a_year_without_a_poll(lab: Lab) -> None:
    for number in range(50):
        lab.write("work", [work("a", number)], 15 * number - 300 * 86400)
    maintain(lab)
    for number in range(500):
        lab.write("work", [work("a", 50 + number)], 15 * number)
    done = maintain(lab)
    assert len([r for r in done.rolled if r.metric == "work"]) < 40
    [partitions] = lab.store.raw.execute(
        "SELECT count(*) FROM pg_inherits WHERE inhparent = 'monitoring.work_1m'::regclass"
    )
    assert partitions[0] < 8
    hold_to_the_finest(lab)


def test_what_a_replaced_metric_had_is_covered_once(lab: Lab, tmp_path: Path) -> None:
    for number in range(120):
        lab.write("work", [work("a", number)], 15 * number)
    maintain(lab)
    path = tmp_path / "work.sql"
    path.write_text(WORK.replace("done   counter  bigint ", "done   counter  integer"))
    lab.catalog.metrics["work"] = parse_metric([path])
    init(lab.store, lab.catalog, [], retention_of=forever)
    lab.writer.forget()
    for number in range(120, 500):
        lab.write("work", [work("a", number)], 15 * number)
    maintain(lab)
    assert lab.rows_of_coverage("work")["1h"][0][0] == 240
    hold_to_the_finest_coverage(lab)


def test_a_tier_that_the_file_left_out_gets_late_rows_too(lab: Lab, tmp_path: Path) -> None:
    for number in range(300):
        lab.write("work", [work("a", number)], 15 * number)
    maintain(lab)
    path = tmp_path / "work.sql"
    path.write_text(WORK.replace("-- missing", "-- tiers: raw 5m 1h\n-- missing"))
    lab.catalog.metrics["work"] = parse_metric([path])
    init(lab.store, lab.catalog, [], retention_of=forever)
    late = Lab(lab.database, lab.catalog, lab.folder / "late")
    late.target = "late"
    # Of the bucket of an hour that is not over yet, and of minutes that are.
    for number in range(250, 270):
        late.write("work", [work("z", 10 * number)], 15 * number)
    for number in range(300, 500):
        lab.write("work", [work("a", number)], 15 * number)
    maintain(lab)
    assert sum(r["done"] or 0 for r in facts(late, "work", "1h")) == 190
    assert sum(r["done"] or 0 for r in facts(late, "work", "5m")) == 190
    late.store.close()


def test_a_late_row_of_a_partition_that_is_being_detached_is_not_lost(lab: Lab) -> None:
    for number in range(40):
        lab.write("work", [work("a", number)], 15 * number)
    late = lab.another()
    target_ids(lab.store.raw, [late.target])  # as the agent does before it polls
    name = "monitoring.work_raw"
    with psycopg.connect(lab.database.dsn()) as reader:
        reader.execute(f"SELECT count(*) FROM {name}".encode())
        [(partition,)] = lab.store.raw.execute(
            "SELECT DISTINCT tableoid::regclass::text FROM monitoring.work_raw"
        ).fetchall()
        with lab.database.connect() as conn:
            conn.execute("SET statement_timeout = '300ms'")
            with pytest.raises(psycopg.errors.QueryCanceled):
                conn.execute(f"ALTER TABLE {name} DETACH PARTITION {partition} CONCURRENTLY".encode())
        with pytest.raises(StoreError):
            # What cannot be stored yet waits in the spool.
            late.write("work", [work("z", 1)], 30)
    late.write("work", [work("z", 1)], 30)
    late.write("work", [work("z", 8)], 45)
    assert [row["done"] for row in facts(late, "work", "raw")] == [None, 7]
    assert len(facts(lab, "work", "raw")) == 40
    late.store.close()
