"""Tables for people, JSON and CSV for programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


def console(*, stderr: bool = False) -> Console:
    """The terminal, as wide as it is; 80 columns where there is none."""
    return _Console(stderr=stderr, highlight=False, soft_wrap=False)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        # rich would end the program with 1; what it means is for the command line to say.
        raise


def print_table(
    title: str, columns: Sequence[tuple[str, str, bool]], rows: Sequence[Mapping[str, Any]], *, out: Console
) -> None:
    """A table: columns are (key, heading, is_number); cells are strings by then."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for _, heading, is_number in columns:
        table.add_column(heading, justify="right" if is_number else "left", no_wrap=is_number, overflow="fold")
    for row in rows:
        # As Text: a query's `[i]` is no markup.
        table.add_row(*(Text(str(row.get(key, ""))) for key, _, _ in columns))
    out.print(table)


def to_json(value: object) -> str:
    return json.dumps(value, indent=2, default=_plain, ensure_ascii=False)


def to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV with a heading; empty for no rows."""
    out = io.StringIO()
    if rows:
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: _plain(v) if isinstance(v, datetime) else v for k, v in row.items()} for row in rows)
    return out.getvalue()


def percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value * 100:.{digits}f} %"


def number(value: float | None, digits: int = 0) -> str:
    """With thin separators, or – for what is not known."""
    return "–" if value is None else f"{value:,.{digits}f}"


def age(seconds: float | None) -> str:
    """`12 s`, `5 min`, `3 h`, `2 d`."""
    if seconds is None:
        return "–"
    for limit, unit, size in ((120, "s", 1), (7200, "min", 60), (172800, "h", 3600)):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"


def size(value: float | None) -> str:
    """Bytes in binary units."""
    if value is None:
        return "–"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def short_size(value: float | None) -> str:
    """The same in three digits: `1.23 GiB`, `170 MiB`."""
    if value is None:
        return "–"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 999.5:
            return f"{_three(value)} {unit}"
        value /= 1024
    return f"{_three(value)} TiB"


def brief(value: float | None) -> str:
    """A count in three digits: `950`, `12.3k`, `4.56M`."""
    if value is None:
        return "–"
    for unit in ("", "k", "M", "G"):
        if abs(value) < 999.5:
            return f"{_three(value)}{unit}" if unit else f"{value:.0f}"
        value /= 1000
    return f"{_three(value)}T"


def _three(value: float) -> str:
    digits = 0 if abs(value) >= 99.95 or value == int(value) else 1 if abs(value) >= 9.995 else 2
    return f"{value:.{digits}f}"


def one_line(text: str | None, width: int) -> str:
    """A statement on one line, cut to `width`."""
    flat = " ".join((text or "(text not fetched yet)").split())
    return flat if len(flat) <= width else flat[: width - 1] + "…"


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if hasattr(value, "__float__"):
        return float(value)
    return str(value)
