"""`tenants judge`: whether statements are bound to one tenant."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from sbpgmon.cli.main import Context
from sbpgmon.cli.one_target import connected
from sbpgmon.cli.output import console, one_line, to_json
from sbpgmon.collect.facts import read_facts
from sbpgmon.collect.tenancy import know
from sbpgmon.errors import ConfigError, IsolationFailedError, IsolationUnknownError
from sbpgmon.judge.facts import TenantFacts
from sbpgmon.judge.statement import Judgement, Verdict
from sbpgmon.judge.statement import judge as judge_text
from sbpgmon.present import judge as present
from sbpgmon.present.judge import Statement

_STYLES = {
    Verdict.UNSCOPED: "bold red",
    Verdict.UNPARSED: "yellow",
    Verdict.POINT: "yellow",
    Verdict.NOT_APPLICABLE: "dim",
}
_STEP = 20  # statements between two looks at the progress


@click.command(short_help="Says of statements whether they are bound to one tenant.")
@click.argument("sql", nargs=-1)
@click.option("--user", metavar="NAME", help="Who runs them, where a statement does not say.")
@click.option("--ignore-rls", is_flag=True, help="Judge the text alone, as if there were no row level security.")
@click.option("--target", metavar="NAME", help="This target's tables; needed where there are several.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_obj
def judge(
    context: Context, sql: tuple[str, ...], user: str | None, ignore_rls: bool, target: str | None, form: str
) -> None:
    """Says of each statement whether it is bound to one tenant in every tenants' table that it touches.

    Statements are arguments, or, without any, lines of JSON on standard input: {"sql": "…", "user": "…"}. The texts may
    have $1 in them, as pg_stat_statements has. The statements are not run; the target is asked for its tables alone.

    \b
    scoped          the tenant key is bound, in all rows
    derived         joined to such rows over a foreign key
    point           found by a key of its own: whose it is, is not checked
    unscoped        rows of several tenants
    rls_covered     row level security holds for that user
    not_applicable  no tenants' table is touched
    unparsed        not understood

    Ends with 3 when any is unscoped, with 4 when none is and any is unparsed, otherwise with 0.
    """
    statements = [Statement(text, user) for text in sql] or _read(user)
    with connected(context, target) as found:
        known = know(found.session, found.server, found.settings.tenancy_of(found.name))
        if not known.models:
            raise IsolationUnknownError(
                f"Target {found.name}: no tenancy is declared, and none was found: there is nothing to judge by.",
                "Declare it: [tenancy] in docs/cli.md; `sbpgmon tenants detect` says what was looked for.",
            )
        facts = read_facts(found.session, found.server, context.catalog(found.settings), known)
    judgements = _judge(statements, facts, ignore_rls=ignore_rls)
    if form == "json":
        rows = [present.as_row(*pair) for pair in zip(statements, judgements, strict=True)]
        click.echo(to_json(rows))
    else:
        _print(statements, judgements)
    _end(judgements)


def _read(user: str | None) -> list[Statement]:
    stream = sys.stdin.buffer
    if stream.isatty():
        click.echo('Statements, one a line: {"sql": "SELECT …", "user": "app"}; Ctrl-D ends.', err=True)
    if statements := present.parse_lines(stream, user):
        return statements
    raise ConfigError(
        "There is no statement: no argument was given, and standard input is empty.",
        'Give statements as arguments, or one a line on standard input: {"sql": "SELECT …"}.',
    )


def _judge(statements: Sequence[Statement], facts: TenantFacts, *, ignore_rls: bool) -> list[Judgement]:
    judgements = []
    shown = console(stderr=True)
    with Progress(console=shown, transient=True, disable=not shown.is_terminal) as progress:
        task = progress.add_task("judging", total=len(statements))
        for number, each in enumerate(statements, start=1):
            judgements.append(judge_text(each.sql, facts, user=each.user, ignore_rls=ignore_rls))
            if number % _STEP == 0:
                progress.update(task, completed=number)
    return judgements


def _print(statements: Sequence[Statement], judgements: Sequence[Judgement]) -> None:
    out = console()
    for statement, judgement in zip(statements, judgements, strict=True):
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_column(width=14, style=_STYLES.get(judgement.verdict, "green"), no_wrap=True)
        grid.add_column(overflow="fold")
        who = f" [dim]{escape(statement.user)}[/]" if statement.user else ""
        grid.add_row(judgement.verdict.value, f"[bold]{escape(judgement.table or '–')}[/]{who}")
        grid.add_row("", escape(judgement.reason))
        grid.add_row("", f"[dim]{escape(one_line(statement.sql, 2 * (out.width - 16)))}[/]")
        out.print(grid)
    out.print(present.summary(judgements))


def _end(judgements: Sequence[Judgement]) -> None:
    unscoped = sum(judgement.verdict is Verdict.UNSCOPED for judgement in judgements)
    unparsed = sum(judgement.verdict is Verdict.UNPARSED for judgement in judgements)
    if unscoped:
        raise IsolationFailedError(
            f"{unscoped} of {len(judgements)} statements read or write rows of several tenants.",
            "Bind the tenant key in each of them.",
        )
    if unparsed:
        raise IsolationUnknownError(
            f"{unparsed} of {len(judgements)} statements are not understood.",
            "Look at them; the others are bound.",
        )
