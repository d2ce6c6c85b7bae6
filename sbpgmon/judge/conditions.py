"""Conditions: what has to be true of a row that counts."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from sbpgmon.judge.equality import Column, Either, Equal, NotNull
from sbpgmon.judge.fixed import is_fixed, is_parameter
from sbpgmon.judge.scopes import Arm, Context, Entry, Output, Place, Result, identifier, resolve

# Casts under which no two values become one. Types with a length or a precision are not among them.
_INJECTIVE = frozenset(
    (exp.DType.TEXT, exp.DType.VARCHAR, exp.DType.UUID, exp.DType.INT, exp.DType.BIGINT, exp.DType.DECIMAL)
)
_STRICT = (
    exp.GT, exp.LT, exp.GTE, exp.LTE, exp.NEQ, exp.Like, exp.ILike, exp.Between, exp.RegexpLike, exp.RegexpILike,
    exp.ArrayContainsAll, exp.ArrayContainedBy, exp.ArrayOverlaps,
)  # fmt: skip
WRITES = (exp.Insert, exp.Update, exp.Delete, exp.Merge)
QUERIES = (exp.Select, exp.SetOperation, exp.Values, exp.Subquery)


def bare(node: exp.Expr) -> exp.Expr:
    """An expression without the parentheses around it."""
    while isinstance(node, exp.Paren):
        node = node.this
    return node


def add_condition(context: Context, node: exp.Expr, place: Place) -> None:
    """Takes in what follows where `node` is true of a row."""
    pending = [node]
    while pending:
        node = pending.pop()
        if isinstance(node, exp.Paren):
            pending.append(node.this)
        elif isinstance(node, exp.And):
            pending += [node.this, node.expression]
        elif isinstance(node, exp.Is) and isinstance(node.expression, exp.Boolean) and node.expression.this:
            pending.append(node.this) if not node.args.get("negate") else visit(context, node, place)
        else:
            _add_one(context, node, place)


def _add_one(context: Context, node: exp.Expr, place: Place) -> None:
    if isinstance(node, exp.Or):
        _add_either(context, node, place)
    elif isinstance(node, exp.EQ):
        _add_equality(context, node.this, node.expression, place)
    elif isinstance(node, exp.NullSafeEQ):
        for one, two in ((node.this, node.expression), (node.expression, node.this)):
            if is_fixed(two, context.facts.setting) and not isinstance(two, exp.Null):
                link(context, column_of(context, one, place), fixed_column(context, two), place)
        visit(context, node, place)
    elif isinstance(node, exp.In) and not node.args.get("negate"):
        _add_in(context, node, place)
    elif isinstance(node, exp.Exists) and isinstance(node.this, QUERIES):
        frame = context.graph.number()
        result = context.build(context, node.this, _within(place, frame))
        _add_arms(context, result, place)
    elif isinstance(node, exp.Column):
        add_not_null(context, node, place)
    else:
        negated = node.this if isinstance(node, exp.Not) else node if node.args.get("negate") else None
        if isinstance(negated, exp.Is) and isinstance(negated.expression, exp.Null):
            add_not_null(context, negated.this, place)
        elif isinstance(node, _STRICT):
            add_not_null(context, node.this, place)
            if not isinstance(node, exp.Between):
                add_not_null(context, node.expression, place)
        visit(context, node, place)


def _add_either(context: Context, node: exp.Or, place: Place) -> None:
    arms: list[int] = []
    pending: list[exp.Expr] = [node]
    while pending:
        each = bare(pending.pop())
        if isinstance(each, exp.Or):
            pending += [each.expression, each.this]
        elif not (isinstance(each, exp.Boolean) and not each.this):
            arms.append(context.graph.number())
            add_condition(context, each, place.under(arms[-1]))
    if arms:
        context.graph.eithers.append(Either(tuple(arms), place.guards))


def _add_arms(context: Context, result: Result, place: Place) -> None:
    arms = [arm.guards - place.guards for arm in result.arms]
    if len(arms) > 1 and all(len(arm) == 1 for arm in arms):
        context.graph.eithers.append(Either(tuple(next(iter(arm)) for arm in arms), place.guards))


def _add_equality(context: Context, left: exp.Expr, right: exp.Expr, place: Place) -> None:
    left, right = bare(left), bare(right)
    if isinstance(right, exp.Any):
        values = bare(right.this)
        if isinstance(values, exp.Array) and len(values.expressions) == 1:
            inner = values.expressions[0]
            values = inner if isinstance(inner, QUERIES) else values
        if isinstance(values, QUERIES):
            _add_members(context, [left], values, place)
        elif is_fixed(values, context.facts.setting):
            equate(context, column_of(context, left, place), context.graph.constant(), place)
        else:
            visit(context, right, place)
        visit(context, left, place)
        return
    lefts, rights = _row(left), _row(right)
    if lefts is not None and isinstance(right, exp.Subquery):
        entry = _scalar(context, right, place)
        columns: list[Column | None] = list(entry.positions)
        for one, two in zip(lefts, columns, strict=False):
            equate(context, column_of(context, one, place), two, place)
    elif lefts is not None and rights is not None:
        for one, other in zip(lefts, rights, strict=False):
            _add_equality(context, one, other, place)
    else:
        equate(context, column_of(context, left, place), column_of(context, right, place), place)


def _row(node: exp.Expr) -> list[exp.Expr] | None:
    if isinstance(node, exp.Tuple) or (isinstance(node, exp.Anonymous) and str(node.this).lower() == "row"):
        return list(node.expressions)
    return None


def _add_in(context: Context, node: exp.In, place: Place) -> None:
    left = bare(node.this)
    lefts = _row(left) or [left]
    values = node.expressions
    query = node.args.get("query")
    if query is None and len(values) == 1 and isinstance(values[0], QUERIES):
        query = values[0]
    if query is not None:
        _add_members(context, lefts, query, place)
    elif len(values) == 1:
        _add_equality(context, left, values[0], place)
    elif values:
        rows = [_row(bare(value)) or [value] for value in values]
        for number, one in enumerate(lefts):
            setting = context.facts.setting
            if all(len(row) == len(lefts) and is_fixed(row[number], setting) for row in rows):
                equate(context, column_of(context, one, place), context.graph.constant(), place)
        for value in values:
            visit(context, value, place)


def _add_members(context: Context, lefts: list[exp.Expr], query: exp.Expr, place: Place) -> None:
    """A row of the query is equal to these columns."""
    frame = context.graph.number()
    result = context.build(context, query, _within(place, frame))
    result.frame = frame
    entry = attach(context, result, place, "", [])
    for one, two in zip(lefts, entry.positions, strict=False):
        equate(context, column_of(context, one, place), two, place)


def _scalar(context: Context, node: exp.Expr, place: Place) -> Entry:
    """The row of a scalar subquery. That others would make it fail, or lose, is no condition on its sources."""
    frame = context.graph.number()
    inner = place.under(context.graph.number())
    result = context.build(context, node, _within(inner, frame))
    result.frame = frame
    if not _is_one_row(context, frame):
        for arm in result.arms:
            for output in arm.outputs:
                output.is_open = False
    return attach(context, result, inner, "", [])


def _is_one_row(context: Context, frame: int) -> bool:
    """Whether a subquery has one source, found by a whole unique key: then its row is that source's."""
    sources = [source for source in context.graph.sources if frame in source.inside]
    if len(sources) != 1 or sources[0].relation is None:
        return False
    source = sources[0]
    equated = {
        column[1]
        for equal in context.graph.equals
        if equal.is_strict and equal.guards <= source.guards and (equal.left[0] != equal.right[0])
        for column in (equal.left, equal.right)
        if column[0] == source.number
    }
    return any(columns and equated.issuperset(columns) for columns in sources[0].relation.unique)


def _within(place: Place, frame: int) -> Place:
    return Place(place.scope, place.common, place.guards, place.inside | {frame}, place.is_judged)


def column_of(context: Context, node: exp.Expr, place: Place) -> Column | None:
    """The column that an expression is the value of; None for anything that may be more or less than that."""
    while isinstance(node, (exp.Paren, exp.Collate)) or (
        isinstance(node, exp.Cast) and node.to.this in _INJECTIVE and not node.to.expressions
    ):
        node = node.this
    if isinstance(node, exp.Dot) and isinstance(node.expression, exp.Identifier):
        row = bare(node.this)  # (alias).column
        if isinstance(row, exp.Column) and not row.args.get("table"):
            node = exp.Column(this=node.expression, table=row.this)
    if isinstance(node, exp.Column) and not isinstance(node.this, exp.Star):
        return resolve(context, node, place.scope)
    if isinstance(node, exp.Subquery) and not is_fixed(node, context.facts.setting):
        positions = _scalar(context, node, place).positions
        return positions[0] if positions else None
    if is_fixed(node, context.facts.setting):
        return fixed_column(context, node)
    visit(context, node, place)
    return None


def fixed_column(context: Context, node: exp.Expr) -> Column:
    """The value of a fixed expression: the same `$n` is the same value."""
    while isinstance(node, (exp.Paren, exp.Cast)):
        node = node.this
    return context.parameter(node.this) if is_parameter(node) else context.graph.constant()


def equate(context: Context, left: Column | None, right: Column | None, place: Place) -> None:
    """Two columns are equal, and so not NULL."""
    if left is not None and right is not None:
        context.graph.equals.append(Equal(left, right, place.guards))
    elif (known := left or right) is not None:
        context.graph.not_nulls.append(NotNull(known, place.guards))


def link(context: Context, left: Column | None, right: Column | None, place: Place, outside: int = 0) -> None:
    """Two columns are one, NULL or not."""
    if left is not None and right is not None:
        context.graph.equals.append(Equal(left, right, place.guards, is_strict=False, outside=outside))


def add_not_null(context: Context, node: exp.Expr, place: Place) -> None:
    """A plain column is not NULL."""
    node = bare(node)
    if isinstance(node, exp.Column) and not isinstance(node.this, exp.Star):
        column = resolve(context, node, place.scope)
        if column is not None:
            context.graph.not_nulls.append(NotNull(column, place.guards))


def attach(context: Context, result: Result, place: Place, alias: str, names: list[str]) -> Entry:
    """The result of a query as a source; `names` rename its first columns."""
    source = context.source(place)
    width = max((len(arm.outputs) for arm in result.arms), default=0)
    first: list[Output] = result.arms[0].outputs if result.arms else []
    entry = Entry(alias, None, source.number, {}, [])
    entry.is_open = not all(arm.is_complete for arm in result.arms)
    for number in range(width):
        own = first[number].name if number < len(first) else None
        name = names[number] if number < len(names) else own
        column = (source.number, f"{number}")
        entry.positions.append(column)
        if name:
            entry.columns.setdefault(name, column)
        for arm in result.arms:
            if number < len(arm.outputs):
                output = arm.outputs[number]
                link(
                    context, column, output.column, place.under(*arm.guards), 0 if output.is_open else result.frame
                )  # fmt: skip
    _add_arms(context, result, place)
    return entry


def visit(context: Context, node: exp.Expr | None, place: Place) -> None:
    """Builds the queries inside an expression whose value says nothing about rows."""
    if not context.has_subqueries or node is None:
        return
    for query in _queries(node):
        inner = place.under(context.graph.number())
        context.build(context, query, _within(inner, context.graph.number()))


def _queries(node: exp.Expr) -> Iterator[exp.Expr]:
    pending = [node]
    while pending:
        each = pending.pop()
        if isinstance(each, QUERIES):
            yield each
        else:
            pending += each.iter_expressions()


def alias_of(node: exp.Expr) -> tuple[str, list[str]]:
    """The alias of an item of FROM and the names that it gives to columns."""
    alias = node.args.get("alias")
    if not isinstance(alias, exp.TableAlias):
        return identifier(alias), []
    return identifier(alias.this), [identifier(column.this if isinstance(column, exp.ColumnDef) else column)
                                    for column in alias.args.get("columns") or ()]  # fmt: skip


def single(outputs: list[Output], guards: frozenset[int] = frozenset(), *, is_complete: bool = True) -> Result:
    """A result of one arm."""
    return Result([Arm(guards, outputs, is_complete)])
