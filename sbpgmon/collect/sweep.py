"""Walks a table in windows of pages, each in a read-only transaction of its own, as far as a call's time goes.

Nothing is sampled: only a full cycle over all pages says that no row is bad. A row that is moved to a page that the
cycle has passed is met by the next one. A partitioned table is read through its root, the same pages of all
partitions at a time: they need no grants of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from sbpgmon.collect.explain import plan_of
from sbpgmon.errors import TargetError
from sbpgmon.sources.session import Session
from sbpgmon.tenancy import Data

MIN_BLOCKS = 16  # of a window that is halved
_END = 2**32 - 1  # no table has as many pages
# OFFSET 0: each by its OID; otherwise all of pg_class would be read.
_LEAVES = """
select /* sbpgmon:sweep */
  c.oid::bigint,
  c.relkind::text,
  coalesce(pg_relation_filenode(c.oid), 0)::bigint,
  coalesce(pg_relation_size(c.oid), 0) / current_setting('block_size')::bigint
from (select {oid}::oid as oid union select p.relid from pg_partition_tree({oid}) as p) as w
cross join lateral (select k.oid, k.relkind from pg_class as k where k.oid = w.oid offset 0) as c
"""


class SweepError(Exception):
    """A window could not be read; `way_out` says what would change that. `is_passing`: it may work the next time."""

    def __init__(self, what: str, way_out: str, *, is_passing: bool = False, is_gone: bool = False) -> None:
        super().__init__(what)
        self.what = what
        self.way_out = way_out
        self.is_passing = is_passing
        self.is_gone = is_gone


@dataclass(frozen=True, slots=True)
class SweepState:
    """How far the sweep of one table for one check has come."""

    next_block: int = 0  # of each partition, where there are several
    pages: int = 0  # of the largest partition
    window_blocks: int = 0  # of the running cycle, over all partitions; 0: not chosen yet
    files: dict[str, int] = field(default_factory=dict)  # table or partition -> its file, as the cycle found it
    cycle_started_at: datetime | None = None  # None: none is running
    cycle_finished_at: datetime | None = None  # the last full one
    bad_rows: int = 0  # of the running cycle
    examples: tuple[str, ...] = ()
    last_bad_rows: int = 0  # of the last cycle, full or broken off
    last_examples: tuple[str, ...] = ()
    definition: str = ""  # of what is looked for: another one begins anew

    @property
    def coverage_ratio(self) -> float:
        """Share of the pages that the running cycle has read; 1 when it is over."""
        if self.cycle_started_at is None:
            return 1.0 if self.cycle_finished_at else 0.0
        return min(1.0, self.next_block / self.pages) if self.pages else 0.0

    @property
    def is_bad(self) -> bool:
        """Whether there are bad rows, or were, and no full cycle without any has passed since."""
        return bool(self.bad_rows or self.last_bad_rows)

    def to_json(self) -> dict[str, Any]:
        values = asdict(self)
        for name in ("cycle_started_at", "cycle_finished_at"):
            values[name] = values[name].isoformat() if values[name] else None
        return {**values, "examples": [*self.examples], "last_examples": [*self.last_examples]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SweepState:
        """The state that `to_json` gave; a new one for what is none, so that the sweep begins anew."""
        try:
            read: dict[str, Any] = {
                name: int(values[name])
                for name in ("next_block", "pages", "window_blocks", "bad_rows", "last_bad_rows")
            }
            for name in ("cycle_started_at", "cycle_finished_at"):
                read[name] = datetime.fromisoformat(values[name]) if values[name] else None
            for name in ("examples", "last_examples"):
                read[name] = tuple(map(str, values[name]))
            files = {str(name): int(file) for name, file in values["files"].items()}
            return cls(**read, files=files, definition=str(values["definition"]))
        except (AttributeError, KeyError, TypeError, ValueError):
            return cls()


@dataclass(frozen=True, slots=True)
class _Leaves:
    files: dict[str, int]
    pages: list[int]

    @property
    def longest(self) -> int:
        return max(self.pages, default=0)


def advance(session: Session, relation: int, sweep: str, data: Data, state: SweepState) -> SweepState:
    """Reads the next window: the state after it. A cycle that comes to its end has `cycle_started_at` None.

    `sweep`: a SELECT of the number of bad rows and of some of their names, with `@from@` and `@to@` for the bounds of
    ctid. Raises SweepError; TargetError when the connection is no more.
    """
    width = _Width(data.window_blocks if state.cycle_started_at is None else state.window_blocks)
    while True:
        try:
            return _window(session, relation, sweep, data, state, width)
        except TargetError as error:
            if session.is_broken or session.is_late:
                raise
            if error.sqlstate != "57014":
                raise _problem_of(error) from None
            # What took too long is not tried again in this cycle.
            width.halve(f"take longer than {data.timeout:g} s")


@dataclass(slots=True)
class _Width:
    """Of a window, over all partitions."""

    blocks: int

    def halve(self, why: str) -> None:
        if self.blocks <= MIN_BLOCKS:
            way_out = "Index the columns that are pointed at, or raise [tenancy.data] max_cost or timeout."
            raise SweepError(f"{MIN_BLOCKS} pages {why}", way_out)
        self.blocks = max(MIN_BLOCKS, self.blocks // 2)


def _window(session: Session, relation: int, sweep: str, data: Data, state: SweepState, width: _Width) -> SweepState:
    with session.transaction(data.timeout) as (cursor, now):
        rows = cursor.execute(_LEAVES.format(oid=relation).encode()).fetchall()
        if not rows:
            raise SweepError("the table is gone", "Look again.", is_gone=True)
        if any(kind == "f" for _, kind, _, _ in rows):
            raise SweepError("a partition is a foreign table", "Look at its rows where they are.")
        stored = [(str(oid), file, pages) for oid, kind, file, pages in rows if kind != "p"]
        leaves = _Leaves({name: file for name, file, _ in stored}, [pages for *_, pages in stored])
        state = _resumed(state, leaves, now)
        while True:
            sql, end = _bounded(sweep, state, leaves, width.blocks, data)
            if (cost := plan_of(cursor, sql)["Total Cost"]) <= data.max_cost:
                break
            width.halve(f"cost {cost:.0f} by EXPLAIN, and {data.max_cost:.0f} is the limit")
        found = cursor.execute(sql.encode()).fetchone()
        if found is None or len(found) != 2 or not isinstance(found[0], int):
            raise SweepError("its sweep does not return a number of rows and their names", "Mend the check's query.")
        count, names = found
    state = replace(
        state,
        window_blocks=width.blocks,
        next_block=end,
        bad_rows=state.bad_rows + count,
        examples=(*state.examples, *(names or ()))[:3],
    )
    return state if end < _END else _finished(state, now)


def _resumed(state: SweepState, leaves: _Leaves, now: datetime) -> SweepState:
    """The running cycle; a new one where none is running, or where a table was written anew: its rows have moved."""
    is_rewritten = any(leaves.files.get(name, file) != file for name, file in state.files.items())
    if state.cycle_started_at is not None and not is_rewritten:
        return replace(state, pages=leaves.longest)
    was_broken_off = state.cycle_started_at is not None and state.bad_rows > 0
    return replace(
        state,
        next_block=0,
        pages=leaves.longest,
        files=leaves.files,
        cycle_started_at=now,
        bad_rows=0,
        examples=(),
        last_bad_rows=state.bad_rows if was_broken_off else state.last_bad_rows,
        last_examples=state.examples if was_broken_off else state.last_examples,
    )


def _finished(state: SweepState, now: datetime) -> SweepState:
    return replace(
        state,
        next_block=0,
        files={},
        cycle_started_at=None,
        cycle_finished_at=now,
        bad_rows=0,
        examples=(),
        last_bad_rows=state.bad_rows,
        last_examples=state.examples,
    )


def _bounded(sweep: str, state: SweepState, leaves: _Leaves, blocks: int, data: Data) -> tuple[str, int]:
    """The sweep of one window, and the page that it ends before: _END for the last one, which takes what is added."""
    is_small = sum(leaves.pages) <= data.window_blocks and blocks == data.window_blocks
    end = state.next_block + max(1, blocks // max(1, len(leaves.pages)))
    if is_small or end >= leaves.longest:
        end = _END
    return sweep.replace("@from@", f"({state.next_block},0)").replace("@to@", f"({end},0)"), end


def _problem_of(error: TargetError) -> SweepError:
    what = error.what.partition(": ")[2].rstrip(".")
    if error.sqlstate in ("55P03", "40001", "40P01"):
        return SweepError(what, "Nothing: it is tried again.", is_passing=True)
    is_gone = error.sqlstate in ("42P01", "42703", "3F000", "XX000")
    return SweepError(what, error.way_out or "Mend what the server says.", is_gone=is_gone)
