"""`status` and `top`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import click
from rich.console import Console

from sbpgmon.cli.main import Context
from sbpgmon.cli.output import age, console, number, one_line, percent, print_table, size, to_csv, to_json
from sbpgmon.config import parse_seconds
from sbpgmon.errors import ConfigError
from sbpgmon.present import top as top_
from sbpgmon.present.status import status as read_status
from sbpgmon.store.version import check


class Moment(click.ParamType[datetime]):
    """A duration before now (`1h`), or a moment (ISO 8601; UTC where it has no zone)."""

    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        if value == "now":
            return datetime.now(UTC)
        try:
            return datetime.now(UTC) - timedelta(seconds=parse_seconds(value))
        except ValueError:
            pass
        except OverflowError:
            self.fail(f"{value!r} is longer ago than the calendar goes.", param, ctx)
        try:
            moment = datetime.fromisoformat(value)
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        except OverflowError:
            self.fail(f"{value!r} is not within the years 1 to 9999, in UTC.", param, ctx)
        except ValueError:
            self.fail(f"{value!r} is neither a duration (15m, 1h, 7d) nor a moment (2026-11-21T10:00).", param, ctx)


class Duration(click.ParamType[float]):
    """A duration: `5m`, `1h`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            seconds = parse_seconds(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if seconds <= 0:
            self.fail("must be more than 0", param, ctx)
        return seconds


@click.command()
@click.option("--window", type=Duration(), default="15m", show_default=True, help="Stretch that the figures are over.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_obj
def status(context: Context, window: float, form: str) -> None:
    """Targets, last snapshots, cache hit rate, connections, deadlocks, TPS."""
    settings = context.load()
    store = context.store(settings)
    try:
        with store.transaction() as conn:
            check(conn)
        found = read_status(store, window)
    finally:
        store.close()
    if form == "json":
        click.echo(to_json(found))
        return
    out = console()
    if not found["targets"]:
        out.print("No target has been polled yet: run `sbpgmon collect`.")
        return
    rows = [
        {
            "target": t["target"],
            "state": _state(t),
            "poll": age(t["last_poll_age_seconds"]),
            "cache": percent(t["cache_hit_ratio"]),
            "connections": f"{number(t['client_backends'])}/{number(t['available'])}",
            "tps": number(t["tps"], 1),
            "deadlocks": number(t["deadlocks"]),
            "temp": size(t["temp_bytes"]),
        }
        for t in found["targets"]
    ]
    columns = [
        ("target", "target", False),
        ("state", "state", False),
        ("poll", "polled", True),
        ("cache", "cache hit", True),
        ("connections", "conn.", True),
        ("tps", "TPS", True),
        ("deadlocks", "deadlocks", True),
        ("temp", "temp", True),
    ]
    print_table(f"Targets (figures over the last {age(window)})", columns, rows, out=out)
    out.print()
    _print_own(found["targets"], out)
    out.print()
    _print_isolation(found["targets"], out)
    snapshots = [
        {
            "target": s["target"],
            "metric": s["metric"],
            "age": age(s["age_seconds"]),
            "rows": number(s["rows"]),
            "took": "–" if s["duration_seconds"] is None else f"{s['duration_seconds'] * 1000:,.0f} ms",
            "status": s["status"] if s["status"] == "ok" else f"{s['status']}: {one_line(s['error'], 200)}",
        }
        for s in found["snapshots"]
    ]
    columns = [
        ("target", "target", False),
        ("metric", "metric", False),
        ("age", "age", True),
        ("rows", "rows", True),
        ("took", "took", True),
        ("status", "status", False),
    ]
    print_table("Last snapshots", columns, snapshots, out=out)


def _print_isolation(targets: list[dict[str, Any]], out: Console) -> None:
    """Whether tenants are kept apart, of the targets where that was looked at."""
    rows = [
        {
            "target": t["target"],
            "isolation": percent(t["isolation_ratio"], 0) if not t["unknown_ratio"] else "unknown",
            "unknown": percent(t["unknown_ratio"], 0),
            "fails": number(t["isolation_fails"]),
            "cross": number(t["cross_tenant_queries"]),
        }
        for t in targets
        if t["isolation_ratio"] is not None
    ]
    if not rows:
        return
    columns = [
        ("target", "target", False),
        ("isolation", "isolation", True),
        ("unknown", "unknown", True),
        ("fails", "fails", True),
        ("cross", "cross-tenant queries", True),
    ]
    print_table("Tenant isolation (`sbpgmon tenants show` says more)", columns, rows, out=out)
    out.print()


def _print_own(targets: list[dict[str, Any]], out: Console) -> None:
    """What the agent itself costs the targets."""
    rows = [
        {
            "target": t["target"],
            "calls": number(t["self_calls_per_minute"]),
            "time": number(t["self_time_per_minute"], 1),
            "share": percent(t["self_share_ratio"], 2),
            "intervals": (t["stretched"] or "normal").removeprefix("intervals are "),
        }
        for t in targets
    ]
    columns = [
        ("target", "target", False),
        ("calls", "calls/min", True),
        ("time", "ms/min", True),
        ("share", "share", True),
        ("intervals", "intervals", False),
    ]
    print_table("The agent's own cost", columns, rows, out=out)


def _state(target: dict[str, Any]) -> str:
    if target["refused_identifier"] is not None:
        return f"REFUSED, another server: sbpgmon targets accept {target['target']}"
    if target["up"] is None:
        return "no poll yet"
    if not target["up"]:
        return "DOWN"
    role = "standby" if target["is_standby"] else "primary"
    return f"up, {role} {target['server_version'] or ''}".strip()


@click.command()
@click.option("--since", type=Moment(), default="1h", show_default=True, help="From: 15m, 7d, or 2026-11-21T10:00.")
@click.option("--until", type=Moment(), default="now", show_default=True, help="To.")
@click.option(
    "--by",
    default="total_exec_time",
    show_default=True,
    metavar="COUNTER",
    help="Any counter: calls, rows, …",
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@click.option("--target", metavar="NAME", help="One target only.")
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
@click.pass_obj
def top(context: Context, since: datetime, until: datetime, by: str, limit: int, target: str | None, form: str) -> None:
    """Statements over any stretch of history, by what they cost most of.

    Deltas of pg_stat_statements, summed over whole snapshots whose end lies in the stretch. `share` is of all
    top-level statements; ~ marks sums that are a lower bound, because of a reset or an unknown stretch.
    """
    if since >= until:
        raise ConfigError("--since is not before --until.", "Give --since an earlier moment.")
    settings = context.load()
    catalog = context.catalog(settings)
    store = context.store(settings)
    try:
        with store.transaction() as conn:
            check(conn)
        found = top_.top(
            store,
            catalog.metrics["stat_statements"],
            since=since,
            until=until,
            by=by,
            limit=limit,
            target=target,
        )
    finally:
        store.close()
    if form == "json":
        click.echo(to_json(found))
    elif form == "csv":
        click.echo(to_csv(found), nl=False)
    else:
        _print_top(found, by, since, until)


def _print_top(rows: list[dict[str, Any]], by: str, since: datetime, until: datetime) -> None:
    out = console()
    if not rows:
        out.print("No statement ran in this stretch, or none has been seen twice yet: differences need two snapshots.")
        return
    has_targets = len({row["target"] for row in rows}) > 1
    shown: list[tuple[str, str, bool, Callable[[dict[str, Any]], str]]] = []
    if by not in ("calls", "total_exec_time"):
        shown.append(("by", by, True, lambda r: number(r[by], 1 if isinstance(r[by], float) else 0)))
    shown += [
        ("share", "share", True, lambda r: percent(r["share"]) + ("~" if r["is_partial"] else "")),
        ("time", "total ms", True, lambda r: number(r["total_exec_time"])),
        ("calls", "calls", True, lambda r: number(r["calls"])),
        ("mean", "mean ms", True, lambda r: number(r["mean_exec_time"], 2)),
    ]
    if has_targets:
        shown.append(("target", "target", False, lambda r: r["target"]))
    shown.append(("user", "user", False, lambda r: r["usename"] or "?"))
    cells = [{key: cell(row) for key, _, _, cell in shown} for row in rows]
    used = sum(max(len(heading), *(len(c[key]) for c in cells)) + 2 for key, heading, _, _ in shown)
    for cell, row in zip(cells, rows, strict=True):
        cell["query"] = one_line(row["query"], max(20, out.width - used - 1))
    columns = [(key, heading, is_number) for key, heading, is_number, _ in shown] + [("query", "statement", False)]
    title = f"Top {len(rows)} statements by {by}, {since:%Y-%m-%d %H:%M} to {until:%H:%M} UTC"
    print_table(title, columns, cells, out=out)
