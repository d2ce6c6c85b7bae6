"""`collect` and `run`."""

from __future__ import annotations

import sys

import click

from sbpgmon.agent import Agent
from sbpgmon.cli.main import Context, fail
from sbpgmon.cli.output import console
from sbpgmon.errors import TargetError


@click.command()
@click.option("-q", "--quiet", is_flag=True, help="Say nothing when all went well (for cron).")
@click.pass_obj
def collect(context: Context, quiet: bool) -> None:
    """One pass over what is due: for cron.

    A metric is due once in each slot of its own interval, however often this runs. Readings wait in the state
    folder while the store is away, and are replayed in order.
    """
    settings = context.load_with_targets()
    agent = Agent(settings)
    out = console(stderr=True)
    if out.is_terminal and len(settings.targets) > 1 and not quiet:
        from rich.progress import Progress

        with Progress(console=out, transient=True) as bar:
            task = bar.add_task("polling", total=len(settings.targets))
            outcome = agent.collect(lambda _: bar.advance(task))
    else:
        outcome = agent.collect()
    if not quiet or outcome.worst is not None:
        spooled = f", {outcome.spooled} wait in the spool" if outcome.spooled else ""
        click.echo(
            f"{outcome.targets} targets polled: {outcome.snapshots} snapshots stored, {outcome.rows} rows read, "
            f"{outcome.facts} facts written{spooled}",
            err=True,
        )
    if outcome.worst is not None:
        if type(outcome.worst) is TargetError:
            # Each has been logged where it happened.
            sys.exit(outcome.worst.exit_code)
        fail(outcome.worst)


@click.command()
@click.pass_obj
def run(context: Context) -> None:
    """The daemon: for systemd.

    SIGTERM finishes the polls in hand and exits 0; SIGHUP reads the configuration again. Tells systemd when it is
    ready, and feeds its watchdog. Ends with 21 when the schema is gone, and must not be restarted then.
    """
    settings = context.load_with_targets()
    Agent(settings).run(reload=context.load_with_targets)
