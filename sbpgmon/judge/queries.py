"""SELECT, VALUES, set operations and WITH: what their rows are, and which of their columns come from where."""

from __future__ import annotations

from sqlglot import exp

from sbpgmon.judge import writes
from sbpgmon.judge.conditions import WRITES, add_condition, alias_of, column_of, single, visit
from sbpgmon.judge.equality import Column
from sbpgmon.judge.fixed import is_fixed
from sbpgmon.judge.joins import add_from
from sbpgmon.judge.outputs import close_outputs, outputs_of, own_nodes
from sbpgmon.judge.recursion import build_side
from sbpgmon.judge.scopes import Arm, Common, Context, Output, Place, Result, Scope, identifier

_ROWS = 20  # of VALUES that are told apart


def build(context: Context, node: exp.Expr, place: Place) -> Result:
    """Builds a query or a statement that writes, with everything inside it."""
    clause = node.args.get("with_")
    if clause is None:
        return _build(context, node, place)
    place = _with(context, clause, place)
    result = _build(context, node, place)
    for each in clause.expressions:
        if id(each.this) not in context.used and not isinstance(each.this, WRITES):
            context.build(context, each.this, place.common[identifier(each.args["alias"].this)].place or place)
    return result


def _with(context: Context, clause: exp.With, place: Place) -> Place:
    common = dict(place.common)
    is_recursive = bool(clause.args.get("recursive"))
    for each in clause.expressions:
        alias = each.args["alias"]
        name = identifier(alias.this)
        names = tuple(identifier(column) for column in alias.args.get("columns") or ())
        here = Place(Scope(place.scope), dict(common), place.guards, place.inside, place.is_judged)
        repeats = is_recursive and any(
            identifier(table.this) == name and not table.args.get("db") for table in each.this.find_all(exp.Table)
        )
        common[name] = Common(each.this, here, names, is_recursive=repeats)
        if isinstance(each.this, WRITES) and place.is_judged:
            inner = here.under(context.graph.number())
            context.build(context, each.this, inner)
    return Place(place.scope, common, place.guards, place.inside, place.is_judged)


def _build(context: Context, node: exp.Expr, place: Place) -> Result:
    if isinstance(node, exp.Subquery):
        return _limited(context, node, context.build(context, node.this, place), place)
    if isinstance(node, exp.Select):
        return _select(context, node, place)
    if isinstance(node, exp.SetOperation):
        arms = build_side(context, node.this, place)
        others = build_side(context, node.expression, place)
        # Rows of EXCEPT come from the left; those of INTERSECT from both, of which either will do.
        result = Result(arms if isinstance(node, exp.Except) else [*arms, *others])
        for part in ("order", "limit", "offset"):
            visit(context, node.args.get(part), place)
        return _limited(context, node, result, place)
    if isinstance(node, exp.Values):
        return _values(context, node, place)
    if isinstance(node, WRITES):
        return writes.build(context, node, place)
    raise NotImplementedError(type(node).__name__)


def _limited(context: Context, node: exp.Expr, result: Result, place: Place) -> Result:
    if node.args.get("limit") or node.args.get("offset"):
        for part in ("limit", "offset"):
            visit(context, node.args.get(part), place)
        for arm in result.arms:
            for output in arm.outputs:
                output.is_open = False
    return result


def _values(context: Context, node: exp.Values, place: Place) -> Result:
    rows = [list(row.expressions) if isinstance(row, exp.Tuple) else [row] for row in node.expressions]
    width = max((len(row) for row in rows), default=0)
    setting = context.facts.setting
    is_same = [
        all(len(row) > number and is_fixed(row[number], setting) for row in rows) for number in range(width)
    ]  # fmt: skip
    names = [f"column{number + 1}" for number in range(width)]
    if all(is_same) or len(rows) > _ROWS or len(rows) == 1:
        for row in rows[1:]:
            for each in row:
                visit(context, each, place)
        columns: list[Column | None]
        if len(rows) == 1:
            columns = [column_of(context, each, place) for each in rows[0]]
        else:
            columns = [context.graph.constant() if each else None for each in is_same]
        outputs = [Output(name, column, True) for name, column in zip(names, columns, strict=True)]
        return single(outputs, place.guards)
    arms = []
    for row in rows:
        inner = place.under(context.graph.number())
        outputs = [Output(name, column_of(context, each, inner), True) for name, each in zip(names, row, strict=False)]
        arms.append(Arm(inner.guards, outputs))
    return Result(arms)


def _select(context: Context, node: exp.Select, place: Place) -> Result:
    is_one_row = _is_aggregated(node)
    rows = Place(Scope(place.scope), place.common, place.guards, place.inside, place.is_judged)
    if is_one_row:  # its row is there even where no row was found
        rows = rows.under(context.graph.number())
    source = node.args.get("from_")
    into = node.args.get("into")
    if into is not None:
        context.seen.update(id(table) for table in into.find_all(exp.Table))
    add_from(context, source.this if source is not None else None, node.args.get("joins") or [], rows)
    for part in ("where", "having"):
        clause = node.args.get(part)
        if clause is not None:
            add_condition(context, clause.this, rows)
    for part in ("group", "order", "distinct", "limit", "offset"):
        visit(context, node.args.get(part), rows)
    for lock in node.args.get("locks") or ():  # FOR UPDATE OF names what is in FROM
        context.seen.update(id(table) for table in lock.find_all(exp.Table))
    for window in node.args.get("windows") or ():
        visit(context, window, rows)
    outputs, is_complete = outputs_of(context, node.expressions, rows)
    close_outputs(context, node, outputs, rows)
    return single(outputs, place.guards, is_complete=is_complete)


def _is_aggregated(node: exp.Select) -> bool:
    """Whether the query returns a row even where it found none; a function that is not known may be an aggregate."""
    group = node.args.get("group")
    if group is not None:
        several = (exp.GroupingSets, exp.Rollup, exp.Cube, exp.Tuple)
        return not group.expressions or any(isinstance(each, several) for each in group.expressions)
    if node.args.get("having"):
        return True
    order = node.args.get("order")
    functions = [
        inner
        for each in (*node.expressions, *([order] if order is not None else []))
        for inner in own_nodes(each)
        if isinstance(inner, (exp.AggFunc, exp.Anonymous)) and not _is_window(inner)
    ]
    if any(isinstance(each, exp.AggFunc) for each in functions):
        return True
    # Beside a plain column of its own, without GROUP BY, there can be no aggregate.
    return bool(functions) and not any(_is_own_column(each.unalias(), node) for each in node.expressions)


def _is_window(node: exp.Expr) -> bool:
    parent = node.parent
    while isinstance(parent, (exp.Filter, exp.WithinGroup, exp.IgnoreNulls, exp.RespectNulls)):
        parent = parent.parent
    return isinstance(parent, exp.Window)


def _is_own_column(node: exp.Expr, select: exp.Select) -> bool:
    if isinstance(node, exp.Star):
        return True
    table = identifier(node.args.get("table")) if isinstance(node, exp.Column) else ""
    source = select.args.get("from_")
    items = [*([source.this] if source is not None else []), *(join.this for join in select.args.get("joins") or ())]
    names = {alias_of(item)[0] or (identifier(item.this) if isinstance(item, exp.Table) else "") for item in items}
    return isinstance(node, exp.Column) and (not table or table in names)
