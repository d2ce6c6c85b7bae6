"""FROM: its tables, subqueries and functions, and what each join says of which side."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlglot import exp

from sbpgmon.judge.conditions import QUERIES, WRITES, add_condition, alias_of, attach, equate, link, visit
from sbpgmon.judge.equality import Column
from sbpgmon.judge.fixed import are_elements
from sbpgmon.judge.recursion import add_recursive
from sbpgmon.judge.scopes import Context, Entry, Place, Scope, identifier, relation_entry


@dataclass(slots=True)
class Side:
    """One side of a join: its sources, and the columns that USING or NATURAL made one."""

    entries: list[Entry] = field(default_factory=list)
    merged: dict[str, Column] = field(default_factory=dict)

    def column(self, name: str) -> Column | None:
        """The column of that name on this side; None where that is not certain."""
        if name in self.merged:
            return self.merged[name]
        having = [entry for entry in self.entries if name in entry.columns]
        if not having:
            having = [entry for entry in self.entries if entry.is_open]
        return having[0].column(name) if len(having) == 1 else None

    def names(self) -> set[str]:
        """The names of all columns on this side that are known."""
        return {name for entry in self.entries for name in entry.columns}


def add_from(
    context: Context, first: exp.Expr | None, joins: list[exp.Join], place: Place, *, is_bare: bool = False
) -> Side:
    """Takes in a FROM list: a comma binds less than JOIN. `is_bare`: `first` without the joins that it carries."""
    whole = Side()
    groups: list[list[tuple[exp.Expr, exp.Join | None]]] = [[(first, None)]] if first is not None else []
    for join in joins:
        if _is_comma(join) or not groups:
            groups.append([(join.this, None)])
        else:
            groups[-1].append((join.this, join))
    for number, group in enumerate(groups):
        side = _add_group(context, group, place, is_bare=is_bare and number == 0)
        whole.entries += side.entries
        whole.merged |= side.merged
    return whole


def _is_comma(join: exp.Join) -> bool:
    return not any(join.args.get(part) for part in ("side", "kind", "method", "on", "using"))


def _add_group(context: Context, group: list[tuple[exp.Expr, exp.Join | None]], place: Place, *, is_bare: bool) -> Side:
    # The guards that outer joins further right put on everything to their left.
    lefts: list[int] = [0] * len(group)
    rights: list[int] = [0] * len(group)
    for number, (_, join) in enumerate(group):
        side = str(join.side).upper() if join is not None else ""
        lefts[number] = context.graph.number() if side in ("RIGHT", "FULL") else 0
        rights[number] = context.graph.number() if side in ("LEFT", "FULL") else 0
    whole = Side()
    for number, (node, join) in enumerate(group):
        later = {guard for guard in lefts[number + 1 :] if guard}
        own = {rights[number]} - {0}
        right = _add_item(context, node, place.under(*later, *own), is_bare=is_bare and join is None)
        if join is None:
            whole = right
            continue
        on = place.under(*later, *own, *({lefts[number]} - {0}))
        _merge(context, join, whole, right, on, place.under(*later), (lefts[number], rights[number]))
        whole.entries += right.entries
        condition = join.args.get("on")
        if condition is not None:
            add_condition(context, condition, on)
    return whole


def _merge(
    context: Context, join: exp.Join, left: Side, right: Side, on: Place, place: Place, guards: tuple[int, int]
) -> None:
    """USING and NATURAL: equal columns that become one."""
    if str(join.method).upper() == "NATURAL":
        is_known = not any(entry.is_open for entry in (*left.entries, *right.entries))
        names = sorted((left.names() | set(left.merged)) & (right.names() | set(right.merged))) if is_known else []
    else:
        names = [identifier(each) for each in join.args.get("using") or ()]
    merged = {**left.merged, **right.merged}
    for name in names:
        one, two = left.column(name), right.column(name)
        equate(context, one, two, on)
        if guards[0] and guards[1]:
            both = (context.graph.number(), name)
            link(context, both, one, place.under(guards[0]))
            link(context, both, two, place.under(guards[1]))
            merged[name] = both
        elif (column := two if guards[0] else one) is not None:
            merged[name] = column
    left.merged = merged
    scope = on.scope
    scope.merged |= merged


def _add_item(context: Context, node: exp.Expr, place: Place, *, is_bare: bool = False) -> Side:
    joins = node.args.get("joins")
    if joins and not is_bare:
        return add_from(context, node, joins, place, is_bare=True)
    if isinstance(node, exp.Subquery) and not node.args.get("alias"):
        inner = node.this
        if not isinstance(inner, exp.Query) or isinstance(inner, exp.Subquery):
            return _add_item(context, inner, place)  # a join in parentheses
    entry = _add_entry(context, node, place)
    place.scope.entries.append(entry)
    return Side([entry])


def _add_entry(context: Context, node: exp.Expr, place: Place) -> Entry:
    alias, names = alias_of(node)
    if isinstance(node, exp.Lateral):
        inner = node.this
        if isinstance(inner, QUERIES):
            return _derive(context, inner, place, place, alias, names)
        return _function(context, inner, place, alias, names)
    if isinstance(node, QUERIES):
        # Without LATERAL a subquery does not see its neighbours.
        around = Place(Scope(place.scope.parent), place.common)
        return _derive(context, node, around, place, alias, names)
    if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier):
        return table_entry(context, node, place, alias, names)
    return _function(context, node.this if isinstance(node, exp.Table) and node.this else node, place, alias, names)


def _derive(context: Context, node: exp.Expr, inner: Place, place: Place, alias: str, names: list[str]) -> Entry:
    frame = context.graph.number()
    within = Place(inner.scope, inner.common, place.guards, place.inside | {frame}, place.is_judged)
    result = context.build(context, node, within)
    result.frame = frame
    return attach(context, result, place, alias, names)


def table_entry(
    context: Context, node: exp.Table, place: Place, alias: str, names: list[str], *, is_insert: bool = False
) -> Entry:
    """A named table: a query of WITH, a relation, or something that is not known."""
    context.seen.add(id(node))
    name, schema = identifier(node.this), identifier(node.args.get("db"))
    common = place.common.get(name) if not schema and not is_insert else None
    if common is not None:
        context.used.add(id(common.node))
        if common.entry is not None:
            entry = common.entry
            columns = dict(zip([*names, *list(entry.columns)[len(names) :]], entry.columns.values(), strict=False))
            return Entry(alias or name, None, entry.number, columns, entry.positions, entry.is_open)
        assert common.node is not None
        assert common.place is not None
        inner = Place(common.place.scope, common.place.common, place.guards, place.inside, place.is_judged)
        if common.is_recursive:
            entry = add_recursive(context, name, common, inner, place)
            entry.name = alias or name
            return entry
        if isinstance(common.node, WRITES):  # its own sources are judged once, where it stands
            place = Place(place.scope, place.common, place.guards, place.inside, False)
        return _derive(context, common.node, inner, place, alias or name, [*names, *common.names[len(names) :]])
    relation = context.facts.find(schema or None, name, context.user)
    if relation is None:
        source = context.source(place)
        known = {column: (source.number, column) for column in names}
        return Entry(alias or name, None if alias else schema, source.number, known, [], is_open=True)
    return relation_entry(context, relation, place, alias, names, is_insert=is_insert)


def _function(context: Context, node: exp.Expr, place: Place, alias: str, names: list[str]) -> Entry:
    """A function in FROM: what it reads cannot be seen."""
    visit(context, node, place)
    for table in node.find_all(exp.Table):
        context.seen.add(id(table))
    source = context.source(place)
    is_fixed = are_elements(node, context.facts.setting)
    entry = Entry(alias, None, source.number, {}, [], is_open=True, is_fixed=is_fixed)
    ordinal = node.args.get("offset")
    has_ordinal = bool(node.parent is not None and node.parent.args.get("ordinality"))
    if is_fixed and isinstance(node, exp.Unnest) and not names:
        entry.positions += [context.graph.constant() for _ in node.expressions]
    for number, name in enumerate(names or ([alias] if alias else [])):
        is_value = is_fixed and not (has_ordinal and number == len(names) - 1)
        entry.columns[name] = context.graph.constant() if is_value else (source.number, name)
        if names or not entry.positions:
            entry.positions.append(entry.columns[name])
    if isinstance(ordinal, exp.Identifier):
        entry.columns[identifier(ordinal)] = (source.number, identifier(ordinal))
    return entry
