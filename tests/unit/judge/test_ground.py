"""Where a statement stands: by its verdict, who runs it, row level security and what the user lets be."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from sbpgmon.checks import STATEMENT_CHECKS
from sbpgmon.findings import Outcome
from sbpgmon.judge.facts import Relation, TenantFacts
from sbpgmon.judge.ground import (
    CHECK_OF,
    Allowance,
    Ground,
    Judged,
    Role,
    RoleKind,
    Stand,
    Standing,
    in_force,
    with_digests,
)
from sbpgmon.judge.normalized import judge_text
from sbpgmon.judge.offences import MAX_FINDINGS, Offence, runs_of

APP, OPERATOR, OTHER, ACME = 1, 2, 3, 4
BETS = Relation("app", "bets", key="tenant_id", columns=("tenant_id", "id"), is_tenant=True, rls=frozenset({"web"}))
LEGS = Relation("app", "legs", key="tenant_id", columns=("tenant_id", "id"), is_tenant=True)
GROUND = Ground(
    TenantFacts.of([BETS, LEGS], setting="app.tenant_id", search_path=("$user", "app", "public")),
    5,
    {
        APP: Role("web", RoleKind.APP),
        OPERATOR: Role("ops", RoleKind.OPERATOR),
        OTHER: Role("bob"),
        ACME: Role("acme_app", RoleKind.APP, "acme"),
    },
    (Allowance("cross_tenant_queries", "why", object="app.legs", tag="nightly"),),
    is_confirmed=True,
)


def judged(verdict: str = "unscoped", *tables: str, **more: Any) -> Judged:
    return Judged(verdict, table=tables[0] if tables else "", tables=tables, **more)


@pytest.mark.parametrize(
    ("text", "userid", "standing"),
    [
        (judged("unscoped", "app.legs"), APP, Standing.CROSS_TENANT),
        (judged("unscoped", "app.bets"), APP, Standing.RLS_COVERED),
        (judged("point", "app.bets"), APP, Standing.RLS_COVERED),
        # All of them, or it is not covered.
        (judged("unscoped", "app.bets", "app.legs"), APP, Standing.CROSS_TENANT),
        (judged("unscoped", "app.bets", is_beyond_rls=True), APP, Standing.CROSS_TENANT),
        (judged("unscoped", "app.bets"), OTHER, Standing.SUSPECTED),
        (judged("unscoped", "app.bets"), 99, Standing.SUSPECTED),
        (judged("unscoped", "app.bets"), OPERATOR, Standing.OPERATOR),
        (judged("point", "app.legs"), APP, Standing.IDOR_PRONE),
        (judged("point", "app.legs"), OTHER, Standing.POINT),
        (judged("scoped", "app.bets"), APP, Standing.SCOPED),
        (judged("derived", "app.bets"), APP, Standing.DERIVED),
        (judged("unparsed"), APP, Standing.UNPARSED),
        (judged("not_applicable"), OPERATOR, Standing.NOT_APPLICABLE),
        (judged("not_applicable", sets_session_context=True), APP, Standing.SESSION_CONTEXT),
        (judged("not_applicable", sets_session_context=True), OPERATOR, Standing.OPERATOR),
        (judged("unscoped", "app.legs", sets_session_context=True), APP, Standing.CROSS_TENANT),
        (judged("scoped", "a.t", tenants=("acme",)), ACME, Standing.SCOPED),
        (judged("scoped", "b.t", tenants=("beta",)), ACME, Standing.CROSS_SCHEMA),
        (judged("scoped", "b.t", tenants=("beta",)), APP, Standing.SCOPED),
        (judged("unscoped", "a.t", tenants=("acme", "beta")), APP, Standing.CROSS_SCHEMA),
        (judged("unscoped", "app.legs", tags=("the nightly report",)), APP, Standing.ALLOWED),
        (judged("unscoped", "app.bets", "app.legs", tags=("nightly",)), APP, Standing.CROSS_TENANT),
    ],
)
def test_where_it_stands(text: Judged, userid: int, standing: Standing) -> None:
    assert GROUND.stand(text, userid, 7).standing is standing


def test_a_plan_that_does_not_confirm_it_makes_it_suspected() -> None:
    text = judged("unscoped", "app.legs")
    assert GROUND.stand(text, APP, 7, is_confirmed=False) == Stand(Standing.SUSPECTED, "cross_tenant_queries_suspected")
    assert GROUND.stand(text, APP, 7, is_confirmed=True).standing is Standing.CROSS_TENANT


def test_a_context_that_is_set_for_the_session_is_right_where_it_is_declared() -> None:
    text = judged("not_applicable", sets_session_context=True)
    assert replace(GROUND, scope="session").stand(text, APP, 7).standing is Standing.NOT_APPLICABLE


def test_every_standing_that_fails_has_a_check() -> None:
    assert set(CHECK_OF.values()) == set(STATEMENT_CHECKS)
    worst = [Stand(standing, check) for standing, check in CHECK_OF.items()]
    for better, worse in zip(worst[1:], worst, strict=False):
        assert worse.is_worse_than(better)
        assert not better.is_worse_than(worse)
    assert not Stand(Standing.SCOPED).is_worse_than(Stand(Standing.ALLOWED))


def test_a_ground_goes_to_json_and_back() -> None:
    data = with_digests(GROUND)
    assert Ground.from_json(data) == GROUND
    turned = replace(
        GROUND, facts=TenantFacts.of([LEGS, BETS], setting="app.tenant_id", search_path=("$user", "app", "public"))
    )
    assert with_digests(turned) == data
    off = replace(GROUND, facts=TenantFacts.of([replace(BETS, rls=frozenset()), LEGS], setting="app.tenant_id",
                                               search_path=("$user", "app", "public")))  # fmt: skip
    assert with_digests(off)["digest"] != data["digest"]
    assert with_digests(off)["structure"] == data["structure"]
    other = replace(GROUND, facts=TenantFacts.of([replace(BETS, key=None), LEGS], setting="app.tenant_id"))
    assert with_digests(other)["structure"] != data["structure"]


def test_the_path_is_the_part_that_matters() -> None:
    assert GROUND.path(APP) == GROUND.path(OTHER) == GROUND.path(99) == "app"
    own = replace(GROUND, facts=replace(GROUND.facts, search_paths={"bob": ("public",)}))
    assert own.path(OTHER) == ""


def test_allowances_end() -> None:
    items = [{"check": "a", "reason": "r", "expires": date(2026, 5, day)} for day in (1, 2, 3)]
    assert [each.reason for each in in_force(items, date(2026, 5, 2))] == [
        "r (until 2026-05-02)",
        "r (until 2026-05-03)",
    ]


@pytest.mark.parametrize(
    ("sql", "sets"),
    [
        ("SELECT set_config($1, $2, $3)", False),
        ("SELECT set_config('app.tenant_id', $1, $2::boolean)", False),
        ("SELECT set_config('app.tenant_id', coalesce($1, $2), $3)", False),
        ("SELECT set_config('app.tenant_id', $1, false)", True),
        ("SELECT set_config('app.tenant_id', $1, true)", False),
        ("SET app.tenant_id = ?", True),
        ("SET SESSION app.tenant_id TO $1", True),
        ("SET LOCAL app.tenant_id = ?", False),
        ("SET work_mem = ?", False),
    ],
)
def test_the_context_in_normalized_texts(sql: str, sets: bool) -> None:
    assert judge_text(sql, GROUND, "web").sets_session_context is sets


# Findings


def offence(check: str = "cross_tenant_queries", queryid: int = 1, **more: Any) -> Offence:
    values = {
        "allowed": "",
        "role": "web",
        "table": "app.legs",
        "reason": "It is not bound.",
        "query": "SELECT 1",
        "calls": 2,
    }
    return Offence(check, queryid=queryid, **{**values, **more})


def test_calls_inside_functions_and_outside_are_one_finding() -> None:
    runs = {run.check: run for run in runs_of([offence(), offence(calls=3), offence(queryid=2)], GROUND)}
    assert set(runs) == set(STATEMENT_CHECKS)
    first, second = runs["cross_tenant_queries"].findings
    assert (first.key, second.key) == ("cross_tenant_queries:app.legs:web:1", "cross_tenant_queries:app.legs:web:2")
    assert first.detail == "It is not bound (5 calls): SELECT 1."
    assert runs["idor_prone_queries"].outcome is Outcome.PASS


def test_what_is_let_be_does_not_hide_what_is_not() -> None:
    more = [offence("unparsed_statements", queryid, allowed="" if queryid == 2 else "why") for queryid in range(4)]
    [finding] = next(run for run in runs_of(more, GROUND) if run.check == "unparsed_statements").findings
    assert not finding.allowed
    assert finding.detail.startswith("1 statement with 2 calls could not be judged, for example: SELECT 1")


def test_too_many_findings_are_said_to_be_more() -> None:
    [run] = [r for r in runs_of([offence(queryid=n) for n in range(MAX_FINDINGS + 5)], GROUND) if r.findings]
    assert len(run.findings) == MAX_FINDINGS + 1
    assert not run.is_complete
    assert "5 more statements" in run.findings[-1].detail
