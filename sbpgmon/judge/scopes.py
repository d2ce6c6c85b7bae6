"""Names inside a query: which source, and which of its columns, a name means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from sqlglot import exp

from sbpgmon.judge.equality import Column, Graph, Source
from sbpgmon.judge.facts import Relation, TenantFacts

_SOURCES = 300  # more uses of tables than any statement of sane people has


class TooComplexError(Exception):
    """The statement has more parts than the judge will look at."""

    def __str__(self) -> str:
        return "it has too many parts"


@dataclass(slots=True)
class Entry:
    """A source under its name. `is_open`: it may have columns besides those known here."""

    name: str
    schema: str | None  # of a table without an alias, which may be written schema.table.column
    number: int
    columns: dict[str, Column]
    positions: list[Column]
    is_open: bool = False
    is_fixed: bool = False  # columns that are not known are values that the statement fixes

    def column(self, name: str) -> Column:
        """The column of that name; a new one where it is not known."""
        return self.columns.setdefault(name, (self.number, name))


@dataclass(slots=True)
class Scope:
    """The sources of one FROM, and the query around it."""

    parent: Scope | None = None
    entries: list[Entry] = field(default_factory=list)
    merged: dict[str, Column] = field(default_factory=dict)  # columns of USING and NATURAL


@dataclass(frozen=True, slots=True)
class Common:
    """A query of WITH, built anew for each use, or the rows so far of one that is recursive."""

    node: exp.Expr | None
    place: Place | None
    names: tuple[str, ...]
    is_recursive: bool = False
    entry: Entry | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a statement something stands."""

    scope: Scope
    common: Mapping[str, Common]
    guards: frozenset[int] = frozenset()
    inside: frozenset[int] = frozenset()
    is_judged: bool = True

    def under(self, *guards: int) -> Place:
        """The same place, where these guards hold too."""
        return replace(self, guards=self.guards.union(guards))


@dataclass(slots=True)
class Output:
    """A column of a result. `is_open`: conditions from outside on it may be taken into the query."""

    name: str | None
    column: Column | None
    is_open: bool


@dataclass(slots=True)
class Arm:
    """One SELECT of a result; `guards` hold where a row comes from it."""

    guards: frozenset[int]
    outputs: list[Output]
    is_complete: bool = True  # False: columns follow that are not known


@dataclass(slots=True)
class Result:
    """What a query returns: rows of any of its arms."""

    arms: list[Arm]
    frame: int = 0


@dataclass(slots=True)
class Context:
    """One statement at work."""

    graph: Graph
    facts: TenantFacts
    user: str | None
    build: Callable[[Context, exp.Expr, Place], Result]
    has_subqueries: bool
    touched: list[Relation] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)  # id() of the Table nodes that were looked at
    used: set[int] = field(default_factory=set)  # id() of the queries of WITH that were used
    parameters: dict[str, Column] = field(default_factory=dict)

    def source(self, place: Place, relation: Relation | None = None, *, is_insert: bool = False) -> Source:
        """A new source; raises TooComplexError."""
        if len(self.graph.sources) >= _SOURCES:
            raise TooComplexError
        is_judged = place.is_judged and relation is not None and self.facts.is_watched(relation)
        number = self.graph.number()
        source = Source(number, relation, place.guards, place.inside, is_judged, is_insert)
        self.graph.sources.append(source)
        if relation is not None and self.facts.is_watched(relation) and relation not in self.touched:
            self.touched.append(relation)
        return source

    def parameter(self, text: str) -> Column:
        """The value of `$n`."""
        if text not in self.parameters:
            self.parameters[text] = self.graph.constant()
        return self.parameters[text]


def identifier(node: exp.Expr | str | None) -> str:
    """A name as the server folds it; '' for none."""
    if isinstance(node, exp.Identifier):
        return str(node.this) if node.args.get("quoted") else str(node.this).lower()
    return str(node.name).lower() if isinstance(node, exp.Expr) else (node or "").lower()


def resolve(context: Context, node: exp.Column, scope: Scope | None) -> Column | None:
    """The column that a name means; None where that is not certain."""
    name = identifier(node.this)
    table = identifier(node.args.get("table"))
    schema = identifier(node.args.get("db"))
    while scope is not None:
        if table:
            for entry in scope.entries:
                if entry.name == table and (not schema or entry.schema == schema):
                    return _column(context, entry, name)
        elif name in scope.merged:
            return scope.merged[name]
        else:
            having = [entry for entry in scope.entries if name in entry.columns]
            if having:
                return having[0].columns[name] if len(having) == 1 else None
            unknown = [entry for entry in scope.entries if entry.is_open]
            if unknown:
                is_outer = _is_known(name, scope.parent)
                return _column(context, unknown[0], name) if len(unknown) == 1 and not is_outer else None
            if name == "ctid" and len(scope.entries) == 1:
                return scope.entries[0].column(name)
        scope = scope.parent
    return None


def _column(context: Context, entry: Entry, name: str) -> Column:
    if entry.is_fixed and name not in entry.columns and name != "ordinality":
        entry.columns[name] = context.graph.constant()
    return entry.column(name)


def _is_known(name: str, scope: Scope | None) -> bool:
    while scope is not None:
        if name in scope.merged or any(name in entry.columns for entry in scope.entries):
            return True
        scope = scope.parent
    return False


def relation_entry(
    context: Context, relation: Relation, place: Place, alias: str, names: list[str], *, is_insert: bool = False
) -> Entry:
    """A new source for a relation, under its name or alias; `names` rename its first columns."""
    source = context.source(place, relation, is_insert=is_insert)
    known = list(relation.columns)
    positions = [(source.number, column) for column in known]
    columns = dict(zip([*names, *known[len(names) :]], positions, strict=False))
    name, schema = (alias, None) if alias else (relation.name, relation.schema)
    return Entry(name, schema, source.number, columns, positions, is_open=not known)
