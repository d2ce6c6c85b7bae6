"""`python -m benchmarks.panels`: how long every panel and variable takes, over 30 days of 50 targets, as Grafana asks.

All values of every variable are chosen, of those with one value the busiest target and the first of the others. A panel
is 1,000 points wide, and the role is Grafana's. Each query runs once to warm up and then some times more, over ranges
that end a little earlier. At the end the overview as a whole, six queries at a time.

Ends with 0 also when a goal is missed, with 1 when it cannot run or a panel fails. Without --dsn a store of 60 days is
filled first, on a server of its own: some minutes, 5 GB of disk.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import math
import queue
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
from psycopg import sql
from rich.console import Console

from benchmarks import accounting, program, report
from benchmarks.figures import Figure
from benchmarks.fill import add_arguments, fill, shape_of
from benchmarks.filling import CannotFillError
from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.demo.server import Cluster
from sbpgmon.panels import Dashboard, Variable
from sbpgmon.present.grants import grants_sql
from sbpgmon.present.macros import Scope, expand, interval_ms
from sbpgmon.store.connection import StoreConnection
from sbpgmon.store.maintenance import Maintenance
from sbpgmon.store.upgrade import init

READER = "grafana_reader"
POINTS = 1000  # about as wide as a panel is in pixels
MINIMUM_MS = 15000  # the data source's `timeInterval`
PARALLEL = 6  # connections that a browser has to one host over HTTP/1.1
GOAL_MS, GOAL_LONGEST_MS, GOAL_OVERVIEW_MS = 100.0, 300.0, 1000.0
SLOWEST = 10
_RESULTS = Path(__file__).parent / "panels.json"
_QUICK = {"days": 2.0, "targets": 3, "scale": 0.02, "repeats": 2, "range": 1.0}
_SETTINGS = {"shared_buffers": "2GB", "max_wal_size": "8GB", "checkpoint_timeout": "15min"}
_HEADINGS = ("p95", "median", "longest", "goal")

Values = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A panel's or a variable's query, and how long it took, in milliseconds."""

    name: str
    dashboard: Dashboard
    sql: str
    rows: int = 0
    times: tuple[float, ...] = ()
    cpu: tuple[float, ...] = ()  # of the server's process; empty where it is not on this machine


class CannotAskError(Exception):
    """The role is not there, or a panel fails; the message says which."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.panels", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a short form: whether everything runs; no goals")
    add_arguments(parser)
    parser.set_defaults(days=60.0, scale=0.1)
    parser.add_argument("--dsn", help="a superuser's DSN of a store that is filled, with the role grafana_reader")
    parser.add_argument("--repeats", type=int, default=10, help="times each query is run (default 10)")
    parser.add_argument("--range", type=float, default=30.0, help="days that are looked at (default 30)")
    parser.add_argument("--panel", default="", help="only those whose DASHBOARD/PANEL contains this")
    parser.add_argument("--output", type=Path, help="where the results go (default benchmarks/panels.json)")
    return program.parse(parser, _QUICK)


@contextlib.contextmanager
def _store(arguments: argparse.Namespace, console: Console) -> Iterator[str]:
    if arguments.dsn:
        yield arguments.dsn
        return
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sbpgmon-panels-")))
        cluster = stack.enter_context(Cluster(folder / "pg", settings=_SETTINGS))
        with psycopg.connect(cluster.dsn(), autocommit=True) as admin:
            admin.execute(grants_sql("postgres", grafana=READER).encode())
        with contextlib.closing(StoreConnection(cluster.dsn())) as store:
            init(store, load_catalog(), [READER])
        fill(cluster.dsn(), shape_of(arguments), arguments.days, console)
        Maintenance(cluster.dsn(), "benchmark").run()
        yield cluster.dsn()


def _connect(dsn: str) -> psycopg.Connection[Any]:
    """As the reader; its own settings say only when it ends."""
    conn = psycopg.connect(dsn, autocommit=True)
    try:
        conn.execute(sql.SQL("SET SESSION AUTHORIZATION {}").format(sql.Identifier(READER)))
    except psycopg.Error as error:
        conn.close()
        raise CannotAskError(f"{error}. `sbpgmon grants` makes the role, `sbpgmon init` lets it in.") from None
    return conn


def _timed(conn: psycopg.Connection[Any], query: str) -> tuple[psycopg.Cursor[Any], float]:
    # The answer is here when execute() returns; Python's own objects are not what is measured.
    began = time.perf_counter()
    cursor = conn.execute(query.encode())
    return cursor, (time.perf_counter() - began) * 1e3


def _chosen(conn: psycopg.Connection[Any], dashboard: Dashboard, busiest: str, at: Callable[[Values], Scope]) -> Values:
    """All values of each variable; or the busiest target, and the first of anything else."""
    values: dict[str, str | Sequence[str]] = {}
    for variable in dashboard.variables:
        cursor, _ = _timed(conn, expand(variable.sql, dashboard.variables, at(values)))
        found = [row[0] for row in cursor.fetchall()]
        first = busiest if busiest in found and variable.name == "target" else (found or [""])[0]
        values[variable.name] = found if variable.is_multi else first
    return values


def _queries(dashboard: Dashboard) -> Iterator[Asked]:
    variables: Sequence[Variable] = dashboard.variables
    yield from (Asked(f"{dashboard.name}/${v.name}", dashboard, v.sql) for v in variables)
    yield from (Asked(f"{dashboard.name}/{p.number:02d}_{p.name}", dashboard, p.sql) for p in dashboard.panels)


def ask(
    conn: psycopg.Connection[Any], asked: Asked, values: Values, until: datetime, seconds: float, repeats: int
) -> Asked:
    """The query with its times, the first run left out. Raises CannotAskError."""
    dice = random.Random(1)
    times: list[float] = []
    cpu: list[float] = []
    pid = conn.info.backend_pid if conn.info.host.startswith("/") else None
    rows = 0
    for number in range(repeats + 1):
        end = until - timedelta(seconds=dice.uniform(0, 600) if number else 0)
        query = expand(asked.sql, asked.dashboard.variables, _scope(end, seconds, values))
        before = accounting.cpu_seconds(pid) if pid else 0.0
        try:
            cursor, elapsed = _timed(conn, query)
        except psycopg.Error as error:
            raise CannotAskError(f"{asked.name}: {str(error).strip()}") from None
        rows = cursor.rowcount
        if number:
            times.append(elapsed)
            cpu += [(accounting.cpu_seconds(pid) - before) * 1e3] if pid else []
    return dataclasses.replace(asked, times=tuple(times), cpu=tuple(cpu), rows=rows)


def _scope(end: datetime, seconds: float, values: Values) -> Scope:
    return Scope(end - timedelta(seconds=seconds), end, interval_ms(seconds, POINTS, MINIMUM_MS), values)


def as_a_whole(
    conns: Sequence[psycopg.Connection[Any]], dashboard: Dashboard, values: Values, until: datetime, seconds: float
) -> float:
    """Milliseconds until the last panel is there, with as many at a time as there are connections."""
    free: queue.SimpleQueue[psycopg.Connection[Any]] = queue.SimpleQueue()
    for conn in conns:
        free.put(conn)
    at = _scope(until, seconds, values)
    texts = [expand(panel.sql, dashboard.variables, at) for panel in dashboard.panels]

    def run(text: str) -> None:
        conn = free.get()
        try:
            _timed(conn, text)
        finally:
            free.put(conn)

    with ThreadPoolExecutor(len(conns)) as pool:
        began = time.perf_counter()
        list(pool.map(run, texts))
        return (time.perf_counter() - began) * 1e3


def measure(
    dsn: str, arguments: argparse.Namespace, console: Console, until: datetime, busiest: str
) -> Iterator[Figure]:
    """Over all queries, the slowest of them, and the overview."""
    dashboards = load_catalog().dashboards
    seconds = arguments.range * 86400
    done: list[Asked] = []
    with contextlib.ExitStack() as stack:
        conns = [stack.enter_context(contextlib.closing(_connect(dsn))) for _ in range(PARALLEL)]
        for dashboard in dashboards.values():
            console.print(f"· {dashboard.title}", style="dim")
            values = _chosen(conns[0], dashboard, busiest, lambda values: _scope(until, seconds, values))
            done += [
                ask(conns[0], query, values, until, seconds, arguments.repeats)
                for query in _queries(dashboard)
                if arguments.panel in query.name
            ]
        if not done:
            raise CannotAskError(f"no panel is named like {arguments.panel!r}.")
        slowest = sorted(done, key=lambda asked: _p95(asked.times), reverse=True)
        yield _spread(f"{len(done)} panels and variables", [t for asked in done for t in asked.times], GOAL_MS)
        worst = [_p95(asked.times) for asked in done]
        yield Figure("the slowest of them", "ms", max(worst), median(worst), max(slowest[0].times), GOAL_LONGEST_MS)
        yield Figure("  over 100 ms", "", float(sum(w > GOAL_MS for w in worst)))
        if busy := [median(asked.cpu) for asked in done if asked.cpu]:
            # On a machine with other work the time says less.
            yield Figure("  CPU of the server's process", "ms", _p95(busy), median(busy), max(busy))
        for asked in slowest[:SLOWEST]:
            cpu = f", {median(asked.cpu):.0f} ms of CPU" if asked.cpu else ""
            yield _spread(f"  {asked.name}: {asked.rows:,} rows{cpu}", asked.times, GOAL_LONGEST_MS)
        overview = dashboards.get("overview")
        if overview is not None and arguments.panel in "overview":
            console.print("· the overview as a whole", style="dim")
            values = _chosen(conns[0], overview, busiest, lambda values: _scope(until, seconds, values))
            times = [as_a_whole(conns, overview, values, until, seconds) for _ in range(arguments.repeats + 1)]
            yield _spread(f"overview, {len(overview.panels)} panels, {PARALLEL} at a time", times[1:], GOAL_OVERVIEW_MS)


def _p95(times: Sequence[float]) -> float:
    return sorted(times)[math.ceil(0.95 * len(times)) - 1]


def _spread(name: str, times: Sequence[float], goal: float) -> Figure:
    return Figure(name, "ms", _p95(times), median(times), max(times), goal)


def _measure(arguments: argparse.Namespace, console: Console) -> None:
    with _store(arguments, console) as dsn:
        where = report.environment("")
        with psycopg.connect(dsn, autocommit=True) as conn:
            where["postgresql"] = f"PostgreSQL {conn.info.parameter_status('server_version')}"
            row = conn.execute(
                "SELECT count(DISTINCT target_id), max(snapshot_ts), (SELECT t.name FROM monitoring.target AS t "
                "JOIN monitoring.stat_statements_series AS s USING (target_id) GROUP BY 1 ORDER BY count(*) DESC, 1 "
                "LIMIT 1) FROM monitoring.metric_state"
            ).fetchone()
        if row is None or row[1] is None:
            raise CannotAskError("the store is empty: `make fill` fills it.")
        targets, until, busiest = row
        figures = list(measure(dsn, arguments, console, until, busiest))
    if arguments.quick:
        figures = [dataclasses.replace(figure, goal=None) for figure in figures]
    report.show(console, figures, where, f"{targets} targets, {arguments.range:g} days", _HEADINGS)
    output = arguments.output or (None if arguments.quick or arguments.panel else _RESULTS)
    if output is not None:
        value: dict[str, Any] = {"environment": where, "setup": {"targets": targets, "days": arguments.range}}
        value["figures"] = [dataclasses.asdict(figure) | {"is_met": figure.is_met} for figure in figures]
        output.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        console.print(f"Written to {output}.")


def main() -> int:
    """The program; returns its exit code."""
    arguments = _arguments()
    console = Console(width=max(Console().width, 130))
    return program.run(lambda: _measure(arguments, console), (CannotFillError, CannotAskError, psycopg.Error))


if __name__ == "__main__":
    sys.exit(main())
