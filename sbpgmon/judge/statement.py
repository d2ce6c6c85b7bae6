"""The verdict on one statement text: is it bound to one tenant in every tenants' table that it touches?"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import StrEnum

from sbpgmon.judge.equality import Rank
from sbpgmon.judge.facts import Relation, TenantFacts
from sbpgmon.judge.names import qualified, quoted
from sbpgmon.judge.texts import BrokenTextError, Token, cut
from sbpgmon.judge.utilities import Classified, Kind, classify, sets_session_context
from sbpgmon.judge.verdicts import Finding, judge_query

_FRAMES = 4000
_LENGTH = 200_000  # characters; a longer text is not worth its time


class Verdict(StrEnum):
    """What is to be said of a statement."""

    SCOPED = "scoped"
    DERIVED = "derived"
    POINT = "point"
    UNSCOPED = "unscoped"
    UNPARSED = "unparsed"
    NOT_APPLICABLE = "not_applicable"
    RLS_COVERED = "rls_covered"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, the tenants' table that decided it, and why."""

    verdict: Verdict
    table: str  # schema-qualified; '' for none
    reason: str
    tables: tuple[str, ...] = ()  # all tenants' tables that are touched
    tenants: tuple[str, ...] = ()  # schema per tenant: whose schemas are touched
    sets_session_context: bool = False
    tags: tuple[str, ...] = ()  # what the comments say
    is_beyond_rls: bool = False  # TRUNCATE: no policy is asked


@dataclass(frozen=True, slots=True)
class _One:
    """The verdict on one of the statements of a text."""

    verdict: Verdict
    reason: str
    relation: Relation | None = None
    touched: tuple[Relation, ...] = ()
    is_beyond_rls: bool = False


_WORST_FIRST = (
    Verdict.UNSCOPED,
    Verdict.UNPARSED,
    Verdict.POINT,
    Verdict.DERIVED,
    Verdict.SCOPED,
    Verdict.RLS_COVERED,
    Verdict.NOT_APPLICABLE,
)
_VERDICTS = {
    Rank.UNSCOPED: Verdict.UNSCOPED,
    Rank.POINT: Verdict.POINT,
    Rank.DERIVED: Verdict.DERIVED,
    Rank.SCOPED: Verdict.SCOPED,
}


def judge(sql: str, facts: TenantFacts, *, user: str | None = None, ignore_rls: bool = False) -> Judgement:
    """Judges a text as pg_stat_statements shows it, as run by `user`; several statements get the worst verdict.

    Never raises: a text that cannot be judged is `unparsed`, and the reason says why.
    """
    if len(sql) > _LENGTH:
        return Judgement(Verdict.UNPARSED, "", f"The text is longer than {_LENGTH:,} characters.")
    if sql.strip().lower() == "<insufficient privilege>":
        return Judgement(Verdict.UNPARSED, "", "The text is hidden: the monitoring role may not read it.")
    try:
        text = cut(sql)
    except BrokenTextError as error:
        return Judgement(Verdict.UNPARSED, "", f"The text cannot be parsed: {error}.")
    statements = text.statements()
    found = [_judge_one(tokens, facts, None if ignore_rls else user, user) for tokens in statements]
    worst = min(
        found,
        key=lambda each: _WORST_FIRST.index(each.verdict),
        default=_One(Verdict.NOT_APPLICABLE, "The text is empty."),
    )
    touched = dict.fromkeys(relation for each in found for relation in each.touched)
    return Judgement(
        worst.verdict,
        qualified(worst.relation) if worst.relation is not None else "",
        worst.reason,
        tuple(sorted(qualified(relation) for relation in touched)),
        tuple(sorted({relation.tenant for relation in touched if relation.tenant is not None})),
        any(_sets_context(tokens, facts) for tokens in statements),
        text.tags,
        any(each.is_beyond_rls for each in found),
    )


def _sets_context(tokens: tuple[Token, ...], facts: TenantFacts) -> bool:
    try:
        return sets_session_context(tokens, facts.setting)
    except BrokenTextError:
        return True


def _judge_one(tokens: tuple[Token, ...], facts: TenantFacts, covered: str | None, user: str | None) -> _One:
    limit = sys.getrecursionlimit()
    try:
        # The parser takes some twenty frames for a pair of parentheses; more of them than usual are common.
        sys.setrecursionlimit(max(limit, _FRAMES))
        one = _judge_classified(classify(tokens), facts, user)
    except RecursionError:
        return _One(Verdict.UNPARSED, "The statement is nested too deeply.")
    except Exception as error:  # whatever a text does to the parser, the judge goes on to the next one
        return _One(Verdict.UNPARSED, f"The text cannot be parsed: {_first_line(error)}.")
    finally:
        sys.setrecursionlimit(limit)
    if one.touched and covered is not None and not one.is_beyond_rls:
        tenants = {relation.tenant for relation in one.touched if relation.tenant is not None}
        if len(tenants) < 2 and all(covered in relation.rls for relation in one.touched):
            reason = f"Row level security holds for {covered} on every tenants' table that is touched."
            return _One(Verdict.RLS_COVERED, reason, one.relation, one.touched)
    return one


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0].rstrip(".")[:200] if text else type(error).__name__


def _judge_classified(statement: Classified, facts: TenantFacts, user: str | None) -> _One:
    if statement.kind is Kind.QUERY:
        return _judge_query(judge_query(statement.tokens, facts, user))
    if statement.kind is Kind.WHOLE:
        return _judge_whole(statement, facts, user)
    if statement.kind is Kind.NOTHING:
        return _One(Verdict.NOT_APPLICABLE, "The statement reads and writes no rows of tenants' tables by itself.")
    named = _named(statement, facts)
    if statement.kind is Kind.CODE and named is None:
        return _One(
            Verdict.NOT_APPLICABLE, "What the code that is run does cannot be seen; no tenants' table is named."
        )
    if named is not None:
        return _One(Verdict.UNPARSED, f"{qualified(named)} is named in a statement that cannot be parsed.")
    return _One(Verdict.UNPARSED, "The text is no statement that is known.")


def _named(statement: Classified, facts: TenantFacts) -> Relation | None:
    for token in statement.tokens:
        names = [token.name] if token.name else []
        if token.kind == "string":
            names = [inner.name for inner in cut(token.text[1:-1].replace("'", " ")).tokens]
        for name in names:
            for relation in facts.by_name.get(name, ()):
                if facts.is_watched(relation):
                    return relation
    return None


def _judge_whole(statement: Classified, facts: TenantFacts, user: str | None) -> _One:
    found = [facts.find(schema or None, name, user) for schema, name in statement.tables]
    touched = tuple(relation for relation in found if relation is not None and facts.is_watched(relation))
    if not touched:
        return _One(Verdict.NOT_APPLICABLE, "No tenants' table is touched.")
    worst = next((relation for relation in touched if relation.tenant is None), touched[0])
    is_truncate = statement.verb == "truncate"
    if len({relation.tenant for relation in touched}) == 1 and worst.tenant is not None:
        reason = f"{qualified(worst)} is in the schema of {quoted(worst.tenant)}."
        return _One(Verdict.SCOPED, reason, worst, touched, is_truncate)
    what = {
        "truncate": "TRUNCATE removes the rows of all tenants from",
        "copy to": "COPY reads the rows of all tenants from",
        "copy from": "COPY can load rows of any tenant into",
    }[statement.verb]
    return _One(Verdict.UNSCOPED, f"{what} {qualified(worst)}.", worst, touched, is_truncate)


def _judge_query(finding: Finding) -> _One:
    relation = finding.relation
    if relation is None:
        return _One(Verdict.NOT_APPLICABLE, "No tenants' table is touched.")
    tenants = sorted({each.tenant for each in finding.touched if each.tenant is not None})
    if len(tenants) > 1:
        reason = f"The schemas of {len(tenants)} tenants are touched: {', '.join(map(quoted, tenants))}."
        return _One(Verdict.UNSCOPED, reason, relation, finding.touched)
    return _One(_VERDICTS[finding.rank], _reason(finding, relation), relation, finding.touched)


def _reason(finding: Finding, relation: Relation) -> str:
    table = qualified(relation)
    key = quoted(relation.key) if relation.key is not None else ""
    if finding.rank == Rank.SCOPED:
        if relation.tenant is not None and not key:
            return f"{table} is in the schema of one tenant."
        return f"{key} of {table} is bound."
    if finding.rank == Rank.DERIVED:
        return f"{table} is joined, over a foreign key or its own key, to rows that are bound."
    if finding.rank == Rank.POINT:
        if finding.is_write:
            return f"New rows of {table} belong to a row that is found by its key alone: whose it is, is not checked."
        return f"{table} is found by a primary or unique key alone: whose row it is, is not checked."
    if finding.is_write:
        return f"New rows of {table} are not bound to one tenant" + (f" by {key}." if key else ".")
    if not key:
        what = "shows rows of tenants without their key" if relation.kind in "vm" else "has no tenant key"
        return f"{table} {what}, and is not joined to anything that is bound."
    return f"{key} of {table} is not bound in every row that is read or written."
