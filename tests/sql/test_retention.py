"""What grew old goes a partition at a time, nothing goes before it was rolled up, and nobody waits for it."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import psycopg
import pytest

from sbpgmon.catalog.metrics import parse_metric
from sbpgmon.errors import SbpgmonError
from sbpgmon.store import maintenance, retention
from sbpgmon.store.connection import StoreConnection
from sbpgmon.store.maintenance import Maintenance
from sbpgmon.store.partitions import Partition, _new, partitions
from sbpgmon.store.upgrade import init
from tests.conftest import Server
from tests.sql.lab import Lab, at, scratch
from tests.sql.test_tiers import WORK, catalog_in, facts, maintain, watermarks, work

HOUR = 3600
AGES: dict[str, float | None] = {"raw": 2.0 * HOUR, "1m": 4.0 * HOUR, "5m": 12.0 * HOUR, "1h": 36.0 * HOUR, "1d": None}


def short(_metric: str) -> Mapping[str, float | None]:
    return AGES


@pytest.fixture(autouse=True)
def _in_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' hours pass between two passes."""
    monkeypatch.setattr(maintenance, "LONGEST_STEP_SECONDS", 10.0**9)


@pytest.fixture
def lab(cluster: Server, tmp_path: Path) -> Iterator[Lab]:
    with scratch(cluster) as database:
        lab = Lab(database, catalog_in(tmp_path / "queries"), tmp_path / "state")
        init(lab.store, lab.catalog, [], retention_of=short)
        yield lab
        lab.store.close()


def fill(lab: Lab, first_hour: float, last_hour: float, name: str = "a") -> None:
    """A snapshot every ten minutes."""
    for minute in range(int(first_hour * 60), int(last_hour * 60), 10):
        lab.write("work", [work(name, minute)], 60 * minute + 5)


def attached(lab: Lab, parent: str) -> list[Partition]:
    return [p for p in partitions(lab.store.raw, [parent]) if p.is_attached and not p.is_pending]


def oldest(lab: Lab, parent: str) -> datetime:
    """Start of the first partition that has rows or had room for them; the newest lie ahead."""
    return min(p.start for p in attached(lab, parent))


def tables(lab: Lab) -> set[str]:
    rows = lab.store.raw.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'monitoring'::regnamespace AND relkind = 'r'"
    )
    return {name for (name,) in rows}


def test_each_tier_is_kept_for_its_time(lab: Lab) -> None:
    fill(lab, 0, 20)
    done = maintain(lab)
    last = at(20 * HOUR - 595)
    for tier, hours in (("raw", 2), ("1m", 4), ("5m", 12)):
        kept = facts(lab, "work", tier)
        assert at(kept[0]["at"]) <= last - timedelta(hours=hours) + timedelta(minutes=10)
        assert oldest(lab, f"work_{tier}") >= last - timedelta(hours=hours + 4)
    assert len(facts(lab, "work", "1h")) == 19
    assert {p.parent for p in partitions(lab.store.raw)} == {
        p.parent for p in partitions(lab.store.raw) if p.is_attached
    }
    assert done.dropped
    assert not {name for name in tables(lab) if name in done.dropped}
    # The sum over what is left of the coarse tier is that of all readings.
    assert sum(r["done"] or 0 for r in facts(lab, "work", "1h")) == (19 * 60 - 10)
    assert len(attached(lab, "snapshot_log")) <= 8
    # Late rows beyond what is kept of the finest tier: in the coarse tiers; the next pass takes them from the finest.
    late = lab.another()
    fill(late, 1, 3)
    assert sum(r["done"] or 0 for r in facts(late, "work", "1h")) == 110
    maintain(lab)
    assert not facts(late, "work", "raw")
    assert sum(r["done"] or 0 for r in facts(late, "work", "1h")) == 110
    assert len(facts(late, "work", "1h")) == 2
    late.store.close()


def test_nothing_goes_before_it_was_rolled_up(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(lab, 0, 10)
    monkeypatch.setattr("sbpgmon.store.maintenance.roll_up", lambda *_: None)
    lab.store.raw.execute(
        "UPDATE monitoring.rollup SET watermark = %s WHERE tier = '1m' AND metric_id = "
        "(SELECT metric_id FROM monitoring.metric WHERE name = 'work')",
        (at(2.5 * HOUR),),
    )
    maintain(lab)
    assert oldest(lab, "work_raw") == at(2 * HOUR)
    assert facts(lab, "work", "raw")[0]["at"] == 2 * HOUR + 5
    monkeypatch.undo()
    maintain(lab)
    assert oldest(lab, "work_raw") >= at(7 * HOUR)
    assert watermarks(lab, "work")["1m"] == at(10 * HOUR - 600 - 60)


def test_a_metric_whose_file_is_gone_is_aged_like_the_others(lab: Lab) -> None:
    fill(lab, 0, 10)
    del lab.catalog.metrics["work"]
    for minute in range(600, 1200, 10):
        lab.write("slow", [("x", minute)], 60 * minute)
    maintain(lab)
    assert not facts(lab, "work", "raw")
    assert len(facts(lab, "work", "1h")) == 10


def test_a_partition_that_somebody_detached_is_attached_again(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    fill(lab, 0, 1.5)
    before = facts(lab, "work", "raw")
    live = attached(lab, "work_raw")
    for partition in live:
        lab.store.raw.execute(f"ALTER TABLE monitoring.work_raw DETACH PARTITION {partition.table}".encode())
    assert not facts(lab, "work", "raw")
    with caplog.at_level(logging.WARNING):
        # A poll does not fail for want of a partition: its own comes back at once, the others with the next pass.
        lab.write("work", [work("a", 100)], 1.6 * HOUR)
    assert "attached again" in caplog.text
    done = maintain(lab)
    assert done.repaired
    assert facts(lab, "work", "raw")[:-1] == before
    assert attached(lab, "work_raw") == live


def test_an_old_partition_that_somebody_detached_goes(lab: Lab) -> None:
    fill(lab, 0, 1)
    maintain(lab)
    [first] = [p for p in attached(lab, "work_raw") if p.start == at(0)]
    lab.store.raw.execute(f"ALTER TABLE monitoring.work_raw DETACH PARTITION {first.table}".encode())
    fill(lab, 1, 8)
    assert first.name in maintain(lab).dropped
    assert first.name not in tables(lab)


@pytest.mark.parametrize("is_old", [False, True])
def test_a_detach_that_was_interrupted_is_finished(lab: Lab, is_old: bool) -> None:
    fill(lab, 0, 1)
    maintain(lab)
    rows = len(facts(lab, "work", "raw"))
    [first] = [p for p in attached(lab, "work_raw") if p.start == at(0)]
    with psycopg.connect(lab.database.dsn()) as reader:
        reader.execute("SELECT count(*) FROM monitoring.work_raw")
        lab.store.raw.execute("SET statement_timeout = '300ms'")
        with pytest.raises(psycopg.errors.QueryCanceled):
            lab.store.raw.execute(
                f"ALTER TABLE monitoring.work_raw DETACH PARTITION {first.table} CONCURRENTLY".encode()
            )
        lab.store.raw.execute("RESET statement_timeout")
    assert [p.name for p in partitions(lab.store.raw, ["work_raw"]) if p.is_pending] == [first.name]
    if is_old:
        fill(lab, 1, 8)
        assert first.name in maintain(lab).dropped
    else:
        done = maintain(lab)
        assert done.repaired == [first.name]
        assert len(facts(lab, "work", "raw")) == rows


def test_neither_readers_nor_the_writer_wait_for_a_reader(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "WAIT_SECONDS", 2.0)
    fill(lab, 0, 10)
    finished = threading.Event()
    waits: list[object] = []
    with psycopg.connect(lab.database.dsn()) as reader:
        reader.execute("SELECT count(*) FROM monitoring.work_raw")

        def run() -> None:
            maintain(lab)
            finished.set()

        thread = threading.Thread(target=run)
        thread.start()
        other = Lab(lab.database, lab.catalog, lab.folder / "other")
        while not finished.wait(0.05):
            # Not the time that it takes, which the machine decides: that nobody is found waiting for a lock.
            other.write("work", [work("b", len(waits))], 10 * HOUR + len(waits))
            other.store.raw.execute("SELECT count(*) FROM monitoring.work WHERE tier = 'raw'")
            with lab.database.connect() as watch:
                waits.append(
                    watch.execute(
                        "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation' "
                        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                    ).fetchone()
                )
        thread.join()
        other.store.close()
    assert len(waits) > 3
    assert set(waits) == {(0,)}
    assert maintain(lab).dropped


def test_partitions_of_another_length_never_overlap(lab: Lab) -> None:
    fill(lab, 0, 2)
    longer = {tier: None if age is None else 10 * age for tier, age in AGES.items()}
    init(lab.store, lab.catalog, [], retention_of=lambda _: longer)
    fill(lab, 2, 12)
    bounds = sorted((p.start, p.end) for p in attached(lab, "work_raw"))
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(bounds))
    assert len({end - start for start, end in bounds}) > 1
    init(lab.store, lab.catalog, [], retention_of=short)
    fill(lab, 12, 14)
    assert len(facts(lab, "work", "raw")) == 14 * 6
    maintain(lab)
    assert sum(r["done"] or 0 for r in facts(lab, "work", "1h")) == 13 * 60 - 10


def test_series_go_when_their_last_row_has_gone(lab: Lab) -> None:
    fill(lab, -100, -99.5, "gone")
    lab.write("work", [work("kept", 1)], -99 * HOUR)
    lab.write("work", [work("kept", 1)], -99 * HOUR + 15)
    for hour in range(-98, -40):
        lab.write("work", [work("kept", 1), work("new", 200 + hour)], hour * HOUR)
    done = maintain(lab)
    names = {name for (name,) in lab.store.raw.execute("SELECT name FROM monitoring.work_series")}
    # What is still read stays, also where it has not moved for longer than anything is kept.
    assert names == {"kept", "new"}
    assert done.series == 1
    lab.write("work", [work("kept", 5), work("new", 200)], -39 * HOUR)
    assert {r["name"]: r["done"] for r in facts(lab, "work", "raw")[-2:]} == {"kept": 4, "new": 41}


def test_no_series_goes_while_last_counters_are_missing(lab: Lab) -> None:
    fill(lab, -100, -99.5, "gone")
    for hour in range(-98, -40):
        lab.write("work", [work("kept", 1)], hour * HOUR)
    lab.store.raw.execute("TRUNCATE monitoring.work_last, monitoring.last_state")  # as a crash does
    assert maintain(lab).series == 0
    names = {name for (name,) in lab.store.raw.execute("SELECT name FROM monitoring.work_series")}
    assert names == {"gone", "kept"}


def test_closed_partitions_get_the_index_that_finds_one_series(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_MIN_INDEXED_BYTES", 1)
    fill(lab, 0, 5)
    done = maintain(lab)
    assert done.indexed
    assert not [name for name in done.indexed if name.startswith(("work_1h", "work_1d"))]
    live = max(p.start for p in attached(lab, "work_raw") if facts(lab, "work", "raw") and p.start <= at(5 * HOUR))
    assert not [p.name for p in attached(lab, "work_raw") if p.name in done.indexed and p.start >= live]
    assert not maintain(lab).indexed


def test_two_agents_do_not_maintain_at_once(lab: Lab) -> None:
    fill(lab, 0, 1)
    assert Maintenance(lab.database.dsn(), "one").run_if_due() is not None
    assert Maintenance(lab.database.dsn(), "two").run() is None
    assert Maintenance(lab.database.dsn(), "one").run_if_due() is None
    lab.store.raw.execute("UPDATE monitoring.lease SET expires_at = now()")
    assert Maintenance(lab.database.dsn(), "two").run_if_due() is not None


def test_old_tables_of_a_metric_go_with_their_last_row(lab: Lab, tmp_path: Path) -> None:
    fill(lab, -100, -99)
    path = tmp_path / "work.sql"
    path.write_text(WORK.replace("done   counter  bigint ", "done   counter  integer"))
    lab.catalog.metrics["work"] = parse_metric([path])
    init(lab.store, lab.catalog, [], retention_of=short)
    lab.writer.forget()
    rows = lab.store.raw.execute("SELECT count(*), sum(done) FROM monitoring.work_v1 WHERE tier = '1h'").fetchone()
    assert rows == (1, 50)  # rolled up to its end before it was replaced
    fill(lab, -99, -90)
    maintain(lab)
    assert lab.store.raw.execute("SELECT count(*) FROM monitoring.work_v1 WHERE tier = 'raw'").fetchone() == (0,)
    assert lab.store.raw.execute("SELECT count(*) FROM monitoring.work_v1 WHERE tier = '1h'").fetchone() == (1,)
    for hour in range(-90, -40):
        lab.write("work", [work("a", 1000 + hour)], hour * HOUR)
    maintain(lab)
    assert not {name for name in tables(lab) if name.startswith("work_v1")}
    assert len(facts(lab, "work", "1h")) > 30


def test_a_clock_that_ran_ahead_for_a_minute_does_not_stop_maintenance(lab: Lab) -> None:
    fill(lab, 0, 1)
    assert Maintenance(lab.database.dsn(), "one").run_if_due() is not None
    lab.store.raw.execute("UPDATE monitoring.lease SET expires_at = now() + interval '1 year'")
    assert Maintenance(lab.database.dsn(), "two").run_if_due() is not None
    assert Maintenance(lab.database.dsn(), "one").run_if_due() is None


def test_old_tables_that_somebody_uses_stay_and_stop_nothing(lab: Lab, tmp_path: Path) -> None:
    fill(lab, -100, -99)
    path = tmp_path / "work.sql"
    path.write_text(WORK.replace("done   counter  bigint ", "done   counter  integer"))
    lab.catalog.metrics["work"] = parse_metric([path])
    init(lab.store, lab.catalog, [], retention_of=short)
    lab.writer.forget()
    lab.store.raw.execute("CREATE VIEW public.mine AS SELECT * FROM monitoring.work_v1")
    for hour in range(-99, -40):
        lab.write("work", [work("a", 1000 + hour)], hour * HOUR)
    maintain(lab)
    lab.store.raw.execute("DROP VIEW public.mine")
    with psycopg.connect(lab.database.dsn()) as reader:
        reader.execute("SELECT count(*) FROM monitoring.work_v1")
        maintain(lab)
    assert {name for name in tables(lab) if name.startswith("work_v1")}
    maintain(lab)
    assert not {name for name in tables(lab) if name.startswith("work_v1")}


def test_a_metric_that_cannot_be_rolled_up_stops_no_other_and_keeps_its_rows(lab: Lab) -> None:
    for number in range(6):
        # Their sum is too much for a bigint.
        lab.write("work", [("a", 9 * 10**18 if number % 2 else 1, 0.0, 0, 1, "x")], 600 * number)
    for minute in range(1200):
        lab.write("slow", [("x", minute)], 60 * minute)
    done = maintain(lab)
    assert "work cannot be rolled up into 1h" in str(done.failures[0])
    assert len(facts(lab, "work", "5m")) == 6
    assert len(facts(lab, "slow", "1h")) == 19
    assert facts(lab, "slow", "1m")[0]["at"] > 10 * HOUR


def test_a_pass_that_waits_for_somebody_ends_when_it_is_told(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_MIN_INDEXED_BYTES", 1)
    fill(lab, 0, 5)
    stopping = threading.Event()
    maintenance = Maintenance(lab.database.dsn(), "lab", is_stopping=stopping.is_set)
    with psycopg.connect(lab.database.dsn()) as reader, lab.database.connect() as watch:
        # Of another table: an index waits for it all the same.
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM pg_class")
        thread = threading.Thread(target=maintenance.run)
        thread.start()
        waiting = "SELECT FROM pg_locks WHERE NOT granted AND locktype = 'virtualxid'"
        until = time.monotonic() + 30
        while not watch.execute(waiting).rowcount and time.monotonic() < until:
            time.sleep(0.1)
        stopping.set()
        maintenance.cancel()
        thread.join(timeout=5)
        assert not thread.is_alive()
    lab.store.raw.execute("DELETE FROM monitoring.lease")
    assert maintain(lab).indexed
    assert lab.store.raw.execute("SELECT FROM pg_index WHERE NOT indisvalid").rowcount == 0


def test_init_waits_for_who_makes_partitions(lab: Lab) -> None:
    failed: list[Exception] = []

    def run() -> None:
        store = StoreConnection(lab.database.dsn())
        try:
            init(store, lab.catalog, [], retention_of=lambda _: AGES | {"1d": 100.0 * 24 * HOUR})
        except SbpgmonError as error:
            failed.append(error)
        store.close()

    with psycopg.connect(lab.database.dsn()) as roll_up:
        roll_up.execute("LOCK TABLE monitoring.rollup IN EXCLUSIVE MODE")
        thread = threading.Thread(target=run)
        thread.start()
        with lab.database.connect() as watch:
            until = time.monotonic() + 30
            while not watch.execute("SELECT FROM pg_locks WHERE NOT granted").rowcount and time.monotonic() < until:
                time.sleep(0.1)
        roll_up.execute("SET LOCAL lock_timeout = '5s'")
        roll_up.execute("LOCK TABLE monitoring.control IN SHARE ROW EXCLUSIVE MODE")
    thread.join()
    assert not failed


def test_partitions_are_named_by_utc() -> None:
    # As they are read in a session of New York.
    zone = timezone(timedelta(hours=-5))
    days = [datetime(2026, 11, day, tzinfo=UTC).astimezone(zone) for day in (22, 23, 24)]
    there = [Partition(f"x_p202611{22 + i}", "x", *pair) for i, pair in enumerate(itertools.pairwise(days))]
    new = _new(there, "x", 360 * 86400.0, datetime(2026, 11, 24, 12, tzinfo=UTC))
    assert (new.name, new.start) == ("x_p20261124", datetime(2026, 11, 24, tzinfo=UTC))


def test_a_partition_of_the_first_release_that_somebody_detached_comes_back(lab: Lab) -> None:
    """Its comment has no upper bound: it was a day long."""
    ages = dict.fromkeys(AGES, 3 * 86400.0)
    init(lab.store, lab.catalog, [], retention_of=lambda _: ages)
    fill(lab, 24, 26)
    [first] = [p for p in attached(lab, "work_raw") if p.start <= at(24 * HOUR) < p.end]
    assert (first.end - first.start).days == 1
    comment = f"COMMENT ON TABLE {first.table} IS 'Partition of work_raw from {first.start:%Y-%m-%d}'"
    lab.store.raw.execute(comment.encode())
    lab.store.raw.execute(f"ALTER TABLE monitoring.work_raw DETACH PARTITION {first.table}".encode())
    lab.store.raw.execute("SET TimeZone = 'America/New_York'")
    assert [p for p in partitions(lab.store.raw, ["work_raw"]) if not p.is_attached] == [
        Partition(first.name, "work_raw", first.start, first.end, is_attached=False)
    ]
    fill(lab, 26, 27)
    assert len(facts(lab, "work", "raw")) == 18


def test_a_detached_partition_of_replaced_tables_is_not_taken_for_the_new_ones(lab: Lab, tmp_path: Path) -> None:
    fill(lab, 0, 1)
    path = tmp_path / "work.sql"
    path.write_text(WORK.replace("done   counter  bigint ", "done   counter  integer"))
    lab.catalog.metrics["work"] = parse_metric([path])
    init(lab.store, lab.catalog, [], retention_of=short)
    lab.writer.forget()
    [old] = [p for p in attached(lab, "work_v1_raw") if p.start <= at(0) < p.end]
    lab.store.raw.execute(f"ALTER TABLE monitoring.work_v1_raw DETACH PARTITION {old.table}".encode())
    fill(lab, 1, 1.5)
    maintain(lab)
    assert old in attached(lab, "work_v1_raw")


def test_a_server_that_writes_times_another_way(cluster: Server, tmp_path: Path) -> None:
    with scratch(cluster) as database:
        with database.connect() as connection:
            connection.execute(f"ALTER DATABASE {database.name} SET datestyle = 'German'".encode())
        lab = Lab(database, catalog_in(tmp_path / "queries"), tmp_path / "state")
        init(lab.store, lab.catalog, [], retention_of=short)
        fill(lab, 0, 10)
        assert maintain(lab).dropped
        assert facts(lab, "work", "1h")
        lab.store.close()


def test_what_autovacuum_leaves_out_is_analysed(lab: Lab) -> None:
    query = "SELECT bool_and(reltuples > 0) FROM pg_class WHERE relname IN ('metric', 'target') AND relkind = 'r'"
    fill(lab, 0, 0.5)
    maintain(lab)
    assert lab.store.raw.execute(query).fetchone() == (True,)


def test_a_clock_that_runs_ahead_for_a_while_takes_an_hour_at_most(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    fill(lab, -20, -10)
    maintain(lab)
    before = {tier: len(facts(lab, "work", tier)) for tier in AGES}
    ahead = lab.another()
    ahead.write("work", [work("a", 1)], 24 * HOUR)  # the agent's and the target's clock, and the store's
    maintain(lab)
    after = {tier: len(facts(lab, "work", tier)) for tier in AGES}
    assert before["raw"] - after["raw"] <= 6
    assert after["5m"] == before["5m"] or before["5m"] - after["5m"] <= 24
    assert after["1h"] >= before["1h"]
    ahead.store.close()
