"""Calls by what their statements do about tenants: exact, whenever the texts, the verdicts and the policies come."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.findings import CheckRun, Finding, IsolationReading, Outcome
from sbpgmon.judge.facts import Relation, TenantFacts
from sbpgmon.judge.ground import Allowance, Ground, Role, RoleKind, with_digests
from sbpgmon.model import TIER_SECONDS, StatementText, Status, TargetPoll
from sbpgmon.store import judging
from sbpgmon.store.connection import StoreConnection
from sbpgmon.store.judging import Judging, Passed
from sbpgmon.store.spool import dump, load
from sbpgmon.store.upgrade import init
from tests.conftest import Server
from tests.sql.lab import Lab, at, scratch
from tests.sql.test_tiers import forever, maintain
from tests.unit.catalog_files import server

COLUMNS = ("dbid", "userid", "queryid", "toplevel", "calls", "total_exec_time", "stats_since")
DBID = 5
APP, OPERATOR, OTHER = 10, 20, 30
TEXTS = {
    1: "SELECT * FROM app.bets",
    2: "SELECT * FROM app.bets WHERE tenant_id = $1",
    3: "SELECT * FROM app.bets WHERE id = $1",
    4: "SELECT * FROM app.events",
    5: "SELECT FROM FROM app.bets (",
    6: "SET app.tenant_id = ?",
    7: "TRUNCATE app.bets",
}
BETS = Relation(
    "app", "bets", columns=("tenant_id", "id", "stake"), key="tenant_id", is_tenant=True,
    unique=(("id",),), has_primary_key=True,
)  # fmt: skip
EVENTS = Relation("app", "events", columns=("id",), unique=(("id",),), has_primary_key=True)


def facts(rls: tuple[str, ...] = (), bets: Relation = BETS) -> TenantFacts:
    return TenantFacts.of([replace(bets, rls=frozenset(rls)), EVENTS], setting="app.tenant_id")


GROUND = Ground(
    facts(),
    DBID,
    {APP: Role("web", RoleKind.APP), OPERATOR: Role("ops", RoleKind.OPERATOR), OTHER: Role("bob")},
    is_confirmed=True,
)
COVERED = replace(GROUND, facts=facts(("web",)))


class Site:
    """A target whose statements are counted by hand."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.counts: dict[tuple[int, int], int] = {}
        self.made: list[tuple[float, int, int, int]] = []  # seconds, userid, queryid, calls
        self.judge = Judging(
            StoreConnection(lab.database.dsn()), lab.catalog.metrics, "test", clock=lambda: at(self.seconds + 1)
        )
        self.seconds = 0.0

    def poll(
        self,
        seconds: float,
        calls: Mapping[tuple[int, int], int] | None = None,
        texts: tuple[int, ...] = (),
        ground: Ground | None = None,
        gone: tuple[tuple[int, int], ...] = (),
    ) -> TargetPoll:
        """One poll: what was called since the last one, the texts that came with it, and what a look then found."""
        self.seconds = seconds
        for key in gone:
            del self.counts[key]
        for key, number in (calls or {}).items():
            self.counts[key] = self.counts.get(key, 0) + number
            self.made.append((seconds, *key, number))
        rows = [
            (DBID, userid, queryid, True, count, count / 4, None) for (userid, queryid), count in self.counts.items()
        ]
        read = [StatementText(DBID, userid, queryid, True, TEXTS[queryid]) for userid, queryid in self.counts
                if queryid in texts]  # fmt: skip
        isolation = None
        if ground is not None:
            isolation = IsolationReading(self.lab.target, at(seconds + 0.5), ground=with_digests(ground))
        reading = self.lab.reading("stat_statements", rows, seconds, columns=COLUMNS)
        poll = TargetPoll(self.lab.target, server(), (reading,), tuple(read), bool(read), "", isolation)
        self.lab.writer.write(poll)
        return poll

    def passed(self) -> Passed:
        return self.judge.run([self.lab.target])

    def verdicts(self, tier: str = "1m") -> dict[float, dict[str, int]]:
        """Seconds -> verdict -> calls, in one tier."""
        found: dict[float, dict[str, int]] = {}
        for row in self.lab.rows("tenant_queries", "tier, verdict, calls"):
            if row["tier"] == tier:
                counted = found.setdefault(row["at"], Counter())
                counted[row["verdict"]] += row["calls"]
        return {seconds: {k: v for k, v in counted.items() if v} for seconds, counted in found.items()}

    def total(self, tier: str = "1m") -> dict[str, int]:
        total: Counter[str] = Counter()
        for counted in self.verdicts(tier).values():
            total.update(counted)
        return dict(total)

    def findings(self, *, is_open: bool = True) -> list[tuple[str, str, str, str, str]]:
        rows = self.lab.store.raw.execute(
            "SELECT check_name, status, severity, object, role FROM monitoring.finding "
            "WHERE target = %s AND is_open = %s ORDER BY 1, 4, 5",
            (self.lab.target, is_open),
        )
        return rows.fetchall()

    def standings(self) -> list[tuple[Any, ...]]:
        return self.lab.store.raw.execute(
            "SELECT queryid, verdict, calls, nullif(valid_from, '-infinity'), nullif(valid_to, 'infinity') "
            "FROM monitoring.statement_verdict WHERE target = %s ORDER BY queryid, valid_to",
            (self.lab.target,),
        ).fetchall()


@pytest.fixture(scope="module")
def store(cluster: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with scratch(cluster) as database:
        lab = Lab(database, load_catalog(), tmp_path_factory.mktemp("tenants"))
        init(lab.store, lab.catalog, [], retention_of=forever)
        yield lab
        lab.store.close()


@pytest.fixture
def site(store: Lab) -> Iterator[Site]:
    """A target of the test's own."""
    lab = store.another()
    site = Site(lab)
    yield site
    site.judge.close()
    lab.store.close()


@pytest.fixture
def alone(cluster: Server, tmp_path: Path) -> Iterator[Site]:
    """A store of the test's own: its roll-ups go by its polls alone."""
    with scratch(cluster) as database:
        lab = Lab(database, load_catalog(), tmp_path)
        init(lab.store, lab.catalog, [], retention_of=forever)
        site = Site(lab)
        yield site
        site.judge.close()
        lab.store.close()


def test_without_tenancy_nothing_is_counted(site: Site) -> None:
    site.poll(0)
    site.poll(60, {(APP, 1): 3}, (1,))
    assert site.passed() == Passed()
    assert site.verdicts() == {}
    assert site.lab.snapshots("tenant_queries") == []


def test_each_statement_counts_as_it_stands(site: Site) -> None:
    site.poll(0, ground=GROUND)
    calls = {(APP, queryid): 10 + queryid for queryid in TEXTS} | {(OPERATOR, 1): 100, (OTHER, 1): 200, (OTHER, 3): 300}
    site.poll(60, calls, tuple(TEXTS))
    assert site.verdicts() == {60: {"unjudged": sum(calls.values())}}
    done = site.passed()
    assert (done.texts, done.changes, done.is_done) == (len(TEXTS), len(calls), True)
    wanted = {
        "cross_tenant": 11 + 17, "scoped": 12, "idor_prone": 13, "not_applicable": 14, "unparsed": 15,
        "session_context": 16, "operator": 100, "suspected": 200, "point": 300,
    }  # fmt: skip
    assert site.verdicts() == {60: wanted}
    # What is known counts at once.
    site.poll(120, calls)
    assert site.verdicts() == {60: wanted, 120: wanted}
    [row] = site.lab.store.raw.execute(
        "SELECT cross_tenant_queries, idor_prone_queries, session_level_context, unparsed_queries, unjudged_queries, "
        "calls, quality FROM monitoring.cross_tenant_queries WHERE target = %s AND time = %s AND userid = %s",
        (site.lab.target, at(120), APP),
    )
    assert row == (28, 13, 16, 15, 0, 98, 0)
    assert site.passed().texts == 0


def test_the_time_that_statements_took_goes_with_them(site: Site) -> None:
    site.poll(0, ground=GROUND)
    site.poll(60, {(APP, 1): 8})
    site.poll(120, texts=(1,))
    site.passed()
    rows = site.lab.rows("tenant_queries", "verdict, calls, total_exec_time, quality")
    assert rows == [{"at": 60.0, "verdict": "cross_tenant", "calls": 8, "total_exec_time": 2.0, "quality": 0}]


def test_a_text_that_comes_late_moves_its_calls_to_their_time(site: Site) -> None:
    site.poll(0, ground=GROUND)
    site.poll(60, {(APP, 1): 3, (APP, 2): 5}, (2,))
    site.passed()
    site.poll(120, {(APP, 1): 4, (APP, 2): 6})
    assert site.verdicts() == {60: {"unjudged": 3, "scoped": 5}, 120: {"unjudged": 4, "scoped": 6}}
    site.poll(180, {(APP, 1): 1}, (1,))
    assert site.passed().snapshots == 3
    assert site.verdicts() == {
        60: {"cross_tenant": 3, "scoped": 5}, 120: {"cross_tenant": 4, "scoped": 6}, 180: {"cross_tenant": 1},
    }  # fmt: skip
    assert site.standings()[0] == (1, "cross_tenant", 8, None, None)


def test_a_policy_that_is_dropped_and_restored(site: Site) -> None:
    site.poll(0, ground=COVERED)
    site.poll(60, {(APP, 1): 1}, (1,), COVERED)
    site.passed()
    site.poll(120, {(APP, 1): 10}, ground=COVERED)
    site.poll(180, {(APP, 1): 100})
    site.poll(240, {(APP, 1): 1000}, ground=GROUND)
    assert site.total() == {"rls_covered": 1111}
    site.passed()
    # Since the last look that still found the policy; no earlier.
    assert site.verdicts()[120] == {"rls_covered": 10}
    assert site.total() == {"rls_covered": 11, "cross_tenant": 1100}
    assert site.findings() == [("cross_tenant_queries", "fail", "P0", "app.bets", "web")]
    site.poll(300, {(APP, 1): 20000}, ground=COVERED)
    site.passed()
    site.poll(360, {(APP, 1): 300000})
    # What happened stays: up to the first look that found it mended.
    assert site.total() == {"rls_covered": 300011, "cross_tenant": 21100}
    assert site.findings() == []
    [_, bad, good] = site.standings()
    assert bad == (1, "cross_tenant", 21100, at(120.5), at(300.5))
    assert good[1:4] == ("rls_covered", None, at(300.5))


def test_a_statement_that_is_new_while_a_policy_is_off(site: Site) -> None:
    """By the time of its verdict the policy is back: its calls were made while it was not."""
    site.poll(0, ground=COVERED)
    site.poll(60, {(APP, 1): 7}, ground=GROUND)
    site.poll(120, {(APP, 1): 20})
    site.poll(180, texts=(1,), ground=COVERED)
    site.poll(240, {(APP, 1): 300})
    site.passed()
    assert site.verdicts() == {60: {"cross_tenant": 7}, 120: {"cross_tenant": 20}, 240: {"rls_covered": 300}}


def test_truncate_asks_no_policy(site: Site) -> None:
    site.poll(0, ground=COVERED)
    site.poll(60, {(APP, 7): 1}, (7,))
    site.passed()
    assert site.total() == {"cross_tenant": 1}


def test_an_allowance_and_its_end(site: Site) -> None:
    kind = Allowance("cross_tenant_queries", "the nightly report (until 2026-12-01)", role="web", queryid=1)
    allowed = replace(GROUND, allowances=(kind,))
    site.poll(0, ground=allowed)
    site.poll(60, {(APP, 1): 1}, (1,), allowed)
    site.passed()
    assert site.total() == {"allowed": 1}
    [[reason]] = site.lab.store.raw.execute(
        "SELECT allowed FROM monitoring.finding WHERE target = %s", (site.lab.target,)
    )
    assert reason == kind.reason
    site.poll(120, {(APP, 1): 10}, ground=allowed)
    site.poll(180, {(APP, 1): 100}, ground=GROUND)
    site.passed()
    assert site.total() == {"allowed": 11, "cross_tenant": 100}


def test_tables_that_change_have_their_statements_judged_again(site: Site) -> None:
    shared = replace(BETS, key=None, is_tenant=False)
    site.poll(0, ground=replace(GROUND, facts=facts(bets=shared)))
    site.poll(60, {(APP, 1): 1, (APP, 2): 2}, (1, 2))
    assert site.passed().texts == 2
    assert site.total() == {"not_applicable": 3}
    site.poll(120, {(APP, 1): 10, (APP, 2): 20}, ground=GROUND)
    assert site.passed().texts == 2
    # Worse since the last look that found it well; else from the look on that found it otherwise.
    assert site.total() == {"not_applicable": 22, "cross_tenant": 11}
    # Row level security is no part of a text's verdict.
    site.poll(180, {(APP, 1): 100}, ground=COVERED)
    assert site.passed().texts == 0
    site.poll(240, {(APP, 1): 1000})
    assert site.total() == {"not_applicable": 22, "cross_tenant": 111, "rls_covered": 1000}


def test_texts_are_judged_in_portions(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "MAX_TEXTS", 3)
    site.poll(0, ground=GROUND)
    site.poll(60, {(APP, queryid): 1 for queryid in TEXTS}, tuple(TEXTS))
    assert [(p.texts, p.is_done) for p in (site.passed(), site.passed(), site.passed())] == [
        (3, False), (3, False), (1, True),
    ]  # fmt: skip
    assert "unjudged" not in site.total()
    # All stand by the look only when the last text is judged again.
    site.poll(120, ground=replace(GROUND, facts=facts(bets=replace(BETS, columns=(*BETS.columns, "more")))))
    assert [(p.texts, p.is_done) for p in (site.passed(), site.passed(), site.passed(), site.passed())] == [
        (3, False), (3, False), (1, True), (0, True),
    ]  # fmt: skip


def test_two_who_judge_do_not_count_twice(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.poll(0, ground=GROUND)
    site.poll(60, {(APP, 1): 3}, (1,))
    other = Judging(StoreConnection(site.lab.database.dsn()), site.lab.catalog.metrics, "other")
    judge_one = site.judge._judge

    def late(*args: Any) -> Any:
        other.run([site.lab.target])
        return judge_one(*args)

    monkeypatch.setattr(site.judge, "_judge", late)
    site.passed()
    other.close()
    assert site.verdicts() == {60: {"cross_tenant": 3}}
    assert len(site.standings()) == 1


def test_a_poll_out_of_the_spool_counts_once(site: Site) -> None:
    site.poll(0, ground=GROUND)
    poll = site.poll(60, {(APP, 1): 3}, (1,), GROUND)
    again, _ = load(dump(poll))
    assert again.isolation is not None
    assert again.isolation.ground == with_digests(GROUND)
    site.lab.writer.write(again, is_replay=True)
    site.passed()
    assert site.verdicts() == {60: {"cross_tenant": 3}}
    [[looks]] = site.lab.store.raw.execute(
        "SELECT count(*) FROM monitoring.tenancy_look AS l JOIN monitoring.target AS t USING (target_id) "
        "WHERE t.name = %s",
        (site.lab.target,),
    )
    assert looks == 1


def test_a_statement_that_was_evicted_and_is_back_stands_where_it_stood(site: Site) -> None:
    site.poll(0, ground=GROUND)
    site.poll(60, {(APP, 1): 3, (APP, 2): 1}, (1, 2))
    site.passed()
    site.poll(120, {(APP, 2): 1}, gone=((APP, 1),))
    site.poll(180, {(APP, 1): 40})
    assert site.verdicts()[180] == {"cross_tenant": 40}


def test_a_reading_that_failed_is_logged_as_such(site: Site) -> None:
    site.poll(0, ground=GROUND)
    reading = replace(site.lab.reading("stat_statements", None, 60), error="boom")
    site.lab.writer.write(TargetPoll(site.lab.target, server(), (reading,)))
    site.poll(120, {(APP, 1): 3})
    assert [(s["status"], s["error"], s["interval_seconds"]) for s in site.lab.snapshots("tenant_queries")] == [
        ("error", "boom", None), ("ok", None, 120.0),
    ]  # fmt: skip
    assert site.verdicts() == {120: {"unjudged": 3}}


def test_where_tenancy_is_taken_back_counting_ends(site: Site) -> None:
    site.poll(0, ground=GROUND)
    site.poll(60, {(APP, 1): 3}, (1,))
    site.passed()
    off = IsolationReading(site.lab.target, at(100), ground={})
    site.lab.writer.write(TargetPoll(site.lab.target, server(), (), isolation=off))
    site.poll(120, {(APP, 1): 3})
    assert site.total() == {"cross_tenant": 3}


# Tiers


def of_tiers(site: Site) -> None:
    """Every tier says the same of the stretch that it covers."""
    fine = site.verdicts()
    for tier in ("5m", "1h"):
        coarse = site.verdicts(tier)
        assert coarse, tier
        for start, counted in coarse.items():
            wanted: Counter[str] = Counter()
            for seconds, each in fine.items():
                if start <= seconds < start + TIER_SECONDS[tier]:
                    wanted.update(each)
            assert counted == dict(wanted), (tier, start)
        rows = [r for r in site.lab.rows("tenant_queries", "tier, series_id") if r["tier"] == tier]
        keys = [(row["at"], row["series_id"]) for row in rows]
        assert len(keys) == len(set(keys)), f"two rows of one bucket in {tier}"


def test_verdicts_reach_what_was_rolled_up(alone: Site) -> None:
    alone.poll(0, ground=COVERED)
    for minute in range(1, 70):
        alone.poll(60 * minute, {(APP, 1): minute, (APP, 2): 1, (APP, 3): 2}, (2,), COVERED)
        if minute == 2:
            alone.passed()
    maintain(alone.lab)
    assert set(alone.total("1h")) == {"unjudged", "scoped"}
    of_tiers(alone)
    alone.poll(60 * 70, texts=(1, 3), ground=GROUND)
    alone.passed()
    maintain(alone.lab)
    of_tiers(alone)
    # All of it came while row level security was seen to hold.
    assert alone.total() == {"rls_covered": sum(range(1, 70)) + 2 * 69, "scoped": 69}
    for minute in range(71, 140):
        alone.poll(60 * minute, {(APP, 1): 1}, ground=COVERED if minute > 90 else None)
    maintain(alone.lab)
    of_tiers(alone)
    alone.passed()
    maintain(alone.lab)
    of_tiers(alone)
    assert alone.total()["cross_tenant"] == 21


@pytest.mark.parametrize("seed", range(2))
def test_whatever_comes_when_no_call_is_lost(cluster: Server, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    grounds = [
        GROUND,
        COVERED,
        replace(GROUND, facts=facts(("web", "bob"))),
        replace(COVERED, roles={**GROUND.roles, OTHER: Role("bob", RoleKind.APP)}),
        replace(GROUND, facts=facts(bets=replace(BETS, key="id"))),
        replace(GROUND, allowances=(Allowance("cross_tenant_queries", "why"),)),
    ]
    with scratch(cluster) as database:
        lab = Lab(database, load_catalog(), tmp_path)
        init(lab.store, lab.catalog, [], retention_of=forever)
        site = Site(lab)
        site.poll(0, ground=GROUND)
        for minute in range(1, 70):
            keys = [(userid, queryid) for userid in (APP, OPERATOR, OTHER) for queryid in TEXTS]
            calls = {key: chance.randrange(1, 50) for key in chance.sample(keys, 4)}
            texts = tuple(chance.sample(sorted(TEXTS), 2)) if chance.random() < 0.3 else ()
            site.poll(60 * minute, calls, texts, chance.choice(grounds) if chance.random() < 0.2 else None)
            if chance.random() < 0.3:
                site.passed()
            if chance.random() < 0.1:
                maintain(lab)
        site.passed()
        maintain(lab)
        site.poll(60 * 90, texts=tuple(TEXTS))
        site.passed()
        maintain(lab)
        of_tiers(site)
        counted = {seconds: sum(each.values()) for seconds, each in site.verdicts().items()}
        wanted: Counter[float] = Counter()
        for seconds, _, _, number in site.made:
            wanted[seconds] += number
        assert counted == dict(wanted)
        assert "unjudged" not in site.total()
        assert lab.store.raw.execute(
            "SELECT count(*) FROM monitoring.statement_standing AS a JOIN monitoring.statement_standing AS b "
            "USING (series_id) WHERE a.valid_from < b.valid_from AND a.valid_to <> "
            "(SELECT min(c.valid_from) FROM monitoring.statement_standing AS c "
            "WHERE c.series_id = a.series_id AND c.valid_from > a.valid_from)"
        ).fetchone() == (0,)
        site.judge.close()
        lab.store.close()


# Findings


def test_findings_open_with_a_call_and_close_a_day_after_the_last(site: Site) -> None:
    site.poll(0, {(APP, 1): 5}, ground=GROUND)
    site.poll(60, texts=(1,))
    site.passed()
    # It was called before anybody looked, and not since.
    assert site.findings() == []
    site.poll(120, {(APP, 1): 5, (APP, 3): 1, (OTHER, 1): 1, (APP, 6): 2, (APP, 5): 1}, tuple(TEXTS))
    site.passed()
    assert site.findings() == [
        ("cross_tenant_queries", "fail", "P0", "app.bets", "web"),
        ("cross_tenant_queries_suspected", "fail", "P2", "app.bets", "bob"),
        ("idor_prone_queries", "fail", "P2", "app.bets", "web"),
        ("session_level_context", "fail", "P2", "app.tenant_id", "web"),
        ("unparsed_statements", "unknown", "P2", "", ""),
    ]
    [[key, detail]] = site.lab.store.raw.execute(
        "SELECT key, detail FROM monitoring.finding WHERE target = %s AND check_name = 'cross_tenant_queries'",
        (site.lab.target,),
    )
    assert key == "cross_tenant_queries:app.bets:web:1"
    assert detail == "tenant_id of app.bets is not bound in every row that is read or written (5 calls): " + (
        "SELECT * FROM app.bets."
    )
    day = timedelta(days=1).total_seconds()
    site.poll(day, {(APP, 2): 1})
    site.passed()
    assert len(site.findings()) == 5
    site.poll(day + 180, {(APP, 2): 1})
    site.passed()
    assert site.findings() == []
    site.poll(day + 240, {(APP, 1): 1})
    site.passed()
    assert site.findings() == [("cross_tenant_queries", "fail", "P0", "app.bets", "web")]


def test_unconfirmed_findings_are_p2_at_most(site: Site) -> None:
    site.poll(0, ground=replace(GROUND, is_confirmed=False))
    site.poll(60, {(APP, 1): 5}, (1,))
    site.passed()
    assert site.findings() == [("cross_tenant_queries", "fail", "P2", "app.bets", "web")]


def test_what_cannot_be_seen_is_unknown_and_closes_nothing(site: Site) -> None:
    site.poll(0, ground=GROUND)
    site.poll(60, {(APP, 1): 5}, (1,))
    site.passed()
    site.poll(120, ground=replace(GROUND, problem="it is off", remedy="Switch it on."))
    site.passed()
    assert site.findings() == [
        ("cross_tenant_queries", "unknown", "P0", "", ""),
        ("cross_tenant_queries", "fail", "P0", "app.bets", "web"),
    ]
    site.poll(180, {(APP, 1): 5}, ground=GROUND)
    site.passed()
    assert site.findings() == [("cross_tenant_queries", "fail", "P0", "app.bets", "web")]


def test_findings_of_statements_and_of_the_catalog_do_not_meet(site: Site) -> None:
    """A look that was read before a pass and stored after it is not older than what it says."""
    site.poll(0, ground=GROUND)
    site.poll(60, {(APP, 1): 5}, (1,))
    site.passed()
    found = Finding("rls_disabled", Outcome.FAIL, "P0", "app.bets", "web", "It is off.", "ALTER …")
    read = IsolationReading(site.lab.target, at(60.2), (CheckRun("rls_disabled", (found,)),))
    site.lab.writer.write(TargetPoll(site.lab.target, server(), (), isolation=read))
    assert [check for check, *_ in site.findings()] == ["cross_tenant_queries", "rls_disabled"]


def test_the_reading_of_another_status_is_kept(site: Site) -> None:
    site.poll(0, ground=GROUND)
    reading = replace(site.lab.reading("stat_statements", None, 60), status=Status.UNREACHABLE)
    site.lab.writer.write(TargetPoll(site.lab.target, None, (reading,)))
    assert [s["status"] for s in site.lab.snapshots("tenant_queries")] == ["unreachable"]
