"""`store`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console

from sbpgmon.cli.main import Context
from sbpgmon.cli.output import age, brief, console, print_table, short_size, size, to_json
from sbpgmon.durations import in_words
from sbpgmon.present.store import measure
from sbpgmon.store.version import check

_NUMBER = True  # of a column: right-justified, never wrapped


@click.command()
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_obj
def store(context: Context, form: str) -> None:
    """Size by metric and tier, growth, a forecast.

    Rows and bytes a day, the oldest data, how far the roll-ups lag behind, and the locks that a rollback would need.
    It comes out of the catalogs: quick, however much is stored. Rows are estimates.
    """
    settings = context.load()
    connection = context.store(settings)
    try:
        with connection.transaction() as conn:
            check(conn)
        found = measure(connection)
    finally:
        connection.close()
    if form == "json":
        click.echo(to_json(found))
        return
    out = console()
    _print_tiers(found, out)
    out.print()
    _print_metrics(found, out)
    out.print()
    _print_forecast(found, out)


def _print_tiers(found: dict[str, Any], out: Console) -> None:
    rows = [
        {
            "tier": tier["tier"],
            "keep": "–" if tier["tier"] == "other" else _keep(tier),
            "rows": brief(tier["rows"]),
            "rows_day": _about(tier, brief(tier["rows_per_day"])),
            "size": short_size(tier["total_bytes"]),
            "size_day": _about(tier, short_size(tier["bytes_per_day"])),
            "oldest": _since(tier["oldest"]),
            "newest": _since(tier["newest"]),
            "full": "–" if tier["full_bytes"] is None else short_size(tier["full_bytes"]),
        }
        for tier in found["tiers"]
    ]
    columns = [
        ("tier", "tier", False), ("keep", "kept", _NUMBER), ("rows", "rows", _NUMBER),
        ("rows_day", "a day", _NUMBER), ("size", "size", _NUMBER), ("size_day", "a day", _NUMBER),
        ("oldest", "oldest", _NUMBER), ("newest", "newest", _NUMBER), ("full", "full", _NUMBER),
    ]  # fmt: skip
    total = f"{size(found['total_bytes'])} with indexes, about {brief(found['rows'])} rows"
    about = "" if found["is_exact"] else " (estimates: a table is locked)"
    out.print(f"monitoring: {total}{about}")
    out.print()
    print_table("By tier", columns, rows, out=out)


def _print_metrics(found: dict[str, Any], out: Console) -> None:
    rows, last = [], ""
    for part in found["metrics"]:
        is_other = part["part"] == "other"
        rows.append(
            {
                "metric": part["metric"] if part["metric"] != last else "",
                "tier": part["part"],
                "keep": "" if is_other else _keep(part),
                "rows": brief(part["rows"]),
                "size": short_size(part["total_bytes"]),
                "size_day": "" if is_other else _about(part, short_size(part["bytes_per_day"])),
                "oldest": "" if is_other else _since(part["oldest"]),
                "behind": "" if part["behind_seconds"] is None else _behind(part["behind_seconds"]),
            }
        )
        last = part["metric"]
    columns = [
        ("metric", "metric", False), ("tier", "tier", False), ("keep", "kept", _NUMBER), ("rows", "rows", _NUMBER),
        ("size", "size", _NUMBER), ("size_day", "a day", _NUMBER), ("oldest", "oldest", _NUMBER),
        ("behind", "behind", _NUMBER),
    ]  # fmt: skip
    print_table("By metric (other: series, last counters, texts; behind: not rolled up yet)", columns, rows, out=out)


def _print_forecast(found: dict[str, Any], out: Console) -> None:
    coming = found["forecast"]
    if not any(tier["bytes_per_day"] for tier in found["tiers"]):
        out.print("Forecast: not yet; ten minutes of data are needed.")
    else:
        out.print(
            f"Forecast, by {age(coming['from_seconds'])} of data: {size(coming['in_30_days_bytes'])} in 30 days, "
            f"{size(coming['in_a_year_bytes'])} in a year."
        )
        forever = coming["forever_bytes_per_day"]
        more = f", and {size(forever)} a day more for what is kept forever" if forever else ""
        out.print(
            f"When every tier is full, in {coming['full_in_days']:,.0f} days: {size(coming['steady_bytes'])}{more}."
        )
        if any(tier["is_estimated"] for tier in found["tiers"]):
            out.print("~ is an upper limit, by the finer tier: the tier itself is too young.")
    counted = ", ".join(f"{number:,} {kind}" for kind, number in found["relations"].items())
    locks = found["locks"]
    out.print(f"A rollback takes {counted}: {locks['needed']:,} locks, and at least {locks['available']:,} can be had.")
    if locks["needed"] > locks["available"]:
        out.print("  That may not fit: raise max_locks_per_transaction if it fails.")
    if found["outside"]:
        out.print(f"  Outside the schema {len(found['outside'])} objects depend on it: see `sbpgmon rollback`.")


def _keep(part: dict[str, Any]) -> str:
    return in_words(part["retention_seconds"])


def _about(part: dict[str, Any], text: str) -> str:
    return f"~{text}" if part["is_estimated"] else text


def _since(moment: datetime | None) -> str:
    return age(None if moment is None else max(0.0, (datetime.now(UTC) - moment).total_seconds()))


def _behind(seconds: float) -> str:
    return "no" if seconds < 1 else age(seconds)
