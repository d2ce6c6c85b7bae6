"""`grants`, `doctor` and `init`."""

from __future__ import annotations

import dataclasses

import click
from rich.table import Table
from rich.text import Text

from sbpgmon.catalog.retention import check_retention
from sbpgmon.cli.main import Context
from sbpgmon.cli.output import console, to_json
from sbpgmon.errors import ConfigError, DoctorError, QueryFileError, StoreRefusedError
from sbpgmon.present.doctor import examine
from sbpgmon.present.grants import grants_sql
from sbpgmon.present.tenancy_grants import tenancy_grants_sql
from sbpgmon.sources.probe import probe
from sbpgmon.sources.session import Session, parse_dsn, safe_dsn
from sbpgmon.store.connection import StoreConnection


@click.command()
@click.option("--database", metavar="NAME", help="Database to be read.  [default: that of the first target, or app]")
@click.option("--store-database", metavar="NAME", help="Database of the schema.  [default: the same]")
@click.option("--reader", default="sbpgmon_reader", show_default=True, help="Role that reads the target.")
@click.option("--owner", default="sbpgmon_owner", show_default=True, help="Role that owns `monitoring`.")
@click.option("--grafana", default="grafana_reader", show_default=True, help="Role that Grafana reads with.")
@click.option("--tenancy", is_flag=True, help="Instead: what looking at tenants' rows needs. Connects to the targets.")
@click.option("--target", "names", multiple=True, metavar="NAME", help="With --tenancy: only this; can be given again.")
@click.option(
    "--probe",
    "probe_role",
    default="sbpgmon_probe",
    show_default=True,
    help="With --tenancy: login that tries as a tenant.",
)
@click.pass_obj
def grants(
    context: Context,
    database: str | None,
    store_database: str | None,
    reader: str,
    owner: str,
    grafana: str,
    tenancy: bool,
    names: tuple[str, ...],
    probe_role: str,
) -> None:
    """Prints the SQL for the roles: reader on the target, owner of `monitoring`, Grafana's reader.

    Run it with psql as a superuser: sbpgmon grants | psql -d DATABASE. It changes nothing itself, and needs no
    connection, but for --tenancy: what that prints is read from the catalog of each target.
    """
    if tenancy:
        _print_tenancy(context, names, probe_role)
        return
    settings = context.load()
    if database is None and settings.targets:
        target = settings.targets[0]
        database = str(parse_dsn(target.dsn, f"target {target.name}").get("dbname") or "") or None
    if store_database is None and settings.store.dsn is not None:
        store_database = str(parse_dsn(settings.store.dsn, "the store").get("dbname") or "") or None
    click.echo(
        grants_sql(database or "app", store_database=store_database, reader=reader, owner=owner, grafana=grafana)
    )


def _print_tenancy(context: Context, names: tuple[str, ...], probe_role: str) -> None:
    settings = context.load_with_targets()
    if unknown := sorted(set(names) - {target.name for target in settings.targets}):
        raise ConfigError(f"There is no target {', '.join(unknown)}.", "`sbpgmon targets list` lists them.")
    catalog = context.catalog(settings)
    for target in settings.targets:
        if not names or target.name in names:
            with Session(target, settings.agent.connect_timeout) as session:
                server = probe(session)
                click.echo(tenancy_grants_sql(session, server, catalog, settings.tenancy_of(target.name), probe_role))


@click.command()
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_obj
def doctor(context: Context, form: str) -> None:
    """Looks at every precondition: each ok, warn or fail, and the way to mend it.

    Connects to the store and to every target, reads, and changes nothing. Ends with 13 when something fails.
    """
    settings = context.load_with_targets()
    checks = []
    out = console()
    styles = {"ok": "green", "warn": "yellow", "fail": "bold red"}
    for check in examine(settings, context.catalog(settings)):
        checks.append(check)
        if form == "table":
            row = Table.grid(padding=(0, 2, 0, 0))
            row.add_column(width=4, style=styles[check.status])
            row.add_column(overflow="fold")
            row.add_row(check.status, Text(f"{check.where}: {check.check}: {check.detail}"))
            if check.remedy and check.status != "ok":
                row.add_row("", Text(f"→ {check.remedy}"))
            out.print(row)
    failed = sum(check.status == "fail" for check in checks)
    warned = sum(check.status == "warn" for check in checks)
    if form == "json":
        click.echo(to_json([dataclasses.asdict(check) for check in checks]))
    else:
        out.print(f"\n{len(checks)} checks: {failed} failed, {warned} warnings")
    if failed:
        raise DoctorError(f"{failed} of {len(checks)} checks failed.", "Mend what is marked fail, then run it again.")


@click.command()
@click.option("--sql", is_flag=True, help="Print the DDL of a new schema instead of running it; needs no connection.")
@click.pass_obj
def init(context: Context, sql: bool) -> None:
    """Creates or upgrades the schema `monitoring`; does nothing when it is up to date.

    All of it in one transaction. Refuses a schema of that name that is not ours, a store that cannot or must not
    hold it, and a superuser (unless --allow-superuser).
    """
    # Alembic and SQLAlchemy are loaded here and nowhere else.
    from sbpgmon.store.upgrade import init as init_store
    from sbpgmon.store.upgrade import init_sql

    settings = context.load()
    catalog = context.catalog(settings)
    check_retention(settings, catalog)
    problems = list(catalog.problems)
    for problem in problems:
        click.echo(f"warning: {problem}", err=True)
    if sql:
        click.echo(init_sql(catalog, settings.store.readers, settings.retention_of), nl=False)
        return
    store = context.store(settings)
    try:
        if not settings.allow_superuser and store.query(
            "SELECT FROM pg_roles WHERE rolname = current_user AND rolsuper"
        ):
            raise StoreRefusedError(
                "The store's role is a superuser, and would own the schema.",
                "Use a role of its own (`sbpgmon grants` prints it); --allow-superuser if you must.",
            )
        refused: list[QueryFileError] = []
        done = init_store(store, catalog, settings.store.readers, refused, settings.retention_of)
        problems += refused
        for problem in refused:
            click.echo(f"warning: {problem}", err=True)
        for line in done:
            click.echo(f"created  {line}")
        click.echo(f"monitoring is {'ready' if done else 'up to date'} in")
        click.echo(f"  {safe_dsn(settings.store_dsn, 'the store')}")
        missing = _missing_readers(store, settings.store.readers)
        if missing:
            click.echo(
                f"note: no role {', '.join(missing)}: create it (`sbpgmon grants`) and run init again",
                err=True,
            )
    finally:
        store.close()
    if problems:
        raise problems[0]


def _missing_readers(store: StoreConnection, readers: list[str]) -> list[str]:
    there = {row["rolname"] for row in store.query("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", (readers,))}
    return [reader for reader in readers if reader not in there]
