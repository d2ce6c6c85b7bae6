"""`sbpgmon`: the options that all commands share, and how every error ends."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

import click

from sbpgmon import __version__, logs
from sbpgmon.catalog.catalog import Catalog, load_catalog
from sbpgmon.config import Settings, load, require_targets
from sbpgmon.errors import SbpgmonError, exit_codes
from sbpgmon.store.connection import StoreConnection


@dataclass
class Context:
    """The shared options; settings are read when a command asks for them."""

    config: Path | None
    dsn: str | None
    queries_dir: Path | None
    state_dir: Path | None
    allow_superuser: bool

    def load(self) -> Settings:
        """Settings; raises ConfigError."""
        settings = load(
            self.config,
            dsn=self.dsn,
            queries_dir=self.queries_dir,
            state_dir=self.state_dir,
            allow_superuser=self.allow_superuser,
        )
        if settings.allow_superuser:
            logs.LOGGER.warning(
                "--allow-superuser: roles that can write are let through; the read-only transaction is the only wall"
            )
        return settings

    def load_with_targets(self) -> Settings:
        return require_targets(self.load())

    def store(self, settings: Settings) -> StoreConnection:
        return StoreConnection(settings.store_dsn, settings.agent.connect_timeout)

    def catalog(self, settings: Settings) -> Catalog:
        return load_catalog(settings.queries_dir)


class _Group(click.Group):
    """Shows the exit codes below the commands."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in exit_codes().items()])
        super().format_epilog(ctx, formatter)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # `sbpgmon top | head`: nobody reads any more, and nothing is wrong; click would make 1 of it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise click.exceptions.Exit(0) from None

    # Commands are imported when they are asked for: a poll must not pay for the rest.
    _MODULES: dict[str, str] = {  # noqa: RUF012
        "grants": "admin",
        "doctor": "admin",
        "init": "admin",
        "collect": "agent",
        "run": "agent",
        "status": "history",
        "top": "history",
        "targets": "targets",
        "tenants": "tenants",
        "metrics": "metrics",
        "store": "store",
        "report": "report",
        "grafana": "grafana",
        "rollback": "removal",
    }

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self._MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        module = self._MODULES.get(cmd_name)
        if module is None:
            return None
        loaded = __import__(f"sbpgmon.cli.{module}", fromlist=[cmd_name])
        command: click.Command = getattr(loaded, cmd_name)
        return command


@click.group(
    cls=_Group,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "SBPGMON",
        "max_content_width": 100,
    },
    epilog="Every option can be a variable: SBPGMON_DSN, SBPGMON_CONFIG, …; [store] dsn is SBPGMON_STORE__DSN.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Configuration file.  [default: ./sbpgmon.toml if it is there]",
)
@click.option("--dsn", metavar="DSN", help="One database, target and store at once; no file is needed.")
@click.option(
    "--queries-dir",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Your own SQL files, laid out like queries/: metrics/NAME.sql, views/NAME.sql.",
)
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where readings wait for the store.  [default: $STATE_DIRECTORY or ~/.local/state/sbpgmon]",
)
@click.option("--allow-superuser", is_flag=True, help="Poll with a role that could write. Not for production.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
@click.version_option(__version__, prog_name="sbpgmon")
@click.pass_context
def cli(
    ctx: click.Context,
    config: Path | None,
    dsn: str | None,
    queries_dir: Path | None,
    state_dir: Path | None,
    allow_superuser: bool,
    log_format: Literal["text", "json"],
    verbose: bool,
) -> None:
    """Monitors PostgreSQL from within SQL: a read-only agent snapshots targets into one schema, `monitoring`.

    Passwords come from libpq's own ways (~/.pgpass, service files, PGPASSWORD) and are never stored.
    """
    logs.configure(log_format, logging.DEBUG if verbose else logging.INFO)
    ctx.obj = Context(config, dsn, queries_dir, state_dir, allow_superuser)


def fail(error: SbpgmonError) -> NoReturn:
    """Ends the program: what is wrong and what to do on stderr, and the error's exit code."""
    click.echo(click.style("error: ", fg="red", bold=True) + error.what, err=True)
    if error.way_out:
        click.echo(f"  → {error.way_out}", err=True)
    sys.exit(error.exit_code)


def main(args: list[str] | None = None) -> Any:
    """The entry point. Errors of ours end with their exit code, Ctrl-C with 130; no traceback for either."""
    try:
        return cli.main(args=args, prog_name="sbpgmon", standalone_mode=False)
    except SbpgmonError as error:
        fail(error)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        sys.exit(130)
