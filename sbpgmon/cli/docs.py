"""Writes docs/cli.md, docs/metrics.md and docs/checks.md out of the program itself: `python -m sbpgmon.cli.docs docs`.

A test writes them anew and compares, so that they are never stale.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from sbpgmon import tenancy
from sbpgmon.catalog.catalog import load_catalog
from sbpgmon.cli.docs_checks import checks_page
from sbpgmon.cli.docs_metrics import metrics_page
from sbpgmon.cli.main import cli
from sbpgmon.cli.pages import GENERATED, table
from sbpgmon.config import Agent, CheckSettings, MetricSettings, Settings, Store, Target
from sbpgmon.durations import in_words
from sbpgmon.environment import PROFILES, Environment
from sbpgmon.errors import exit_codes
from sbpgmon.model import TIER_SECONDS
from sbpgmon.tenancy import Tenancy

WIDTH = 78  # what click makes of a terminal with 80 columns
_SECTIONS: tuple[tuple[str, type[BaseModel], str], ...] = (
    ("", Settings, ""),
    ("[store]", Store, "SBPGMON_STORE__"),
    ("[[targets]]", Target, ""),
    ("[environment]", Environment, "SBPGMON_ENVIRONMENT__"),
    ("[metrics.NAME]", MetricSettings, "SBPGMON_METRICS__NAME__"),
    ("[agent]", Agent, "SBPGMON_AGENT__"),
    ("[checks.NAME]", CheckSettings, "SBPGMON_CHECKS__NAME__"),
    ("[tenancy]", Tenancy, "SBPGMON_TENANCY__"),
    ("[tenancy.key]", tenancy.Key, "SBPGMON_TENANCY__KEY__"),
    ("[tenancy.shared]", tenancy.Shared, "SBPGMON_TENANCY__SHARED__"),
    ("[tenancy.context]", tenancy.ContextSetting, "SBPGMON_TENANCY__CONTEXT__"),
    ("[tenancy.roles]", tenancy.Roles, "SBPGMON_TENANCY__ROLES__"),
    ("[tenancy.schemas]", tenancy.Named, "SBPGMON_TENANCY__SCHEMAS__"),
    ("[tenancy.databases]", tenancy.Named, "SBPGMON_TENANCY__DATABASES__"),
    ("[[tenancy.relations]]", tenancy.Relation, ""),
    ("[[tenancy.allow]]", tenancy.Allow, ""),
    ("[[tenancy.events]]", tenancy.Event, ""),
    ("[tenancy.activity]", tenancy.Activity, "SBPGMON_TENANCY__ACTIVITY__"),
    ("[tenancy.data]", tenancy.Data, "SBPGMON_TENANCY__DATA__"),
    ("[tenancy.probe]", tenancy.Probe, "SBPGMON_TENANCY__PROBE__"),
)


def help_texts() -> dict[str, str]:
    """`--help` of every command, by its words, 80 columns wide."""
    return {" ".join(words): text for words, text in _help(cli, None, ("sbpgmon",))}


def _help(command: click.Command, parent: click.Context | None, words: tuple[str, ...]) -> Iterator[Any]:
    # What `main` passes to click, so that the text is the one that a user sees.
    context = click.Context(command, parent, words[-1], terminal_width=WIDTH, **command.context_settings)
    yield words, command.get_help(context) + "\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from _help(child, context, (*words, name))


def cli_page() -> str:
    """docs/cli.md."""
    parts = ["# The command line\n", GENERATED]
    parts.append("Options of `sbpgmon` itself stand before the command: `sbpgmon --config FILE status`.\n")
    parts += [f"## {name}\n\n```text\n{text}```\n" for name, text in help_texts().items()]
    codes = [(str(code), meaning) for code, meaning in exit_codes().items()]
    parts.append(f"## Exit codes\n\n{table(('code', 'meaning'), codes)}")
    parts.append(
        "## Configuration\n\n"
        "One file, `sbpgmon.toml` in the current folder or the one that `--config` names. The command line outranks "
        "the environment, which outranks the file. Durations are `500ms`, `15s`, `5m`, `1h`, `7d`, `1y`, or seconds. "
        "Passwords need not stand in a DSN: libpq takes them from `~/.pgpass`, a service file or `PGPASSWORD`.\n"
    )
    for heading, model, prefix in _SECTIONS:
        parts.append(f"### `{heading}`\n" if heading else "### Above all sections\n")
        if heading:
            parts.append(f"{model.__doc__}\n")
        parts.append(_keys(model, prefix if heading else "SBPGMON_"))
        if model is Environment:
            parts.append(_profiles())
    parts.append(_environment())
    return "\n".join(parts)


def _profiles() -> str:
    rows = [
        (f"`{name}`", in_words(profile.tick_seconds), *map(in_words, profile.retention.values()))
        for name, profile in PROFILES.items()
    ]
    return table(("profile", "tick", *(f"`{tier}` is kept" for tier in TIER_SECONDS)), rows)


def _keys(model: type[BaseModel], prefix: str) -> str:
    rows = []
    for name, field in model.model_fields.items():
        if not field.description:
            continue  # a section, which has a table of its own
        variable = f"`{prefix}{name.upper()}`" if prefix else "–"
        rows.append((f"`{name}`", _type(field), _default(field), variable, field.description))
    return table(("key", "type", "default", "variable", "meaning"), rows)


def _type(field: FieldInfo) -> str:
    def name(annotation: Any) -> str:
        origin = get_origin(annotation)
        if origin is Annotated:
            return "string" if get_args(annotation)[0] is str else "duration"
        if origin in (Union, UnionType):
            return name(next(part for part in get_args(annotation) if part is not NoneType))
        if origin is Literal:
            return " or ".join(f'`"{choice}"`' for choice in get_args(annotation))
        if origin is dict:
            return "table of durations"  # the one table of the settings
        if origin is list:
            item = name(get_args(annotation)[0])
            return f"list of {item}" if " or " in item else f"list of {item}s"
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return "section"
        return {date: "date", str: "string", bool: "boolean", int: "integer", float: "number", Path: "path"}[annotation]

    # pydantic takes the Annotated of a plain field apart.
    if field.annotation is float:
        return "duration" if _is_duration(field) else "number"
    return name(field.annotation)


def _is_duration(field: FieldInfo) -> bool:
    return any(isinstance(part, BeforeValidator) for part in field.metadata)


def _default(field: FieldInfo) -> str:
    value = field.default
    if field.is_required():
        return "required"
    if value is None or value in ({}, Path()):
        return "–"
    if isinstance(value, float) and not _is_duration(field):
        return f"`{value:g}`"
    if isinstance(value, float):
        return f"`{value / 60:g}m`" if value > 60 and value % 60 == 0 else f"`{value:g}s`"
    if isinstance(value, list):
        return f"`[{', '.join(repr(item) for item in value)}]`".replace("'", '"')
    return f'`"{value}"`' if isinstance(value, str) else f"`{str(value).lower()}`"


def _environment() -> str:
    rows = [
        (f"`SBPGMON_{option.name.upper()}`", f"`{option.opts[-1]}`")
        for option in cli.params
        if isinstance(option, click.Option) and option.name != "version" and option.name
    ]
    rows += [
        ("`SBPGMON_COMMAND_OPTION`", "an option of a command: `SBPGMON_TOP_LIMIT` is `sbpgmon top --limit`"),
        ("`SBPGMON_TARGETS`", 'all targets, as JSON: `[{"name": "app", "dsn": "host=db dbname=app"}]`'),
        ("`PGPASSWORD`, `PGPASSFILE`, `PGSERVICEFILE`, `PGSSLMODE`, …", "libpq's own, for every connection"),
        ("`STATE_DIRECTORY`", "systemd's; where readings wait for the store, unless `state_dir` says otherwise"),
        ("`NOTIFY_SOCKET`, `WATCHDOG_USEC`", "systemd's; `sbpgmon run` says when it is ready and that it lives"),
    ]
    return "### Environment\n\nKeys have the variables above; the options of the command line have these.\n\n" + table(
        ("variable", "is"), rows
    )


def write(folder: Path) -> None:
    """Writes the pages into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cli.md").write_text(cli_page(), encoding="utf-8")
    (folder / "metrics.md").write_text(metrics_page(load_catalog()), encoding="utf-8")
    (folder / "checks.md").write_text(checks_page(load_catalog()), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
