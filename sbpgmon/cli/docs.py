"""Writes docs/cli.md, docs/metrics.md and docs/checks.md out of the program itself: `python -m sbpgmon.cli.docs docs`.

A test writes them anew and compares, so that they are never stale.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from sbpgmon import tenancy
from sbpgmon.catalog.catalog import Catalog, load_catalog, pick_variant
from sbpgmon.cli.main import cli
from sbpgmon.config import Agent, CheckSettings, MetricSettings, Settings, Store, Target
from sbpgmon.durations import in_words
from sbpgmon.environment import PROFILES, Environment
from sbpgmon.errors import exit_codes
from sbpgmon.findings import LIMIT_UNCONFIRMED
from sbpgmon.model import TIER_SECONDS, Column, Metric, Server, Variant, View
from sbpgmon.tenancy import Tenancy

WIDTH = 78  # what click makes of a terminal with 80 columns
MAJORS = (14, 15, 16, 17, 18)
# The versions of extensions that come with each major.
SHIPPED = {"pg_stat_statements": {14: (1, 9), 15: (1, 10), 16: (1, 10), 17: (1, 11), 18: (1, 12)}}
_GENERATED = "<!-- Written by `make docs`; edit what it is made from instead. -->\n"
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
    parts = ["# The command line\n", _GENERATED]
    parts.append("Options of `sbpgmon` itself stand before the command: `sbpgmon --config FILE status`.\n")
    parts += [f"## {name}\n\n```text\n{text}```\n" for name, text in help_texts().items()]
    codes = [(str(code), meaning) for code, meaning in exit_codes().items()]
    parts.append(f"## Exit codes\n\n{_table(('code', 'meaning'), codes)}")
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
    return _table(("profile", "tick", *(f"`{tier}` is kept" for tier in TIER_SECONDS)), rows)


def _keys(model: type[BaseModel], prefix: str) -> str:
    rows = []
    for name, field in model.model_fields.items():
        if not field.description:
            continue  # a section, which has a table of its own
        variable = f"`{prefix}{name.upper()}`" if prefix else "–"
        rows.append((f"`{name}`", _type(field), _default(field), variable, field.description))
    return _table(("key", "type", "default", "variable", "meaning"), rows)


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
    return "### Environment\n\nKeys have the variables above; the options of the command line have these.\n\n" + _table(
        ("variable", "is"), rows
    )


def metrics_page(catalog: Catalog) -> str:
    """docs/metrics.md."""
    parts = ["# Metrics\n", _GENERATED]
    parts.append(
        "Each metric is a file in `queries/metrics/` and a view of its own name in the schema `monitoring`. Every view "
        "begins with `time`, `tier` and `target`. A key names the series; a counter is shown as what was added in the "
        "interval that ends at `time`; a gauge is shown as read, and as `…_min` and `…_max`; an info column is stored "
        "when it changes; a reset column is not stored: it says when the counters began anew. In the tiers behind the "
        "first a row is a bucket that begins at `time`: the sum of a counter, the mean of a gauge.\n"
    )
    metrics = sorted(catalog.metrics.values(), key=lambda metric: metric.name)
    views = sorted(catalog.views.values(), key=lambda view: view.name)
    overview = [(_link(m.name), _duration(m.interval_seconds), _tiers(m), f"{m.title}.") for m in metrics]
    parts.append(_table(("metric", "interval", "tiers", "what"), overview))
    parts.append(_versions(metrics))
    parts += [_metric(metric) for metric in metrics]
    parts.append("# Derived views\n\nOver the metrics, from `queries/views/`.\n")
    parts.append(_table(("view", "what"), [(_link(view.name), f"{view.title}.") for view in views]))
    parts += [_view(view) for view in views]
    return "\n".join(parts)


def checks_page(catalog: Catalog) -> str:
    """docs/checks.md."""
    parts = ["# Checks of tenant isolation\n", _GENERATED]
    parts.append(
        "Each is a file in `queries/checks/`; `sbpgmon tenants check` runs them all, `run` and `collect` by interval. "
        "A check passes, fails or is unknown; P0 is worst, and until `[tenancy]` is `confirmed` no finding is above "
        f"{LIMIT_UNCONFIRMED}. A heuristic reads text, where only text can tell.\n"
    )
    checks = sorted(catalog.checks.values(), key=lambda check: check.name)
    rows = [
        (_link(c.name), ", ".join(c.models), c.kind, c.severity, _duration(c.interval_seconds), f"{c.title}.")
        for c in checks
    ]
    parts.append(_table(("check", "model", "of", "severity", "interval", "what"), rows))
    for check in checks:
        heuristic = " A heuristic: it reads text." if check.is_heuristic else ""
        parts.append(f"## {check.name}\n\n{check.title}.{heuristic}\n")
        parts += [f"{check.description}\n"] if check.description else []
    return "\n".join(parts)


def served(metric: Metric) -> dict[int, Variant | None]:
    """The variant for each major as it comes, with every extension in the version of that major."""
    return {major: pick_variant(metric, _server(metric, major))[0] for major in MAJORS}


def served_by_extension(metric: Metric) -> dict[tuple[int, ...], Variant | None]:
    """The variant for each version of the extension that the metric needs; empty when it needs none."""
    name = next((need.extension for need in metric.requires if need.extension), "")
    versions = sorted(set(SHIPPED[name].values())) if name else []
    newest = _server(metric, MAJORS[-1])
    return {v: pick_variant(metric, replace(newest, extensions={name: ("public", v)}))[0] for v in versions}


def _versions(metrics: Sequence[Metric]) -> str:
    """Which file serves which version, and what lacks there."""
    parts = [
        "## Versions\n",
        "Which file serves which major of PostgreSQL, on primary and standby alike unless its `role` says otherwise: "
        "`.sql` stands for `NAME.sql`, `.pg18.sql` for `NAME.pg18.sql`. In parentheses: how many of its columns that "
        "version lacks. They are named below, and NULL in the view.\n",
    ]
    rows = [(f"extension {name}", *(_version(shipped[major]) for major in MAJORS)) for name, shipped in SHIPPED.items()]
    rows += [(_link(m.name), *(_cell(m, variant) for variant in served(m).values())) for m in metrics]
    parts.append(_table(("PostgreSQL", *map(str, MAJORS)), rows))
    for name, shipped in SHIPPED.items():
        parts.append(
            f"{name} may be older than its server, which `pg_upgrade` leaves to you: "
            f"`ALTER EXTENSION {name} UPDATE`. Its version alone decides then:\n"
        )
        found = [(m, served_by_extension(m)) for m in metrics if name in {need.extension for need in m.requires}]
        rows = [(_link(m.name), *(_cell(m, variant) for variant in variants.values())) for m, variants in found]
        parts.append(_table((name, *map(_version, sorted(set(shipped.values())))), rows))
    parts.append("What lacks where:\n")
    rows = []
    for metric in metrics:
        lacking: dict[str, list[str]] = {}
        for column in metric.columns:
            where = [m for m, variant in served(metric).items() if variant and column.name in variant.lacks]
            if where:
                lacking.setdefault(_majors(where), []).append(f"`{column.name}`")
        rows += [(_link(metric.name), majors, ", ".join(columns)) for majors, columns in sorted(lacking.items())]
    parts.append(_table(("metric", "PostgreSQL", "columns"), rows))
    return "\n".join(parts)


def _cell(metric: Metric, variant: Variant | None) -> str:
    if variant is None:
        return "–"
    tag = f"`{variant.path.name.removeprefix(metric.name)}`"
    return f"{tag} ({len(variant.lacks)})" if variant.lacks else tag


def _link(name: str) -> str:
    return f"[{name}](#{name})"


def _version(parts: Iterable[int]) -> str:
    return ".".join(map(str, parts))


def _tiers(metric: Metric) -> str:
    """Where its history is kept; the info columns of a metric without facts have no tiers."""
    return ", ".join(f"`{tier}`" for tier in metric.tiers) if metric.facts else "on change"


def _metric(metric: Metric) -> str:
    by_major = served(metric)
    facts = [
        ("interval", _duration(metric.interval_seconds)),
        ("tiers", _tiers(metric)),
        ("scope", metric.scope),
        ("role", metric.role),
        ("requires", ", ".join(map(str, metric.requires)) or "nothing"),
        ("an absent row means", metric.missing),
        ("timeout", _duration(metric.timeout_seconds)),
    ]
    files = [
        (f"`{v.path.name}`", _needs(metric, v), _majors(major for major, taken in by_major.items() if taken is v))
        for v in metric.variants
    ]
    columns = [
        (f"`{c.name}`", c.kind.value, c.type.name, c.unit or "–", _served(c, by_major), c.description)
        for c in metric.columns
    ]
    parts = [f"## {metric.name}\n", f"{metric.title}.\n"]
    parts += [f"{metric.description}\n"] if metric.description else []
    parts += [
        _table(("", ""), facts),
        _table(("file", "for", "PostgreSQL"), files),
        _table(("column", "kind", "type", "unit", "PostgreSQL", "description"), columns),
    ]
    return "\n".join(parts)


def _view(view: View) -> str:
    parts = [f"## {view.name}\n", f"{view.title}.\n"]
    parts += [f"{view.description}\n"] if view.description else []
    parts.append(f"Reads: {', '.join(map(_link, view.needs)) or 'the log of the snapshots'}.\n")
    parts.append(_table(("column", "description"), [(f"`{name}`", text) for name, text in view.columns]))
    return "\n".join(parts)


def _server(metric: Metric, major: int) -> Server:
    """A server as it comes: every extension that the metric needs, in the version of that major."""
    started = datetime(2000, 1, 1, tzinfo=UTC)
    names = [need.extension for need in metric.requires if need.extension]
    return Server(
        version_num=major * 10000, version=str(major), database="app", role="sbpgmon_reader", is_superuser=False,
        is_standby=metric.role == "standby", roles=frozenset({"pg_monitor"}), encoding="UTF8",
        system_identifier=1, timeline=1,
        postmaster_start_time=started, checkpointer_start_time=started, writable=(), pooled=False,
        is_statements_loaded=True,
        extensions={name: ("public", SHIPPED[name][major]) for name in names},
    )  # fmt: skip


def _needs(metric: Metric, variant: Variant) -> str:
    if variant.extension_version:
        extension = next(need.extension for need in metric.requires if need.extension)
        return f"{extension} {_version(variant.extension_version)} and newer"
    return f"PostgreSQL {variant.major} and newer" if variant.major else "every server"


def _served(column: Column, by_major: dict[int, Variant | None]) -> str:
    return _majors(m for m, variant in by_major.items() if variant is not None and column.name not in variant.lacks)


def _majors(majors: Iterable[int]) -> str:
    found = sorted(majors)
    if not found:
        return "none as it comes"
    if len(found) > 1 and found == list(range(found[0], found[-1] + 1)):
        return f"{found[0]}–{found[-1]}"
    return ", ".join(map(str, found))


def _duration(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds > 60 and seconds % 60 == 0 else f"{seconds:g} s"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in lines)


def write(folder: Path) -> None:
    """Writes the pages into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cli.md").write_text(cli_page(), encoding="utf-8")
    (folder / "metrics.md").write_text(metrics_page(load_catalog()), encoding="utf-8")
    (folder / "checks.md").write_text(checks_page(load_catalog()), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
