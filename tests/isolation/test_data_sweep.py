"""Sweeps in windows of pages: clean after a full cycle, and not before; tables that change while they are swept."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from sbpgmon.collect.data import list_things, run_data_check
from sbpgmon.collect.isolation import Task, look
from sbpgmon.collect.sweep import SweepState
from sbpgmon.collect.tenancy import know
from sbpgmon.findings import CheckRun, Outcome
from sbpgmon.sources.probe import probe
from sbpgmon.sources.session import Session
from tests.isolation.test_data_rows import CHECKS, PLAIN, grants
from tests.isolation.world import CATALOG, World

SMALL: dict[str, Any] = {"model": ["column"], "data": {"enabled": True, "window_blocks": 16}}
# Seven rows a page.
NOTES = """
CREATE TABLE app.notes (id int, tenant_id uuid, filler char(1000)) WITH (autovacuum_enabled = off);
INSERT INTO app.notes SELECT g, '{acme}', '' FROM generate_series(1, 1400) AS g;
"""
BAD = "INSERT INTO app.notes VALUES (0, NULL, '')"
KEY = "tenant_key_null:app.notes"


class Sweeper:
    """Runs one check of data again and again, and keeps its state as the store does: as JSON."""

    def __init__(self, world: World, changes: dict[str, Any] = SMALL, check: str = "tenant_key_null") -> None:
        self.world = world
        self.changes = changes
        self.check = check
        self.state: dict[str, Any] = {}
        self.shares: list[float] = []
        world.run(grants(world, changes))

    def run(self, seconds: float | None = 0.0, then: Callable[[], None] = lambda: None) -> CheckRun:
        """At least one window, and no more in no time; `then` is done after each."""

        def progress(share: float) -> None:
            self.shares.append(share)
            then()

        tenancy = self.world.tenancy(self.changes)
        with Session(self.world.target, 5.0) as session:
            server = probe(session)
            known = know(session, server, tenancy)
            check = CATALOG.checks[self.check]
            run = run_data_check(
                session, server, CATALOG, check, known, tenancy.data, self.state, seconds=seconds, progress=progress
            )
        self.state = json.loads(json.dumps(run.sweep))
        return run

    def of(self, key: str = KEY) -> SweepState:
        return SweepState.from_json(self.state[key])

    def until_the_end(self) -> CheckRun:
        """Window by window until the running cycle is over."""
        run = self.run()
        while self.of().cycle_started_at is not None:
            run = self.run()
        return run


def _pages(world: World, table: str = "app.notes") -> int:
    with world.database.connect() as admin:
        row = admin.execute(f"SELECT pg_relation_size('{table}') / 8192".encode()).fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def notes(pool: World) -> World:
    pool.run(NOTES)
    assert _pages(pool) == 200
    return pool


def test_a_bad_row_in_the_last_page_is_found_there_and_nothing_is_clean_before(notes: World) -> None:
    notes.run(BAD)
    sweeper = Sweeper(notes)
    for window in range(1, 13):
        run = sweeper.run()
        assert run.outcome is Outcome.UNKNOWN
        assert sweeper.of().next_block == 16 * window
        assert sweeper.of().cycle_finished_at is None
        assert f"{16 * window / _pages(notes):.0%} of app.notes is swept" in run.findings[0].detail
    run = sweeper.run()
    assert run.outcome is Outcome.FAIL
    assert run.findings[0].key == KEY
    assert "1 row, for example ctid (200,1)." in run.findings[0].detail
    assert sweeper.of().cycle_finished_at is not None
    assert sweeper.of().coverage_ratio == 1.0
    assert sweeper.shares[-1] == 1.0


def test_a_clean_table_is_unknown_until_all_of_it_is_swept(notes: World) -> None:
    sweeper = Sweeper(notes)
    outcomes = [sweeper.run().outcome for _ in range(13)]
    assert outcomes == [Outcome.UNKNOWN] * 12 + [Outcome.PASS]
    # The next cycle has begun; the last one still says that all is clean.
    assert sweeper.run().outcome is Outcome.PASS
    assert sweeper.of().cycle_started_at is not None


def test_a_finding_stays_until_a_full_cycle_is_clean(notes: World) -> None:
    notes.run("DELETE FROM app.notes WHERE id < 8")
    notes.run("VACUUM app.notes")
    notes.run(BAD)
    sweeper = Sweeper(notes)
    run = sweeper.run()
    assert "1 row in the 8% that is swept, for example ctid (0,1)." in run.findings[0].detail
    notes.run("DELETE FROM app.notes WHERE tenant_id IS NULL")
    first = sweeper.until_the_end()
    assert first.outcome is Outcome.FAIL
    second = [sweeper.run().outcome]
    while sweeper.of().cycle_started_at is not None:
        second.append(sweeper.run().outcome)
    assert second[:-1] == [Outcome.FAIL] * (len(second) - 1)
    assert second[-1] is Outcome.PASS


def test_all_of_it_at_once(notes: World) -> None:
    notes.run(BAD)
    sweeper = Sweeper(notes)
    assert sweeper.run(None).outcome is Outcome.FAIL
    assert sweeper.shares == sorted(sweeper.shares)
    assert len(sweeper.shares) == 13
    assert sweeper.shares[-1] == 1.0


def test_a_table_that_fits_a_window_is_read_whole(notes: World) -> None:
    sweeper = Sweeper(notes, {**SMALL, "data": {"enabled": True}})
    assert sweeper.run().outcome is Outcome.PASS
    assert sweeper.shares == [1.0]


# Tables that change


def test_rows_that_are_added_behind_are_swept_in_the_same_cycle(notes: World) -> None:
    sweeper = Sweeper(notes)
    sweeper.run()
    notes.run("INSERT INTO app.notes SELECT g, '{acme}', '' FROM generate_series(1, 700) AS g; " + BAD)
    assert sweeper.until_the_end().outcome is Outcome.FAIL


def test_a_table_that_shrinks_is_swept_to_its_new_end(notes: World) -> None:
    sweeper = Sweeper(notes)
    for _ in range(6):
        sweeper.run()
    notes.run("DELETE FROM app.notes WHERE id > 70")
    notes.run("VACUUM app.notes")
    assert _pages(notes) == 10
    assert sweeper.run().outcome is Outcome.PASS
    assert sweeper.of().cycle_started_at is None


def test_a_table_that_is_emptied_is_swept_anew(notes: World) -> None:
    sweeper = Sweeper(notes)
    sweeper.run()
    notes.run("TRUNCATE app.notes; " + BAD)
    run = sweeper.run()
    assert run.outcome is Outcome.FAIL
    assert "ctid (0,1)" in run.findings[0].detail


def test_rows_that_move_because_the_table_is_written_anew_are_not_missed(notes: World) -> None:
    notes.run(BAD)
    sweeper = Sweeper(notes)
    for _ in range(6):
        sweeper.run()
    notes.run("DELETE FROM app.notes WHERE id > 70")
    notes.run("VACUUM FULL app.notes")
    assert sweeper.run().outcome is Outcome.FAIL


def test_what_was_found_before_a_table_was_written_anew_stays_until_the_next_full_cycle(notes: World) -> None:
    notes.run("DELETE FROM app.notes WHERE id < 8")
    notes.run("VACUUM app.notes")
    notes.run(BAD)
    sweeper = Sweeper(notes)
    assert sweeper.run().outcome is Outcome.FAIL
    notes.run("UPDATE app.notes SET tenant_id = '{acme}' WHERE tenant_id IS NULL")
    notes.run("VACUUM FULL app.notes")
    assert sweeper.run().outcome is Outcome.FAIL
    assert sweeper.until_the_end().outcome is Outcome.PASS


def test_a_table_that_is_dropped_between_two_runs_is_no_finding(notes: World) -> None:
    notes.run("CREATE TABLE app.other (tenant_id uuid)")
    sweeper = Sweeper(notes)
    sweeper.run()
    notes.run("DROP TABLE app.notes")
    assert sweeper.run(None).outcome is Outcome.PASS
    assert set(sweeper.state) == {"tenant_key_null:app.other"}


def test_a_table_that_is_dropped_while_it_is_swept_is_no_finding_and_the_others_go_on(notes: World) -> None:
    notes.run("CREATE TABLE app.other (tenant_id uuid); INSERT INTO app.other VALUES (NULL)")
    sweeper = Sweeper(notes)
    run = sweeper.run(None, then=lambda: notes.run("DROP TABLE IF EXISTS app.notes"))
    assert [(f.object, f.outcome) for f in run.findings] == [("app.other", Outcome.FAIL)]
    assert run.is_complete


def test_a_column_that_was_renamed_while_it_was_swept_is_swept_anew(notes: World) -> None:
    notes.run("ALTER TABLE app.notes RENAME tenant_id TO org_id; " + BAD)
    changes = {**SMALL, "key": {"columns": ["tenant_id", "org_id"]}}
    sweeper = Sweeper(notes, changes)
    for _ in range(6):
        sweeper.run()
    notes.run("ALTER TABLE app.notes RENAME org_id TO tenant_id")
    sweeper.run()
    assert sweeper.of().next_block == 16
    assert sweeper.until_the_end().outcome is Outcome.FAIL


def test_a_table_that_is_locked_is_swept_the_next_time(notes: World) -> None:
    notes.run("CREATE TABLE app.other (tenant_id uuid)")
    sweeper = Sweeper(notes)
    with notes.database.connect() as other, other.transaction():
        other.execute("LOCK TABLE app.other IN ACCESS EXCLUSIVE MODE")
        run = sweeper.run(None)
        assert [(f.object, f.outcome) for f in run.findings] == [("app.other", Outcome.UNKNOWN)]
        assert "55P03" in run.findings[0].detail
    assert sweeper.run(None).outcome is Outcome.PASS
    with notes.database.connect() as other, other.transaction():
        other.execute("LOCK TABLE app.other IN ACCESS EXCLUSIVE MODE")
        # The last full cycle was clean; a table that is locked for a moment does not change that.
        assert sweeper.run(None).outcome is Outcome.PASS


# Partitions

PARTS = """
CREATE TABLE app.moves (id int, tenant_id uuid, filler char(1000)) PARTITION BY RANGE (id);
CREATE TABLE app.moves_1 PARTITION OF app.moves FOR VALUES FROM (0) TO (1000);
CREATE TABLE app.moves_2 PARTITION OF app.moves FOR VALUES FROM (1000) TO (2000) PARTITION BY RANGE (id);
CREATE TABLE app.moves_2a PARTITION OF app.moves_2 FOR VALUES FROM (1000) TO (1500);
CREATE TABLE app.moves_2b PARTITION OF app.moves_2 FOR VALUES FROM (1500) TO (2000);
INSERT INTO app.moves SELECT g, '{acme}', '' FROM generate_series(1, 1999) AS g;
"""


@pytest.mark.parametrize("number", [999, 1400, 1999])
def test_partitions_are_swept_through_their_root(pool: World, number: int) -> None:
    pool.run(PARTS + f"UPDATE app.moves SET tenant_id = NULL WHERE id = {number}")
    sweeper = Sweeper(pool)
    runs = [sweeper.run()]
    while sweeper.of("tenant_key_null:app.moves").cycle_started_at is not None:
        runs.append(sweeper.run())
    # Five pages of each of three partitions at a time, up to the end of the largest.
    assert len(runs) == -(-_pages(pool, "app.moves_1") // 5)
    assert {run.outcome for run in runs} == {Outcome.UNKNOWN, Outcome.FAIL}
    [finding] = runs[-1].findings
    assert (finding.object, finding.outcome) == ("app.moves", Outcome.FAIL)


def test_a_partition_that_is_added_or_dropped_does_not_begin_a_cycle_anew(pool: World) -> None:
    pool.run(PARTS)
    sweeper = Sweeper(pool)
    for _ in range(3):
        sweeper.run()
    pool.run(
        "DROP TABLE app.moves_2b; CREATE TABLE app.moves_3 PARTITION OF app.moves FOR VALUES FROM (2000) TO (3000)"
    )
    sweeper.run()
    assert sweeper.of("tenant_key_null:app.moves").next_block == 20


def test_a_partitioned_table_without_partitions_is_clean(pool: World) -> None:
    pool.run("CREATE TABLE app.moves (id int, tenant_id uuid) PARTITION BY RANGE (id)")
    assert Sweeper(pool).run(None).outcome is Outcome.PASS


# Limits


def test_windows_that_cost_too_much_are_halved(notes: World) -> None:
    notes.run(BAD)
    changes = {**SMALL, "data": {"enabled": True, "window_blocks": 128, "max_cost": 100}}
    sweeper = Sweeper(notes, changes)
    notes.run("ANALYZE app.notes")
    sweeper.run()
    assert 16 <= sweeper.of().window_blocks < 128
    assert sweeper.run(None).outcome is Outcome.FAIL


def test_what_costs_too_much_in_the_smallest_window_is_unknown(notes: World) -> None:
    changes = {**SMALL, "data": {"enabled": True, "window_blocks": 128, "max_cost": 0.1}}
    run = Sweeper(notes, changes).run(None)
    assert run.outcome is Outcome.UNKNOWN
    assert "16 pages cost" in run.findings[0].detail
    assert "max_cost" in run.findings[0].remedy


def test_what_takes_too_long_is_unknown_and_halves_the_window(notes: World) -> None:
    notes.run("CREATE VIEW app.listed AS SELECT id FROM app.tenants WHERE pg_sleep(2) IS NOT NULL")
    changes = {
        **SMALL,
        "data": {"enabled": True, "window_blocks": 32, "timeout": 0.1},
        "key": {"columns": ["tenant_id"], "tenants_table": "app.listed"},
        "shared": {"tables": ["app.users", "app.accounts", "app.bets", "app.payouts", "app.audit_log"]},
    }
    run = Sweeper(notes, changes, "orphan_tenant").run(None)
    assert [f.outcome for f in run.findings] == [Outcome.UNKNOWN]
    assert "16 pages take longer than 0.1 s" in run.findings[0].detail


def test_a_big_table_does_not_hold_up_the_others(notes: World) -> None:
    notes.run("CREATE TABLE app.other (tenant_id uuid); INSERT INTO app.other VALUES (NULL)")
    sweeper = Sweeper(notes)
    for _ in range(2):
        run = sweeper.run()
    assert {f.object: f.outcome for f in run.findings} == {"app.notes": Outcome.UNKNOWN, "app.other": Outcome.FAIL}


# What the reader may see


@pytest.fixture
def rows_of_two(pool: World) -> World:
    """Every check of data has something to sweep, and it is clean."""
    pool.run(
        PLAIN + "ALTER TABLE app.legs ALTER tenant_id DROP NOT NULL, DROP CONSTRAINT legs_tenant_id_fkey; "
        "CREATE TABLE app.tags (slip_id bigint REFERENCES app.slips, leg_id bigint REFERENCES app.legs); "
        "INSERT INTO app.tags VALUES (1, 1), (2, 2)"
    )
    return pool


def _problems(world: World, changes: dict[str, Any]) -> dict[str, list[tuple[str, str]]]:
    runs = world.check(CHECKS, changes)
    assert all(f.outcome is Outcome.UNKNOWN for run in runs.values() for f in run.findings)
    return {name: [(f.object, f.remedy) for f in run.findings] for name, run in runs.items()}


def test_without_grants_all_is_unknown_and_each_says_which_grants(rows_of_two: World) -> None:
    problems = _problems(rows_of_two, SMALL)
    assert {name: [item for item, _ in found] for name, found in problems.items()} == {
        "fk_tenant_mismatch": ["app.legs"],
        "indirect_tenant_mismatch": ["app.tags"],
        "orphan_tenant": ["app.legs"],
        "tenant_key_null": ["app.legs"],
    }
    for found in problems.values():
        for _, remedy in found:
            rows_of_two.run(remedy)
    assert not any(_problems(rows_of_two, SMALL).values())


def test_a_column_that_is_not_granted_is_named(rows_of_two: World) -> None:
    rows_of_two.run(grants(rows_of_two, SMALL) + "REVOKE SELECT (slip_id) ON app.legs FROM {reader}")
    [(table, remedy)] = _problems(rows_of_two, SMALL)["fk_tenant_mismatch"]
    assert (table, remedy) == (
        "app.legs",
        rows_of_two.text("GRANT SELECT (slip_id) ON app.legs TO {reader};"),
    )


def test_a_reader_that_row_level_security_filters_knows_nothing(rows_of_two: World) -> None:
    rows_of_two.run(
        "UPDATE app.legs SET slip_id = 2 WHERE id = 1; ALTER TABLE app.slips ENABLE ROW LEVEL SECURITY; "
        "CREATE POLICY own ON app.slips TO {app} USING (true)"
    )
    rows_of_two.run(grants(rows_of_two, SMALL) + "ALTER ROLE {reader} NOBYPASSRLS")
    [(_, remedy)] = _problems(rows_of_two, SMALL)["fk_tenant_mismatch"]
    assert remedy == rows_of_two.text("ALTER ROLE {reader} BYPASSRLS;")
    # Where that cannot be had: a policy for the reader alone ...
    rows_of_two.run("CREATE POLICY reader ON app.slips FOR SELECT TO {reader} USING (true)")
    assert [f.outcome for f in rows_of_two.findings("fk_tenant_mismatch", SMALL)] == [Outcome.FAIL]
    # ... that no restrictive one takes back.
    rows_of_two.run("CREATE POLICY never ON app.slips AS RESTRICTIVE USING (false)")
    assert _problems(rows_of_two, SMALL)["fk_tenant_mismatch"]


def test_bad_rows_that_cannot_be_seen_any_more_stay_bad(notes: World) -> None:
    notes.run(BAD)
    sweeper = Sweeper(notes)
    sweeper.run(None)
    notes.run("REVOKE SELECT (tenant_id) ON app.notes FROM {reader}")
    run = sweeper.run(None)
    assert run.outcome is Outcome.FAIL
    assert "Now they are not seen" in run.findings[0].detail


def test_what_a_foreign_key_proves_is_not_read(pool: World) -> None:
    # The reader may read nothing, and nothing is unknown.
    assert pool.findings("fk_tenant_mismatch", SMALL) == []
    assert pool.findings("tenant_key_null", SMALL) == []
    tenancy = pool.tenancy(SMALL)
    with Session(pool.target, 5.0) as session:
        server = probe(session)
        known = know(session, server, tenancy)
        for name in CHECKS:
            assert list_things(session, server, CATALOG, CATALOG.checks[name], known) == ([], [])


# As the whole look has it


@pytest.mark.parametrize("is_enabled", [True, False])
def test_a_look_runs_them_where_they_are_switched_on(notes: World, is_enabled: bool) -> None:
    changes = {**SMALL, "data": {"enabled": is_enabled, "window_blocks": 16}}
    notes.run(grants(notes, changes))
    said: list[str] = []
    with Session(notes.target, 5.0) as session:
        chosen = {name: CATALOG.checks[name] for name in CHECKS}
        reading = look(session, probe(session), CATALOG, Task(notes.tenancy(changes), chosen), said.append)
    runs = {run.check: run for run in reading.runs}
    assert set(CHECKS) & set(runs) == (set(CHECKS) if is_enabled else set())
    assert reading.figures == ({} if is_enabled else {"data_checks_off": 4})
    if is_enabled:
        assert "tenant_key_null 100%" in said
        assert runs["tenant_key_null"].sweep is not None
        assert all(run.outcome is Outcome.PASS for run in runs.values())


def test_a_connection_that_ends_keeps_what_was_swept(notes: World) -> None:
    sweeper = Sweeper(notes)

    def end() -> None:
        with notes.database.connect() as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (notes.names["reader"],)
            )

    run = sweeper.run(None, then=end)
    assert run.outcome is Outcome.UNKNOWN
    assert not run.is_complete
    assert sweeper.of().next_block == 16


def test_no_window_writes(notes: World) -> None:
    notes.run(grants(notes, SMALL))
    with notes.database.connect(notes.names["reader"]) as reader, pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute("UPDATE app.notes SET tenant_id = NULL")
