"""What carries findings from a target into the store: nothing of it is lost, doubled, or holds up the rest."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from sbpgmon.demo.server import Cluster
from sbpgmon.errors import StoreError
from sbpgmon.findings import CheckRun, Finding, IsolationReading, Outcome
from sbpgmon.store import lease
from sbpgmon.store.connection import StoreConnection
from sbpgmon.store.findings import write_isolation
from sbpgmon.store.spool import load
from tests.integration.support import CHECKS, METRICS, OWNER, TARGET, Site
from tests.isolation.world import World

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OPEN = "SELECT check_name, status FROM monitoring.finding WHERE is_open ORDER BY 1, key"
# What it says is the server's and not the database's.
OFF: dict[str, Any] = {"server_rls_cve": {"enabled": False}}
TWICE = (
    "-- Things, and none of them has a name of its own.\n--\n-- model: all\n-- severity: P2\n"
    "select 'thing' as object, 'Thing ' || n || '.' as detail, 'Mend it.' as remedy from generate_series(1, 3) as n\n"
)


@pytest.fixture
def tenanted(monitored: Site, make_world: Callable[[str], World]) -> tuple[Site, World]:
    """A store, and a target of many tenants."""
    world = make_world("pool")
    monitored.targets = {TARGET: world.target.dsn}
    _configure(monitored, world)
    return monitored, world


def _configure(
    site: Site, world: World, checks: dict[str, Any] | None = None, more: dict[str, Any] | None = None, **tenancy: Any
) -> None:
    names = [*CHECKS, *(checks or {})]
    site.configure(
        metrics={name: {"enabled": name == "server"} for name in METRICS},
        checks={name: {"interval": "100ms"} for name in names} | OFF | (checks or {}),
        tenancy=world.tenancy(tenancy).model_dump(mode="json", exclude_none=True),
        **(more or {}),
    )


@pytest.fixture
def store(monitored: Site) -> Iterator[psycopg.Connection[Any]]:
    """A transaction of the store, for findings that come from nowhere."""
    with contextlib.closing(StoreConnection(monitored.database.dsn(OWNER))) as own, own.transaction() as conn:
        assert lease.target_ids(conn, [TARGET]) == {TARGET: 1}
        yield conn


def _finding(name: str, outcome: Outcome = Outcome.FAIL, **changes: Any) -> Finding:
    values = {"severity": "P1", "object": name, "role": "", "detail": "A tenant could.", "remedy": "Mend it."}
    return Finding("things", outcome, **(values | changes))


def _reading(*findings: Finding, after: float = 0, is_complete: bool = True, **more: Any) -> IsolationReading:
    run = CheckRun("things", findings, is_complete=is_complete)
    return IsolationReading(TARGET, NOW + timedelta(seconds=after), (run,), **more)


def _open(store: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    return store.execute(
        "SELECT object, status FROM monitoring.finding_log WHERE closed_at IS NULL ORDER BY 1"
    ).fetchall()


# One key, one finding


def test_rows_of_one_key_are_one_finding(tenanted: tuple[Site, World]) -> None:
    site, world = tenanted
    site.add_file("checks/things.sql", TWICE)
    _configure(site, world, {"things": {"interval": "100ms"}}, {"queries_dir": "queries"})
    site.polled()
    site.polled()
    rows = site.ask("SELECT key, detail, seen FROM monitoring.finding WHERE check_name = 'things'")
    assert rows == [("things:thing", "Thing 1. (One of 3 that have the same object, role and part.)", 2)]
    found = json.loads(site.run("tenants", "check", "--check", "things", "--format", "json", check=3).stdout)
    assert [row["key"] for row in found["findings"]] == ["things:thing"]


def test_of_findings_of_one_key_the_worst_counts() -> None:
    run = CheckRun(
        "things",
        (_finding("a", Outcome.UNKNOWN, severity="P0"), _finding("a", severity="P2"), _finding("a"), _finding("b")),
    )
    assert [(f.object, f.outcome, f.severity) for f in run.findings] == [
        ("a", Outcome.FAIL, "P1"),
        ("b", Outcome.FAIL, "P1"),
    ]
    assert CheckRun("things", run.findings).findings == run.findings


def test_two_allowances_that_ended(tenanted: tuple[Site, World]) -> None:
    site, world = tenanted
    ended = {"check": "cross_tenant_queries", "reason": "a report", "expires": "2026-01-01"}
    _configure(site, world, allow=[ended, {**ended, "queryid": 7}, {**ended, "tag": "report"}])
    site.polled()
    rows = site.ask("SELECT key FROM monitoring.finding WHERE check_name = 'allowance_expired' ORDER BY 1")
    ends = ("cross_tenant_queries", "cross_tenant_queries 7", "cross_tenant_queries report")
    assert [key for (key,) in rows] == [f"allowance_expired:cross_tenant_queries::{end}" for end in ends]
    assert "holds no longer" in site.run("tenants", "explain", "allowance_expired").stdout


def test_what_the_store_does_not_take_holds_up_nothing_else(tenanted: tuple[Site, World]) -> None:
    site, world = tenanted
    # JSON in a database cannot hold this character.
    _configure(site, world, allow=[{"check": "x", "reason": "a\x00b", "expires": "2026-01-01"}])
    outcome = site.polled()
    assert outcome.spooled == 0
    assert site.spooled == []
    assert site.value("SELECT count(*) FROM monitoring.snapshot WHERE metric = 'server' AND status = 'ok'") == 1


# Fail, unknown, closed


def test_what_an_incomplete_run_did_not_see_still_fails(store: psycopg.Connection[Any]) -> None:
    write_isolation(store, 1, _reading(_finding("a"), _finding("b", allowed="fine")))
    write_isolation(store, 1, _reading(_finding("", Outcome.UNKNOWN), after=1, is_complete=False))
    state = "SELECT status, fails, unknowns, allowed FROM monitoring.check_state"
    assert store.execute(state).fetchall() == [("fail", 1, 1, 1)]
    write_isolation(store, 1, _reading(after=2))
    assert store.execute(state).fetchall() == [("pass", 0, 0, 0)]


def test_a_clock_that_was_set_back(store: psycopg.Connection[Any]) -> None:
    write_isolation(store, 1, _reading(_finding("a")))
    lines = write_isolation(store, 1, _reading(_finding("b"), after=-3600))
    assert _open(store) == [("b", "fail")]
    assert len(lines) == 2
    times = store.execute("SELECT bool_and(closed_at >= opened_at) FROM monitoring.finding_log WHERE object = 'a'")
    assert times.fetchall() == [(True,)]


def test_an_old_reading_out_of_the_spool(store: psycopg.Connection[Any]) -> None:
    write_isolation(store, 1, _reading(_finding("a"), after=10))
    assert write_isolation(store, 1, _reading(_finding("b")), is_replay=True) == []
    assert write_isolation(store, 1, _reading(_finding("b"), after=10), is_replay=True) == []
    assert _open(store) == [("a", "fail")]
    write_isolation(store, 1, _reading(_finding("b"), after=20), is_replay=True)
    assert _open(store) == [("b", "fail")]


def test_a_check_that_is_switched_off(tenanted: tuple[Site, World]) -> None:
    site, world = tenanted
    world.run("ALTER TABLE app.bets DISABLE ROW LEVEL SECURITY")
    site.polled()
    assert site.ask(OPEN) == [("rls_disabled", "fail")]
    _configure(site, world, {"rls_disabled": {"enabled": False}})
    site.polled()
    assert site.ask(OPEN) == []
    assert site.ask("SELECT closed_because FROM monitoring.finding") == [("not looked for any more",)]
    assert site.ask("SELECT FROM monitoring.isolation_check WHERE check_name = 'rls_disabled'") == []


def test_where_no_tenancy_is_found_any_more(tenanted: tuple[Site, World]) -> None:
    site, world = tenanted
    world.run("ALTER TABLE app.bets DISABLE ROW LEVEL SECURITY")
    site.polled()
    site.configure(
        metrics={name: {"enabled": name == "server"} for name in METRICS},
        checks={name: {"interval": "100ms"} for name in CHECKS},
        tenancy={"model": ["auto"]},
    )
    world.run("DROP SCHEMA app CASCADE")
    site.polled()
    assert site.ask(OPEN) == []
    assert site.ask("SELECT * FROM monitoring.isolation") == []


def test_sweeps_wait_for_the_store(outage: Site, own_cluster: Cluster, make_world: Callable[[str], World]) -> None:
    world = make_world("pool")
    outage.targets = {TARGET: world.target.dsn}
    world.run(
        "GRANT USAGE ON SCHEMA app TO {reader}; GRANT SELECT ON ALL TABLES IN SCHEMA app TO {reader};"
        "ALTER ROLE {reader} BYPASSRLS"
    )
    _configure(outage, world, data={"enabled": True})
    outage.polled()
    own_cluster.stop()
    assert isinstance(outage.collect().worst, StoreError)
    waiting, _ = load(outage.spooled[0].read_bytes())
    assert waiting.isolation is not None
    looked_at = {run.check for run in waiting.isolation.runs}
    assert "rls_disabled" in looked_at
    assert "orphan_tenant" not in looked_at
    own_cluster.start()
    outage.polled()
    assert outage.value("SELECT status FROM monitoring.isolation_check WHERE check_name = 'orphan_tenant'") == "pass"


# The fingerprint


def test_a_digest_without_its_elements_changes_nothing(store: psycopg.Connection[Any]) -> None:
    first, second = (("table", "app.bets", "on"),), (("table", "app.bets", "off"),)
    write_isolation(store, 1, _reading(fingerprint="one", elements=first))
    write_isolation(store, 1, _reading(after=1, fingerprint="two", elements=second))
    # Read when the agent took the first for the last.
    write_isolation(store, 1, _reading(after=2, fingerprint="one"))
    kept = store.execute("SELECT isolation_fingerprint FROM monitoring.target WHERE target_id = 1").fetchall()
    assert kept == [("two",)]
    assert len(store.execute("SELECT FROM monitoring.isolation_element").fetchall()) == 1


def test_elements_of_one_name(store: psycopg.Connection[Any]) -> None:
    twice = (("function", "app.f(…)", "a"), ("function", "app.f(…)", "b"))
    write_isolation(store, 1, _reading(fingerprint="one", elements=twice))
    assert store.execute("SELECT definition FROM monitoring.isolation_element").fetchall() == [("b",)]


# Names


def test_names_of_all_kinds(tenanted: tuple[Site, World], capfd: pytest.CaptureFixture[str]) -> None:
    site, world = tenanted
    names = ["Ünï\tcode", "line\nbreak", "a.b", "50%% %s", 'quo"te', "[bold]x[/]", "esc\x1b[31m", "x" * 63, "$$;--'"]
    for name in names:
        quoted = name.replace('"', '""')
        world.run(
            f'CREATE TABLE app."{quoted}" (id int PRIMARY KEY, tenant_id uuid NOT NULL);'
            f'GRANT SELECT ON app."{quoted}" TO {{app}}'
        )
    site.polled()
    site.polled()
    rows = site.ask("SELECT object, seen FROM monitoring.finding WHERE check_name = 'rls_disabled'")
    assert len(rows) == len(names)
    assert {seen for _, seen in rows} == {2}
    shown = site.run("tenants", "show").stdout
    assert "\x1b" not in shown
    assert "[bold]x[/]" in shown
    assert "esc?[31m" in shown
    logged = site.run("tenants", "check", check=3)
    assert "\x1b" not in logged.stdout + logged.stderr


# The command, and checks of one's own


def test_a_check_that_was_asked_for_and_did_not_run_is_no_pass(tenanted: tuple[Site, World]) -> None:
    site, world = tenanted
    ended = {"check": "rls_disabled", "reason": "a report", "expires": "2026-01-01"}
    _configure(site, world, {"rls_not_forced": {"enabled": False}}, allow=[ended])
    found = json.loads(site.run("tenants", "check", "--check", "rls_disabled", "--format", "json").stdout)
    assert found["summary"]["pass"] == 1
    for name in ("cross_schema_fk", "rls_not_forced", "orphan_tenant", "probe_foreign_key"):
        assert "nothing was looked at" in site.run("tenants", "check", "--check", name, check=2).stderr
    found = json.loads(site.run("tenants", "check", "--check", "allowance_expired", "--format", "json", check=3).stdout)
    assert [row["check"] for row in found["findings"]] == ["allowance_expired"]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("select 1 as object", "does not return detail, remedy"),
        ("select 1 as object, '' as detail, '' as remedy, 2 as more", "returns more, which no finding has"),
        ("select 1 as object, 'A.' as detail, '' as remedy, 'P9' as severity", "'P9' is not a severity"),
        ("select 1 as object, 'A.' as detail, '' as remedy, 'pass' as status", "'pass' is not a status"),
        ("select 1 / 0 as object, 'A.' as detail, '' as remedy", "division by zero"),
        ("select * from pg_catalog.gone", "42P01"),
        ("selekt", "42601"),
        ("select pg_sleep(60)::text as object, 'A.' as detail, '' as remedy", "57014"),
    ],
)
def test_a_check_of_ones_own_that_does_not_work(tenanted: tuple[Site, World], query: str, said: str) -> None:
    site, world = tenanted
    header = "-- Mine.\n--\n-- model: all\n-- severity: P0\n-- timeout: 100ms\n"
    site.add_file("checks/mine.sql", header + query + "\n")
    _configure(site, world, {"mine": {"interval": "100ms"}}, {"queries_dir": "queries"})
    done = site.run("tenants", "check", "--check", "mine", "--format", "json", check=4)
    (row,) = json.loads(done.stdout)["findings"]
    assert (row["check"], row["status"], row["severity"]) == ("mine", "unknown", "P0")
    assert said in row["detail"]


@pytest.mark.parametrize(
    "columns",
    [
        "'select 1' as sweep",
        "'select 1' as sweep, 'x' as relation, '[]'::jsonb as needs",
        "'select 1' as sweep, c.oid as relation, '[1]'::jsonb as needs",
        "'select 1' as sweep, c.oid as relation, '[]'::jsonb as needs",
        "'select ''x'', null' as sweep, c.oid as relation, '[]'::jsonb as needs",
        "'selekt' as sweep, c.oid as relation, '[]'::jsonb as needs",
        "'select 0::bigint, null::text[]' as sweep, 0 as relation, '[]'::jsonb as needs",
    ],
)
def test_a_sweep_of_ones_own_that_does_not_work(tenanted: tuple[Site, World], columns: str) -> None:
    site, world = tenanted
    world.run(
        "GRANT USAGE ON SCHEMA app TO {reader}; GRANT SELECT ON app.bets TO {reader};ALTER ROLE {reader} BYPASSRLS"
    )
    site.add_file(
        "checks/mine.sql",
        "-- Mine.\n--\n-- kind: data\n-- model: all\n-- severity: P0\n"
        f"select 'bets' as object, 'A.' as detail, '' as remedy, {columns} from pg_class as c where relname = 'bets'\n",
    )
    _configure(site, world, {"mine": {"interval": "100ms"}}, {"queries_dir": "queries"}, data={"enabled": True})
    done = site.run("tenants", "check", "--check", "mine", "--format", "json", check=None)
    statuses = [row["status"] for row in json.loads(done.stdout)["findings"]]
    assert statuses in (["unknown"], []), done.stdout
    # A table that is not there has nothing wrong with it.
    assert (statuses == []) == ("0 as relation" in columns)


def test_a_check_of_ones_own_with_its_own_part(tenanted: tuple[Site, World]) -> None:
    site, world = tenanted
    site.add_file(
        "checks/parts/mine.sql", "-- Some.\n--\n-- uses: tenant_table\nselect t.object from tenant_table as t\n"
    )
    site.add_file(
        "checks/mine.sql",
        "-- Mine.\n--\n-- model: rls\n-- severity: P2\n-- uses: mine\n"
        "select m.object, 'A 100% %s.' as detail, 'It''s {mended}.' as remedy from mine as m where object ~ 'bets$'\n",
    )
    _configure(site, world, {"mine": {"interval": "100ms"}}, {"queries_dir": "queries"})
    site.polled()
    query = "SELECT object, detail, remedy FROM monitoring.finding WHERE is_open AND check_name = 'mine'"
    assert site.ask(query) == [("app.bets", "A 100% %s.", "It's {mended}.")]
    assert "Mine." in site.run("tenants", "explain", "mine").stdout
    # The file is gone: what it found is closed, and says why.
    (site.folder / "queries" / "checks" / "mine.sql").unlink()
    _configure(site, world, None, {"queries_dir": "queries"})
    site.polled()
    assert site.ask(query) == []
    assert (
        site.value("SELECT closed_because FROM monitoring.finding WHERE check_name = 'mine'")
        == "not looked for any more"
    )
