"""The columns of a select list or of RETURNING: where each comes from, and what may be asked of it from outside."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from sbpgmon.judge.conditions import QUERIES, bare, column_of
from sbpgmon.judge.equality import Column
from sbpgmon.judge.fixed import are_elements
from sbpgmon.judge.scopes import Context, Output, Place, Scope, identifier, resolve


def own_nodes(node: exp.Expr) -> Iterator[exp.Expr]:
    """A node and all below it, without queries inside it."""
    pending = [node]
    while pending:
        each = pending.pop()
        if isinstance(each, QUERIES):
            continue
        yield each
        pending += each.iter_expressions()


def outputs_of(context: Context, expressions: list[exp.Expr], place: Place) -> tuple[list[Output], bool]:
    """The columns of a select list or of RETURNING, and whether these are all."""
    outputs: list[Output] = []
    is_complete = True
    for each in expressions:
        if isinstance(each, exp.Star) or (isinstance(each, exp.Column) and isinstance(each.this, exp.Star)):
            table = identifier(each.args.get("table")) if isinstance(each, exp.Column) else ""
            is_complete &= _expand(outputs, table, place.scope)
            continue
        value = each.unalias()
        inner = value
        while isinstance(inner, (exp.Cast, exp.Paren)):
            inner = inner.this
        name = identifier(each.args.get("alias")) if isinstance(each, exp.Alias) else ""
        if not name and isinstance(inner, exp.Column):
            name = identifier(inner.this)
        column: Column | None
        if are_elements(inner, context.facts.setting):
            column = context.graph.constant()
        else:
            column = column_of(context, value, place)
        outputs.append(Output(name or None, column, True))
    return outputs, is_complete


def _expand(outputs: list[Output], table: str, scope: Scope | None) -> bool:
    """Adds the columns that a star stands for; whether they are all known."""
    if scope is None:
        return False
    entries = [entry for entry in scope.entries if not table or entry.name == table]
    if not table:
        outputs += [Output(name, column, True) for name, column in scope.merged.items()]
    elif not entries:
        return _expand(outputs, table, scope.parent)
    for entry in entries:
        by_column = {column: name for name, column in entry.columns.items()}
        for column in entry.positions:
            name = by_column.get(column)
            if table or name not in scope.merged:
                outputs.append(Output(name, column, True))
    return not any(entry.is_open for entry in entries)


def close_outputs(context: Context, node: exp.Select, outputs: list[Output], place: Place) -> None:
    """Marks the columns through which conditions must not be taken in: other rows have a say in these rows."""
    allowed: list[set[Column | None]] = []
    if node.args.get("limit") or node.args.get("offset"):
        allowed.append(set())
    distinct = node.args.get("distinct")
    if distinct is not None and distinct.args.get("on") is not None:
        keys = bare(distinct.args["on"])
        allowed.append(_columns(context, keys.expressions if isinstance(keys, exp.Tuple) else [keys], outputs, place))
    group = node.args.get("group")
    if group is not None:
        allowed.append(_columns(context, group.expressions, outputs, place))
    named = {identifier(window.this): window for window in node.args.get("windows") or ()}
    for part in (*node.expressions, node.args.get("order")):
        for each in own_nodes(part) if part is not None else ():
            if isinstance(each, exp.Window):
                window = named.get(identifier(each.args.get("alias")), each)
                allowed.append(_columns(context, window.args.get("partition_by") or [], outputs, place))
    for output in outputs:
        if any(output.column not in columns for columns in allowed):
            output.is_open = False


def _columns(context: Context, nodes: list[exp.Expr], outputs: list[Output], place: Place) -> set[Column | None]:
    """The columns among these keys; none where grouping sets make it several groupings."""
    found: set[Column | None] = set()
    for node in nodes:
        if isinstance(node, (exp.GroupingSets, exp.Rollup, exp.Cube)):
            return set()
        if isinstance(node, exp.Literal) and not node.args.get("is_string") and node.this.isdigit():
            position = int(node.this) - 1
            found.add(outputs[position].column if 0 <= position < len(outputs) else None)
        elif isinstance(node, exp.Column):
            column = resolve(context, node, place.scope)
            if column is None:
                named = [output.column for output in outputs if output.name == identifier(node.this)]
                column = named[0] if named else None
            found.add(column)
    return found - {None}
