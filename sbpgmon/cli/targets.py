"""`targets list` and `targets accept`."""

from __future__ import annotations

import contextlib
from typing import Any

import click

from sbpgmon.cli.main import Context
from sbpgmon.cli.output import console, print_table, to_json
from sbpgmon.present.targets import targets as read_targets
from sbpgmon.store import lease
from sbpgmon.store.targets import accept as accept_server
from sbpgmon.store.version import check


@click.group()
def targets() -> None:
    """The databases that are monitored, and which server each is."""


@targets.command("list")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_obj
def list_(context: Context, form: str) -> None:
    """All targets that the store has a history of, and those of the configuration."""
    settings = context.load()
    with contextlib.closing(context.store(settings)) as store:
        with store.transaction() as conn:
            check(conn)
        rows = read_targets(store, [target.name for target in settings.targets])
    if form == "json":
        click.echo(to_json(rows))
        return
    cells = [{key: "–" if value is None else value for key, value in row.items()} for row in rows]
    columns = [("target", "target", False), ("database", "database", False), ("server_version", "version", False),
               ("system_identifier", "identifier", True), ("state", "state", False)]  # fmt: skip
    out = console()
    print_table(f"{len(rows)} targets", columns, cells, out=out)
    for row in rows:
        if row["refused_identifier"] is not None:
            out.print(_refusal(row))


def _refusal(row: dict[str, Any]) -> str:
    return (
        f"\nAs {row['target']} another server answers, {row['refused_identifier']}, and nothing is read from it."
        f"\n  → If it was rebuilt or upgraded: sbpgmon targets accept {row['target']}; else mend the target's dsn."
    )


@targets.command()
@click.argument("name")
@click.pass_obj
def accept(context: Context, name: str) -> None:
    """Goes on with another server as target NAME, on the same history.

    For a server that was rebuilt or upgraded: nothing is read from it before. Its counters are compared with none of
    the old one's; the first snapshot of every metric is a baseline. An agent that runs goes on within seconds.
    """
    settings = context.load()
    with contextlib.closing(context.store(settings)) as store, store.transaction() as conn:
        check(conn)
        lease.refuse_stopped(conn)
        was, now = accept_server(conn, name)
    click.echo(f"accepted {name}: system_identifier {now} in place of {was}")
    click.echo("The next poll begins a new epoch of its history with a baseline.")
