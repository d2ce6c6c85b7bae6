"""INSERT, UPDATE, DELETE and MERGE: the rows that they find, and the rows that they write."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from sbpgmon.judge.conditions import add_condition, alias_of, attach, column_of, equate, link, single, visit
from sbpgmon.judge.equality import Column, Either, NotNull, Rank, Source
from sbpgmon.judge.facts import Relation
from sbpgmon.judge.joins import add_from, table_entry
from sbpgmon.judge.outputs import outputs_of
from sbpgmon.judge.scopes import Context, Entry, Place, Result, Scope, identifier, relation_entry


def build(context: Context, node: exp.Expr, place: Place) -> Result:
    """Builds a statement that writes; the result is what RETURNING gives."""
    place = Place(Scope(place.scope), place.common, place.guards, place.inside, place.is_judged)
    if isinstance(node, exp.Insert):
        _insert(context, node, place)
    elif isinstance(node, exp.Update):
        _update(context, node, place)
    elif isinstance(node, exp.Delete):
        _delete(context, node, place)
    else:
        assert isinstance(node, exp.Merge)
        _merge(context, node, place)
    returning = node.args.get("returning")
    if returning is None:
        return single([], place.guards)
    outputs, is_complete = outputs_of(context, returning.expressions, place)
    for output in outputs:
        output.is_open = False
    return single(outputs, place.guards, is_complete=is_complete)


def _relation(context: Context, entry: Entry) -> Relation | None:
    return _source(context, entry).relation


def _source(context: Context, entry: Entry) -> Source:
    return next(source for source in context.graph.sources if source.number == entry.number)


def _target(context: Context, node: exp.Expr, place: Place, *, is_insert: bool = False) -> Entry:
    table = node.this if isinstance(node, exp.Schema) else node
    if not isinstance(table, exp.Table) or not isinstance(table.this, exp.Identifier):
        raise NotImplementedError("a target that is no table")
    alias, names = alias_of(table)
    entry = table_entry(context, table, place, alias, names, is_insert=is_insert)
    place.scope.entries.append(entry)
    return entry


def _insert(context: Context, node: exp.Insert, place: Place) -> None:
    schema = node.this
    target = _target(context, schema, place, is_insert=True)
    relation = _relation(context, target)
    if isinstance(schema, exp.Schema):
        names = [identifier(each.this if isinstance(each, exp.Column) else each) for each in schema.expressions]
    else:
        names = list(relation.columns) if relation is not None else []
    written: dict[str, Column] = {}
    query = node.expression
    if query is not None:
        _fill_defaults(query, names, relation)
        around = Place(Scope(place.scope.parent), place.common, place.guards, place.inside, place.is_judged)
        frame = context.graph.number()
        inner = Place(around.scope, around.common, around.guards, around.inside | {frame}, around.is_judged)
        result = context.build(context, query, inner)
        result.frame = frame
        entry = attach(context, result, around, "", [])
        written = dict(zip(names, entry.positions, strict=False))
    _write(context, target, written, place)
    conflict = node.args.get("conflict")
    if conflict is not None and relation is not None:
        _conflict(context, conflict, relation, target, place)


def _fill_defaults(query: exp.Expr, names: list[str], relation: Relation | None) -> None:
    """DEFAULT written for a key whose default reads the context is as good as a value."""
    if relation is None or not relation.key_has_default or relation.key not in names:
        return
    position = names.index(relation.key)
    for row in query.expressions if isinstance(query, exp.Values) else ():
        cells = row.expressions if isinstance(row, exp.Tuple) else [row]
        if position < len(cells) and _is_default(cells[position]):
            cells[position].replace(exp.Null())


def _write(context: Context, target: Entry, written: dict[str, Column], place: Place) -> None:
    """The columns of new rows; a key that is not written is bound where its default reads the context."""
    relation = _relation(context, target)
    for name, column in written.items():
        link(context, (target.number, name), column, place)
    if relation is None or relation.key is None:
        return
    # A row whose key is NULL is no tenant's: so the key may be taken for the value of a row that was found.
    context.graph.not_nulls.append(NotNull((target.number, relation.key), place.guards))
    if relation.key_has_default and relation.key not in written:
        link(context, (target.number, relation.key), context.graph.constant(), place)


def _conflict(context: Context, node: exp.OnConflict, relation: Relation, target: Entry, place: Place) -> None:
    """ON CONFLICT DO UPDATE: the row that is there already is found by the columns of the conflict."""
    action = node.args.get("action")
    if action is None or "UPDATE" not in str(action.this).upper():
        return
    keys = [_conflict_column(each) for each in node.args.get("conflict_keys") or ()]
    if not keys:
        keys = list(_constraint(relation, identifier(node.args.get("constraint"))))
    alias = target.name if target.schema is None else ""
    scope = Scope(place.scope.parent)
    inner = Place(scope, place.common, place.guards, place.inside, place.is_judged)
    found = relation_entry(context, relation, inner, alias, [])
    excluded = Entry("excluded", None, target.number, target.columns, target.positions, target.is_open)
    scope.entries += [found, excluded]
    for name in keys:
        equate(context, (found.number, name), (target.number, name), inner)
    if any(set(columns) <= set(keys) for columns in relation.unique):
        _source(context, found).assumed = Rank.POINT
    where = node.args.get("where")
    if where is not None:
        add_condition(context, where.this, inner)
    _set(context, node.expressions, relation, inner)


def _constraint(relation: Relation, name: str) -> tuple[str, ...]:
    """The columns of a constraint, by the name that the server gives it; of others, the worst is taken."""
    primary = relation.unique[:1] if relation.has_primary_key else ()
    names = {f"{relation.name}_{'_'.join(columns)}_key": columns for columns in relation.unique}
    names |= {f"{relation.name}_pkey": columns for columns in primary}
    if name in names:
        return names[name]
    lacking = [columns for columns in relation.unique if relation.key not in columns]
    return next(iter(lacking or relation.unique), ())


def _conflict_column(node: exp.Expr) -> str:
    while isinstance(node, (exp.Ordered, exp.Paren, exp.Collate)):
        node = node.this
    return identifier(node.this) if isinstance(node, exp.Column) else ""


def _set(context: Context, assignments: Sequence[exp.Expr], relation: Relation | None, place: Place) -> None:
    """SET: a key that is written has to be bound as well."""
    for each in assignments:
        if not isinstance(each, exp.EQ):
            visit(context, each, place)
            continue
        value = each.expression
        columns = each.this.expressions if isinstance(each.this, exp.Tuple) else [each.this]
        names = [identifier(column.this) if isinstance(column, exp.Column) else "" for column in columns]
        if relation is None or relation.key is None or relation.key not in names:
            visit(context, value, place)
            continue
        if isinstance(each.this, exp.Tuple):
            values = list(value.expressions) if isinstance(value, exp.Tuple) else []
            visit(context, value, place)
        else:
            values = [value]
        number = names.index(relation.key)
        column = column_of(context, values[number], place) if number < len(values) else None
        moved = context.source(place, relation, is_insert=True)
        link(context, (moved.number, relation.key), column, place)


def _update(context: Context, node: exp.Update, place: Place) -> None:
    target = _target(context, node.this, place)
    source = node.args.get("from_")
    if source is not None:
        add_from(context, source.this, [], place)
    _where(context, node, place)
    _set(context, node.expressions, _relation(context, target), place)


def _delete(context: Context, node: exp.Delete, place: Place) -> None:
    _target(context, node.this, place)
    for each in node.args.get("using") or ():
        add_from(context, each, [], place)
    _where(context, node, place)


def _where(context: Context, node: exp.Expr, place: Place) -> None:
    where = node.args.get("where")
    if where is not None:
        add_condition(context, where.this, place)


def _merge(context: Context, node: exp.Merge, place: Place) -> None:
    """MERGE: a join that keeps rows of the source without a match where these are inserted."""
    whens = node.args["whens"].expressions
    matched = context.graph.number()
    own = place.under(matched)
    target = _target(context, node.this, own)
    relation = _relation(context, target)
    is_outer = any(isinstance(when.args["then"], exp.Insert) for when in whens)
    add_from(context, node.args["using"], [], place if is_outer else own)
    add_condition(context, node.args["on"], own)
    updates: list[int] = []
    inserts: list[int] = []
    for when in whens:
        then, condition = when.args["then"], when.args.get("condition")
        if "NOTHING" in str(then.this).upper():
            visit(context, condition, own)
            continue
        guard = context.graph.number()
        if when.args.get("matched"):
            updates.append(guard)
            inner = own.under(guard)
        elif when.args.get("source"):
            _by_source(context, node.this, condition, then, place.under(guard))
            continue
        else:
            inserts.append(guard)
            inner = place.under(guard)
        if condition is not None:
            add_condition(context, condition, inner)
        if isinstance(then, exp.Update):
            _set(context, then.expressions, relation, inner)
        elif isinstance(then, exp.Insert):
            _merge_insert(context, then, relation, inner)
    if updates:
        context.graph.eithers.append(Either(tuple(updates), own.guards))
    if inserts:
        context.graph.eithers.append(Either((*([matched] if updates else []), *inserts), place.guards))


def _by_source(
    context: Context, table: exp.Expr, condition: exp.Expr | None, then: exp.Expr | None, place: Place
) -> None:
    """WHEN NOT MATCHED BY SOURCE: every row of the target that its own condition leaves."""
    inner = Place(Scope(place.scope.parent), place.common, place.guards, place.inside, place.is_judged)
    target = _target(context, table, inner)
    if condition is not None:
        add_condition(context, condition, inner)
    if isinstance(then, exp.Update):
        _set(context, then.expressions, _relation(context, target), inner)


def _merge_insert(context: Context, node: exp.Insert, relation: Relation | None, place: Place) -> None:
    if relation is None:
        return
    columns = node.this.expressions if node.this is not None else []
    names = [identifier(each.this if isinstance(each, exp.Column) else each) for each in columns]
    values = node.expression.expressions if node.expression is not None else []
    target = relation_entry(context, relation, place, "", [], is_insert=True)
    written = {}
    for name, value in zip(names or relation.columns, values, strict=False):
        column = column_of(context, value, place)
        if column is not None:
            written[name] = column
        elif name == relation.key and not _is_default(value):
            written[name] = (target.number, f"{name} as written")
    _write(context, target, written, place)


def _is_default(node: exp.Expr) -> bool:
    return isinstance(node, exp.Var) and str(node.this).upper() == "DEFAULT"
