"""A query's verdict: the worst of the sources in it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.dialects.postgres import Postgres

from sbpgmon.judge import queries
from sbpgmon.judge.equality import Closure, Graph, Rank, Source
from sbpgmon.judge.facts import Relation, TenantFacts
from sbpgmon.judge.scopes import Context, Place, Scope, identifier
from sbpgmon.judge.texts import Token, rewrite

_CLOSURES = 200  # of one statement; alternatives beyond that are taken for the worst
_DEPTH = 4  # of alternatives within alternatives
_QUERY_WORDS = frozenset(("select", "values", "table", "with"))


class UnparsedError(Exception):
    """The parser does not take the text."""


@dataclass(frozen=True, slots=True)
class Finding:
    """How well the worst source is bound, which that is, and what was touched."""

    rank: Rank
    relation: Relation | None
    touched: tuple[Relation, ...]
    is_write: bool = False


def judge_query(tokens: Sequence[Token], facts: TenantFacts, user: str | None) -> Finding:
    """Judges one query or statement that writes; raises UnparsedError and others of the parser and the judge."""
    parsed = [each for each in _parse(rewrite(tokens)) if each is not None]
    if len(parsed) != 1:
        raise UnparsedError("the text is not one statement")
    root = parsed[0]
    if isinstance(root, exp.Command):
        raise UnparsedError("the statement is not one that the parser knows")
    inner_queries = sum(token.word in _QUERY_WORDS for token in tokens[1:])
    has_subqueries = inner_queries > 0 or tokens[0].text == "("
    context = Context(Graph(facts), facts, user, queries.build, has_subqueries)
    context.build(context, root, Place(Scope(), {}))
    lost = _overlooked(context, root, tokens)
    judged = [source for source in context.graph.sources if source.is_judged]
    if lost is not None:
        return Finding(Rank.UNSCOPED, lost, tuple(dict.fromkeys((*context.touched, lost))))
    touched = tuple(source.relation for source in judged if source.relation is not None)
    if not judged:
        return Finding(Rank.SCOPED, None, ())
    judge = _Judge(context.graph)
    ranks = [(judge.rank(source), source) for source in judged]
    rank, worst = min(ranks, key=lambda each: each[0])
    return Finding(rank, worst.relation, tuple(dict.fromkeys(touched)), worst.is_insert)


def _parse(text: str) -> list[exp.Expr | None]:
    dialect = _DIALECT
    return list(dialect.parser(error_level=sqlglot.ErrorLevel.IMMEDIATE).parse(dialect.tokenize(text), text))


_DIALECT = Postgres()
# It warns of what matters to translations alone.
logging.getLogger("sqlglot").setLevel(logging.ERROR)


def _overlooked(context: Context, root: exp.Expr, tokens: Sequence[Token]) -> Relation | None:
    """A tenants' table that stands in the text as a table and was not looked at: a form that the judge lacks."""
    names = {relation.name for relation in context.touched}
    if not context.has_subqueries and not any(
        token.name and token.name not in names and any(map(context.facts.is_watched, context.facts.by_name[token.name]))
        for token in tokens
        if token.name in context.facts.by_name
    ):
        return None
    common = {identifier(each.args["alias"].this) for each in root.find_all(exp.CTE)}
    for table in root.find_all(exp.Table):
        if id(table) in context.seen or not isinstance(table.this, exp.Identifier):
            continue
        schema, name = identifier(table.args.get("db")), identifier(table.this)
        relation = context.facts.find(schema or None, name, context.user) if schema or name not in common else None
        if relation is not None and context.facts.is_watched(relation):
            return relation
    return None


class _Judge:
    """Ranks sources; what was worked out once is kept."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        # Of the subqueries that a source stands in, those matter through which something does not hold inside.
        self._blocking = frozenset(equal.outside for equal in graph.equals if equal.outside)
        self._closures: dict[tuple[frozenset[int], frozenset[int]], Closure] = {}

    def rank(self, source: Source) -> Rank:
        """How well a source is bound."""
        return self._rank(source, source.guards, _DEPTH)

    def _rank(self, source: Source, guards: frozenset[int], depth: int) -> Rank:
        inside = source.inside & self._blocking
        closure = self._closures.get((guards, inside))
        if closure is None:
            if len(self._closures) >= _CLOSURES:
                return Rank.UNSCOPED
            closure = Closure(self._graph, guards, inside)
            self._closures[guards, inside] = closure
        best = closure.ranks.get(source.number, Rank.UNSCOPED)
        if best == Rank.SCOPED or depth == 0:
            return best
        for either in closure.open_eithers():
            # Every arm must bind: what holds in all of them holds.
            worst = Rank.SCOPED
            for arm in either.arms:
                worst = min(worst, self._rank(source, guards | {arm}, depth - 1))
                if worst <= best:
                    break
            best = max(best, worst)
        return best
