"""The catalog: what queries/ and the user's own folder hold, and which variant serves a server."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from sbpgmon.catalog.metrics import load_metrics
from sbpgmon.catalog.views import load_views
from sbpgmon.errors import QueryFileError
from sbpgmon.model import Metric, Server, Variant, View
from sbpgmon.resources import resource_dir

_EXTSCHEMA = re.compile(r"@extschema:(\w+)@")


@dataclass(frozen=True, slots=True)
class Catalog:
    """Metrics and derived views by name, and what is wrong with the files that could not be taken."""

    metrics: dict[str, Metric]
    views: dict[str, View]
    problems: tuple[QueryFileError, ...] = ()


def load_catalog(queries_dir: Path | None = None) -> Catalog:
    """The shipped catalog together with the user's. A broken file stops no other: it is in `problems`."""
    metrics: dict[str, Metric] = {}
    views: dict[str, View] = {}
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
    for view in list(views.values()):
        if missing := [need for need in view.needs if need not in metrics and need not in views]:
            del views[view.name]
            what = f"{view.path}:1: the view {view.name} needs {', '.join(missing)}, which is not in the catalog."
            problems.append(QueryFileError(what, "Mend `needs:`, or the file that it needs."))
    return Catalog(metrics, views, tuple(problems))


def is_for(metric: Metric, server: Server) -> bool:
    """Whether the metric is meant for a server of this role; a standby is not asked what only a primary knows."""
    return metric.role == "any" or (metric.role == "standby") == server.is_standby


def pick_variant(metric: Metric, server: Server) -> tuple[Variant | None, str]:
    """The variant that serves this server, or None and what the server lacks, with the way to mend it."""
    versions: tuple[int, ...] = ()
    for need in metric.requires:
        if need.role and need.role not in server.roles:
            return None, f"{server.role} is not a member of {need.role}: GRANT {need.role} TO {server.role}"
        if need.extension:
            if need.extension not in server.extensions:
                return None, (
                    f"the extension {need.extension} is not in database {server.database}: "
                    f"CREATE EXTENSION {need.extension}"
                )
            if need.extension == "pg_stat_statements" and not server.is_statements_loaded:
                return (
                    None,
                    "pg_stat_statements is not loaded: shared_preload_libraries = 'pg_stat_statements'",
                )
            _, versions = server.extensions[need.extension]
            if versions < need.version:
                return None, (
                    f"{need} is needed, {'.'.join(map(str, versions))} is there: "
                    f"ALTER EXTENSION {need.extension} UPDATE"
                )
    fitting = [v for v in metric.variants if v.major <= server.major and v.extension_version <= versions]
    if not fitting:
        lowest = metric.variants[0]
        return None, f"the lowest variant is {lowest.path.name}; the server is {server.version}"
    return fitting[-1], ""


def render_sql(variant: Variant, server: Server) -> str:
    """The variant's SQL with `@extschema:NAME@` replaced by the extension's quoted schema."""

    def schema(match: re.Match[str]) -> str:
        name, _ = server.extensions[match[1]]
        return '"' + name.replace('"', '""') + '"'

    return _EXTSCHEMA.sub(schema, variant.sql)
