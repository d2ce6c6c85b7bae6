"""`python -m benchmarks.judge`: what it costs to judge one statement text, over the labelled ones of the tests.

CPU time of this process, each text several times. Goal: 2 ms a statement, in the mean.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median, quantiles

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import program, report
from benchmarks.figures import Figure
from sbpgmon.judge.statement import judge
from tests.unit.judge.schema import FACTS

GOAL_MS = 2.0
_STATEMENTS = Path(__file__).parents[1] / "tests" / "unit" / "judge" / "statements.jsonl"
_QUICK = {"rounds": 1}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.judge", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a short form: whether everything runs; no goal")
    parser.add_argument("--rounds", type=int, default=10, help="times that each text is judged (default 10)")
    return program.parse(parser, _QUICK)


def measure(texts: list[str], rounds: int, advance: Callable[[], None]) -> list[float]:
    """The median CPU time of judging each text, in ms."""
    judge(texts[0], FACTS)  # the parser's tables are made on first use
    times: list[float] = []
    for text in texts:
        taken: list[int] = []
        for _ in range(rounds):
            began = time.process_time_ns()
            judge(text, FACTS)
            taken.append(time.process_time_ns() - began)
        times.append(median(taken) / 1e6)
        advance()
    return times


def figures(texts: list[str], times: list[float], *, with_goals: bool) -> list[Figure]:
    """Every line of the table, in its order."""
    goal = GOAL_MS if with_goals else None
    characters = [float(len(text)) for text in texts]
    return [
        Figure("a statement, mean", "ms", mean(times), min(times), max(times), goal),
        Figure("  median", "ms", median(times)),
        Figure("  95th percentile", "ms", quantiles(times, n=20)[-1]),
        Figure("  characters", "", mean(characters), min(characters), max(characters)),
    ]


def _measure(arguments: argparse.Namespace, console: Console) -> None:
    texts = [json.loads(line)["sql"] for line in _STATEMENTS.read_text(encoding="utf-8").splitlines()]
    columns = (TextColumn("{task.description:32}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # Refreshed by hand, and not by a thread: its CPU would count as the judge's.
    with Progress(*columns, console=console, auto_refresh=False) as bar:
        task = bar.add_task("texts", total=len(texts))

        def step() -> None:
            bar.advance(task)
            bar.refresh()

        times = measure(texts, arguments.rounds, step)
    lines = figures(texts, times, with_goals=not arguments.quick)
    title = f"Judging {len(texts)} statement texts, {arguments.rounds} times each: CPU of this process"
    report.show(console, lines, report.environment("not used"), title, ("value", "min", "max", "goal"))


def main() -> int:
    """The program; returns its exit code."""
    arguments = _arguments()
    console = Console(width=max(Console().width, 110))
    return program.run(lambda: _measure(arguments, console))


if __name__ == "__main__":
    sys.exit(main())
