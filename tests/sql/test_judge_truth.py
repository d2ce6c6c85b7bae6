"""The judge against the server: what it calls bound returns the same with and without other tenants' rows."""

from __future__ import annotations

import psycopg

from sbpgmon.judge.statement import Verdict, judge
from tests.conftest import Database
from tests.sql.random_queries import FACTS, TENANT, Queries, rows

_QUERIES = 250
_WORLDS = 2


def _result(conn: psycopg.Connection[tuple[object, ...]], schema: str, query: str) -> list[str] | None:
    """The rows of a query in any order; [] where it fails; None where it takes too long to say."""
    conn.execute(f"set search_path = {schema}".encode())
    try:
        return sorted(map(repr, conn.execute(query.encode()).fetchall()))
    except psycopg.errors.QueryCanceled:
        return None
    except psycopg.Error:
        return []


def test_other_tenants_have_no_say_in_what_is_bound(database: Database) -> None:
    """Queries at random. The same ones do differ where they are not bound, so the comparison sees leaks."""
    wrong: list[str] = []
    seen = {"bound": 0, "leaks": 0}
    with database.connect() as conn:
        conn.execute("set statement_timeout = '5s'")
        for world in range(_WORLDS):
            for statement in (*rows(f"one{world}", [TENANT], world), *rows(f"all{world}", [1, 2, 3], world)):
                conn.execute(statement.encode())
        for seed in range(_QUERIES):
            query = Queries(seed).statement()
            found = judge(query, FACTS)
            assert found.verdict != Verdict.UNPARSED, query
            pairs = [(_result(conn, f"one{n}", query), _result(conn, f"all{n}", query)) for n in range(_WORLDS)]
            is_same = all(one == other or one is None or other is None for one, other in pairs)
            if found.verdict in (Verdict.SCOPED, Verdict.DERIVED):
                seen["bound"] += 1
                if not is_same:
                    wrong.append(f"{found.verdict}: {query}")
            else:
                seen["leaks"] += not is_same
    assert wrong == []
    assert min(seen.values()) >= _QUERIES // 20, seen
