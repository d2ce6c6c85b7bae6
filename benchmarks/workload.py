"""Statements that are distinct after normalisation, and runs of a part of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

SCHEMA = "bench"
STATEMENTS_A_TABLE = 50
ROWS_A_TABLE = 20
_FEWEST_COLUMNS = 20
_COLUMNS = _FEWEST_COLUMNS + STATEMENTS_A_TABLE
_CALLS = (2, 9)  # of a statement that runs, between two snapshots
_BATCH = 100


@dataclass(frozen=True, slots=True)
class Statement:
    """A SELECT of the first `columns` columns of one table: table and columns make its queryid."""

    table: int
    columns: int

    def sql(self, row: int) -> str:
        """The text; the row's number is the constant that PostgreSQL takes out."""
        picked = ", ".join(_column(number) for number in range(self.columns))
        return f"SELECT {picked} FROM {SCHEMA}.{_table(self.table)} WHERE row_id = {row}"


def _table(number: int) -> str:
    return f"market_{number:03d}"


def _column(number: int) -> str:
    return f"turnover_of_outcome_{number:03d}"


def distinct_statements(count: int) -> list[Statement]:
    """`count` statements, texts of 580 to 1,780 characters: tables times column counts.

    Aliases, constants and white space do not matter to a queryid; the table and the columns read do.
    """
    return [
        Statement(number // STATEMENTS_A_TABLE, _FEWEST_COLUMNS + number % STATEMENTS_A_TABLE)
        for number in range(count)
    ]


def create_tables(conn: psycopg.Connection[Any], statements: Sequence[Statement]) -> None:
    """Makes and fills the tables that the statements read; small, so that they stay in the cache."""
    columns = ", ".join(f"{_column(number)} integer DEFAULT {number}" for number in range(_COLUMNS))
    conn.execute(f"CREATE SCHEMA {SCHEMA}".encode())
    for number in sorted({statement.table for statement in statements}):
        table = f"{SCHEMA}.{_table(number)}"
        conn.execute(f"CREATE TABLE {table} (row_id integer PRIMARY KEY, {columns})".encode())
        conn.execute(f"INSERT INTO {table} (row_id) SELECT generate_series(1, {ROWS_A_TABLE})".encode())
    conn.execute(b"VACUUM ANALYZE")


def run_once(conn: psycopg.Connection[Any], statements: Sequence[Statement], advance: Callable[[int], None]) -> None:
    """Runs each statement once; `advance` hears how many have run since it last heard."""
    for first in range(0, len(statements), _BATCH):
        batch = statements[first : first + _BATCH]
        _run(conn, (statement.sql(1 + first % ROWS_A_TABLE) for statement in batch))
        advance(len(batch))


def run_some(conn: psycopg.Connection[Any], statements: Sequence[Statement], share: float, dice: random.Random) -> int:
    """Runs a random share of the statements, each several times; returns how many statements that was."""
    chosen = dice.sample(statements, round(len(statements) * share))
    texts = [s.sql(dice.randint(1, ROWS_A_TABLE)) for s in chosen for _ in range(dice.randint(*_CALLS))]
    dice.shuffle(texts)
    for first in range(0, len(texts), _BATCH):
        _run(conn, texts[first : first + _BATCH])
    return len(chosen)


def _run(conn: psycopg.Connection[Any], texts: Iterable[str]) -> None:
    # Many statements in one simple query: each still has its own entry in pg_stat_statements.
    conn.execute("; ".join(texts).encode())
