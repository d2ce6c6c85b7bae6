"""`tenants`: whether one tenant can see another's data."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import click
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn

from sbpgmon.catalog.catalog import Catalog
from sbpgmon.checks import ALLOWANCES, BUILT_IN, PROBE_CHECKS, STATEMENT_CHECKS
from sbpgmon.cli.main import Context
from sbpgmon.cli.output import console, print_table, to_json
from sbpgmon.cli.tenants_detect import detect
from sbpgmon.cli.tenants_events import events
from sbpgmon.cli.tenants_history import checks as checks_command
from sbpgmon.cli.tenants_history import explain, print_findings, show
from sbpgmon.cli.tenants_judge import judge
from sbpgmon.collect.due import as_configured, intervals_of
from sbpgmon.collect.isolation import Task, look
from sbpgmon.config import Settings, Target
from sbpgmon.errors import ConfigError, IsolationFailedError, IsolationUnknownError, TargetError, UnsupportedError
from sbpgmon.findings import IsolationReading
from sbpgmon.present import tenants as present
from sbpgmon.present.detect import without_target, without_tenancy
from sbpgmon.sources.probe import probe, refuse_unsafe
from sbpgmon.sources.session import Session


@click.group()
def tenants() -> None:
    """Whether one tenant can see another's data, and how sure that is."""


@tenants.command(short_help="Runs every check now: pass, fail or unknown.")
@click.option("--target", "names", multiple=True, metavar="NAME", help="Only this target; can be given again.")
@click.option("--check", "checks", multiple=True, metavar="CHECK", help="Only this check; can be given again.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_obj
def check(context: Context, names: tuple[str, ...], checks: tuple[str, ...], form: str) -> None:
    """Runs every check now, and says what passes, what fails and what is unknown.

    Reads the targets alone and writes nothing. Ends with 0 when all passes, with 3 when anything fails, with 4 when
    something is unknown and nothing fails.
    """
    settings = context.load_with_targets()
    catalog = context.catalog(settings)
    if unknown := sorted(set(checks) - catalog.checks.keys() - BUILT_IN.keys()):
        raise ConfigError(f"There is no check {', '.join(unknown)}.", "`sbpgmon tenants checks` lists them.")
    readings = _look(settings, catalog, names, checks)
    ran = {run.check for reading in readings for run in reading.runs}
    if checks and ran.isdisjoint(checks) and not any(reading.findings for reading in readings):
        # That would look like a pass.
        raise ConfigError(
            f"{', '.join(checks)}: nothing was looked at.",
            "It is for another model, or switched off: `sbpgmon tenants checks` lists what each is for.",
        )
    found, rows = present.summary(readings), present.rows(readings)
    if form == "json":
        click.echo(to_json({"summary": found, "findings": rows}))
    else:
        _print(found, rows, is_many=len(readings) > 1)
    fails, unknowns = int(found["fail"] or 0), int(found["unknown"] or 0)
    if fails:
        worst = min(row["severity"] for row in rows if row["status"] == "fail")
        raise IsolationFailedError(
            f"{fails} {'finding' if fails == 1 else 'findings'}, the worst {worst}.",
            "Each has the statement that mends it; `sbpgmon tenants explain ID` says more.",
        )
    if unknowns:
        raise IsolationUnknownError(
            f"Nothing fails, and {unknowns} {'thing' if unknowns == 1 else 'things'} could not be seen: "
            "whether tenants are kept apart is not known.",
            "Each says what would change that.",
        )


def _look(settings: Settings, catalog: Catalog, names: Sequence[str], checks: Sequence[str]) -> list[IsolationReading]:
    if unknown := sorted(set(names) - {target.name for target in settings.targets}):
        raise ConfigError(f"There is no target {', '.join(unknown)}.", "`sbpgmon targets list` lists them.")
    targets = [target for target in settings.targets if not names or target.name in names]
    readings: list[IsolationReading] = []
    lost: list[TargetError] = []
    with _progress() as progress:
        for target in targets:
            task = progress.add_task(target.name, total=None)
            try:
                readings.append(
                    _look_at(settings, catalog, target, checks, partial(_tell, progress, task, target.name))
                )
            except TargetError as error:
                # What is known of the others counts, and that nothing is known of this one.
                readings.append(without_target(target.name, error))
                lost.append(error)
            progress.remove_task(task)
    if lost and len(lost) == len(targets):
        raise lost[0]
    return readings


def _tell(progress: Progress, task: TaskID, target: str, name: str) -> None:
    progress.update(task, description=f"{target}: {name}")


def _look_at(
    settings: Settings, catalog: Catalog, target: Target, checks: Sequence[str], tell: Callable[[str], None]
) -> IsolationReading:
    with Session(target, settings.agent.connect_timeout) as session:
        server = probe(session)
        # Without pg_monitor the catalogs are read all the same; what needs it is unknown, and says what to grant.
        with contextlib.suppress(UnsupportedError):
            refuse_unsafe(target.name, server, allow_superuser=settings.allow_superuser)
        configured = as_configured(catalog, settings.checks)
        work = Task(
            settings.tenancy_of(target.name),
            {name: check for name, check in configured.items() if not checks or name in checks},
            probe_turn=int(time.time()) if not checks or set(checks) & set(PROBE_CHECKS) else None,
            connect_timeout_seconds=settings.agent.connect_timeout,
            has_texts=settings.texts != "off",
            judges_statements="stat_statements" in intervals_of(catalog, settings.metrics)
            and (not checks or bool(set(checks) & set(STATEMENT_CHECKS))),
        )
        reading = look(session, server, catalog, work, tell)
    if not reading.runs:
        return without_tenancy(reading)
    if checks and ALLOWANCES not in checks:
        reading = replace(reading, runs=tuple(run for run in reading.runs if run.check != ALLOWANCES))
    return reading


@contextlib.contextmanager
def _progress() -> Iterator[Progress]:
    """On stderr, gone at the end; nothing where there is no terminal."""
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), console=console(stderr=True), transient=True
    ) as progress:
        yield progress


def _print(found: dict[str, Any], rows: list[dict[str, Any]], *, is_many: bool) -> None:
    print_findings(rows, is_many=is_many)
    figures = [(key.replace("_", " "), "unknown" if value is None else value) for key, value in found.items()]
    cells = [{"what": what, "value": value} for what, value in figures]
    print_table("", [("what", "", False), ("value", "", True)], cells, out=console())


for command in (detect, show, explain, checks_command, judge, events):
    tenants.add_command(command)
