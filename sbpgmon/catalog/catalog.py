"""The catalog: what queries/ and the user's own folder hold, and which variant serves a server."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from sbpgmon.catalog.checks import TENANCY, below_parts, load_checks, load_parts, parts_of, without_parts
from sbpgmon.catalog.header import EXTSCHEMA
from sbpgmon.catalog.metrics import load_metrics
from sbpgmon.catalog.panels import load_dashboards
from sbpgmon.catalog.views import load_views
from sbpgmon.checks import Check, Part
from sbpgmon.errors import QueryFileError
from sbpgmon.identifiers import quote
from sbpgmon.model import AGENT, Metric, Requirement, Server, Variant, View
from sbpgmon.panels import Dashboard
from sbpgmon.resources import resource_dir

_T = TypeVar("_T", Check, Part)
_User = TypeVar("_User", Check, Part, Metric)


@dataclass(frozen=True, slots=True)
class Catalog:
    """Metrics, derived views, checks and dashboards by name, and what is wrong with files that could not be taken."""

    metrics: dict[str, Metric]
    views: dict[str, View]
    problems: tuple[QueryFileError, ...] = ()
    checks: dict[str, Check] = field(default_factory=dict)
    parts: dict[str, Part] = field(default_factory=dict)
    dashboards: dict[str, Dashboard] = field(default_factory=dict)


def load_catalog(queries_dir: Path | None = None, *, has_dashboards: bool = True) -> Catalog:
    """The shipped catalog together with the user's. A broken file stops no other: it is in `problems`.

    `has_dashboards`: whether dashboards are loaded as well, which a poll has no use for.
    """
    metrics: dict[str, Metric] = {}
    views: dict[str, View] = {}
    checks: dict[str, Check] = {}
    parts: dict[str, Part] = {}
    problems: list[QueryFileError] = []
    for root in filter(None, (resource_dir("queries"), queries_dir)):
        found: list[Metric | View] = [
            *load_metrics(root / "metrics", problems),
            *load_views(root / "views", problems),
        ]
        for item in found:
            path = item.variants[0].path if isinstance(item, Metric) else item.path
            if item.name in metrics or item.name in views:
                what = f"{path}:1: there is already a metric or view named {item.name}."
                problems.append(QueryFileError(what, "Rename the file."))
            elif isinstance(item, Metric):
                metrics[item.name] = item
            else:
                views[item.name] = item
        _add(checks, load_checks(root / "checks", problems), "check", problems)
        _add(parts, load_parts(root / "checks", problems), "part", problems)
    for metric in list(metrics.values()):
        if metric.source not in ("", AGENT) and (metric.source not in metrics or metrics[metric.source].source):
            del metrics[metric.name]
            what = f"{metric.variants[0].path}:1: {metric.source} is not a metric that is read on targets."
            problems.append(QueryFileError(what, "Mend `source:`."))
    for view in list(views.values()):
        if missing := [need for need in view.needs if need not in metrics and need not in views]:
            del views[view.name]
            what = f"{view.path}:1: the view {view.name} needs {', '.join(missing)}, which is not in the catalog."
            problems.append(QueryFileError(what, "Mend `needs:`, or the file that it needs."))
    _drop_incomplete(parts, parts, problems)
    _drop_incomplete(checks, parts, problems)
    _drop_incomplete(metrics, parts, problems)
    roots = [root / "panels" for root in (resource_dir("queries"), queries_dir) if root and has_dashboards]
    dashboards = load_dashboards(roots, {*metrics, *views}, problems)
    return Catalog(metrics, views, tuple(problems), checks, parts, dashboards)


def _add(known: dict[str, _T], found: list[_T], what: str, problems: list[QueryFileError]) -> None:
    for item in found:
        if item.name in known:
            problems.append(
                QueryFileError(f"{item.path}:1: there is already a {what} named {item.name}.", "Rename the file.")
            )
        else:
            known[item.name] = item


def _drop_incomplete(items: dict[str, _User], parts: Mapping[str, Part], problems: list[QueryFileError]) -> None:
    """Leaves out what uses a part that is not there, and then what uses that; and parts that use each other."""
    while lacking := [item for item in items.values() if without_parts(item, parts)]:
        missing = {item.name: without_parts(item, parts) for item in lacking}
        for item in lacking:
            what = (
                f"{_path_of(item)}:1: {item.name} uses {', '.join(missing[item.name])}, which is not in checks/parts."
            )
            problems.append(QueryFileError(what, "Mend `uses:`, or add the part."))
            del items[item.name]
    circles = {}
    for item in items.values():
        try:
            parts_of(item, parts)
        except QueryFileError as error:
            circles[item.name] = error
    for name, circle in circles.items():
        problems.append(circle)
        del items[name]


def _path_of(item: Check | Part | Metric) -> Path:
    return item.variants[0].path if isinstance(item, Metric) else item.path


def is_for(metric: Metric, server: Server) -> bool:
    """Whether the metric is meant for a server of this role; a standby is not asked what only a primary knows."""
    return metric.role == "any" or (metric.role == "standby") == server.is_standby


def pick_variant(metric: Metric, server: Server) -> tuple[Variant | None, str]:
    """The variant that serves this server, or None and what the server lacks, with the way to mend it."""
    if why_not := unmet(metric.requires, server):
        return None, why_not
    extensions = [need.extension for need in metric.requires if need.extension]
    versions = server.extensions[extensions[-1]][1] if extensions else ()
    fitting = [v for v in metric.variants if v.major <= server.major and v.extension_version <= versions]
    if not fitting:
        lowest = metric.variants[0]
        return None, f"the lowest variant is {lowest.path.name}; the server is {server.version}"
    return fitting[-1], ""


def unmet(requires: Iterable[Requirement], server: Server) -> str:
    """What a server lacks, with the way to mend it; empty when it has all of it."""
    for need in requires:
        if need.role and need.role not in server.roles:
            return f"{server.role} is not a member of {need.role}: GRANT {need.role} TO {server.role}"
        if need.extension and need.extension not in server.extensions:
            return (
                f"the extension {need.extension} is not in database {server.database}: "
                f"CREATE EXTENSION {need.extension}"
            )
        if need.extension == "pg_stat_statements" and not server.is_statements_loaded:
            return "pg_stat_statements is not loaded: shared_preload_libraries = 'pg_stat_statements'"
        if need.extension and (there := server.extensions[need.extension][1]) < need.version:
            return f"{need} is needed, {'.'.join(map(str, there))} is there: ALTER EXTENSION {need.extension} UPDATE"
    return ""


def render_sql(variant: Variant, server: Server) -> str:
    """The variant's SQL with `@extschema:NAME@` replaced by the extension's quoted schema."""
    return _with_schemas(variant.sql, server)


def render_check(check: Check, parts: Mapping[str, Part], tenancy: str, server: Server) -> str:
    """The check's SQL below the parts that it uses; `tenancy`: the SELECT that stands for the part of that name."""
    return _with_schemas(below_parts(check, check.sql, parts, {TENANCY: tenancy}), server)


def _with_schemas(sql: str, server: Server) -> str:
    def schema(match: re.Match[str]) -> str:
        if match[1] not in server.extensions:
            what = f"The extension {match[1]} is not in database {server.database}, and a part asks for its schema."
            raise QueryFileError(what, f"CREATE EXTENSION {match[1]}, or say `requires: extension {match[1]}`.")
        name, _ = server.extensions[match[1]]
        return quote(name)

    return EXTSCHEMA.sub(schema, sql)
