"""`tenants events test`: what the SQL of an event says now."""

from __future__ import annotations

import dataclasses
import time

import click

from sbpgmon.cli.main import Context
from sbpgmon.cli.one_target import connected
from sbpgmon.cli.output import console, print_table, to_json
from sbpgmon.collect.events import count_event
from sbpgmon.errors import ConfigError

_SHOWN = 20


@click.group(short_help="Events in the application's own tables.")
def events() -> None:
    """Events in the application's own tables, as [[tenancy.events]] counts them."""


@events.command()
@click.argument("name")
@click.option("--target", metavar="NAME", help="On this target; needed where there are several.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_obj
def test(context: Context, name: str, target: str | None, form: str) -> None:
    """Counts one event over its last interval, as the agent would, and shows it; stores nothing.

    Says what is wrong with its SQL, what it may not read and with which GRANT it could, and when it is too dear.
    """
    with connected(context, target) as found:
        declared = {event.name: event for event in found.settings.tenancy_of(found.name).events}
        if name not in declared:
            raise ConfigError(
                f"There is no event {name!r} for {found.name}.",
                f"There are: {', '.join(declared)}." if declared else "Declare it in [[tenancy.events]].",
            )
        began = time.monotonic()
        with found.session.deadline(found.settings.agent.deadline):
            _, counted = count_event(found.session, declared[name], None)
        seconds = time.monotonic() - began
    assert counted is not None  # one that was never counted is due
    window, counts = counted.window, [dataclasses.asdict(item) for item in counted.counts]
    if form == "json":
        more = {"event": name, "target": found.name, "from": window.since, "to": window.until, "seconds": seconds}
        rows = [row if counted.has_attempts else row | {"attempts": None} for row in counts]
        click.echo(to_json({**more, "rows": rows}))
        return
    total = sum(item.count for item in counted.counts)
    click.echo(
        f"{name} on {found.name}, from {window.since:%Y-%m-%d %H:%M:%S} to {window.until:%H:%M:%S} UTC: {total} "
        f"of {len(counts)} {'tenant' if len(counts) == 1 else 'tenants'}, {seconds * 1000:.0f} ms"
    )
    columns = [("tenant", "tenant", False), ("count", "count", True)]
    columns += [("attempts", "attempts", True)] if counted.has_attempts else []
    if counts:
        print_table("", columns, counts[:_SHOWN], out=console())
    if len(counts) > _SHOWN:
        click.echo(f"… and {len(counts) - _SHOWN} more")
