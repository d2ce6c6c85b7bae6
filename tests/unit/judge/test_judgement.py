"""What a judgement says besides the verdict on the text: roles, schemas, settings, comments, hostile texts."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest

from sbpgmon.judge.facts import Relation, TenantFacts
from sbpgmon.judge.statement import Verdict, judge
from tests.unit.judge.schema import FACTS


def _with_rls(*names: str, role: str = "app") -> TenantFacts:
    relations = [
        replace(relation, rls=frozenset([role])) if relation.name in names else relation
        for relation in FACTS.relations.values()
    ]
    return TenantFacts.of(relations, setting=FACTS.setting)


def test_facts_survive_json() -> None:
    """Every field comes back."""
    facts = replace(_with_rls("bets"), search_path=("app", "public"), search_paths={"worker": ("jobs",)})
    again = TenantFacts.from_json(json.loads(json.dumps(facts.to_json())))
    assert again == facts
    assert TenantFacts.from_json({}).relations == {}


def test_rls_covers_where_it_holds_on_every_table() -> None:
    """For that role, on all tenants' tables that are touched, and only where RLS is not to be ignored."""
    facts = _with_rls("bets")
    assert judge("select * from bets", facts, user="app").verdict == Verdict.RLS_COVERED
    assert judge("select * from bets, markets", facts, user="app").verdict == Verdict.RLS_COVERED
    assert judge("copy bets to stdout", facts, user="app").verdict == Verdict.RLS_COVERED
    assert judge("select * from bets, accounts", facts, user="app").verdict == Verdict.UNSCOPED
    assert judge("select * from bets", facts, user="batch").verdict == Verdict.UNSCOPED
    assert judge("select * from bets", facts).verdict == Verdict.UNSCOPED
    assert judge("select * from bets", facts, user="app", ignore_rls=True).verdict == Verdict.UNSCOPED


def test_rls_covers_neither_truncate_nor_what_is_not_understood() -> None:
    """TRUNCATE passes by RLS; an unparsed text stays one."""
    facts = _with_rls("bets")
    assert judge("truncate bets", facts, user="app").verdict == Verdict.UNSCOPED
    assert judge("selekt from bets", facts, user="app").verdict == Verdict.UNPARSED
    assert judge("select * from markets", facts, user="app").verdict == Verdict.NOT_APPLICABLE


def test_tables_are_all_that_are_touched() -> None:
    """Sorted, once each, quoted where needed, shared ones left out."""
    found = judge('select * from "Wager" w, bets a, bets b, markets where exists (select 1 from accounts)', FACTS)
    assert found.tables == ('public."Wager"', "public.accounts", "public.bets")


@pytest.mark.parametrize(
    ("sql", "tenants"),
    [
        ("select * from t_acme.invoices", ("acme",)),
        ("select * from t_acme.invoices a, t_globex.invoices b where a.id = $1 and b.id = $2", ("acme", "globex")),
        ("with x as (select * from t_globex.invoices) insert into t_acme.invoices select * from x", ("acme", "globex")),
        ("truncate t_acme.invoices, t_globex.invoices", ("acme", "globex")),
        ("select * from bets where tenant_id = $1", ()),
    ],
)
def test_two_tenants_schemas_are_a_leak(sql: str, tenants: tuple[str, ...]) -> None:
    """One tenant's schema is bound by itself; two are not."""
    found = judge(sql, FACTS)
    assert found.tenants == tenants
    assert (found.verdict == Verdict.UNSCOPED) == (len(tenants) > 1)


def test_unqualified_names_follow_the_search_path_of_the_role() -> None:
    """The role's own path, then the default; a name that is nowhere on it is looked for elsewhere."""
    shared = Relation("public", "items", columns=("id",))
    own = Relation("app", "items", columns=("id", "tenant_id"), key="tenant_id", is_tenant=True)
    facts = TenantFacts.of([shared, own], search_path=("public",), search_paths={"app": ("app", "public")})
    assert judge("select * from items", facts).verdict == Verdict.NOT_APPLICABLE
    assert judge("select * from items", facts, user="app").verdict == Verdict.UNSCOPED
    assert judge("select * from app.items", facts).verdict == Verdict.UNSCOPED
    by_user = TenantFacts.of([shared, own])
    assert judge("select * from items", by_user, user="app").verdict == Verdict.UNSCOPED
    assert judge("select * from items", TenantFacts.of([own])).verdict == Verdict.UNSCOPED


@pytest.mark.parametrize(
    ("sql", "is_hazard"),
    [
        ("set app.tenant_id = '5'", True),
        ("SET SESSION app.tenant_id TO $1", True),
        ('set "app"."tenant_id" = $1', True),
        ("set app.tenant_id to default", False),
        ("set local app.tenant_id = '5'", False),
        ("set app.other = '5'", False),
        ("select set_config('app.tenant_id', $1, false)", True),
        ("select set_config('app.tenant_id', $1, true)", False),
        ("select set_config('app.tenant_id', $1::text, 't')", False),
        ("select set_config($1, $2, $3)", True),
        ("select set_config('app.other', $1, false)", False),
        ("with x as (select pg_catalog.set_config('app.tenant_id', (select 'a,b'), $2)) select * from x", True),
        ("select 'set_config(''app.tenant_id'', 1, false)'", False),
    ],
)
def test_setting_the_context_for_the_session(sql: str, is_hazard: bool) -> None:
    """What outlives the transaction is a hazard behind a pooler; what may outlive it as well."""
    assert judge(sql, FACTS).sets_session_context is is_hazard
    assert judge(sql, replace(FACTS, setting=None)).sets_session_context is False


def test_tags_are_what_comments_say() -> None:
    """Also nested ones; the server's own mark of a shortened list is none."""
    found = judge(
        "/* job:report */ select * from bets -- allow: nightly\nwhere id in ($1 /*, ... */) /* a /* b */ c */", FACTS
    )
    assert found.tags == ("job:report", "allow: nightly", "a /* b */ c")
    assert judge("select '/* no */'", FACTS).tags == ()


def test_hidden_texts_say_so() -> None:
    """What pg_stat_statements shows to a role that may not see a text."""
    found = judge("<insufficient privilege>", FACTS)
    assert (found.verdict, "may not read" in found.reason) == (Verdict.UNPARSED, True)


@pytest.mark.parametrize(
    "sql",
    [
        "select " + "(" * 50_000,
        "select * from (" * 400 + "select * from bets" + ") x" * 400,
        "select a" + "[1]" * 5_000 + " from bets",
        "select * from bets where " + "not " * 5_000 + "tenant_id = $1",
        "with a0 as (select * from bets)"
        + "".join(f", a{n} as (select * from a{n - 1} union all select * from a{n - 1})" for n in range(1, 30))
        + " select * from a29",
        "select * from bets where tenant_id = $1 -- " + "x" * 300_000,
        "/*" * 10_000,
        "select $a$",
    ],
)
def test_hostile_texts_are_not_parsed(sql: str) -> None:
    """Too long, too deep or too many: said, not raised, and the interpreter is left as it was."""
    limit = sys.getrecursionlimit()
    found = judge(sql, FACTS)
    assert found.verdict == Verdict.UNPARSED
    assert found.reason
    assert sys.getrecursionlimit() == limit


def test_long_but_plain_texts_are_judged() -> None:
    """A batch of many rows, a list of many keys."""
    keys = ", ".join(f"${number}" for number in range(2, 5_000))
    assert judge(f"select * from bets where tenant_id = $1 and id in ({keys})", FACTS).verdict == Verdict.SCOPED
    rows = ", ".join(f"(${number}, ${number + 1})" for number in range(1, 2_000, 2))
    assert judge(f"insert into bets (tenant_id, stake) values {rows}", FACTS).verdict == Verdict.SCOPED
    assert judge("select * from bets where " + "(" * 60 + "tenant_id = $1" + ")" * 60, FACTS).verdict == Verdict.SCOPED
