"""`metrics list`, `metrics show` and `metrics test`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from sbpgmon.catalog.metrics import parse_metric
from sbpgmon.cli.main import Context
from sbpgmon.cli.output import age, console, print_table, to_json
from sbpgmon.config import Settings
from sbpgmon.errors import ConfigError
from sbpgmon.model import Metric
from sbpgmon.present.trial import Trial, try_metric


@click.group()
def metrics() -> None:
    """The catalog: what is read, how often, and from which file."""


@metrics.command("list")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_obj
def list_(context: Context, form: str) -> None:
    """All metrics, the shipped ones and your own."""
    settings = context.load()
    catalog = context.catalog(settings)
    rows = [_summary(metric, settings) for metric in catalog.metrics.values()]
    rows.sort(key=lambda row: str(row["name"]))
    if form == "json":
        click.echo(to_json(rows))
    else:
        cells = [row | {"interval": age(row["interval_seconds"])} for row in rows]
        columns = [("name", "metric", False), ("interval", "interval", True), ("tier", "tier", False),
                   ("scope", "scope", False), ("title", "what", False)]  # fmt: skip
        print_table(f"{len(rows)} metrics", columns, cells, out=console())
    if catalog.problems:
        for problem in catalog.problems[:-1]:
            click.echo(f"error: {problem}", err=True)
        raise catalog.problems[-1]


def _summary(metric: Metric, settings: Settings) -> dict[str, Any]:
    chosen = settings.metrics.get(metric.name)
    return {
        "name": metric.name,
        "interval_seconds": (chosen.interval if chosen else None) or metric.interval_seconds,
        "tier": metric.tier,
        "scope": metric.scope,
        "enabled": chosen.enabled if chosen else True,
        "title": metric.title,
        "files": [str(variant.path) for variant in metric.variants],
    }


@metrics.command()
@click.argument("name")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_obj
def show(context: Context, name: str, form: str) -> None:
    """One metric: its columns, units, needs and variants."""
    settings = context.load()
    catalog = context.catalog(settings)
    metric = catalog.metrics.get(name)
    if metric is None:
        raise ConfigError(f"There is no metric {name!r}.", f"There are: {', '.join(sorted(catalog.metrics))}.")
    if form == "json":
        columns = [{"name": c.name, "kind": c.kind, "type": c.type.name, "unit": c.unit, "description": c.description}
                   for c in metric.columns]  # fmt: skip
        more = {"description": metric.description, "role": metric.role, "missing": metric.missing,
                "requires": [str(r) for r in metric.requires], "timeout_seconds": metric.timeout_seconds}  # fmt: skip
        click.echo(to_json(_summary(metric, settings) | more | {"columns": columns}))
        return
    click.echo(f"{metric.name}: {metric.title}.")
    if metric.description:
        click.echo(f"\n{metric.description}")
    summary = _summary(metric, settings)
    click.echo(
        f"\ninterval {age(summary['interval_seconds'])}, tier {metric.tier}, timeout {metric.timeout_seconds:g} s, "
        f"scope {metric.scope}, role {metric.role}, an absent row means {metric.missing}"
    )
    click.echo(f"requires {', '.join(map(str, metric.requires)) or 'nothing'}")
    for variant in metric.variants:
        lacks = f" (lacks {len(variant.lacks)} columns)" if variant.lacks else ""
        click.echo(f"file {variant.path}{lacks}")
    click.echo()
    rows = [{"name": c.name, "kind": c.kind, "type": c.type.name,
             "description": c.description + (f" [{c.unit}]" if c.unit else "")} for c in metric.columns]  # fmt: skip
    heads = [("name", "column", False), ("kind", "kind", False), ("type", "type", False),
             ("description", "description", False)]  # fmt: skip
    print_table("Columns", heads, rows, out=console())


@metrics.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--target", "target_name", metavar="NAME", help="On this target.  [default: the first]")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_obj
def test(context: Context, file: Path, target_name: str | None, form: str) -> None:
    """Runs a new SQL file against a target, read-only, and says what is wrong with it; stores nothing."""
    settings = context.load_with_targets()
    metric = parse_metric([file])
    chosen = [t for t in settings.targets if target_name in (None, t.name)]
    if not chosen:
        known = ", ".join(t.name for t in settings.targets)
        raise ConfigError(f"There is no target {target_name!r}.", f"There are: {known}.")
    trial = try_metric(metric, chosen[0], settings)
    if form == "json":
        click.echo(to_json(dataclasses.asdict(trial)))
        return
    _print_trial(metric, trial)


def _print_trial(metric: Metric, trial: Trial) -> None:
    click.echo(f"{metric.name} on {trial.target} (PostgreSQL {trial.server_version}): fine")
    click.echo(f"{trial.rows} rows, {trial.bytes} bytes, {trial.duration_seconds * 1000:.1f} ms; first rows:")
    if trial.first_rows:
        columns = [(c.name, c.name, c.type.name not in ("text", "boolean")) for c in metric.columns]
        print_table("", columns, trial.first_rows, out=console())
    for warning in trial.warnings:
        click.echo(f"warning: {warning}", err=True)
