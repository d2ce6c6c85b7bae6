"""Queries at random over a few tenants' tables, and the rows of one tenant with and without those of others."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sbpgmon.judge.facts import ForeignKey, Relation, TenantFacts

# Table: its columns, its tenant key, and its foreign keys {own columns: table and columns}. All are integers.
_TABLES: dict[str, tuple[str, str | None, dict[str, str]]] = {
    "tenants": ("id slug", "id", {}),
    "users": ("id tenant_id email", "tenant_id", {}),
    "accounts": ("id tenant_id user_id balance", "tenant_id", {"user_id": "users id"}),
    "bets": (
        "id tenant_id account_id parent_id stake",
        "tenant_id",
        {"tenant_id account_id": "accounts tenant_id id", "parent_id": "bets id"},
    ),
    "bet_legs": ("id bet_id odds", None, {"bet_id": "bets id"}),
    "markets": ("id name", None, {}),
}
TENANT = 1  # whose rows a query may return; every value that a query is given is this number

FACTS = TenantFacts.of(
    [
        Relation(
            "public",
            name,
            columns=tuple(columns.split()),
            key=key,
            is_tenant=name != "markets",
            unique=(("id",), ("tenant_id", "id")) if name == "accounts" else (("id",),),
            has_primary_key=True,
            foreign_keys=tuple(
                ForeignKey(tuple(own.split()), "public", other.split()[0], tuple(other.split()[1:]))
                for own, other in foreign_keys.items()
            ),
        )
        for name, (columns, key, foreign_keys) in _TABLES.items()
    ]
)


def rows(schema: str, tenants: Sequence[int], seed: int) -> Iterator[str]:
    """Statements that make the tables in `schema` with the rows of these tenants out of three."""
    chance = random.Random(seed)
    yield f"create schema {schema}"
    for name, (columns, _, _) in _TABLES.items():
        yield f"create table {schema}.{name} ({', '.join(f'{each} int' for each in columns.split())}, primary key (id))"
    numbers = {name: chance.sample(range(1, 40), 39) for name in _TABLES}
    for market in (1, 2, 3):
        yield f"insert into {schema}.markets values ({market}, {market})"
    for tenant in (1, 2, 3):
        users = [numbers["users"].pop() for _ in range(3)]
        accounts = [numbers["accounts"].pop() for _ in range(4)]
        bets = [numbers["bets"].pop() for _ in range(6)]
        made = [f"tenants values ({tenant}, {tenant})"]
        made += [f"users values ({user}, {tenant}, {chance.randint(1, 3)})" for user in users]
        made += [f"accounts values ({a}, {tenant}, {chance.choice(users)}, {chance.randint(1, 3)})" for a in accounts]
        for place, bet in enumerate(bets):
            account, parent = chance.choice([*accounts, "null"]), chance.choice([*bets[:place], "null"])
            made.append(f"bets values ({bet}, {tenant}, {account}, {parent}, {chance.randint(1, 3)})")
        made += [
            f"bet_legs values ({numbers['bet_legs'].pop()}, {chance.choice(bets)}, {chance.randint(1, 3)})"
            for _ in bets
        ]
        if tenant in tenants:
            yield from (f"insert into {schema}.{each}" for each in made)


@dataclass(frozen=True, slots=True)
class _Source:
    alias: str
    columns: tuple[str, ...]
    table: str = ""

    @property
    def key(self) -> str:
        name = (_TABLES[self.table][1] if self.table else None) or "tenant_id"
        return f"{self.alias}.{name}" if name in self.columns else ""


_Sources = list[_Source]


class Queries:
    """Makes queries, many of them valid; the same seed makes the same one."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._names = 0
        self._common: _Sources = []

    def statement(self) -> str:
        """One query, with or without WITH."""
        parts: list[str] = []
        for _ in range(self._chance.choice([0, 0, 1, 2])):
            text, columns = self._query(1, [])
            name = self._name()
            parts.append(f"{name} as ({text})")
            self._common.append(_Source(name, columns))
        text, _ = self._query(2, [])
        return (f"with {', '.join(parts)} " if parts else "") + text

    def _name(self) -> str:
        self._names += 1
        return f"t{self._names}"

    def _is(self, share: float) -> bool:
        return self._chance.random() < share

    def _query(self, depth: int, outer: _Sources, width: int = 0) -> tuple[str, tuple[str, ...]]:
        if not self._is(0.12):
            return self._select(depth, outer, width)
        width = width or self._chance.choice([1, 2])
        one, columns = self._select(max(0, depth - 1), outer, width)
        other, _ = self._select(max(0, depth - 1), outer, width)
        return f"({one}) {self._chance.choice(['union', 'union all', 'except', 'intersect'])} ({other})", columns

    def _item(self, depth: int, outer: _Sources) -> tuple[str, _Source, bool]:
        name = self._name()
        share = self._chance.random()
        if self._common and share < 0.25:
            common = self._chance.choice(self._common)
            return f"{common.alias} as {name}", _Source(name, common.columns), False
        if depth > 0 and share < 0.45:
            is_lateral = bool(outer) and self._is(0.4)
            text, columns = self._query(depth - 1, outer if is_lateral else [])
            return f"{'lateral ' if is_lateral else ''}({text}) as {name}", _Source(name, columns), is_lateral
        if share < 0.5:
            return f"(values (1, 1)) as {name} (tenant_id, id)", _Source(name, ("tenant_id", "id")), False
        table = self._chance.choice([*_TABLES, "bets", "accounts"])
        return f"{table} as {name}", _Source(name, tuple(_TABLES[table][0].split()), table), False

    def _from(self, depth: int, outer: _Sources) -> tuple[str, _Sources]:
        text, source, is_lateral = self._item(depth, [])
        sources = [source]
        for _ in range(self._chance.choice([0, 0, 1, 1, 2])):
            item, source, is_lateral = self._item(depth, [*outer, *sources])
            kinds = ["join", "join", "left join", "cross join"] + ["right join", "full join"] * (not is_lateral)
            kind = self._chance.choice(kinds)
            both = [*sources, source]
            if kind == "cross join":
                text += f" cross join {item}"
            elif kind == "full join":  # the server wants an equality between the sides
                text += f" full join {item} on {self._column(sources)} = {self._column([source])}"
            else:
                text += f" {kind} {item} on {self._conditions(both, 0, outer)}"
            sources = both
        return text, sources

    def _select(self, depth: int, outer: _Sources, width: int) -> tuple[str, tuple[str, ...]]:
        listed, sources = self._from(depth, outer)
        where = f" where {self._conditions(sources, depth, outer)}" if self._is(0.85) else ""
        width = width or self._chance.choice([1, 2, 3])
        values = [self._key(sources) if self._is(0.5) else self._column(sources) for _ in range(width)]
        tail = ""
        share = self._chance.random()
        if share < 0.2:
            groups = ", ".join(dict.fromkeys(values))
            tail = f" group by {groups if self._is(0.8) else f'rollup ({groups})'}"
            tail += f" having {values[0]} = 1" if self._is(0.2) else ""
            values[-1] = self._chance.choice([values[-1], "count(*)::int", f"max({self._column(sources)})"])
        elif share < 0.3:
            values = [self._chance.choice(["count(*)::int", f"max({self._column(sources)})"]) for _ in values]
            tail = " having true" if self._is(0.2) else ""
        elif share < 0.4:
            values[-1] = f"(count(*) over ({self._chance.choice(['', f'partition by {values[0]}'])}))::int"
        elif share < 0.5 and depth > 0:
            inner, _ = self._query(depth - 1, [*outer, *sources], 1)
            values[-1] = f"(select max(x) from ({inner}) as m (x))"
        if share >= 0.5 and self._is(0.15):
            order = ", ".join(str(place + 1) for place in range(width))
            tail = f" order by {order} limit {self._chance.choice([1, 2])}"
        names: list[str] = []
        for place, value in enumerate(values):
            name = "tenant_id" if value.endswith(".tenant_id") else "id" if place == 0 else f"c{place}"
            names.append(name if name not in names else f"c{place}")
        listing = ", ".join(f"{value} as {name}" for value, name in zip(values, names, strict=True))
        return f"select {listing} from {listed}{where}{tail}", tuple(names)

    def _column(self, sources: _Sources) -> str:
        source = self._chance.choice(sources)
        return f"{source.alias}.{self._chance.choice(source.columns)}"

    def _key(self, sources: _Sources) -> str:
        return self._chance.choice([source.key for source in sources if source.key] or [self._column(sources)])

    def _conditions(self, sources: _Sources, depth: int, outer: _Sources) -> str:
        count = self._chance.choice([1, 1, 2, 3])
        return " and ".join(self._condition(sources, depth, outer) for _ in range(count))

    def _condition(self, sources: _Sources, depth: int, outer: _Sources) -> str:
        everything = [*outer, *sources]
        key, column = self._key(sources), self._column(everything)
        share = self._chance.random()
        if share < 0.3:
            forms = ["{0} = 1", "{0} in (1, 1)", "1 = {0}", "{0} = any (array[1])", "({0}, {1}) = (1, 1)"]
            return self._chance.choice([*forms, "{0} is not distinct from 1"]).format(key, column)
        if share < 0.4:
            return f"{key} = {self._key(everything)}"
        if share < 0.6:
            return self._reference(everything) or f"{key} = {self._key(everything)}"
        if share < 0.66:
            return f"({self._condition(sources, 0, outer)} or {self._condition(sources, 0, outer)})"
        if share < 0.72:
            form = self._chance.choice(["not ({})", "({}) is true", "({}) is not false", "({}) is not null"])
            return form.format(self._condition(sources, 0, outer))
        if share < 0.88 and depth > 0:
            inner, _ = self._query(depth - 1, everything, 1)
            forms = ["exists ({0})", "not exists ({0})", "{1} in ({0})", "{2} in ({0})", "{1} not in ({0})"]
            forms += ["{1} = any (array({0}))", "{2} = (select max(x) from ({0}) as m (x))", "{2} = ({0})"]
            return self._chance.choice(forms).format(inner, column, key)
        forms = [
            "{0} = 1",
            "{0} = {1}",
            "{0} > 1",
            "{0} is null",
            "{0} is not null",
            "coalesce({0}, 1) = 1",
            "{0} <> 1",
        ]
        return self._chance.choice(forms).format(column, self._column(everything))

    def _reference(self, sources: _Sources) -> str:
        """A join over a foreign key, where there is one."""
        pairs = [
            " and ".join(f"{one.alias}.{a} = {two.alias}.{b}" for a, b in zip(own.split(), other, strict=True))
            for one in sources
            for two in sources
            if one.table and two.table and one is not two
            for own, (table, *other) in ((own, other.split()) for own, other in _TABLES[one.table][2].items())
            if table == two.table
        ]
        return self._chance.choice(pairs) if pairs else ""
