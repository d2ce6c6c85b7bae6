"""What must hold of the judge whatever the text: changes that keep the meaning keep the verdict, and nothing raises."""

from __future__ import annotations

import random

import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from sbpgmon.judge.statement import Judgement, Verdict, judge
from sbpgmon.judge.texts import cut, rewrite
from tests.unit.judge.schema import FACTS
from tests.unit.judge.test_statements import STATEMENTS

_WORST_FIRST = [Verdict.UNSCOPED, Verdict.UNPARSED, Verdict.POINT, Verdict.DERIVED, Verdict.SCOPED]
_SQL = [each["sql"] for each in STATEMENTS]
_JUDGED = [each["sql"] for each in STATEMENTS if each["verdict"] in _WORST_FIRST and each["verdict"] != "unparsed"]
_SELECTS = [sql for sql in _JUDGED if sql.lower().startswith("select") and " into " not in sql and ";" not in sql]
# The parser's own writer has no form for all of JSON.
_WRITABLE = [sql for sql in _SELECTS[::2] if "json_object" not in sql]
# Under a lock or over a name twice, a query cannot be wrapped in PostgreSQL either.
_PLAIN = [sql for sql in _SELECTS if " for " not in sql.lower()]


def _verdict(sql: str) -> Verdict:
    return judge(sql, FACTS).verdict


def _is_worse_or_equal(one: Verdict, other: Verdict) -> bool:
    return _WORST_FIRST.index(one) <= _WORST_FIRST.index(other)


@pytest.mark.parametrize(
    "form",
    [
        "with zz as ({}) select * from zz",
        "with zz as materialized ({}) select * from zz",
        "select * from ({}) as zz",
        "select count(*) from ({}) as zz",
        "select 1 from events where exists ({})",
        "select zz.* from events cross join lateral ({}) as zz",
        "({}) union all ({})",
        "({}) except ({})",
        "explain {}",
        "declare c cursor for {}",
        "copy ({}) to stdout",
        "create table zz as {}",
        "({})",
        "with aa as (select 1), zz as (select * from ({}) yy) select * from aa, zz",
    ],
)
def test_wrapping_keeps_the_verdict(form: str) -> None:
    """A query is judged alike wherever it stands."""
    for sql in _PLAIN[len(form) % 3 :: 3]:
        assert _verdict(form.replace("{}", sql)) == _verdict(sql), sql


def test_an_outer_join_to_a_shared_table_keeps_the_verdict() -> None:
    """A shared table neither binds nor frees."""
    for sql in _PLAIN[::3]:
        assert _verdict(f"select * from events e left join ({sql}) zz on true") == _verdict(sql), sql
        assert _verdict(f"select * from ({sql}) zz full join events e on true") == _verdict(sql), sql


def _parsed(sql: str) -> exp.Expr:
    return sqlglot.parse_one(rewrite(cut(sql).tokens), read="postgres")


def _changed(sql: str, addition: str) -> str | None:
    """The outermost WHERE with something added; None where there is none."""
    root = _parsed(sql)
    where = root.args.get("where")
    if where is None:
        return None
    other = sqlglot.parse_one(addition, read="postgres")
    kind = exp.Or if addition == "true" else exp.And
    where.set("this", kind(this=exp.Paren(this=where.this), expression=other))
    return root.sql("postgres")


def test_or_true_never_makes_it_better() -> None:
    """A condition that always holds takes away what the others bind."""
    for sql in _WRITABLE:
        changed = _changed(sql, "true")
        if changed is not None:
            assert _is_worse_or_equal(_verdict(changed), _verdict(sql)), changed


@pytest.mark.parametrize("addition", ["1 = 1", "not false", "now() > '2020-01-01'", "'x' is not null"])
def test_more_conditions_keep_the_verdict(addition: str) -> None:
    """A condition that says nothing of any table changes nothing."""
    for sql in _WRITABLE:
        changed = _changed(sql, addition)
        if changed is not None:
            assert _verdict(changed) == _verdict(sql), changed


def test_without_where_it_is_never_better() -> None:
    """Fewer conditions bind less."""
    for sql in _WRITABLE:
        root = _parsed(sql)
        root.set("where", None)
        assert _is_worse_or_equal(_verdict(root.sql("postgres")), _verdict(sql)), sql


def test_what_the_parser_writes_is_judged_alike() -> None:
    """Other spelling, the same tree."""
    for sql in _WRITABLE:
        assert _verdict(_parsed(sql).sql("postgres")) == _verdict(sql), sql


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(_JUDGED), st.randoms(use_true_random=False))
def test_white_space_case_and_comments_say_nothing(sql: str, chance: random.Random) -> None:
    """The layout, the case of key words and names, and comments do not matter."""
    tokens = cut(sql).tokens
    parts: list[str] = []
    for number, token in enumerate(tokens):
        text = token.text if token.kind != "word" else chance.choice([str.upper, str.lower, str.title])(token.text)
        is_apart = number == 0 or token.start > tokens[number - 1].end
        gap = chance.choice([" ", "\n", "\t ", " /* where tenant_id = $1 */ ", " -- ' \n"]) if is_apart else ""
        parts.append(gap + text)
    assert _verdict("".join(parts)) == _verdict(sql)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(_SELECTS), st.sampled_from(_SELECTS))
def test_two_statements_get_the_worse_verdict(one: str, other: str) -> None:
    """In one text, and in one query."""
    worse = min(_verdict(one), _verdict(other), key=_WORST_FIRST.index)
    assert _verdict(f"{one}; {other};") == worse
    assert _verdict(f"select ({one}), ({other})") == worse


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200))
def test_any_text_gets_a_judgement(text: str) -> None:
    """Nothing raises."""
    assert isinstance(judge(text, FACTS), Judgement)


_WORDS = r"""
    ( ) , ; . * = < > $1 ' " $$ -- /* */ | & ~ [ ] : :: ? @ \ é 1 1e 0x $
    select from where join left full using on bets accounts tenant_id id in any exists not and or with
    recursive as union all insert into values update set delete merge when matched then row lateral
    copy explain truncate table do call create group by order limit having over partition case end
"""
_PIECES = st.sampled_from([*_WORDS.split(), "\x00"])


@settings(max_examples=300, deadline=None)
@given(st.lists(_PIECES, max_size=40))
def test_any_words_get_a_judgement(pieces: list[str]) -> None:
    """Nothing raises on what looks a little like SQL."""
    assert isinstance(judge(" ".join(pieces), FACTS), Judgement)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(_SQL), st.randoms(use_true_random=False))
def test_broken_statements_get_a_judgement(sql: str, chance: random.Random) -> None:
    """Nothing raises on a statement whose tokens are lost, doubled or out of order."""
    has_end = sql.count("'") % 2 == 0
    tokens = [token.text for token in cut(sql if has_end else sql.replace("'x", "x")).tokens]
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(tokens)) if tokens else 0
        change = chance.choice(["lose", "double", "swap"])
        if tokens and change == "lose":
            tokens.pop(place)
        elif tokens and change == "double":
            tokens.insert(place, tokens[place])
        else:
            chance.shuffle(tokens)
    assert isinstance(judge(" ".join(tokens), FACTS), Judgement)
