"""`python -m benchmarks.checks`: the time of every check of the catalog, on two databases of many tenants.

One has 300 tenants with a schema of 20 tables each, the other 1,000 shared tables with row level security; the checks
run as the agent runs them, by a role with pg_monitor alone. Goal: each under 50 ms, the two heaviest under 1 s. The
server's CPU stands beside the time: on a machine with other work it is what the check costs.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import psycopg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import accounting, program, report, tenants
from benchmarks.droplocks import programs
from benchmarks.figures import Figure
from sbpgmon.catalog.catalog import Catalog, load_catalog
from sbpgmon.collect.checks import run_check
from sbpgmon.collect.isolation import chosen_checks
from sbpgmon.collect.tenancy import know
from sbpgmon.config import Target
from sbpgmon.demo.server import Cluster
from sbpgmon.present.grants import grants_sql
from sbpgmon.sources.probe import probe
from sbpgmon.sources.session import Session
from sbpgmon.tenancy import Tenancy

GOAL_MS = 50.0
GOAL_HEAVIEST_MS = 1000.0
HEAVIEST = 2
_QUICK = {"tenants": 10, "tables": 50, "rounds": 1}
_READER = "sbpgmon_reader"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.checks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a short form: whether everything runs; no goals")
    parser.add_argument("--tenants", type=int, default=300, help="schemas of 20 tables (default 300)")
    parser.add_argument("--tables", type=int, default=1000, help="shared tables (default 1000)")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each check (default 5)")
    parser.add_argument("--major", type=int, help="major that `make test-matrix` has brought (default: the wheel's 18)")
    parser.add_argument("--check", action="append", default=[], help="only this check; can be given several times")
    return program.parse(parser, _QUICK)


@contextlib.contextmanager
def databases(
    count_tenants: int, count_tables: int, bin_dir: Path | None, advance: Callable[[int], None]
) -> Iterator[Cluster]:
    """A server with the databases `schemas` and `pool`, and the reader; `advance` is called with the database's number
    for each of its schemas or tables."""
    with (
        tempfile.TemporaryDirectory(prefix="sbpgmon-checks-") as folder,
        Cluster(Path(folder) / "pg", bin_dir=bin_dir) as server,
    ):
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            tenants.create_owner(connection)
            for name in ("schemas", "pool"):
                connection.execute(f"CREATE DATABASE {name}".encode())
                connection.execute(grants_sql(name).encode())
        with psycopg.connect(server.dsn("schemas"), autocommit=True) as connection:
            tenants.create_schemas(connection, count_tenants, lambda: advance(0))
        with psycopg.connect(server.dsn("pool"), autocommit=True) as connection:
            tenants.create_pool(connection, count_tables, lambda: advance(1))
        yield server


def measure(
    server: Cluster, database: str, tenancy: Tenancy, names: list[str], rounds: int
) -> tuple[list[Figure], list[str]]:
    """The milliseconds of each check for this database: median, least, the median of the backend's CPU. And what is
    found: the databases are meant to be clean."""
    catalog: Catalog = load_catalog()
    times: dict[str, list[float]] = {}
    cpu: dict[str, list[float]] = {}
    found: dict[str, str] = {}
    with Session(Target(name=database, dsn=server.dsn(database, _READER)), 5.0) as session:
        polled = probe(session)
        known = know(session, polled, tenancy)
        with session.transaction(5.0) as (cursor, _):
            row = cursor.execute("SELECT pg_backend_pid()").fetchone()
        assert row is not None
        for _ in range(rounds):
            for check in chosen_checks(catalog, known, names):
                before = accounting.cpu_seconds(row[0])
                run = run_check(session, polled, catalog, check, known)
                cpu.setdefault(check.name, []).append((accounting.cpu_seconds(row[0]) - before) * 1e3)
                if run.findings:
                    first = run.findings[0]
                    found[check.name] = f"{database}: {len(run.findings)} of {first.key}: {first.detail}"
                times.setdefault(check.name, []).append(run.seconds * 1e3)
    lines = [
        Figure(f"{database}: {name}", "ms", median(values), min(values), median(cpu[name]), _goal(name, times))
        for name, values in times.items()
    ]
    return lines, list(found.values())


def _goal(name: str, times: dict[str, list[float]]) -> float:
    heaviest = sorted(times, key=lambda check: median(times[check]))[-HEAVIEST:]
    return GOAL_HEAVIEST_MS if name in heaviest else GOAL_MS


def _measure(arguments: argparse.Namespace, console: Console) -> None:
    bin_dir = programs(arguments.major) if arguments.major else None
    if arguments.major and bin_dir is None:
        raise RuntimeError(
            f'no server of major {arguments.major}: make test-matrix MAJORS="{arguments.major}" brings it'
        )
    columns = (TextColumn("{task.description:28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with contextlib.ExitStack() as stack:
        with Progress(*columns, console=console) as bar:
            tasks = [
                bar.add_task("schemas of a tenant each", total=arguments.tenants),
                bar.add_task("shared tables", total=arguments.tables),
            ]
            made = databases(arguments.tenants, arguments.tables, bin_dir, lambda number: bar.advance(tasks[number]))
            server = stack.enter_context(made)
        lines, found = measure(server, "schemas", tenants.SCHEMAS, arguments.check, arguments.rounds)
        for tenancy in (tenants.POOL, tenants.DATABASES):
            more, more_found = measure(server, "pool", tenancy, arguments.check, arguments.rounds)
            lines += more
            found += more_found
        where = report.environment(server.version)
    if arguments.quick:
        lines = [Figure(line.name, line.unit, line.value, line.low, line.high) for line in lines]
    title = (
        f"checks, median of {arguments.rounds}: {arguments.tenants} schemas of {tenants.TABLES_A_SCHEMA} tables; "
        f"{arguments.tables:,} shared tables"
    )
    report.show(console, lines, where, title, ("median", "min", "CPU", "goal"))
    for text in found:
        console.print(f"Found on {text}", markup=False, highlight=False)


def main() -> int:
    """The program; returns its exit code."""
    arguments = _arguments()
    console = Console(width=max(Console().width, 110))

    def measure_all() -> None:
        accounting.require_proc()
        _measure(arguments, console)

    return program.run(measure_all)


if __name__ == "__main__":
    sys.exit(main())
