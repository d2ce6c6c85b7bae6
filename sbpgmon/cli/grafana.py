"""`grafana`: dashboards out of the panels, as files or into a Grafana."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from sbpgmon.cli.main import Context
from sbpgmon.config import Settings
from sbpgmon.errors import QueryFileError, StaleError
from sbpgmon.panels import Dashboard
from sbpgmon.present.grafana.datasource import PASSWORD_VARIABLE, DataSource, datasource_of
from sbpgmon.present.grafana.provisioning import (
    DASHBOARDS,
    dashboard_files,
    provisioning_files,
    remove_others,
    stale_files,
    write_files,
)
from sbpgmon.present.grafana.push import Grafana

_READER = "grafana_reader"


@click.group()
def grafana() -> None:
    """Dashboards for Grafana, out of queries/panels/ and of your own panels.

    They need Grafana 11 or newer and its PostgreSQL data source, nothing else. `sbpgmon report` shows the same without
    a Grafana.
    """


def _store_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--user", default=_READER, show_default=True, help="Role that Grafana reads with."),
        click.option("--port", type=click.IntRange(1, 65535), help="Its port there.  [default: the agent's]"),
        click.option("--host", metavar="HOST", help="Where Grafana reaches the store.  [default: as the agent does]"),
    ):
        command = option(command)
    return command


def _dashboards(context: Context, settings: Settings) -> dict[str, Dashboard]:
    """Dashboards of a catalog whose panels are all sound: half a dashboard would replace a whole one."""
    catalog = context.catalog(settings)
    if mine := [problem for problem in catalog.problems if "panels" in problem.what]:
        raise QueryFileError("\n".join(problem.what for problem in mine), mine[0].way_out)
    return catalog.dashboards


def _datasource(context: Context, settings: Settings, user: str, host: str | None, port: int | None) -> DataSource:
    store = context.store(settings)
    try:
        return datasource_of(store, settings.store_dsn, user=user, host=host, port=port)
    finally:
        store.close()


@grafana.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path("grafana/dashboards"))
@click.option("--check", is_flag=True, help="Write nothing; end with 5 when a file is not as it should be.")
@click.pass_obj
def build(context: Context, folder: Path, check: bool) -> None:
    """Writes a JSON file for each dashboard.  [default folder: grafana/dashboards]

    Dashboards of ours that are no more are removed from it; other files are left alone.
    """
    files = dashboard_files(_dashboards(context, context.load()))
    if check:
        if stale := stale_files(folder, files):
            raise StaleError(f"{folder}: {', '.join(stale)}: not as the panels are.", f"sbpgmon grafana build {folder}")
        click.echo(f"{folder}: {len(files)} dashboards, as the panels are")
        return
    write_files(folder, files)
    gone = remove_others(folder, files)
    click.echo(f"{folder}: {len(files)} dashboards" + (f"; removed {', '.join(gone)}" if gone else ""))


@grafana.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR")
@_store_options
@click.option("--dashboards-path", metavar="PATH", help="Where Grafana finds DIR/dashboards.  [default: there]")
@click.pass_obj
def provision(
    context: Context, folder: Path, user: str, host: str | None, port: int | None, dashboards_path: str | None
) -> None:
    """Writes a provisioning tree for the store into DIR: data source, provider, dashboards.

    Copy or mount DIR/provisioning to Grafana's own (/etc/grafana/provisioning), give Grafana's environment the reader's
    password as SBPGMON_GRAFANA_PASSWORD, and restart it.
    """
    settings = context.load()
    dashboards = _dashboards(context, settings)
    source = _datasource(context, settings, user, host, port)
    path = dashboards_path or str((folder / DASHBOARDS).resolve())
    files = provisioning_files(dashboards, source, path)
    write_files(folder, files)
    remove_others(folder / DASHBOARDS, {Path(name).name: "" for name in files})
    click.echo(f"{folder}: data source {source.user}@{source.url}/{source.database}, {len(dashboards)} dashboards")
    click.echo(f"Grafana looks for them in {path}, and for the password in ${PASSWORD_VARIABLE}.")


@grafana.command()
@click.option("--url", required=True, metavar="URL", help="Grafana's address: https://grafana.example.com.")
@click.option("--token", required=True, metavar="TOKEN", help="Of a service account.  [or: SBPGMON_GRAFANA_PUSH_TOKEN]")
@_store_options
@click.option(
    "--password", envvar=PASSWORD_VARIABLE, metavar="PASSWORD", help=f"Of that role.  [or: {PASSWORD_VARIABLE}]"
)
@click.pass_obj
def push(
    context: Context, url: str, token: str, user: str, host: str | None, port: int | None, password: str | None
) -> None:
    """Makes or renews folder, data source and dashboards in a Grafana, over its HTTP API.

    What is there under the same names is replaced. A data source keeps its password where none is given.
    """
    server = Grafana(url, token)
    settings = context.load()
    dashboards = _dashboards(context, settings)
    server.push(dashboards, _datasource(context, settings, user, host, port), password, click.echo)
