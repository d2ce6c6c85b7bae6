"""Which columns are bound in the rows that count: equalities, the outer joins that guard them, and what follows.

A *row source* (`Source`) is one use of a table, or of a subquery's result. A *guard* is a number that stands for
"this side of an outer join has a row", "this arm holds", "this subquery has a row". A condition holds only where
all of its guards do; a source has a row only where all of its guards do. The rows of a source that count are
those in combinations that pass every condition, so each source is judged under its own guards. An equality is true
only of values that are not NULL, which makes the guards of both its sides hold (PostgreSQL's own reduction of
outer joins).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum

from sbpgmon.judge.facts import Relation, TenantFacts

Column = tuple[int, str]  # the number of a source and a column; 0 is for constants


class Rank(IntEnum):
    """How well a source is bound; the higher the better."""

    UNSCOPED = 0
    POINT = 1
    DERIVED = 2
    SCOPED = 3


@dataclass(slots=True)
class Source:
    """One use of a relation, or of a subquery (`relation` is None)."""

    number: int
    relation: Relation | None
    guards: frozenset[int]
    inside: frozenset[int]  # the subqueries that it stands in
    is_judged: bool = True
    is_insert: bool = False  # the rows to be inserted: no rows are there to be found by a key
    assumed: Rank = Rank.UNSCOPED
    ceiling: Rank = Rank.SCOPED


@dataclass(frozen=True, slots=True)
class Equal:
    """Two columns are equal. `is_strict`: and not NULL (a comparison); otherwise one is just the other's name.

    `outside`: does not hold for sources in this subquery, whose rows are not the rows of its result one by one.
    """

    left: Column
    right: Column
    guards: frozenset[int]
    is_strict: bool = True
    outside: int = 0


@dataclass(frozen=True, slots=True)
class NotNull:
    """A column is not NULL."""

    column: Column
    guards: frozenset[int]


@dataclass(frozen=True, slots=True)
class Either:
    """At least one of these guards holds."""

    arms: tuple[int, ...]
    guards: frozenset[int]


@dataclass(slots=True)
class Graph:
    """All sources and conditions of one statement."""

    facts: TenantFacts
    sources: list[Source] = field(default_factory=list)
    equals: list[Equal] = field(default_factory=list)
    not_nulls: list[NotNull] = field(default_factory=list)
    eithers: list[Either] = field(default_factory=list)
    constants: set[Column] = field(default_factory=set)
    counter: int = 0

    def number(self) -> int:
        """A new number, for a source, a guard, a constant or a subquery."""
        self.counter += 1
        return self.counter

    def constant(self) -> Column:
        """A new value that the statement fixes."""
        column = (0, str(self.number()))
        self.constants.add(column)
        return column


class Closure:
    """What follows for the sources where `guards` hold, as seen by a source that stands `inside` subqueries."""

    def __init__(self, graph: Graph, guards: frozenset[int], inside: frozenset[int]) -> None:
        self.graph = graph
        self.guards = set(guards)
        self._parents: dict[Column, Column] = {}
        self._constants: set[Column] = set()
        self._by_number = {source.number: source for source in graph.sources}
        self._close(inside)
        self.ranks = self._rank()

    def open_eithers(self) -> list[Either]:
        """Alternatives that hold here, and of which none is chosen yet."""
        return [
            either
            for either in self.graph.eithers
            if either.guards <= self.guards and not self.guards.intersection(either.arms)
        ]

    def find(self, column: Column) -> Column:
        """The column that stands for all that are equal to this one."""
        root = column
        while (parent := self._parents.get(root, root)) != root:
            root = parent
        while column != root:
            self._parents[column], column = root, self._parents.get(column, column)
        return root

    def is_constant(self, column: Column) -> bool:
        """Whether the statement fixes the value of this column."""
        return self.find(column) in self._constants

    def _close(self, inside: frozenset[int]) -> None:
        strict: set[Column] = set()
        pending = [equal for equal in self.graph.equals if equal.outside not in inside]
        nulls = list(self.graph.not_nulls)
        while True:
            active = [equal for equal in pending if equal.guards <= self.guards]
            pending = [equal for equal in pending if not equal.guards <= self.guards]
            for equal in active:
                left, right = self.find(equal.left), self.find(equal.right)
                if left != right:
                    self._parents[left] = right
                if equal.is_strict:
                    strict.update((equal.left, equal.right))
            for each in nulls:
                if each.guards <= self.guards:
                    strict.add(each.column)
            if not self._widen(strict):
                break
        self._constants = {self.find(column) for column in self.graph.constants}

    def _widen(self, strict: Iterable[Column]) -> bool:
        """Columns that are not NULL make the guards of their sources hold; whether there was a new one."""
        roots = {self.find(column) for column in strict}
        before = len(self.guards)
        for column in {*self._parents, *self._parents.values(), *strict}:
            if self.find(column) in roots and (source := self._by_number.get(column[0])) is not None:
                self.guards |= source.guards
        return len(self.guards) > before

    def _rank(self) -> dict[int, Rank]:
        here = [source for source in self.graph.sources if source.relation and source.guards <= self.guards]
        present = [source for source in here if source.relation and self.graph.facts.is_watched(source.relation)]
        ranks = {source.number: min(self._own_rank(source), source.ceiling) for source in present}
        if len(here) > len(present):
            self._look_up(present, [source for source in here if source.number not in ranks], ranks)
        if len(present) > 1:
            while self._spread(present, ranks):
                pass
        return ranks

    def _look_up(self, present: list[Source], others: list[Source], ranks: dict[int, Rank]) -> None:
        """A tenant key that is taken from one row of a shared table, as a tenant by its slug, is one tenant's."""
        fixed = {
            self.find((other.number, column))
            for other in others
            if other.relation and any(self._are_constant(other, columns) for columns in unique_keys(other.relation))
            for column in other.relation.columns
        }
        for source in present:
            key = source.relation.key if source.relation else None
            if key is not None and self.find((source.number, key)) in fixed:
                ranks[source.number] = max(ranks[source.number], min(Rank.POINT, source.ceiling))

    def _own_rank(self, source: Source) -> Rank:
        relation = source.relation
        assert relation is not None
        if relation.tenant is not None and relation.key is None:
            return Rank.SCOPED
        if relation.key is not None and self.is_constant((source.number, relation.key)):
            return Rank.SCOPED
        if source.is_insert:
            columns = [key.columns for key in relation.foreign_keys if self._is_watched(key.schema, key.table)]
            is_point = relation.key is None and any(self._are_constant(source, each) for each in columns)
        else:
            is_point = any(self._are_constant(source, columns) for columns in unique_keys(relation))
        return max(source.assumed, Rank.POINT if is_point else Rank.UNSCOPED)

    def _is_watched(self, schema: str, table: str) -> bool:
        relation = self.graph.facts.relations.get((schema, table))
        return relation is not None and self.graph.facts.is_watched(relation)

    def _are_constant(self, source: Source, columns: tuple[str, ...]) -> bool:
        return bool(columns) and all(self.is_constant((source.number, column)) for column in columns)

    def _spread(self, present: list[Source], ranks: dict[int, Rank]) -> bool:
        has_changed = False
        for source in present:
            if ranks[source.number] >= Rank.DERIVED:
                continue
            for other in present:
                best = min(ranks[other.number], Rank.DERIVED, source.ceiling)
                if other is not source and best > ranks[source.number] and self._belongs(source, other):
                    ranks[source.number] = best
                    has_changed = True
        return has_changed

    def _belongs(self, source: Source, other: Source) -> bool:
        """Whether a row of `source` is the same tenant's as the row of `other` that it is joined to."""
        one, two = source.relation, other.relation
        assert one is not None
        assert two is not None
        if one.key is not None and two.key is not None and self._are_equal(source, (one.key,), other, (two.key,)):
            return True
        for key in one.foreign_keys:
            # A new row belongs to the key that is written, whatever else it refers to.
            counts = not source.is_insert or one.key is None or one.key in key.columns
            is_there = (key.schema, key.table) == (two.schema, two.name)
            if counts and is_there and self._are_equal(source, key.columns, other, key.referenced):
                return True
        if source.is_insert or other.is_insert:
            return False
        for key in two.foreign_keys:
            is_there = (key.schema, key.table) == (one.schema, one.name)
            if is_there and self._are_equal(source, key.referenced, other, key.columns):
                return True
        if (one.schema, one.name) == (two.schema, two.name):
            return any(self._are_equal(source, columns, other, columns) for columns in unique_keys(one))
        return False

    def _are_equal(self, source: Source, left: tuple[str, ...], other: Source, right: tuple[str, ...]) -> bool:
        return bool(left) and all(
            self.find((source.number, one)) == self.find((other.number, two))
            for one, two in zip(left, right, strict=True)
        )


def unique_keys(relation: Relation) -> tuple[tuple[str, ...], ...]:
    """The keys that find one row at most; `ctid` is one, where there are no partitions or views."""
    return (*relation.unique, ("ctid",)) if relation.kind in "rm" else relation.unique
