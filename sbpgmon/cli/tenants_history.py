"""`tenants show`, `explain` and `checks`: what is known of isolation, out of the store and the catalog."""

from __future__ import annotations

import contextlib
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from sbpgmon.checks import BUILT_IN, BuiltIn, Check
from sbpgmon.cli.main import Context
from sbpgmon.cli.output import age, console, number, percent, print_table, to_json
from sbpgmon.errors import ConfigError
from sbpgmon.present import tenants as present
from sbpgmon.store.version import check as check_version

_STYLES = {"fail": "bold red", "unknown": "yellow", "allowed": "dim", "closed": "green"}


def print_findings(rows: list[dict[str, Any]], *, is_many: bool) -> None:
    """Findings for people, each with its short name, what a tenant could do, and what mends it."""
    out = console()
    for row in ({key: _visible(value) for key, value in row.items()} for row in rows):
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_column(width=7, style=_STYLES[row["status"]], no_wrap=True)
        grid.add_column(overflow="fold")
        where = f"{row['target']}: " if is_many else ""
        role = f", role {row['role']}" if row["role"] else ""
        head = f"[bold]{row['severity']} {row['check']}[/] {escape(where + row['object'] + role)} [dim]{row['id']}[/]"
        grid.add_row(row["status"], head)
        grid.add_row("", escape(row["detail"]))
        allowed = row.get("allowed")
        grid.add_row("", f"→ allowed: {escape(allowed)}" if allowed else f"→ {escape(row['remedy'])}")
        if row.get("since"):
            grid.add_row("", f"[dim]{escape(row['since'])}[/]")
        out.print(grid)


def _visible(value: Any) -> Any:
    """Names may hold what a terminal would obey."""
    if not isinstance(value, str):
        return value
    return "".join(character if character.isprintable() or character == "\n" else "?" for character in value)


@click.command(short_help="What the agent has seen: how far it is proven, open findings.")
@click.option("--target", metavar="NAME", help="Only this target.")
@click.option("--closed", is_flag=True, help="Also what was closed in the last 7 days.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_obj
def show(context: Context, target: str | None, closed: bool, form: str) -> None:
    """What the store knows: how far isolation is proven, and the findings that are open.

    As the agent saw it last; `tenants check` looks now.
    """
    settings = context.load()
    with contextlib.closing(context.store(settings)) as store:
        with store.transaction() as conn:
            check_version(conn)
        found = present.history(store, target, with_closed=closed)
    if form == "json":
        click.echo(to_json(found))
        return
    out = console()
    if not found["targets"]:
        out.print("No check of tenant isolation has run yet. `sbpgmon tenants detect` proposes what to declare.")
        return
    cells = [
        row
        | {
            "isolation": percent(row["isolation_ratio"], 0) if not row["unknown_ratio"] else "unknown",
            "unknown": percent(row["unknown_ratio"], 0),
            "cross": number(row["cross_tenant_queries"]),
            "seen": age(row["age_seconds"]),
        }
        for row in found["targets"]
    ]
    columns = [("target", "target", False), ("isolation", "isolation", True), ("unknown", "unknown", True),
               ("checks", "checks", True), ("fails", "fails", True), ("allowed", "allowed", True),
               ("cross", "cross-tenant 24 h", True), ("seen", "oldest", True)]  # fmt: skip
    print_table("Tenant isolation", columns, cells, out=out)
    if found["findings"]:
        out.print()
    print_findings(found["findings"], is_many=len(found["targets"]) > 1)


@click.command()
@click.argument("finding", metavar="FINDING")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_obj
def explain(context: Context, finding: str, form: str) -> None:
    """What a finding means, its history, and what mends it.

    FINDING is its eight characters, its key, or the name of a check, which needs no store.
    """
    settings = context.load()
    catalog = context.catalog(settings)
    check: Check | BuiltIn | None = catalog.checks.get(finding) or BUILT_IN.get(finding)
    episodes: list[dict[str, Any]] = []
    if check is None:
        with contextlib.closing(context.store(settings)) as store:
            with store.transaction() as conn:
                check_version(conn)
            episodes = present.episodes(store, finding)
        if not episodes:
            raise ConfigError(
                f"There is no finding and no check {finding!r}.",
                "`sbpgmon tenants show --closed` lists findings, `sbpgmon tenants checks` the checks.",
            )
        name = episodes[0]["check"]
        check = catalog.checks.get(name) or BUILT_IN.get(name)
    if form == "json":
        click.echo(to_json({"check": _described(check), "findings": episodes}))
        return
    out = console()
    if check is not None:
        out.print(f"[bold]{check.name}[/]  {check.severity}")
        is_heuristic = isinstance(check, Check) and check.is_heuristic
        out.print(f"{escape(check.title)}.{' A heuristic: it reads text.' if is_heuristic else ''}")
        if check.description:
            out.print(f"\n{escape(' '.join(check.description.split()))}")
    for row in episodes:
        out.print()
        print_findings([row], is_many=True)


@click.command()
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_obj
def checks(context: Context, form: str) -> None:
    """All checks, with what each looks for."""
    catalog = context.catalog(context.load())
    every: list[Check | BuiltIn] = [*catalog.checks.values(), *BUILT_IN.values()]
    listed = sorted(every, key=lambda check: (check.models, check.severity, check.name))
    if form == "json":
        click.echo(to_json([_described(check) for check in listed]))
        return
    rows = [{"name": c.name, "model": ", ".join(c.models), "severity": c.severity, "title": c.title} for c in listed]
    columns = [("name", "check", False), ("model", "model", False), ("severity", "", False), ("title", "what", False)]
    print_table(f"{len(rows)} checks", columns, rows, out=console())


def _described(check: Check | BuiltIn | None) -> dict[str, Any] | None:
    if check is None:
        return None
    described = {
        "name": check.name,
        "title": check.title,
        "description": check.description,
        "severity": check.severity,
    }
    if isinstance(check, BuiltIn):
        return described | {"models": list(check.models), "kind": check.kind}
    return described | {
        "models": list(check.models),
        "kind": check.kind,
        "heuristic": check.is_heuristic,
        "interval_seconds": check.interval_seconds,
    }
