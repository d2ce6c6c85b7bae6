"""`python -m benchmarks.peers`: what others cost that keep pg_stat_statements, in one run with sbpgmon.

PoWA and the postgres exporter of Prometheus come out of Debian's packages (PostgreSQL 15's, 42 MB), fetched with
`apt-get download` and unpacked into .cache/peers: nothing is installed, nothing is asked, and `make clean` removes it.
A peer that cannot be had is named, with the reason, and left out. Prints a table and the goals, writes peers.json.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmarks import accounting, program, report
from benchmarks.peers_cost import Cost
from benchmarks.peers_debian import FOLDER, PACKAGES, programs
from benchmarks.peers_powa import COALESCE
from benchmarks.peers_rounds import OURS, WARM_UP, Peers, Result, measure_peers
from benchmarks.servers import servers
from benchmarks.snapshots import SHARE
from benchmarks.storage import SNAPSHOTS_A_DAY

_RESULTS = Path(__file__).parent / "peers.json"
_QUICK = {"statements": 500, "rounds": 5}
_NOTES = f"""\
Server: CPU of the backends, and of the store's server, by the kernel's accounting; the mean counts what a peer does \
every so often (PoWA puts {COALESCE} snapshots together). Client: the peer's own process. Bytes: on disk when all is \
in place, for a snapshot a minute, with indexes; Prometheus' are the samples alone. Its blocks are made by promtool \
from the scrapes of every tenth statement, its CPU is that of a server that takes the last scrapes in, its log is not \
counted. PoWA keeps 20 counters of a statement, the exporter the 19 columns of its package's example, sbpgmon all. \
PoWA stores on the target, sbpgmon on a server of its own."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a short form: whether everything runs; no goals")
    parser.add_argument("--statements", type=int, default=5000, help="distinct statements (default 5000)")
    parser.add_argument(
        "--rounds", type=int, default=COALESCE, help=f"snapshots of each (default {COALESCE}, some five minutes)"
    )
    parser.add_argument("--output", type=Path, help="where the results go (default benchmarks/peers.json)")
    return program.parse(parser, _QUICK)


def _measure(arguments: argparse.Namespace, console: Console) -> None:
    columns = (TextColumn("{task.description:40}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # Refreshed by hand: a thread's CPU would count as the agent's.
    with Progress(*columns, console=console, auto_refresh=False) as bar:
        fetching = bar.add_task("fetching Debian packages", total=len(PACKAGES))
        building = bar.add_task("building distinct statements", total=arguments.statements)
        running = bar.add_task("rounds of snapshots", total=arguments.rounds + WARM_UP)

        def step(task: Any, count: int = 1) -> None:
            bar.advance(task, count)
            bar.refresh()

        def fetch(name: str) -> None:
            bar.update(fetching, description=f"fetching {name}")
            step(fetching)

        bar.refresh()
        with contextlib.ExitStack() as stack:
            found = stack.enter_context(programs(fetch))
            # JIT off, in the peers' favour: it would compile for PoWA's large queries at more than they cost.
            made = servers(arguments.statements, lambda count: step(building, count), found.server_bin, {"jit": "off"})
            pair = stack.enter_context(made)
            peers = measure_peers(pair, found, arguments.rounds, lambda: step(running))
            where = report.environment(pair.target.version)
    goals = [] if arguments.quick else _goals(peers)
    _show(console, peers, goals, where, arguments)
    output = arguments.output or (None if arguments.quick else _RESULTS)
    if output is not None:
        setup = {"statements": arguments.statements, "share": SHARE, "rounds": arguments.rounds}
        _write(output, peers, goals, where, setup)
        console.print(f"Written to {output}.")


def _show(
    console: Console, peers: Peers, goals: list[tuple[str, str]], where: dict[str, Any], arguments: argparse.Namespace
) -> None:
    title = (
        f"{arguments.statements:,} statements, {SHARE:.0%} of them run between two snapshots, "
        f"{arguments.rounds} snapshots; CPU in ms, medians"
    )
    table = Table(title=title, caption=" · ".join(f"{k} {v}" for k, v in where.items()), title_justify="left")
    table.add_column("")
    for name in (
        *("target", "store", "server,\nmean", "/ floor", "client", "WAL, MB\na snapshot", "B a statement\nthat ran"),
        *("MB\na day",),
    ):
        table.add_column(name, justify="right")
    for result in peers.results:
        table.add_row(f"{result.name} {result.version}".strip(), *_cells(result, peers))
    console.print(table)
    for result in peers.results:
        if result.why_not:
            console.print(f"{result.name}: not measured. {result.why_not}", style="yellow", markup=False)
        elif result.remark:
            console.print(f"{result.name}: {result.remark}.", markup=False)
    console.print(_NOTES, style="dim", markup=False)
    for name, verdict in goals:
        style = "green" if verdict.startswith("met") else "red" if verdict.startswith("missed") else "yellow"
        console.print(f"{name}: [{style}]{verdict}[/]")


def _cells(result: Result, peers: Peers) -> list[str]:
    if result.why_not:
        return ["unknown"] * 8
    client, a_day = result.median_ms(lambda c: c.client_seconds), result.bytes_a_day
    store = result.median_ms(lambda c: c.store_seconds)
    is_floor = result is peers.floor
    return [
        f"{result.median_ms(lambda c: c.target_seconds):.1f}",
        f"{store:.1f}" if store else "",
        f"{result.server_ms:.1f}",
        f"{result.server_ms / peers.floor.server_ms:.2f}",
        f"{client:.1f}" if client else "",
        "" if is_floor or not result.is_in_postgresql else f"{result.wal_mb:.2f}",
        "" if a_day is None else f"{a_day / SNAPSHOTS_A_DAY / peers.changed:,.0f}",
        ("" if is_floor or not result.keeps_all else "unknown") if a_day is None else f"{a_day / 1e6:,.0f}",
    ]


def _goals(peers: Peers) -> list[tuple[str, str]]:
    """Each goal with `met` or `missed`, and by how much."""
    others = [r for r in peers.results if r.keeps_all and not r.why_not and r.name != OURS]
    stored = [r for r in others if r.bytes_a_day is not None]
    ours = peers[OURS]
    return [
        (
            "Lowest server CPU of those that keep all statements, on the target",
            _verdict(ours.target_ms, {r.name: r.target_ms for r in others}, "ms"),
        ),
        (
            "Lowest server CPU of those that keep all statements, with the store",
            _verdict(ours.server_ms, {r.name: r.server_ms for r in stored}, "ms"),
        ),
        (
            "Fewest bytes a day",
            _verdict((ours.bytes_a_day or 0.0) / 1e6, {r.name: (r.bytes_a_day or 0.0) / 1e6 for r in stored}, "MB"),
        ),
        (
            "Least WAL of those that store in PostgreSQL",
            _verdict(ours.wal_mb, {r.name: r.wal_mb for r in others if r.is_in_postgresql}, "MB a snapshot"),
        ),
    ]


def _verdict(ours: float, others: dict[str, float], unit: str) -> str:
    if not others:
        return "unknown: there is no peer to compare with"
    name, best = min(others.items(), key=lambda pair: pair[1])
    if ours <= best:
        return f"met: {ours:.3g} {unit}, {name} {best:.3g} ({best / ours:.1f} times as much)"
    return f"missed by {ours / best - 1:.0%}: {ours:.3g} {unit}, {name} {best:.3g}"


def _write(
    path: Path, peers: Peers, goals: list[tuple[str, str]], where: dict[str, Any], setup: dict[str, Any]
) -> None:
    def of(result: Result) -> dict[str, Any]:
        value = dataclasses.asdict(result)
        if result.costs:
            value |= {"server_ms_mean": result.server_ms, "wal_mb_mean": result.wal_mb}
            value["median_ms"] = {
                f.name: result.median_ms(lambda cost, name=f.name: getattr(cost, name))  # type: ignore[misc]
                for f in dataclasses.fields(Cost)
                if f.name.endswith("_seconds")
            }
        return value

    value = {
        "environment": where,
        "setup": setup | {"changed": peers.changed},
        "goals": dict(goals),
        "peers": [of(result) for result in peers.results],
    }
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> int:
    """The program; returns its exit code."""
    arguments = _arguments()
    console = Console(width=max(Console().width, 120))

    def measure() -> None:
        accounting.require_proc()
        console.print(f"What is not there yet is fetched from Debian into {FOLDER}; nothing is installed.")
        _measure(arguments, console)

    return program.run(measure)


if __name__ == "__main__":
    sys.exit(main())
