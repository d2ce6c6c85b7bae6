"""`tenants detect`: how a target seems to keep its tenants apart."""

from __future__ import annotations

import click

from sbpgmon.cli.main import Context
from sbpgmon.cli.one_target import connected
from sbpgmon.collect.tenancy import detect_tenancy
from sbpgmon.present.detect import is_found, nothing_found, toml


@click.command(short_help="Proposes [tenancy] out of the catalogs, as TOML to paste.")
@click.option("--target", metavar="NAME", help="This target; needed where there are several.")
@click.pass_obj
def detect(context: Context, target: str | None) -> None:
    """Proposes [tenancy] out of a target's catalogs: TOML to read, to mend and to paste.

    The tenant key by the policies that read it and by how many tables have it, the tenants table by the foreign keys,
    the setting by the policies, tenants' schemas as three or more with the same tables, roles by what they were
    granted. Remarks say what each line rests on. What is declared already is not looked at. Where nothing is found,
    nothing is printed, and stderr says so; that is no error.
    """
    with connected(context, target) as found:
        detection = detect_tenancy(found.session, found.server)
    if is_found(detection):
        click.echo(toml(detection, found.name), nl=False)
    else:
        click.echo(nothing_found(found.name), err=True)
