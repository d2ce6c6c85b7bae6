"""`python -m benchmarks.year`: a year of 50 targets on a server of its own, and what it takes to keep and to read it.

Ends with 0 also when a goal is missed: the figures depend on the machine. Ends with 1 when it cannot run. About 10 GB
of disk and half an hour; --scale, --targets and --days make it less. With --dsn a store that `make fill` has filled
is measured: a target named `benchmark` is then added to it.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console

from benchmarks import droplocks, partition_work, program, questions, report, rolling
from benchmarks.figures import MB, Figure
from benchmarks.fill import add_arguments, fill, shape_of
from benchmarks.filling import CannotFillError, Filled
from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.demo.server import Cluster
from sbpgmon.model import TIER_SECONDS
from sbpgmon.store.connection import StoreConnection
from sbpgmon.store.maintenance import Maintained, Maintenance
from sbpgmon.store.upgrade import init

_RESULTS = Path(__file__).parent / "year.json"
_QUICK = {"days": 2.0, "targets": 3, "scale": 0.04, "repeats": 2, "hold": 3.0}
_MAJORS = (14, 18)
# Of a question, the value that is held against the goal is the 95th percentile, and the low one the median.
_HEADINGS = ("value, p95", "median", "longest", "goal")
# max_locks_per_transaction and max_connections are as initdb leaves them.
_SETTINGS = {"shared_buffers": "2GB", "max_wal_size": "8GB", "checkpoint_timeout": "15min"}
_BY_TIER = """
SELECT p.relname, sum(pg_relation_size(i.inhrelid)), sum(pg_total_relation_size(i.inhrelid)),
  min(substring(pg_get_expr(c.relpartbound, c.oid) FROM $$FROM \\('([^']+)$$)::timestamptz),
  sum(greatest(c.reltuples, 0))
FROM pg_inherits AS i JOIN pg_class AS p ON p.oid = i.inhparent JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE p.relnamespace = 'monitoring'::regnamespace AND p.relkind = 'p' GROUP BY 1
"""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.year", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a short form: whether everything runs; no figures")
    add_arguments(parser)
    parser.add_argument("--dsn", help="a superuser's DSN of a store that is filled; nothing is made or removed")
    parser.add_argument("--repeats", type=int, default=20, help="times each question is asked (default 20)")
    parser.add_argument("--hold", type=float, default=60.0, help="seconds of the query on the parents (default 60)")
    parser.add_argument("--output", type=Path, help="where the results go (default benchmarks/year.json)")
    return program.parse(parser, _QUICK)


@contextlib.contextmanager
def _store(arguments: argparse.Namespace, console: Console) -> Iterator[tuple[str, Filled | None]]:
    if arguments.dsn:
        yield arguments.dsn, None
        return
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sbpgmon-year-")))
        cluster = stack.enter_context(Cluster(folder / "pg", fsync=True, settings=_SETTINGS))
        with contextlib.closing(StoreConnection(cluster.dsn())) as store:
            init(store, load_catalog(), [])
        yield cluster.dsn(), fill(cluster.dsn(), shape_of(arguments), arguments.days, console)


def _measure(arguments: argparse.Namespace, console: Console) -> None:
    tell = _teller(console)
    figures: list[Figure] = []
    with _store(arguments, console) as (dsn, filled):
        where = report.environment("")
        with psycopg.connect(dsn, autocommit=True, options="-c timezone=UTC") as conn:
            where["postgresql"] = f"PostgreSQL {conn.info.parameter_status('server_version')}"
            row = conn.execute(
                "SELECT min(first_seen), (SELECT max(snapshot_ts) FROM monitoring.metric_state AS s "
                "JOIN monitoring.target AS o USING (target_id) WHERE o.name <> %s) "
                "FROM monitoring.target WHERE name <> %s",
                (partition_work.TARGET, partition_work.TARGET),
            ).fetchone()
            if row is None or row[0] is None:
                raise CannotFillError("the store is empty: `make fill` fills it")
            start, until = row
            tell("maintenance: roll-ups up to now, indexes of closed partitions")
            figures += _maintain(dsn)
            figures += _sizes(conn, filled, start, until)
            tell("locks of a rollback")
            figures += _locks(conn, () if arguments.quick else _MAJORS)
            figures += rolling.measure(conn, dsn)
            dice = random.Random(arguments.seed)
            asked = questions.busy_targets(conn, until)
            tell("top statements")
            figures += questions.top(conn, asked, start, until, arguments.repeats, dice)
            figures += questions.lines(conn, asked, start, until, arguments.repeats, dice, tell)
            figures += partition_work.measure(dsn, arguments.hold, tell)
            if filled is not None:
                figures += _drop(conn)
    if arguments.quick:
        figures = [dataclasses.replace(figure, goal=None) for figure in figures]
    title = f"{arguments.targets} targets, {(until - start).days} days"
    report.show(console, figures, where, title, _HEADINGS)
    output = arguments.output or (None if arguments.quick else _RESULTS)
    if output is not None:
        value: dict[str, Any] = {"environment": where, "setup": {"days": (until - start).days}}
        value["figures"] = [dataclasses.asdict(figure) | {"is_met": figure.is_met} for figure in figures]
        output.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        console.print(f"Written to {output}.")


def _teller(console: Console) -> Callable[[str], None]:
    return lambda text: console.print(f"· {text}", style="dim", highlight=False)


def _maintain(dsn: str) -> Iterator[Figure]:
    done: Maintained | None = Maintenance(dsn, "benchmark").run()
    if done is not None:
        yield Figure("first pass of maintenance", "s", done.seconds)
        yield Figure("  indexes of closed partitions made", "", len(done.indexed))


def _sizes(conn: psycopg.Connection[Any], filled: Filled | None, start: datetime, until: datetime) -> Iterator[Figure]:
    by_tier: dict[str, list[float]] = {}
    rows: float
    heap_total = size_total = rows_total = 0.0
    for name, heap, size, first, tuples in conn.execute(_BY_TIER.encode()):
        tier = next((t for t in TIER_SECONDS if name.endswith(f"_{t}")), "")
        group = f"stat_statements at {tier}" if name == f"stat_statements_{tier}" else f"other metrics at {tier}"
        group = f"coverage at {tier}" if name.startswith("coverage_") else group
        group = "log of snapshots" if name == "snapshot_log" else group
        days = (until - max(start, first)).total_seconds() / 86400
        rows = filled.rows.get(name, 0) if filled else tuples
        at = by_tier.setdefault(group, [0.0, 0.0, 0.0])
        at[0] += float(size)
        at[1] += float(size) / days
        at[2] += rows
        rows_total += rows
        heap_total, size_total = heap_total + float(heap), size_total + float(size)
    for group, (size, a_day, rows) in sorted(by_tier.items()):
        counted = f", {rows:,.0f} rows" if rows else ""
        yield Figure(f"{group}: a day ({size / MB:,.0f} MB in all{counted})", "MB", a_day / MB)
    yield Figure("all tiers, with indexes", "MB", size_total / MB)
    yield Figure("  of it indexes and maps", "MB", (size_total - heap_total) / MB)
    row = conn.execute("SELECT pg_database_size(current_database())").fetchone()
    assert row is not None
    yield Figure("database", "GB", row[0] / 1e9, goal=20.0)
    yield Figure("rows", "million", rows_total / 1e6, goal=100.0)
    if filled:
        yield Figure("time of the fill", "min", filled.seconds / 60, goal=30.0)


def _locks(conn: psycopg.Connection[Any], majors: Sequence[int]) -> Iterator[Figure]:
    locks, elapsed = droplocks.count_locks(conn)
    yield Figure("locks of DROP SCHEMA, of this store", "", locks, goal=6000.0)
    yield Figure("  its time, taken back", "ms", elapsed * 1e3)
    for major in majors:
        bin_dir = droplocks.programs(major)
        if bin_dir is None and major != max(_MAJORS):
            print(f"locks on {major}: left out; `make test-matrix MAJORS={major}` brings its programs", file=sys.stderr)
            continue
        locks, elapsed = droplocks.measure_empty_year(bin_dir)
        yield Figure(f"locks of DROP SCHEMA, partitions of a year, {major}", "", locks, goal=6000.0)
        yield Figure("  its time, taken back", "ms", elapsed * 1e3)


def _drop(conn: psycopg.Connection[Any]) -> Iterator[Figure]:
    """At the end, for good."""
    began = time.perf_counter()
    conn.execute("DROP SCHEMA monitoring CASCADE")
    yield Figure("DROP SCHEMA of this store, committed", "ms", (time.perf_counter() - began) * 1e3)


def main() -> int:
    """The program; returns its exit code."""
    arguments = _arguments()
    console = Console(width=max(Console().width, 130))
    return program.run(lambda: _measure(arguments, console), (CannotFillError, psycopg.Error))


if __name__ == "__main__":
    sys.exit(main())
