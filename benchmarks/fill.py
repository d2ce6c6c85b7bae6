"""`python -m benchmarks.fill DSN`: fills an initialised, empty store with the history of a fleet.

50 targets over a year by default, on five of which 5,000 statements run, about 500 of them in a busy minute and 1,500
in a day. All tiers are there as retention leaves them, up to this moment; the agent's maintenance goes on from there.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime

import psycopg
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmarks.filling import CannotFillError, Filled, Filling
from benchmarks.fleet import Shape


def fill(dsn: str, shape: Shape, days: float, console: Console, until: datetime | None = None) -> Filled:
    """Fills the store, with a bar on the console. Raises CannotFillError, psycopg.Error."""
    columns = (
        TextColumn("{task.description:26}"), BarColumn(), TextColumn("{task.percentage:3.0f} %"),
        TextColumn("{task.fields[rows]:>12,} rows"), TimeElapsedColumn(),
    )  # fmt: skip
    tasks: dict[str, int] = {}
    with Progress(*columns, console=console, refresh_per_second=2) as bar:

        def advance(title: str, share: float, rows: int) -> None:
            if title not in tasks:
                for other in tasks.values():
                    bar.update(bar.task_ids[other], completed=1.0)
                    bar.stop_task(bar.task_ids[other])
                tasks[title] = len(tasks)
                bar.add_task(title, total=1.0, rows=0)
            task = bar.tasks[tasks[title]]
            bar.update(task.id, completed=share, rows=task.fields["rows"] + rows)

        return Filling(dsn, shape, days, until).fill(advance)


def show(console: Console, filled: Filled) -> None:
    """What is there now."""
    table = Table(title=f"{filled.start:%Y-%m-%d %H:%M} to {filled.until:%Y-%m-%d %H:%M} UTC", title_justify="left")
    table.add_column("table")
    table.add_column("rows", justify="right")
    for name, rows in sorted(filled.rows.items()):
        table.add_row(name, f"{rows:,}")
    table.add_row("", f"{sum(filled.rows.values()):,}", style="bold")
    console.print(table)
    console.print(f"Filled in {filled.seconds:.0f} s.")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What says how large the fleet is."""
    parser.add_argument("--days", type=_positive, default=365.0, help="length of the history (default 365)")
    parser.add_argument("--targets", type=int, default=50, help="targets; a tenth of them is busy (default 50)")
    parser.add_argument("--scale", type=_positive, default=1.0, help="share of the 5,000 statements (default 1)")
    parser.add_argument("--seed", type=int, default=1, help="another history of the same size (default 1)")


def shape_of(arguments: argparse.Namespace) -> Shape:
    return Shape.scaled(max(1, arguments.targets), arguments.scale, arguments.seed)


def _positive(text: str) -> float:
    value = float(text)
    if value <= 0:
        raise argparse.ArgumentTypeError("must be more than 0")
    return value


def _time(text: str) -> datetime:
    value = datetime.fromisoformat(text)
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def main() -> int:
    """The program; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fill", description=__doc__)
    parser.add_argument("dsn", help="the store: a database with the schema that `sbpgmon init` makes, still empty")
    add_arguments(parser)
    parser.add_argument("--until", type=_time, help="end of the history, as 2026-11-20T12:00 (UTC; default: now)")
    arguments = parser.parse_args()
    console = Console(width=max(Console().width, 100))
    try:
        show(console, fill(arguments.dsn, shape_of(arguments), arguments.days, console, arguments.until))
    except (CannotFillError, psycopg.Error) as error:
        print(f"Cannot fill: {str(error).strip()}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; the schema holds a part: `sbpgmon rollback`, then `sbpgmon init`.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
