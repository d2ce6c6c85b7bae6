"""The table on the screen and results.json."""

from __future__ import annotations

import dataclasses
import json
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console
from rich.table import Table

import sbpgmon
from benchmarks.accounting import cpu_model, load_average
from benchmarks.figures import Figure
from benchmarks.memory import Memory
from benchmarks.snapshots import Run


def environment(server: str) -> dict[str, Any]:
    """Where and when a run took place; the load says whether it had the machine to itself."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": cpu_model(),
        "load_average": load_average(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "psycopg": f"{psycopg.__version__} ({psycopg.pq.__impl__}, libpq {psycopg.pq.version()})",
        "postgresql": server,
        "sbpgmon": sbpgmon.__version__,
    }


def show(
    console: Console,
    lines: Sequence[Figure],
    where: dict[str, Any],
    title: str,
    headings: Sequence[str] = ("median", "min", "max", "goal"),
) -> None:
    """Prints the table: medians, minima, maxima, goals; or what the headings say."""
    table = Table(title=title, caption=" · ".join(f"{k} {v}" for k, v in where.items()), title_justify="left")
    table.add_column("figure", no_wrap=True)
    for name in headings:
        table.add_column(name, justify="right")
    table.add_column("")
    for line in lines:
        style = {None: "", True: "green", False: "red"}[line.is_met]
        table.add_row(
            line.name + (f" [{line.unit}]".replace("[", r"\[") if line.unit else ""),
            *(_number(value) for value in (line.value, line.low, line.high)),
            "" if line.goal is None else f"≤ {line.goal:g}",
            f"[{style}]{line.verdict}[/]" if style else line.verdict,
        )
    console.print(table)


def _number(value: float | None) -> str:
    """Three significant digits, and whole numbers from 100 on."""
    if value is None:
        return ""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def write_results(
    path: Path, lines: Sequence[Figure], where: dict[str, Any], setup: dict[str, Any], run: Run, memory: Memory | None
) -> None:
    """Everything that was measured, as JSON: the table's lines, and each snapshot behind them."""
    value = {
        "environment": where,
        "setup": setup,
        "figures": [dataclasses.asdict(line) | {"is_met": line.is_met} for line in lines],
        "snapshots": [dataclasses.asdict(sample) for sample in run.samples],
        "storage": dataclasses.asdict(run.storage),
        "memory": dataclasses.asdict(memory) if memory else None,
    }
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
