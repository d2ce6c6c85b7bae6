"""`python -m benchmarks`: measures what the agent costs, prints a table, writes results.json.

Ends with 0 also when a goal is missed: the figures depend on the machine. Ends with 1 when it cannot run.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import accounting, program, report
from benchmarks.figures import figures
from benchmarks.memory import Memory, measure_memory
from benchmarks.servers import servers
from benchmarks.snapshots import SHARE, measure_snapshots

_RESULTS = Path(__file__).parent / "results.json"
_QUICK = {"statements": 500, "snapshots": 5, "targets": 3, "polls": 5, "limit": 30.0}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a short form: whether everything runs; no figures")
    parser.add_argument("--statements", type=int, default=5000, help="distinct statements (default 5000)")
    parser.add_argument("--snapshots", type=int, default=20, help="snapshots that are measured (default 20)")
    parser.add_argument("--targets", type=int, default=10, help="targets of the daemon (default 10; 0: no daemon)")
    parser.add_argument("--polls", type=int, default=100, help="polls of each target by the daemon (default 100)")
    parser.add_argument("--limit", type=float, default=900.0, help="seconds that the daemon has for them (900)")
    parser.add_argument("--output", type=Path, help="where the results go (default benchmarks/results.json)")
    return program.parse(parser, _QUICK)


def _measure(arguments: argparse.Namespace, console: Console) -> None:
    # Refreshed by hand, and not by a thread: its CPU would count as the agent's.
    columns = (TextColumn("{task.description:32}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, auto_refresh=False) as bar:

        def step(task: int, count: int = 1) -> None:
            bar.advance(bar.task_ids[task], count)
            bar.refresh()

        bar.add_task("building distinct statements", total=arguments.statements)
        bar.add_task("snapshots of pg_stat_statements", total=arguments.snapshots + 3)
        if arguments.targets:
            bar.add_task(f"polls of {arguments.targets} targets", total=arguments.polls)
        bar.refresh()
        with servers(arguments.statements, lambda count: step(0, count)) as running:
            run = measure_snapshots(running, arguments.snapshots, lambda: step(1))
            memory: Memory | None = None
            if arguments.targets:
                marks = sorted({max(1, arguments.polls // 10), max(1, arguments.polls // 2), arguments.polls})
                memory = measure_memory(
                    running, arguments.targets, marks, arguments.limit, lambda count: step(2, count)
                )
            where = report.environment(running.target.version)
    lines = figures(run, memory, with_goals=not arguments.quick)
    setup = {"statements": arguments.statements, "share": SHARE, "snapshots": arguments.snapshots}
    title = f"{arguments.statements:,} statements, {SHARE:.0%} of them run between two snapshots, {{}} snapshots"
    report.show(console, lines, where, title.format(arguments.snapshots))
    output = arguments.output or (None if arguments.quick else _RESULTS)
    if output is not None:
        report.write_results(output, lines, where, setup, run, memory)
        console.print(f"Written to {output}.")


def main() -> int:
    """The program; returns its exit code."""
    arguments = _arguments()
    console = Console(width=max(Console().width, 110))

    def measure() -> None:
        accounting.require_proc()
        _measure(arguments, console)

    return program.run(measure)


if __name__ == "__main__":
    sys.exit(main())
