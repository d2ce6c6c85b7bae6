"""`rollback`."""

from __future__ import annotations

import click

from sbpgmon.cli.main import Context
from sbpgmon.cli.output import number, size
from sbpgmon.errors import RollbackRefusedError
from sbpgmon.sources.session import safe_dsn
from sbpgmon.store.connection import translated
from sbpgmon.store.dependents import Survey, survey
from sbpgmon.store.removal import remove
from sbpgmon.store.roles import drop_roles


@click.command()
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--cascade-outside", is_flag=True, help="Drop objects outside the schema that depend on it, too.")
@click.option("--roles", is_flag=True, help="Drop the roles that `sbpgmon grants` made, too.")
@click.option(
    "--wait", type=click.FloatRange(0), default=30.0, show_default=True, help="Seconds for queries in flight."
)
@click.option("--attempts", type=click.IntRange(1), default=10, show_default=True, help="Times to try the DROP.")
@click.pass_obj
def rollback(context: Context, yes: bool, cascade_outside: bool, roles: bool, wait: float, attempts: int) -> None:
    """Removes every trace: says what will go, then DROP SCHEMA monitoring CASCADE.

    Running agents stop at once and are not restarted; readers lose access, queries in flight may end; then all
    goes in one transaction, or nothing. Roles are left alone unless --roles.
    """
    settings = context.load()
    store = context.store(settings)
    try:
        with translated():
            found = survey(store.raw)
            click.echo(safe_dsn(settings.store_dsn, "the store"))
            _print_survey(found)
            if found.outside and not cascade_outside:
                raise RollbackRefusedError(
                    f"{len(found.outside)} objects outside the schema depend on it; nothing was done.",
                    "Drop them first, or let them go too: --cascade-outside.",
                )
            if not yes:
                click.confirm("Go on?", abort=True)
            remove(
                store.raw,
                cascade_outside=cascade_outside,
                wait_seconds=wait,
                attempts=attempts,
                progress=click.echo,
            )
            if roles:
                drop_roles(store.raw, click.echo)
    finally:
        store.close()


def _print_survey(found: Survey) -> None:
    click.echo("DROP SCHEMA monitoring CASCADE takes away:")
    for kind, count in found.relations.items():
        click.echo(f"  {count:>7,} {kind}")
    click.echo(f"  about {number(found.rows)} rows, {size(found.total_bytes)}")
    click.echo(f"  {found.locks_needed:,} locks are needed, at least {found.locks_available:,} can be had")
    if found.locks_needed > found.locks_available:
        click.echo("  warning: that may not fit; raise max_locks_per_transaction if it fails", err=True)
    if not found.outside:
        click.echo("Nothing outside the schema depends on it.")
        return
    click.echo("Outside the schema, these depend on it and would go too:")
    for dependent in found.outside:
        click.echo(f"  {dependent.description}")
