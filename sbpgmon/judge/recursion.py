"""WITH RECURSIVE, by induction: what holds for the first rows, and for the next ones if it holds for those before.

The rows so far are a source of which something is assumed: columns that the statement fixes, and columns that
come from one row of a bound table (as in a walk down a tree). An assumption that the recursive part does not
bear out is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from sqlglot import exp

from sbpgmon.judge.conditions import attach, link
from sbpgmon.judge.equality import Closure, Column, Rank
from sbpgmon.judge.facts import Relation
from sbpgmon.judge.scopes import Arm, Common, Context, Entry, Place, Result

_ROUNDS = 6


@dataclass(slots=True)
class _Assumed:
    """What is assumed of each row so far."""

    fixed: set[int] = field(default_factory=set)  # positions
    relation: Relation | None = None  # where the columns of `origin` come from
    rank: Rank = Rank.UNSCOPED
    origin: dict[int, str] = field(default_factory=dict)  # position: column of `relation`


def build_side(context: Context, node: exp.Expr, place: Place) -> list[Arm]:
    """The arms of one side of a set operation, each with a guard of its own."""
    bare = node
    while isinstance(bare, exp.Subquery) and not bare.args.get("limit") and not bare.args.get("offset"):
        bare = bare.this
    if not isinstance(bare, (exp.SetOperation, exp.Values)):
        place = place.under(context.graph.number())
    return context.build(context, bare, place).arms


def add_recursive(context: Context, name: str, common: Common, inner: Place, place: Place) -> Entry:
    """One use of a recursive query as a source."""
    frame = context.graph.number()
    others = {key: each for key, each in inner.common.items() if key != name}
    within = Place(inner.scope, others, place.guards, place.inside | {frame}, place.is_judged)
    node = common.node
    while isinstance(node, exp.Subquery):
        node = node.this
    if not isinstance(node, exp.Union):
        assert node is not None
        result = context.build(context, node, within)
        result.frame = frame
        return attach(context, result, place, name, list(common.names))
    first = build_side(context, node.this, within)
    assumed = _assume(context, first, within)
    for round_number in range(_ROUNDS):
        before = [len(parts) for parts in _parts(context)]
        if round_number == _ROUNDS - 1:
            assumed = _Assumed()
        so_far = _rows_so_far(context, name, common, first, assumed, within)
        next_rows = build_side(context, node.expression, replace(within, common={**others, name: so_far}))
        borne_out = _check(context, next_rows, assumed, within)
        if borne_out == assumed:
            break
        assumed = borne_out
        for parts, length in zip(_parts(context), before, strict=True):
            del parts[length:]
    arms = [*first, *next_rows]
    for arm in arms:
        for output in arm.outputs:
            output.is_open = False
    return attach(context, Result(arms, frame), place, name, list(common.names))


def _parts(context: Context) -> list[list[Any]]:
    graph = context.graph
    return [graph.sources, graph.equals, graph.not_nulls, graph.eithers]


def _assume(context: Context, arms: list[Arm], place: Place) -> _Assumed:
    closures = [Closure(context.graph, place.guards | arm.guards, place.inside) for arm in arms]
    width = min((len(arm.outputs) for arm in arms), default=0)
    fixed = {
        position
        for position in range(width)
        if all(_is_fixed(closure, arm.outputs[position].column) for closure, arm in zip(closures, arms, strict=True))
    }
    assumed = _Assumed(fixed)
    if len(arms) != 1:
        return assumed
    by_source: dict[int, dict[int, str]] = {}
    for position, output in enumerate(arms[0].outputs):
        if output.column is not None:
            by_source.setdefault(output.column[0], {})[position] = output.column[1]
    for source in context.graph.sources:
        rank = min(closures[0].ranks.get(source.number, Rank.UNSCOPED), Rank.DERIVED)
        columns = by_source.get(source.number, {})
        if rank > assumed.rank and len(columns) > len(assumed.origin):
            assumed.relation, assumed.rank, assumed.origin = source.relation, rank, columns
    return assumed


def _is_fixed(closure: Closure, column: Column | None) -> bool:
    return column is not None and closure.is_constant(column)


def _rows_so_far(
    context: Context, name: str, common: Common, first: list[Arm], assumed: _Assumed, place: Place
) -> Common:
    outputs = first[0].outputs if first else []
    source = context.source(place)
    positions: list[Column] = [(source.number, f"{number}") for number in range(len(outputs))]
    entry = Entry(name, None, source.number, {}, positions)
    for number, output in enumerate(outputs):
        own = common.names[number] if number < len(common.names) else output.name
        if own:
            entry.columns.setdefault(own, positions[number])
        if number in assumed.fixed:
            link(context, positions[number], context.graph.constant(), place)
    if assumed.relation is not None:
        row = context.source(place, assumed.relation)
        row.is_judged, row.assumed = False, assumed.rank
        for number, column in assumed.origin.items():
            link(context, positions[number], (row.number, column), place)
    return Common(None, None, common.names, entry=entry)


def _check(context: Context, arms: list[Arm], assumed: _Assumed, place: Place) -> _Assumed:
    """The part of the assumption that the rows of `arms` bear out."""
    kept = _Assumed(set(assumed.fixed), assumed.relation, assumed.rank, dict(assumed.origin))
    for arm in arms:
        closure = Closure(context.graph, place.guards | arm.guards, place.inside)
        width = len(arm.outputs)
        kept.fixed = {each for each in kept.fixed if each < width and _is_fixed(closure, arm.outputs[each].column)}
        if kept.relation is None:
            continue
        found = {position: arm.outputs[position].column for position in kept.origin if position < width}
        numbers = {column[0] for column in found.values() if column is not None}
        number = next(iter(numbers)) if len(numbers) == 1 else 0
        source = next((each for each in context.graph.sources if each.number == number), None)
        same = {position: column for position, column in kept.origin.items() if found.get(position) == (number, column)}
        rank = closure.ranks.get(number, Rank.UNSCOPED)
        if source is None or source.relation != kept.relation or not same or rank == Rank.UNSCOPED:
            kept.relation, kept.rank, kept.origin = None, Rank.UNSCOPED, {}
        else:
            kept.rank, kept.origin = min(kept.rank, rank), same
    return kept
